"""Reads flatbuffers: every offset and length is checked before it is followed.

The format: https://flatbuffers.dev/internals/. A table begins with the distance back to its vtable, which lists where each
field stands in the table (0: not stored); strings, vectors and other tables are reached by unsigned distances ahead.
Tables of a schema without recursion nest only so deep, but many may share one part: what is decoded altogether is
limited by the file's size (:data:`SHARED`).
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Any, NoReturn

from graphlab.capture.file import File
from graphlab.capture.tflite.schema import Field, schema
from graphlab.errors import FormatError

SHARED = 3
"""How many times a file's own size may be decoded of it: parts are shared by a few tables, not by thousands."""
_ALLOWANCE = 256 << 10  # bytes more, for small files
_TABLE_COST = 48  # bytes that a table counts as: what is made of it is larger than the table

_U16, _U32, _I32 = Struct("<H"), Struct("<I"), Struct("<i")


@dataclass(frozen=True, slots=True)
class Span:
    """A vector of bytes that is not fetched: where it stands."""

    offset: int
    length: int


class Buffer:
    """A flatbuffer's bytes."""

    __slots__ = ("_left", "data", "name", "size")

    def __init__(self, file: File) -> None:
        self.data = file.view()
        self.size = len(self.data)
        self.name = file.name
        self._left = SHARED * self.size + _ALLOWANCE

    def root(self, type: str, at: int = 0) -> Table:
        """The root table of a flatbuffer that begins at ``at``. Raises FormatError where it does not lie in the file."""
        return Table(self, at + self.u32(at), type)

    def u32(self, at: int) -> int:
        return int(self._number(_U32, at))

    def fail(self, found: str, at: int) -> NoReturn:
        raise FormatError(f"read {self.name}", found=found, do="the file is damaged: fetch or write it again", where=f"offset {at}")

    def bytes(self, span: Span) -> bytes:
        return bytes(self.data[span.offset : span.offset + span.length])

    def vector(self, at: int, width: int) -> tuple[int, int]:
        """First element and length of the vector (or string) that the field at ``at`` leads to."""
        start = at + self.u32(at)
        length = self.u32(start)
        if start + 4 + length * width > self.size:
            self.fail(f"a vector of {length:,} elements reaches beyond the end", start)
        return start + 4, length

    def spend(self, nbytes: int, at: int) -> None:
        self._left -= nbytes
        if self._left < 0:
            self.fail(f"its tables share parts so often that they unfold to more than {SHARED} times its size", at)

    def _number(self, packed: Struct, at: int) -> Any:
        if not 0 <= at <= self.size - packed.size:
            self.fail("an offset leads outside the file", at)
        return packed.unpack_from(self.data, at)[0]


class Table:
    """One table: ``table["inputs"]``. A field that is not stored has its default; a vector, string or table then is ``None``."""

    __slots__ = ("_fields", "_vtable", "_vtable_end", "at", "buffer", "type")

    def __init__(self, buffer: Buffer, at: int, type: str) -> None:
        self.buffer = buffer
        self.at = at
        self.type = type
        self._fields = schema().tables[type]
        self._vtable = at - int(buffer._number(_I32, at))
        length = int(buffer._number(_U16, self._vtable))
        self._vtable_end = self._vtable + length
        if length < 4 or self._vtable_end > buffer.size:
            buffer.fail(f"the table {type} has a vtable of {length} bytes", self._vtable)
        buffer.spend(_TABLE_COST, at)

    def where(self, name: str) -> int:
        """The position of a field, 0 where it is not stored."""
        slot = self._vtable + 4 + 2 * self._fields[name].index
        if slot + 2 > self._vtable_end:
            return 0
        distance: int = _U16.unpack_from(self.buffer.data, slot)[0]
        return self.at + distance if distance else 0

    def __getitem__(self, name: str) -> Any:
        field = self._fields[name]
        at = self.where(name)
        if field.vector:
            return self._elements(field, at) if at else None
        if field.packed is not None:
            return self.buffer._number(field.packed, at) if at else field.default
        if not at:
            return None
        if field.type == "string":
            start, length = self.buffer.vector(at, 1)
            self.buffer.spend(length, at)
            return str(self.buffer.data[start : start + length], "utf-8", "backslashreplace")
        if field.union:
            number = self[name + "_type"]
            if not 0 < number < len(field.union):
                return None
            return Table(self.buffer, at + self.buffer.u32(at), field.union[number])
        return Table(self.buffer, at + self.buffer.u32(at), field.type)

    def tables(self, name: str) -> list[Table]:
        """The elements of a vector of tables; none where it is not stored."""
        return self[name] or []

    def named(self, name: str) -> Any:
        """A field's value, an enumeration's as its name."""
        field = self._fields[name]
        value = self[name]
        if field.enum is None or value is None:
            return value
        if field.vector:
            return tuple(schema().name(field.enum, v) for v in value)
        return schema().name(field.enum, value)

    def fields(self) -> list[str]:
        """The names of all fields that the schema gives it."""
        return list(self._fields)

    def _elements(self, field: Field, at: int) -> Any:
        buffer = self.buffer
        if field.packed is not None:
            start, length = buffer.vector(at, field.packed.size)
            if field.type == "uint8":
                return Span(start, length)
            buffer.spend(length * field.packed.size, at)
            return Struct(f"<{length}{field.packed.format[1:]}").unpack_from(buffer.data, start)
        start, length = buffer.vector(at, 4)
        buffer.spend(4 * length, at)
        return [Table(buffer, at + buffer.u32(at), field.type) for at in range(start, start + 4 * length, 4)]
