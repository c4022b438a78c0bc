"""A diff as one drawing: what changed with its neighbours, both sides together, regions as clusters.

Colour and symbol say the same: ``+`` green added, ``-`` red removed, ``~`` amber changed. Colours
are of the palette of Okabe and Ito, https://jfly.uni-koeln.de/color/.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import graphviz
import networkx as nx

from graphlab.diff.changes import Change, GraphDiff
from graphlab.diff.union import changed_sites, union
from graphlab.ir.program import NodeRef
from graphlab.render.diff_words import describe
from graphlab.render.dot import box_width, title_pad

MAX_NODES = 300
CHANGES_NAMED = 3
"""Changes written on one node; further ones are counted."""
LABEL_WIDTH = 56

_NODES: Mapping[str, Mapping[str, str]] = {
    "added": {"fillcolor": "#b3e2d5", "color": "#009e73", "penwidth": "2"},
    "removed": {"fillcolor": "#f7cbb2", "color": "#d55e00", "penwidth": "2", "style": "filled,dashed"},
    "changed": {"fillcolor": "#f9dfa8", "color": "#e69f00", "penwidth": "2"},
    "same": {"fillcolor": "#ffffff", "color": "#999999", "fontcolor": "#555555"},
}
_EDGES: Mapping[str, Mapping[str, str]] = {
    "added": {"color": "#009e73", "fontcolor": "#009e73", "label": "+", "penwidth": "2"},
    "removed": {"color": "#d55e00", "fontcolor": "#d55e00", "label": "-", "penwidth": "2", "style": "dashed"},
    "same": {"color": "#999999"},
}
SYMBOLS: Mapping[str, str] = {"added": "+", "removed": "-", "changed": "~", "same": ""}


def diff_dot(diff: GraphDiff, *, max_nodes: int = MAX_NODES) -> str:
    """The changed nodes and their direct neighbours as DOT text; what finds no room is counted by region.

    Args:
        max_nodes: the most nodes drawn, changed ones first; the boxes that count the rest come on top.
    """
    both = union(diff)
    changed = _changed(diff, both)
    drawn = dict.fromkeys(changed[:max_nodes])
    for ref in list(drawn):
        for other in sorted({*both.predecessors(ref), *both.successors(ref)}, key=str):
            if len(drawn) < max_nodes:
                drawn[other] = None
    title = _title(diff)
    dot = graphviz.Digraph("graphlab_diff", graph_attr={
        "rankdir": "TB", "nodesep": "0.2", "ranksep": "0.35", "labelloc": "t", "fontname": "Helvetica", "fontsize": "12",
        "label": _text(title), "pad": title_pad(title),
    })  # fmt: skip
    dot.attr("node", shape="box", style="filled", fontname="Helvetica", fontsize="10", margin="0.08,0.04", height="0.3")
    dot.attr("edge", fontname="Helvetica", fontsize="9", arrowsize="0.6")
    names = {ref: f"n{i}" for i, ref in enumerate(drawn)}
    left = Counter((ref.graph, both.nodes[ref]["status"]) for ref in changed[max_nodes:])
    regions = dict.fromkeys([*(ref.graph for ref in drawn), *(graph for graph, _ in left)])
    for i, region in enumerate(regions):
        with dot.subgraph(name=f"cluster_{i}") as cluster:
            cluster.attr(label=_text(region), style="rounded,filled", fillcolor="#f5f8fa", color="#0072b2", fontsize="11")
            for ref in drawn:
                if ref.graph == region:
                    _node(cluster, names[ref], ref, both)
            rest = [
                f"{SYMBOLS[status]} {left[region, status]:,} {status}" for status in ("added", "removed", "changed") if left[region, status]
            ]
            if rest:
                cluster.node(f"rest_{i}", label=_text("\n".join(["not drawn:", *rest])), shape="box3d", fillcolor="#e6e6e6")
    for src, dst, edge in both.edges(data=True):
        if src in names and dst in names:
            _edge(dot, names[src], names[dst], edge)
    source: str = dot.source
    return source


def _changed(diff: GraphDiff, both: nx.MultiDiGraph[NodeRef]) -> list[NodeRef]:
    """Changed nodes in the order of the changes; a removed region's nodes, of which there is one change, at the end."""
    found = dict.fromkeys(site.to for change in diff.changes for site in changed_sites(change))
    gone = (ref for ref, status in both.nodes(data="status") if status == "removed" and ref not in found)
    return [*found, *sorted(gone, key=str)]


def _title(diff: GraphDiff) -> str:
    legend = "+ added   - removed   ~ changed   (nodes without a mark: context)"
    return f"{diff.names[0]} -> {diff.names[1]}\n{diff.summary()}\n{legend}"


def _node(dot: graphviz.Digraph, name: str, ref: NodeRef, both: nx.MultiDiGraph[NodeRef]) -> None:
    data = both.nodes[ref]
    status: str = data["status"]
    changes: tuple[Change, ...] = data["changes"]
    said = list(_said(changes)) if status == "changed" else []
    shown = said[:CHANGES_NAMED] + ([f"... {len(said) - CHANGES_NAMED} more"] if len(said) > CHANGES_NAMED else [])
    head = f"{SYMBOLS[status]} {data['op']}".strip()
    lines = [_short(line) for line in (head, ref.node, *shown)]
    dot.node(
        name, label=_text("\n".join(lines)), width=box_width(lines), tooltip=_text("\n".join([f"{ref} {status}", *said])), **_NODES[status]
    )


def _said(changes: Iterable[Change]) -> Iterable[str]:
    for change in changes:
        text = describe(change)
        # The op stands on the node already.
        yield text.partition(": ")[2] or text


def _edge(dot: graphviz.Digraph, tail: str, head: str, edge: Mapping[str, object]) -> None:
    style = dict(_EDGES[str(edge["status"])])
    if edge["kind"] == "control":
        style |= {"style": "dotted", "arrowhead": "empty"}
    else:
        style |= {key: str(edge[port]) for key, port in (("taillabel", "src_port"), ("headlabel", "dst_port")) if edge[port]}
    dot.edge(tail, head, **style)


def _short(text: str) -> str:
    return text if len(text) <= LABEL_WIDTH else text[: LABEL_WIDTH - 3] + "..."


def _text(text: str) -> str:
    """Text as a label: no escapes of Graphviz's own, no character that an SVG may not hold."""
    escaped: str = graphviz.escape("".join(c if c == "\n" or c.isprintable() else "\ufffd" for c in text))
    return escaped
