from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from graphlab.errors import GraphlabError
from graphlab.ir.values import DTYPE_BITS, SymDim, TensorType, TokenType, TupleType, dtype_name, parse_dim, parse_type


@pytest.mark.parametrize(("text", "name", "type"), [
    ("f32[2,5,8]", None, TensorType("float32", (2, 5, 8))),
    ("f32[batch,5]", None, TensorType("float32", (SymDim("batch"), 5))),
    ("x=i64[?,3]", "x", TensorType("int64", (None, 3))),
    (" x = bf16[] ", "x", TensorType("bfloat16", ())),
    ("pred[2*n+1]", None, TensorType("bool", (SymDim("2*n+1"),))),
    ("s32[ 1 , 2 ]", None, TensorType("int32", (1, 2))),
    ("f8e4m3fn[4]", None, TensorType("float8_e4m3fn", (4,))),
])  # fmt: skip
def test_a_type_is_read_from_text(text: str, name: str | None, type: TensorType) -> None:
    assert parse_type(text) == (name, type)


@pytest.mark.parametrize("text", ["", "f32", "f32[2", "[2]", "f32[2]]", "x=", "1=f32[2]", "q7[2]"])
def test_what_is_no_type_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(GraphlabError, match=r"f32"):
        parse_type(text)


@pytest.mark.parametrize("text", ["f32[2,5]", "bf16[n]", "f8e4m3fn[1,?]", "i4[]", "c64[3]", "u8[2]", "bool[1]"])
def test_a_type_printed_and_read_again_is_the_same(text: str) -> None:
    _, type = parse_type(text)
    assert parse_type(str(type)) == (None, type)


@pytest.mark.parametrize("name", [n for n in DTYPE_BITS if n not in ("int1", "uint1")])
def test_widths_are_those_of_numpy_and_ml_dtypes(name: str) -> None:
    extended = getattr(ml_dtypes, name, None)
    if extended is None:
        assert np.dtype(name).itemsize * 8 == DTYPE_BITS[name]
    elif name.startswith(("int", "uint")):
        assert ml_dtypes.iinfo(extended).bits == DTYPE_BITS[name]
    else:
        assert ml_dtypes.finfo(extended).bits == DTYPE_BITS[name]


@pytest.mark.parametrize(
    ("spelt", "name"), [("torch.float32", "float32"), ("half", "float16"), ("PRED", "bool"), ("s4", "int4"), ("bfloat16", "bfloat16")]
)
def test_dtypes_are_known_by_every_frameworks_spelling(spelt: str, name: str) -> None:
    assert dtype_name(spelt) == name


def test_sizes_are_known_where_every_dim_is() -> None:
    assert TensorType("float32", (2, 3)).nbytes == 24
    assert TensorType("int4", (3,)).nbytes == 2
    assert TensorType("float32", ()).elements == 1
    assert TensorType("float32", (2, SymDim("n"))).elements is None
    assert TensorType("float32", (2, None)).nbytes is None
    assert TensorType("float32", None).rank is None
    assert TensorType("string", (2,)).nbytes is None


def test_types_print_short() -> None:
    assert str(TensorType("float32", (2, SymDim("n"), None), layout="{1,0}")) == "f32[2,n,?]{1,0}"
    assert str(TupleType((TensorType("bool", None), TokenType()))) == "(bool[*], token)"


@pytest.mark.parametrize(("text", "dim"), [("5", 5), ("?", None), ("-1", SymDim("-1")), ("²", SymDim("²")), (" n ", SymDim("n"))])
def test_a_dim_is_a_size_unknown_or_an_expression(text: str, dim: object) -> None:
    assert parse_dim(text) == dim
