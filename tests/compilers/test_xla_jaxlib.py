"""jaxlib's unpublished calls, one by one, against the version they were seen in; counts by hand."""

from __future__ import annotations

import pytest

from graphlab.compilers import xla_jaxlib
from graphlab.errors import CompileError

pytestmark = pytest.mark.jax
pytest.importorskip("jaxlib")

LOOP = """HloModule loop

%twice (p: f32[]) -> f32[] {
  %p = f32[] parameter(0)
  ROOT %d = f32[] add(%p, %p)
}

%body (s: (s32[], f32[4])) -> (s32[], f32[4]) {
  %s = (s32[], f32[4]{0}) parameter(0)
  %i = s32[] get-tuple-element(%s), index=0
  %one = s32[] constant(1)
  %next = s32[] add(%i, %one)
  %x = f32[4]{0} get-tuple-element(%s), index=1
  %y = f32[4]{0} map(%x), dimensions={0}, to_apply=%twice
  ROOT %t = (s32[], f32[4]{0}) tuple(%next, %y)
}

%cond (s: (s32[], f32[4])) -> pred[] {
  %s = (s32[], f32[4]{0}) parameter(0)
  %i = s32[] get-tuple-element(%s), index=0
  %n = s32[] constant(10)
  ROOT %less = pred[] compare(%i, %n), direction=LT
}

ENTRY %main (x: f32[4]) -> f32[4] {
  %x = f32[4]{0} parameter(0)
  %zero = s32[] constant(0)
  %init = (s32[], f32[4]{0}) tuple(%zero, %x)
  %loop = (s32[], f32[4]{0}) while(%init), condition=%cond, body=%body
  ROOT %out = f32[4]{0} get-tuple-element(%loop), index=1
}
"""


def test_this_jaxlib_has_every_call() -> None:
    assert len(xla_jaxlib.require()) == len(xla_jaxlib.NEEDED)
    assert xla_jaxlib.version().startswith("jaxlib 0.")


def test_a_call_that_is_gone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xla_jaxlib, "NEEDED", {"jaxlib._jax": ("mlir.compile_by_magic",)})
    with pytest.raises(CompileError, match="compile_by_magic") as info:
        xla_jaxlib.require()
    assert info.value.reason == "failed"
    assert xla_jaxlib.VERSION_SEEN in info.value.do


def test_instructions_are_counted_in_all_computations() -> None:
    counts = xla_jaxlib.count(xla_jaxlib.hlo_from_text(LOOP))
    assert counts["instructions"] == {
        "parameter": 4, "add": 2, "get-tuple-element": 4, "constant": 3, "map": 1, "tuple": 2, "compare": 1, "while": 1,
    }  # fmt: skip


def test_what_runs_is_counted_without_the_functions_of_a_map() -> None:
    executed = xla_jaxlib.count(xla_jaxlib.hlo_from_text(LOOP))["executed"]
    assert executed["add"] == 1
    assert executed["map"] == 1
    assert executed["parameter"] == 3


def test_stablehlo_goes_to_hlo_and_back() -> None:
    text = "func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> { %0 = stablehlo.tanh %x : tensor<4xf32>\n return %0 : tensor<4xf32> }"
    module = xla_jaxlib.hlo_from_stablehlo(text)
    assert xla_jaxlib.count(module)["instructions"]["tanh"] == 1
    again = xla_jaxlib.hlo_from_stablehlo(xla_jaxlib.stablehlo_from_hlo(module))
    assert xla_jaxlib.count(again) == xla_jaxlib.count(module)


def test_a_proto_and_its_text_give_the_same_module() -> None:
    module = xla_jaxlib.hlo_from_text(LOOP)
    assert xla_jaxlib.count(xla_jaxlib.hlo_from_proto(module.as_serialized_hlo_module_proto())) == xla_jaxlib.count(module)


@pytest.mark.parametrize("text", ["HloModule junk {", "HloModule m\nENTRY e { ROOT a = f32[2] add(b, c) }"])
def test_what_the_parser_raises_counts_as_a_refusal(text: str) -> None:
    with pytest.raises(xla_jaxlib.refusals()):
        xla_jaxlib.hlo_from_text(text)
