"""Applying a diff: from A and the changes alone, a program equal to B."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from graphlab.diff.changes import (
    MISSING,
    Added,
    AttributeChanged,
    CallChanged,
    ConstantChanged,
    DimChanged,
    Feed,
    GraphAdded,
    GraphDiff,
    GraphRemoved,
    Moved,
    NodeChange,
    OpChanged,
    OperandsReordered,
    Removed,
    Rewired,
    SignatureChanged,
    Source,
    TypeChanged,
)
from graphlab.errors import DiffError
from graphlab.ir.frames import FrameTable
from graphlab.ir.frozen import EMPTY, FrozenDict
from graphlab.ir.graph import CONTROL_PORT, Graph
from graphlab.ir.program import NodeRef, Program


def apply(a: Program, diff: GraphDiff) -> Program:
    """The program that the changes make of ``a``. What they do not touch is shared with ``a``, which stays as it is.

    Raises:
        DiffError: a change names a node, an edge or a graph that ``a`` does not have so.
    """
    try:
        return _Patch(a).apply(diff)
    except (KeyError, ValueError) as error:
        raise DiffError(
            "apply the diff",
            found=f"the program does not have what a change names: {error}",
            do="apply it to the program the diff was made from",
        ) from error


class _Patch:
    def __init__(self, a: Program) -> None:
        self.a = a
        self.graphs: dict[str, Graph] = dict(a.graphs)
        self.copied: set[str] = set()
        self.frames = FrameTable(a.frames)
        self.feeds: list[tuple[NodeRef, Feed]] = []

    def graph(self, name: str) -> Graph:
        if name not in self.copied:
            self.graphs[name] = self.graphs[name].copy()
            self.copied.add(name)
        return self.graphs[name]

    def data(self, ref: NodeRef) -> dict[str, Any]:
        data: dict[str, Any] = self.graph(ref.graph).nodes[ref.node]
        return data

    def apply(self, diff: GraphDiff) -> Program:
        signatures, dims = dict(self.a.signatures), dict(self.a.dims)
        moving: dict[NodeRef, dict[str, Any]] = {}
        # Nodes and regions come and go first, then edges go, then come: no step meets what another is yet to make.
        for change in diff.changes:
            match change:
                case GraphAdded():
                    self.graphs[change.name] = Graph(name=change.name)
                    self.copied.add(change.name)
                case Moved(at=at) if at.a is not None:
                    moving[at.to] = dict(self.graphs[at.a.graph].nodes[at.a.node])
        for change in diff.changes:
            match change:
                case GraphRemoved():
                    del self.graphs[change.name]
                case GraphAdded():
                    self._add(change.nodes)
                case Added():
                    self._add((change,))
                case Removed(at=at):
                    self.data(at.to)
                    self.graph(at.to.graph).remove_node(at.to.node)
                case Moved(at=at):
                    if at.a is not None and at.a.graph in self.graphs:
                        self.graph(at.a.graph).remove_node(at.a.node)
                    self.graph(at.to.graph).add_node(at.to.node, **moving[at.to])
                    self.feeds.extend((at.to, feed) for feed in change.feeds)
                case SignatureChanged(name=name, new=new):
                    if new is None:
                        del signatures[name]
                    else:
                        signatures[name] = new
                case DimChanged(name=name, new=range):
                    if range is None:
                        del dims[name]
                    else:
                        dims[name] = range
        for change in diff.changes:
            match change:
                case Rewired() | OperandsReordered():
                    self._cut(change)
                case OpChanged() | AttributeChanged() | TypeChanged() | ConstantChanged() | CallChanged():
                    self._update(change)
        self._renumber(diff)
        for ref, feed in self.feeds:
            self._feed(ref, feed)
        return replace(self.a, graphs=self.graphs, signatures=signatures, dims=dims, frames=self.frames.done(), native=None)

    def _add(self, nodes: Iterable[Added]) -> None:
        for node in nodes:
            graph = self.graph(node.at.to.graph)
            if node.at.to.node in graph:
                raise ValueError(f"{node.at.to} is there already")
            loc = self.frames.add_stack(node.frames)
            graph.add_node(node.at.to.node, **node.data, **({} if loc is None else {"loc": loc}))
            self.feeds.extend((node.at.to, feed) for feed in node.feeds)

    def _feed(self, ref: NodeRef, feed: Feed) -> None:
        graph, source = self.graph(ref.graph), feed.source
        for node in (ref, source.node):
            if node.graph != ref.graph or node.node not in graph:
                raise KeyError(str(node))
        if feed.kind == "control":
            graph.connect_control(source.node.node, ref.node)
        else:
            graph.connect(source.node.node, ref.node, source.port, feed.slot)

    def _renumber(self, diff: GraphDiff) -> None:
        """Where inputs came or went, the others close up in their order round those whose position is said."""
        said: dict[str, set[str]] = {}
        for change in diff.changes:
            match change:
                case Added(at=at) if change.data["kind"] == "input":
                    said.setdefault(at.to.graph, set()).add(at.to.node)
                case Removed(at=at) if self.a.graphs[at.to.graph].nodes[at.to.node]["kind"] == "input":
                    said.setdefault(at.to.graph, set())
        for change in diff.changes:
            if isinstance(change, AttributeChanged) and change.field == "index" and change.at.to.graph in said:
                said[change.at.to.graph].add(change.at.to.node)
        for name, fixed in said.items():
            nodes, inputs = self.graph(name).nodes, self.graph(name).inputs
            taken = {nodes[id]["index"] for id in fixed}
            places = (i for i in range(len(inputs)) if i not in taken)
            for id in inputs:
                if id not in fixed:
                    nodes[id]["index"] = next(places)

    def _cut(self, change: Rewired | OperandsReordered) -> None:
        ref = change.at.to
        graph = self.graph(ref.graph)
        if isinstance(change, Rewired):
            if change.old is not None:
                self._disconnect(ref, change.old, change.slot, change.kind)
            if change.new is not None:
                self.feeds.append((ref, Feed(change.slot, change.new, change.kind)))
            return
        uses = graph.operands(ref.node)
        if len(uses) != len(change.order):
            raise ValueError(f"{ref} has {len(uses)} operands, not {len(change.order)}")
        slots = [use.dst_port for use in uses]
        by_slot = {use.dst_port: use for use in uses}
        for use in uses:
            graph.remove_edge(use.src, use.dst, (use.src_port, use.dst_port))
        for slot, old in zip(slots, change.order, strict=True):
            use = by_slot[old]
            self.feeds.append((ref, Feed(slot, Source(NodeRef(ref.graph, use.src), use.src_port, ""))))

    def _disconnect(self, ref: NodeRef, old: Source, slot: int, kind: str) -> None:
        graph = self.graph(ref.graph)
        if old.node.graph != ref.graph or old.node.node not in graph:
            return  # the edge went with its source
        key = (CONTROL_PORT, CONTROL_PORT) if kind == "control" else (old.port, slot)
        if not graph.has_edge(old.node.node, ref.node, key):
            raise KeyError(f"the edge {old.node}:{old.port} -> {ref}:{slot}")
        graph.remove_edge(old.node.node, ref.node, key)

    def _update(self, change: NodeChange) -> None:
        data = self.data(change.at.to)
        match change:
            case OpChanged():
                data["kind"] = change.kinds[1]
                _put(data, "op", change.new)
                _put(data, "canonical", change.canonical)
            case AttributeChanged(field="attrs"):
                attrs = dict(data.get("attrs", EMPTY))
                attrs.pop(change.key, None)
                if change.new is not MISSING:
                    attrs[change.key] = change.new
                _put(data, "attrs", FrozenDict(attrs) or None)
            case AttributeChanged(field=field, new=new):
                _put(data, field, None if new is MISSING else new)
            case TypeChanged():
                types = list(data.get("outputs", ()))
                if change.new is None:
                    # Ports vanish from the end; the first of them cuts off all.
                    types = types[: change.port]
                elif change.port < len(types):
                    types[change.port] = change.new
                else:
                    types.append(change.new)
                _put(data, "outputs", tuple(types) or None)
            case ConstantChanged():
                _put(data, "value", change.new)
            case CallChanged():
                calls = dict(data.get("calls", EMPTY))
                calls.pop(change.role, None)
                if change.new is not None:
                    calls[change.role] = change.new
                _put(data, "calls", FrozenDict(calls) or None)


def _put(data: dict[str, Any], key: str, value: Any) -> None:
    if value is None:
        data.pop(key, None)
    else:
        data[key] = value
