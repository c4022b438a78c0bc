"""Reads TorchServe archives (``.mar``): the manifest, and the model it names by whichever reader takes that."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from graphlab.capture.archive import Archive
from graphlab.capture.dispatch import reader_of
from graphlab.capture.file import File
from graphlab.errors import FormatError
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.program import Program

READS = "TorchServe archives (.mar)"

_MANIFEST = "MAR-INF/MANIFEST.json"
_DO = "save the model by torch.jit.save, torch.export.save or torch.onnx.export and archive that, or capture it live"


def matches(target: object) -> bool:
    """Whether it is a zip archive with a TorchServe manifest."""
    if not isinstance(target, File) or not target.head.startswith(b"PK\x03\x04"):
        return False
    try:
        names = Archive.open(target).names
    except FormatError:
        return False
    return is_served(names)


def is_served(names: tuple[str, ...]) -> bool:
    """Whether a zip archive of such members has TorchServe's manifest, or a handler."""
    return any(name.startswith("MAR-INF/") for name in names) or any(name.endswith(_HANDLER) and "/" not in name for name in names)


_HANDLER = ("_handler.py", "_service.py")
"""Handlers of archives whose manifest is missing."""


def read(file: File, *, select: str | None = None) -> Program:
    """The model in the archive. Its handler, which TorchServe would run around it, is named and not run.

    Args:
        select: what the model's own reader selects by.
    """
    archive = Archive.open(file)
    manifest = _manifest(file, archive)
    model = manifest.get("model")
    if not isinstance(model, dict):
        raise FormatError(f"read {file.name}", found="its manifest describes no model", do=_DO, where=_MANIFEST)
    handler = _text(model.get("handler")) or "none"
    name = _text(model.get("serializedFile"))
    if not name:
        listed = ", ".join(archive.names[:8])
        raise FormatError(
            f"read {file.name}",
            found=f"it is a handler-only archive: it holds the code of the handler '{handler}' and no serialized model ({listed})",
            do=_DO,
            where=_MANIFEST,
        )
    if name not in archive:
        raise FormatError(f"read {file.name}", found=f"its manifest names the model '{name}', which it does not hold", do=_DO, where=name)
    if archive.size(name) == 0:
        raise FormatError(
            f"read {file.name}", found=f"its model '{name}' is empty: only the handler '{handler}' is there", do=_DO, where=name
        )
    inner = archive.file(name)
    reader = reader_of(inner)
    if reader.__name__ == __name__:
        raise FormatError(f"read {file.name}", found=f"its model '{name}' is a TorchServe archive itself", do=_DO, where=name)
    program: Program = reader.read(inner, select=select)
    known = {
        "model": _text(model.get("modelName")), "model_version": _text(model.get("modelVersion")), "handler": handler,
        "runtime": _text(manifest.get("runtime")), "archiver": _text(manifest.get("archiverVersion")),
    }  # fmt: skip
    return replace(program, meta=FrozenDict({**program.meta, **{f"torchserve_{key}": value for key, value in known.items() if value}}))


def _manifest(file: File, archive: Archive) -> dict[str, Any]:
    if _MANIFEST not in archive:
        listed = ", ".join(archive.names[:8])
        raise FormatError(f"read {file.name}", found=f"a TorchServe archive without its manifest, of {listed}", do=_DO, where=_MANIFEST)
    raw = archive.read(_MANIFEST, limit=1 << 20)
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError) as error:  # ValueError: neither JSON nor text
        raise FormatError(f"read {file.name}", found=f"its manifest is no JSON: {error}", do=_DO, where=_MANIFEST) from error
    if not isinstance(found, dict):
        raise FormatError(f"read {file.name}", found="its manifest is no JSON object", do=_DO, where=_MANIFEST)
    return found


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
