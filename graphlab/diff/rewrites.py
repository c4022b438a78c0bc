"""N nodes that became M: what was removed and added between the same matched neighbours, as one, named where it is known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from graphlab.diff.changes import Added, Change, GraphDiff, OpChanged, Removed
from graphlab.diff.keys import plain
from graphlab.ir.graph import Node, Use
from graphlab.ir.program import NodeRef, Program

LAYER = 5
"""Nodes that come or go together from which on they are called a layer."""
HUB = 4
"""Users of a value up to which two of them, one gone and one come, are taken for one another's."""

_End: TypeAlias = tuple[int, NodeRef]
"""Side (0 for A, 1 for B) and node."""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Nodes of A that became nodes of B, either of which may be none.

    ``kind``: ``fused``, ``decomposed``, ``folded``, ``split``, ``merged`` and ``duplicated`` (the same value computed
    once, or twice), ``replaced`` (one by one), ``rewritten``, ``inserted``, ``removed``, ``layer inserted``, ``layer dropped``.
    """

    kind: str
    a: tuple[NodeRef, ...]
    b: tuple[NodeRef, ...]


def rewrites(diff: GraphDiff) -> tuple[Rewrite, ...]:
    """The rewrites that a diff's removed, added and replaced nodes make up, in the order of their first nodes."""
    return tuple(_Rewrites(diff).all())


class _Rewrites:
    def __init__(self, diff: GraphDiff) -> None:
        self.diff = diff
        self.programs = (diff.a, diff.b)
        forth = {match.a: match.b for match in diff.matches}
        self.mates: tuple[dict[NodeRef, NodeRef], dict[NodeRef, NodeRef]] = (forth, {b: a for a, b in forth.items()})
        self.other: dict[_End, _End] = {}
        for change in diff.changes:
            if isinstance(change, OpChanged) and change.at.a is not None and change.at.b is not None:
                self.other[0, change.at.a] = (1, change.at.b)
                self.other[1, change.at.b] = (0, change.at.a)
        self.loose = {end for change in diff.changes for end in _ends(change)}
        self.root: dict[_End, _End] = {end: end for end in (*self.loose, *self.other)}

    def all(self) -> Iterator[Rewrite]:
        twins = list(self._twins())
        for end, (side, twin) in twins:
            self.loose.discard(end)
            pair = (twin, self.mates[side][twin])
            one = tuple(sorted({end[1], twin}, key=str))
            yield Rewrite("merged", one, (pair[1],)) if side == 0 else Rewrite("duplicated", (pair[1],), one)
        told = {end for end, _ in twins}
        for end in self.root:
            if end in told:
                continue
            self._join(end, told)
        groups: dict[_End, list[_End]] = defaultdict(list)
        for end in self.root:
            if end not in told:
                groups[self._find(end)].append(end)
        found = []
        for members in groups.values():
            sides = [tuple(sorted((ref for side, ref in members if side == s), key=str)) for s in (0, 1)]
            found.append(Rewrite(self._kind(*sides), *sides))
        yield from sorted(found, key=lambda r: [str(ref) for ref in (*r.a, *r.b)])

    def _find(self, end: _End) -> _End:
        while self.root[end] != end:
            self.root[end] = self.root[self.root[end]]
            end = self.root[end]
        return end

    def _unite(self, one: _End, two: _End) -> None:
        self.root[self._find(one)] = self._find(two)

    def _join(self, end: _End, told: set[_End]) -> None:
        """Unite the node with unmatched neighbours, its counterpart, and those that feed or follow the same matched ones."""
        side, ref = end
        node = _node(self.programs[side], ref)
        if end in self.other:
            self._unite(end, self.other[end])
        near = {*(u.src for u in node.operands), *(u.dst for u in node.users)}
        for id in near:
            neighbour = (side, NodeRef(ref.graph, id))
            if neighbour in self.root and neighbour not in told and (end in self.loose or neighbour in self.loose):
                self._unite(end, neighbour)
        if side == 1 or end not in self.loose:
            return
        for use in node.users:
            mate = self.mates[0].get(NodeRef(ref.graph, use.dst))
            if mate is not None:
                for fed in _node(self.diff.b, mate).operands:
                    across = (1, NodeRef(mate.graph, fed.src))
                    if fed.dst_port == use.dst_port and across in self.loose and across not in told:
                        self._unite(end, across)
        for use in node.operands:
            mate = self.mates[0].get(NodeRef(ref.graph, use.src))
            if mate is None:
                continue
            mine = self._followers(0, NodeRef(ref.graph, use.src), use.src_port)
            theirs = self._followers(1, mate, use.src_port)
            if len(mine) == 1 and len(theirs) == 1 and theirs[0] not in told:
                self._unite(end, theirs[0])

    def _followers(self, side: int, ref: NodeRef, port: int) -> list[_End]:
        users: list[Use] = _node(self.programs[side], ref).users
        found = {(side, NodeRef(ref.graph, use.dst)): None for use in users if use.src_port == port}
        return [end for end in found if end in self.loose] if len(users) <= HUB else []

    def _twins(self) -> Iterator[tuple[_End, _End]]:
        """Unmatched nodes that compute what a matched node of their graph computes: (the node, that one)."""
        for end in sorted(self.loose, key=lambda e: (e[0], str(e[1]))):
            side, ref = end
            node = _node(self.programs[side], ref)
            if node.kind != "op" or not node.operands:
                continue
            fed = [(u.src, u.src_port, u.dst_port) for u in node.operands]
            users = _node(self.programs[side], NodeRef(ref.graph, fed[0][0])).users
            for id in sorted({use.dst for use in users} - {ref.node}):
                twin = NodeRef(ref.graph, id)
                if twin in self.mates[side] and _same(node, _node(self.programs[side], twin)):
                    yield end, (side, twin)
                    break

    def _kind(self, a: tuple[NodeRef, ...], b: tuple[NodeRef, ...]) -> str:
        if not a or not b:
            here = b or a
            word = "layer " if len(here) >= LAYER else ""
            return word + (("inserted" if b else "dropped") if word else ("inserted" if b else "removed"))
        ops = [[_node(p, ref).op for ref in refs] for p, refs in zip(self.programs, (a, b), strict=True)]
        if len(b) == 1 and _node(self.diff.b, b[0]).kind == "constant":
            return "folded"
        if len(a) == len(b) == 1:
            return "replaced"
        if len(a) == 1:
            return "split" if set(ops[1]) == set(ops[0]) else "decomposed"
        if len(b) == 1:
            return "merged" if set(ops[1]) == set(ops[0]) else "fused"
        return "rewritten"


def _ends(change: Change) -> Iterator[_End]:
    match change:
        case Removed(at=at) if at.a is not None:
            yield 0, at.a
        case Added(at=at) if at.b is not None:
            yield 1, at.b


def _node(program: Program, ref: NodeRef) -> Node:
    return program.node(ref)


def _same(one: Node, two: Node) -> bool:
    """Whether two nodes of one graph compute the same value."""
    parts = [(n.kind, n.op, n.outputs, plain(n.attrs), n.calls, n.control, n.effects, n.absent) for n in (one, two)]
    fed = [[(u.src, u.src_port, u.dst_port) for u in n.operands] for n in (one, two)]
    return parts[0] == parts[1] and fed[0] == fed[1] and not one.effects
