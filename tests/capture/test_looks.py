"""What a file that no reader takes looks like."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

import graphlab
from graphlab.capture.file import File
from graphlab.capture.looks import describe
from graphlab.errors import UnknownFormat


def zipped(*names: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in names:
            archive.writestr(name, b"0")
    return data.getvalue()


CASES = [
    (b"\x38\x00\x00\x00ET12\x04", "ExecuTorch"),
    (b"{ lambda ; a:f32[]. let\n", "jaxpr"),
    (b"graph(%self : Net,\n", "TorchScript graph as text"),
    (b"\x93NUMPY\x01", "NumPy"),
    (b"GGUF\x03", "GGUF"),
    (b'\x10\x00\x00\x00\x00\x00\x00\x00{"x":', "safetensors"),
    (b"\x1f\x8b\x08\x00", "unpack it first"),
    (b"digraph G {\n", "Graphviz"),
    (zipped("readme.txt"), "a zip archive of readme.txt"),
    (zipped("a.npy"), "NumPy arrays"),
    (b"PK\x03\x04 and no more", "cut short or damaged"),
    (b" \n", "blank text"),
    (b"\xff\xfe\x00", "the first ff fe 00"),
    (b"module for tea", "'module for tea'"),
]


@pytest.mark.parametrize(("data", "looks"), CASES, ids=[f"{i} {looks}" for i, (_, looks) in enumerate(CASES)])
def test_what_is_not_read_is_named(tmp_path: Path, data: bytes, looks: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(UnknownFormat) as info:
        graphlab.load(path)
    assert looks in info.value.found
    assert "not a format graphlab reads" in info.value.found


def test_an_empty_file_and_a_directory_are_told_as_they_are(tmp_path: Path) -> None:
    assert describe(File.open(tmp_path)) == "an empty directory"
    (tmp_path / "x").touch()
    assert describe(File.open(tmp_path)) == "a directory of x"
    assert describe(File.open(tmp_path / "x")) == "an empty file"
