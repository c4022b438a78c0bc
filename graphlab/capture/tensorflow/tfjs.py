"""TensorFlow.js graph models: ``model.json`` with a GraphDef as JSON, and weights in shards beside it.

The GraphDef is in protobuf's JSON form; its constants have no values: ``weightsManifest`` says, group by group, what lies in
the shards, one tensor behind the other. A quantized weight is given as what it stands for (``scale * q + min``), and its
node's ``meta["stored"]`` says what is in the file. Of the weights, those of a floating-point type that are no scalars are
parameters; the rest (shapes, axes) are constants. Formats: tensorflow/tfjs tfjs-core/src/io/types.ts and io_utils.ts,
https://protobuf.dev/programming-guides/json. Layers models are another reader's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from google.protobuf import json_format

from graphlab.capture.file import File
from graphlab.capture.missing import missing_data
from graphlab.capture.proto import MAX_DEPTH, Parsed
from graphlab.capture.tensorflow.graph_def import Origin
from graphlab.capture.tensorflow.meta_graph import read_meta_graph, signature_names
from graphlab.capture.tensorflow.schema import SCHEMA
from graphlab.capture.tensorflow.values import NUMPY_ITEM
from graphlab.capture.tfjs_weights import Stored
from graphlab.errors import FormatError, SelectError
from graphlab.ir.constants import Constant, digest
from graphlab.ir.frozen import EMPTY, frozen
from graphlab.ir.program import Program, Source
from graphlab.ir.values import TensorType

READS = "TensorFlow.js graph models (a directory with model.json, or the file)"

_MODEL = "model.json"
_MOST_TEXT = 512 << 20
_SNIFFED = 64 << 20
_MOST_DIGITS = 18
_TOPOLOGY = re.compile(rb'"modelTopology"\s*:\s*\{\s*"(?:node|library|versions)"\s*:')
_START = re.compile(rb"\s*\{")
_DTYPES = {"float32", "int32", "bool", "string", "complex64", "uint8", "uint16", "float16", "int8", "int16", "int64", "float64", "uint32"}
_STORED = {"uint8", "uint16", "float16", "int8", "int16", "int32"}
_DEFAULT = "serving_default"
_INITIALIZER = "initializer"


def matches(target: object) -> bool:
    """Whether it is a graph model's ``model.json``, or a directory that has one."""
    if not isinstance(target, File):
        return False
    if target.is_dir:
        return target.has(_MODEL) and matches(target.entry(_MODEL))
    if not _START.match(target.head) or target.size > _SNIFFED:
        return False
    return _TOPOLOGY.search(target.view()) is not None


def read(file: File, *, select: str | None = None) -> Program:
    """The model's Program; ``select`` names its signature.

    Raises:
        FormatError: it is damaged; ``where`` has the line, or the member.
        SelectError: it has no such signature.
    """
    if file.is_dir:
        file = file.entry(_MODEL)
    model = _json(file)
    meta = SCHEMA.new("MetaGraphDef")
    _fill(meta.graph_def, _object(model, "modelTopology", file), "modelTopology", file)
    details = model.get("userDefinedMetadata")
    signature = model.get("signature") or (details.get("signature") if isinstance(details, dict) else None)
    if isinstance(signature, dict) and signature.get("outputs"):
        _fill(meta.signature_def[_DEFAULT], signature, "signature", file)
    extra = None
    if isinstance(model.get("modelInitializer"), dict):
        extra = SCHEMA.new("GraphDef")
        _fill(extra, model["modelInitializer"], "modelInitializer", file)
    names = signature_names(meta)
    if select is not None and select not in names:
        raise SelectError(
            f"read '{select}' of {file.name}",
            found=f"its signatures are {', '.join(names)}" if names else "it has no signature",
            do="read it without a selection",
            names=tuple(names),
        )
    weights, lost = _weights(model.get("weightsManifest", []), file)
    made, by = (model.get(key) if isinstance(model.get(key), str) else "" for key in ("generatedBy", "convertedBy"))
    source = Source(
        "tensorflow",
        "TensorFlow.js graph model",
        method="read",
        producer=", ".join(part for part in (str(by), f"tensorflow {made}" if made else "") if part),
        path=file.name,
        digest=digest(file.read()) if file.size <= _SNIFFED else None,
        notes=missing_data(lost),
    )
    return read_meta_graph(
        Parsed(meta, None, b"\0" * 8),
        meta,
        file=file,
        source=source,
        bundle=None,
        reason="TensorFlow.js models have no checkpoint",
        debug=None,
        only=select,
        known=weights,
        beside={_INITIALIZER: extra} if extra is not None else {},
    )


# ---- the text


def _json(file: File) -> dict[str, Any]:
    try:
        model = json.loads(file.read(_MOST_TEXT))
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise FormatError(f"read {file.name}", found=f"it is no JSON: {error.msg}", do="check the file", where=where) from error
    except UnicodeDecodeError as error:
        raise FormatError(f"read {file.name}", found="it is not UTF-8", do="check the file", where=f"offset {error.start}") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; brackets without end
        raise FormatError(f"read {file.name}", found=f"its JSON cannot be read: {error}"[:200], do="check the file") from error
    if not isinstance(model, dict):
        raise FormatError(f"read {file.name}", found="it is no JSON object", do="check the file")
    return model


def _object(model: Mapping[str, Any], key: str, file: File) -> dict[str, Any]:
    found = model.get(key)
    if not isinstance(found, dict):
        raise FormatError(f"read {file.name}", found=f"'{key}' is no object in it", do="check the file", where=key)
    return found


def _fill(message: Any, value: dict[str, Any], key: str, file: File) -> None:
    try:
        json_format.ParseDict(value, message, ignore_unknown_fields=True, max_recursion_depth=MAX_DEPTH)
    # What the JSON reader raises for values of other types than the schema's, beside its own error.
    except (json_format.ParseError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        found = f"'{key}' is not what its schema says: {str(error).partition(chr(10))[0]}"[:300]
        raise FormatError(f"read {file.name}", found=found, do="check the file", where=key) from error


# ---- the weights


@dataclass(frozen=True, slots=True)
class _Weight:
    """An entry of the manifest."""

    name: str
    type: TensorType
    stored: Stored


def _weights(manifest: Any, file: File) -> tuple[dict[str, Origin], dict[str, tuple[int, str]]]:
    """Node → the constant whose value lies in the shards; shard that is not there → how many it leaves without, and why."""
    found: dict[str, Origin] = {}
    lost: dict[str, tuple[int, str]] = {}
    for number, group in enumerate(manifest if isinstance(manifest, list) else []):
        where = f"weightsManifest[{number}]"
        paths, weights = (group.get(key) for key in ("paths", "weights")) if isinstance(group, dict) else (None, None)
        if not isinstance(paths, list) or not isinstance(weights, list) or not all(isinstance(path, str) for path in paths):
            raise FormatError(f"read {file.name}", found="a group of weights has no paths or no weights", do="check the file", where=where)
        shards = _Shards(paths, file)
        at: int | None = 0
        for entry in weights:
            weight = _weight(entry, where, file)
            value, at = _value(weight, shards, at)
            if not value.available:
                path = shards.lost or next(reversed(paths), "")
                lost[path] = lost.get(path, (0, ""))[0] + 1, value.reason
            trained = weight.type.dims != () and weight.type.dtype.startswith(("float", "bfloat", "complex"))
            role = frozen(role="parameter") if trained else EMPTY
            stored = EMPTY if weight.stored.dtype == weight.type.dtype else frozen(stored=str(weight.stored))
            found[weight.name] = Origin("constant", value=value, attrs=role, meta=stored)
    return found, lost


def _weight(entry: Any, where: str, file: File) -> _Weight:
    if not isinstance(entry, dict):
        raise FormatError(f"read {file.name}", found="a weight is no object", do="check the file", where=where)
    name, shape, dtype = entry.get("name"), entry.get("shape"), entry.get("dtype")
    sizes = shape if isinstance(shape, list) and all(type(d) is int and 0 <= d < 10**_MOST_DIGITS for d in shape) else None
    if not isinstance(name, str) or sizes is None or dtype not in _DTYPES:
        raise FormatError(
            f"read {file.name}",
            found=f"the weight {name!r} has the shape {shape!r} and type {dtype!r}"[:200],
            do="check the file",
            where=where,
        )
    coded = entry.get("quantization")
    if coded is None:
        return _Weight(name, TensorType(dtype, tuple(sizes)), Stored(dtype))
    stored, scale, least = (coded.get(key) for key in ("dtype", "scale", "min")) if isinstance(coded, dict) else (None, None, None)
    sound = stored == "float16" or all(type(value) in (int, float) for value in (scale, least))
    if stored not in _STORED or dtype == "string" or not sound:
        raise FormatError(f"read {file.name}", found=f"the weight '{name}' is quantized in no known way", do="check the file", where=where)
    factor = None if stored == "float16" else _number(scale)
    return _Weight(name, TensorType(dtype, tuple(sizes)), Stored(stored, factor, _number(least) if factor is not None else 0.0))


def _number(value: Any) -> float:
    return float(value) if abs(value) < 1e300 else float("inf")


def _value(weight: _Weight, shards: _Shards, at: int | None) -> tuple[Constant, int | None]:
    """A weight's value and where the next one begins; ``None`` where that cannot be known."""
    kind = weight.type
    if at is None:
        return Constant(kind, None, reason="a string weight before it has a length that cannot be known"), None
    if weight.stored.dtype == "string":
        end = shards.strings_end(at, kind.elements or 0)
        if end is None:
            return Constant(kind, None, reason=shards.missing or "its strings do not lie in the shards"), None
        loader = shards.loader(at, end - at)
        return Constant(kind, lambda: _strings(loader(), kind)), end
    size = prod(d for d in kind.dims or () if isinstance(d, int)) * NUMPY_ITEM[weight.stored.dtype]
    if shards.missing:
        return Constant(kind, None, reason=shards.missing), at + size
    if at + size > shards.size:
        return Constant(kind, None, reason=f"the shards hold {shards.size:,} bytes, and it ends at {at + size:,}"), at + size
    load = shards.loader(at, size)
    nbytes = kind.nbytes
    if weight.stored.dtype == kind.dtype:
        return Constant(kind, load, nbytes=nbytes), at + size
    return Constant(kind, lambda: weight.stored.expanded(load(), kind.dtype), nbytes=nbytes), at + size


def _strings(data: bytes, kind: TensorType) -> bytes:
    texts, at = [], 0
    while at + 4 <= len(data):
        length = int.from_bytes(data[at : at + 4], "little")
        texts.append(repr(data[at + 4 : at + 4 + length].decode("utf-8", "backslashreplace")))
        at += 4 + length
    return (texts[0] if kind.dims == () and texts else f"[{', '.join(texts)}]").encode()


class _Shards:
    """The files of one group, as if they were one. Nothing of them is read before it is asked for."""

    def __init__(self, paths: list[str], model: File) -> None:
        self.missing = self.lost = ""
        self._files: list[File] = []
        directory = File.open(model.path.parent) if model.name == str(model.path) and model.path.is_file() else None
        for path in paths:
            if directory is None or not directory.has(path):
                self.lost, self.missing = path, f"the weights' file '{path}' is not there"
                break
            self._files.append(directory.entry(path))
        self.size = 0 if self.missing else sum(file.size for file in self._files)

    def loader(self, start: int, size: int) -> Callable[[], bytes]:
        """Loads a stretch that lies in them."""
        parts = []
        for file, begin, length in self._parts(start, size):
            parts.append(file.slice(begin, length))

        def load() -> bytes:
            return b"".join(part if isinstance(part, bytes) else part() for part in parts)

        return load

    def strings_end(self, at: int, count: int) -> int | None:
        """Where a string tensor ends: each string has its length in four bytes before it."""
        if self.missing or 4 * count > self.size:
            return None
        for _ in range(count):
            if at + 4 > self.size:
                return None
            at += 4 + int.from_bytes(self.loader(at, 4)(), "little")
        return at if at <= self.size else None

    def _parts(self, start: int, size: int) -> Iterator[tuple[File, int, int]]:
        offset = 0
        for file in self._files:
            begin, end = max(start, offset), min(start + size, offset + file.size)
            if begin < end:
                yield file, begin - offset, end - begin
            offset += file.size


__all__ = ["READS", "matches", "read"]
