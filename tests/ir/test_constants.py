from __future__ import annotations

import hashlib

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, strategies as st

from graphlab.errors import ValueUnavailable
from graphlab.ir.constants import INLINE_BYTES, Constant, Splat
from graphlab.ir.values import OpaqueType, TensorType


def test_bytes_are_fetched_only_when_asked_for() -> None:
    fetched: list[int] = []

    def fetch() -> bytes:
        fetched.append(1)
        return b"ab"

    value = Constant(TensorType("uint8", (2,)), fetch, nbytes=2)
    assert (value.nbytes, value.available, fetched) == (2, True, [])
    assert value.bytes() == b"ab"
    assert fetched == [1]


def test_the_digest_is_blake2b() -> None:
    assert Constant(TensorType("uint8", (2,)), b"ab").digest == hashlib.blake2b(b"ab", digest_size=16).hexdigest()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int4", "bool", "complex64"])
def test_an_array_is_numpys_own(dtype: str) -> None:
    array = np.array([1, 0, 1]).astype(getattr(ml_dtypes, dtype, None) or dtype)
    value = Constant(TensorType(dtype, (3,)), array.tobytes())
    np.testing.assert_array_equal(value.array(), array)
    assert value.array().dtype == array.dtype


@pytest.mark.parametrize(("type", "data", "said"), [
    (TensorType("float32", (2,)), b"abc", "3 bytes where its type asks for 8"),
    (TensorType("float33", (2,)), b"abc", "no such element type"),
    (TensorType("string", (1,)), b"abc", "no dense array"),
    (OpaqueType("int"), b"3", "no dense array"),
    (TensorType("float32", (2,)), None, "its value was not kept"),
])  # fmt: skip
def test_what_is_no_array_says_why(type: TensorType, data: bytes | None, said: str) -> None:
    with pytest.raises(ValueUnavailable, match=said):
        Constant(type, data).array()


@pytest.mark.parametrize(("type", "data", "shown"), [
    (TensorType("float32", ()), b"\0\0\xc0\x3f", "1.5"),
    (TensorType("int8", (3,)), b"\0\2\1", "[0, 2, 1]"),
    (TensorType("uint8", (9,)), bytes(9), "[0, 0, 0, 0, 0, 0, 0, 0, ...]"),
    (TensorType("uint8", (INLINE_BYTES + 1,)), bytes(INLINE_BYTES + 1), f"u8[{INLINE_BYTES + 1}]"),
    (TensorType("float32", (2,)), b"abc", "f32[2]"),
    (OpaqueType("str"), b"'mean'", "'mean'"),
    (TensorType("float32", (2,)), None, "f32[2]"),
])  # fmt: skip
def test_a_preview_never_fails(type: TensorType, data: bytes | None, shown: str) -> None:
    assert Constant(type, data).preview() == shown


def test_constants_are_equal_by_type_and_bytes() -> None:
    one = Constant(TensorType("uint8", (1,)), b"a")
    assert one == Constant(TensorType("uint8", (1,)), lambda: b"a")
    assert one != Constant(TensorType("uint8", (1,)), b"b")
    assert one != Constant(TensorType("int8", (1,)), b"a")
    assert Constant(TensorType("uint8", (1,)), None) != Constant(TensorType("uint8", (1,)), None)
    assert hash(one) == hash(Constant(TensorType("uint8", (1,)), b"a"))


def test_one_element_for_all_is_compared_without_being_spread() -> None:
    kind = TensorType("float32", (1 << 20, 1 << 20))
    huge = Constant(kind, lambda: Splat(bytes(4), 1 << 40))  # 4 TiB
    assert huge == Constant(kind, lambda: Splat(bytes(4), 1 << 40))
    assert huge != Constant(kind, lambda: Splat(b"\0\0\x80\x3f", 1 << 40))


@given(st.binary(min_size=4, max_size=4), st.integers(1, 3000), st.integers(0, 3000 * 4 - 1), st.booleans())
def test_a_digest_does_not_depend_on_how_the_source_writes_equal_elements(element: bytes, count: int, at: int, changed: bool) -> None:
    kind = TensorType("float32", (count,))
    plain = bytearray(element * count)
    if changed:
        plain[at % len(plain)] ^= 1
    assert (Constant(kind, bytes(plain)).digest == Constant(kind, lambda: Splat(element, count)).digest) is not changed
    assert Constant(kind, lambda: Splat(element, count)).bytes() == element * count
