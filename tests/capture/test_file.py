"""Files: heads, stretches, loaders, directories."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from graphlab.capture.file import HEAD_BYTES, File
from graphlab.errors import FormatError, GraphlabError, ValueUnavailable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 100)
    return path


def test_the_head_is_read_and_the_rest_mapped(path: Path) -> None:
    file = File.open(path)
    assert (len(file.head), file.size, file.name) == (HEAD_BYTES, 25_600, str(path))
    assert bytes(file.view()[25_590:]) == bytes(range(246, 256))
    assert file.read() == path.read_bytes()


def test_a_slice_is_fetched_when_it_is_called(path: Path) -> None:
    load = File.open(path).slice(1000, 3)
    assert not isinstance(load, bytes)
    assert load() == bytes([1000 % 256, 1001 % 256, 1002 % 256])


def test_a_part_is_a_file_with_offsets_of_its_own(path: Path) -> None:
    part = File.open(path).part("file!inner", 256, 512)
    assert (part.name, part.size, part.head[:2]) == ("file!inner", 512, b"\0\1")
    inner = part.part("file!inner!deeper", 10, 5)
    assert inner.read() == bytes(range(10, 15))
    load = inner.slice(1, 2)
    assert not isinstance(load, bytes)
    assert load() == bytes([11, 12])


@pytest.mark.parametrize(("offset", "length"), [(-1, 2), (0, 25_601), (25_600, 1), (3, -1), (1 << 70, 1)])
def test_no_slice_leads_out_of_the_file(path: Path, offset: int, length: int) -> None:
    for make in (File.open(path).slice, lambda o, n: File.open(path).part("x", o, n), File.of("memory", path.read_bytes()).slice):
        with pytest.raises(FormatError, match=f"offset {offset}"):
            make(offset, length)


def test_a_loader_refuses_a_file_that_changed(path: Path) -> None:
    load = File.open(path).slice(0, 4)
    assert not isinstance(load, bytes)
    path.write_bytes(b"other")
    with pytest.raises(ValueUnavailable, match="has changed"):
        load()
    path.unlink()
    with pytest.raises(ValueUnavailable, match="No such file"):
        load()


def test_more_than_the_limit_is_not_read(path: Path) -> None:
    with pytest.raises(FormatError, match="25,600 bytes; 100 is the most"):
        File.open(path).read(100)


def test_bytes_in_memory_are_a_file(tmp_path: Path) -> None:
    file = File.of("a.zip!b", b"abc")
    assert (file.head, file.size, file.read(), file.slice(1, 2), file.is_dir) == (b"abc", 3, b"abc", b"bc", False)


def test_an_entry_stays_within_its_directory(tmp_path: Path) -> None:
    home = tmp_path / "model"
    (home / "sub").mkdir(parents=True)
    (home / "sub" / "a").write_bytes(b"in")
    (tmp_path / "secret").write_bytes(b"out")
    (home / "link").symlink_to(tmp_path / "secret")
    file = File.open(home)
    assert file.is_dir
    assert file.entries() == ("link", "sub")
    assert file.entry("sub/a").read() == b"in"
    for name in ("../secret", "link", str(tmp_path / "secret"), "sub/../../secret", "none", "nul\0byte", "x" * 5000):
        assert not file.has(name)
        with pytest.raises(FormatError, match="no such file within"):
            file.entry(name)


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(GraphlabError, match="neither a file nor a directory"):
        File.open(tmp_path / "pipe")
    with pytest.raises(GraphlabError, match="No such file"):
        File.open(tmp_path / "none")
    with pytest.raises(GraphlabError, match="null"):
        File.open("a\0b")
