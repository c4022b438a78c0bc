"""Colours: what a node means with all that is around it, as 64-bit numbers that do not depend on names or order.

:func:`refine` looks further by a step a round, both ways, with slots and ports, in numpy over whole programs;
:class:`Palette` holds what follows from the two programs alone. Equal colours are evidence, not proof (they
are hashes): the finished diff is verified.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from graphlab.diff.keys import LEVELS, Keys
from graphlab.diff.tables import Table
from graphlab.ir.program import Program

RADIUS = 4
"""How many steps around a node :attr:`Palette.near` looks, at most."""

Colours = NDArray[np.uint64]


def mixed(values: Colours) -> Colours:
    """SplitMix64's finalizer, https://prng.di.unimi.it/splitmix64.c: spreads every bit over all."""
    x = values + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


class Refiner:
    """One round after another over one table; each returns new colours."""

    def __init__(self, table: Table) -> None:
        self.src, self.dst = table.src, table.dst
        label = mixed(((table.control << 40) ^ (table.src_port << 20) ^ table.dst_port).astype(np.uint64))
        self.into, self.from_ = label, mixed(label ^ np.uint64(0xA5A5A5A5))
        self.size = len(table)

    def round(self, colours: Colours, *, up: bool = True, down: bool = True) -> Colours:
        """Each node's colour with its operands' (``up``) and its users' (``down``), slots and ports included."""
        total = mixed(colours) * np.uint64(3)
        if up:
            np.add.at(total, self.dst, mixed(colours[self.src] ^ self.into))
        if down:
            np.add.at(total, self.src, mixed(colours[self.dst] ^ self.from_))
        return mixed(total)


def forward(table: Table, own: list[int], order: list[int], found: list[int]) -> None:
    """Enters the colour of each node of ``order`` with everything upstream of it, slots and ports included."""
    component = table.component
    for i in order:
        number = component[i]
        # Around a cycle a node sees its neighbours' own colours only.
        around = [(c, s, p, found[src] if component[src] != number else ~own[src]) for c, s, src, p in table.ins(i)]
        if len(around) > 1 and around[-1][0]:
            around.sort()  # ordering edges have no slot
        found[i] = hash((own[i], *around))


def backward(table: Table, own: list[int]) -> list[int]:
    """Colour of each node with everything downstream of it, slots and ports included."""
    found = [0] * len(table)
    component = table.component
    for i in reversed(table.order):
        number = component[i]
        uses = [(c, p, s, found[dst] if component[dst] != number else ~own[dst]) for c, p, s, dst in table.outs(i)]
        uses.sort()
        found[i] = hash((own[i], *uses))
    return found


class Palette:
    """What two programs' nodes mean, by themselves and by their surroundings, in shared numbering.

    Attributes:
        own: at each level, for A and for B: node → number; see :mod:`graphlab.diff.keys`.
        seated: the same at level 0 with an input's position.
        up, down: node → colour of its whole upstream, downstream, at level 0 with positions.
        graphs: at levels 0 and 1, for A and for B: region name → colour.
        own_colours, seated_colours, whole_up, whole_down: those as arrays.
        near: for A and for B: colours with all that is at most 1, 2 … :data:`RADIUS` steps away.
    """

    def __init__(self, a: Program, b: Program) -> None:
        self.tables = (Table(a), Table(b))
        self.own: tuple[tuple[list[int], list[int]], ...] = tuple(
            ([0] * len(self.tables[0]), [0] * len(self.tables[1])) for _ in range(LEVELS)
        )
        self.seated: list[list[int]] = []
        self.up: list[list[int]] = []
        self.down: list[list[int]] = []
        self.graphs: tuple[tuple[dict[str, int], dict[str, int]], ...] = (({}, {}), ({}, {}))
        self.refiners = tuple(map(Refiner, self.tables))
        self.near: list[list[list[int]]] = []
        self.own_colours: list[list[Colours]] = []
        self.seated_colours: list[Colours] = []
        self.whole_up: list[Colours] = []
        self.whole_down: list[Colours] = []
        keys = Keys()
        for side in (0, 1):
            self._paint(side, keys)
        for side, table in enumerate(self.tables):
            seated = [
                hash((own, data["index"])) if data["kind"] == "input" else own
                for own, data in zip(self.own[0][side], table.data, strict=True)
            ]
            up = [0] * len(table)
            forward(table, seated, table.order, up)
            self.seated.append(seated)
            self.up.append(up)
            self.down.append(backward(table, seated))
            self.seated_colours.append(as_colours(seated))
            self.whole_up.append(np.array(up, np.int64).view(np.uint64))
            self.whole_down.append(np.array(self.down[side], np.int64).view(np.uint64))
            rounds, colours = [], as_colours(self.own[0][side])
            for _ in range(RADIUS):
                colours = self.refiners[side].round(colours)
                rounds.append(colours.tolist())
            self.near.append(rounds)
        self.own_colours = [[as_colours(numbers) for numbers in level] for level in self.own]

    def flipped(self) -> Palette:
        """The same with A and B exchanged."""
        other = copy(self)
        other.tables, other.refiners = self.tables[::-1], self.refiners[::-1]
        other.own = tuple((b, a) for a, b in self.own)
        other.graphs = tuple((b, a) for a, b in self.graphs)
        other.own_colours = [pair[::-1] for pair in self.own_colours]
        for name in ("seated", "up", "down", "near", "seated_colours", "whole_up", "whole_down"):
            setattr(other, name, getattr(self, name)[::-1])
        return other

    def _paint(self, side: int, keys: Keys) -> None:
        """Own numbers and region colours, callees first, so that a caller's hold its regions'; recursion leaves a callee out."""
        table = self.tables[side]
        graphs = (self.graphs[0][side], self.graphs[1][side])
        order: list[list[int]] = [[] for _ in table.names]
        for i in table.order:
            order[table.where[i]].append(i)
        cones = ([0] * len(table), [0] * len(table))
        for members in _callees_first(table):
            done: list[tuple[str, int, int]] = []
            for name in members:
                number = table.number[name]
                for i in table.members(number):
                    for level, key in enumerate(keys.own(table.data[i], graphs)):
                        self.own[level][side][i] = key
                for level in (0, 1):
                    forward(table, self.own[level][side], order[number], cones[level])
                span = slice(table.start[number], table.start[number + 1])
                strict, loose = (hash(tuple(sorted(cones[level][span]))) for level in (0, 1))
                done.append((name, strict, loose))
            for name, strict, loose in done:
                graphs[0][name], graphs[1][name] = strict, loose


def as_colours(numbers: list[int]) -> Colours:
    return mixed(np.array(numbers, np.int64).astype(np.uint64))


def _callees_first(table: Table) -> Iterator[list[str]]:
    components = nx.condensation(table.calls)
    for number in reversed(list(nx.topological_sort(components))):
        yield list(components.nodes[number]["members"])
