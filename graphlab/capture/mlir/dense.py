"""Dense elements attributes: bytes of a list of numbers, of one value for all elements, or of hexadecimal digits."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from math import isfinite, prod
from typing import Any

import numpy as np

from graphlab.capture.mlir.lexer import STRING, unescape
from graphlab.errors import ValueUnavailable
from graphlab.ir.constants import Constant, Splat
from graphlab.ir.values import DTYPE_BITS, TensorType, ValueType

INLINE_ELEMENTS = 64
"""Dense attributes up to this size become tuples, larger ones constants."""

_NUMBER = re.compile(r"[-+]?0x[0-9A-Fa-f]++|[-+]?\d++(?:\.\d*+(?:[eE][-+]?\d++)?)?|true|false|-?nan|-?inf")
_LARGEST = 1 << 31  # bytes that a splat is spread over; beyond it only the type is told


def text_bytes(text: str, kind: TensorType) -> bytes | Splat:
    """Bytes of what stands between ``dense<`` and ``>``, in C order.

    Raises:
        ValueUnavailable: there is no such element type, or the text does not fit the type.
    """
    dtype = _numpy_dtype(kind)
    text = text.strip()
    if text.startswith('"0x') and text.endswith('"'):
        try:
            return packed_bytes(bytes.fromhex(text[3:-1]), kind)
        except ValueError as error:
            raise _unfit(kind, str(error)) from error
    numbers = [_number(found, dtype, kind) for found in _NUMBER.findall(text)]
    if dtype.kind == "c":
        if len(numbers) % 2:
            raise _unfit(kind, "an odd number of parts")
        numbers = [complex(a, b) for a, b in zip(numbers[::2], numbers[1::2], strict=True)]
    try:
        if dtype.kind in "iu" and dtype.isbuiltin and numbers:  # MLIR lets a signless integer be written either way
            values = np.array([n & (2 ** (8 * dtype.itemsize) - 1) for n in numbers], f"u{dtype.itemsize}").view(dtype)
        else:
            with np.errstate(over="ignore"):  # a number too large for its type is infinite
                values = np.array(numbers, dtype=dtype)
    except (OverflowError, ValueError, TypeError) as error:
        raise _unfit(kind, str(error)) from error
    return _spread(values, kind)


def packed_bytes(data: bytes, kind: TensorType) -> bytes | Splat:
    """Bytes of MLIR's own buffer in C order: one element's stand for all, and truth values may be packed eight to a byte.

    Raises:
        ValueUnavailable: there is no such element type, or the length does not fit the type.
    """
    dtype = _numpy_dtype(kind)
    count = prod(_shape(kind))
    if kind.dtype == "bool":
        if len(data) == count:
            return bytes(map(bool, data))
        if len(data) == 1 and data[0] in (0, 0xFF):
            return _spread(np.array([data[0] != 0]), kind)
        return _bits(data, count) if len(data) == (count + 7) // 8 else _refuse(kind, len(data))
    if len(data) == dtype.itemsize * count:
        return data
    return _spread(np.frombuffer(data, dtype), kind) if len(data) == dtype.itemsize else _refuse(kind, len(data))


def constant(kind: ValueType, load: Callable[[], bytes | Splat] | bytes) -> Constant:
    """A constant of a dense attribute. ``load`` gives its bytes in C order."""
    if not isinstance(kind, TensorType) or kind.elements is None:
        return Constant(kind, None, reason="it is no dense array of known shape")
    if (kind.nbytes or kind.elements) > _LARGEST:
        return Constant(kind, None, reason="it stands for more bytes than can be held")
    return Constant(kind, load)


def plain(value: Constant) -> Any:
    """A small constant as a number or nested tuples; a larger one, or one of elements that NumPy has no word for, as it is."""
    kind = value.type
    if not value.available or not isinstance(kind, TensorType) or (kind.elements or 0) > INLINE_ELEMENTS or kind.dtype == "string":
        return value
    try:
        data = np.frombuffer(value.bytes(), _numpy_dtype(kind))
        return _tuples(data.reshape(_shape(kind)).tolist())
    except (ValueUnavailable, ValueError):
        return value


def rounded(value: float, kind: str | None) -> float:
    """A float as its type holds it."""
    code = {"f16": "<e", "f32": "<f"}.get(kind or "")
    if code is not None and isfinite(value):
        try:
            value = struct.unpack(code, struct.pack(code, value))[0]
        except OverflowError:
            return value
    elif kind == "bf16" and isfinite(value):
        import ml_dtypes

        value = float(ml_dtypes.bfloat16(value))
    return value


def strings(text: str, kind: TensorType) -> Constant:
    """A constant of a tensor of strings: its bytes are the strings' text, one a line."""
    return Constant(kind, "\n".join(unescape(found[1]) for found in STRING.finditer(text)).encode("utf-8", "replace"))


def sparse_bytes(indices: tuple[Any, ...], values: bytes | Splat, kind: TensorType) -> bytes:
    """Bytes of ``sparse<indices, values>`` as a dense array."""
    dtype = _numpy_dtype(kind)
    values = values.element if isinstance(values, Splat) else values  # one value stands for all places here too
    shape = _shape(kind)
    whole = np.zeros(shape, dtype)
    given = np.frombuffer(values, dtype)
    places = np.array(indices, dtype=np.int64).reshape(-1, len(shape)) if len(shape) else np.zeros((0, 0), np.int64)
    if len(places) and ((places < 0).any() or (places >= np.array(shape)).any() or len(given) not in (1, len(places))):
        raise _unfit(kind, "an index out of range")
    for i, place in enumerate(places):
        whole[tuple(place)] = given[i if len(given) > 1 else 0]
    return whole.tobytes()


def _shape(kind: TensorType) -> tuple[int, ...]:
    return tuple(d for d in kind.dims or () if isinstance(d, int))


def _bits(data: bytes, count: int) -> bytes:
    return np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[:count].tobytes()


def _spread(values: np.ndarray[Any, Any], kind: TensorType) -> bytes | Splat:
    shape = _shape(kind)
    if len(values) == 1:
        splat = Splat(values.tobytes(), prod(shape))
        return splat if kind.dtype in DTYPE_BITS else splat.spread()
    if len(values) != prod(shape):
        _refuse(kind, len(values))
    return np.ascontiguousarray(values).tobytes()


def _refuse(kind: TensorType, length: int) -> bytes:
    raise _unfit(kind, f"{length:,} elements or bytes")


def _unfit(kind: TensorType, found: str) -> ValueUnavailable:
    return ValueUnavailable(f"fetch a constant of type {kind}", found=f"its text does not fit it: {found}", do="check the file")


def _numpy_dtype(kind: TensorType) -> np.dtype[Any]:
    import ml_dtypes

    if kind.dtype == "index":
        return np.dtype(np.int64)  # as MLIR holds it
    try:
        return np.dtype(getattr(ml_dtypes, kind.dtype, None) or kind.dtype)
    except TypeError as error:
        raise ValueUnavailable(f"fetch a constant of type {kind}", found="NumPy has no such element type", do="use its text") from error


def _number(text: str, dtype: np.dtype[Any], kind: TensorType) -> Any:
    if text in ("true", "false"):
        return text == "true"
    if dtype.kind in "iub":
        try:
            return int(text, 16 if "x" in text else 10)
        except ValueError as error:
            raise _unfit(kind, f"'{text[:40]}'") from error
    if "x" in text:  # MLIR prints what has no decimal form (NaN, infinity) by its bits
        size = dtype.itemsize if dtype.kind != "c" else dtype.itemsize // 2
        part = dtype if dtype.kind != "c" else np.dtype(f"f{size}")
        bits = int(text, 16)
        if not 0 <= bits < 1 << (8 * size):
            raise _unfit(kind, f"'{text[:40]}'")
        return np.frombuffer(bits.to_bytes(size, "little"), part)[0]
    return float(text)


def real(text: str, bits: int) -> float:
    """A float attribute's value; hexadecimal digits are its bits, of a type that wide."""
    if "x" not in text:
        return float(text)
    code = {16: "<e", 32: "<f", 64: "<d"}.get(bits)
    number = int(text, 16)
    if code is None or not 0 <= number < 1 << bits:
        return float(number)
    unpacked: float = struct.unpack(code, number.to_bytes(bits // 8, "little"))[0]
    return unpacked


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
