"""The vocabulary's names, against ONNX and torch themselves."""

from __future__ import annotations

import pytest

from graphlab.ir.ops import EFFECTS, lookup
from graphlab.ir.vocabulary import torch as vocabulary

pytestmark = pytest.mark.torch


def test_every_canonical_name_is_an_onnx_operator() -> None:
    onnx = pytest.importorskip("onnx")
    known = {schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == ""}
    assert set(vocabulary.CANONICAL.values()) <= known


def test_every_effect_is_one_of_the_irs() -> None:
    used = {effect for effects in vocabulary.EFFECTS.values() for effect in effects}
    used |= {effect for _, effect in vocabulary.EFFECT_IF.values()}
    assert used <= set(EFFECTS)


def test_modules_and_overloads_named_exist_in_torch() -> None:
    torch = pytest.importorskip("torch")
    for key in vocabulary.CANONICAL:
        parts = key.split(".")
        if parts[:3] == ["torch", "nn", "modules"]:
            assert hasattr(getattr(torch.nn.modules, parts[3]), parts[4]), key
        if parts[0] == "aten" and len(parts) == 3:
            assert parts[2] in getattr(torch.ops.aten, parts[1]).overloads(), key


def test_an_argument_that_switches_an_effect_is_in_the_schema() -> None:
    torch = pytest.importorskip("torch")
    for key, (argument, _) in vocabulary.EFFECT_IF.items():
        if key.startswith("aten."):
            packet = getattr(torch.ops.aten, key.removeprefix("aten."))
            for overload in packet.overloads():
                if overload != "out":
                    assert argument in [a.name for a in getattr(packet, overload)._schema.arguments], (key, overload)


@pytest.mark.parametrize("op", ["aten.addmm.default", "aten::addmm", "torch.addmm", "method.addmm"])
def test_one_operation_has_one_meaning_in_every_dialect(op: str) -> None:
    assert lookup(op).canonical == "Gemm"


def test_an_overload_may_mean_something_else() -> None:
    assert lookup("aten.max.other").canonical == "Max"
    assert lookup("aten.max.dim").canonical is None
