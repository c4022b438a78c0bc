"""Which region of one program corresponds to which of another, through the calls; then their nodes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from dataclasses import dataclass, field

import networkx as nx

from graphlab.diff.align import Pair, align
from graphlab.diff.colours import Palette
from graphlab.diff.view import View
from graphlab.ir.frozen import EMPTY
from graphlab.ir.program import Program


@dataclass(slots=True)
class Alignment:
    """Corresponding graphs by name, A → B; for each, pairs of node indices; and nodes that changed graph.

    ``moved`` holds (graph in A, index, graph in B, index).
    """

    views: tuple[dict[str, View], dict[str, View]]
    graphs: dict[str, str] = field(default_factory=dict)
    nodes: dict[str, list[Pair]] = field(default_factory=dict)
    moved: list[tuple[str, int, str, int]] = field(default_factory=list)


def align_programs(a: Program, b: Program) -> Alignment:
    """Pair the graphs from the entry down, a caller's match speaking for its callees; then what no caller reaches."""
    palette = Palette(a, b)
    found = Alignment((palette.views[0], palette.views[1]))
    taken: set[str] = set()
    votes: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    condensed = nx.condensation(a.call_graph())
    layers = [
        sorted(name for number in layer for name in condensed.nodes[number]["members"]) for layer in nx.topological_generations(condensed)
    ]

    def pair(name: str, other: str) -> None:
        found.graphs[name] = other
        taken.add(other)
        view, match = found.views[0][name], found.views[1][other]
        found.nodes[name] = align(view, match, palette)
        for p in found.nodes[name]:
            calls, others = view.data[p.a].get("calls", EMPTY), match.data[p.b].get("calls", EMPTY)
            for role in calls:
                if role in others:
                    votes[calls[role].graph][others[role].graph] += 1

    def strength(name: str, other: str) -> tuple[bool, bool, int, bool]:
        return (
            palette.graph(0, name, 0) == palette.graph(1, other, 0),
            palette.graph(0, name, 1) == palette.graph(1, other, 1),
            votes[name][other],
            name == other,
        )

    def settle(names: list[str]) -> None:
        """Pair the graphs that matched callers speak for, the strongest first."""
        while True:
            candidates = sorted(
                ((strength(n, o), n, o) for n in names if n not in found.graphs for o in votes[n] if o not in taken),
                key=lambda c: (*(-int(s) for s in c[0]), c[1], c[2]),
            )
            if not candidates:
                return
            done: set[str] = set()
            for _, name, other in candidates:
                if name not in found.graphs and other not in taken:
                    pair(name, other)
                    done.add(name)
            if not done:
                return

    pair(a.entry, b.entry)
    for name, signature in a.signatures.items():
        match = b.signatures.get(name)
        if match is not None and signature.graph not in found.graphs and match.graph not in taken:
            pair(signature.graph, match.graph)
    for layer in layers:
        settle(layer)
    for layer in layers:
        settle(layer)
        for name in layer:
            if name not in found.graphs:
                other = _unreached(name, found, palette, taken)
                if other is not None:
                    pair(name, other)
    _find_moved(found, palette)
    return found


def _unreached(name: str, found: Alignment, palette: Palette, taken: set[str]) -> str | None:
    """A graph no matched caller speaks for: an equal one, else one of the same name with mostly the same ops."""
    open_b = [other for other in sorted(found.views[1]) if other not in taken]
    for level in (0, 1):
        equal = [other for other in open_b if palette.graph(0, name, level) == palette.graph(1, other, level)]
        if equal:
            return name if name in equal else equal[0]
    if name not in open_b:
        return None
    left, right = (sorted(palette.own(found.views[side][name], 3)) for side in (0, 1))
    return name if 2 * len(set(left) & set(right)) >= len(set(left) | set(right)) else None


def _find_moved(found: Alignment, palette: Palette) -> None:
    """Operations that are unmatched in both programs, mean and neighbour the same, and are alone in that."""
    keys: tuple[dict[Hashable, tuple[str, int] | None], dict[Hashable, tuple[str, int] | None]] = ({}, {})
    for side in (0, 1):
        matched = {(g if side == 0 else found.graphs[g], p.a if side == 0 else p.b) for g, pairs in found.nodes.items() for p in pairs}
        for name, view in found.views[side].items():
            own = palette.own(view, 1)
            for i, data in enumerate(view.data):
                if data["kind"] != "op" or (name, i) in matched:
                    continue
                users = tuple(sorted((p, s, own[dst]) for c, p, s, dst in view.outs[i] if not c))
                key: Hashable = (own[i], tuple((s, own[src], p) for c, s, src, p in view.ins[i] if not c), users)
                keys[side][key] = None if key in keys[side] else (name, i)
    for key, at in keys[0].items():
        to = keys[1].get(key)
        if at is not None and to is not None and found.graphs.get(at[0]) != to[0]:
            found.moved.append((*at, *to))
