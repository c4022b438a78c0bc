"""Real models against TensorFlow's flatbuffer classes."""

from __future__ import annotations

import csv
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from graphlab.capture.dispatch import load
from graphlab.errors import GraphlabError
from graphlab.ir.program import Program
from graphlab.ir.values import TensorType

pytestmark = [pytest.mark.corpus, pytest.mark.tensorflow]

# Files that are no model to anyone: TensorFlow's interpreter refuses them too.
REFUSED = {"tflite/testdata/0_subgraphs.bin": "it holds no subgraph"}


@pytest.fixture(scope="module")
def rows(corpus: Path) -> list[dict[str, str]]:
    with (corpus / "MANIFEST.tsv").open(encoding="utf-8") as manifest:
        return [row for row in csv.DictReader(manifest, delimiter="\t") if row["family"] == "tflite"]


@pytest.fixture(scope="module")
def programs(corpus: Path, rows: list[dict[str, str]]) -> dict[str, Program]:
    return {row["file"]: load(corpus / row["file"]) for row in rows if not row["file"].endswith(tuple(REFUSED))}


@pytest.fixture(scope="module")
def models(corpus: Path, fb: ModuleType, programs: dict[str, Program]) -> dict[str, Any]:
    return {name: fb.Model.GetRootAs((corpus / name).read_bytes(), 0) for name in programs}


def test_every_file_is_read_but_those_that_are_no_model(corpus: Path, rows: list[dict[str, str]], programs: dict[str, Program]) -> None:
    assert len(programs) == len(rows) - len(REFUSED)
    for ending, message in REFUSED.items():
        (name,) = [row["file"] for row in rows if row["file"].endswith(ending)]
        with pytest.raises(GraphlabError, match=message):
            load(corpus / name)


def test_operators_are_as_many_as_the_manifest_counts(rows: list[dict[str, str]], programs: dict[str, Program]) -> None:
    counted = {row["file"]: int(row["count"]) for row in rows if row["file"] in programs}
    assert {name: program.count() for name, program in programs.items()} == counted


def test_every_operator_has_the_name_operands_and_results_that_tensorflow_reads(
    fb: ModuleType, programs: dict[str, Program], models: dict[str, Any]
) -> None:
    builtins = {number: name for name, number in vars(fb.BuiltinOperator).items() if isinstance(number, int)}
    for name, program in programs.items():
        model = models[name]
        for i, graph in enumerate(program.graphs.values()):
            subgraph = model.Subgraphs(i)
            ops = [node for node in graph.each_node() if node.kind == "op"]
            assert len(ops) == subgraph.OperatorsLength(), name
            for j, node in enumerate(ops):
                operator = subgraph.Operators(j)
                code = model.OperatorCodes(operator.OpcodeIndex())
                number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
                custom = (code.CustomCode() or b"unnamed").decode()
                assert node.op == ("tflite.custom." + custom if builtins[number] == "CUSTOM" else "tflite." + builtins[number]), name
                inputs = [operator.Inputs(k) for k in range(operator.InputsLength())]
                assert len(node.operands) == sum(index >= 0 for index in inputs), name
                assert node.absent == tuple(slot for slot, index in enumerate(inputs) if index < 0), name
                for use in node.operands:
                    tensor = subgraph.Tensors(inputs[use.dst_port])
                    made = graph.node(use.src)
                    names = made.meta.get("results", (made.name,))
                    assert names[use.src_port] == (tensor.Name() or b"").decode() or not tensor.Name(), name
                assert len(node.outputs) == operator.OutputsLength(), name


def test_quantization_is_as_tensorflow_reads_it(programs: dict[str, Program], models: dict[str, Any]) -> None:
    compared = 0
    for name, program in programs.items():
        for i, graph in enumerate(program.graphs.values()):
            subgraph = models[name].Subgraphs(i)
            for position, id in enumerate(graph.inputs):
                tensor = subgraph.Tensors(subgraph.Inputs(position))
                quantized = tensor.Quantization()
                type = graph.node(id).outputs[0]
                scales = [] if quantized is None else [quantized.Scale(k) for k in range(quantized.ScaleLength())]
                if isinstance(type, TensorType):
                    assert list(type.quantization.scales if type.quantization else ()) == scales, name
                    compared += bool(scales)
    assert compared > 50


def test_constants_hold_the_bytes_of_their_buffers(programs: dict[str, Program], models: dict[str, Any]) -> None:
    compared = 0
    for name, program in programs.items():
        subgraph = models[name].Subgraphs(0)
        by_name = {subgraph.Tensors(i).Name(): subgraph.Tensors(i) for i in range(subgraph.TensorsLength())}
        for node in program.main.each_node():
            if node.kind == "constant" and node.value is not None and node.value.available and len(by_name) == subgraph.TensorsLength():
                tensor = by_name.get(node.name.encode())
                data = None if tensor is None else models[name].Buffers(tensor.Buffer()).DataAsNumpy()
                if isinstance(data, np.ndarray) and isinstance(node.value.type, TensorType) and node.value.type.dtype == "float32":
                    assert node.value.bytes() == data.tobytes(), name
                    compared += 1
    assert compared > 200


def test_a_broken_model_is_refused(corpus: Path) -> None:
    with pytest.raises(GraphlabError):
        load(corpus / "negative/google-ai-edge+LiteRT/tflite/testdata/test_model_broken.bin")


def test_the_inputs_and_outputs_of_basic_pitch_are_those_of_its_saved_model(corpus: Path, programs: dict[str, Program]) -> None:
    """As saved_model_cli shows them: one input f32[-1,43844,1]; contour, note and onset of 172 frames."""
    signature = programs["tflite/pypi_basic-pitch/nmp.tflite"].signatures["serving_default"]
    assert {slot.name: str(slot.type) for slot in signature.inputs} == {"input_2": "f32[?,43844,1]"}
    assert {slot.name: str(slot.type) for slot in signature.outputs} == {
        "contour": "f32[?,172,264]", "note": "f32[?,172,88]", "onset": "f32[?,172,88]",
    }  # fmt: skip
