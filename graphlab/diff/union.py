"""Both sides of a diff as one networkx graph: what is kept, added, removed and changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

import networkx as nx

from graphlab.diff.changes import Change, DimChanged, GraphAdded, GraphDiff, GraphRemoved, SignatureChanged, Site
from graphlab.ir.graph import Graph
from graphlab.ir.program import NodeRef

Edge: TypeAlias = tuple[NodeRef, NodeRef, str, int, int]
"""Source, user, kind, source port, slot."""


def changed_sites(change: Change) -> Iterator[Site]:
    """The nodes a change is about: one, a new region's all, or none."""
    match change:
        case GraphAdded():
            yield from (node.at for node in change.nodes)
        case GraphRemoved() | SignatureChanged() | DimChanged():
            return
        case _:
            yield change.at


def union(diff: GraphDiff) -> nx.MultiDiGraph[NodeRef]:
    """Nodes of both programs, named as in the patched program; a removed node as in A.

    Node attributes: ``status`` (``same``, ``changed``, ``added``, ``removed``), ``op``, ``a`` and ``b``
    (its refs, where a side has it), ``changes`` (the changes about it). Edge attributes: ``status``
    (``same``, ``added``, ``removed``), ``kind``, ``src_port``, ``dst_port``. A node that moved to another
    region stands where it is now, ``changed``.
    """
    both: nx.MultiDiGraph[NodeRef] = nx.MultiDiGraph()
    where = {match.a: diff.placed[match.b] for match in diff.matches}
    from_a = {diff.placed[match.b]: match.a for match in diff.matches}
    edges_a = _edges(diff.a.graphs, where)
    edges_b = _edges(diff.b.graphs, diff.placed)
    for ref, node in diff.a.each_node():
        if ref not in where:
            both.add_node(ref, status="removed", op=node.op, a=ref, b=None, changes=())
    for ref, node in diff.b.each_node():
        at = diff.placed[ref]
        status = "same" if at in from_a else "added"
        both.add_node(at, status=status, op=node.op, a=from_a.get(at), b=ref, changes=())
    for change in diff.changes:
        for site in changed_sites(change):
            data = both.nodes[site.to]
            data["changes"] = (*data["changes"], change)
            if data["status"] == "same":
                data["status"] = "changed"
    for edges, others, alone in ((edges_b, edges_a, "added"), (edges_a, edges_b, "removed")):
        for edge in edges:
            if alone == "removed" and edge in others:
                continue
            src, dst, kind, src_port, dst_port = edge
            status = "same" if edge in others else alone
            both.add_edge(src, dst, (src_port, dst_port), status=status, kind=kind, src_port=src_port, dst_port=dst_port)
    return both


def _edges(graphs: Mapping[str, Graph], where: Mapping[NodeRef, NodeRef]) -> dict[Edge, None]:
    """A program's edges by the union's names; a dict for its order."""
    found: dict[Edge, None] = {}
    for name, graph in graphs.items():
        for src, dst, data in graph.edges(data=True):
            ends = NodeRef(name, src), NodeRef(name, dst)
            found[where.get(ends[0], ends[0]), where.get(ends[1], ends[1]), data["kind"], data["src_port"], data["dst_port"]] = None
    return found
