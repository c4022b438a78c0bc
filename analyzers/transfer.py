"""What the results of one operation without regions depend on, given what its operands do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphlab.analyzers.cells import Cell, Layouts, flat, may_be_sizes, static
from graphlab.ir.frozen import EMPTY
from graphlab.ir.ops import asks_type, forwards
from graphlab.ir.values import TupleType, ValueType

SHAPE_QUERIES = frozenset({"Shape", "Size", "SequenceLength", "EyeLike", "RandomNormalLike", "RandomUniformLike"})
"""ONNX operators whose result does not depend on the values of their first operand."""
VALUE_SHAPED = frozenset({"NonZero", "Compress", "Unique", "NonMaxSuppression"})
"""ONNX operators whose result's shape depends on their operands' values."""


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation as data flow sees it: attributes, and per fed slot the operand's cells and type."""

    graph: str
    id: str
    data: Mapping[str, Any]
    slots: Mapping[int, tuple[Cell, ...]]
    slot_types: Mapping[int, ValueType]

    @property
    def types(self) -> tuple[ValueType, ...]:
        types: tuple[ValueType, ...] = self.data.get("outputs", ())
        return types


def passes_on(effects: tuple[str, ...]) -> bool:
    """Whether an operation only moves its operands' values to the host: it reads nothing else, and draws nothing."""
    return effects == ("host",)


def picked(data: Mapping[str, Any], operand_types: Mapping[int, ValueType], port: int) -> int | None:
    """Which element of its one tuple operand an operation's output is; ``None`` where it is none."""
    whole = operand_types.get(0)
    types = data.get("outputs", ())
    if data.get("effects") or data.get("calls") or not isinstance(whole, TupleType) or len(operand_types) != 1:
        return None
    index = data.get("attrs", EMPTY).get("index")
    if isinstance(index, int) and len(types) == 1 and 0 <= index < len(whole.elements):
        return index
    return port if types == whole.elements else None


def packs(data: Mapping[str, Any]) -> bool:
    """Whether an operation makes a tuple of its operands, or hands them on as they are."""
    return data.get("canonical") == "SequenceConstruct" or forwards(data.get("op", ""))


def moved(op: Operation, layouts: Layouts) -> tuple[Cell, ...] | None:
    """The cells of an operation that only packs, unpacks or forwards values; ``None`` for any other."""
    if op.data.get("effects") or not op.types or not op.slots:
        return None
    if packs(op.data):
        together = tuple(cell for slot in sorted(op.slots) for cell in op.slots[slot])
        if len(together) == layouts.width(op.types):
            return together
    if 0 not in op.slots or not (isinstance(op.slot_types[0], TupleType) or op.data.get("canonical") == "Identity"):
        return None
    width = layouts.width(op.types)
    if op.data.get("canonical") == "Identity" and len(op.slots[0]) == width:
        return op.slots[0]
    element = picked(op.data, op.slot_types, 0)
    if element is None:
        return None
    if len(op.types) > 1:
        return op.slots[0]
    layout = layouts.of(op.slot_types[0])
    cells = op.slots[0][layout[element] : layout[element + 1]]
    return cells if len(cells) == width else None


def computed(op: Operation) -> tuple[Cell, ...]:
    """The cells of an operation of which only this is known: what it may look at, and its results' types."""
    canonical = op.data.get("canonical")
    asks = canonical in SHAPE_QUERIES or asks_type(op.data.get("op", ""))
    vg = vl = sg = sl = 0
    for slot, cells in op.slots.items():
        only_asked = asks and slot == 0
        sizes = not only_asked and (canonical in VALUE_SHAPED or may_be_sizes(op.slot_types[slot]))
        for cell in cells:
            if only_asked:
                vg, vl = vg | cell[2], vl | cell[3]
            else:
                vg, vl = vg | cell[0], vl | cell[1]
            sg, sl = sg | cell[2], sl | cell[3]
            if sizes:
                sg, sl = sg | cell[0], sl | cell[1]
    moving, still = (vg, vl, sg, sl, -1), (vg, vl, 0, 0, -1)
    types = op.types
    if len(types) == 1 and not isinstance(types[0], TupleType):  # nearly all operations
        return (still if static(types[0]) else moving,)
    return tuple(still if static(leaf) else moving for type in types for leaf in flat(type))


def marked(cells: tuple[Cell, ...], op: Operation, source: int) -> tuple[Cell, ...]:
    """The cells of an operation with effects: its results depend on the operation itself."""
    opaque = "opaque" in op.data["effects"]
    leaves = (leaf for type in op.types for leaf in flat(type))
    return tuple(
        (c[0] | source, c[1], c[2] | (source if opaque and not static(leaf) else 0), c[3], -1)
        for c, leaf in zip(cells, leaves, strict=True)
    )
