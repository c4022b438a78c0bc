"""Reader of TensorFlow Lite (LiteRT) models: a flatbuffer, or a bundle of several.

The format: tensorflow/compiler/mlir/lite/schema/schema.fbs, versions 3 to 3d.
"""

from __future__ import annotations

from collections.abc import Iterator

from graphlab.capture.archive import Archive
from graphlab.capture.file import File
from graphlab.capture.select import chosen
from graphlab.capture.tflite.model import looks_like_model, read_model
from graphlab.errors import FormatError
from graphlab.ir.program import Program

READS = "TensorFlow Lite / LiteRT models (.tflite, .task)"

_ZIP = b"PK\x03\x04"


def matches(target: object) -> bool:
    if not isinstance(target, File) or target.is_dir:
        return False
    return next(_members(target), None) is not None if target.head.startswith(_ZIP) else looks_like_model(target)


def read(file: File, *, select: str | None = None) -> Program:
    """The model; of a bundle, the one that ``select`` names. In a model, ``select`` names the signature or subgraph to enter by.

    Raises:
        FormatError: it is damaged, or of a version before 3.
        SelectError: a bundle holds several models.
    """
    if not file.head.startswith(_ZIP):
        return read_model(file, select=select)
    names = list(_members(file))
    return read_model(Archive.open(file).file(names[chosen(names, select, file=file, what="models")]))


def _members(file: File) -> Iterator[str]:
    """The models in a zip archive, as MediaPipe's .task bundles hold them: by their names, then by their content."""
    try:
        archive = Archive.open(file)
    except FormatError:
        return
    for name in archive.names:
        if name.endswith(".tflite") or ("." not in name and "/" not in name):
            try:
                if looks_like_model(archive.file(name)):
                    yield name
            except FormatError:  # one that is damaged, or compressed and large
                continue
