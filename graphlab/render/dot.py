"""Drawings: a Program as Graphviz DOT.

Regions (callee graphs) are clusters that a dashed edge joins to the node that uses them; scopes
are clusters within their region. What does not fit ``max_nodes`` is collapsed into boxes that
count what they hold.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import graphviz

from graphlab.errors import GraphlabError
from graphlab.ir.frozen import EMPTY
from graphlab.ir.graph import Graph, Node
from graphlab.ir.program import NodeRef, Program

Scope: TypeAlias = tuple[str, ...]

# Shape and fill tell a node's kind, so that colour alone says nothing. Fills are light tints of the
# colour-blind-safe palette of Okabe and Ito, https://jfly.uni-koeln.de/color/
_KINDS: Mapping[str, Mapping[str, str]] = {
    "input": {"shape": "invhouse", "fillcolor": "#cfe8f7"},
    "parameter": {"shape": "cylinder", "fillcolor": "#f9dfa8"},
    "constant": {"shape": "note", "fillcolor": "#f7f3b5"},
    "op": {"shape": "box", "fillcolor": "#ffffff"},
    "output": {"shape": "house", "fillcolor": "#b3e2d5"},
}
_EFFECT_COLOR = "#d55e00"
_COLLAPSED = {"shape": "box3d", "fillcolor": "#e6e6e6"}
_LABEL_WIDTH = 48
_OPS_NAMED = 5
_HIDDEN = -1
# Graphviz routes a curve through every rank it crosses: 10 s and more where many edges cross many ranks,
# 0.5 s with straight lines. This many ranks crossed, all edges together, take it about 2 s.
_LONG = 1000
_RUNS = 40  # runs of the source's order are joined by many edges; more of them are neither drawn in time nor read
_LONG_ATTRS = {"splines": "line", "nslimit": "0.5", "nslimit1": "0.5"}

# Not allowed in XML 1.0, whatever the escape: https://www.w3.org/TR/xml/#charsets
_NO_XML = re.compile("[^\t\n\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(slots=True)
class _Box:
    """One node of the drawing: a node of the program, or several collapsed."""

    id: str
    graph: str
    title: str
    scope: Scope
    nodes: list[str]


@dataclass(slots=True)
class _Cluster:
    """A scope's boxes and inner scopes."""

    boxes: list[_Box] = field(default_factory=list)
    inner: dict[str, _Cluster] = field(default_factory=dict)


def to_dot(
    program: Program,
    *,
    graph: str | None = None,
    max_nodes: int = 300,
    highlight: Mapping[NodeRef, str] | None = None,
) -> str:
    """The program as DOT text.

    Args:
        graph: the region to start from; the entry without it. Every region it uses is drawn too.
        max_nodes: the most boxes drawn. Beyond that, nodes are collapsed by scope, each region at
            the deepest level of its scopes that fits; what has no scopes by runs of the source's
            order; regions that find no room are counted on the node that uses them.
        highlight: fill colours (``#rrggbb`` or a Graphviz name) of the nodes to point out.

    Raises:
        GraphlabError: there is no such graph, or ``max_nodes`` is below 2.
    """
    root = program.entry if graph is None else graph
    if root not in program.graphs:
        raise GraphlabError(
            f"draw the graph '{root}'", found="the program has none of that name", do=f"choose from {_some(program.graphs)}"
        )
    if max_nodes < 2:
        raise GraphlabError("draw the program", found=f"max_nodes is {max_nodes}", do="allow at least 2 nodes")
    return _Drawing(program, root, max_nodes, highlight or {}).source()


def box_width(lines: Iterable[str]) -> str:
    """The least width of a box (inches) for lines in 10 points.

    Graphviz sets text by Helvetica's widths; where a viewer has another sans serif in its place (DejaVu Sans: about
    0.6 em a character), the text would stand out of the box.
    """
    return f"{max(map(len, lines), default=0) * 0.6 * 10 / 72 + 0.1:.2f}"


def title_pad(title: str) -> str:
    """Room left and right of the drawing (inches), for a title in 12 points that turns out wider than Graphviz thinks."""
    return f"{0.06 + max(map(len, title.splitlines())) * 0.1 / 2 * 12 / 72:.2f},0.06"


class _Drawing:
    def __init__(self, program: Program, root: str, max_nodes: int, highlight: Mapping[NodeRef, str]) -> None:
        self.program = program
        self.root = root
        self.highlight = highlight
        self.regions = _reachable(program, root)
        self.homes = {name: _homes(program, name) for name in self.regions}
        self.levels, self.runs = _levels(self.homes, root, max_nodes)
        self.box_of: dict[NodeRef, _Box] = {}
        self.boxes: dict[str, list[_Box]] = {name: self._cut(name) for name, level in self.levels.items() if level != _HIDDEN}
        self.hidden_uses = _hidden_uses(program, self.levels)
        self.numbers = {name: i for i, name in enumerate(self.regions)}
        self.parents = _parents(program, self.boxes, root)

    def source(self) -> str:
        title = self._title()
        dot = graphviz.Digraph("graphlab", graph_attr={
            "compound": "true", "rankdir": "TB", "nodesep": "0.2", "ranksep": "0.35", "labelloc": "t", "fontname": "Helvetica",
            "fontsize": "12", "label": _text(title), "pad": title_pad(title), **(_LONG_ATTRS if self._span() > _LONG else {"nslimit": "2"}),
        })  # fmt: skip
        dot.attr("node", fontname="Helvetica", fontsize="10", style="filled", color="#555555", margin="0.08,0.04", height="0.3")
        dot.attr("edge", fontname="Helvetica", fontsize="8", color="#555555", arrowsize="0.6")
        self._region(dot, self.root)
        for name in self.boxes:
            if name != self.root and self.parents[name] is None:
                self._region_cluster(dot, name)
        for name in self.boxes:
            self._edges(dot, name)
        text: str = dot.source
        return text

    def _span(self) -> int:
        """Ranks that edges cross without ending there, all together, as Graphviz will about rank them."""
        rank: dict[str, int] = {}
        ends = [
            (self.box_of[NodeRef(name, src)].id, self.box_of[NodeRef(name, dst)].id)
            for name in self.boxes
            for dst in self.program.graphs[name]
            for src in self.program.graphs[name].pred[dst]
        ]
        for tail, head in ends:
            rank[head] = max(rank.get(head, 0), rank.setdefault(tail, 0) + (tail != head))
        return sum(abs(rank[head] - rank[tail]) for tail, head in set(ends)) - len(set(ends))

    def _title(self) -> str:
        source, everything = self.program.source, sum(len(self.program.graphs[name]) for name in self.regions)
        single = sum(len(box.nodes) == 1 for boxes in self.boxes.values() for box in boxes)
        counted = sum(self.program.graphs[name].count() for name in self.regions)
        title = f"{self.root} ({source.method}, {source.producer or source.framework}): {_plural(counted, 'node')}"
        if counted != everything:
            title += f" and {everything - counted:,} added by graphlab"
        if len(self.regions) > 1:
            title += f" in {len(self.regions):,} regions"
        if single != everything:
            title += f", {everything - single:,} collapsed"
        unused = len(self.program.graphs) - len(self.regions)
        return f"{title}; {_plural(unused, 'graph')} not used from here" if unused else title

    def _cut(self, name: str) -> list[_Box]:
        """The region's boxes at its level."""
        graph, homes, level = self.program.graphs[name], self.homes[name], self.levels[name]
        groups: dict[tuple[object, ...], list[str]] = {}
        for i, (id, home) in enumerate(homes.items()):
            groups.setdefault(_group(name, i, id, home, level, self.runs.get(name)), []).append(id)
        boxes = []
        for nodes in groups.values():
            home = homes[nodes[0]]
            if len(nodes) == 1:
                title, scope = nodes[0], home
            elif level:
                title, scope = "/".join(home[:level]), home[: level - 1]
            else:
                title, scope = (name if len(nodes) == len(graph) else f"{nodes[0]} … {nodes[-1]}"), ()
            box = _Box(f"b{len(self.box_of)}" if len(nodes) == 1 else f"c{len(self.box_of)}", name, title, scope, nodes)
            for id in nodes:
                self.box_of[NodeRef(name, id)] = box
            boxes.append(box)
        return boxes

    def _region_cluster(self, dot: graphviz.Digraph, name: str) -> None:
        if self._framed(name):
            self._region_frame(dot, name)
        else:
            self._region(dot, name)

    def _framed(self, name: str) -> bool:
        """A region collapsed into one box needs no frame round it."""
        return len(self.boxes[name]) > 1 or name in self.parents.values()

    def _region_frame(self, dot: graphviz.Digraph, name: str) -> None:
        with dot.subgraph(name=f"cluster_{self.numbers[name]}") as inner:
            size = _plural(len(self.program.graphs[name]), "node")
            inner.attr(label=_text(f"{name}\n{size}"), style="rounded,filled", fillcolor="#f5f8fa",
                       color="#0072b2", fontsize="11", tooltip=_text(name))  # fmt: skip
            self._region(inner, name)

    def _region(self, dot: graphviz.Digraph, name: str) -> None:
        top = _Cluster()
        for box in self.boxes[name]:
            at = top
            for part in box.scope:
                at = at.inner.setdefault(part, _Cluster())
            at.boxes.append(box)
        self._scope(dot, top, f"{self.numbers[name]}", "")
        for child, parent in self.parents.items():
            if parent == name:
                self._region_cluster(dot, child)

    def _scope(self, dot: graphviz.Digraph, cluster: _Cluster, number: str, path: str) -> None:
        for box in cluster.boxes:
            self._box(dot, box)
        for i, (part, child) in enumerate(cluster.inner.items()):
            full = f"{path}/{part}" if path else part
            inside = len(child.boxes) + len(child.inner)
            if inside == 1:  # a frame round a single thing only takes room
                self._scope(dot, child, f"{number}_{i}", full)
                continue
            with dot.subgraph(name=f"cluster_s{number}_{i}") as inner:
                inner.attr(
                    label=_text(full), style="rounded,dashed", color="#999999", fillcolor="transparent", fontsize="9", tooltip=_text(full)
                )
                self._scope(inner, child, f"{number}_{i}", full)

    def _box(self, dot: graphviz.Digraph, box: _Box) -> None:
        hidden = sum((Counter(self.hidden_uses.get(NodeRef(box.graph, id), ())) for id in box.nodes), Counter())
        extra = []
        if hidden:
            held = sum(len(self.program.graphs[name]) for name in hidden)
            extra.append(f"uses {_plural(len(hidden), 'region')} not drawn ({_plural(held, 'node')})")
        colors = [self.highlight[ref] for id in box.nodes if (ref := NodeRef(box.graph, id)) in self.highlight]
        if len(box.nodes) > 1:
            ops = Counter(node.op for node in map(self.program.graphs[box.graph].node, box.nodes))
            lines = [_short(box.title), _plural(len(box.nodes), "node"), *_op_lines(ops), *extra]
            if colors:
                lines.append(f"{len(colors):,} of them highlighted")
            style = {**_COLLAPSED, "tooltip": _text("\n".join([box.title, *(f"{n:,} {op}" for op, n in ops.most_common())]))}
        else:
            node = self.program.graphs[box.graph].node(box.nodes[0])
            lines = [*_node_lines(node), *extra]
            style = {**_KINDS[node.kind], "tooltip": _text(self._tooltip(box.graph, node))}
            if node.calls:
                style["peripheries"] = "2"
            if node.effects:
                style.update(color=_EFFECT_COLOR, penwidth="2")
        if colors:
            style["fillcolor"] = Counter(colors).most_common(1)[0][0]
            style["penwidth"] = "2.5"
        dot.node(box.id, label=_text("\n".join(lines)), width=box_width(lines), **style)

    def _tooltip(self, graph: str, node: Node) -> str:
        facts = [f"{graph}/{node.id}: {node.op}", *(str(t) for t in node.outputs)]
        facts += [f"scope {node.scope}"] if node.scope else []
        frame = self.program.frame(node)
        facts += [str(frame)] if frame else []
        facts += [f"effects: {', '.join(node.effects)}"] if node.effects else []
        return "\n".join(facts + [f"{key} = {_short(repr(value))}" for key, value in node.attrs.items()])

    def _edges(self, dot: graphviz.Digraph, name: str) -> None:
        graph = self.program.graphs[name]
        merged: Counter[tuple[str, str, str]] = Counter()
        for src, dst, data in graph.edges(data=True):
            tail, head = self.box_of[NodeRef(name, src)], self.box_of[NodeRef(name, dst)]
            if tail is head and len(tail.nodes) > 1:
                continue
            if len(tail.nodes) > 1 or len(head.nodes) > 1:
                merged[tail.id, head.id, data["kind"]] += 1
            elif data["kind"] == "control":
                dot.edge(tail.id, head.id, style="dotted", arrowhead="empty")
            else:
                ports = {"taillabel": data["src_port"], "headlabel": data["dst_port"]}
                dot.edge(tail.id, head.id, **{key: str(port) for key, port in ports.items() if port})
        for (tail_id, head_id, kind), uses in merged.items():
            style = {"style": "dotted", "arrowhead": "empty"} if kind == "control" else {}
            dot.edge(tail_id, head_id, tooltip=_plural(uses, "use"), **style, **({"penwidth": "2"} if uses > 1 else {}))
        for id, data in graph.nodes(data=True):
            for role, call in data.get("calls", EMPTY).items():
                if call.graph in self.boxes:
                    self._use(dot, self.box_of[NodeRef(name, id)], role, call.graph)

    def _use(self, dot: graphviz.Digraph, caller: _Box, role: str, callee: str) -> None:
        # Graphviz wants an edge's end outside the cluster it points at: a region that uses itself has none.
        inside = callee == self.root or callee in self._enclosing(caller.graph)
        attrs = {} if inside or not self._framed(callee) else {"lhead": f"cluster_{self.numbers[callee]}"}
        dot.edge(caller.id, self.boxes[callee][0].id, label=_text(role), style="dashed", color="#0072b2", fontcolor="#0072b2", **attrs)

    def _enclosing(self, name: str | None) -> set[str]:
        found: set[str] = set()
        while name is not None and name not in found:
            found.add(name)
            name = self.parents.get(name)
        return found


def _reachable(program: Program, root: str) -> list[str]:
    """The root and every region used from it, breadth first in the order of use. Recursion is met once."""
    found = {root: None}
    queue = [root]
    for name in queue:
        for _, data in program.graphs[name].nodes(data=True):
            for call in data.get("calls", EMPTY).values():
                if call.graph not in found:
                    found[call.graph] = None
                    queue.append(call.graph)
    return list(found)


def _parents(program: Program, drawn: Mapping[str, object], root: str) -> dict[str, str | None]:
    """For each drawn region, the one region it is drawn inside: its only user; None where it has several."""
    users: dict[str, set[str]] = {name: set() for name in drawn}
    for name in drawn:
        for _, data in program.graphs[name].nodes(data=True):
            for call in data.get("calls", EMPTY).values():
                if call.graph in users:
                    users[call.graph].add(name)
    parents: dict[str, str | None] = {root: None}
    for name in drawn:
        only = next(iter(users[name])) if len(users[name]) == 1 else None
        if name != root:  # breadth first: a parent is settled before its children, so nothing closes a ring
            parents[name] = only if only in parents and only != name else None
    return parents


def _hidden_uses(program: Program, levels: Mapping[str, int]) -> dict[NodeRef, tuple[str, ...]]:
    """For the nodes that use regions not drawn, those regions and all that only they lead to."""
    found: dict[NodeRef, tuple[str, ...]] = {}
    beyond: dict[str, tuple[str, ...]] = {}
    for name, level in levels.items():
        if level == _HIDDEN:
            continue
        for id, data in program.graphs[name].nodes(data=True):
            hidden: dict[str, None] = {}
            for call in data.get("calls", EMPTY).values():
                if levels[call.graph] == _HIDDEN:
                    if call.graph not in beyond:
                        beyond[call.graph] = tuple(n for n in _reachable(program, call.graph) if levels[n] == _HIDDEN)
                    hidden.update(dict.fromkeys(beyond[call.graph]))
            if hidden:
                found[NodeRef(name, id)] = tuple(hidden)
    return found


def _homes(program: Program, name: str) -> dict[str, Scope]:
    """Each node's scope; parameters and constants without one stay with their users."""
    graph = program.graphs[name]
    lifted = _lifted(program, name)
    homes: dict[str, Scope] = {}
    for id, data in graph.nodes(data=True):
        homes[id] = tuple(data["scope"].split("/")) if data.get("scope") else ()
    for id, data in graph.nodes(data=True):
        if not homes[id] and (data["kind"] in ("constant", "parameter") or id in lifted):
            homes[id] = _common(graph, id, homes)
    return homes


def _lifted(program: Program, name: str) -> set[str]:
    """Inputs that a signature says are the model's own values, not the caller's."""
    for signature in program.signatures.values():
        if signature.graph == name:
            inputs = zip(program.graphs[name].inputs, signature.inputs, strict=True)
            return {id for id, slot in inputs if slot.role in ("parameter", "buffer", "constant")}
    return set()


def _common(graph: Graph, id: str, homes: Mapping[str, Scope]) -> Scope:
    users = [homes[user] for user in graph.succ[id]]
    common = []
    for parts in zip(*users, strict=False):  # as deep as the shallowest user
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    return tuple(common)


def _levels(homes: Mapping[str, Mapping[str, Scope]], root: str, max_nodes: int) -> tuple[dict[str, int], dict[str, int]]:
    """How deep each region is opened: -1 not drawn, 0 one box, k its scopes cut after k parts; and the
    length of runs for a root that no level fits."""
    depth = {name: 1 + max(map(len, home.values()), default=0) for name, home in homes.items()}
    levels = dict.fromkeys(homes, _HIDDEN)
    drawn = 0

    def raise_level(name: str, room: int) -> bool:
        nonlocal drawn
        level = levels[name]
        if level == depth[name]:
            return False
        now = 0 if level == _HIDDEN else _box_count(homes[name], level)
        then = _box_count(homes[name], level + 1)
        if drawn + then - now > room:
            return False
        levels[name], drawn = level + 1, drawn + then - now
        return True

    # The root may take half, so that there is room for what it uses; a lone one may take all.
    half = max_nodes if len(homes) == 1 else max(max_nodes // 2, 1)
    while raise_level(root, half):
        pass
    runs: dict[str, int] = {}
    if levels[root] == 0 and len(homes[root]) > 1:
        runs[root] = -(-len(homes[root]) // min(half, _RUNS))
        drawn += -(-len(homes[root]) // runs[root]) - 1
    raised = True
    while raised:
        raised = False
        for name in homes:
            if name not in runs:
                raised |= raise_level(name, max_nodes)
    return levels, runs


def _box_count(homes: Mapping[str, Scope], level: int) -> int:
    return len({_group("", i, id, home, level, None) for i, (id, home) in enumerate(homes.items())})


def _group(name: str, i: int, id: str, home: Scope, level: int, run: int | None) -> tuple[object, ...]:
    """What a node is drawn with: nodes of equal answers share a box."""
    if run is not None:
        return (i // run,)
    if level == 0:
        return (name,)
    return home[:level] if len(home) >= level else (None, id)


def _node_lines(node: Node) -> list[str]:
    lines = [_short(node.op if node.kind == "op" else f"{node.kind} {node.op}" if node.op != node.kind else node.kind)]
    lines.append(_short(node.name or node.id))
    if node.kind == "constant" and node.value is not None:
        lines.append(_short(node.value.preview()))
    lines += [_short(str(t)) for t in node.outputs[:3]]
    return [*lines, f"and {len(node.outputs) - 3:,} more outputs"] if len(node.outputs) > 3 else lines


def _op_lines(ops: Counter[str]) -> list[str]:
    named = ops.most_common(_OPS_NAMED)
    rest = ops.total() - sum(n for _, n in named)
    return [f"{n:,} {_short(op)}" for op, n in named] + ([f"{rest:,} of {_plural(len(ops) - len(named), 'other kind')}"] if rest else [])


def _plural(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LABEL_WIDTH else f"{text[: _LABEL_WIDTH - 16]}…{text[-15:]}"


def _some(names: Mapping[str, object]) -> str:
    listed = list(names)
    return ", ".join(listed[:10]) + (f" and {len(listed) - 10} more" if len(listed) > 10 else "")


def _text(text: str) -> str:
    """Text that Graphviz shows as it is: its escapes and HTML labels mean nothing here."""
    escaped: str = graphviz.escape(_NO_XML.sub("\ufffd", text).replace("&", "&amp;"))  # labels may hold XML entities
    return escaped
