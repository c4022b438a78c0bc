"""An MLIR module as plain objects: what the readers of text and bytecode make, and ``build`` turns into a Program.

Types are the IR's value types, attributes its plain values (numbers, strings, tuples, FrozenDicts, types, Constants).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from graphlab.ir.values import ValueType


@dataclass(frozen=True, slots=True)
class FileLoc:
    """A position in a source file, as the module numbers it."""

    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class NameLoc:
    """A name around another location."""

    name: str
    child: Location = None


@dataclass(frozen=True, slots=True)
class CallLoc:
    """A callee's location, and that of its call."""

    callee: Location
    caller: Location


@dataclass(frozen=True, slots=True)
class FusedLoc:
    """Several locations of one operation."""

    parts: tuple[Location, ...]


@dataclass(frozen=True, slots=True)
class AliasLoc:
    """A name for a location that stands elsewhere in the module: ``loc(#loc5)``."""

    name: str


Location: TypeAlias = FileLoc | NameLoc | CallLoc | FusedLoc | AliasLoc | None
"""``None`` is an unknown one."""


@dataclass(frozen=True, slots=True)
class FunctionType:
    """What a function takes and gives. No value has it; attributes do."""

    inputs: tuple[ValueType, ...]
    results: tuple[ValueType, ...]


class Value:
    """A result of an operation or an argument of a block; compared by identity.

    ``location`` is an argument's own, which has its name in JAX's modules.
    """

    __slots__ = ("location", "type")

    def __init__(self, type: ValueType, location: Location = None) -> None:
        self.type = type
        self.location = location


@dataclass(slots=True, eq=False)
class Operation:
    """One operation. ``where`` is its offset in the source; ``loose`` says that its own syntax was not known.

    The operands of ``successors`` are the last of ``operands``.
    """

    name: str
    operands: list[Value]
    results: list[Value]
    attributes: dict[str, Any]
    regions: list[Region]
    location: Location
    where: int
    successors: tuple[Block, ...] = ()
    loose: bool = False


@dataclass(slots=True, eq=False)
class Block:
    """A list of operations with arguments."""

    arguments: list[Value] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Region:
    """Blocks, the first of them the entry. A region without blocks is a declaration's."""

    blocks: list[Block] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Module:
    """One module: its operations, its attributes, and what locations of it are called by name.

    ``explicit`` says that it stands in the source as one, and is not only its text's operations.
    """

    name: str | None
    attributes: dict[str, Any]
    body: list[Operation]
    locations: Mapping[str, Location] = field(default_factory=dict)
    producer: str = ""
    where: int = 0
    explicit: bool = False


def walk(operations: list[Operation]) -> Iterator[Operation]:
    """Every operation of a list and of all regions in it."""
    work = [iter(operations)]
    while work:
        op = next(work[-1], None)
        if op is None:
            work.pop()
            continue
        yield op
        work.extend(iter(block.operations) for region in op.regions for block in region.blocks)
