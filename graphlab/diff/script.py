"""From an alignment to the edit script: every difference of what is compared, once."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

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
from graphlab.diff.colours import plain
from graphlab.diff.regions import Alignment
from graphlab.diff.view import View
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


@dataclass(frozen=True, slots=True)
class _Placed:
    """A node of B (and of A, where it has one) and where it goes."""

    view_a: View | None
    i: int
    view_b: View | None
    j: int


class _Script:
    def __init__(self, a: Program, b: Program, alignment: Alignment) -> None:
        self.a, self.b = a, b
        self.graphs = alignment.graphs
        self.views = alignment.views
        self.nodes = alignment.nodes
        self.moved = alignment.moved
        back = {other: name for name, other in self.graphs.items()}
        self.regions: dict[str, str] = {}
        names = set(a.graphs)
        for other in sorted(b.graphs):
            self.regions[other] = back[other] if other in back else fresh(other, names)
        self.placed: dict[NodeRef, NodeRef] = {}
        self.unchecked: list[tuple[NodeRef, NodeRef]] = []
        self._place()
        self.renumbered = {(name, i) for name in self.graphs for i in self._renumbered(name)}

    def _place(self) -> None:
        for name, other in self.graphs.items():
            view, match = self.views[0][name], self.views[1][other]
            for pair in self.nodes[name]:
                self.placed[NodeRef(other, match.ids[pair.b])] = NodeRef(name, view.ids[pair.a])
        taken = {name: set(graph) for name, graph in self.a.graphs.items()}
        for name, i, other, j in self.moved:
            region = self.regions[other]
            id = fresh(self.views[0][name].ids[i], taken.setdefault(region, set()))
            self.placed[NodeRef(other, self.views[1][other].ids[j])] = NodeRef(region, id)
        for other in sorted(self.b.graphs):
            region = self.regions[other]
            for id in sorted(self.b.graphs[other]):
                if NodeRef(other, id) not in self.placed:
                    self.placed[NodeRef(other, id)] = NodeRef(region, fresh(id, taken.setdefault(region, set())))

    def _renumbered(self, name: str) -> Iterator[int]:
        """Inputs whose new position has to be said. Where inputs come or go, the others close up in their order."""
        view, match = self.views[0][name], self.views[1][self.graphs[name]]
        kept = [(view.data[p.a]["index"], match.data[p.b]["index"], p.a) for p in self.nodes[name] if view.data[p.a]["kind"] == "input"]
        counts = {sum(1 for data in v.data if data["kind"] == "input") for v in (view, match)}
        if counts == {len(kept)}:
            yield from (i for old, new, i in kept if old != new)
            return
        kept.sort()
        steady = longest_increasing([new for _, new, _ in kept])
        yield from (i for at, (_, _, i) in enumerate(kept) if at not in steady)

    def diff(self) -> GraphDiff:
        matches = []
        for name, pairs in self.nodes.items():
            view, match = self.views[0][name], self.views[1][self.graphs[name]]
            matches += [Match(NodeRef(name, view.ids[p.a]), NodeRef(match.name, match.ids[p.b]), p.confidence, p.reason) for p in pairs]
        for name, i, other, j in self.moved:
            refs = NodeRef(name, self.views[0][name].ids[i]), NodeRef(other, self.views[1][other].ids[j])
            matches.append(Match(*refs, 0.5, "the same with the same kind of neighbours, in another region"))
        matches.sort(key=lambda m: (m.a.graph, m.a.node))
        return GraphDiff(
            self.a, self.b, tuple(matches), dict(sorted(self.graphs.items())), tuple(self._changes()),
            self.placed, self.regions, tuple(sorted(self.unchecked, key=str)),
        )  # fmt: skip

    def _changes(self) -> Iterator[Change]:
        yield from self._signatures()
        for name in sorted(set(self.a.dims) | set(self.b.dims)):
            old, new = self.a.dims.get(name), self.b.dims.get(name)
            if old != new:
                yield DimChanged(name, old, new)
        gone_a = {(name, i) for name, i, _, _ in self.moved}
        gone_b = {(other, j) for _, _, other, j in self.moved}
        for name in sorted(self.a.graphs):
            if name not in self.graphs:
                yield GraphRemoved(name, len(self.a.graphs[name]))
        for other in sorted(self.b.graphs):
            if self.regions[other] not in self.graphs:
                view = self.views[1][other]
                nodes = tuple(self._added(view, j) for j in by_depth(view) if (other, j) not in gone_b)
                yield GraphAdded(self.regions[other], other, nodes)
        for name, other in sorted(self.graphs.items()):
            view, match = self.views[0][name], self.views[1][other]
            to_b = {p.a: p.b for p in self.nodes[name]}
            kept = set(to_b.values())
            for i in by_depth(view):
                if i in to_b:
                    yield from self._compared(_Placed(view, i, match, to_b[i]))
                    yield from self._edges(view, i, match, to_b[i])
                elif (name, i) not in gone_a:
                    yield self._removed(view, i)
            for j in by_depth(match):
                if j not in kept and (other, j) not in gone_b:
                    yield self._added(match, j)
        for name, i, other, j in self.moved:
            pair = _Placed(self.views[0][name], i, self.views[1][other], j)
            yield Moved(self._site(pair), self._feeds_b(self.views[1][other], j))
            yield from self._compared(pair)

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

    def _site(self, p: _Placed) -> Site:
        data = p.view_b.data[p.j] if p.view_b else p.view_a.data[p.i] if p.view_a else {}
        a = NodeRef(p.view_a.name, p.view_a.ids[p.i]) if p.view_a else None
        b = NodeRef(p.view_b.name, p.view_b.ids[p.j]) if p.view_b else None
        locs = (p.view_a.data[p.i].get("loc") if p.view_a else None, p.view_b.data[p.j].get("loc") if p.view_b else None)
        to = self.placed[b] if b else a
        assert to is not None
        scope = (p.view_a.data[p.i].get("scope") if p.view_a else None) or data.get("scope", "")
        return Site(
            to, a, b, data.get("op", data["kind"]), scope,
            None if locs[0] is None else self.a.frames[locs[0]],
            None if locs[1] is None else self.b.frames[locs[1]],
        )  # fmt: skip

    def _source_a(self, view: View, src: int, port: int) -> Source:
        return Source(NodeRef(view.name, view.ids[src]), port, view.data[src].get("op", view.data[src]["kind"]))

    def _source_b(self, view: View, src: int, port: int) -> Source:
        return Source(self.placed[NodeRef(view.name, view.ids[src])], port, view.data[src].get("op", view.data[src]["kind"]))

    def _feeds_b(self, view: View, j: int) -> tuple[Feed, ...]:
        return tuple(Feed(s, self._source_b(view, src, p), edge_kind(c)) for c, s, src, p in view.ins[j])

    def _added(self, view: View, j: int) -> Added:
        data = dict(view.data[j])
        if "calls" in data:
            data["calls"] = FrozenDict({role: replace(c, graph=self.regions[c.graph]) for role, c in data["calls"].items()})
        loc = data.pop("loc", None)
        frames = []
        while loc is not None:
            frames.append(self.b.frames[loc])
            loc = self.b.frames[loc].caller
        return Added(self._site(_Placed(None, -1, view, j)), FrozenDict(data), self._feeds_b(view, j), tuple(frames))

    def _removed(self, view: View, i: int) -> Removed:
        feeds = tuple(Feed(s, self._source_a(view, src, p), edge_kind(c)) for c, s, src, p in view.ins[i])
        return Removed(self._site(_Placed(view, i, None, -1)), view.data[i].get("outputs", ()), feeds)

    def _compared(self, p: _Placed) -> Iterator[Change]:
        assert p.view_a is not None
        assert p.view_b is not None
        x, y = p.view_a.data[p.i], p.view_b.data[p.j]
        at = self._site(p)
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
        if (p.view_a.name, p.i) in self.renumbered:
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

    def _edges(self, view: View, i: int, match: View, j: int) -> Iterator[Change]:
        old = {s: self._source_a(view, src, p) for c, s, src, p in view.ins[i] if not c}
        new = {s: self._source_b(match, src, p) for c, s, src, p in match.ins[j] if not c}
        was, now = ({s: (e.node, e.port) for s, e in side.items()} for side in (old, new))
        ordered = any(operand[0] for operand in (*view.ins[i], *match.ins[j]))
        if was == now and not ordered:
            return
        at = self._site(_Placed(view, i, match, j))
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
            commutative = len(order) == 2 and match.data[j].get("canonical") in COMMUTATIVE
            yield OperandsReordered(at, tuple(order), commutative)
        else:
            for slot in sorted(set(was) | set(now)):
                if was.get(slot) != now.get(slot):
                    yield Rewired(at, slot, old.get(slot), new.get(slot))
        before = {self._source_a(view, src, -1) for c, _, src, _ in view.ins[i] if c}
        after = {self._source_b(match, src, -1) for c, _, src, _ in match.ins[j] if c}
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


def by_depth(view: View) -> list[int]:
    """Indices in order of depth, then id: the same whatever the order of nodes."""
    return sorted(range(len(view)), key=lambda i: (view.depth[i], view.ids[i]))


def edge_kind(control: int) -> Literal["data", "control"]:
    return "control" if control else "data"
