"""What a matcher is let see: names, metadata and order taken away, and who is who now."""

from __future__ import annotations

import random
from dataclasses import replace

from graphlab.ir.frozen import FrozenDict
from graphlab.ir.graph import Graph
from graphlab.ir.program import NodeRef, Program

TIERS = ("visible", "unnamed", "permuted", "both")


def disguise(program: Program, tier: str, seed: int) -> tuple[Program, dict[NodeRef, NodeRef]]:
    """The program as a tier shows it, and old → new refs.

    ``unnamed``: graph and node names, scopes, source lines and metadata taken away, ids numbered in order.
    ``permuted``: nodes, edges and graphs in random order, names kept. ``both``: both; ids follow the new order.
    """
    rng = random.Random(seed)
    unnamed, permuted = tier in ("unnamed", "both"), tier in ("permuted", "both")
    names = list(program.graphs)
    if permuted:
        rng.shuffle(names)
    renamed = {name: f"g{k}" if unnamed else name for k, name in enumerate(names)}
    who: dict[NodeRef, NodeRef] = {}
    graphs: dict[str, Graph] = {}
    for name in names:
        graph = program.graphs[name]
        order = list(graph)
        uses = list(graph.edges(data=True))
        if permuted:
            rng.shuffle(order)
            rng.shuffle(uses)
        ids = {id: f"n{k}" if unnamed else id for k, id in enumerate(order)}
        nodes = []
        for id in order:
            data = {k: v for k, v in graph.nodes[id].items() if not (unnamed and k in ("name", "scope", "loc", "meta"))}
            if "calls" in data:
                data["calls"] = FrozenDict({r: replace(c, graph=renamed[c.graph]) for r, c in data["calls"].items()})
            nodes.append((ids[id], data))
            who[NodeRef(name, id)] = NodeRef(renamed[name], ids[id])
        new = Graph(name=renamed[name])
        new.fill(
            nodes,
            ((ids[s], ids[t], d["src_port"], d["dst_port"]) for s, t, d in uses if d["kind"] == "data"),
            ((ids[s], ids[t]) for s, t, d in uses if d["kind"] == "control"),
        )
        graphs[renamed[name]] = new
    signatures = {f"s{k}" if unnamed else n: replace(s, graph=renamed[s.graph]) for k, (n, s) in enumerate(program.signatures.items())}
    made = replace(program, graphs=graphs, entry=renamed[program.entry], signatures=signatures, native=None)
    return replace(made, frames=()) if unnamed else made, who
