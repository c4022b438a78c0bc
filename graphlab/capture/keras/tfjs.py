"""TensorFlow.js layers models: a Keras config in JSON, and a manifest of weights in files beside it.

The manifest: ``[{"paths": [...], "weights": [{"name", "shape", "dtype", "quantization"}]}]``; a group's files follow one another as
one stretch of bytes, in which its weights follow one another (tfjs-core/src/io/types.ts).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from graphlab.capture.file import File
from graphlab.capture.keras.config import shape_dims
from graphlab.errors import FormatError, GraphlabError
from graphlab.ir.constants import Constant
from graphlab.ir.values import Quantization, TensorType

_KEYS = re.compile(rb'"(modelTopology|class_name|model_config)"\s*:')
_GRAPH = re.compile(rb'"modelTopology"\s*:\s*\{\s*"(node|versions|library)"\s*:')
_DTYPES = ("float32", "int32", "bool", "string", "complex64", "float16", "uint8", "uint16", "int8", "int16", "int64", "uint32")
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


def manifest_weights(file: File, manifest: Any) -> tuple[list[tuple[str, Constant]], list[str]]:
    """The weights by name, their bytes fetched when asked for; and the names of files that are not there.

    Raises:
        FormatError: the manifest is damaged.
    """
    found: list[tuple[str, Constant]] = []
    missing: list[str] = []
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
                missing.append(path)
            else:
                shards.append(shard)
        offset = 0
        for weight in weights:
            name, type, length = _weight(file, weight)
            if lost or length is None:
                reason = f"the file '{lost}' is not there" if lost else "its size is not known"
                found.append((name, Constant(type, None, reason=reason)))
            else:
                found.append((name, Constant(type, _piece(file, name, shards, offset, length))))
            if length is None:  # a string tensor: where the next one begins is not known
                lost = lost or "behind a tensor of unknown size"
                length = 0
            offset += length
    return found, missing


def _weight(file: File, given: Any) -> tuple[str, TensorType, int | None]:
    """Name, type as stored, and bytes."""
    if not isinstance(given, dict) or not isinstance(given.get("name"), str):
        _fail(file, "a weight has no name")
    name: str = given["name"]
    dims, dtype = shape_dims(given.get("shape")), given.get("dtype")
    if dims is None or None in dims or dtype not in _DTYPES:
        _fail(file, f"the weight '{name}' has no shape or type")
    quantized = given.get("quantization")
    kind = TensorType(dtype, dims)
    if isinstance(quantized, dict) and quantized.get("dtype") in _DTYPES:
        scale, low = quantized.get("scale"), quantized.get("min")
        how = None
        if isinstance(scale, (int, float)) and isinstance(low, (int, float)) and scale:
            zero = -low / scale  # real = scale * stored + min, and min is a whole number of steps
            how = Quantization((float(scale),), (round(zero) if abs(zero) < 1 << 31 else 0,), expressed=dtype)
        kind = TensorType(quantized["dtype"], dims, quantization=how)
    return name, kind, kind.nbytes


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
