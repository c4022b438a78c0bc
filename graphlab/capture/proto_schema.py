"""Reads ``.proto`` files into descriptors, as protoc does, for :mod:`graphlab.capture.proto`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from google.protobuf import descriptor_pb2

__all__ = ["SCALARS", "compile_proto"]

_KINDS = descriptor_pb2.FieldDescriptorProto
SCALARS = (
    "int32", "int64", "uint32", "uint64", "sint32", "sint64", "bool", "fixed64", "sfixed64", "double", "fixed32", "sfixed32", "float",
    "string", "bytes",
)  # fmt: skip
_LEXEME = re.compile(r'\s+|//[^\n]*|/\*.*?\*/|(?P<word>[\w.]+|"[^"]*"|[{}\[\]=;<>,\-])', re.DOTALL)


def compile_proto(text: str, name: str) -> descriptor_pb2.FileDescriptorProto:
    """A ``.proto`` file as a descriptor: messages, enums, ``oneof``, ``map``, ``repeated``, ``optional``, ``[packed = …]``, ``reserved``.

    Types are looked up from the innermost message outward, as protoc does. All is read as proto3: ``optional`` fields
    know whether they are there, enums are open (a later version's value is kept as its number), strings must be UTF-8.
    """
    words = [m["word"] for m in _LEXEME.finditer(text) if m["word"]]
    if "".join(words) != re.sub(r"\s+|//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL):
        raise ValueError(f"{name}: a character that no .proto file holds")
    reader = _ProtoReader(words, name)
    return reader.file()


class _ProtoReader:
    def __init__(self, words: list[str], name: str) -> None:
        self._words = words
        self._at = 0
        self._file = descriptor_pb2.FileDescriptorProto(name=name, syntax="proto3")
        self._types: dict[str, Any] = {}
        self._pending: list[tuple[Any, str, str]] = []  # field, its type as written, the scope it is looked up from

    def file(self) -> descriptor_pb2.FileDescriptorProto:
        while self._at < len(self._words):
            word = self._next()
            if word == "syntax":
                self._statement()
            elif word == "package":
                self._file.package = self._statement()[0]
            elif word == "message":
                self._message(self._file.message_type.add(), self._file.package)
            elif word == "enum":
                self._enum(self._file.enum_type.add(), self._file.package)
            else:
                raise ValueError(f"{self._file.name}: '{word}' at the top")
        for field, written, scope in self._pending:
            full = next((key for key in _scopes(scope, written) if key in self._types), None)
            if full is None:
                raise ValueError(f"{self._file.name}: no type '{written}' within '{scope}'")
            field.type, field.type_name = self._types[full], f".{full}"
        return self._file

    def _next(self) -> str:
        word = self._words[self._at]
        self._at += 1
        return word

    def _statement(self) -> list[str]:
        end = self._words.index(";", self._at)
        words, self._at = self._words[self._at : end], end + 1
        return words

    def _message(self, message: Any, scope: str) -> None:
        message.name = self._next()
        full = f"{scope}.{message.name}" if scope else message.name
        self._types[full] = _KINDS.TYPE_MESSAGE
        self._next()
        oneof: int | None = None
        while True:
            word = self._next()
            if word == "}" and oneof is None:
                for field in message.field:
                    if field.proto3_optional:  # a oneof of its own, after the written ones, is how proto3 keeps presence
                        field.oneof_index = len(message.oneof_decl)
                        message.oneof_decl.add(name=f"_{field.name}")
                return
            if word == "}":
                oneof = None
            elif word == "message":
                self._message(message.nested_type.add(), full)
            elif word == "enum":
                self._enum(message.enum_type.add(), full)
            elif word == "oneof":
                oneof = len(message.oneof_decl)
                message.oneof_decl.add(name=self._next())
                self._next()
            elif word == "reserved":
                self._statement()
            else:
                self._field(message, [word, *self._statement()], full, oneof)

    def _field(self, message: Any, words: list[str], scope: str, oneof: int | None) -> None:
        repeated, optional = words[0] == "repeated", words[0] == "optional"
        if words[0] in ("repeated", "optional", "required"):
            words = words[1:]
        if words[0] == "map":  # map < K , V > name = number
            _, _, key, _, value, _, name, _, number = words[:9]
            entry = message.nested_type.add(name="".join(p.capitalize() for p in name.split("_")) + "Entry")
            entry.options.map_entry = True
            self._types[f"{scope}.{entry.name}"] = _KINDS.TYPE_MESSAGE
            self._field(entry, [key, "key", "=", "1"], f"{scope}.{entry.name}", None)
            self._field(entry, [value, "value", "=", "2"], f"{scope}.{entry.name}", None)
            self._field(message, ["repeated", entry.name, name, "=", number], scope, None)
            return
        kind, name, _, number = words[:4]
        field = message.field.add(name=name, number=int(number))
        field.label = _KINDS.LABEL_REPEATED if repeated else _KINDS.LABEL_OPTIONAL
        if oneof is not None:
            field.oneof_index = oneof
        field.proto3_optional = optional
        if kind in SCALARS:
            field.type = getattr(_KINDS, f"TYPE_{kind.upper()}")
        else:
            self._pending.append((field, kind, scope))

    def _enum(self, enum: Any, scope: str) -> None:
        enum.name = self._next()
        self._types[f"{scope}.{enum.name}" if scope else enum.name] = _KINDS.TYPE_ENUM
        self._next()
        while (word := self._next()) != "}":
            words = [word, *self._statement()]
            if word not in ("reserved", "option"):
                enum.value.add(name=word, number=int("".join(words[2:4]) if words[2] == "-" else words[2]))


def _scopes(scope: str, written: str) -> Iterator[str]:
    parts = scope.split(".") if scope else []
    while parts:
        yield ".".join((*parts, written))
        parts.pop()
    yield written
