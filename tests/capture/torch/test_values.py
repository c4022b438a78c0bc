"""Tensors as types and constants, arguments as attribute values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphlab.ir.frozen import frozen
from graphlab.ir.values import OpaqueType, TensorType, TupleType

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

import torch  # noqa: E402

from graphlab.capture.torch.values import Types, constant, literal  # noqa: E402


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(6.0).reshape(2, 3).T,  # not contiguous
        torch.tensor(3),
        torch.tensor([True, False]),
        torch.tensor([1 + 2j]).conj(),
        torch.zeros(0, 4),
    ],
)
def test_a_constants_bytes_are_those_of_the_dense_array(tensor: Any) -> None:
    np.testing.assert_array_equal(constant(tensor).array(), tensor.resolve_conj().numpy())


def test_bfloat16_keeps_its_bits() -> None:
    held = constant(torch.tensor([1.5, -2.0], dtype=torch.bfloat16))
    assert held.type == TensorType("bfloat16", (2,))
    assert held.array().astype("float32").tolist() == [1.5, -2.0]


def test_a_tensor_without_data_says_why() -> None:
    held = constant(torch.empty(2, device="meta"))
    assert not held.available
    assert "meta device" in held.reason
    assert "not dense" in constant(torch.eye(2).to_sparse()).reason


def test_types_of_values() -> None:
    of = Types().of
    assert of((torch.ones(2), [1, None])) == TupleType((TensorType("float32", (2,)), TupleType((OpaqueType("int"), OpaqueType("None")))))
    assert of(torch.eye(2).to_sparse()) == TensorType("float32", (2, 2), layout="sparse_coo")


def test_arguments_are_kept_by_name() -> None:
    given = [torch.float16, torch.device("cpu"), torch.strided, torch.channels_last, slice(1, None, 2), ..., torch.Size([2])]
    assert literal(given) == ("float16", "cpu", "strided", "channels_last", frozen(slice=(1, None, 2)), "...", (2,))
