"""Cells: the leaf values that data flow is followed by, and how their dependences join."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from graphlab.ir.values import OpaqueType, TensorType, TupleType, ValueType

Cell: TypeAlias = tuple[int, int, int, int, int]
"""One leaf value: global and local bits of its values, global and local bits of its shape, and the
graph input cell that it is unchanged (-1: none, -2: nothing known yet)."""

BOTTOM: Cell = (0, 0, 0, 0, -2)
FIXED: Cell = (0, 0, 0, 0, -1)


def lift(local: int, context: list[tuple[int, int]]) -> int:
    mask = 0
    for bit in bits(local):
        mask |= context[bit >> 1][bit & 1]
    return mask


def bits(mask: int) -> Iterator[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def join(a: Cell, b: Cell) -> Cell:
    if a is b or b[4] == -2:
        return a
    if a[4] == -2:
        return b
    return (a[0] | b[0], a[1] | b[1], a[2] | b[2], a[3] | b[3], a[4] if a[4] == b[4] else -1)


def join_all(cells: Iterable[Cell]) -> Cell:
    joined = BOTTOM
    for cell in cells:
        joined = join(joined, cell)
    return joined


def substitute_all(results: list[tuple[Cell, ...]], feeds: list[Cell]) -> list[tuple[Cell, ...]]:
    """A callee's results in the caller's terms: each of its input bits gives way to what is fed there."""
    memo: dict[int, tuple[int, int]] = {0: (0, 0)}

    def carry_over(local: int) -> tuple[int, int]:
        done = memo.get(local)
        if done is None:
            g = l = 0
            for bit in bits(local):
                cell = feeds[bit >> 1]
                shape = 2 * (bit & 1)
                g, l = g | cell[shape], l | cell[shape + 1]
            done = memo[local] = (g, l)
        return done

    def substitute(cell: Cell) -> Cell:
        if cell[4] >= 0:
            return feeds[cell[4]]
        vg, vl = carry_over(cell[1])
        sg, sl = carry_over(cell[3])
        return (cell[0] | vg, vl, cell[2] | sg, sl, cell[4])

    return [tuple(substitute(cell) for cell in cells) for cells in results]


def flat(type: ValueType) -> Iterator[ValueType]:
    if isinstance(type, TupleType):
        for element in type.elements:
            yield from flat(element)
    else:
        yield type


def static(type: ValueType) -> bool:
    return isinstance(type, TensorType) and type.elements is not None


def may_be_sizes(type: ValueType) -> bool:
    """Whether an operand may say how large a result is to be: a few integers, or no tensor at all."""
    if isinstance(type, TensorType):
        return "int" in type.dtype and (type.rank is None or type.rank <= 1)
    return isinstance(type, OpaqueType) and "Tensor" not in type.name


def running_sum(widths: Iterable[int]) -> list[int]:
    sums = [0]
    for width in widths:
        sums.append(sums[-1] + width)
    return sums


@dataclass(slots=True)
class Layouts:
    """Where the cells of tuple types stand; remembers each type it has measured."""

    _known: dict[int, tuple[ValueType, tuple[int, ...]]] = field(default_factory=dict)

    def of(self, type: ValueType) -> tuple[int, ...]:
        """Offsets of a tuple's elements in cells, with the total as last; ``(0, 1)`` for no tuple."""
        if not isinstance(type, TupleType):
            return (0, 1)
        known = self._known.get(id(type))
        if known is None:
            layout = tuple(running_sum(self.of(element)[-1] for element in type.elements))
            known = self._known[id(type)] = (type, layout)  # kept, so that its id stays its own
        return known[1]

    def width(self, types: Iterable[ValueType]) -> int:
        """Cells of several values together."""
        return sum(self.of(type)[-1] for type in types)
