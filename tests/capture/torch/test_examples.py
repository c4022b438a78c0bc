"""Example tensors and dynamic dims for types."""

from __future__ import annotations

from typing import Any

import pytest

from graphlab.capture.inputs import Inputs, as_inputs
from graphlab.errors import GraphlabError
from graphlab.ir.values import TensorType, parse_type

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

import torch  # noqa: E402

from graphlab.capture.torch import examples  # noqa: E402


@pytest.mark.parametrize("text", ["f32[2,3]", "bf16[4]", "f64[]", "i64[5]", "i32[2]", "u8[3]", "bool[2]", "c64[2]"])
def test_an_example_has_the_type_asked_for(text: str) -> None:
    type = parse_type(text)[1]
    made = examples.example(type, torch.Generator())
    assert str(made.dtype) == f"torch.{type.dtype}"
    assert tuple(made.shape) == type.dims


def test_examples_are_the_same_each_time() -> None:
    given = as_inputs(("f32[4]", "f32[4]"))
    assert given is not None
    first, again = examples.make(given), examples.make(given)
    assert torch.equal(first.args[0], again.args[0])
    assert not torch.equal(first.args[0], first.args[1])


def test_whole_numbers_are_valid_indices_of_the_smallest_table() -> None:
    made = examples.example(TensorType("int64", (100,)), torch.Generator())
    assert set(made.tolist()) <= {0, 1}


def test_values_given_stay_as_they_are() -> None:
    value = torch.ones(2)
    made = examples.make(Inputs((value, [TensorType("float32", (1,))]), {"flag": True}))
    assert made.args[0] is value
    assert isinstance(made.args[1][0], torch.Tensor)
    assert made.kwargs == {"flag": True}


def test_equal_names_are_one_dim() -> None:
    given = as_inputs(("f32[batch,8]", "i64[3,batch]", "f32[2]"))
    assert given is not None
    shapes: Any = examples.dynamic_shapes(given)
    assert shapes[0][0][0] is shapes[0][1][1]
    assert shapes[0][2] is None
    assert examples.dynamic_shapes(Inputs((torch.ones(2),))) is None


def test_an_element_type_torch_has_not_is_refused() -> None:
    with pytest.raises(GraphlabError, match="torch has no element type"):
        examples.example(TensorType("float6_e2m3fn", (1,)), torch.Generator())


def test_a_formula_for_a_dim_is_refused() -> None:
    given = as_inputs("f32[2*b]")
    assert given is not None
    with pytest.raises(GraphlabError, match="it is a formula"):
        examples.dynamic_shapes(given)
