"""A captured program: named graphs, signatures, where it came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

import networkx as nx

from graphlab.errors import GraphlabError
from graphlab.ir.frames import Frame, stack
from graphlab.ir.frozen import EMPTY, FrozenDict
from graphlab.ir.graph import Call, Graph, Node
from graphlab.ir.values import ValueType

MAX_DEPTH = 400
"""Regions within regions that :meth:`Program.flatten` follows: well within Python's own limit of recursion."""

Role: TypeAlias = Literal["user", "parameter", "buffer", "constant", "state", "token"]
"""What a signature slot is to the model: the caller's value, or part of the model itself."""
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True, slots=True)
class Slot:
    """One named input or output of a signature.

    ``target`` is what a non-user slot stands for: the parameter's or buffer's full name; for an
    output, the state it updates.
    """

    name: str
    type: ValueType
    role: Role = "user"
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Signature:
    """An entry: a graph, its inputs (matching ``Graph.inputs`` one by one) and its outputs."""

    graph: str
    inputs: tuple[Slot, ...] = ()
    outputs: tuple[Slot, ...] = ()


@dataclass(frozen=True, slots=True)
class DimRange:
    """What a symbolic dimension may be. ``max`` is ``None`` where there is no bound."""

    min: int = 0
    max: int | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One method of capture that was tried."""

    method: str
    ok: bool
    seconds: float
    error: str = ""
    frame: Frame | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """Where a program came from.

    Attributes:
        framework: ``torch``, ``tensorflow``, ``jax``, ``xla`` …
        format: what was read: ``torch.export``, ``torchscript``, ``hlo text`` …
        method: how it was captured: ``export``, ``jit.script``, ``tf.function``, ``read`` …
        producer: program that made it, with its version (``torch 2.13.0``).
        path: the file, where there was one.
        digest: BLAKE2b-128 of the file's bytes, where there was one.
        attempts: the methods tried, the one that was used last.
        notes: what the capture saw that bears on its truth (a tracer's warnings), for analyzers:
            mappings with at least ``kind`` and ``text``; ``file``, ``line`` where known.
    """

    framework: str
    format: str
    method: str = "read"
    producer: str = ""
    path: str | None = None
    digest: str | None = None
    attempts: tuple[Attempt, ...] = ()
    notes: tuple[FrozenDict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class NodeRef:
    """Names a node: its graph's name and its id."""

    graph: str
    node: str

    def __str__(self) -> str:
        return f"{self.graph}/{self.node}"


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """What a framework captured. ``graphs`` keeps the source's order; ``entry`` is the graph that runs first.

    Attributes:
        signatures: entries by name; a model captured from code has one, ``entry``'s.
        dims: ranges of the symbolic dimensions' names.
        frames: interned source frames; a node's ``loc`` is an index into it.
        native: the framework's own object, for compilers; never written to a file.
    """

    graphs: Mapping[str, Graph]
    entry: str
    source: Source
    signatures: Mapping[str, Signature] = field(default_factory=dict)
    dims: Mapping[str, DimRange] = field(default_factory=dict)
    frames: tuple[Frame, ...] = ()
    meta: FrozenDict[str, Any] = EMPTY
    native: Any = field(default=None, repr=False)

    def __repr__(self) -> str:
        nodes, graphs = self.count(), len(self.graphs)
        size = f"{nodes:,} node{'' if nodes == 1 else 's'} in {graphs:,} graph{'' if graphs == 1 else 's'}"
        return f"<Program {self.entry}: {size}, {self.source.format}>"

    @property
    def main(self) -> Graph:
        """The entry graph."""
        return self.graphs[self.entry]

    def node(self, ref: NodeRef) -> Node:
        return self.graphs[ref.graph].node(ref.node)

    def each_node(self) -> Iterator[tuple[NodeRef, Node]]:
        """Every node of every graph, in order."""
        for name, graph in self.graphs.items():
            for node in graph.each_node():
                yield NodeRef(name, node.id), node

    def stack(self, node: Node) -> tuple[Frame, ...]:
        """The node's source frames, innermost user frame first; empty where the source does not say."""
        return tuple(stack(self.frames, node.loc))

    def frame(self, node: Node) -> Frame | None:
        """The node's innermost user frame."""
        return None if node.loc is None else self.frames[node.loc]

    def count(self) -> int:
        """Nodes the source itself counts, all graphs together."""
        return sum(graph.count() for graph in self.graphs.values())

    def op_counts(self) -> Counter[str]:
        """How often each operation occurs, all graphs together."""
        return Counter(node.op for _, node in self.each_node() if node.kind == "op")

    def call_graph(self) -> nx.DiGraph[str]:
        """Which graph uses which. Edge attribute ``sites``: tuple of (calling node's id, role)."""
        sites: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for name, graph in self.graphs.items():
            for id, data in graph.nodes(data=True):
                for role, call in data.get("calls", EMPTY).items():
                    sites.setdefault((name, call.graph), []).append((id, role))
        calls: nx.DiGraph[str] = nx.DiGraph()
        calls.add_nodes_from(self.graphs)
        calls.add_edges_from((user, used, {"sites": tuple(found)}) for (user, used), found in sites.items())
        return calls

    def flatten(self, *, limit: int = 1_000_000) -> Graph:
        """One graph of the entry and everything it uses, each use of a region a copy of its own.

        Ids are paths: ``while/body/add``. Every node carries ``region`` (the graph it came from)
        and ``site`` (the flat id of the node that uses that region; absent at the top). A used
        region's inputs get an edge from the value that feeds them, its results an edge to the
        calling node (slots after that node's own operands) and, for what a loop carries round,
        to the inputs of its body and condition: so data flow can be followed through calls, branches and loops with
        any networkx algorithm, and a loop is a cycle. Those added edges have the attribute
        ``via`` (``enter``, ``exit`` or ``carry``).

        Raises:
            GraphlabError: more than ``limit`` nodes, or a region that uses itself.
        """
        flat = Graph(name=self.entry)
        _inline(self, self.entry, "", None, flat, limit, ())
        return flat

    def replace_source(self, **changes: Any) -> Program:
        """This program with fields of ``source`` changed."""
        from dataclasses import replace

        return replace(self, source=replace(self.source, **changes))


def _inline(program: Program, name: str, prefix: str, site: str | None, flat: Graph, limit: int, stack: tuple[str, ...]) -> None:
    graph = program.graphs[name]
    if len(stack) > MAX_DEPTH:
        raise GraphlabError("flatten the program", found=f"its regions nest more than {MAX_DEPTH} deep", do="work on its graphs one by one")
    if name in stack:
        raise GraphlabError("flatten the program", found=f"graph '{name}' uses itself", do="work on its graphs one by one")
    if len(flat) + len(graph) > limit:
        raise GraphlabError(
            "flatten the program", found=f"it unfolds to more than {limit:,} nodes", do="raise limit=, or work graph by graph"
        )
    for id, data in graph.nodes(data=True):
        own = {**data, "region": name}
        if site is not None:
            own["site"] = site
        flat.add_node(prefix + id, **own)
    for src, dst, key, data in graph.edges(keys=True, data=True):
        flat.add_edge(prefix + src, prefix + dst, key, **data)
    for id, data in graph.nodes(data=True):
        calls = data.get("calls")
        if not calls:
            continue
        caller = prefix + id
        operands = {use.dst_port: use for use in graph.operands(id)}
        exit_slot = 1 + max(operands, default=-1)
        ends: dict[str, list[str]] = {}
        for role, call in calls.items():
            inner = f"{caller}/{role}/"
            _inline(program, call.graph, inner, caller, flat, limit, (*stack, name))
            ends[role] = [inner + i for i in program.graphs[call.graph].inputs]
            for target, slot in zip(ends[role], call.operands, strict=True):
                # What the operation makes itself (an element, an index) still depends on all it is given.
                feeding = operands.values() if slot is None else [operands[slot]] if slot in operands else []
                for use in feeding:
                    _via(flat, prefix + use.src, target, use.src_port, 0, "enter")
        for role, call in calls.items():
            callee = program.graphs[call.graph]
            results = {use.dst_port: use for use in callee.operands(callee.output)}
            for use in results.values():
                _via(flat, f"{caller}/{role}/{use.src}", caller, use.src_port, exit_slot, "exit")
                exit_slot += 1
            for out, back in call.carried:
                for target in _carried_to(calls, ends, role, back):
                    _via(flat, f"{caller}/{role}/{results[out].src}", target, results[out].src_port, 1, "carry")


def _carried_to(calls: Mapping[str, Call], ends: Mapping[str, list[str]], role: str, back: int) -> Iterator[str]:
    """The region's own input, and those of the loop's other regions (its condition) that the same operand starts."""
    yield ends[role][back]
    slot = calls[role].operands[back]
    for other, call in calls.items():
        if other != role and slot is not None:
            yield from (ends[other][i] for i, fed in enumerate(call.operands) if fed == slot)


def _via(flat: Graph, src: str, dst: str, src_port: int, dst_port: int, via: str) -> None:
    flat.add_edge(src, dst, (src_port, dst_port, via), kind="data", src_port=src_port, dst_port=dst_port, via=via)
