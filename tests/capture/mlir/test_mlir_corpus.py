"""The corpus of MLIR files that this project did not write: each reads, verifies, and has as many operations as were counted."""

from __future__ import annotations

import csv
import json
import os
import re
from pathlib import Path

import pytest

from graphlab.capture.dispatch import adapter_for
from graphlab.capture.file import File
from graphlab.capture.mlir import mlir_bytecode, mlir_text
from graphlab.capture.mlir.module import Module, walk
from graphlab.ir.verify import verify

pytestmark = pytest.mark.corpus

ROOT = Path(os.environ.get("GRAPHLAB_CORPUS", ""))

# What is in the folder and no MLIR.
NOT_MLIR = {
    "hlo_to_mhlo/tests/import_bounded_dynamism_stablehlo.mlir": "HLO text",
    "jax-ml+jax/tf_call_tf_function.01.cpu.mlir": "a line that is no MLIR stands before the module, a TensorFlow graph after it",
    "jax-ml+jax/tf_call_tf_function.01.cpu.mlir.bc": "base64 text of a TensorFlow graph",
    "vhlo/vhlo_to_version_invalid.mlir": "comments only: a test of command line options",
}
# The manifest's count is of all operations but each file's or part's outermost module, by jaxlib 0.10.2's parser. Where that
# refused a part it is by regular expression, which passes over `return` and others; then a count of lines that start as
# operations do is compared. Ours where both are wrong, by file:
OURS = {
    "jax-ml+jax/annotate_data_placement.10.tpu.mlir.bc": 9,  # jaxlib's parse of the file has 9, of what it is turned into 7
    "jax-ml+jax/rocm_threefry2x32.01.rocm.mlir.bc": 49,  # the same
    "jax-ml+jax/tpu_Sharding.02.tpu.mlir.bc": 10,  # the same
    "while_checkpointing_unsigned_integer.mlir": 100,  # `enzyme.batch @"..."` is no line that the pattern takes
    "dominance_concat_axis_swap.mlir": 333,  # a line with a transform op's own syntax
    "mhlo/hlo-legalize-to-stablehlo.mlir": 710,  # an operation that goes over two lines
    "mhlo/invalid.mlir": 46,  # 15 parts whose syntax is broken on purpose are left out
    "mhlo/ops.mlir": 2157,  # 4 such parts
    "mhlo/stablehlo-legalize-to-hlo.mlir": 706,  # attributes on lines of their own look like operations
    "mhlo/verifier_reduce_op.mlir": 162,  # `applies` stands for a region of two operations
    "test/verify_unreduced_axes.mlir": 132,  # the same
    "tests/verify_reduce.mlir": 155,  # the same
    "tests/ops_dot_general_algorithms.mlir": 45,  # operations that go over several lines
    "tests/print_stablehlo.mlir": 150,  # operations that go over several lines
}
_LINE = re.compile(
    r'^\s*(?:%[^=\n]*=\s*)?(?:"[A-Za-z_][\w.-]*"\s*\(|(?:[a-z_]\w*\.[a-z_][\w.-]*(?![\w.]*[>\]:=])|return|call)(?=[\s(@<]|$))', re.MULTILINE
)


def rows(family: str) -> list[dict[str, str]]:
    """The manifest's rows of a family, less those that are no MLIR."""
    if not os.environ.get("GRAPHLAB_CORPUS"):
        pytest.skip("GRAPHLAB_CORPUS does not name the corpus")
    with (ROOT / "MANIFEST.tsv").open() as manifest:
        found = [row for row in csv.DictReader(manifest, delimiter="\t") if row["family"] == family]
    return [row for row in found if not row["file"].endswith(tuple(NOT_MLIR))]


def modules(file: File) -> list[Module]:
    """What a file holds, before anything is made of it."""
    if mlir_bytecode.matches(file):
        return [mlir_bytecode.module_of(file.view(), file.name, file.slice)[0]]
    return [part.module for part in mlir_text._parts(file.read().decode("latin-1"), file.name, None)[0]]


def expected(row: dict[str, str], file: File) -> int:
    """How many operations the file has, by a count that is not ours where there is one."""
    for name, count in OURS.items():
        if row["file"].endswith(name):
            return count
    notes = json.loads(row["notes"][row["notes"].index("{") :]) if "{" in row["notes"] else {}
    if row["family"] == "stablehlo_mlir" and notes.get("parsed") != notes.get("parts"):
        return len(_LINE.findall(re.sub(r"//[^\n]*", "", file.read().decode("latin-1"))))
    if not row["count"]:  # too new for jaxlib: as many as in the text that it was made of
        twin = ROOT / "stablehlo_mlir/openxla+stablehlo/tests/vhlo" / file.path.name.removesuffix(".bc")
        return sum(1 for module in modules(File.open(twin)) for _ in walk(module.body))
    return int(row["count"])


@pytest.mark.parametrize("family", ["stablehlo_mlir", "stablehlo_bytecode"])
def test_every_file_reads_verifies_and_has_the_operations_counted(family: str) -> None:
    wrong: list[str] = []
    for row in rows(family):
        file = File.open(ROOT / row["file"])
        reader = adapter_for(file)
        if reader not in (mlir_text, mlir_bytecode):
            wrong.append(f"{row['file']}: taken by {reader}")
            continue
        found = modules(file)
        counted = sum(1 for module in found for _ in walk(module.body))
        if counted != expected(row, file):
            wrong.append(f"{row['file']}: {counted} operations, {expected(row, file)} expected")
        program = reader.read(file)
        findings = verify(program)
        if findings:
            wrong.append(f"{row['file']}: {findings[0].message}")
    assert wrong == []


def test_the_artifacts_of_every_version_are_as_their_text() -> None:
    folder = ROOT / "stablehlo_bytecode/openxla+stablehlo/vhlo"
    compared = 0
    for row in rows("stablehlo_bytecode"):
        path = ROOT / row["file"]
        if path.parent != folder or "legalize" not in path.name:
            continue
        twin = ROOT / "stablehlo_mlir/openxla+stablehlo/tests/vhlo" / path.name.removesuffix(".bc")
        told, own = (reader.read(File.open(at)) for reader, at in ((mlir_text, twin), (mlir_bytecode, path)))
        assert set(told.graphs) == set(own.graphs), path.name
        for name, graph in told.graphs.items():
            for id, data in graph.nodes(data=True):
                other = own.graphs[name].nodes[id]
                for key in ("op", "outputs", "effects", "canonical", "calls", "control"):
                    assert data.get(key) == other.get(key), (path.name, name, id, key)
                # VHLO does not keep the type of a collective's channel.
                attrs, others = ({k: v for k, v in d.get("attrs", {}).items() if k != "channel_handle"} for d in (data, other))
                assert attrs == others, (path.name, name, id)
            assert list(graph.edges(keys=True)) == list(own.graphs[name].edges(keys=True)), name
        compared += 1
    assert compared == 23


def test_what_is_no_mlir_is_not_taken() -> None:
    if not os.environ.get("GRAPHLAB_CORPUS"):
        pytest.skip("GRAPHLAB_CORPUS does not name the corpus")
    for name in NOT_MLIR:
        [path] = [p for p in ROOT.glob("stablehlo_*/**/*") if str(p).endswith(name)]
        assert not mlir_text.matches(File.open(path))
        assert not mlir_bytecode.matches(File.open(path))
