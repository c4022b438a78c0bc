"""TorchServe archives: the model by its own reader, the handler named and never run."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

import graphlab
from graphlab.capture import dispatch
from graphlab.capture.file import File
from graphlab.errors import FormatError, UnknownFormat
from graphlab.testing import check_reader

CODE = b"class M(Module):\n  def forward(self: __torch__.M,\n    x: Tensor) -> Tensor:\n    return torch.relu(x)\n"
EMPTY = b"\x80\x02)."
MODULE = b"\x80\x02c__torch__\nM\n)\x81}b."


def _archive(path: Path, members: dict[str, bytes], *, stored: bool = True) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def _script(path: Path) -> bytes:
    members = {"m/data.pkl": MODULE, "m/code/__torch__.py": CODE, "m/constants.pkl": EMPTY, "m/version": b"3\n"}
    return _archive(path, members).read_bytes()


def _manifest(**model: Any) -> bytes:
    told = {"runtime": "python", "archiverVersion": "0.9.0", "model": {"modelName": "m", "modelVersion": "1.0", **model}}
    return json.dumps(told).encode()


@pytest.mark.parametrize("stored", [True, False])
def test_the_model_is_read_by_the_reader_that_takes_it(tmp_path: Path, stored: bool) -> None:
    mark = tmp_path / "ran"
    members = {
        "MAR-INF/MANIFEST.json": _manifest(serializedFile="model.pt", handler="handler.py"),
        "model.pt": _script(tmp_path / "model.pt"),
        "handler.py": f"open({str(mark)!r}, 'w')".encode(),
    }
    program = graphlab.load(_archive(tmp_path / "m.mar", members, stored=stored))
    assert list(program.op_counts()) == ["aten::relu"]
    assert program.source.path == f"{tmp_path / 'm.mar'}!model.pt"
    assert {key: program.meta[key] for key in ("torchserve_model", "torchserve_handler", "torchserve_archiver")} == {
        "torchserve_model": "m",
        "torchserve_handler": "handler.py",
        "torchserve_archiver": "0.9.0",
    }
    assert not mark.exists()


def test_the_readers_contract_holds(tmp_path: Path) -> None:
    members = {
        "MAR-INF/MANIFEST.json": _manifest(serializedFile="model.pt", handler="handler.py"),
        "model.pt": _script(tmp_path / "model.pt"),
    }
    check_reader(_archive(tmp_path / "m.mar", members))


REFUSED = {
    "no model": ({"MAR-INF/MANIFEST.json": b"{}"}, "describes no model"),
    "a handler only": ({"MAR-INF/MANIFEST.json": _manifest(handler="h.py"), "h.py": b""}, "holds the code of the handler 'h.py'"),
    "an empty model": ({"MAR-INF/MANIFEST.json": _manifest(serializedFile="m.pt", handler="h"), "m.pt": b""}, "its model 'm.pt' is empty"),
    "no such model": ({"MAR-INF/MANIFEST.json": _manifest(serializedFile="m.pt")}, "names the model 'm.pt', which it does not hold"),
    "no JSON": ({"MAR-INF/MANIFEST.json": b"\xff{"}, "its manifest is no JSON"),
    "a list": ({"MAR-INF/MANIFEST.json": b"[]"}, "no JSON object"),
    "depth without end": ({"MAR-INF/MANIFEST.json": b"[" * 100_000}, "no JSON"),
    "no manifest": ({"MAR-INF/other": b""}, "without its manifest"),
    "names that are numbers": ({"MAR-INF/MANIFEST.json": _manifest(serializedFile=7, handler=[1])}, "handler-only"),
}  # fmt: skip


@pytest.mark.parametrize(("members", "found"), REFUSED.values(), ids=REFUSED.keys())
def test_an_archive_without_a_graph_says_why(tmp_path: Path, members: dict[str, bytes], found: str) -> None:
    path = _archive(tmp_path / "m.mar", members)
    with pytest.raises(FormatError) as caught:
        graphlab.load(path)
    assert found in caught.value.found
    assert str(path) in caught.value.asked


def test_archives_within_archives_end(tmp_path: Path) -> None:
    manifest = _manifest(serializedFile="m.mar", handler="h")
    inner = _archive(tmp_path / "inner.mar", {"MAR-INF/MANIFEST.json": manifest, "m.mar": b""}).read_bytes()
    outer = _archive(tmp_path / "outer.mar", {"MAR-INF/MANIFEST.json": manifest, "m.mar": inner})
    with pytest.raises(FormatError) as caught:
        graphlab.load(outer)
    assert "a TorchServe archive itself" in caught.value.found


def test_a_model_nobody_reads_is_named_within_its_archive(tmp_path: Path) -> None:
    members = {"MAR-INF/MANIFEST.json": _manifest(serializedFile="m.bin", handler="h"), "m.bin": b"what is this"}
    with pytest.raises(UnknownFormat) as caught:
        graphlab.load(_archive(tmp_path / "m.mar", members))
    assert "m.mar!m.bin" in caught.value.asked


# All of the corpus's are TorchServe's own tests of its handlers: their models are empty files. They hold no graph.
@pytest.mark.corpus
def test_the_corpus_archives_are_handlers_only_and_say_so(corpus: Path) -> None:
    paths = sorted((corpus / "torch_mar").rglob("*.mar"))
    assert len(paths) == 14
    for path in paths:
        assert dispatch.reader_of(File.open(path)).__name__ == "graphlab.capture.torch.mar"
        with pytest.raises(FormatError) as caught:
            graphlab.load(path)
        assert "handler" in caught.value.found
        assert path.name in caught.value.asked
