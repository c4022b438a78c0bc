"""A file on its way to a reader: path and first bytes, so that readers can sniff without opening it again."""

from __future__ import annotations

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
            return "a directory"
        if not self.head:
            return "an empty file"
        try:
            text = self.head.decode("utf-8")
        except UnicodeDecodeError:
            return f"{self.size:,} bytes, the first {self.head[:8].hex(' ')}"
        return f"{self.size:,} bytes of text, the first line {text.strip().splitlines()[0][:40]!r}" if text.strip() else "blank text"
