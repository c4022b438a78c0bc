"""One network in four formats: what each reader says of its inputs, outputs and weights is the same.

The ONNX and the TFLite file were converted from the SavedModel: normalizations are folded into kernels there, and
TensorFlow's variables are constants. Layouts of kernels differ, so weights are compared by their sorted elements.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphlab.analyzers import size
from graphlab.capture.dispatch import load
from graphlab.ir.constants import Constant
from graphlab.ir.program import Program
from graphlab.ir.values import TensorType

pytestmark = pytest.mark.corpus

FILES = {
    "savedmodel": "tf_savedmodel/pypi_basic-pitch/nmp",
    "tflite": "tflite/pypi_basic-pitch/nmp.tflite",
    "onnx": "onnx/pypi_basic-pitch/nmp.onnx",
    "tfjs": "tfjs/spotify+basic-pitch-ts/model/model.json",
}
KERNELS = [200, 297, 672, 1568, 6400, 7488]
"""Elements of the six convolutions' kernels: 5*5*8, 3*3*33, 7*3*32, 7*7*32, 5*5*8*32, 3*39*8*8."""


@pytest.fixture(scope="module")
def programs(corpus: Path) -> dict[str, Program]:
    return {name: load(corpus / path) for name, path in FILES.items()}


def _shape(type: Any) -> tuple[int | None, ...]:
    """Dims, those that vary without their names."""
    assert isinstance(type, TensorType)
    return tuple(dim if isinstance(dim, int) else None for dim in type.dims or ())


def _weights(program: Program) -> dict[tuple[str, str], Constant]:
    """Constants and parameters of more than a few numbers."""
    found = {}
    for ref, node in program.each_node():
        value = node.value
        if value is not None and isinstance(value.type, TensorType) and (value.type.elements or 0) >= 32 and value.type.dtype == "float32":
            found[ref.graph, node.name] = value
    return found


def test_they_agree_on_the_input(programs: dict[str, Program]) -> None:
    for name, program in programs.items():
        [input] = program.main.inputs
        [type] = program.main.node(input).outputs
        assert isinstance(type, TensorType), name
        assert (type.dtype, _shape(type)) == ("float32", (None, 43844, 1)), name


def test_they_agree_on_the_outputs(programs: dict[str, Program]) -> None:
    wanted = Counter([(None, 172, 88), (None, 172, 88), (None, 172, 264)])
    for name, program in programs.items():
        signature = next(s for s in program.signatures.values() if s.graph == program.entry)
        assert Counter(_shape(slot.type) for slot in signature.outputs) == wanted, name


def test_the_signatures_that_have_names_agree_on_them(programs: dict[str, Program]) -> None:
    for name in ("savedmodel", "tflite"):
        signature = next(s for s in programs[name].signatures.values() if s.graph == programs[name].entry)
        assert [slot.name for slot in signature.inputs if slot.role == "user"] == ["input_2"], name
        assert {slot.name for slot in signature.outputs} == {"contour", "note", "onset"}, name


def test_they_agree_on_the_kernels(programs: dict[str, Program]) -> None:
    for name, program in programs.items():
        sizes = Counter(constant.type.elements for constant in _weights(program).values() if isinstance(constant.type, TensorType))
        assert sizes.keys() >= set(KERNELS), name
        assert all(sizes[kernel] == 1 for kernel in KERNELS), name


def test_the_variables_are_the_kernels_their_biases_and_two_normalizations(programs: dict[str, Program]) -> None:
    result = size.analyze(programs["savedmodel"])
    biases, normalizations = 1 + 1 + 1 + 8 + 32 + 32, 2 * (1 + 32 + 8)
    assert result.parameter_elements == sum(KERNELS) + biases + normalizations
    assert result.buffer_elements == normalizations


def test_onnx_and_tflite_hold_the_same_weights(programs: dict[str, Program]) -> None:
    elements = {
        name: sorted(np.sort(constant.array().ravel()).round(6).tolist() for constant in _weights(programs[name]).values())
        for name in ("onnx", "tflite")
    }
    assert len(elements["onnx"]) == len(elements["tflite"]) > 10
    for one, other in zip(elements["onnx"], elements["tflite"], strict=True):
        assert np.allclose(one, other, atol=1e-5)


def test_kernels_that_no_normalization_touches_are_the_variables(programs: dict[str, Program]) -> None:
    def kernel(name: str, elements: int) -> Any:
        [found] = [c.array() for c in _weights(programs[name]).values() if isinstance(c.type, TensorType) and c.type.elements == elements]
        return np.sort(found.ravel())

    for elements in (200, 297, 672):
        for name in ("onnx", "tflite"):
            assert np.allclose(kernel(name, elements), kernel("savedmodel", elements), atol=1e-6), (name, elements)
