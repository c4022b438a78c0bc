"""What a model says of itself: its converter, and TensorFlow Lite's model metadata."""

from __future__ import annotations

from typing import Any

from graphlab.capture.file import File
from graphlab.capture.tflite.flatbuffer import Buffer, Span, Table
from graphlab.capture.tflite.values import Tensors
from graphlab.errors import FormatError

_TEXT = 64  # metadata up to this many bytes is shown where it is plain text (min_runtime_version)
_MODEL, _CONVERSION = "TFLITE_METADATA", "CONVERSION_METADATA"


def metadata(file: File, model: Table, tensors: Tensors) -> tuple[dict[str, Any], str]:
    """Facts by name, and the program that made the file.

    An entry that is a flatbuffer of its own and is damaged is told by its size alone: the graph does not need it.

    Raises:
        FormatError: an entry names a buffer that is not there.
    """
    found: dict[str, Any] = {}
    producer: str = model["description"] or ""
    for entry in model.tables("metadata"):
        name = entry["name"] or "unnamed"
        span = tensors.stored(entry["buffer"], entry.at)
        if span is None:
            found[name] = "0 bytes"
            continue
        found[name] = _told(model.buffer, span)
        if name not in (_MODEL, _CONVERSION):
            continue
        try:
            inner = Buffer(File.of(f"{file.name}!{name}", model.buffer.bytes(span)))
            if name == _MODEL:
                found[name] = _model(inner.root("ModelMetadata"))
            else:
                environment = inner.root("ConversionMetadata")["environment"]
                version = environment["tensorflow_version"] if environment is not None else None
                if version:
                    producer = f"tensorflow {version}"
        except FormatError:
            continue
    return found, producer


def _told(buffer: Buffer, span: Span) -> str:
    if span.length <= _TEXT:
        data = buffer.bytes(span).rstrip(b"\0")
        if data.isascii() and data.decode("ascii").isprintable() and data:
            return data.decode("ascii")
    return f"{span.length:,} bytes"


def _model(table: Table) -> dict[str, Any]:
    found = {name: table[name] for name in ("name", "description", "version", "author", "license", "min_parser_version") if table[name]}
    for subgraph in table.tables("subgraph_metadata")[:1]:
        for key, field in (("inputs", "input_tensor_metadata"), ("outputs", "output_tensor_metadata")):
            described = tuple(_described(entry) for entry in subgraph.tables(field))
            if described:
                found[key] = described
    files = tuple(entry["name"] or "" for entry in table.tables("associated_files"))
    if files:
        found["files"] = files
    return found


def _described(entry: Table) -> str:
    name, description = entry["name"] or "", entry["description"] or ""
    return f"{name}: {description}" if name and description else name or description
