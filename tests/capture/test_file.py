"""What a file that no reader takes looks like."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

import graphlab
from graphlab.capture.file import File
from graphlab.errors import UnknownFormat


def zipped(*names: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in names:
            archive.writestr(name, b"0")
    return data.getvalue()


CASES = [
    (b"module @jit_f attributes {mhlo.num_partitions = 1 : i32} {\n", "MLIR text"),
    (b"// made by hand\nmodule {\n", "MLIR text"),
    (b'#loc1 = loc("x")\nmodule @jit_f {\n', "MLIR text"),
    (b"func.func @main() {\n", "MLIR text"),
    (b"ML\xefR\x06", "MLIR bytecode"),
    (b'hlo_module {\n  name: "m"\n', "HloProto"),
    (b'name: "m"\nentry_computation_name: "main"\n', "HloModuleProto"),
    (b'node {\n  name: "x"\n', "GraphDef"),
    (b"{ lambda ; a:f32[]. let\n", "jaxpr"),
    (b"graph(%self : Net,\n", "TorchScript"),
    (b"\x08\x0a\x12\x07pytorch", "ONNX"),
    (b"\x08\x0a:\x10", "ONNX"),
    (b"\x08\x01\x12\x90", "SavedModel"),
    (b"\x1c\x00\x00\x00TFL3", "TensorFlow Lite"),
    (b"\x89HDF\r\n\x1a\n\x00", "HDF5"),
    (zipped("net/data.pkl", "net/version"), "PyTorch"),
    (zipped("net/archive_format"), "PyTorch"),
    (zipped("metadata.json", "config.json", "model.weights.h5"), "Keras"),
    (zipped("readme.txt"), "a zip archive: not read yet"),
    (b"\x80\x02\x8a", "pickle"),
]


@pytest.mark.parametrize(("head", "looks"), CASES, ids=[f"{i} {looks}" for i, (_, looks) in enumerate(CASES)])
def test_formats_not_read_yet_are_named(tmp_path: Path, head: bytes, looks: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(head)
    with pytest.raises(UnknownFormat) as info:
        graphlab.load(path)
    assert looks in info.value.found
    assert "not read yet" in info.value.found
    assert "HLO text and .graphlab files" in info.value.do


@pytest.mark.torch
def test_torchs_own_archives_are_named(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    net = torch.nn.Linear(2, 2)
    torch.save(net.state_dict(), tmp_path / "weights.pt")
    torch.jit.save(torch.jit.trace(net, torch.ones(1, 2)), tmp_path / "script.pt")
    torch.export.save(torch.export.export(net, (torch.ones(1, 2),)), tmp_path / "export.pt2")
    for path in tmp_path.iterdir():
        assert "PyTorch" in File.open(path).describe(), path.name


def test_a_saved_models_folder_is_named(tmp_path: Path) -> None:
    assert File.open(tmp_path).describe() == "a directory"
    (tmp_path / "saved_model.pb").touch()
    assert "SavedModel" in File.open(tmp_path).describe()


@pytest.mark.parametrize(
    ("data", "told"),
    [(b"", "an empty file"), (b" \n", "blank text"), (b"\xff\xfe\x00", "the first ff fe 00"), (b"module for tea", "'module for tea'")],
)
def test_anything_else_is_told_as_it_is(tmp_path: Path, data: bytes, told: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    assert told in File.open(path).describe()
