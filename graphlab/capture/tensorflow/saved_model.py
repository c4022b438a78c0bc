"""TensorFlow SavedModels: a directory, the ``saved_model.pb`` in it, or a TensorFlow Serving directory of versions.

A SavedModel is a Program with every signature as an entry. ``select`` names a signature (which becomes the entry, alone),
tags where there are several graphs (``serve`` or ``serve,tpu``), or both (``serve,tpu/serving_default``). In a directory of
versions (``NAME/1``, ``NAME/2``) it names a version or ``latest``, and may go on: ``2/serving_default``. Format:
tensorflow/core/protobuf/saved_model.proto and meta_graph.proto.
"""

from __future__ import annotations

import re
from typing import Any

from graphlab.capture.file import File
from graphlab.capture.proto import Parsed
from graphlab.capture.tensorflow.bundle import Bundle, Shard, read_bundle
from graphlab.capture.tensorflow.meta_graph import read_meta_graph, signature_names
from graphlab.capture.tensorflow.schema import SCHEMA
from graphlab.errors import FormatError, SelectError
from graphlab.ir.constants import digest
from graphlab.ir.program import Program, Source

READS = "TensorFlow SavedModels (a directory, its saved_model.pb or .pbtxt, or a TensorFlow Serving directory NAME/1, NAME/2)"

_FILES = ("saved_model.pb", "saved_model.pbtxt")
_CHUNKED = "saved_model.cpb"
_VERSION = re.compile(r"\d{1,18}")
_TEXT = re.compile(rb"(?:\s|#[^\n]*\n)*(?:saved_model_schema_version\s*:\s*\d+\s*)?meta_graphs\s*:?\s*[{<]")
_DIGEST_BYTES = 64 << 20
_INDEX = "variables/variables.index"
_DEBUG = "debug/saved_model_debug_info.pb"


def matches(target: object) -> bool:
    """Whether it is a SavedModel's directory or file, or a directory of its versions."""
    if not isinstance(target, File):
        return False
    if target.is_dir:
        return any(target.has(name) for name in (*_FILES, _CHUNKED)) or bool(versions(target))
    return _TEXT.match(target.head) is not None or _is_binary(target)


def _is_binary(file: File) -> bool:
    # saved_model_schema_version is 1, if it is there; then come the graphs.
    return file.head[:1] in (b"\x08", b"\x12") and SCHEMA.fits("SavedModel", file, needs=("meta_graphs",))


def versions(directory: File) -> tuple[str, ...]:
    """Names of the versions in a TensorFlow Serving directory, lowest first."""
    found = [name for name in directory.entries() if _VERSION.fullmatch(name) and any(directory.has(f"{name}/{file}") for file in _FILES)]
    return tuple(sorted(found, key=lambda name: (int(name), name)))


def read(file: File, *, select: str | None = None) -> Program:
    """The SavedModel's Program; see the module for ``select``.

    Raises:
        FormatError: it is damaged.
        SelectError: several versions or graphs, and ``select`` names none of them; or no such signature.
    """
    if not file.is_dir:
        return _read(file, _parent(file), select)
    main = next((name for name in _FILES if file.has(name)), None)
    if main is not None:
        return _read(file.entry(main), file, select)
    if file.has(_CHUNKED):
        raise FormatError(
            f"read {file.name}",
            found=f"it is split into chunks ({_CHUNKED}), as models above 2 GB are",
            do="load it with tensorflow and export it in the usual form",
            where=_CHUNKED,
        )
    known = versions(file)
    version, _, rest = (select or "").partition("/")
    chosen = known[-1] if version == "latest" else next((name for name in known if name == version), None)
    if chosen is None:
        raise SelectError(
            f"read {file.name}",
            found=f"it holds the versions {', '.join(known)}" + (f", and none is '{version}'" if version else ""),
            do="select a version, or 'latest'",
            names=(*known, "latest"),
        )
    return read(file.entry(chosen), select=rest or None)


def _parent(file: File) -> File | None:
    """The directory of a ``saved_model.pb`` that was given itself; ``None`` for one in memory or in an archive."""
    if file.name != str(file.path) or not file.path.is_file():
        return None
    return File.open(file.path.parent)


def _read(file: File, directory: File | None, select: str | None) -> Program:
    text = _TEXT.match(file.head) is not None
    parsed = SCHEMA.parse_text("SavedModel", file) if text else SCHEMA.parse("SavedModel", file)
    meta, rest = _meta_graph(parsed.message, file, select)
    if rest is not None and rest not in signature_names(meta):
        names = tuple(signature_names(meta))
        raise SelectError(
            f"read '{rest}' of {file.name}",
            found=f"its signatures are {', '.join(names)}" if names else "it has no signatures",
            do="select one of them" if names else "read it without a selection",
            names=names,
        )
    bundle, reason = _bundle(directory)
    version = meta.meta_info_def.tensorflow_version
    source = Source(
        "tensorflow",
        "SavedModel",
        method="read",
        producer=f"tensorflow {version}" if version else "",
        path=file.name if directory is None else directory.name,
        digest=digest(file.read()) if file.size <= _DIGEST_BYTES else None,
    )
    return read_meta_graph(
        parsed, meta, file=file, source=source, bundle=bundle, reason=reason, values=_INDEX, debug=_debug_info(directory), only=rest
    )


def _meta_graph(model: Any, file: File, select: str | None) -> tuple[Any, str | None]:
    """The MetaGraphDef that a selection names, and the signature in it."""
    metas = list(model.meta_graphs)
    if not metas:
        raise FormatError(f"read {file.name}", found="it holds no graph", do="check that the model was written whole", where="meta_graphs")
    if len(metas) == 1:
        tags = _tags(metas[0])
        if select is None or (select == tags and select not in signature_names(metas[0])):
            return metas[0], None
        return metas[0], select.removeprefix(f"{tags}/") if tags else select
    by_tags = {_tags(meta): meta for meta in metas}
    for tags in sorted(by_tags, key=len, reverse=True):
        if select is not None and (select == tags or select.startswith(f"{tags}/")):
            return by_tags[tags], select[len(tags) + 1 :] or None
    raise SelectError(
        f"read {file.name}" if select is None else f"read '{select}' of {file.name}",
        found=f"it holds {len(metas)} graphs, with the tags {'; '.join(by_tags)}",
        do="select one by its tags",
        names=tuple(by_tags),
    )


def _tags(meta: Any) -> str:
    return ",".join(sorted(meta.meta_info_def.tags))


def _bundle(directory: File | None) -> tuple[Bundle | None, str]:
    """The values of the variables, or why there are none."""
    if directory is None or not directory.has(_INDEX):
        return None, f"there is no {_INDEX} beside the graph"
    return read_bundle(directory.entry(_INDEX), shards(directory, "variables/variables")), ""


def shards(directory: File, prefix: str) -> Shard:
    """Opens the data files of a checkpoint."""

    def shard(end: str) -> File | None:
        name = f"{prefix}.{end}"
        return directory.entry(name) if directory.has(name) else None

    return shard


def _debug_info(directory: File | None) -> Any | None:
    if directory is None or not directory.has(_DEBUG):
        return None
    parsed: Parsed = SCHEMA.parse("GraphDebugInfo", directory.entry(_DEBUG))
    return parsed.message
