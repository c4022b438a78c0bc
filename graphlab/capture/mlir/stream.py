"""A stretch of bytes read number by number, by MLIR's bytecode rules (https://mlir.llvm.org/docs/BytecodeFormat)."""

from __future__ import annotations

import struct

from graphlab.errors import FormatError

_PADDING = 0xCB


class Stream:
    """A position in the bytes of a file; ``end`` is where this stretch of them ends."""

    __slots__ = ("data", "end", "path", "pos")

    def __init__(self, data: bytes | memoryview, path: str, pos: int = 0, end: int | None = None) -> None:
        self.data = data
        self.path = path
        self.pos = pos
        self.end = len(data) if end is None else end

    def wrong(self, found: str, pos: int | None = None) -> FormatError:
        """The error for what stands at ``pos``, or here."""
        return FormatError(
            f"read {self.path} as MLIR bytecode", found=found, do="the file is damaged or cut short: fetch or write it again",
            where=f"offset {self.pos if pos is None else pos}",
        )  # fmt: skip

    def part(self, length: int) -> Stream:
        """The next ``length`` bytes as a stretch of their own; passes them."""
        start = self.pos
        self.skip(length)
        return Stream(self.data, self.path, start, self.pos)

    def skip(self, length: int) -> None:
        """Pass that many bytes."""
        if not 0 <= length <= self.end - self.pos:
            raise self.wrong(f"{length:,} bytes wanted, and {self.end - self.pos:,} left")
        self.pos += length

    def take(self, length: int) -> bytes:
        """The next bytes."""
        start = self.pos
        self.skip(length)
        return bytes(self.data[start : self.pos])

    def byte(self) -> int:
        """The next byte."""
        pos = self.pos
        if pos >= self.end:
            raise self.wrong("a byte wanted, and none left")
        self.pos = pos + 1
        return self.data[pos]

    def varint(self) -> int:
        """A number whose first byte's low zeros say how many bytes follow."""
        pos = self.pos
        if pos >= self.end:
            raise self.wrong("a number wanted, and no byte left")
        first = self.data[pos]
        if first & 1:
            self.pos = pos + 1
            return first >> 1
        if first == 0:
            start, stop, shift = pos + 1, pos + 9, 0
        else:
            more = (first & -first).bit_length() - 1
            start, stop, shift = pos, pos + more + 1, more + 1
        if stop > self.end:
            raise self.wrong("a number that is cut short")
        self.pos = stop
        return int.from_bytes(self.data[start:stop], "little") >> shift

    def signed(self) -> int:
        """A number with its sign in the lowest bit."""
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def count(self) -> int:
        """The length of a list: never more than the bytes that are left."""
        value = self.varint()
        if value > self.end - self.pos:
            raise self.wrong(f"a list of {value:,}, and {self.end - self.pos:,} bytes left")
        return value

    def signed_list(self) -> tuple[int, ...]:
        """A list of signed numbers."""
        return tuple(self.signed() for _ in range(self.count()))

    def integer(self, bits: int) -> int:
        """An integer of a known width, as an unsigned one."""
        if bits <= 8:
            return self.byte() & ((1 << bits) - 1)
        if bits <= 64:
            return self.signed() & ((1 << bits) - 1)
        words = self.count()
        value = 0
        for i in range(words):
            value |= (self.signed() & (2**64 - 1)) << (64 * i)
        return value & ((1 << bits) - 1)

    def double(self) -> float:
        """A float64."""
        value: float = struct.unpack("<d", self.integer(64).to_bytes(8, "little"))[0]
        return value

    def section(self) -> tuple[int, Stream]:
        """A section: its number, and its bytes."""
        tag = self.byte()
        length = self.varint()
        if tag & 0x80:
            self.align(self.varint())
        return tag & 0x7F, self.part(length)

    def align(self, alignment: int) -> None:
        """Pass the padding before what is aligned."""
        if alignment < 1 or alignment & (alignment - 1) or alignment > 1 << 32:
            raise self.wrong(f"an alignment of {alignment:,}")
        while self.pos % alignment and self.pos < self.end and self.data[self.pos] == _PADDING:
            self.pos += 1
