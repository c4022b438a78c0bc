"""Real models: layers as the manifest counts them, weights as h5py sees them, negatives refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from graphlab.analyzers import fidelity
from graphlab.capture.dispatch import load
from graphlab.errors import FormatError
from graphlab.ir.program import Program

pytestmark = pytest.mark.corpus

# The manifest counts nodes of GraphDefs; these are layers models, which have none.
LAYERS_MODELS = {
    "tfjs/tensorflow+tfjs-examples/abalone-node/trainedModel/model.json": 3,
    "tfjs/tensorflow+tfjs/e2e/integration_tests/load_predict_data/layers_model/model.json": 2,
}


@pytest.fixture(scope="module")
def rows(corpus: Path) -> list[dict[str, str]]:
    with (corpus / "MANIFEST.tsv").open(encoding="utf-8") as manifest:
        return list(csv.DictReader(manifest, delimiter="\t"))


@pytest.fixture(scope="module")
def programs(corpus: Path, rows: list[dict[str, str]]) -> dict[str, Program]:
    return {row["file"]: load(corpus / row["file"]) for row in rows if row["family"] == "keras"}


def test_layers_are_as_many_as_the_manifest_counts(rows: list[dict[str, str]], programs: dict[str, Program]) -> None:
    counted = {row["file"]: int(row["count"]) for row in rows if row["family"] == "keras"}
    assert len(counted) == 93
    assert {name: program.count() for name, program in programs.items()} == counted


def test_every_weight_of_every_file_is_there(corpus: Path, programs: dict[str, Program]) -> None:
    h5py = pytest.importorskip("h5py")
    compared = 0
    for name, program in programs.items():
        if not name.endswith(("h5", "hdf5")):
            continue
        theirs: list[Any] = []
        with h5py.File(corpus / name) as file:
            file["model_weights"].visititems(
                lambda _, held, found=theirs: found.append(held.shape) if isinstance(held, h5py.Dataset) else None
            )
        types: list[Any] = [node.outputs[0] for _, node in program.each_node() if node.kind == "parameter"]
        ours = [type.dims for type in types]
        assert sorted(ours) == sorted(theirs), name
        loose = [node.id for _, node in program.each_node() if node.kind == "parameter" and not node.users]
        assert loose == [], name
        compared += len(ours)
    assert compared > 400


def test_shapes_fit_the_weights_that_use_them(programs: dict[str, Program]) -> None:
    """A Dense layer's input ends in what its kernel begins with: shapes that were worked out agree with weights that were stored."""
    checked = 0
    for name, program in programs.items():
        for _, node in program.each_node():
            if node.op == "keras.Dense" and len(node.operands) > 1:
                given, kernel = (node.graph.node(use.src).outputs[use.src_port] for use in node.operands[:2])
                if getattr(given, "dims", None):
                    assert given.dims[-1] in (None, kernel.dims[0]), (name, node.id)  # type: ignore[union-attr,index]
                    checked += 1
    assert checked > 40


def test_layers_models_of_tensorflow_js_are_read(corpus: Path) -> None:
    for name, layers in LAYERS_MODELS.items():
        program = load(corpus / name)
        assert (program.count(), program.source.format) == (layers, "tfjs layers model"), name


def test_lambdas_are_reported(programs: dict[str, Program]) -> None:
    (name,) = [name for name in programs if name.endswith("sequential_lambda.h5")]
    program = programs[name]
    assert [note["kind"] for note in program.source.notes] == ["python-code", "python-code"]
    assert [finding.code for finding in fidelity.analyze(program).findings] == ["GL108", "GL108"]
    assert program.main.node("lambda_1").effects == ("opaque",)
    assert "marshal" not in json.dumps(repr(program.main.nodes(data=True)))


def test_weights_without_a_model_are_refused_and_say_so(corpus: Path, rows: list[dict[str, str]]) -> None:
    negatives = [row["file"] for row in rows if row["family"] == "negative" and row["file"].endswith(".h5")]
    assert len(negatives) == 6
    for name in negatives:
        with pytest.raises(FormatError, match="weights of Keras layers without their model"):
            load(corpus / name)
