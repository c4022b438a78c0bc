"""An HDF5 file's bytes, every read of them checked and counted.

The format: https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html. Numbers are little-endian; the widths of
addresses and lengths are the superblock's; addresses count from its base.
"""

from __future__ import annotations

from typing import NoReturn

from graphlab.capture.file import File
from graphlab.errors import FormatError

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_READ_AGAIN = 4
"""How many times the file's size may be read of it: structures may share parts, and circles are cut where they show."""
_ALLOWANCE = 1 << 20


class Hdf5Buffer:
    """Reads at addresses; ``address`` and ``length`` are the widths of those fields in bytes."""

    __slots__ = ("_left", "address", "base", "collections", "data", "length", "name", "size")

    def __init__(self, file: File) -> None:
        self.data = file.view()
        self.size = len(self.data)
        self.name = file.name
        self.base = 0
        self.address = self.length = 8
        self.collections: dict[int, dict[int, tuple[int, int]]] = {}  # of global heaps, once they are looked at
        self._left = _READ_AGAIN * self.size + _ALLOWANCE

    def fail(self, found: str, at: int) -> NoReturn:
        raise FormatError(
            f"read {self.name}", found=f"its HDF5 structure is damaged: {found}", do="fetch or write the file again", where=f"offset {at}"
        )

    def spend(self, count: int, at: int) -> None:
        """Count bytes that are read, or made. Raises FormatError where they are too many."""
        self._left -= count
        if self._left < 0:
            self.fail("its parts refer to one another too often", at)

    def raw(self, at: int, count: int) -> bytes:
        """``count`` bytes at an absolute position."""
        if not (at >= 0 and count >= 0 and at + count <= self.size):
            self.fail(f"{count:,} bytes are needed there, and it has {self.size:,} in all", at)
        self.spend(count, at)
        return bytes(self.data[at : at + count])

    def number(self, at: int, width: int) -> int:
        return int.from_bytes(self.raw(at, width), "little")

    def expect(self, at: int, magic: bytes) -> None:
        """Check a structure's signature and pay for looking at it."""
        self.spend(16, at)
        if self.raw(at, len(magic)) != magic:
            self.fail(f"there is no {magic.decode('ascii')}", at)

    def place(self, address: int) -> int | None:
        """The absolute position of an address; ``None`` for the undefined one (all bits set)."""
        return None if address == (1 << 8 * self.address) - 1 else self.base + address


class Cursor:
    """Reads fields one after another."""

    __slots__ = ("at", "buffer")

    def __init__(self, buffer: Hdf5Buffer, at: int) -> None:
        self.buffer = buffer
        self.at = at

    def number(self, width: int) -> int:
        value = self.buffer.number(self.at, width)
        self.at += width
        return value

    def raw(self, count: int) -> bytes:
        value = self.buffer.raw(self.at, count)
        self.at += count
        return value

    def place(self) -> int | None:
        """The position that an address leads to, ``None`` for the undefined one."""
        return self.buffer.place(self.number(self.buffer.address))

    def length(self) -> int:
        return self.number(self.buffer.length)

    def skip(self, count: int) -> Cursor:
        self.at += count
        return self
