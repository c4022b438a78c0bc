"""Effects of TensorFlow nodes: an operation's own, and what a call brings from the graphs it uses."""

from __future__ import annotations

from collections.abc import Mapping

from graphlab.ir.frozen import EMPTY
from graphlab.ir.graph import Graph
from graphlab.ir.ops import lookup
from graphlab.ir.vocabulary.tensorflow import EFFECTS


def own_effects(op: str, stateful: bool, *, calls: bool) -> tuple[str, ...]:
    """Effects by the table; an operation that TensorFlow calls stateful and the table does not know is opaque.

    Args:
        calls: the node's doings stand in graphs that it uses.
    """
    key = "tf." + op
    if key in EFFECTS:
        return lookup(key).effects
    return ("opaque",) if stateful and not calls else ()


def spread_effects(graphs: Mapping[str, Graph]) -> None:
    """Give every node that uses graphs the effects of what runs in them, at any depth."""
    known: dict[str, set[str]] = {}
    callers = {name: [data for _, data in graph.nodes(data=True) if data.get("calls")] for name, graph in graphs.items()}
    for name, graph in graphs.items():
        known[name] = {effect for _, data in graph.nodes(data=True) for effect in data.get("effects", ())}
    changed = True
    while changed:  # ends: the sets only grow. A function may use itself.
        changed = False
        for name, nodes in callers.items():
            before = len(known[name])
            for data in nodes:
                for call in data.get("calls", EMPTY).values():
                    known[name] |= known[call.graph]
            changed = changed or len(known[name]) > before
    for nodes in callers.values():
        for data in nodes:
            effects = set(data.get("effects", ())).union(*(known[call.graph] for call in data["calls"].values()))
            if effects:
                data["effects"] = tuple(sorted(effects))
