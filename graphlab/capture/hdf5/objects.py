"""Groups and datasets: object headers of both versions, links and attributes in all the places where they may stand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import prod

from graphlab.capture.file import File
from graphlab.capture.hdf5.buffer import SIGNATURE, Cursor, Hdf5Buffer
from graphlab.capture.hdf5.heaps import FractalHeap, children_v1, records_v2
from graphlab.capture.hdf5.types import Datatype, Value, dataspace, datatype, value

_DATASPACE, _LINK_INFO, _DATATYPE, _LINK, _LAYOUT, _FILTERS = 0x01, 0x02, 0x03, 0x06, 0x08, 0x0B
_ATTRIBUTE, _CONTINUATION, _SYMBOL_TABLE, _ATTRIBUTE_INFO = 0x0C, 0x10, 0x11, 0x15
_SHARED = 0x02  # a message's flag: it stands in another object's header
_COMPACT, _CONTIGUOUS, _CHUNKED = 0, 1, 2
_LAYOUTS = {_COMPACT: "compact", _CONTIGUOUS: "contiguous", _CHUNKED: "chunked", 3: "virtual"}
_HARD = 0
_NAME_RECORDS = {5: 4, 8: 0}  # type of a B-tree of names → where in its records the heap id begins


@dataclass(frozen=True, slots=True)
class Message:
    """One message of an object header: where its data stand."""

    type: int
    at: int
    size: int
    shared: bool


@dataclass(frozen=True, slots=True)
class Dataset:
    """An array.

    Attributes:
        dims: ``None`` for a null space.
        data: a loader of its bytes (little-endian, in C order), or ``None``.
        reason: why there is none.
    """

    name: str
    type: Datatype
    dims: tuple[int, ...] | None
    data: Callable[[], bytes] | bytes | None
    reason: str = ""


class Group:
    """A group: its links and attributes by name."""

    def __init__(self, file: Hdf5, name: str, messages: list[Message]) -> None:
        self._file = file
        self.name = name
        self._messages = messages
        self._links: dict[str, int] | None = None
        self._attributes: dict[str, Value] | None = None

    @property
    def attributes(self) -> dict[str, Value]:
        """Raises FormatError where they are damaged."""
        if self._attributes is None:
            self._attributes = self._file.attributes(self._messages)
        return self._attributes

    @property
    def links(self) -> dict[str, int]:
        """Name → position of the object's header, sorted; links to other paths and files are left out.

        Raises FormatError where they are damaged.
        """
        if self._links is None:
            found = self._file.links(self._messages)
            self._links = dict(sorted(found.items()))
        return self._links

    def get(self, path: str) -> Group | Dataset | None:
        """The object at a path from here; ``None`` where there is none. Raises FormatError where its header is damaged."""
        found: Group | Dataset | None = self
        for part in filter(None, path.split("/")):
            if not isinstance(found, Group) or part not in found.links:
                return None
            found = self._file.object(f"{found.name}/{part}".lstrip("/"), found.links[part])
        return found

    def group(self, path: str) -> Group | None:
        found = self.get(path)
        return found if isinstance(found, Group) else None

    def datasets(self) -> Iterator[Dataset]:
        """All arrays in it and below, in the order of their paths, each once. Raises FormatError where a header is damaged."""
        seen: set[int] = set()
        waiting: list[tuple[str, int]] = []

        def enter(group: Group) -> None:
            waiting.extend((f"{group.name}/{name}".lstrip("/"), at) for name, at in reversed(group.links.items()) if at not in seen)

        enter(self)
        while waiting:
            name, at = waiting.pop()
            if at in seen:
                continue
            seen.add(at)
            found = self._file.object(name, at)
            if isinstance(found, Dataset):
                yield found
            else:
                enter(found)


class Hdf5:
    """An open file: its root group. Raises FormatError where the superblock is damaged or of an unknown version."""

    def __init__(self, file: File) -> None:
        self._source = file
        self._buffer = buffer = Hdf5Buffer(file)
        at = 0
        while buffer.data[at : at + 8] != SIGNATURE:  # it may stand behind a block of the user's own
            at = at * 2 if at else 512
            if at + 8 > buffer.size:
                buffer.fail("there is no superblock", 0)
        version = buffer.number(at + 8, 1)
        if version in (0, 1):
            buffer.address, buffer.length = buffer.number(at + 13, 1), buffer.number(at + 14, 1)
            cursor = Cursor(buffer, at + 24 + (4 if version else 0))
        elif version in (2, 3):
            buffer.address, buffer.length = buffer.number(at + 9, 1), buffer.number(at + 10, 1)
            cursor = Cursor(buffer, at + 12)
        else:
            buffer.fail(f"its superblock is of version {version}", at + 8)
        if buffer.address not in (2, 4, 8) or buffer.length not in (2, 4, 8):
            buffer.fail(f"its addresses have {buffer.address} bytes and its lengths {buffer.length}", at + 8)
        buffer.base = cursor.number(buffer.address)
        cursor.skip(2 * buffer.address)  # free space or extension, end of file
        if version < 2:
            cursor.skip(buffer.address + buffer.address)  # driver block; the root's name
        root = cursor.place()
        found = None if root is None else self.object("", root)
        if not isinstance(found, Group):
            buffer.fail("it has no root group", at)
        self.root: Group = found

    def object(self, name: str, at: int) -> Group | Dataset:
        """The group or dataset whose header stands at ``at``."""
        messages = list(self._header(at))
        kinds = {message.type: message for message in messages}
        if _LAYOUT in kinds and _DATATYPE in kinds and _DATASPACE in kinds:
            return self._dataset(name, kinds)
        return Group(self, name, messages)

    def attributes(self, messages: list[Message]) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for message in messages:
            if message.type == _ATTRIBUTE and not message.shared:
                name, held = self._attribute(message.at)
                found[name] = held
            elif message.type == _ATTRIBUTE_INFO:
                cursor = Cursor(self._buffer, message.at + 1)
                cursor.skip(2 if cursor.number(1) & 1 else 0)
                for at in self._dense(cursor):
                    name, held = self._attribute(at)
                    found[name] = held
        return found

    def links(self, messages: list[Message]) -> dict[str, int]:
        found: dict[str, int] = {}
        for message in messages:
            if message.type == _SYMBOL_TABLE:
                found.update(self._symbols(message.at))
            elif message.type == _LINK:
                found.update(self._link(message.at))
            elif message.type == _LINK_INFO:
                cursor = Cursor(self._buffer, message.at + 1)
                cursor.skip(8 if cursor.number(1) & 1 else 0)
                for at in self._dense(cursor):
                    found.update(self._link(at))
        return found

    def _header(self, at: int) -> Iterator[Message]:
        buffer = self._buffer
        buffer.spend(64, at)
        if buffer.raw(at, 4) == b"OHDR":
            flags = buffer.number(at + 5, 1)
            start = at + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
            width = 1 << (flags & 3)
            blocks = [(start + width, buffer.number(start, width))]
            ordered = bool(flags & 4)
            read: Callable[[int, int], Iterator[Message]] = partial(self._messages_v2, ordered=ordered)
            head, tail = 4, 4  # OCHK before a later block's messages, a checksum behind them
        else:
            if buffer.number(at, 1) != 1:
                buffer.fail("there is no object header", at)
            blocks = [(at + 16, buffer.number(at + 8, 4))]
            read, head, tail = self._messages_v1, 0, 0
        seen = {blocks[0][0]}
        while blocks:
            for message in read(*blocks.pop(0)):
                if message.type != _CONTINUATION:
                    yield message
                    continue
                cursor = Cursor(buffer, message.at)
                place, length = cursor.place(), cursor.length()
                if place is None or place + head in seen or length < head + tail:
                    buffer.fail("an object header goes on nowhere, or in a circle", message.at)
                if head:
                    buffer.expect(place, b"OCHK")
                seen.add(place + head)
                blocks.append((place + head, length - head - tail))

    def _messages_v1(self, at: int, size: int) -> Iterator[Message]:
        end = at + size
        while at + 8 <= end:
            cursor = Cursor(self._buffer, at)
            type, length, flags = cursor.number(2), cursor.number(2), cursor.number(1)
            self._fits(at, length)
            yield Message(type, at + 8, length, bool(flags & _SHARED))
            at += 8 + length

    def _messages_v2(self, at: int, size: int, ordered: bool) -> Iterator[Message]:
        end, head = at + size, 6 if ordered else 4
        while at + head <= end:
            cursor = Cursor(self._buffer, at)
            type, length, flags = cursor.number(1), cursor.number(2), cursor.number(1)
            self._fits(at, length)
            yield Message(type, at + head, length, bool(flags & _SHARED))
            at += head + length

    def _fits(self, at: int, length: int) -> None:
        if at + length > self._buffer.size:
            self._buffer.fail(f"a message of {length:,} bytes reaches beyond the end", at)

    def _symbols(self, at: int) -> Iterator[tuple[str, int]]:
        """The links of a group of the first kind: a B-tree of symbol nodes, names in a local heap."""
        buffer, cursor = self._buffer, Cursor(self._buffer, at)
        tree, heap = cursor.place(), cursor.place()
        if tree is None or heap is None:
            return
        buffer.expect(heap, b"HEAP")
        cursor = Cursor(buffer, heap + 8)
        length, names = cursor.length(), cursor.skip(buffer.length).place()
        if names is None or names + length > buffer.size:
            buffer.fail("a group's names lie outside the file", heap)
        for node in children_v1(buffer, tree):
            buffer.expect(node, b"SNOD")
            cursor = Cursor(buffer, node + 8)
            for _ in range(buffer.number(node + 6, 2)):
                offset, header = cursor.number(buffer.address), cursor.place()
                kind = cursor.number(4)
                cursor.skip(20)
                if header is None or kind == 2:  # a link to another path
                    continue
                if offset >= length:
                    buffer.fail("a name lies outside its heap", node)
                yield self._name(names + offset, names + length), header

    def _name(self, at: int, end: int) -> str:
        view = self._buffer.data
        stop = at
        while stop < end and view[stop]:
            stop += 1
        return self._buffer.raw(at, stop - at).decode("utf-8", "backslashreplace")

    def _link(self, at: int) -> Iterator[tuple[str, int]]:
        cursor = Cursor(self._buffer, at + 1)
        flags = cursor.number(1)
        kind = cursor.number(1) if flags & 8 else _HARD
        cursor.skip((8 if flags & 4 else 0) + (1 if flags & 16 else 0))
        name = cursor.raw(cursor.number(1 << (flags & 3))).decode("utf-8", "backslashreplace")
        if kind == _HARD:
            place = cursor.place()
            if place is not None:
                yield name, place

    def _dense(self, cursor: Cursor) -> Iterator[int]:
        """Positions of the links or attributes in a fractal heap, by the B-tree of their names."""
        buffer = self._buffer
        heap_at, tree = cursor.place(), cursor.place()
        if heap_at is None or tree is None:
            return
        heap = FractalHeap(buffer, heap_at)
        start = _NAME_RECORDS.get(buffer.number(tree + 5, 1))
        if start is None:
            buffer.fail("a B-tree is not one of names", tree)
        for record in records_v2(buffer, tree):
            found = heap.object(record[start : start + 8])
            if isinstance(found, bytes):
                buffer.fail("a heap holds a message of no size", heap_at)
            at, length = found
            self._fits(at, length)
            yield at

    def _attribute(self, at: int) -> tuple[str, Value]:
        buffer, cursor = self._buffer, Cursor(self._buffer, at)
        version, flags = cursor.number(1), cursor.number(1)
        if version not in (1, 2, 3):
            buffer.fail(f"an attribute is of version {version}", at)
        sizes = [cursor.number(2) for _ in range(3)]
        if version == 3:
            cursor.skip(1)
        padded = [(size + 7) // 8 * 8 for size in sizes] if version == 1 else sizes
        name = cursor.raw(sizes[0]).partition(b"\0")[0].decode("utf-8", "backslashreplace")
        start = cursor.at - sizes[0] + padded[0]
        type = self._shared_type(start) if version > 1 and flags & 1 else datatype(Cursor(buffer, start))
        dims = dataspace(Cursor(buffer, start + padded[1]))
        return name, value(buffer, start + padded[1] + padded[2], type, dims)

    def _shared_type(self, at: int) -> Datatype:
        """A datatype that stands in the header of an object of its own."""
        buffer, cursor = self._buffer, Cursor(self._buffer, at)
        version = cursor.number(1)
        cursor.skip(7 if version == 1 else 1)
        place = cursor.place()
        if place is None:
            buffer.fail("a shared datatype stands nowhere", at)
        for message in self._header(place):
            if message.type == _DATATYPE and not message.shared:
                return datatype(Cursor(buffer, message.at))
        buffer.fail("a shared datatype is none", at)

    def _dataset(self, name: str, kinds: dict[int, Message]) -> Dataset:
        told = kinds[_DATATYPE]
        type = self._shared_type(told.at) if told.shared else datatype(Cursor(self._buffer, told.at))
        dims = dataspace(Cursor(self._buffer, kinds[_DATASPACE].at))
        if dims is None:
            return Dataset(name, type, None, None, "it has no elements")
        if type.name == "string" or type.name.startswith("hdf5"):
            return Dataset(name, type, dims, None, f"its elements are no numbers ({type.name})")
        if _FILTERS in kinds:
            return Dataset(name, type, dims, None, "the file stores it compressed")
        span = self._span(kinds[_LAYOUT])
        if isinstance(span, str):
            return Dataset(name, type, dims, None, span)
        length = prod(dims) * type.size
        if length > span[1] and length:
            self._buffer.fail(f"'{name}' needs {length:,} bytes and has {span[1]:,}", kinds[_LAYOUT].at)
        load = self._source.slice(span[0], length)
        return Dataset(name, type, dims, partial(_swapped, load, type.size) if type.big and type.size > 1 else load)

    def _span(self, message: Message) -> tuple[int, int] | str:
        """Where an array's bytes stand, or why they stand in no one place."""
        buffer, cursor = self._buffer, Cursor(self._buffer, message.at)
        version = cursor.number(1)
        if version in (1, 2):
            rank, layout = cursor.number(1), cursor.number(1)
            cursor.skip(5)
            place = None if layout == _COMPACT else cursor.place()
            sizes = [cursor.number(4) for _ in range(rank)]
            if layout == _COMPACT:
                length = cursor.number(4)
                return cursor.at, length
            length = buffer.size if not sizes else buffer.size - (place or 0)
        elif version in (3, 4, 5):
            layout = cursor.number(1)
            if layout == _COMPACT:
                length = cursor.number(2)
                return cursor.at, length
            if layout == _CONTIGUOUS:
                place, length = cursor.place(), cursor.length()
        else:
            buffer.fail(f"a layout is of version {version}", message.at)
        if layout != _CONTIGUOUS:
            return f"the file stores it {_LAYOUTS.get(layout, 'in an unknown way')}"
        if place is None:
            return "the file holds no bytes for it"
        return place, length


def _swapped(load: Callable[[], bytes] | bytes, size: int) -> bytes:
    """Big-endian elements as little-endian ones."""
    import numpy as np

    data = load() if callable(load) else load
    return np.frombuffer(data, f">u{size}").astype(f"<u{size}").tobytes()
