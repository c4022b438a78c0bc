"""Zip archives: names, bounded members, loaders, and what is refused."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from graphlab.capture.archive import Archive
from graphlab.capture.file import File
from graphlab.errors import FormatError

WEIGHTS = bytes(range(256)) * 40


def made(*, compression: int = zipfile.ZIP_STORED) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", compression) as archive:
        archive.writestr("net/code.py", b"x = 1")
        archive.writestr("net/data/0", WEIGHTS)
        archive.mkdir("net/empty")
    return data.getvalue()


@pytest.fixture(params=[zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Archive:
    path = tmp_path / "a.zip"
    path.write_bytes(made(compression=request.param))
    return Archive.open(File.open(path))


def test_members_are_named_and_read(archive: Archive) -> None:
    assert archive.names == ("net/code.py", "net/data/0")
    assert "net/data/0" in archive
    assert archive.size("net/data/0") == len(WEIGHTS)
    assert archive.read("net/code.py") == b"x = 1"


def test_a_part_of_a_member_is_loaded_when_asked_for(archive: Archive) -> None:
    load = archive.loader("net/data/0", 10, 4)
    assert callable(load)
    assert load() == WEIGHTS[10:14]
    with pytest.raises(FormatError, match="are asked for"):
        archive.loader("net/data/0", 10, len(WEIGHTS))


def test_an_archive_within_an_archive_is_read_where_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "outer.mar"
    with zipfile.ZipFile(path, "w") as outer:
        outer.writestr("model.pt", made())
    inner = Archive.open(Archive.open(File.open(path)).file("model.pt"))
    assert inner.source.name == f"{path}!model.pt"
    load = inner.loader("net/data/0", 1, 3)
    assert callable(load)
    assert load() == WEIGHTS[1:4]


def test_a_bomb_is_not_unpacked() -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(100 << 20))
    opened = Archive.open(File.of("bomb.zip", data.getvalue()))
    with pytest.raises(FormatError, match="104,857,600 bytes"):
        opened.read("zeros")


def test_a_bomb_that_lies_about_its_size_is_not_unpacked() -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(100 << 20))
    lying = data.getvalue().replace(struct.pack("<I", 100 << 20), struct.pack("<I", 1000))
    opened = Archive.open(File.of("bomb.zip", lying))
    with pytest.raises(FormatError, match=r"announced|damaged"):
        opened.read("zeros")


def test_two_members_of_one_name_are_refused() -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("a", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a", b"2")
    with pytest.raises(FormatError, match="two members named 'a'"):
        Archive.open(File.of("x.zip", data.getvalue()))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_archive_is_refused_or_read(data: st.DataObject) -> None:
    bytes_ = bytearray(made(compression=data.draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))))
    for _ in range(data.draw(st.integers(1, 6))):
        bytes_[data.draw(st.integers(0, len(bytes_) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del bytes_[data.draw(st.integers(0, len(bytes_) - 1)) :]
    try:
        archive = Archive.open(File.of("x.zip", bytes(bytes_)))
        for name in archive.names:
            archive.read(name)
            archive.file(name)
    except FormatError:
        return
    assert len(archive.names) <= 2
