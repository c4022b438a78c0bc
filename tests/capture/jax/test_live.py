"""What is captured, with which inputs, and how it fails."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.jax
jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402

from graphlab.capture import jax as adapter  # noqa: E402
from graphlab.capture.dispatch import capture_live  # noqa: E402
from graphlab.capture.xla.mlir import parse_module  # noqa: E402
from graphlab.errors import CaptureError, CompileError, InputsNeeded  # noqa: E402
from graphlab.ir.format import dumps, loads  # noqa: E402
from graphlab.ir.frames import Frame  # noqa: E402
from graphlab.ir.program import Program  # noqa: E402


@jax.jit
def affine(x: Any, scale: Any = 2.0) -> Any:
    return x * scale + 1


def test_the_adapter_imports_no_jax() -> None:
    code = "import sys; from graphlab.capture.jax import matches; assert not matches(len); assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_stages_and_jaxprs_are_taken_as_they_are() -> None:
    traced = affine.trace(jnp.ones(3))
    lowered = traced.lower()
    formats = {
        "jaxpr": [affine, traced, traced.jaxpr],
        "stablehlo": [lowered, jax.export.export(affine)(jnp.ones(3))],
        "hlo text": [lowered.compile()],
    }
    for wanted, targets in formats.items():
        for target in targets:
            given = jnp.ones(3) if target is affine else None
            assert capture_live(target, given).source.format == wanted


def test_plain_functions_are_not_taken() -> None:
    assert not adapter.matches(lambda x: x)


@pytest.mark.parametrize("method", ["jaxpr", "stablehlo", "hlo"])
def test_every_method_lowers_to_the_same_stablehlo(method: str) -> None:
    program = capture_live(affine, "f32[3]", method=method)
    text = adapter.stablehlo_of(program)
    assert "stablehlo.multiply" in text
    assert f'"{__file__}"' in text
    parse_module(text)


def test_stablehlo_of_a_symbolic_program_is_exported() -> None:
    text = adapter.stablehlo_of(capture_live(affine, "f32[n]", method="jaxpr"))
    assert "tensor<?xf32>" in text


def test_a_program_from_a_file_has_no_stablehlo() -> None:
    program: Program = loads(dumps(capture_live(affine, "f32[3]")))
    with pytest.raises(CompileError, match="no live JAX function"):
        adapter.stablehlo_of(program)


def test_hlo_has_the_entry_and_lines_of_xla() -> None:
    program = capture_live(affine, "f32[3]", method="hlo")
    assert program.op_counts()["hlo.multiply"] == 1
    [node] = [node for _, node in program.each_node() if node.op == "hlo.multiply"]
    frame = program.frame(node)
    assert frame is not None
    assert frame.file == __file__


def test_hlo_of_symbolic_sizes_is_refused() -> None:
    with pytest.raises(CaptureError, match="HLO has no symbolic sizes, and the inputs have n"):
        capture_live(affine, "f32[n]", method="hlo")


def test_types_as_text_allocate_nothing() -> None:
    program = capture_live(affine, {"x": "f32[100000,100000,100]"})
    assert str(program.signatures["affine"].inputs[0].type) == "f32[100000,100000,100]"


def test_missing_inputs_are_named() -> None:
    with pytest.raises(InputsNeeded, match=r"it takes \(x, scale=2.0\): no inputs are given(.|\n)*--input 'x=f32\[2,8\]'"):
        capture_live(affine)


def test_inputs_that_do_not_fit_are_said() -> None:
    with pytest.raises(InputsNeeded, match="too many positional arguments"):
        capture_live(affine, ("f32[3]", "f32[3]", "f32[3]"))


def test_unknown_dims_are_refused() -> None:
    with pytest.raises(CaptureError, match="unknown dim"):
        capture_live(affine, "f32[?,3]", method="jaxpr")


def branching(x: Any) -> Any:
    if x.sum() > 0:  # the line the error names
        return x
    return -x


def masking(x: Any) -> Any:
    return x[x > 0]


def converting(x: Any) -> Any:
    return range(x[0])


def failing(x: Any) -> Any:
    raise RuntimeError("the data is not here. Second sentence.")


@pytest.mark.parametrize(
    ("function", "type", "reason", "offset"),
    [
        (branching, "f32[3]", "Python asks for the truth of a traced value", 1),
        (masking, "f32[3]", "a boolean mask makes an array whose size depends on the data", 1),
        (converting, "i32[3]", "Python asks for a traced value as an integer", 1),
        (failing, "f32[3]", r"RuntimeError: the data is not here\.$", 1),
    ],
)
def test_what_cannot_be_traced_is_said_with_its_line(function: Any, type: str, reason: str, offset: int) -> None:
    with pytest.raises(CaptureError) as caught:
        capture_live(jax.jit(function), type, method="jaxpr")
    line = function.__code__.co_firstlineno + offset
    assert caught.value.frame == Frame(__file__, line, 0, function.__name__)
    assert caught.value.__cause__ is not None
    assert pytest.importorskip("re").search(reason, caught.value.found)


def test_modules_of_flax_and_haiku_are_told_to_be_wrapped() -> None:
    linen = pytest.importorskip("flax.linen")
    nnx = pytest.importorskip("flax.nnx")
    hk = pytest.importorskip("haiku")
    for model, do in (
        (linen.Dense(3), "model.apply"),
        (nnx.Linear(3, 4, rngs=nnx.Rngs(0)), "nnx.jit"),
        (hk.transform(lambda x: x), "model.apply"),
    ):
        assert adapter.matches(model)
        with pytest.raises(CaptureError, match=do):
            capture_live(model)


def test_a_jitted_nnx_function_is_captured_with_its_module() -> None:
    nnx = pytest.importorskip("flax.nnx")
    model = nnx.Linear(3, 4, rngs=nnx.Rngs(0))
    program = capture_live(nnx.jit(lambda m, x: m(x)), (model, jnp.ones((2, 3))))
    assert "jax.dot_general" in program.op_counts()
    assert {f.file for f in program.frames} == {__file__}
