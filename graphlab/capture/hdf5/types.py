"""Datatypes and dataspaces, and the values of attributes."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TypeAlias

from graphlab.capture.hdf5.buffer import Cursor, Hdf5Buffer
from graphlab.capture.hdf5.heaps import global_object

Value: TypeAlias = str | bytes | int | float | tuple["Value", ...] | None

_INTEGER, _FLOAT, _STRING, _ENUM, _VARIABLE = 0, 1, 3, 8, 9
_MOST_ELEMENTS = 1 << 20
_MAX_RANK = 32


@dataclass(frozen=True, slots=True)
class Datatype:
    """An element's type.

    Attributes:
        name: a NumPy or ml_dtypes name, ``string``, or ``hdf5 class N`` for the others.
        size: bytes of one element in the file.
        big: whether its bytes stand in big-endian order.
        variable: a string of any length, which stands in a global heap.
    """

    name: str
    size: int
    big: bool = False
    variable: bool = False


def datatype(cursor: Cursor) -> Datatype:
    """The datatype message at the cursor."""
    first = cursor.number(1)
    kind = first & 15
    bits = cursor.number(3)
    size = cursor.number(4)
    big = bool(bits & 1)
    if kind == _INTEGER and size in (1, 2, 4, 8):
        return Datatype(f"{'' if bits & 8 else 'u'}int{8 * size}", size, big)
    if kind == _FLOAT and size in (2, 4, 8):
        mantissa = cursor.skip(7).number(1)  # behind bit offset, precision, exponent's place and size, mantissa's place
        return Datatype("bfloat16" if size == 2 and mantissa == 7 else f"float{8 * size}", size, big)
    if kind == _STRING:
        return Datatype("string", size)
    if kind == _ENUM and size == 1:  # as h5py stores booleans
        return Datatype("bool", 1)
    if kind == _VARIABLE and bits & 15 == 1:
        return Datatype("string", size, variable=True)
    return Datatype(f"hdf5 class {kind}", size)


def dataspace(cursor: Cursor) -> tuple[int, ...] | None:
    """The dims of the dataspace message at the cursor; ``None`` for a null space, which has no elements."""
    version, rank, _ = cursor.number(1), cursor.number(1), cursor.number(1)
    if rank > _MAX_RANK:
        cursor.buffer.fail(f"an array has {rank} dimensions", cursor.at)
    if version == 1:
        cursor.skip(5)
    elif cursor.number(1) == 2:
        return None
    return tuple([cursor.length() for _ in range(rank)])


def value(buffer: Hdf5Buffer, at: int, type: Datatype, dims: tuple[int, ...] | None) -> Value:
    """What an attribute holds: text, a number, or a tuple of them; ``None`` for types that no model's description has."""
    if dims is None:
        return None
    count = prod(dims)
    if count > _MOST_ELEMENTS:
        buffer.fail(f"an attribute has {count:,} elements", at)
    buffer.spend(count * type.size, at)
    values = tuple([_element(buffer, at + i * type.size, type) for i in range(count)])
    return values if dims else values[0]


def _element(buffer: Hdf5Buffer, at: int, type: Datatype) -> Value:
    if type.variable:
        length = buffer.number(at, 4)
        place = buffer.place(buffer.number(at + 4, buffer.address))
        index = buffer.number(at + 4 + buffer.address, 4)
        if not length or place is None:
            return ""
        start, held = global_object(buffer, place, index)
        return _text(buffer.raw(start, min(length, held)))
    data = buffer.raw(at, type.size)
    order = "big" if type.big else "little"
    if type.name == "string":
        return _text(data)
    if "int" in type.name or type.name == "bool":
        return int.from_bytes(data, order, signed=type.name.startswith("int"))  # type: ignore[arg-type]
    if type.name in ("float16", "float32", "float64"):
        import struct

        return float(struct.unpack((">" if type.big else "<") + {2: "e", 4: "f", 8: "d"}[type.size], data)[0])
    return None


def _text(data: bytes) -> str | bytes:
    data = data.partition(b"\0")[0]
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data
