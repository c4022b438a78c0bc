"""What a node means by itself, as interned integers, at four levels, each looser:

0. everything that is compared but an input's position: kind, op, types, attributes, constant, calls;
1. without layouts, shardings and the values of large constants;
2. element types and ranks, attribute names without values, roles without callees;
3. kind and op.

Equal integers mean equal keys: no hash is trusted here.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

from graphlab.ir.constants import INLINE_BYTES, Constant
from graphlab.ir.frozen import EMPTY, FrozenDict
from graphlab.ir.values import TensorType, TupleType, ValueType

LEVELS = 4


class Interner(dict[Hashable, int]):
    """Numbers equal keys equally."""

    def of(self, key: Hashable) -> int:
        return self.setdefault(key, len(self))


class Memo:
    """A function of immutable objects, worked out once an object: readers share types and attributes between nodes.

    The programs compared hold the objects for as long as the memo lives, so an object's ``id`` is its own.
    """

    __slots__ = ("_known", "_of")

    def __init__(self, of: Callable[[Any], Hashable]) -> None:
        self._known: dict[int, int] = {}
        intern = Interner()
        self._of: Callable[[Any], int] = lambda value: intern.of(of(value))

    def __call__(self, value: Any) -> int:
        known = self._known.get(id(value))
        if known is None:
            known = self._known[id(value)] = self._of(value)
        return known


def constant_key(value: Constant, *, small: bool = False) -> Hashable:
    """A constant's identity: type, size and digest; with ``small``, a large one's type and size only.

    The digest fetches the value, as comparing it will; ``None`` where it cannot be had.
    """
    size = value.nbytes
    if small and (size is None or size > INLINE_BYTES or not value.available):
        return (value.type, size, None)
    return (value.type, size, value.digest)


def plain(value: Any) -> Hashable:
    """An attribute value as a key: 1, True and 1.0 differ, NaN equals NaN, a mapping's order says nothing."""
    match value:
        case None | str() | bytes():
            return value
        case bool():
            return ("bool", value)
        case int():
            return value
        case float() | complex():
            return ("number", repr(value))
        case tuple():
            return ("tuple", *map(plain, value))
        case FrozenDict():
            return ("map", *sorted(((str(k), plain(v)) for k, v in value.items()), key=lambda pair: pair[0]))
        case Constant():
            return ("constant", constant_key(value))
        case Hashable():
            return (type(value).__name__, value)
    return ("repr", repr(value))


def unplaced(kind: ValueType) -> Hashable:
    """A type without layout and sharding."""
    match kind:
        case TensorType():
            return (kind.dtype, kind.dims, kind.quantization, kind.placement)
        case TupleType():
            return tuple(map(unplaced, kind.elements))
    return kind


def ranked(kind: ValueType) -> Hashable:
    """A type's element type and rank."""
    match kind:
        case TensorType():
            return (kind.dtype, kind.rank)
        case TupleType():
            return tuple(map(ranked, kind.elements))
    return kind


class Keys:
    """Level keys of the nodes of two programs, by shared numbering."""

    def __init__(self) -> None:
        self._types = Memo(lambda outputs: outputs)
        self._unplaced = Memo(lambda outputs: tuple(map(unplaced, outputs)))
        self._ranked = Memo(lambda outputs: tuple(map(ranked, outputs)))
        self._attrs = Memo(plain)
        self._levels = [Interner() for _ in range(LEVELS)]

    def own(self, data: Mapping[str, Any], graphs: tuple[Mapping[str, int], Mapping[str, int]]) -> tuple[int, int, int, int]:
        """A node's numbers at the four levels. ``graphs``: callee → its colour at levels 0 and 1 (absent for recursion)."""
        kind, op = data["kind"], data.get("op", "")
        outputs: tuple[ValueType, ...] = data.get("outputs", ())
        attrs, calls = data.get("attrs", EMPTY), data.get("calls")
        value = data.get("value")
        said: Hashable = None
        values: tuple[Hashable, Hashable] = (None, None)
        if "control" in data or "effects" in data or "absent" in data:
            said = (data.get("control"), data.get("effects", ()), data.get("absent", ()))
        if value is not None:
            values = (constant_key(value), constant_key(value, small=True))
        meaning = self._attrs(attrs) if attrs else -1
        roles: tuple[Hashable, Hashable] = (None, None)
        if calls:
            roles = (
                tuple((r, c.operands, c.results, c.carried, graphs[0].get(c.graph, -1)) for r, c in sorted(calls.items())),
                tuple((r, c.operands, c.results, c.carried, graphs[1].get(c.graph, -1)) for r, c in sorted(calls.items())),
            )
        types = (self._types(outputs), self._unplaced(outputs), self._ranked(outputs)) if outputs else (-1, -1, -1)
        return (
            self._levels[0].of((kind, op, types[0], meaning, said, values[0], roles[0])),
            self._levels[1].of((kind, op, types[1], meaning, said, values[1], roles[1])),
            self._levels[2].of((kind, op, types[2], tuple(sorted(attrs)), tuple(sorted(calls)) if calls else ())),
            self._levels[3].of((kind, op)),
        )
