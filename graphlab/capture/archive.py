"""Zip archives as readers see them: names, and members' bytes when they are asked for. Nothing is unpacked to disk."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import BinaryIO, NoReturn, cast

from graphlab.capture.file import File
from graphlab.errors import FormatError, ValueUnavailable

__all__ = ["MEMBER_LIMIT", "Archive"]

MEMBER_LIMIT = 64 << 20
"""Bytes of one member that are decompressed unless the caller allows more: descriptions, not weights."""
_MAX_MEMBERS = 200_000
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")  # zip's APPNOTE 4.3.7; the member's data follow its name and extra field


@dataclass(frozen=True, slots=True)
class Archive:
    """The directory of a zip archive. A name is only a key: ``../x`` leads nowhere.

    Attributes:
        names: of the members, folders left out, in the archive's order.
        comment: the archive's own.
    """

    source: File
    names: tuple[str, ...]
    comment: bytes
    _members: Mapping[str, zipfile.ZipInfo]
    _zip: zipfile.ZipFile

    @classmethod
    def open(cls, file: File) -> Archive:
        """Read the central directory alone.

        Raises:
            FormatError: it is no sound zip archive, or names a member twice.
        """
        asked = f"read {file.name}"
        try:
            opened = zipfile.ZipFile(_stream(file))
        # NotImplementedError: a later version of zip; OverflowError, ValueError: offsets outside the file.
        except (zipfile.BadZipFile, NotImplementedError, OverflowError, ValueError, UnicodeDecodeError, struct.error, OSError) as error:
            raise FormatError(
                asked, found=f"its zip directory is broken: {error}", do="fetch or write the file again", where="its end"
            ) from error
        infos = opened.infolist()
        if len(infos) > _MAX_MEMBERS:
            found = f"it holds {len(infos):,} members; {_MAX_MEMBERS:,} is the most that is read"
            raise FormatError(asked, found=found, do="check the file", where="its zip directory")
        members: dict[str, zipfile.ZipInfo] = {}
        for info in infos:
            if info.is_dir():
                continue
            if info.filename in members:
                raise FormatError(
                    asked, found=f"it holds two members named '{info.filename}'", do="write the archive again", where=info.filename
                )
            members[info.filename] = info
        return cls(file, tuple(members), opened.comment, members, opened)

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def size(self, name: str) -> int:
        """Bytes of a member, as the directory says. Raises FormatError where there is none of that name."""
        return self._info(name).file_size

    def read(self, name: str, *, limit: int = MEMBER_LIMIT) -> bytes:
        """A member's bytes, its checksum checked.

        Raises:
            FormatError: no such member, more bytes than ``limit`` (whatever the directory says), damaged, or encrypted.
        """
        info = self._info(name)
        if info.file_size > limit:
            self._refuse(name, f"it has {info.file_size:,} bytes; {limit:,} is the most that is read of it")
        try:
            with self._zip.open(info) as member:
                data = member.read(info.file_size + 1)
        except (
            zipfile.BadZipFile,
            zlib.error,
            lzma.LZMAError,
            EOFError,
            RuntimeError,
            NotImplementedError,
            ValueError,
            struct.error,
            OSError,
        ) as error:
            self._refuse(name, f"it is damaged: {error}")
        if len(data) != info.file_size:
            self._refuse(name, f"it unpacks to {len(data):,} bytes or more where {info.file_size:,} are announced")
        return data

    def loader(self, name: str, offset: int = 0, length: int | None = None) -> Callable[[], bytes] | bytes:
        """A Constant's data: some of a member's bytes, read when they are asked for.

        Raises:
            FormatError: no such member, or it does not hold that many bytes.
        """
        info = self._info(name)
        length = info.file_size - offset if length is None else length
        if not (offset >= 0 and length >= 0 and offset + length <= info.file_size):
            self._refuse(name, f"{length:,} bytes at {offset:,} are asked for, and it has {info.file_size:,}")
        start = self._start(info)
        if start is not None:
            return self.source.slice(start + offset, length)
        return _Unpack(self, name, offset, length)

    def file(self, name: str, *, limit: int = MEMBER_LIMIT) -> File:
        """A member as a file: an archive within an archive. A stored one is not read, a compressed one is unpacked to memory.

        Raises:
            FormatError: no such member, damaged, encrypted, or compressed and larger than ``limit``.
        """
        info = self._info(name)
        start = self._start(info)
        if start is not None:
            return self.source.part(f"{self.source.name}!{name}", start, info.file_size)
        return File.of(f"{self.source.name}!{name}", self.read(name, limit=limit), path=self.source.path)

    def _info(self, name: str) -> zipfile.ZipInfo:
        info = self._members.get(name)
        if info is None:
            raise FormatError(
                f"read {self.source.name}",
                found=f"it holds no '{name}'",
                do="the archive is incomplete: fetch or write it again",
                where=name,
            )
        return info

    def _start(self, info: zipfile.ZipInfo) -> int | None:
        """Where a stored member's bytes begin in the file; ``None`` for a compressed or encrypted one."""
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 0x1 or info.compress_size != info.file_size:
            return None
        header = bytes(self.source.view()[info.header_offset : info.header_offset + _LOCAL_HEADER.size]) if info.header_offset >= 0 else b""
        if len(header) < _LOCAL_HEADER.size or header[:4] != b"PK\x03\x04":
            self._refuse(info.filename, f"there is no header of it at offset {info.header_offset:,}")
        *_, name_length, extra_length = _LOCAL_HEADER.unpack(header)
        start: int = info.header_offset + _LOCAL_HEADER.size + name_length + extra_length
        if start + info.file_size > self.source.size:
            self._refuse(info.filename, f"its {info.file_size:,} bytes at {start:,} lie beyond the end")
        return start

    def _refuse(self, name: str, found: str) -> NoReturn:
        raise FormatError(f"read '{name}' of {self.source.name}", found=found, do="fetch or write the file again", where=name)


@dataclass(frozen=True, slots=True)
class _Unpack:
    """The loader of a part of a compressed member."""

    archive: Archive
    name: str
    offset: int
    length: int

    def __call__(self) -> bytes:
        try:
            data = self.archive.read(self.name, limit=self.archive.size(self.name))
        except FormatError as error:
            raise ValueUnavailable(error.asked, found=error.found, do=error.do) from error
        return data[self.offset : self.offset + self.length]


class _Stream:
    """The part of a binary file's interface that ``zipfile`` reads with, over a mapped view."""

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._at = 0

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        at = offset + (0, self._at, len(self._view))[whence]
        if at < 0:
            raise OSError(f"offset {at} before its start")
        self._at = at
        return at

    def read(self, size: int = -1) -> bytes:
        end = len(self._view) if size < 0 else self._at + size
        data = bytes(self._view[self._at : end])
        self._at += len(data)
        return data

    def close(self) -> None:
        pass


def _stream(file: File) -> BinaryIO:
    return cast(BinaryIO, _Stream(file.view()))
