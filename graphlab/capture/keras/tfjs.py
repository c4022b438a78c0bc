"""TensorFlow.js layers models: a Keras config in JSON, and a manifest of weights in files beside it.

The manifest: ``[{"paths": [...], "weights": [{"name", "shape", "dtype", "quantization"}]}]``; a group's files follow one another as
one stretch of bytes, in which its weights follow one another (tfjs-core/src/io/types.ts).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn

from graphlab.capture.file import File
from graphlab.capture.keras.config import shape_dims
from graphlab.capture.keras.weights import Weight
from graphlab.capture.tfjs_weights import Stored
from graphlab.errors import FormatError, GraphlabError
from graphlab.ir.constants import Constant
from graphlab.ir.values import TensorType

_KEYS = re.compile(rb'"(modelTopology|class_name|model_config)"\s*:')
_GRAPH = re.compile(rb'"modelTopology"\s*:\s*\{\s*"(node|versions|library)"\s*:')
_DTYPES = ("float32", "int32", "bool", "string", "complex64", "float16", "uint8", "uint16", "int8", "int16", "int64", "uint32")
_QUANTIZED = ("uint8", "uint16", "int8", "int16", "int32")
_SEEN = 1 << 16  # bytes of the file that are looked at to tell it


def is_layers_model(file: File) -> bool:
    """Whether it is JSON with a Keras config in it, by its beginning: a graph model has a GraphDef there, other JSON has neither."""
    head = file.head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not head.startswith(b"{"):
        return False
    seen = bytes(file.view()[:_SEEN])
    keys = {match[1] for match in _KEYS.finditer(seen)}
    if b"modelTopology" in keys:
        return not _GRAPH.search(seen) and b"class_name" in keys
    return b"class_name" in keys and re.match(rb'\{\s*"(class_name|module|config|name|backend|keras_version)"\s*:', head) is not None


def manifest_weights(file: File, manifest: Any) -> tuple[list[Weight], dict[str, int]]:
    """The weights by name, their bytes fetched when asked for; and of files that are not there, how many they leave without.

    Raises:
        FormatError: the manifest is damaged.
    """
    found: list[Weight] = []
    missing: dict[str, int] = {}
    if not isinstance(manifest, list):
        return found, missing
    for group in manifest:
        paths, weights = (group.get("paths"), group.get("weights")) if isinstance(group, dict) else (None, None)
        if not isinstance(paths, list) or not isinstance(weights, list) or not all(isinstance(path, str) for path in paths):
            _fail(file, "a group of weights has no paths or no weights")
        shards: list[File] = []
        lost = ""
        for path in paths:
            shard = _beside(file, path)
            if shard is None:
                lost = lost or path
            else:
                shards.append(shard)
        if lost:
            missing[lost] = missing.get(lost, 0) + len(weights)
        offset = 0
        for weight in weights:
            name, type, stored = _weight(file, weight)
            length = replace(type, dtype=stored.dtype).nbytes
            said = "" if stored.dtype == type.dtype else str(stored)
            if lost or length is None:
                reason = f"the file '{lost}' is not there" if lost else "its size is not known"
                value = Constant(type, None, reason=reason)
            elif said:
                value = Constant(
                    type, partial(_expanded, _piece(file, name, shards, offset, length), stored, type.dtype), nbytes=type.nbytes
                )
            else:
                value = Constant(type, _piece(file, name, shards, offset, length))
            found.append(Weight(name, value, stored=said))
            if length is None:  # a string tensor: where the next one begins is not known
                lost = lost or "behind a tensor of unknown size"
                length = 0
            offset += length
    return found, missing


def _weight(file: File, given: Any) -> tuple[str, TensorType, Stored]:
    """Name, type, and how it lies in the file."""
    if not isinstance(given, dict) or not isinstance(given.get("name"), str):
        _fail(file, "a weight has no name")
    name: str = given["name"]
    dims, dtype = shape_dims(given.get("shape")), given.get("dtype")
    if dims is None or None in dims or dtype not in _DTYPES:
        _fail(file, f"the weight '{name}' has no shape or type")
    type, quantized = TensorType(dtype, dims), given.get("quantization")
    if quantized is None:
        return name, type, Stored(dtype)
    coded, scale, low = (quantized.get(key) for key in ("dtype", "scale", "min")) if isinstance(quantized, dict) else (None, None, None)
    scaled = all(isinstance(number, (int, float)) and abs(number) < 1e300 for number in (scale, low))
    if dtype == "string" or not (coded == "float16" or (coded in _QUANTIZED and scaled)):
        _fail(file, f"the weight '{name}' is quantized in no known way")
    return name, type, Stored("float16") if coded == "float16" else Stored(str(coded), float(scale or 0), float(low or 0))


def _expanded(data: Callable[[], bytes] | bytes, stored: Stored, dtype: str) -> bytes:
    return stored.expanded(data() if callable(data) else data, dtype)


def _piece(file: File, name: str, shards: list[File], offset: int, length: int) -> Callable[[], bytes] | bytes:
    """A loader of some bytes of several files one behind another."""
    pieces: list[Callable[[], bytes] | bytes] = []
    wanted = length
    for shard in shards:
        take = min(length, max(0, shard.size - offset))
        if take:
            pieces.append(shard.slice(offset, take))
        offset, length = max(0, offset - shard.size), length - take
    if length:
        _fail(file, f"the weight '{name}' needs {wanted:,} bytes, and its files end before")
    return pieces[0] if len(pieces) == 1 else partial(_joined, pieces)


def _joined(pieces: list[Callable[[], bytes] | bytes]) -> bytes:
    return b"".join(piece() if callable(piece) else piece for piece in pieces)


def _beside(file: File, path: str) -> File | None:
    """A file by its path from the model's folder; ``None`` where it is not there, or the path leads out."""
    try:
        folder = File.open(file.path.parent)
        return folder.entry(path) if folder.is_dir and folder.has(path) else None
    except GraphlabError:
        return None


def _fail(file: File, found: str) -> NoReturn:
    raise FormatError(
        f"read {file.name}", found=f"its weights manifest is damaged: {found}", do="convert the model again", where="weightsManifest"
    )
