"""A file on its way to a reader: its first bytes to sniff at, its content mapped, its parts by lazy loaders."""

from __future__ import annotations

import mmap
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from graphlab.errors import FormatError, GraphlabError, ValueUnavailable

__all__ = ["HEAD_BYTES", "READ_LIMIT", "File", "Slice"]

HEAD_BYTES = 4096
READ_LIMIT = 4 << 30
"""Bytes that :meth:`File.read` takes into memory at most: what a format has to have whole is text or a message, not weights."""


@dataclass(frozen=True, slots=True)
class Slice:
    """The loader of a part of a file: opens the file when it is called.

    It refuses a file whose size or time of change is no longer what it was when the file was opened.
    """

    path: Path
    offset: int
    length: int
    stamp: tuple[int, int]

    def __call__(self) -> bytes:
        """Raises ValueUnavailable where the file is gone or has changed."""
        asked, do = f"fetch {self.length:,} bytes at {self.offset:,} of {self.path}", "read the file again"
        try:
            with self.path.open("rb") as stream:
                if _stamp(os.fstat(stream.fileno())) != self.stamp:
                    raise ValueUnavailable(asked, found="it has changed since it was read", do=do)
                stream.seek(self.offset)
                data = stream.read(self.length)
        except OSError as error:
            raise ValueUnavailable(asked, found=error.strerror or str(error), do=do) from error
        if len(data) != self.length:
            raise ValueUnavailable(asked, found="it ends before them", do=do)
        return data


@dataclass(frozen=True, slots=True)
class File:
    """A file or directory to be read, or a member of an archive.

    Attributes:
        path: the file on disk that holds it.
        head: its first bytes (empty for a directory).
        size: in bytes.
        name: how messages call it: the path; ``outer.mar!model.pt`` for a member.
    """

    path: Path
    head: bytes
    size: int
    name: str
    _data: bytes | None = field(default=None, repr=False)  # where it is not on disk as it is
    _offset: int = 0  # of its first byte in the file at `path`
    _stamp: tuple[int, int] = (0, 0)

    @classmethod
    def open(cls, path: str | Path) -> File:
        """Raises GraphlabError where there is no such file, or it cannot be read, or it is a pipe or a device."""
        path = Path(path)
        try:
            status = path.stat()
            if stat.S_ISDIR(status.st_mode):
                return cls(path, b"", 0, str(path))
            if not stat.S_ISREG(status.st_mode):
                raise GraphlabError(f"read {path}", found="it is neither a file nor a directory", do="save its content to a file first")
            with path.open("rb") as stream:
                return cls(path, stream.read(HEAD_BYTES), status.st_size, str(path), _stamp=_stamp(status))
        except (OSError, ValueError) as error:  # ValueError: a null byte in the path
            raise GraphlabError(f"read {path}", found=getattr(error, "strerror", None) or str(error), do="check the path") from error

    @classmethod
    def of(cls, name: str, data: bytes, *, path: Path | None = None) -> File:
        """Bytes in memory as a file. ``path`` is the file on disk they came out of, where there is one."""
        return cls(path or Path(name), data[:HEAD_BYTES], len(data), name, _data=data)

    @property
    def is_dir(self) -> bool:
        return not self.head and self._data is None and self.path.is_dir()

    def part(self, name: str, offset: int, length: int) -> File:
        """A stretch of it as a file of its own, nothing read but its head: a stored member of an archive.

        Raises:
            FormatError: it does not hold that many bytes.
        """
        self._check(offset, length)
        if self._data is not None:
            return File.of(name, self._data[offset : offset + length], path=self.path)
        head = bytes(self.view()[offset : offset + min(length, HEAD_BYTES)])
        return File(self.path, head, length, name, _offset=self._offset + offset, _stamp=self._stamp)

    def read(self, limit: int | None = None) -> bytes:
        """All bytes.

        Args:
            limit: refuse more than this many; :data:`READ_LIMIT` without it.

        Raises:
            FormatError: it is larger than that.
            GraphlabError: it cannot be read.
        """
        most = READ_LIMIT if limit is None else limit
        if self.size > most:
            raise FormatError(
                f"read {self.name}",
                found=f"it has {self.size:,} bytes; {most:,} is the most that is read of such a file",
                do="check the file",
            )
        return self._data if self._data is not None else bytes(self.view())

    def view(self) -> memoryview:
        """All bytes, mapped: nothing is read before it is touched. Raises GraphlabError where it cannot be read."""
        if self._data is not None:
            return memoryview(self._data)
        if not self.size:
            return memoryview(b"")
        try:
            with self.path.open("rb") as stream:
                if _stamp(os.fstat(stream.fileno())) != self._stamp:
                    raise GraphlabError(f"read {self.name}", found="it changed while it was being read", do="read it again")
                mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise GraphlabError(f"read {self.name}", found=error.strerror or str(error), do="check the path") from error
        return memoryview(mapped)[self._offset : self._offset + self.size]

    def slice(self, offset: int, length: int) -> Slice | bytes:
        """A loader of some of its bytes, for a Constant; the bytes themselves where the file is in memory.

        Raises:
            FormatError: it does not hold that many.
        """
        self._check(offset, length)
        if self._data is not None:
            return self._data[offset : offset + length]
        return Slice(self.path, self._offset + offset, length, self._stamp)

    def entries(self) -> tuple[str, ...]:
        """The names in a directory, sorted. Raises GraphlabError where it cannot be read."""
        try:
            return tuple(sorted(os.listdir(self.path)))
        except OSError as error:
            raise GraphlabError(f"list {self.name}", found=error.strerror or str(error), do="check the path") from error

    def has(self, name: str) -> bool:
        """Whether a directory holds a file or folder of that name, within itself."""
        return self._inside(name) is not None

    def entry(self, name: str) -> File:
        """A file or folder in a directory, by its path from there.

        Raises:
            FormatError: that path, or a link on it, leads out of the directory, or nothing is there.
            GraphlabError: it cannot be read.
        """
        path = self._inside(name)
        if path is None:
            raise FormatError(
                f"read '{name}' of {self.name}",
                found="there is no such file within that directory",
                do="check that the directory is complete",
            )
        return File.open(path)

    def _inside(self, name: str) -> Path | None:
        try:
            path = self.path / name
            within = path.resolve().is_relative_to(self.path.resolve())
            return path if within and path.exists() else None
        except (OSError, ValueError, RuntimeError):  # a name too long, a null byte in it, a circle of links
            return None

    def _check(self, offset: int, length: int) -> None:
        if not (offset >= 0 and length >= 0 and offset + length <= self.size):
            raise FormatError(
                f"read {self.name}",
                found=f"it asks for {length:,} bytes at {offset:,}, and has {self.size:,}",
                do="the file is damaged or cut short: fetch or write it again",
                where=f"offset {offset}",
            )


def _stamp(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns
