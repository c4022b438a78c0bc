"""A model in protobuf's JSON form, as ``onnx.save(..., format="json")`` writes it."""

from __future__ import annotations

import re
import secrets

from google.protobuf import json_format

from graphlab.capture.file import File
from graphlab.capture.proto import MAX_DEPTH, Parsed, Schema
from graphlab.errors import FormatError

_LIMIT = 256 << 20
_MARK = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)

_PLACE = re.compile(r"line (\d+) column (\d+)")


def parse(file: File, schema: Schema) -> Parsed:
    """The ModelProto that a file holds as JSON. Raises FormatError."""
    asked = f"read {file.name} as the JSON of an ONNX model"
    try:
        text = file.read(_LIMIT).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(asked, found="it is not UTF-8", do="check the file", where=f"offset {error.start}") from error
    if _depth(text) > 2 * MAX_DEPTH:
        raise FormatError(asked, found=f"it nests more than {2 * MAX_DEPTH} deep", do="check the file", where="the document")
    message = schema.new("ModelProto")
    try:
        json_format.Parse(text, message, ignore_unknown_fields=True, max_recursion_depth=MAX_DEPTH)
    except json_format.ParseError as error:
        place = _PLACE.search(str(error))
        where = f"{file.name}:{place[1]}:{place[2]}" if place else "the document"
        raise FormatError(asked, found=str(error).partition("\n")[0][:200], do="check the file", where=where) from error
    except (ValueError, TypeError, OverflowError, RecursionError, AttributeError) as error:  # values of other types than the schema's
        found = f"a value in it is of the wrong kind: {error}"[:200]
        raise FormatError(asked, found=found, do="check the file", where="the document") from error
    return Parsed(message, None, secrets.token_bytes(8))


def _depth(text: str) -> int:
    depth = deepest = 0
    for mark in _MARK.finditer(text):
        if mark[0] in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif mark[0] in "]}":
            depth -= 1
    return deepest
