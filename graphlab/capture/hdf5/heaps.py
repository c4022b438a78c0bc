"""Where HDF5 keeps small objects in numbers: global heaps (strings), fractal heaps (links, attributes), B-trees of either version."""

from __future__ import annotations

from collections.abc import Iterator

from graphlab.capture.hdf5.buffer import Cursor, Hdf5Buffer

_MAX_DEPTH = 32


def global_object(buffer: Hdf5Buffer, at: int, index: int) -> tuple[int, int]:
    """Position and length of an object in the collection at ``at``. Raises FormatError where it is not there."""
    held = buffer.collections.get(at)
    if held is None:
        held = buffer.collections[at] = dict(_collection(buffer, at))
    if index not in held:
        buffer.fail(f"the heap has no object {index}", at)
    return held[index]


def _collection(buffer: Hdf5Buffer, at: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """Number → position and length of all objects of a collection."""
    buffer.expect(at, b"GCOL")
    cursor = Cursor(buffer, at + 8)
    end = at + cursor.length()
    while cursor.at + 8 + buffer.length <= min(end, buffer.size):
        number = cursor.number(2)
        size = cursor.skip(6).length()
        if number == 0:
            break  # the free space behind the last object
        yield number, (cursor.at, size)
        cursor.skip((size + 7) // 8 * 8)


def children_v1(buffer: Hdf5Buffer, at: int) -> Iterator[int]:
    """The positions that the leaves of a version 1 B-tree of a group lead to."""
    waiting, seen = [(at, 0)], {at}
    while waiting:
        at, depth = waiting.pop()
        buffer.expect(at, b"TREE")
        if buffer.number(at + 4, 1) != 0 or depth > _MAX_DEPTH:
            buffer.fail("a B-tree of a group is none, or too deep", at)
        level, used = buffer.number(at + 5, 1), buffer.number(at + 6, 2)
        cursor = Cursor(buffer, at + 8 + 2 * buffer.address)
        found = []
        for _ in range(used):
            child = cursor.skip(buffer.length).place()
            if child is None or child in seen:
                buffer.fail("a B-tree leads nowhere, or in a circle", at)
            seen.add(child)
            found.append(child)
        if level == 0:
            yield from found
        else:
            waiting += [(child, depth + 1) for child in reversed(found)]


def records_v2(buffer: Hdf5Buffer, at: int) -> Iterator[bytes]:
    """All records of a version 2 B-tree."""
    buffer.expect(at, b"BTHD")
    cursor = Cursor(buffer, at + 6)
    node_size, record_size, depth = cursor.number(4), cursor.number(2), cursor.number(2)
    root, count = cursor.skip(2).place(), cursor.number(2)
    if root is None or record_size == 0 or depth > _MAX_DEPTH or node_size < 16:
        if count:
            buffer.fail("a B-tree has records but no root", at)
        return
    most = (node_size - 10) // record_size
    count_width = _width(most)
    total_widths, total = [0], most  # by depth of the child
    for level in range(1, depth + 1):
        pointer = buffer.address + count_width + total_widths[level - 1]
        here = (node_size - 10 - pointer) // (record_size + pointer)
        total = (here + 1) * total + here
        total_widths.append(_width(total))
    yield from _records(buffer, root, count, depth, record_size, count_width, total_widths, set())


def _records(
    buffer: Hdf5Buffer, at: int, count: int, depth: int, size: int, count_width: int, total_widths: list[int], seen: set[int]
) -> Iterator[bytes]:
    if at in seen:
        buffer.fail("a B-tree leads in a circle", at)
    seen.add(at)
    buffer.expect(at, b"BTIN" if depth else b"BTLF")
    cursor = Cursor(buffer, at + 6)
    yield from [cursor.raw(size) for _ in range(count)]
    if depth:
        children = []
        for _ in range(count + 1):
            child, held = cursor.place(), cursor.number(count_width)
            cursor.skip(total_widths[depth - 1])
            if child is None:
                buffer.fail("a B-tree leads nowhere", at)
            children.append((child, held))
        for child, held in children:
            yield from _records(buffer, child, held, depth - 1, size, count_width, total_widths, seen)


def _width(limit: int) -> int:
    """Bytes that hold numbers up to a limit."""
    return max(1, (limit.bit_length() + 7) // 8)


class FractalHeap:
    """Finds objects by their ids: managed ones in blocks of a doubling table, huge ones by a B-tree, tiny ones in the id itself."""

    def __init__(self, buffer: Hdf5Buffer, at: int) -> None:
        buffer.expect(at, b"FRHP")
        self._buffer = buffer
        cursor = Cursor(buffer, at + 5)
        cursor.skip(2)  # length of the ids
        filtered = cursor.number(2)
        cursor.skip(1)
        largest = cursor.number(4)
        cursor.skip(buffer.length)
        self._huge = cursor.place()
        cursor.skip(buffer.length + buffer.address + 8 * buffer.length)
        self._columns = cursor.number(2)
        self._first = cursor.length()
        self._most_direct = cursor.length()
        bits = cursor.number(2)
        cursor.skip(2)
        self._root = cursor.place()
        self._rows = cursor.number(2)
        if filtered:
            buffer.fail("a heap is compressed, which is not read", at)
        if not (self._columns and _power(self._first) and _power(self._most_direct) and self._first <= self._most_direct and bits <= 64):
            buffer.fail("a heap's table has no sound measures", at)
        self._offset_width = (bits + 7) // 8
        self._length_width = min(max(1, (self._most_direct.bit_length() - 1 + 7) // 8), _width(largest))
        self._at = at

    def object(self, id: bytes) -> tuple[int, int] | bytes:
        """Position and length of an object; its bytes where they stand in the id.

        Raises:
            FormatError: the heap has no such object.
        """
        buffer = self._buffer
        kind = id[0] >> 4 & 3
        if kind == 2:
            return id[1 : 2 + (id[0] & 15)]
        if kind == 1:
            number = int.from_bytes(id[1 : 1 + buffer.length], "little")
            for record in () if self._huge is None else records_v2(buffer, self._huge):
                place, rest = buffer.place(int.from_bytes(record[: buffer.address], "little")), record[buffer.address :]
                if int.from_bytes(rest[buffer.length : 2 * buffer.length], "little") == number and place is not None:
                    return place, int.from_bytes(rest[: buffer.length], "little")
            buffer.fail(f"a heap has no huge object {number}", self._at)
        offset = int.from_bytes(id[1 : 1 + self._offset_width], "little")
        length = int.from_bytes(id[1 + self._offset_width : 1 + self._offset_width + self._length_width], "little")
        return self._managed(offset), length

    def _managed(self, offset: int) -> int:
        """The position of an offset in the heap's own space, in which blocks follow one another, row by row of the table."""
        buffer, block, rows = self._buffer, self._root, self._rows
        for _ in range(_MAX_DEPTH):
            if block is None:
                break
            if rows == 0:
                return block + offset
            buffer.expect(block, b"FHIB")
            row, size = 0, self._first
            while row < rows and offset >= self._columns * size:
                offset -= self._columns * size
                row += 1
                size = self._first << max(0, row - 1)
            if row == rows:
                break
            column, offset = divmod(offset, size)
            entry = block + 5 + buffer.address + self._offset_width + (row * self._columns + column) * buffer.address
            block = Cursor(buffer, entry).place()
            rows = 0 if size <= self._most_direct else size.bit_length() - (self._first * self._columns).bit_length() + 1
        buffer.fail("a heap has no block for an object", self._at)


def _power(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0
