"""MLIR bytecode to a module, by https://mlir.llvm.org/docs/BytecodeFormat, versions 0 to 6.

A portable artifact is bytecode whose producer says ``StableHLO_v1.2.0`` and whose operations are VHLO's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from graphlab.capture.mlir.bytecode_tables import PROPERTIES
from graphlab.capture.mlir.entries import Entries, Resource
from graphlab.capture.mlir.module import AliasLoc, Block, Location, Module, Operation, Region, Value
from graphlab.capture.mlir.stream import Stream
from graphlab.ir.values import OpaqueType

MAGIC = b"ML\xefR"
NEWEST = 6
"""The newest version of the format that is known; a newer one is read the same way, as far as it goes."""

MAX_NESTING = 90

_STRINGS, _DIALECTS, _ENTRIES, _OFFSETS, _IR, _RESOURCES, _RESOURCE_OFFSETS, _DIALECT_VERSION, _PROPERTIES = range(9)
_HAS_ATTRIBUTES, _HAS_RESULTS, _HAS_OPERANDS, _HAS_SUCCESSORS, _HAS_REGIONS, _HAS_ORDERS, _HAS_PROPERTIES = (1 << i for i in range(7))
_LAZY, _ORDERS, _ELIDED_LOCATIONS, _NATIVE = 2, 3, 4, 5
_UNKNOWN = OpaqueType("unknown")


class _Locations(Mapping[str, Location]):
    """Locations by their number, decoded when they are asked for."""

    def __init__(self, entries: Entries) -> None:
        self._entries = entries

    def __getitem__(self, key: str) -> Location:
        return self._entries.location(int(key))

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


class Bytecode:
    """Reads one file of bytecode.

    Args:
        data: all of it.
        path: the file, for messages.
        slice_of: gives the loader of a stretch of the file.
    """

    def __init__(self, data: bytes | memoryview, path: str, slice_of: Callable[[int, int], Callable[[], bytes] | bytes] | None) -> None:
        self._data = data
        self._path = path
        stream = Stream(data, path)
        if stream.take(4) != MAGIC:
            raise stream.wrong("it does not start as bytecode does", 0)
        self.version = stream.varint()
        self.producer = self._text_until_zero(stream)
        sections: dict[int, Stream] = {}
        while stream.pos < stream.end:
            at = stream.pos
            number, body = stream.section()
            if number in sections:
                raise stream.wrong(f"a second section {number}", at)
            sections[number] = body
        for needed, name in ((_STRINGS, "strings"), (_DIALECTS, "dialects"), (_ENTRIES, "attributes"), (_OFFSETS, "offsets"), (_IR, "IR")):
            if needed not in sections:
                raise stream.wrong(f"it has no section of {name}")
        self._strings = self._read_strings(sections[_STRINGS])
        self._dialects: list[str] = []
        self._names: list[str] = []
        self.dialect_versions: dict[str, tuple[int, ...]] = {}
        self._read_dialects(sections[_DIALECTS])
        resources = self._read_resources(sections.get(_RESOURCES), sections.get(_RESOURCE_OFFSETS))
        self.entries = Entries(sections[_ENTRIES], sections[_OFFSETS], self._strings, self._dialects, resources, slice_of)
        self._properties = self._read_properties(sections.get(_PROPERTIES))
        self._ir = sections[_IR]
        self._nesting = 0
        self._decoded: dict[tuple[str, int], dict[str, Any]] = {}

    def module(self) -> Module:
        """The module of the file."""
        block = Block()
        values: list[Value | None] = []
        self._block(self._ir, block, values, 0, [0], [block])
        operations = block.operations
        if len(operations) == 1 and operations[0].name == "builtin.module" and operations[0].regions:
            [module] = operations
            body = [op for inner in module.regions[0].blocks for op in inner.operations]
            name = module.attributes.pop("sym_name", None)
            done = Module(name if isinstance(name, str) else None, module.attributes, body, explicit=True)
        else:
            done = Module(None, {}, operations, explicit=True)
        done.producer = self.producer
        done.locations = _Locations(self.entries)
        return done

    # What stands around the operations

    def _text_until_zero(self, stream: Stream) -> str:
        start = stream.pos
        while stream.byte():
            if stream.pos - start > 4096:
                raise stream.wrong("a producer's name that does not end", start)
        return bytes(self._data[start : stream.pos - 1]).decode("utf-8", "replace")

    def _read_strings(self, stream: Stream) -> list[str]:
        lengths = [stream.varint() for _ in range(stream.count())]
        found: list[str] = []
        for length in reversed(lengths):
            if length < 1:
                raise stream.wrong("a string without its end")
            data = stream.take(length)[:-1]
            try:
                found.append(data.decode("utf-8"))
            except UnicodeDecodeError:  # bytes of a backend config
                found.append(data.decode("latin-1"))
        return found

    def _string(self, stream: Stream, index: int | None = None) -> str:
        at = stream.varint() if index is None else index
        if at >= len(self._strings):
            raise stream.wrong(f"the string {at:,} of {len(self._strings):,}")
        return self._strings[at]

    def _read_dialects(self, stream: Stream) -> None:
        for _ in range(stream.count()):
            number = stream.varint()
            versioned = False
            if self.version >= 1:
                number, versioned = number >> 1, bool(number & 1)
            name = self._string(stream, number)
            self._dialects.append(name)
            if versioned:
                _, body = stream.section()
                self.dialect_versions[name] = tuple(body.varint() for _ in range(3)) if body.end - body.pos >= 3 else ()
        if self.version >= _ELIDED_LOCATIONS:
            stream.varint()  # the number of names
        while stream.pos < stream.end:
            at = stream.varint()
            if at >= len(self._dialects):
                raise stream.wrong(f"the dialect {at:,} of {len(self._dialects):,}")
            dialect = self._dialects[at]
            for _ in range(stream.count()):
                number = stream.varint()
                text = self._string(stream, number >> 1 if self.version >= _NATIVE else number)
                self._names.append(f"{dialect}.{text}" if text else dialect)

    def _read_resources(self, body: Stream | None, offsets: Stream | None) -> list[Resource]:
        """Dialects' resources in order: an attribute names one by its number."""
        found: list[Resource] = []
        if body is None or offsets is None:
            return found
        for external in (True, False):
            groups = offsets.count() if external else None
            while groups is None or groups:
                if groups is None and offsets.pos >= offsets.end:
                    break
                groups = None if groups is None else groups - 1
                offsets.varint()  # the provider
                for _ in range(offsets.count()):
                    key = self._string(offsets)
                    size = offsets.varint()
                    kind = offsets.byte()
                    part = body.part(size)
                    if not external:
                        found.append(Resource(key, kind, part))
        return found

    def _read_properties(self, stream: Stream | None) -> list[Stream]:
        if stream is None:
            return []
        return [stream.part(stream.varint()) for _ in range(stream.count())]

    # Operations

    def _block(
        self, stream: Stream, block: Block, values: list[Value | None], base: int, next_value: list[int], blocks: list[Block]
    ) -> None:
        """A block's arguments and operations. ``next_value`` is the number of the next value made directly in the region."""
        head = stream.varint()
        operations = head >> 1
        if operations > stream.end - stream.pos:
            raise stream.wrong(f"a block of {operations:,} operations, and {stream.end - stream.pos:,} bytes left")
        if head & 1:
            self._arguments(stream, block, values, next_value)
        append = block.operations.append
        for _ in range(operations):
            append(self._operation(stream, values, next_value, blocks))

    def _arguments(self, stream: Stream, block: Block, values: list[Value | None], next_value: list[int]) -> None:
        count = stream.count()
        for _ in range(count):
            number = stream.varint()
            location: Location = None
            if self.version >= _ELIDED_LOCATIONS:
                if number & 1:
                    location = AliasLoc(str(stream.varint()))
                number >>= 1
            else:
                location = AliasLoc(str(stream.varint()))
            value = self._define(values, next_value, number)
            value.location = location
            block.arguments.append(value)
        if self.version >= _ORDERS and stream.byte():
            self._skip_orders(stream, count)

    def _define(self, values: list[Value | None], next_value: list[int], kind: int) -> Value:
        at = next_value[0]
        next_value[0] = at + 1
        told = self.entries.type(kind)
        if at < len(values):
            value = values[at]
            if value is not None:  # used before it was made
                value.type = told
                return value
            value = values[at] = Value(told)
            return value
        if at > len(values):
            values.extend([None] * (at - len(values)))
        value = Value(told)
        values.append(value)
        return value

    def _skip_orders(self, stream: Stream, results: int) -> None:
        for _ in range(stream.count() if results > 1 else 1):
            if results > 1:
                stream.varint()
            for _ in range(stream.count() >> 1):
                stream.varint()

    def _operation(self, stream: Stream, values: list[Value | None], next_value: list[int], blocks: list[Block]) -> Operation:
        where = stream.pos
        number = stream.varint()
        if number >= len(self._names):
            raise stream.wrong(f"the operation's name {number:,} of {len(self._names):,}", where)
        name = self._names[number]
        mask = stream.byte()
        location = AliasLoc(str(stream.varint()))
        op = Operation(name, [], [], {}, [], location, where)
        if mask & _HAS_ATTRIBUTES:
            op.attributes.update(self.entries.dictionary(stream.varint()))
        if mask & _HAS_PROPERTIES:
            op.attributes.update(self._property_values(stream, name, stream.varint()))
        if mask & _HAS_RESULTS:
            kinds = [stream.varint() for _ in range(stream.count())]
            op.results = [self._define(values, next_value, kind) for kind in kinds]
        if mask & _HAS_OPERANDS:
            op.operands = [self._value(stream, values) for _ in range(stream.count())]
        if mask & _HAS_SUCCESSORS:
            op.successors = tuple(self._successor(stream, blocks) for _ in range(stream.count()))
        if mask & _HAS_ORDERS:
            self._skip_orders(stream, len(op.results))
        if mask & _HAS_REGIONS:
            self._regions(stream, op, values, next_value)
        return op

    def _value(self, stream: Stream, values: list[Value | None]) -> Value:
        at = stream.varint()
        if at < len(values):
            value = values[at]
            if value is not None:
                return value
        elif at > len(values) + stream.end - stream.pos:  # each value still to come takes a byte at least
            raise stream.wrong(f"the value {at:,}")
        else:
            values.extend([None] * (at + 1 - len(values)))
        made = values[at] = Value(_UNKNOWN)
        return made

    def _successor(self, stream: Stream, blocks: list[Block]) -> Block:
        at = stream.varint()
        if at >= len(blocks):
            raise stream.wrong(f"the block {at:,} of {len(blocks):,}")
        return blocks[at]

    def _regions(self, stream: Stream, op: Operation, values: list[Value | None], next_value: list[int]) -> None:
        head = stream.varint()
        count, isolated = head >> 1, bool(head & 1)
        if count > stream.end - stream.pos:
            raise stream.wrong(f"{count:,} regions, and {stream.end - stream.pos:,} bytes left")
        if self._nesting >= MAX_NESTING:
            raise stream.wrong(f"regions within each other more than {MAX_NESTING} deep")
        self._nesting += 1
        inner = stream
        if isolated and self.version >= _LAZY:
            number, inner = stream.section()
            if number != _IR:
                raise stream.wrong(f"a section {number} where a region's was expected")
        for _ in range(count):
            op.regions.append(self._region(inner, [] if isolated else values, isolated))
        self._nesting -= 1

    def _region(self, stream: Stream, values: list[Value | None], isolated: bool) -> Region:
        blocks = [Block() for _ in range(stream.count())]
        region = Region(blocks)
        if not blocks:
            return region
        made = stream.count()
        base = len(values)
        values.extend([None] * made)
        next_value = [base]
        for block in blocks:
            self._block(stream, block, values, base, next_value, blocks)
        if isolated and any(value is not None and value.type is _UNKNOWN for value in values):
            raise stream.wrong("an operand that nothing makes")
        del values[base:]
        return region

    def _property_values(self, stream: Stream, name: str, index: int) -> dict[str, Any]:
        """What an operation's properties say: its attributes in the order of its definition, or a dictionary."""
        if index >= len(self._properties):
            raise stream.wrong(f"the properties {index:,} of {len(self._properties):,}")
        known = self._decoded.get((name, index))
        if known is None:
            known = self._decoded[name, index] = self._decode_properties(name, self._properties[index])
        return known

    def _decode_properties(self, name: str, part: Stream) -> dict[str, Any]:
        fields = PROPERTIES.get(name)
        body = Stream(part.data, part.path, part.pos, part.end)
        if fields is None:
            value = self.entries.attribute(body.varint()) if body.pos < body.end else None
            if body.pos == body.end and isinstance(value, dict):
                return value
            return {"properties": bytes(part.data[part.pos : part.end]).hex()}
        found: dict[str, Any] = {}
        for field in fields.split():
            if body.pos >= body.end:
                break  # of an older version of the operation
            if "#" in field:
                segments, _, groups = field.partition("#")
                sizes = self._segments(body, int(groups))
                if sizes is not None:
                    found[segments] = sizes
            elif field.endswith("?"):
                number = body.varint()
                if number & 1:
                    found[field[:-1]] = self.entries.named(field[:-1], number >> 1)
            else:
                found[field] = self.entries.named(field, body.varint())
        return found

    def _segments(self, body: Stream, groups: int) -> tuple[int, ...] | None:
        """Numbers of operands of each group: an attribute up to version 5, then an array, perhaps with its zeros left out."""
        if self.version < 6:
            value = self.entries.attribute(body.varint())
            return value if isinstance(value, tuple) else None
        head = body.varint()
        sizes = [0] * groups
        if head >> 1 == 0:
            return tuple(sizes)
        if head & 1:
            bits = body.varint()
            for _ in range(min(head >> 1, groups)):
                pair = body.varint()
                at = pair & ((1 << min(bits, 8)) - 1)
                if at < groups:
                    sizes[at] = pair >> bits if bits <= 8 else 0
        else:
            for at in range(min(head >> 1, groups)):
                sizes[at] = body.varint()
        return tuple(sizes)


__all__ = ["MAGIC", "NEWEST", "Bytecode"]
