"""Protobuf messages without generated code: schemas from ``.proto`` files of our own, large bytes left where they are.

A schema is a ``.proto`` file beside its reader, which holds names, numbers and types of the fields the
reader needs (protobuf skips the others). It goes into a descriptor pool of its own, so it never meets the
classes a framework registers. Parsing is the protobuf library's; what is ours is that a bytes field above
:data:`LARGE` is cut out of the message first (:class:`Parsed` says where it lies), so that a file's weights
are not read, and :meth:`Schema.fits`: any protobuf parses as almost any message, so a reader must look at
the wire before it says that a file is its.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf.message import DecodeError

from graphlab.capture.file import File, Slice
from graphlab.capture.proto_schema import compile_proto
from graphlab.errors import FormatError

__all__ = ["LARGE", "MAX_DEPTH", "Parsed", "Schema", "load", "varint"]

LARGE = 64 << 10
"""Bytes fields above this stay in the file."""
MAX_DEPTH = 100
"""Messages within messages, as protobuf's own limit."""
_TEXT_LIMIT = 256 << 20
_TOKEN = 24  # bytes that stand for a field cut out: 8 of a nonce, 8 of its offset, 8 of its length

# Wire types: https://protobuf.dev/programming-guides/encoding/
_VARINT, _I64, _LEN, _START, _END, _I32 = range(6)
_SCALAR_WIRE = {
    **dict.fromkeys(("int32", "int64", "uint32", "uint64", "sint32", "sint64", "bool"), _VARINT),
    **dict.fromkeys(("fixed64", "sfixed64", "double"), _I64),
    **dict.fromkeys(("fixed32", "sfixed32", "float"), _I32),
    "string": _LEN,
    "bytes": _LEN,
}


@dataclass(frozen=True, slots=True)
class Parsed:
    """A message and its file.

    Attributes:
        message: the protobuf message; a large bytes field in it holds a token, which :meth:`data` turns into its bytes.
    """

    message: Any
    _file: File | None
    _nonce: bytes

    def data(self, field: bytes) -> bytes | Slice:
        """A bytes field's value, or the loader of it where it was left in the file: what a Constant takes."""
        at = self._cut(field)
        return field if at is None or self._file is None else self._file.slice(*at)

    def nbytes(self, field: bytes) -> int:
        """The length of a bytes field, in the file."""
        at = self._cut(field)
        return len(field) if at is None else at[1]

    def read(self, field: bytes) -> bytes:
        """A bytes field's value, fetched."""
        data = self.data(field)
        return data if isinstance(data, bytes) else data()

    def _cut(self, field: bytes) -> tuple[int, int] | None:
        if len(field) != _TOKEN or not field.startswith(self._nonce):
            return None
        return int.from_bytes(field[8:16], "little"), int.from_bytes(field[16:24], "little")


@dataclass(frozen=True, slots=True)
class _Field:
    """What the wire says of a field: its number's wire type, and the message within it."""

    name: str
    wire: int
    message: str | None  # its type's full name, where it is a message
    is_bytes: bool
    is_text: bool
    packable: bool


class Schema:
    """The messages of one ``.proto`` file."""

    def __init__(self, text: str, name: str) -> None:
        """Raises ValueError where the text is not of the language that ``compile_proto`` reads: a defect of ours."""
        proto = compile_proto(text, name)
        pool = descriptor_pool.DescriptorPool()
        pool.Add(proto)
        self.package = proto.package
        self._classes = message_factory.GetMessageClassesForFiles([name], pool)
        self._fields = {key: _fields(cls.DESCRIPTOR) for key, cls in _nested(self._classes)}

    def new(self, message: str) -> Any:
        """An empty message, by its name in the schema."""
        return self._class(message)()

    def parse(self, message: str, file: File) -> Parsed:
        """Parse a file's bytes; large bytes fields are left in it.

        Raises:
            FormatError: they are not of that message's form, or nest deeper than :data:`MAX_DEPTH`.
        """
        nonce = secrets.token_bytes(8)
        view = file.view()
        if len(view) > LARGE:
            parts = list(self._without_large(self._key(message), view, nonce, file))
            data = b"".join(parts)
        else:
            data = bytes(view)
        return Parsed(self._decode(message, data, file), file, nonce)

    def parse_bytes(self, message: str, data: bytes, file: File) -> Any:
        """Parse bytes that came out of a file (a message packed in another). Returns the message. Raises FormatError as :meth:`parse`."""
        return self._decode(message, data, file)

    def parse_text(self, message: str, file: File) -> Parsed:
        """Parse a file that holds the message in protobuf's text form; fields the schema lacks are skipped.

        Raises:
            FormatError: it is not of that form; ``where`` has line and column.
        """
        asked = f"read {file.name} as the text of {message}"
        try:
            text = file.read(_TEXT_LIMIT).decode("utf-8")
        except UnicodeDecodeError as error:
            raise FormatError(asked, found="it is not UTF-8", do="check the file", where=f"offset {error.start}") from error
        depth, line = _text_depth(text)
        if depth > MAX_DEPTH:
            found = f"its messages nest {depth} deep; {MAX_DEPTH} is the most that is read"
            raise FormatError(asked, found=found, do="check the file", where=f"line {line}")
        parsed = self.new(message)
        try:
            text_format.Parse(text, parsed, allow_unknown_field=True)
        except text_format.ParseError as error:
            line, column = error.GetLine(), error.GetColumn()
            where = message if line is None else f"line {line}, column {column}"
            found = re.sub(r"^\d+:\d+ : ", "", str(error)).partition("\n")[0][:200]
            raise FormatError(asked, found=found, do="check the file", where=where) from error
        # The pure-Python tokenizer lets these through for numbers out of range and stray surrogates.
        except (ValueError, UnicodeError, OverflowError, IndexError) as error:
            raise FormatError(asked, found=f"a value in it is out of range: {error}"[:200], do="check the file", where=message) from error
        return Parsed(parsed, None, secrets.token_bytes(8))

    def fits(self, message: str, file: File, *, needs: tuple[str, ...] = (), unknown: float = 0.05) -> bool:
        """Whether a file's bytes look like that message: the whole wire at the top and a sample below it.

        Args:
            needs: fields of which at least one is there.
            unknown: the share of bytes in fields the schema does not have (a later version's) that is still taken for it.
        """
        view = file.view()
        if not len(view):
            return False
        seen: set[str] = set()
        lost = self._lost(self._key(message), view, 0, len(view), seen, 0, [4_000])
        return lost is not None and lost <= unknown * len(view) and (not needs or any(name in seen for name in needs))

    def _lost(self, key: str, view: memoryview, start: int, end: int, seen: set[str] | None, depth: int, budget: list[int]) -> int | None:
        """Bytes of a message that lie in fields unknown to the schema; ``None`` where the wire is not that message's."""
        fields, lost = self._fields[key], 0
        for number, wire, at, begin, stop in _walk(view, start, end):
            if number == 0:
                return None
            budget[0] -= 1
            field = fields.get(number)
            if field is None:
                lost += stop - at
            elif wire != field.wire and not (wire == _LEN and field.packable):
                return None
            else:
                if seen is not None:
                    seen.add(field.name)
                if field.is_text and not _is_text(view[begin : min(stop, begin + 256)], cut=stop - begin > 256):
                    return None
                if field.message is not None and depth < 6 and budget[0] > 0 and field.message in self._fields:
                    inner = self._lost(field.message, view, begin, stop, None, depth + 1, budget)
                    if inner is None:
                        return None
                    lost += inner
            if seen is None and budget[0] <= 0:  # enough seen; the top is walked to its end
                break
        return lost

    def _without_large(self, key: str, view: memoryview, nonce: bytes, file: File) -> Iterator[bytes | memoryview]:
        """The message's bytes with tokens in place of its large bytes fields."""
        parts, _ = self._cut(key, view, 0, len(view), nonce, file, 0)
        yield from parts

    def _cut(
        self, key: str, view: memoryview, start: int, end: int, nonce: bytes, file: File, depth: int
    ) -> tuple[list[bytes | memoryview], int]:
        """A message's bytes in parts, large fields cut out, and the length of all."""
        if depth > MAX_DEPTH:
            raise FormatError(
                f"read {file.name}", found=f"its messages nest deeper than {MAX_DEPTH}", do="check the file", where=f"offset {start}"
            )
        fields = self._fields[key]
        parts: list[bytes | memoryview] = []
        kept, size = start, 0  # up to where the view was taken over
        for number, wire, at, begin, stop in _walk(view, start, end):
            if number == 0:
                raise FormatError(
                    f"read {file.name}",
                    found="its fields do not end where it does",
                    do="the file is damaged or cut short",
                    where=f"offset {at}",
                )
            field = fields.get(number)
            if field is None or wire != _LEN or stop - begin <= LARGE:
                continue
            if field.is_bytes:
                token = nonce + begin.to_bytes(8, "little") + (stop - begin).to_bytes(8, "little")
                inner: list[bytes | memoryview] = [token]
                length = _TOKEN
            elif field.message is not None and field.message in self._fields:
                inner, length = self._cut(field.message, view, begin, stop, nonce, file, depth + 1)
                if length == stop - begin:
                    continue
            else:
                continue
            tag = varint(number << 3 | _LEN) + varint(length)
            parts += (view[kept:at], tag, *inner)
            size += at - kept + len(tag) + length
            kept = stop
        parts.append(view[kept:end])
        return parts, size + end - kept

    def _decode(self, message: str, data: bytes, file: File) -> Any:
        parsed = self.new(message)
        try:
            parsed.ParseFromString(data)
        except DecodeError as error:
            raise FormatError(
                f"read {file.name}",
                found=f"its bytes are not those of a {message}: {str(error).partition(chr(10))[0][:200]}",
                do="the file is damaged or cut short: fetch or write it again",
                where="offset 0",
            ) from error
        return parsed

    def _key(self, message: str) -> str:
        return f"{self.package}.{message}" if self.package else message

    def _class(self, message: str) -> Any:
        return self._classes[self._key(message)]


@cache
def load(path: Path) -> Schema:
    """The schema in a ``.proto`` file of the package."""
    return Schema(path.read_text(encoding="utf-8"), path.name)


def _nested(classes: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    work = list(classes.values())
    while work:
        cls = work.pop()
        yield cls.DESCRIPTOR.full_name, cls
        work.extend(message_factory.GetMessageClass(inner) for inner in cls.DESCRIPTOR.nested_types)


def _fields(descriptor: Any) -> dict[int, _Field]:
    found = {}
    for field in descriptor.fields:
        wire = _WIRES[field.type]
        inner = field.message_type.full_name if field.message_type is not None and wire == _LEN else None
        found[field.number] = _Field(
            field.name,
            wire,
            inner,
            field.type == field.TYPE_BYTES,
            field.type == field.TYPE_STRING,
            field.is_repeated and wire != _LEN,
        )
    return found


_KINDS = descriptor_pb2.FieldDescriptorProto
_WIRES = {
    **{getattr(_KINDS, f"TYPE_{name.upper()}"): wire for name, wire in _SCALAR_WIRE.items()},
    _KINDS.TYPE_ENUM: _VARINT,
    _KINDS.TYPE_MESSAGE: _LEN,
    _KINDS.TYPE_GROUP: _START,
}


def _walk(view: memoryview, start: int, end: int) -> Iterator[tuple[int, int, int, int, int]]:
    """The fields of a message on the wire: number, wire type, where its tag, its content begin, and where that ends.

    Number 0 stands for the place where the bytes are no message's; nothing follows it.
    """
    at = start
    while at < end:
        tag = view[at]
        begin = at + 1
        if tag >= 0x80:
            tag, begin = _read_varint(view, at, end)
        number, wire = tag >> 3, tag & 7
        stop = -1
        if wire == _LEN:
            length, begin = _read_varint(view, begin, end)
            stop = begin + length
        elif wire == _VARINT:
            _, stop = _read_varint(view, begin, end)
        elif wire == _I32:
            stop = begin + 4
        elif wire == _I64:
            stop = begin + 8
        elif wire == _START:
            stop = _group_end(view, begin, end, number)
        if begin < 0 or not begin <= stop <= end or not 0 < number < 1 << 29:
            yield 0, wire, at, at, at
            return
        yield number, wire, at, begin, stop
        at = stop


def _group_end(view: memoryview, start: int, end: int, number: int) -> int:
    """Where a group's closing tag ends, -1 where it has none; groups are long deprecated and come up in junk alone."""
    open_groups, at = [number], start
    while at < end and open_groups:
        tag, at = _read_varint(view, at, end)
        if at < 0:
            return -1
        wire = tag & 7
        if wire == _START:
            open_groups.append(tag >> 3)
            if len(open_groups) > MAX_DEPTH:
                return -1
        elif wire == _END:
            if open_groups.pop() != tag >> 3:
                return -1
        elif wire == _LEN:
            length, at = _read_varint(view, at, end)
            at = -1 if at < 0 else at + length
        elif wire == _VARINT:
            _, at = _read_varint(view, at, end)
        elif wire in (_I32, _I64):
            at += 4 if wire == _I32 else 8
        else:
            return -1
        if at < 0:
            return -1
    return -1 if open_groups or at > end else at


def _read_varint(view: memoryview, at: int, end: int) -> tuple[int, int]:
    """A varint and where it ends; the end is -1 where there is none."""
    if at < 0:
        return 0, -1
    value, shift = 0, 0
    while at < end and shift < 70:
        byte = view[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
    return 0, -1


def varint(value: int) -> bytes:
    """A number as protobuf writes it, seven bits a byte."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _is_text(view: memoryview, *, cut: bool) -> bool:
    data = bytes(view)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        if not (cut and error.start > len(data) - 4):
            return False
        text = data[: error.start].decode("utf-8")
    return not any(c < " " and c not in "\t\n\r\f\x1b" for c in text)


def _text_depth(text: str) -> tuple[int, int]:
    """How deep messages nest in a text, strings and comments left out, and the line where they are deepest."""
    depth = deepest = at = 0
    for mark in re.finditer(r"""[{}<>\[\]]|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|#[^\n]*""", text):
        if mark[0] in "{<[":
            depth += 1
            if depth > deepest:
                deepest, at = depth, mark.start()
        elif mark[0] in "}>]":
            depth -= 1
    return deepest, text.count("\n", 0, at) + 1
