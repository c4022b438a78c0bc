"""Decodes FlexBuffers, the schemaless format of custom operators' options.

The format: https://flatbuffers.dev/flexbuffers_internals/. The last byte is the root's width, the one before its
type; a value is an offset back, or stands in place; a map is a vector of values with a vector of keys.
"""

from __future__ import annotations

from struct import unpack_from
from typing import Any, NoReturn

from graphlab.errors import FormatError
from graphlab.ir.frozen import FrozenDict

MAX_VALUES = 4096
"""Values that one buffer may hold: options are few."""
_MAX_DEPTH = 32

_NULL, _INT, _UINT, _FLOAT, _KEY, _STRING = range(6)
_INDIRECT_INT, _INDIRECT_UINT, _INDIRECT_FLOAT, _MAP, _VECTOR = range(6, 11)
_TYPED = {11: _INT, 12: _UINT, 13: _FLOAT, 14: _KEY, 15: _STRING, 36: 26}
_FIXED = {16 + 3 * i + j: (i + 2, (_INT, _UINT, _FLOAT)[j]) for i in range(3) for j in range(3)}  # two, three, four numbers
_BLOB, _BOOL = 25, 26
_INTEGERS, _UNSIGNED, _FLOATS = {1: "<b", 2: "<h", 4: "<i", 8: "<q"}, {1: "<B", 2: "<H", 4: "<I", 8: "<Q"}, {2: "<e", 4: "<f", 8: "<d"}


def decode(data: bytes) -> Any:
    """The map or vector at the root, as FrozenDict, tuples, text, bytes and numbers.

    Raises:
        FormatError: it is no FlexBuffer with a map or a vector at its root, or holds more than :data:`MAX_VALUES`.
    """
    reader = _Reader(data)
    if len(data) < 3 or data[-1] not in _INTEGERS:
        reader.fail("its last byte is no width")
    type = data[-2] >> 2
    if type not in (_MAP, _VECTOR) and type not in _TYPED:
        reader.fail("there is neither a map nor a vector at its root")
    return reader.value(len(data) - 2 - data[-1], data[-1], data[-2], 0)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = MAX_VALUES

    def fail(self, found: str) -> NoReturn:
        raise FormatError("read a FlexBuffer", found=found, do="keep its bytes")

    def value(self, at: int, width: int, packed: int, depth: int) -> Any:
        """The value whose slot stands at ``at``, ``width`` bytes wide, of a packed type."""
        self._left -= 1
        if self._left < 0 or depth > _MAX_DEPTH:
            self.fail("it holds too much")
        type, inner = packed >> 2, 1 << (packed & 3)
        match type:
            case 0:
                return None
            case 1:
                return self._number(_INTEGERS, at, width)
            case 2:
                return self._number(_UNSIGNED, at, width)
            case 3:
                return self._number(_FLOATS, at, width)
            case 26:
                return bool(self._number(_UNSIGNED, at, width))
        start = at - self._number(_UNSIGNED, at, width)
        match type:
            case 6:
                return self._number(_INTEGERS, start, inner)
            case 7:
                return self._number(_UNSIGNED, start, inner)
            case 8:
                return self._number(_FLOATS, start, inner)
            case 4:
                return self._key(start)
            case 5:
                return _text(self._bytes(start, self._length(start, inner)))
            case 25:
                return self._bytes(start, self._length(start, inner))
            case 9:
                keys_at = start - 3 * inner
                keys_width = self._number(_UNSIGNED, start - 2 * inner, inner)
                keys = self._vector(keys_at - self._number(_UNSIGNED, keys_at, inner), keys_width, _KEY, depth)
                values = self._untyped(start, inner, depth)
                if len(keys) != len(values):
                    self.fail("a map has more keys than values, or fewer")
                return FrozenDict(zip(keys, values, strict=True))
            case 10:
                return self._untyped(start, inner, depth)
        if type in _TYPED:
            return self._vector(start, inner, _TYPED[type], depth)
        if type in _FIXED:
            count, element = _FIXED[type]
            return tuple([self.value(start + i * inner, inner, element << 2, depth + 1) for i in range(count)])
        self.fail(f"it has a value of type {type}")

    def _untyped(self, start: int, width: int, depth: int) -> tuple[Any, ...]:
        length = self._length(start, width)
        types = self._bytes(start + length * width, length)
        return tuple([self.value(start + i * width, width, types[i], depth + 1) for i in range(length)])

    def _vector(self, start: int, width: int, element: int, depth: int) -> tuple[Any, ...]:
        return tuple([self.value(start + i * width, width, element << 2, depth + 1) for i in range(self._length(start, width))])

    def _length(self, start: int, width: int) -> int:
        length = self._number(_UNSIGNED, start - width, width)
        if length > len(self._data):
            self.fail("a vector reaches beyond the end")
        return int(length)

    def _number(self, formats: dict[int, str], at: int, width: int) -> Any:
        if width not in formats or not 0 <= at <= len(self._data) - width:
            self.fail("an offset leads outside it")
        return unpack_from(formats[width], self._data, at)[0]

    def _bytes(self, start: int, length: int) -> bytes:
        if not 0 <= start <= len(self._data) - length:
            self.fail("an offset leads outside it")
        return self._data[start : start + length]

    def _key(self, start: int) -> str:
        end = self._data.find(b"\0", start) if start >= 0 else -1
        if end < 0:
            self.fail("a key has no end")
        return str(_text(self._data[start:end]))


def _text(data: bytes) -> str | bytes:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data
