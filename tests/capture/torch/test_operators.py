"""Facts about operators kept as text are those torch itself states."""

from __future__ import annotations

import pytest

from graphlab.capture.torch.operators import operator

pytestmark = pytest.mark.torch


def test_every_registered_operator_is_told_alike_with_torch_and_without() -> None:
    torch = pytest.importorskip("torch")
    from graphlab.capture.torch import ops

    differ = []
    for name in torch._C._dispatch_get_all_op_names():
        namespace, _, rest = name.partition("::")
        if namespace not in ("aten", "prims", "prim", "_c10d_functional", "c10d", "quantized", "mkldnn", "inductor"):
            continue
        packet, _, overload = rest.partition(".")
        try:
            of = getattr(getattr(getattr(torch.ops, namespace), packet), overload or "default")
        except AttributeError:  # one that TorchScript alone can call
            continue
        live, told = ops.target(of), operator(str(of))
        same = (set(live.effects), live.canonical, live.condition) == (set(told.effects), told.canonical, told.condition)
        if not same or told.arguments not in (None, live.arguments):
            differ.append(name)
    assert differ == []


def test_an_effect_that_an_argument_decides_is_told_by_its_default() -> None:
    attention = operator("aten.scaled_dot_product_attention.default")

    def absent(name: str) -> object:
        return attention.defaults[name]

    assert attention.effects_here(absent) == ()
    assert attention.effects_here(lambda name: 0.5) == ("random",)


def test_an_operator_of_a_dialect_nobody_knows_may_do_anything() -> None:
    assert operator("my_ops.scale.default").effects == ("opaque",)
    assert operator("my_ops.scale_.default").effects == ("opaque", "writes_state")
