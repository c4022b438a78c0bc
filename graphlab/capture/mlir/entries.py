"""Attributes and types of a bytecode file: where each stands, decoded when it is asked for, by the dialect it belongs to."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graphlab.capture.mlir.attributes import AttributeReader
from graphlab.capture.mlir.dense import constant, packed_bytes, plain
from graphlab.capture.mlir.lexer import spaced
from graphlab.capture.mlir.module import CallLoc, FileLoc, FunctionType, FusedLoc, Location, NameLoc
from graphlab.capture.mlir.stream import Stream
from graphlab.capture.mlir.types import type_text, value_type
from graphlab.errors import FormatError
from graphlab.ir.constants import Constant
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.values import OpaqueType, TensorType, TokenType, TupleType, ValueType

MAX_DEPTH = 60
"""Attributes and types within each other."""

_LAZY_BYTES = 1 << 12
_TYPES = (TensorType, TupleType, TokenType, OpaqueType, FunctionType)
_LOCATIONS = (FileLoc, NameLoc, CallLoc, FusedLoc)


@dataclass(frozen=True, slots=True)
class Resource:
    """A named blob, string or truth value; ``part`` is its encoding."""

    key: str
    kind: int
    part: Stream


@dataclass(frozen=True, slots=True)
class Text:
    """An attribute or type that is not decoded but kept by its text."""

    text: str


class Entries:
    """The tables of attributes and types."""

    def __init__(
        self, body: Stream, offsets: Stream, strings: list[str], dialects: list[str], resources: list[Resource],
        slice_of: Callable[[int, int], Callable[[], bytes] | bytes] | None,
    ) -> None:  # fmt: skip
        self.strings = strings
        self.resources = resources
        self.path = body.path
        self._slice_of = slice_of
        counts = (offsets.varint(), offsets.varint())
        self._attributes: list[tuple[str, Stream, bool]] = []
        self._types: list[tuple[str, Stream, bool]] = []
        for count, found in zip(counts, (self._attributes, self._types), strict=True):
            while len(found) < count:
                at = offsets.varint()
                if at >= len(dialects):
                    raise offsets.wrong(f"the dialect {at:,} of {len(dialects):,}")
                for _ in range(offsets.count()):
                    size = offsets.varint()
                    found.append((dialects[at], body.part(size >> 1), bool(size & 1)))
        self._attribute_values: dict[int, Any] = {}
        self._type_values: dict[int, ValueType] = {}
        self._locations: dict[int, Location] = {}
        self._open: set[tuple[str, int]] = set()

    def attribute(self, index: int) -> Any:
        """An attribute as a plain value; one that is a location as its text."""
        if index in self._attribute_values:
            return self._attribute_values[index]
        value = self._decode("attribute", index)
        if isinstance(value, FunctionType):
            value = OpaqueType(type_text(value))
        elif isinstance(value, Constant):
            value = plain(value)
        elif isinstance(value, Text):
            value = value.text
        elif isinstance(value, _LOCATIONS):
            value = "loc"
        self._attribute_values[index] = value
        return value

    def named(self, name: str, index: int) -> Any:
        """The attribute of that name: a function's type stays one, and a constant's elements are not made plain."""
        if name == "function_type":
            return self._decode("attribute", index)
        if name == "value":
            value = self._decode("attribute", index)
            if isinstance(value, Constant):
                return value
        return self.attribute(index)

    def type(self, index: int) -> ValueType:
        """The type of a value."""
        known = self._type_values.get(index)
        if known is None:
            known = self._type_values[index] = value_type(self.any_type(index))
        return known

    def any_type(self, index: int) -> ValueType | FunctionType:
        """A type, which may be a function's."""
        value = self._decode("type", index)
        if isinstance(value, Text):
            return OpaqueType(value.text)
        if not isinstance(value, _TYPES):
            raise self._missing(f"the type {index:,}, which is none")
        return value

    def location(self, index: int) -> Location:
        """A location; what it holds in turn is named by number."""
        if index not in self._locations:
            value = self._decode("attribute", index)
            self._locations[index] = value if isinstance(value, _LOCATIONS) else None
        return self._locations[index]

    def dictionary(self, index: int) -> dict[str, Any]:
        """A dictionary of attributes."""
        value = self.attribute(index)
        if not isinstance(value, dict):
            raise self._missing(f"the attribute {index:,}, which is no dictionary where one was expected")
        return value

    def _missing(self, found: str) -> FormatError:
        return FormatError(
            f"read {self.path} as MLIR bytecode", found=found, do="the file is damaged or cut short: fetch or write it again",
            where="its attributes and types",
        )  # fmt: skip

    def _decode(self, what: str, index: int) -> Any:
        table = self._attributes if what == "attribute" else self._types
        if index >= len(table):
            raise self._missing(f"the {what} {index:,} of {len(table):,}")
        if (what, index) in self._open:
            raise self._missing(f"the {what} {index:,}, which holds itself")
        if len(self._open) >= MAX_DEPTH:
            raise self._missing(f"attributes within each other more than {MAX_DEPTH} deep")
        dialect, part, is_own = table[index]
        self._open.add((what, index))
        try:
            if not is_own:
                return self._by_text(what, part)
            from graphlab.capture.mlir.dialects import DECODERS

            decode = DECODERS.get((dialect, what))
            if decode is None:
                return Text(f"{'#' if what == 'attribute' else '!'}{dialect}<{bytes(part.data[part.pos : part.end]).hex()}>")
            return decode(self, Stream(part.data, part.path, part.pos, part.end))
        finally:
            self._open.discard((what, index))

    def _by_text(self, what: str, part: Stream) -> Any:
        """One that its dialect has no encoding for: as MLIR prints it, with a null byte behind it."""
        text = bytes(part.data[part.pos : part.end]).rstrip(b"\0").decode("latin-1")
        reader = AttributeReader(text, self.path)
        try:
            value = reader.any_type() if what == "type" else reader.attribute()
            if reader.peek():
                return Text(spaced(text))
        except FormatError:
            return Text(spaced(text))
        return value

    # What the dialects' decoders use

    def string(self, stream: Stream) -> str:
        """A string, by its number."""
        at = stream.varint()
        if at >= len(self.strings):
            raise stream.wrong(f"the string {at:,} of {len(self.strings):,}")
        return self.strings[at]

    def dense(self, kind: ValueType, stream: Stream) -> Constant:
        """Dense elements: a length, and as many bytes as MLIR holds them in."""
        length = stream.varint()
        start = stream.pos
        stream.skip(length)
        if not isinstance(kind, TensorType):
            return constant(kind, b"")
        if length > _LAZY_BYTES and self._slice_of is not None:
            load = self._slice_of(start, length)
            return constant(kind, lambda: packed_bytes(load() if callable(load) else load, kind))
        data = bytes(stream.data[start : start + length])
        return constant(kind, lambda: packed_bytes(data, kind))

    def resource(self, kind: ValueType, stream: Stream) -> Constant:
        """The bytes of a resource, by its number."""
        at = stream.varint()
        if at >= len(self.resources):
            return Constant(kind, None, reason=f"the module has no resource {at}")
        found = self.resources[at]
        part = Stream(found.part.data, found.part.path, found.part.pos, found.part.end)
        if found.kind != 0 or not isinstance(kind, TensorType) or part.pos >= part.end:
            return Constant(kind, None, reason=f"the resource '{found.key}' is no blob")
        alignment = part.varint()
        length = part.varint()
        part.align(alignment)
        start = part.pos
        part.skip(length)
        if self._slice_of is None:
            data = bytes(part.data[start : part.pos])
            return constant(kind, lambda: packed_bytes(data, kind))
        load = self._slice_of(start, length)
        return constant(kind, lambda: packed_bytes(load() if callable(load) else load, kind))


def floating(bits: int, kind: str) -> float:
    """A float's value by the bits of its type, as MLIR names it."""
    code = {"f16": ("<e", 2), "f32": ("<f", 4), "f64": ("<d", 8)}.get(kind)
    if code is not None:
        value: float = struct.unpack(code[0], bits.to_bytes(code[1], "little"))[0]
        return value
    if kind == "bf16":
        wide: float = struct.unpack("<f", (bits << 16).to_bytes(4, "little"))[0]
        return wide
    import ml_dtypes
    import numpy as np

    from graphlab.capture.mlir.types import dtype_of

    dtype = getattr(ml_dtypes, dtype_of(kind), None)
    return float(np.array([bits], np.uint8).view(dtype)[0]) if dtype is not None else float(bits)


__all__ = ["Callable", "Entries", "FrozenDict", "Resource", "Text", "floating"]
