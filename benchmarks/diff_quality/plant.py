"""Planted edits: a program with a given share of its nodes edited, and who is who.

Ids are kept while planting, so an untouched node is its own counterpart.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import networkx as nx

from graphlab.ir.frozen import EMPTY, FrozenDict
from graphlab.ir.graph import Graph, Use
from graphlab.ir.program import NodeRef, Program

PATIENCE = 5
"""Failures to find a place after which a kind of edit is left out."""
LAYERS_TRIED = 60
"""Places looked at for a layer."""
LARGEST_LAYER = 400
"""Nodes in a layer that is added or dropped, at most."""


@dataclass(slots=True)
class Truth:
    """Who is who after planting.

    Attributes:
        pairs: node of B → its node of A.
        groups: (nodes of A, nodes of B) that one rewrite turned into each other.
        same_a, same_b: node → the one it is interchangeable with (a duplicate and its original).
        free: nodes of A and of B whose pairing is right either way (a node cut out here and put in there).
        kinds: how many edits of each kind were planted.
    """

    pairs: dict[NodeRef, NodeRef] = field(default_factory=dict)
    groups: list[tuple[frozenset[NodeRef], frozenset[NodeRef]]] = field(default_factory=list)
    same_a: dict[NodeRef, NodeRef] = field(default_factory=dict)
    same_b: dict[NodeRef, NodeRef] = field(default_factory=dict)
    free: tuple[set[NodeRef], set[NodeRef]] = field(default_factory=lambda: (set(), set()))
    kinds: dict[str, int] = field(default_factory=dict)


class Planter:
    """Edits copies of a program's graphs in place. No node is edited twice, nor the neighbour of a rewrite."""

    def __init__(self, program: Program, seed: int) -> None:
        self.program = program
        self.rng = random.Random(seed)
        self.graphs: dict[str, Graph] = {name: graph.copy() for name, graph in program.graphs.items()}
        self.truth = Truth()
        self.gone: set[NodeRef] = set()
        self.touched: set[NodeRef] = set()
        self.made = 0
        self.acyclic = {name for name, graph in program.graphs.items() if nx.is_directed_acyclic_graph(graph)}
        called = {call.graph for graph in program.graphs.values() for _, c in graph.nodes(data="calls") for call in (c or EMPTY).values()}
        alive = {*called, program.entry, *(s.graph for s in program.signatures.values())}
        self.sites = [
            NodeRef(name, id)
            for name in sorted(alive)
            for id, data in sorted(program.graphs[name].nodes(data=True))
            if data["kind"] == "op"
        ]
        self.rng.shuffle(self.sites)

    def fresh(self) -> str:
        self.made += 1
        return f"planted.{self.made}"

    def site(self, good: Callable[[Graph, str], Any]) -> NodeRef | None:
        """A node of an unedited neighbourhood for which ``good`` says yes."""
        for at in range(len(self.sites)):
            ref = self.sites[at]
            graph = self.graphs[ref.graph]
            if ref in self.touched or ref.node not in graph or not good(graph, ref.node):
                continue
            del self.sites[at]
            return ref
        return None

    def touch(self, graph: str, *ids: str) -> None:
        self.touched.update(NodeRef(graph, id) for id in ids)

    def done(self) -> tuple[Program, Truth]:
        for name, graph in self.graphs.items():
            for id in graph:
                ref = NodeRef(name, id)
                if name in self.program.graphs and id in self.program.graphs[name] and ref not in self.gone:
                    self.truth.pairs[ref] = ref
        return replace(self.program, graphs=self.graphs, native=None), self.truth


def data_only(graph: Graph, id: str) -> bool:
    """Whether the node has no ordering edges and uses no regions: edits keep to what they understand."""
    if graph.nodes[id].get("calls"):
        return False
    return all(d["kind"] == "data" for _, _, d in [*graph.in_edges(id, data=True), *graph.out_edges(id, data=True)])


def bypassable(graph: Graph, id: str) -> bool:
    """Whether all users may take the node's first operand of equal type instead."""
    if not data_only(graph, id) or len(graph.nodes[id].get("outputs", ())) != 1:
        return False
    operands = graph.operands(id)
    return bool(operands) and bool(graph.users(id)) and operands[0].src != id


def bypass(graph: Graph, id: str) -> None:
    first = graph.operands(id)[0]
    users = graph.users(id)
    graph.remove_node(id)
    for use in users:
        graph.connect(first.src, use.dst, first.src_port, use.dst_port)


def cut(graph: Graph, use: Use) -> None:
    graph.remove_edge(use.src, use.dst, (use.src_port, use.dst_port))


def delete(p: Planter) -> bool:
    ref = p.site(bypassable)
    if ref is None:
        return False
    graph = p.graphs[ref.graph]
    p.touch(ref.graph, ref.node, *(u.dst for u in graph.users(ref.node)))
    bypass(graph, ref.node)
    p.gone.add(ref)
    return True


def insert(p: Planter) -> bool:
    """A new node on all uses of a value; half the time one that looks like another node of the program."""
    ref = p.site(lambda graph, id: graph.users(id) and graph.nodes[id].get("outputs"))
    if ref is None:
        return False
    graph, new = p.graphs[ref.graph], p.fresh()
    data = dict(graph.nodes[ref.node])
    likes = [
        i
        for i, d in graph.nodes(data=True)
        if d["kind"] == "op" and d.get("outputs") == data["outputs"] and len(graph.operands(i)) == 1 and data_only(graph, i)
    ]
    port = graph.users(ref.node)[0].src_port
    users = [u for u in graph.users(ref.node) if u.src_port == port]
    if likes and p.rng.random() < 0.5:
        like = dict(graph.nodes[p.rng.choice(sorted(likes))])
        graph.add_node(new, **{k: v for k, v in like.items() if k != "name"})
    else:
        graph.add(new, kind="op", op="hlo.negate", outputs=data["outputs"][port : port + 1])
    for use in users:
        cut(graph, use)
        graph.connect(new, use.dst, 0, use.dst_port)
    graph.connect(ref.node, new, port, 0)
    p.touch(ref.graph, ref.node, new)
    return True


def attribute(p: Planter) -> bool:
    ref = p.site(lambda graph, id: bool(graph.nodes[id].get("attrs")))
    if ref is None:
        return False
    data = p.graphs[ref.graph].nodes[ref.node]
    attrs = dict(data["attrs"])
    key = p.rng.choice(sorted(attrs))
    data["attrs"] = FrozenDict({**attrs, key: ("planted", p.rng.randint(0, 1))})
    p.touch(ref.graph, ref.node)
    return True


def rewire(p: Planter) -> bool:
    """An operand comes from another node that is no descendant and gives a value of the same type."""
    ref = p.site(lambda graph, id: data_only(graph, id) and graph.operands(id))
    if ref is None:
        return False
    graph = p.graphs[ref.graph]
    use = p.rng.choice(graph.operands(ref.node))
    kinds = graph.nodes[use.src].get("outputs", ())
    kind = kinds[use.src_port] if use.src_port < len(kinds) else None
    below = nx.descendants(graph, ref.node) | {ref.node, use.src}
    others = [i for i, d in sorted(graph.nodes(data=True)) if i not in below and kind in d.get("outputs", ())[:1]]
    if not others:
        return False
    cut(graph, use)
    graph.connect(p.rng.choice(others), ref.node, 0, use.dst_port)
    p.touch(ref.graph, ref.node, use.src)
    return True


def swap(p: Planter) -> bool:
    def good(graph: Graph, id: str) -> bool:
        uses = graph.operands(id)
        return len(uses) >= 2 and (uses[0].src, uses[0].src_port) != (uses[1].src, uses[1].src_port)

    ref = p.site(good)
    if ref is None:
        return False
    graph = p.graphs[ref.graph]
    one, two = graph.operands(ref.node)[:2]
    cut(graph, one)
    cut(graph, two)
    graph.connect(one.src, ref.node, one.src_port, two.dst_port)
    graph.connect(two.src, ref.node, two.src_port, one.dst_port)
    p.touch(ref.graph, ref.node)
    return True


def move(p: Planter) -> bool:
    """A node is taken out and put in after another of the same type."""
    ref = p.site(lambda graph, id: bypassable(graph, id) and len(graph.operands(id)) == 1)
    if ref is None:
        return False
    graph = p.graphs[ref.graph]
    data, first = dict(graph.nodes[ref.node]), graph.operands(ref.node)[0]
    kind = graph.nodes[first.src].get("outputs", (None,))
    others = [
        i
        for i, d in sorted(graph.nodes(data=True))
        if i not in (ref.node, first.src) and d.get("outputs") == data["outputs"] == kind and graph.users(i)
        and NodeRef(ref.graph, i) not in p.touched
    ]  # fmt: skip
    if not others:
        return False
    to = p.rng.choice(others)
    p.touch(ref.graph, ref.node, to, *(u.dst for u in graph.users(ref.node)))
    bypass(graph, ref.node)
    users = graph.users(to)
    graph.add_node(ref.node, **data)
    for use in users:
        cut(graph, use)
        graph.connect(ref.node, use.dst, 0, use.dst_port)
    graph.connect(to, ref.node)
    p.truth.free[0].add(ref)
    p.truth.free[1].add(ref)
    return True


def duplicate(p: Planter) -> bool:
    ref = p.site(lambda graph, id: data_only(graph, id) and len(graph.users(id)) >= 2)
    if ref is None:
        return False
    graph, new = p.graphs[ref.graph], p.fresh()
    graph.add_node(new, **graph.nodes[ref.node])
    for use in graph.operands(ref.node):
        graph.connect(use.src, new, use.src_port, use.dst_port)
    users = graph.users(ref.node)
    for use in users[len(users) // 2 :]:
        cut(graph, use)
        graph.connect(new, use.dst, use.src_port, use.dst_port)
    twin = NodeRef(ref.graph, new)
    p.truth.same_b[twin] = ref
    p.truth.groups.append((frozenset([ref]), frozenset([ref, twin])))
    p.touch(ref.graph, ref.node, new)
    return True


def merge(p: Planter) -> bool:
    """Two nodes that compute the same become one."""

    def twin(graph: Graph, id: str) -> str | None:
        if not data_only(graph, id) or not graph.operands(id):
            return None
        own, fed = graph.nodes[id], [(u.src, u.src_port, u.dst_port) for u in graph.operands(id)]
        for use in sorted(graph.users(fed[0][0]), key=lambda u: u.dst):
            other = graph.nodes[use.dst]
            if use.dst == id or any(own.get(k) != other.get(k) for k in ("kind", "op", "attrs", "outputs", "calls")):
                continue
            if (
                NodeRef(str(graph.name), use.dst) not in p.touched
                and data_only(graph, use.dst)
                and [(u.src, u.src_port, u.dst_port) for u in graph.operands(use.dst)] == fed
            ):
                return use.dst
        return None

    ref = p.site(twin)
    if ref is None:
        return False
    graph = p.graphs[ref.graph]
    other = twin(graph, ref.node)
    assert other is not None
    p.touch(ref.graph, ref.node, other, *(u.dst for u in graph.users(other)))
    for use in graph.users(other):
        graph.connect(ref.node, use.dst, use.src_port, use.dst_port)
    graph.remove_node(other)
    gone = NodeRef(ref.graph, other)
    p.gone.add(gone)
    p.truth.same_a[gone] = ref
    p.truth.groups.append((frozenset([ref, gone]), frozenset([ref])))
    return True


def fuse(p: Planter) -> bool:
    """A node and its only user become one new node with the operands of both."""

    def user(graph: Graph, id: str) -> str | None:
        uses = graph.users(id)
        if not data_only(graph, id) or not graph.operands(id) or len({u.dst for u in uses}) != 1:
            return None
        to = uses[0].dst
        return to if to != id and graph.nodes[to]["kind"] == "op" and data_only(graph, to) else None

    ref = p.site(lambda graph, id: user(graph, id) and NodeRef(str(graph.name), str(user(graph, id))) not in p.touched)
    if ref is None:
        return False
    graph, new = p.graphs[ref.graph], p.fresh()
    to = user(graph, ref.node)
    assert to is not None
    fed = [(u.src, u.src_port) for u in (*graph.operands(ref.node), *graph.operands(to)) if u.src != ref.node]
    used = graph.users(to)
    data = graph.nodes[to]
    ops = tuple(str(graph.nodes[i]["op"]).partition(".")[2] for i in (ref.node, to))
    graph.add(new, kind="op", op=f"fused.{'_'.join(ops)}", outputs=data.get("outputs", ()), attrs=data.get("attrs"))
    p.touch(ref.graph, ref.node, to, new, *(u.dst for u in used))
    p.truth.groups.append((frozenset([ref, NodeRef(ref.graph, to)]), frozenset([NodeRef(ref.graph, new)])))
    p.gone |= {ref, NodeRef(ref.graph, to)}
    graph.remove_nodes_from([ref.node, to])
    for slot, (src, port) in enumerate(dict.fromkeys(fed)):
        graph.connect(src, new, port, slot)
    for use in used:
        graph.connect(new, use.dst, use.src_port, use.dst_port)
    return True


def decompose(p: Planter) -> bool:
    """A node becomes two: one that takes its operands, one that takes that one's result and feeds its users."""
    ref = p.site(
        lambda graph, id: data_only(graph, id) and graph.operands(id) and graph.users(id) and len(graph.nodes[id].get("outputs", ())) == 1
    )
    if ref is None:
        return False
    graph = p.graphs[ref.graph]
    data, fed, used = graph.nodes[ref.node], graph.operands(ref.node), graph.users(ref.node)
    head, tail = p.fresh(), p.fresh()
    graph.add(head, kind="op", op=f"{data['op']}_head", outputs=data["outputs"], attrs=data.get("attrs"))
    graph.add(tail, kind="op", op=f"{data['op']}_tail", outputs=data["outputs"])
    p.truth.groups.append((frozenset([ref]), frozenset([NodeRef(ref.graph, head), NodeRef(ref.graph, tail)])))
    p.touch(ref.graph, ref.node, head, tail, *(u.dst for u in used))
    p.gone.add(ref)
    graph.remove_node(ref.node)
    for use in fed:
        graph.connect(use.src, head, use.src_port, use.dst_port)
    graph.connect(head, tail)
    for use in used:
        graph.connect(tail, use.dst, 0, use.dst_port)
    return True


def inline(p: Planter) -> bool:
    """A call's region is written out where it is called: the control-flow form changes."""
    calls = [ref for ref in p.sites if ref not in p.touched and _plain_call(p, ref)]
    if not calls:
        return False
    ref = min(calls, key=p.sites.index)
    graph = p.graphs[ref.graph]
    [call] = graph.nodes[ref.node]["calls"].values()
    region = p.graphs[call.graph]
    fed = {u.dst_port: u for u in graph.operands(ref.node)}
    used = graph.users(ref.node)
    at: dict[str, tuple[str, int]] = {}
    for number, id in enumerate(region.inputs):
        use = fed[call.operands[number]]
        at[id] = (use.src, use.src_port)
    made = set()
    for id, data in sorted(region.nodes(data=True)):
        if data["kind"] not in ("input", "output"):
            new = p.fresh()
            graph.add_node(new, **data)
            at[id] = (new, 0)
            made.add(NodeRef(ref.graph, new))
    for src, dst, edge in region.edges(data=True):
        if region.nodes[dst]["kind"] != "output":
            end, port = at[src]
            graph.connect(end, at[dst][0], edge["src_port"] if region.nodes[src]["kind"] != "input" else port, edge["dst_port"])
    results = {u.dst_port: u for u in region.operands(region.output)}
    for use in used:
        made_by = results[call.results.index(use.src_port)]
        cut(graph, use)
        end, port = at[made_by.src]
        graph.connect(end, use.dst, made_by.src_port if region.nodes[made_by.src]["kind"] != "input" else port, use.dst_port)
    graph.remove_node(ref.node)
    p.gone.add(ref)
    p.truth.free[1].update(made)
    p.truth.groups.append((frozenset([ref]), frozenset(made)))
    p.touched |= made
    p.touch(ref.graph, ref.node, *(u.dst for u in used), *(u.src for u in fed.values()))
    return True


def _plain_call(p: Planter, ref: NodeRef) -> bool:
    """One region, used here and nowhere else or elsewhere too, all of whose inputs and results go straight in and out."""
    graph = p.graphs[ref.graph]
    if ref.node not in graph or graph.nodes[ref.node].get("control") or len(graph.nodes[ref.node].get("calls", ())) != 1:
        return False
    [call] = graph.nodes[ref.node]["calls"].values()
    region = p.graphs[call.graph]
    fed = {u.dst_port for u in graph.operands(ref.node)}
    ports = {u.src_port for u in graph.users(ref.node)}
    return (
        len(region) <= 40
        and bool(ports)
        and not call.carried
        and all(slot in fed for slot in call.operands)
        and ports <= set(call.results)
        and all(
            d["kind"] == "data"
            for _, _, d in [*region.edges(data=True), *graph.in_edges(ref.node, data=True), *graph.out_edges(ref.node, data=True)]
        )
    )


def layer(graph: Graph, after: str) -> tuple[str, set[str]] | None:
    """A stretch that ends in ``after`` and that nothing else leaves: the value of the same type before it, and its nodes."""
    kind = graph.nodes[after].get("outputs", ())
    if len(kind) != 1 or len(graph.operands(after)) < 2 or not graph.users(after):
        return None
    above, queue = {after: 0}, deque([after])
    while queue and len(above) < LARGEST_LAYER:
        id = queue.popleft()
        for use in graph.operands(id):
            if use.src not in above:
                above[use.src] = above[id] + 1
                queue.append(use.src)
    for before in sorted(above, key=lambda i: (above[i], i)):
        if before == after or graph.nodes[before].get("outputs") != kind or graph.nodes[before]["kind"] != "op":
            continue
        below, stack = {before}, [before]
        while stack:
            new = [u.dst for u in graph.users(stack.pop()) if u.dst in above and u.dst not in below]
            below.update(new)
            stack.extend(new)
        inside = below - {before}
        if after in inside and len(inside) >= 5 and all(u.dst in inside for i in inside - {after} for u in graph.users(i)):
            return before, inside
    return None


def _layer(p: Planter) -> tuple[NodeRef, str, set[str]] | None:
    """Where a layer may be dropped or added: one a script, because a block gone here and come there would be a block moved."""
    if p.truth.kinds.keys() & {"drop layer", "add layer"}:
        return None
    for ref in list(p.sites)[:LAYERS_TRIED]:
        graph = p.graphs[ref.graph]
        found = layer(graph, ref.node) if ref.node in graph and ref.graph in p.acyclic else None
        if found is None:
            continue
        near = {*found[1], found[0], *(u.dst for u in graph.users(ref.node))}
        if all(NodeRef(ref.graph, i) not in p.touched and data_only(graph, i) for i in near):
            return ref, *found
    return None


def drop_layer(p: Planter) -> bool:
    """A stretch of nodes is taken out; what only it used of constants and other origins stays, unused."""
    found = _layer(p)
    if found is None:
        return False
    ref, before, inside = found
    graph = p.graphs[ref.graph]
    users = graph.users(ref.node)
    graph.remove_nodes_from(inside)
    p.gone |= {NodeRef(ref.graph, i) for i in inside}
    for use in users:
        graph.connect(before, use.dst, 0, use.dst_port)
    p.touch(ref.graph, before, *(u.dst for u in users))
    return True


def add_layer(p: Planter) -> bool:
    """A stretch of nodes is put in a second time behind itself. Either copy may count as the first."""
    found = _layer(p)
    if found is None:
        return False
    ref, before, inside = found
    graph = p.graphs[ref.graph]
    users = graph.users(ref.node)
    copy = {id: p.fresh() for id in sorted(inside)}
    for id, new in copy.items():
        graph.add_node(new, **graph.nodes[id])
        p.truth.same_b[NodeRef(ref.graph, new)] = NodeRef(ref.graph, id)
    for id, new in copy.items():
        for use in graph.operands(id):
            graph.connect(
                ref.node if use.src == before else copy.get(use.src, use.src), new, 0 if use.src == before else use.src_port, use.dst_port
            )
    for use in users:
        cut(graph, use)
        graph.connect(copy[ref.node], use.dst, 0, use.dst_port)
    p.touch(ref.graph, before, *inside, *copy.values(), *(u.dst for u in users))
    return True


EDITS: dict[str, Callable[[Planter], bool]] = {
    **{edit.__name__: edit for edit in (delete, insert, attribute, rewire, swap, move, duplicate, merge, fuse, decompose, inline)},
    "drop layer": drop_layer,
    "add layer": add_layer,
}


def plant(program: Program, rate: float, seed: int) -> tuple[Program, Truth]:
    """``rate`` of all nodes edited, kinds in turn of a seeded order; kinds that find no place are passed over."""
    planter = Planter(program, seed)
    wanted = max(1, round(rate * sum(map(len, program.graphs.values()))))
    kinds = list(EDITS)
    planter.rng.shuffle(kinds)
    failed = dict.fromkeys(kinds, 0)
    done = tried = 0
    while done < wanted and kinds:
        kind = kinds[tried % len(kinds)]
        tried += 1
        if EDITS[kind](planter):
            done += 1
            planter.truth.kinds[kind] = planter.truth.kinds.get(kind, 0) + 1
            continue
        failed[kind] += 1
        if failed[kind] == PATIENCE or "layer" in kind:
            kinds.remove(kind)
    return planter.done()
