"""Reader of ONNX models: binary, ONNX's own text syntax, protobuf's text form, protobuf's JSON.

Nothing of the ``onnx`` package is needed: the messages' schema is in ``onnx.proto`` here, the text syntax's grammar in ``text.py``.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from graphlab.capture import proto
from graphlab.capture.file import File
from graphlab.capture.proto import Schema
from graphlab.ir.program import Program

READS = "ONNX models (binary, .onnxtxt, protobuf text, JSON)"

_SCHEMA = Path(__file__).parent / "onnx.proto"


def matches(target: object) -> bool:
    """Whether it is a file that holds an ONNX model in one of the four forms."""
    return isinstance(target, File) and _form(target) is not None


def read(file: File, *, select: str | None = None) -> Program:
    """Read a model. Its graph is the entry; training graphs are signatures beside it.

    Raises:
        FormatError: it is not sound.
        SelectError: ``select`` names no graph that can be entered.
    """
    from graphlab.capture.collection import no_collection
    from graphlab.capture.select import chosen

    with no_collection():
        program = _program(file)
    if select is None:
        return program
    names = tuple(program.signatures)
    entry = names[chosen(names, select, file=file, what="graphs")]
    return replace(program, entry=program.signatures[entry].graph)


def _program(file: File) -> Program:
    from graphlab.capture.onnx import model

    form = _form(file)
    plain = proto.load(_SCHEMA)
    if form == "text":
        from graphlab.capture.onnx.text import parse

        return model.program(parse(file, plain), file, plain, packed=False, format="onnx text")
    if form == "protobuf text":
        return model.program(plain.parse_text("ModelProto", file), file, plain, packed=False, format="onnx protobuf text")
    if form == "json":
        from graphlab.capture.onnx.json_form import parse as parse_json

        return model.program(parse_json(file, plain), file, plain, packed=False, format="onnx JSON")
    return model.program(_packed().parse("ModelProto", file), file, plain, packed=True)


def _form(file: File) -> str | None:
    from graphlab.capture.onnx.forms import text_form

    if file.is_dir or not file.head:
        return None
    found = text_form(file)
    if found is None and file.head[:1] in _FIRST_BYTES and proto.load(_SCHEMA).fits("ModelProto", file, needs=("graph",)):
        found = "binary"
    return found


# The tags a ModelProto may begin with: its fields' numbers and wire types.
_FIRST_BYTES = frozenset(
    bytes([number << 3 | wire])
    for number, wire in ((1, 0), (2, 2), (3, 2), (4, 2), (5, 0), (6, 2), (7, 2), (8, 2), (14, 2))
) | {b"\xa2", b"\xca", b"\xd2"}  # fmt: skip


@cache
def _packed() -> Schema:
    """The schema of a binary file: numbers that are packed into one stretch of bytes are left in it."""
    from graphlab.capture.onnx.tensors import PACKED_FIELDS

    text = _SCHEMA.read_text(encoding="utf-8")
    for plain, packed in PACKED_FIELDS.items():
        text = text.replace(plain, packed)
    return Schema(text, "onnx_packed.proto")
