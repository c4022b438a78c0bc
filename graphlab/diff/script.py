"""From an alignment to the edit script: every difference of what is compared, once."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from graphlab.diff.align import Alignment
from graphlab.diff.changes import (
    MISSING,
    Added,
    AttributeChanged,
    CallChanged,
    Change,
    ConstantChanged,
    DimChanged,
    Feed,
    GraphAdded,
    GraphDiff,
    GraphRemoved,
    Match,
    Moved,
    OpChanged,
    OperandsReordered,
    Removed,
    Rewired,
    SignatureChanged,
    Site,
    Source,
    TypeChanged,
)
from graphlab.diff.keys import plain
from graphlab.diff.tables import Table
from graphlab.ir.constants import Constant
from graphlab.ir.frozen import EMPTY, FrozenDict
from graphlab.ir.graph import Call
from graphlab.ir.program import NodeRef, Program, Signature
from graphlab.ir.values import TensorType, ValueType

COMMUTATIVE = frozenset(
    ("Add", "Mul", "Max", "Min", "And", "Or", "Xor", "Equal", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Sum", "Mean")
)  # fmt: skip
"""ONNX operators whose operands may change places."""
TYPE_ASPECTS = ("dtype", "dims", "layout", "sharding", "quantization", "placement")


def edit_script(a: Program, b: Program, alignment: Alignment) -> GraphDiff:
    """The diff that an alignment stands for; not yet verified."""
    return _Script(a, b, alignment).diff()


def constants_differ(old: Constant | None, new: Constant | None) -> bool | None:
    """Whether two values differ, fetching both where need be; ``None`` where one cannot be had and types and sizes are equal."""
    if old is None or new is None:
        return old is not new
    if old is new:
        return False
    if (old.type, old.nbytes) != (new.type, new.nbytes):
        return True
    digests = old.digest, new.digest
    return None if None in digests else digests[0] != digests[1]


def type_aspects(old: ValueType | None, new: ValueType | None) -> tuple[str, ...]:
    """In what two different types differ."""
    if old is None or new is None:
        return ("arity",)
    if not isinstance(old, TensorType) or not isinstance(new, TensorType):
        return ("kind",) if type(old) is not type(new) else ("elements",)
    return tuple(f for f in TYPE_ASPECTS if getattr(old, f) != getattr(new, f))


class _Script:
    def __init__(self, a: Program, b: Program, found: Alignment) -> None:
        self.a, self.b, self.found = a, b, found
        self.one, self.two = found.tables
        self.regions: dict[str, str] = {}
        names = set(a.graphs)
        for other in sorted(b.graphs):
            mate = found.back[self.two.number[other]]
            self.regions[other] = self.one.names[mate] if mate >= 0 else fresh(other, names)
        self.unchecked: list[tuple[NodeRef, NodeRef]] = []
        self.at = self._place()
        self.renumbered = {i for region, mate in enumerate(found.graphs) if mate >= 0 for i in self._renumbered(region)}

    def _stays(self, i: int) -> bool:
        """Whether a node of A is matched within corresponding regions."""
        j = self.found.to_b[i]
        return j >= 0 and self.found.graphs[self.one.where[i]] == self.two.where[j]

    def _place(self) -> list[NodeRef]:
        """Where each node of B goes."""
        one, two, to_a = self.one, self.two, self.found.to_a
        at: list[NodeRef | None] = [one.ref(i) if i >= 0 and self._stays(i) else None for i in to_a]
        taken: dict[str, set[str]] = {}
        for j in sorted((j for j, ref in enumerate(at) if ref is None), key=lambda j: (to_a[j] < 0, two.names[two.where[j]], two.ids[j])):
            region = self.regions[two.names[two.where[j]]]
            if region not in taken:
                taken[region] = set(self.a.graphs.get(region, ()))
            at[j] = NodeRef(region, fresh(one.ids[to_a[j]] if to_a[j] >= 0 else two.ids[j], taken[region]))
        return [ref for ref in at if ref is not None]

    def _renumbered(self, region: int) -> Iterator[int]:
        """Inputs whose new position has to be said. Where inputs come or go, the others close up in their order."""
        one, two = self.one, self.two
        inputs, others = one.inputs[region], two.inputs[self.found.graphs[region]]
        kept = [(one.data[i]["index"], two.data[self.found.to_b[i]]["index"], i) for i in inputs if self._stays(i)]
        if len(kept) == len(inputs) == len(others):
            yield from (i for old, new, i in kept if old != new)
            return
        kept.sort()
        steady = longest_increasing([new for _, new, _ in kept])
        yield from (i for at, (_, _, i) in enumerate(kept) if at not in steady)

    def diff(self) -> GraphDiff:
        one, two, found = self.one, self.two, self.found
        refs = list(map(one.ref, range(len(one))))
        others = list(map(two.ref, range(len(two))))
        order = sorted((one.names[one.where[i]], one.ids[i], i) for i, j in enumerate(found.to_b) if j >= 0)
        matches = tuple(Match(refs[i], others[found.to_b[i]], found.confidence[i], found.reason[i]) for _, _, i in order)
        changes = tuple(self._changes())
        graphs = {one.names[r]: two.names[mate] for r, mate in enumerate(found.graphs) if mate >= 0}
        return GraphDiff(
            self.a, self.b, matches, dict(sorted(graphs.items())), changes,
            dict(zip(others, self.at, strict=True)), self.regions, tuple(sorted(self.unchecked, key=str)),
        )  # fmt: skip

    def _changes(self) -> Iterator[Change]:
        one, two, found = self.one, self.two, self.found
        yield from self._signatures()
        for name in sorted(set(self.a.dims) | set(self.b.dims)):
            old, new = self.a.dims.get(name), self.b.dims.get(name)
            if old != new:
                yield DimChanged(name, old, new)
        paired = set(self.regions.values())
        for name in sorted(self.a.graphs):
            if found.graphs[one.number[name]] < 0:
                assert name not in paired
                yield GraphRemoved(name, len(self.a.graphs[name]))
        for other in sorted(self.b.graphs):
            number = two.number[other]
            if found.back[number] < 0:
                nodes = tuple(self._added(j) for j in by_depth(two, two.members(number)) if found.to_a[j] < 0)
                yield GraphAdded(self.regions[other], other, nodes)
        ours, theirs = self._uneven()
        for name in sorted(self.a.graphs):
            region = one.number[name]
            if found.graphs[region] < 0:
                continue
            for i in by_depth(one, [i for i in one.members(region) if i in ours]):
                if self._stays(i):
                    yield from self._compared(i, found.to_b[i])
                    yield from self._edges(i, found.to_b[i])
                elif found.to_b[i] < 0:
                    yield self._removed(i)
            yield from (self._added(j) for j in by_depth(two, [j for j in two.members(found.graphs[region]) if j in theirs]))
        for i in by_depth(one, [i for i, j in enumerate(found.to_b) if j >= 0 and not self._stays(i)]):
            yield Moved(self._site(i, found.to_b[i]), self._feeds_b(found.to_b[i]))
            yield from self._compared(i, found.to_b[i])

    def _uneven(self) -> tuple[set[int], set[int]]:
        """Nodes of A of which something may have to be said, and unmatched nodes of B: all others are the same by their keys and edges."""
        one, two, found = self.one, self.two, self.found
        own = found.palette.own[0]
        to_b = np.array(found.to_b, np.int64)
        ports, port = np.unique(
            np.concatenate([(t.src_port << 21) ^ (t.dst_port << 1) ^ t.control for t in (one, two)]), return_inverse=True
        )
        cut = len(one.src)
        sides = []
        for table, end, which in ((one, to_b, port[:cut]), (two, np.arange(len(two)), port[cut:])):
            sides.append(((end[table.src] + 1) * (len(two) + 1) + end[table.dst] + 1) * len(ports) + which)
        alone = ~np.isin(sides[0], sides[1]), ~np.isin(sides[1], sides[0])
        uneven = set(one.dst[alone[0]].tolist()) | {found.to_a[j] for j in two.dst[alone[1]].tolist()}
        for i, j in enumerate(found.to_b):
            data = one.data[i]
            if j < 0 or own[0][i] != own[1][j] or "calls" in data or "value" in data or i in self.renumbered:
                uneven.add(i)
        return uneven, {j for j, i in enumerate(found.to_a) if i < 0}

    def _signatures(self) -> Iterator[SignatureChanged]:
        names = set(self.a.signatures)
        left: dict[tuple[str, int], tuple[str, Signature]] = {}
        count: Counter[str] = Counter()
        for name, signature in self.a.signatures.items():
            left[signature.graph, count[signature.graph]] = (name, signature)
            count[signature.graph] += 1
        count.clear()
        for name, signature in self.b.signatures.items():
            new = replace(signature, graph=self.regions[signature.graph])
            at = (new.graph, count[new.graph])
            count[new.graph] += 1
            if at not in left:
                yield SignatureChanged(fresh(name, names), None, new)
                continue
            own, old = left.pop(at)
            said = [[[(s.type, s.role) for s in slots] for slots in (sig.inputs, sig.outputs)] for sig in (old, new)]
            if said[0] != said[1]:
                yield SignatureChanged(own, old, new)
        for name, signature in left.values():
            yield SignatureChanged(name, signature, None)

    def _site(self, i: int, j: int) -> Site:
        """Of a node of A and of B; -1 where a side has none."""
        data = self.two.data[j] if j >= 0 else self.one.data[i]
        a = self.one.ref(i) if i >= 0 else None
        b = self.two.ref(j) if j >= 0 else None
        locs = (self.one.data[i].get("loc") if i >= 0 else None, self.two.data[j].get("loc") if j >= 0 else None)
        to = self.at[j] if j >= 0 else a
        assert to is not None
        scope = (self.one.data[i].get("scope") if i >= 0 else None) or data.get("scope", "")
        return Site(
            to, a, b, data.get("op", data["kind"]), scope,
            None if locs[0] is None else self.a.frames[locs[0]],
            None if locs[1] is None else self.b.frames[locs[1]],
        )  # fmt: skip

    def _source_a(self, src: int, port: int) -> Source:
        data = self.one.data[src]
        return Source(self.one.ref(src), port, data.get("op", data["kind"]))

    def _source_b(self, src: int, port: int) -> Source:
        data = self.two.data[src]
        return Source(self.at[src], port, data.get("op", data["kind"]))

    def _feeds_b(self, j: int) -> tuple[Feed, ...]:
        return tuple(Feed(s, self._source_b(src, p), edge_kind(c)) for c, s, src, p in self.two.ins(j))

    def _added(self, j: int) -> Added:
        data = dict(self.two.data[j])
        if "calls" in data:
            data["calls"] = FrozenDict({role: replace(c, graph=self.regions[c.graph]) for role, c in data["calls"].items()})
        loc = data.pop("loc", None)
        frames = []
        while loc is not None:
            frames.append(self.b.frames[loc])
            loc = self.b.frames[loc].caller
        return Added(self._site(-1, j), FrozenDict(data), self._feeds_b(j), tuple(frames))

    def _removed(self, i: int) -> Removed:
        feeds = tuple(Feed(s, self._source_a(src, p), edge_kind(c)) for c, s, src, p in self.one.ins(i))
        return Removed(self._site(i, -1), self.one.data[i].get("outputs", ()), feeds)

    def _compared(self, i: int, j: int) -> Iterator[Change]:
        x, y = self.one.data[i], self.two.data[j]
        at = self._site(i, j)
        if (x["kind"], x.get("op")) != (y["kind"], y.get("op")):
            yield OpChanged(at, x.get("op", x["kind"]), y.get("op", y["kind"]), (x["kind"], y["kind"]), y.get("canonical"))
        old_types, new_types = x.get("outputs", ()), y.get("outputs", ())
        if old_types != new_types:
            for port in range(max(len(old_types), len(new_types))):
                old, new = (types[port] if port < len(types) else None for types in (old_types, new_types))
                if old != new:
                    yield TypeChanged(at, port, type_aspects(old, new), old, new)
        before, after = x.get("attrs", EMPTY), y.get("attrs", EMPTY)
        for key in sorted(set(before) | set(after)):
            pair = before.get(key, MISSING), after.get(key, MISSING)
            if plain(pair[0]) != plain(pair[1]):
                yield AttributeChanged(at, "attrs", key, *pair)
        fields: tuple[Literal["control", "effects", "absent"], ...] = ("control", "effects", "absent")
        for field in fields:
            old, new = (None if data.get(field) == () else data.get(field) for data in (x, y))
            if old != new:
                yield AttributeChanged(at, field, "", MISSING if old is None else old, MISSING if new is None else new)
        if i in self.renumbered:
            yield AttributeChanged(at, "index", "", x.get("index"), y.get("index"))
        yield from self._constant(at, x, y)
        calls, others = x.get("calls", EMPTY), y.get("calls", EMPTY)
        for role in sorted(set(calls) | set(others)):
            was: Call | None = calls.get(role)
            now: Call | None = replace(others[role], graph=self.regions[others[role].graph]) if role in others else None
            if was != now:
                yield CallChanged(at, role, was, now)

    def _constant(self, at: Site, x: dict[str, Any], y: dict[str, Any]) -> Iterator[Change]:
        differ = constants_differ(x.get("value"), y.get("value"))
        if differ is None and at.a is not None and at.b is not None:
            self.unchecked.append((at.a, at.b))
        elif differ:
            yield ConstantChanged(at, x.get("value"), y.get("value"))

    def _edges(self, i: int, j: int) -> Iterator[Change]:
        ins, others = self.one.ins(i), self.two.ins(j)
        old = {s: self._source_a(src, p) for c, s, src, p in ins if not c}
        new = {s: self._source_b(src, p) for c, s, src, p in others if not c}
        was, now = ({s: (e.node, e.port) for s, e in side.items()} for side in (old, new))
        ordered = any(operand[0] for operand in (*ins, *others))
        if was == now and not ordered:
            return
        at = self._site(i, j)
        if was != now and was.keys() == now.keys() and Counter(was.values()) == Counter(now.values()):
            left = sorted(was)
            order = []
            for slot in sorted(now):
                # A slot that keeps its operand is not said to have moved, even where the operand occurs twice.
                free = (
                    slot
                    if slot in left and was[slot] == now[slot]
                    else next(s for s in left if was[s] == now[slot] and was[s] != now.get(s))
                )
                left.remove(free)
                order.append(free)
            commutative = len(order) == 2 and self.two.data[j].get("canonical") in COMMUTATIVE
            yield OperandsReordered(at, tuple(order), commutative)
        else:
            for slot in sorted(set(was) | set(now)):
                if was.get(slot) != now.get(slot):
                    yield Rewired(at, slot, old.get(slot), new.get(slot))
        before = {self._source_a(src, -1) for c, _, src, _ in ins if c}
        after = {self._source_b(src, -1) for c, _, src, _ in others if c}
        nodes_before, nodes_after = {s.node for s in before}, {s.node for s in after}
        for source in sorted(before, key=lambda s: str(s.node)):
            if source.node not in nodes_after:
                yield Rewired(at, -1, source, None, "control")
        for source in sorted(after, key=lambda s: str(s.node)):
            if source.node not in nodes_before:
                yield Rewired(at, -1, None, source, "control")


def fresh(name: str, taken: set[str]) -> str:
    """``name``, or with a number behind it where it is taken; enters it into ``taken``."""
    found, number = name, 2
    while found in taken:
        found = f"{name}+{number}"
        number += 1
    taken.add(found)
    return found


def longest_increasing(values: Sequence[int]) -> set[int]:
    """Positions of one longest increasing subsequence (patience sorting)."""
    tops: list[int] = []
    at: list[int] = []
    before: list[int] = []
    for position, value in enumerate(values):
        pile = bisect_left(tops, value)
        before.append(at[pile - 1] if pile else -1)
        tops[pile : pile + 1] = [value]
        at[pile : pile + 1] = [position]
    found: set[int] = set()
    position = at[-1] if at else -1
    while position >= 0:
        found.add(position)
        position = before[position]
    return found


def by_depth(table: Table, nodes: Iterable[int]) -> list[int]:
    """Nodes by region, depth and id: in the same order whatever that of the program."""
    return sorted(nodes, key=lambda i: (table.names[table.where[i]], table.depth[i], table.ids[i]))


def edge_kind(control: int) -> Literal["data", "control"]:
    return "control" if control else "data"
