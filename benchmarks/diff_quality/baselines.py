"""What a diff that is no graph diff finds: by name, and by the order of operations."""

from __future__ import annotations

from difflib import SequenceMatcher

from graphlab.ir.program import NodeRef, Program


def by_name(a: Program, b: Program) -> dict[NodeRef, NodeRef]:
    """Nodes of the same id and op in graphs of the same name (the entry is the entry)."""
    found = {}
    for name, graph in a.graphs.items():
        other = b.entry if name == a.entry else name
        for id, data in graph.nodes(data=True):
            if other in b.graphs and id in b.graphs[other] and b.graphs[other].nodes[id].get("op") == data.get("op"):
                found[NodeRef(name, id)] = NodeRef(other, id)
    return found


def by_sequence(a: Program, b: Program) -> dict[NodeRef, NodeRef]:
    """difflib over the operations with their types, in the order of the file; graphs by their order."""
    found = {}
    for (name, graph), (other, match) in zip(a.graphs.items(), b.graphs.items(), strict=False):
        lines = [[(d["kind"], d.get("op"), str(d.get("outputs"))) for _, d in g.nodes(data=True)] for g in (graph, match)]
        ids = [list(g) for g in (graph, match)]
        for i, j, size in SequenceMatcher(None, lines[0], lines[1], autojunk=False).get_matching_blocks():
            for k in range(size):
                found[NodeRef(name, ids[0][i + k])] = NodeRef(other, ids[1][j + k])
    return found
