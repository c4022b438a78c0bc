"""A file on its way to a reader: path and first bytes, so that readers can sniff without opening it again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from graphlab.errors import GraphlabError
from graphlab.ir.constants import digest

__all__ = ["HEAD_BYTES", "File", "digest"]

HEAD_BYTES = 4096


@dataclass(frozen=True, slots=True)
class File:
    """A file or directory to be read. ``head`` holds its first bytes (empty for a directory)."""

    path: Path
    head: bytes
    size: int

    @classmethod
    def open(cls, path: str | Path) -> File:
        """Raises GraphlabError where there is no such file or it cannot be read."""
        path = Path(path)
        try:
            if path.is_dir():
                return cls(path, b"", 0)
            with path.open("rb") as stream:
                return cls(path, stream.read(HEAD_BYTES), path.stat().st_size)
        except OSError as error:
            raise GraphlabError(f"read {path}", found=error.strerror or str(error), do="check the path") from error

    @property
    def is_dir(self) -> bool:
        return not self.head and self.path.is_dir()

    def read(self) -> bytes:
        """All bytes. Raises GraphlabError where it cannot be read."""
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise GraphlabError(f"read {self.path}", found=error.strerror or str(error), do="check the path") from error

    def describe(self) -> str:
        """What it looks like, for an error message."""
        if self.is_dir:
            held = next((looks for name, looks in _FOLDERS.items() if (self.path / name).is_file()), None)
            return f"{held}: not read yet" if held else "a directory"
        if not self.head:
            return "an empty file"
        looks = next((looks for pattern, looks in _LOOKS if pattern.match(self.head)), None)
        if looks:
            return f"{looks}: not read yet"
        try:
            text = self.head.decode("utf-8")
        except UnicodeDecodeError:
            return f"{self.size:,} bytes, the first {self.head[:8].hex(' ')}"
        return f"{self.size:,} bytes of text, the first line {text.strip().splitlines()[0][:40]!r}" if text.strip() else "blank text"


# What formats that no reader takes begin with, only to name them in the message. Sources: the formats' own
# file headers; field numbers of onnx.proto (ir_version = 1, producer_name = 2 or graph = 7) and saved_model.proto
# (saved_model_schema_version = 1, meta_graphs = 2). The first that fits counts.
_LOOKS: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.DOTALL), looks)
    for pattern, looks in (
        (rb"PK\x03\x04.{26}(metadata|config)\.json", "a zip archive, perhaps a Keras model (.keras)"),
        (rb"PK\x03\x04.{26}[^/]*/?(archive_format|archive_version|data/|data\.pkl|version|byteorder|\.format_version|models/)",
         "a zip archive, perhaps PyTorch's (.pt, .pt2)"),
        (rb"PK\x03\x04", "a zip archive"),
        (rb"\x1f\x8b", "gzip data"),
        (rb".{4}TFL3", "a TensorFlow Lite model"),
        (rb"\x89HDF\r\n\x1a\n", "HDF5 data, perhaps a Keras model (.h5)"),
        (rb"ML\xefR", "MLIR bytecode, perhaps StableHLO"),
        (rb"\x80[\x02-\x05]", "a Python pickle, perhaps PyTorch's weights"),
        (rb"\x08\x01\x12", "protobuf, perhaps a TensorFlow SavedModel's (saved_model.pb)"),
        (rb"\x08[\x02-\x10][\x12\x3a]", "protobuf, perhaps ONNX"),
        (rb"\s*(//[^\n]*\n\s*|#loc[^\n]*\n\s*)*(module\b\s*(@|\{|attributes\b)|func\.func\b)", "MLIR text, perhaps StableHLO"),
        (rb"\s*#loc", "MLIR text, perhaps StableHLO"),
        (rb"\s*hlo_module\s*\{", "an HloProto as protobuf text"),
        (rb"\s*name:\s*\".*entry_computation_name:", "an HloModuleProto as protobuf text"),
        (rb"\s*node\s*\{", "protobuf text, perhaps a TensorFlow GraphDef"),
        (rb"\s*ir_version:\s*\d", "ONNX as protobuf text"),
        (rb"\s*\{\s*lambda\b", "a jaxpr as text"),
        (rb"\s*graph\(%", "a TorchScript graph as text"),
    )
)  # fmt: skip

_FOLDERS = {"saved_model.pb": "a TensorFlow SavedModel directory", "keras_metadata.pb": "a Keras SavedModel directory"}
