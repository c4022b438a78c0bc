"""Colours: what a node means by itself, and with all that flows into it or out of it, as interned integers.

Equal integers mean equal keys (no hash is trusted), so a partition by colour does not depend on
names, on the order of nodes, or on Python's randomised string hash. Four levels, each looser:

0. everything that is compared: kind, op, types, attributes, constant, calls, an input's position;
1. without the position, layouts and shardings;
2. element types and ranks, attribute names without values, roles without callees;
3. kind and op.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import networkx as nx

from graphlab.diff.view import View
from graphlab.ir.constants import INLINE_BYTES, Constant
from graphlab.ir.frozen import EMPTY, FrozenDict
from graphlab.ir.program import Program
from graphlab.ir.values import TensorType, TupleType, ValueType

LEVELS = 4
RADIUS = 4
"""How many steps around a node :meth:`Palette.near` looks, at most."""


class Interner(dict[Hashable, int]):
    """Numbers equal keys equally."""

    def of(self, key: Hashable) -> int:
        return self.setdefault(key, len(self))


def constant_key(value: Constant) -> Hashable:
    """A constant's identity: type and size, and the digest where that costs no fetching of a large value."""
    size = value.nbytes
    if value.available and size is not None and size <= INLINE_BYTES:
        return (value.type, size, value.digest)
    return (value.type, size, None)


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


def own_key(data: dict[str, Any], level: int, graphs: Mapping[str, int]) -> Hashable:
    """What a node means by itself, at a level. ``graphs`` holds its callees' colours (absent for recursion)."""
    kind, op = data["kind"], data.get("op", "")
    if level == 3:
        return (kind, op)
    outputs: tuple[ValueType, ...] = data.get("outputs", ())
    attrs, calls = data.get("attrs", EMPTY), data.get("calls", EMPTY)
    if level == 2:
        return (kind, op, tuple(map(ranked, outputs)), tuple(sorted(attrs)), tuple(sorted(calls)))
    value = data.get("value")
    key = (
        kind,
        op,
        outputs if level == 0 else tuple(map(unplaced, outputs)),
        plain(attrs) if attrs else None,
        None if value is None else constant_key(value),
        data.get("control"),
        data.get("effects", ()),
        data.get("absent", ()),
        tuple((role, c.operands, c.results, c.carried, graphs.get(c.graph, -1)) for role, c in sorted(calls.items())),
    )
    return (*key, data.get("index")) if level == 0 else key


def forward(view: View, own: list[int], intern: Interner) -> list[int]:
    """Colour of each node with everything upstream of it, slots and ports included."""
    colours = [0] * len(view)
    component = view.component
    for i in view.order:
        number = component[i]
        # Around a cycle a node sees its neighbours' own colours only: negative, so never mistaken for a cone's.
        data = [(s, p, colours[src] if component[src] != number else -1 - own[src]) for c, s, src, p in view.ins[i] if not c]
        control = sorted(colours[src] if component[src] != number else -1 - own[src] for c, _, src, _ in view.ins[i] if c)
        colours[i] = intern.of((own[i], tuple(data), tuple(control)))
    return colours


def backward(view: View, own: list[int], intern: Interner) -> list[int]:
    """Colour of each node with everything downstream of it, slots and ports included."""
    colours = [0] * len(view)
    component = view.component
    for i in reversed(view.order):
        number = component[i]
        uses = sorted((c, p, s, colours[dst] if component[dst] != number else -1 - own[dst]) for c, p, s, dst in view.outs[i])
        colours[i] = intern.of((own[i], tuple(uses)))
    return colours


def around(view: View, colours: list[int], intern: Interner) -> list[int]:
    """One round of refinement both ways: a node's colour with its operands' and users', slots and ports included."""
    found = []
    for i, colour in enumerate(colours):
        operands = sorted((c, s, p, colours[src]) for c, s, src, p in view.ins[i])
        uses = sorted((c, p, s, colours[dst]) for c, p, s, dst in view.outs[i])
        found.append(intern.of((colour, tuple(operands), tuple(uses))))
    return found


class Palette:
    """Colours of two programs' graphs, by shared numbering; each is computed when first asked for."""

    def __init__(self, a: Program, b: Program) -> None:
        self._interners = [(Interner(), Interner(), Interner(), Interner()) for _ in range(LEVELS)]
        self._own: dict[tuple[int, int], list[int]] = {}
        self._forward: dict[tuple[int, int], list[int]] = {}
        self._backward: dict[tuple[int, int], list[int]] = {}
        self._near: dict[int, tuple[list[int], ...]] = {}
        self._rounds = [Interner() for _ in range(RADIUS)]
        self.views = tuple({name: View(name, graph) for name, graph in p.graphs.items()} for p in (a, b))
        self._graphs: list[tuple[dict[str, int], dict[str, int]]] = [({}, {}) for _ in range(LEVELS)]
        self._side = {id(view): side for side in (0, 1) for view in self.views[side].values()}
        for side, program in enumerate((a, b)):
            # Callees first, so that a caller's colour holds its regions' colours; recursion leaves a callee out.
            components = nx.condensation(program.call_graph())
            for number in reversed(list(nx.topological_sort(components))):
                for level in (0, 1):
                    found = {name: self._graph(side, name, level) for name in components.nodes[number]["members"]}
                    self._graphs[level][side].update(found)

    def graph(self, side: int, name: str, level: int) -> int:
        """Colour of a whole region, at level 0 or 1."""
        return self._graphs[level][side][name]

    def own(self, view: View, level: int) -> list[int]:
        key = (id(view), level)
        if key not in self._own:
            intern, graphs = self._interners[level][0], self._graphs[level][self._side[id(view)]]
            self._own[key] = [intern.of(own_key(data, level, graphs)) for data in view.data]
        return self._own[key]

    def forward(self, view: View, level: int) -> list[int]:
        key = (id(view), level)
        if key not in self._forward:
            self._forward[key] = forward(view, self.own(view, level), self._interners[level][1])
        return self._forward[key]

    def backward(self, view: View, level: int) -> list[int]:
        key = (id(view), level)
        if key not in self._backward:
            self._backward[key] = backward(view, self.own(view, level), self._interners[level][2])
        return self._backward[key]

    def near(self, view: View) -> tuple[list[int], ...]:
        """Colours of each node with all that is at most 1, 2 … :data:`RADIUS` steps away, at level 0."""
        if id(view) not in self._near:
            rounds, colours = [], self.own(view, 0)
            for intern in self._rounds:
                colours = around(view, colours, intern)
                rounds.append(colours)
            self._near[id(view)] = tuple(rounds)
        return self._near[id(view)]

    def _graph(self, side: int, name: str, level: int) -> int:
        return self._interners[level][3].of(tuple(sorted(self.forward(self.views[side][name], level))))
