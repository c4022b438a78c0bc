"""Literals of HLO messages: values as bytes in C order when they are asked for, and as text where HLO text has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from graphlab.capture.file import Slice
from graphlab.capture.proto import Parsed
from graphlab.capture.xla.hlo_proto_shapes import PRIMITIVES, TUPLE, shape_text
from graphlab.errors import FormatError, ValueUnavailable
from graphlab.ir.constants import Constant
from graphlab.ir.values import DTYPE_BITS, TensorType, ValueType

if TYPE_CHECKING:
    import numpy as np

# PrimitiveType's number → LiteralProto's field, and how its elements stand there: varints, or their own bytes (xla_data.proto).
_VARINT = frozenset(("preds", "s32s", "s64s", "u32s", "u64s"))
_REPEATED = _VARINT | {"f32s", "f64s", "c64s", "c128s"}


@dataclass(frozen=True, slots=True)
class _Data:
    """Where a literal's elements are: their bytes as they stand on the wire, one after the other."""

    field: str
    chunks: tuple[bytes | Slice, ...]
    order: tuple[int, ...]
    """Its dimensions, the innermost in memory first."""


def literal_constant(literal: Any, type: ValueType, parsed: Parsed) -> Constant:
    """A literal's constant. Its elements are decoded when they are asked for; large ones lie in the file until then."""
    if not isinstance(type, TensorType):
        return Constant(type, None, reason="a tuple of constants has no bytes of its own")
    if type.elements is None:
        return Constant(type, None, reason="its size is not known")
    field = f"{PRIMITIVES.get(literal.shape.element_type, '')}s"
    if field not in literal.DESCRIPTOR.fields_by_name:
        return Constant(type, None, reason="its element type is none that graphlab reads")
    data = _Data(field, tuple(_chunks(literal, field, parsed)), tuple(literal.shape.layout.minor_to_major))
    if type.elements and not any(len(c) if isinstance(c, bytes) else c.length for c in data.chunks):
        return Constant(type, None, reason="XLA left the value out of the message")
    return Constant(type, partial(_bytes, data, type))


def _chunks(literal: Any, field: str, parsed: Parsed) -> Iterator[bytes | Slice]:
    """The field's bytes, in a schema where repeated numbers are read as bytes, or in one where they are numbers."""
    value = getattr(literal, field)
    if isinstance(value, bytes):
        yield parsed.data(value)
        return
    if len(value) and not isinstance(value[0], bytes):  # out of a message in text form
        import numpy as np

        kind = {"preds": "u1", "f32s": "<f4", "c64s": "<f4", "f64s": "<f8", "c128s": "<f8"}.get(
            field, f"<{'u' if field[0] == 'u' else 'i'}8"
        )
        numbers = np.array(list(value), kind)
        yield _varints(numbers) if field in _VARINT else numbers.tobytes()
        return
    for chunk in value:
        yield parsed.data(chunk)


def _bytes(data: _Data, type: TensorType) -> bytes:
    """The dense array's bytes.

    Raises:
        ValueUnavailable: the file is gone, or the literal does not fit the type.
    """
    import numpy as np

    array = _array(data, type)
    shape = tuple(d for d in type.dims or () if isinstance(d, int))
    if array.size != type.elements:
        raise ValueUnavailable(f"fetch a constant of type {type}", found=f"its literal has {array.size:,} values", do="check the file")
    if len(data.order) > 1 and sorted(data.order) == list(range(len(shape))):
        major = data.order[::-1]
        array = array.reshape([shape[d] for d in major]).transpose(np.argsort(major))
    return array.tobytes()


def _array(data: _Data, type: TensorType) -> np.ndarray[Any, Any]:
    """The elements in memory's order."""
    import ml_dtypes
    import numpy as np

    raw = b"".join(chunk if isinstance(chunk, bytes) else chunk() for chunk in data.chunks)
    dtype = np.dtype(getattr(ml_dtypes, type.dtype, None) or type.dtype)
    bits = DTYPE_BITS.get(type.dtype, 8)
    if data.field in _VARINT:
        return _numbers(raw).astype(dtype)
    if bits >= 8 or type.dtype == "bool":
        whole = len(raw) - len(raw) % dtype.itemsize
        return np.frombuffer(raw[:whole], dtype.newbyteorder("<") if dtype.kind != "V" else dtype)
    small = np.frombuffer(raw, np.uint8)
    per_byte = 8 // bits
    if per_byte > 1 and type.elements and small.size != type.elements and small.size == -(-type.elements // per_byte):
        # Some versions pack them, the first element in the low bits.
        small = np.stack([small >> (bits * i) & (1 << bits) - 1 for i in range(per_byte)], axis=1).ravel()[: type.elements]
    small = small & np.uint8((1 << bits) - 1)  # as NumPy has them: the upper bits 0
    return small.view(dtype) if dtype.itemsize == 1 else small.astype(dtype)


def _numbers(raw: bytes) -> np.ndarray[Any, Any]:
    """Varints as unsigned 64-bit numbers, the last bits of each that fit."""
    import numpy as np

    data = np.frombuffer(raw, np.uint8)
    ends = np.flatnonzero(data < 0x80)
    if ends.size == data.size:
        return data.astype(np.uint64)
    values = np.zeros(ends.size, np.uint64)
    starts = np.concatenate([[0], ends[:-1] + 1]) if ends.size else ends
    lengths = ends - starts + 1
    for i in range(min(10, int(lengths.max(initial=0)))):
        long = lengths > i
        values[long] |= (data[starts[long] + i] & np.uint8(0x7F)).astype(np.uint64) << np.uint64(7 * i)
    return values


def _varints(numbers: np.ndarray[Any, Any]) -> bytes:
    out = bytearray()
    for number in numbers.tolist():
        value = number & 0xFFFFFFFFFFFFFFFF
        while value >= 0x80:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        out.append(value)
    return bytes(out)


def scalar_text(constant: Constant) -> str | None:
    """A scalar's value as HLO text has it, or near enough to compare numbers by; None where it is not to be had."""
    if not constant.available:
        return None
    try:
        value = constant.array().tolist()
    except (ValueUnavailable, FormatError):
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


def literal_text(literal: Any) -> str:
    """``f32[2]{0} {1, 2.5}``: a custom call's literal, as its attribute has it."""
    constant = literal_constant(literal, _type(literal.shape), Parsed(literal, None, b"\0" * 8))
    shape = shape_text(literal.shape)
    if literal.shape.element_type == TUPLE or not constant.available:
        return f"{shape} {{...}}"
    try:
        array = constant.array()
    except (ValueUnavailable, FormatError):
        return f"{shape} {{...}}"
    return f"{shape} {_nested(array.tolist(), _NUMBERS.get(array.dtype.kind, _float_text))}"


def _type(shape: Any) -> ValueType:
    from graphlab.capture.xla.hlo_shapes import DTYPES

    dtype = DTYPES.get(PRIMITIVES.get(shape.element_type, ""), "uint8")
    return TensorType(dtype, tuple(shape.dimensions))


def _nested(value: Any, number: Callable[[Any], str]) -> str:
    if not isinstance(value, list):
        return number(value)
    if value and isinstance(value[0], list):
        return f"{{ {', '.join(_nested(one, number) for one in value)} }}"
    return f"{{{', '.join(map(number, value))}}}"


def _float_text(value: Any) -> str:
    return f"{float(value):.9g}"


_NUMBERS: dict[str, Callable[[Any], str]] = {"b": lambda v: str(int(v)), "i": str, "u": str}
