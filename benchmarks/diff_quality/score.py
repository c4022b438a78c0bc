"""The scorer. Shares no code with the engine: own keys, own orbits, own cost, own check of the patched program.

A pair is right *strictly* where it is the planted one, and *orbit-aware* where it is the planted one
up to nodes that nothing tells apart: by colour refinement to its fixed point over either program,
whole programs at once, calls included.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.diff_quality.plant import Truth
from graphlab.ir.constants import Constant
from graphlab.ir.program import NodeRef, Program

Pairs = Mapping[NodeRef, NodeRef]
"""Node of A → node of B."""


@dataclass(frozen=True, slots=True)
class Score:
    """Figures of one diff; ``cost`` is of its matches, ``planted`` of the planted ones, by the same count."""

    strict: float
    orbit: float
    precision: float
    recall: float
    edges: float
    groups: float | None
    cost: int
    planted: int
    applied: bool | None

    @property
    def ratio(self) -> float:
        return self.cost / max(1, self.planted)


def parts(data: Mapping[str, Any]) -> dict[str, Any]:
    """What is compared of a node, by name."""
    found: dict[str, Any] = {"op": (data["kind"], data.get("op")), "index": data.get("index")}
    for port, kind in enumerate(data.get("outputs", ())):
        found[f"type {port}"] = repr(kind)
    for key, value in data.get("attrs", {}).items():
        found[f"attr {key}"] = repr(value)
    value = data.get("value")
    if value is not None:
        found["value"] = (repr(value.type), value.nbytes, digest_of(value))
    for key in ("control", "effects", "absent"):
        if data.get(key):
            found[key] = repr(data[key])
    for role, call in data.get("calls", {}).items():
        found[f"call {role}"] = (call.operands, call.results, call.carried)
    return found


def digest_of(value: Constant) -> str | None:
    """A small value's digest; a large one's where it is known without fetching."""
    size = value.nbytes
    return value.digest if size is not None and size <= 1024 and value.available else getattr(value, "_digest", None)


def orbits(program: Program) -> dict[NodeRef, int]:
    """Node → its colour at the fixed point of refinement by operands and users with slots and ports."""
    keys: dict[Any, int] = {}
    colour: dict[NodeRef, int] = {}
    near: dict[NodeRef, list[tuple[str, int, int, NodeRef]]] = defaultdict(list)
    for name, graph in program.graphs.items():
        for id, data in graph.nodes(data=True):
            ref = NodeRef(name, id)
            colour[ref] = keys.setdefault(repr(sorted(parts(data).items(), key=lambda p: p[0])), len(keys))
            for role, call in data.get("calls", {}).items():
                if call.graph in program.graphs:
                    root = NodeRef(call.graph, program.graphs[call.graph].output)
                    near[ref].append((f"calls {role}", 0, 0, root))
                    near[root].append((f"called {role}", 0, 0, ref))
        root = NodeRef(name, graph.output)
        for id in graph:
            if id != root.node:
                near[NodeRef(name, id)].append(("region", 0, 0, root))
        for src, dst, edge in graph.edges(data=True):
            a, b = NodeRef(name, src), NodeRef(name, dst)
            near[a].append((f"out {edge['kind']}", edge["src_port"], edge["dst_port"], b))
            near[b].append((f"in {edge['kind']}", edge["src_port"], edge["dst_port"], a))
    refs = list(colour)
    number = {ref: i for i, ref in enumerate(refs)}
    labels: dict[tuple[str, int, int], int] = {}
    around = [[(labels.setdefault(n[:3], len(labels)), number[n[3]]) for n in near[ref]] for ref in refs]
    now = [colour[ref] for ref in refs]
    count = len(set(now))
    while True:
        ids: dict[Any, int] = {}
        new = [
            ids.setdefault((own, *sorted([(label, now[o]) for label, o in uses])), len(ids)) for own, uses in zip(now, around, strict=True)
        ]
        if len(ids) == count:
            return dict(zip(refs, new, strict=True))
        now, count = new, len(ids)


def cost(a: Program, b: Program, pairs: Pairs) -> int:
    """Edits that a matching leaves to say: a node more or less is one, each differing part of a pair one, each operand that
    comes from elsewhere one (operands in another order are one together); what a new or a removed node is fed is no edit of its own."""
    total = sum(map(len, a.graphs.values())) + sum(map(len, b.graphs.values())) - 2 * len(pairs)
    back = {y: x for x, y in pairs.items()}
    for x, y in pairs.items():
        one, two = parts(a.graphs[x.graph].nodes[x.node]), parts(b.graphs[y.graph].nodes[y.node])
        total += sum(1 for key in one.keys() | two.keys() if one.get(key) != two.get(key))
        fed_a = {s: (NodeRef(x.graph, u.src), u.src_port) for u in a.graphs[x.graph].operands(x.node) for s in [u.dst_port]}
        fed_b = {
            u.dst_port: (back.get(NodeRef(y.graph, u.src), NodeRef("", y.graph + u.src)), u.src_port)
            for u in b.graphs[y.graph].operands(y.node)
        }
        if fed_a != fed_b:
            if sorted(map(str, fed_a.values())) == sorted(map(str, fed_b.values())):
                total += 1
            else:
                total += sum(1 for s in fed_a.keys() | fed_b.keys() if fed_a.get(s) != fed_b.get(s))
    return total


def score(a: Program, b: Program, truth: Truth, found: Pairs, *, same: tuple[Mapping[NodeRef, int], Mapping[NodeRef, int]],
          groups: list[tuple[frozenset[NodeRef], frozenset[NodeRef]]] | None = None, applied: bool | None = None) -> Score:  # fmt: skip
    """Score a matching against what was planted (``truth`` in B's own names).

    Args:
        same: :func:`orbits` of ``a`` and of ``b``.
    """
    forth = {x: y for y, x in truth.pairs.items()}
    # What went into a rewrite and what came out of it correspond as groups: that a pair of them is matched is neither right nor wrong.
    within = {(x, y) for xs, ys in truth.groups for x in xs for y in ys if x not in forth and y not in truth.pairs}
    loose = {x: y for x, y in forth.items() if x not in truth.free[0] and y not in truth.free[1]}
    counted = {x: y for x, y in found.items() if (x, y) not in within and x not in truth.free[0] and y not in truth.free[1]}
    strict = sum(1 for x, y in counted.items() if loose.get(x) == y)
    right = 0
    for x, y in counted.items():
        own, other = truth.same_a.get(x, x), truth.same_b.get(y, y)
        mate = truth.pairs.get(other)
        if mate is not None and (
            mate == own or same[0][mate] == same[0][own] or (same[1][forth.get(own, other)] == same[1][other] and own in forth)
        ):
            right += 1
    edges_a = Counter(
        (NodeRef(n, s), NodeRef(n, t), d["src_port"], d["dst_port"]) for n, g in a.graphs.items() for s, t, d in g.edges(data=True)
    )
    edges_b = Counter(
        (NodeRef(n, s), NodeRef(n, t), d["src_port"], d["dst_port"]) for n, g in b.graphs.items() for s, t, d in g.edges(data=True)
    )
    kept = [sum(1 for s, t, p, q in edges_a if s in m and t in m and (m[s], m[t], p, q) in edges_b) for m in (found, forth)]
    grouped = None
    if groups is not None and truth.groups:
        mine = {(x, y) for xs, ys in groups for x in xs for y in ys}
        theirs = {(x, y) for xs, ys in truth.groups for x in xs for y in ys}
        mine = {p for p in mine if any(p[0] in xs or p[1] in ys for xs, ys in truth.groups)}
        grouped = f1(len(mine & theirs), len(mine), len(theirs))
    return Score(
        f1(strict, len(counted), len(loose)), f1(right, len(counted), len(loose)), right / max(1, len(counted)), right / max(1, len(loose)),
        kept[0] / max(1, kept[1]), grouped, cost(a, b, found), cost(a, b, forth), applied,
    )  # fmt: skip


def f1(right: int, found: int, wanted: int) -> float:
    return 2 * right / max(1, found + wanted)


def equal(left: Program, right: Program, nodes: Pairs, graphs: Mapping[str, str]) -> bool:
    """Whether a program (``left``) is another under a one-to-one naming, ``right``'s node → ``left``'s."""
    if sorted(graphs.values()) != sorted(left.graphs) or set(graphs) != set(right.graphs) or left.dims != right.dims:
        return False
    if len(set(nodes.values())) != len(nodes) or sum(map(len, left.graphs.values())) != len(nodes) != 0:
        return False
    for name, graph in right.graphs.items():
        mine = left.graphs[graphs[name]]
        if len(mine) != len(graph):
            return False
        for id, data in graph.nodes(data=True):
            at = nodes[NodeRef(name, id)]
            if at.graph != graphs[name] or parts(mine.nodes[at.node]) != parts(data):
                return False
            calls, others = mine.nodes[at.node].get("calls", {}), data.get("calls", {})
            if any(calls[role].graph != graphs[call.graph] for role, call in others.items()):
                return False
        uses = Counter(
            (nodes[NodeRef(name, s)].node, nodes[NodeRef(name, t)].node, d["src_port"], d["dst_port"], d["kind"])
            for s, t, d in graph.edges(data=True)
        )
        if uses != Counter((s, t, d["src_port"], d["dst_port"], d["kind"]) for s, t, d in mine.edges(data=True)):
            return False
    return True
