"""What is known of a call target."""

from __future__ import annotations

import operator
from typing import Any

import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

import torch  # noqa: E402

from graphlab.capture.torch import ops, private  # noqa: E402


@pytest.mark.parametrize(
    ("of", "name"),
    [
        (torch.ops.aten.add.Tensor, "aten.add.Tensor"),
        (torch.ops.aten.add, "aten.add"),
        (torch.ops.higher_order.cond, "higher_order.cond"),
        (operator.getitem, "operator.getitem"),
        (torch.relu, "torch.relu"),
        (torch.nn.functional.relu, "torch.nn.functional.relu"),
        (torch.nn.functional.linear, "torch.nn.functional.linear"),
        (torch.split, "torch.split"),
        ("view", "method.view"),
        (getattr, "builtins.getattr"),
    ],
)
def test_names_are_those_users_write(of: Any, name: str) -> None:
    assert ops.name(of) == name


@pytest.mark.parametrize(
    ("of", "effects"),
    [
        (torch.ops.aten.add.Tensor, ()),
        (torch.ops.aten.add_.Tensor, ("writes_state",)),
        (torch.ops.aten.rand.default, ("random",)),
        (torch.ops.aten.item.default, ("host",)),
        (torch.ops.aten._assert_async.msg, ("io",)),
        ("relu_", ("writes_state",)),
        ("__getitem__", ()),
        (getattr, ()),
        (print, ("opaque",)),
    ],
)
def test_effects_come_from_torch_itself(of: Any, effects: tuple[str, ...]) -> None:
    assert ops.target(of).effects == effects


def test_every_aten_op_that_torch_calls_random_is_random() -> None:
    for name in ("bernoulli", "multinomial", "normal", "poisson", "randn", "randint", "randperm", "uniform_", "dropout", "rrelu"):
        packet = getattr(torch.ops.aten, name)
        for overload in packet.overloads():
            of = getattr(packet, overload)
            if torch.Tag.nondeterministic_seeded in of.tags:
                assert "random" in ops.target(of).effects


def test_the_private_parts_of_torch_are_where_they_were_in_2_13() -> None:
    add = torch.ops.aten.add.Tensor
    assert private.argument_names(add) == ("self", "other", "alpha")
    assert private.defaults(add) == {"alpha": 1}
    assert not private.is_mutable(add)
    schema = private.Schema("aten::add_.Tensor(Tensor(a!) self, Tensor other, *, Scalar alpha=1) -> Tensor(a!)")
    assert (schema.overload, schema.arguments, schema.mutable) == ("Tensor", ("self", "other", "alpha"), True)
    assert private.script_function("__torch__.there.is.no.such") is None
