"""Gives callers the effects of what they call."""

from __future__ import annotations

from collections.abc import Mapping

from graphlab.ir.frozen import EMPTY
from graphlab.ir.graph import Graph


def spread_effects(graphs: Mapping[str, Graph]) -> None:
    """Give every node that uses graphs the effects of what runs in them, at any depth. Graphs may use themselves.

    Takes time in proportion to the calls: a graph is looked at again only where a callee's effects grew, and effects are few.
    """
    callers: dict[str, set[str]] = {}
    calling = {name: [data for _, data in graph.nodes(data=True) if data.get("calls")] for name, graph in graphs.items()}
    known = {name: {effect for _, data in graph.nodes(data=True) for effect in data.get("effects", ())} for name, graph in graphs.items()}
    for name, nodes in calling.items():
        for data in nodes:
            for call in data.get("calls", EMPTY).values():
                callers.setdefault(call.graph, set()).add(name)
    grown = [name for name, effects in known.items() if effects]
    while grown:
        name = grown.pop()
        for caller in callers.get(name, ()):
            if not known[name] <= known[caller]:
                known[caller] |= known[name]
                grown.append(caller)
    for nodes in calling.values():
        for data in nodes:
            effects = set(data.get("effects", ())).union(*(known[call.graph] for call in data["calls"].values()))
            if effects:
                data["effects"] = tuple(sorted(effects))
