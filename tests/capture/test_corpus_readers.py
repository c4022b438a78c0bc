"""Which reader takes which of the corpus's files, and the readers' contract on some of each family."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import graphlab
from graphlab import registry
from graphlab.capture.file import File
from graphlab.errors import FormatError, GraphlabError, UnknownFormat
from graphlab.testing import CHECKS

pytestmark = pytest.mark.corpus

# family -> the readers that its files belong to
READERS: Mapping[str, set[str]] = {
    "hlo_text": {"hlo_text"},
    "hlo_proto": {"hlo_proto"},
    "stablehlo_mlir": {"mlir_text"},
    "stablehlo_bytecode": {"mlir_bytecode"},
    "tf_graphdef": {"tf_graph"},
    "tf_savedmodel": {"tf_saved_model"},
    "keras": {"keras"},
    "tflite": {"tflite"},
    "tfjs": {"tfjs_graph", "keras"},
    "torchscript": {"torchscript"},
    "torch_mar": {"torchserve"},
    "torch_trace_log": {"torch_trace_log"},
    "onnx": {"onnx"},
    "tff": {"tff"},
}

# What a file is where it is not what its family's name says; found by looking into it.
ELSEWHERE: Mapping[str, str | None] = {
    "dynamic_param.hlo": "hlo_proto",  # protobuf text of an HloProto
    "spmd_module_sharding.hlo": "hlo_proto",
    "import_bounded_dynamism_stablehlo.mlir": "hlo_text",  # input of a translator from HLO
    "tf_call_tf_function.01.cpu.mlir": None,  # a note in Python's comments before the module
    "tf_call_tf_function.02.cpu.mlir": None,
    "tf_call_tf_function.01.cpu.mlir.bc": None,  # base64 text
    "vhlo_to_version_invalid.mlir": None,  # comments alone
    "op_tuning_data.pb": None,  # a tuning record that holds modules among other things
}

# Listed as no model, and is one: a GraphDef as protobuf text, 480 nodes.
MODELS_AFTER_ALL = {"train_iris.pb"}

# What must be refused, and what the message has to name.
NEIGHBOURS: Mapping[str, tuple[str, ...]] = {
    "executorch_pte": ("ExecuTorch",),
    "coreml_extra": ("Core ML",),
    "xplane": ("profile", "XSpace", "xplane"),
    "dot_reference": ("Graphviz",),
}


@dataclass(frozen=True, slots=True)
class Row:
    file: Path
    family: str


@pytest.fixture(scope="module")
def rows(corpus: Path) -> list[Row]:
    with (corpus / "MANIFEST.tsv").open() as manifest:
        return [Row(corpus / row["file"], row["family"]) for row in csv.DictReader(manifest, delimiter="\t")]


def takers(path: Path) -> set[str]:
    file = File.open(path)
    return {name for name in registry.table("capture") if registry.get("capture", name).matches(file)}


def test_every_file_is_taken_by_its_own_reader_alone(rows: list[Row]) -> None:
    wrong = []
    for row in rows:
        if row.family not in READERS or _is_no_model(row.file):
            continue
        expected = READERS[row.family] if row.file.name not in ELSEWHERE else {ELSEWHERE[row.file.name]} - {None}
        found = takers(row.file)
        if not ((len(found) == 1 and found <= expected) or (not found and not expected)):
            wrong.append((row.file.name, found))
    assert not wrong


def test_formats_that_are_not_read_are_refused_by_name(rows: list[Row]) -> None:
    for row in rows:
        if row.family in NEIGHBOURS:
            with pytest.raises(UnknownFormat) as info:
                graphlab.load(row.file)
            if row.file.name not in ("weight.bin", "Manifest.json"):  # a Core ML package's other files, without a mark of it
                assert any(word in info.value.found for word in NEIGHBOURS[row.family]), (row.file, info.value.found)
            assert "not a format graphlab reads" in info.value.found


def test_what_must_be_refused_is_refused_with_one_clear_error(rows: list[Row]) -> None:
    read = []
    for row in rows:
        if row.family != "negative":
            continue
        try:
            graphlab.load(row.file)
        except FormatError as error:
            assert str(row.file) in str(error)  # noqa: PT017
        else:
            read.append(row.file.name)
    assert set(read) == MODELS_AFTER_ALL


def samples() -> list[Any]:
    """Of each family the smallest file that reads, and the one in the middle, with each check of the contract."""
    folder = os.environ.get("GRAPHLAB_CORPUS")
    if not folder:
        return [pytest.param(None, None, id="no-corpus")]
    files: dict[str, list[Path]] = defaultdict(list)
    with (Path(folder) / "MANIFEST.tsv").open() as manifest:
        for row in csv.DictReader(manifest, delimiter="\t"):
            path = Path(folder) / row["file"]
            if row["family"] in READERS and not _is_no_model(path):
                files[row["family"]].append(path.parent if row["family"] == "tf_savedmodel" else path)
    chosen = []
    for family, paths in sorted(files.items()):
        paths.sort(key=lambda path: (path.stat().st_size, path))
        for start, take in ((0, "first"), (len(paths) // 2, "middle")):
            sample = next((p for p in paths[start:] if _reads(p)), None)
            if sample is not None:
                chosen += [pytest.param(check, sample, id=f"{family}-{take}-{check.__name__.removeprefix('check_')}") for check in CHECKS]
    return chosen


def _reads(path: Path) -> bool:
    try:
        graphlab.load(path)
    except GraphlabError:
        return False
    return True


def _is_no_model(path: Path) -> bool:
    """Members of a directory that are not its model: weights, assets, notes on how to make it."""
    if "tf_savedmodel" in path.parts:
        return path.name not in ("saved_model.pb", "saved_model.pbtxt")
    return "tfjs" in path.parts and path.name != "model.json"


@pytest.mark.parametrize(("check", "path"), samples())
def test_the_readers_contract(corpus: Path, check: Callable[[Path], None], path: Path) -> None:
    check(path)
