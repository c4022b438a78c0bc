"""Which sources every value of a program depends on, exactly, through calls, branches, loops and tuples.

A dependence is a bit in an int. Every value has two sets of them: what its *values* depend on, and
what its *shape* does; a query of a shape turns the second into the first. Within a graph the bits
name the graph's own inputs, so that one pass over a graph (its summary) serves all of its callers:
interprocedural slicing with summary edges (Horwitz, Reps, Binkley, TOPLAS 12(1), 1990). A second
pass, callers first, says what each graph's inputs may depend on, all callers together. Both are
near-linear: nothing shared is walked twice.

A tuple is followed element by element: its leaves are *cells*.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import networkx as nx

from graphlab.analyzers.cells import BOTTOM, FIXED, Cell, Layouts, bits, flat, join, lift, running_sum, static
from graphlab.analyzers.mutation import written_values
from graphlab.analyzers.regions import Summary, decision, through_regions
from graphlab.analyzers.transfer import Operation, computed, marked, moved, passes_on, picked
from graphlab.ir.frozen import EMPTY
from graphlab.ir.graph import Control, Graph
from graphlab.ir.program import NodeRef, Program
from graphlab.ir.values import TensorType, ValueType

PARAMETER = 1
VARIES = 2
"""Set within a loop's region, or in a cycle, on what differs from one iteration to the next."""
ATTRIBUTE = 4
"""A module's attribute that is no tensor (``training``, a number of layers): Python's own value at every trace."""
_FIRST_SOURCE = 3

# Of a node with several effects, the one that most decides what its result is.
_PRECEDENCE = ("random", "opaque", "io", "collective", "writes_state", "reads_state", "host")


@dataclass(frozen=True, slots=True)
class Cause:
    """A source that a value depends on.

    ``kind``: an effect (``random``, ``reads_state``, ``opaque`` …; a ``host`` read passes its operands
    on and is a source only where it has none), ``mutated`` (a value changed in place), ``input``
    (the values of a program input), ``shape`` (its shape only), ``parameter``.
    """

    kind: str
    ref: NodeRef
    name: str = ""


class Dataflow:
    """The dependences of all values of a program. Built at once; the methods only look up."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.causes_by_bit: list[Cause | None] = [None] * _FIRST_SOURCE
        self.cycles: dict[str, list[list[str]]] = {}
        """Per graph that has any: the nodes of each cycle, in the graph's order."""
        self._layouts = Layouts()
        self._inputs: dict[str, list[str]] = {name: graph.inputs for name, graph in program.graphs.items()}
        self._summaries: dict[str, Summary] = {}
        self._cells: dict[str, dict[str, tuple[Cell, ...]]] = {}
        self._feeds: dict[tuple[str, str, str], tuple[Cell, ...]] = {}
        self._varying: dict[tuple[str, str, str], frozenset[int]] = {}
        self._decisions: dict[tuple[str, str], tuple[int, int]] = {}
        self._source_bit: dict[tuple[str, str], int] = {}
        self._sites = _sites(program)
        self._callers, self.groups = _call_order(program, self._sites)
        self._written = written_values(program)
        self.roots = self._find_roots()
        self._number_sources()
        for name, graph in program.graphs.items():
            widths = (self._layouts.width(graph.nodes[i]["outputs"]) for i in self._inputs[name])
            results = max((use.dst_port for use in graph.operands(graph.output)), default=-1) + 1
            self._summaries[name] = Summary(running_sum(widths), [()] * results)
        for group in self.groups:
            self._summarise(group)
        self._context = self._contexts(self.groups[::-1])
        self._resolved: dict[tuple[str, int], int] = {}
        self._parameters = PARAMETER | ATTRIBUTE | self._find_parameters()

    # -- queries

    def of_value(self, ref: NodeRef, port: int = 0) -> int:
        """What the values of one output depend on, as bits for :meth:`causes`."""
        mask = 0
        for cell in self._port(ref.graph, ref.node, port):
            mask |= self._resolve(ref.graph, cell[0], cell[1])
        return mask

    def of_node(self, ref: NodeRef) -> int:
        """What the values of any of the node's outputs depend on."""
        mask = 0
        for cell in self._cells[ref.graph][ref.node]:
            mask |= self._resolve(ref.graph, cell[0], cell[1])
        return mask

    def of_decision(self, ref: NodeRef) -> int | None:
        """What a conditional's or loop's decisions depend on; ``None`` where the IR names no predicate."""
        decision = self._decisions.get((ref.graph, ref.node))
        return None if decision is None else self._resolve(ref.graph, *decision)

    def causes(self, mask: int) -> tuple[Cause, ...]:
        """The sources that a mask stands for. An input whose values count is not listed for its shape too."""
        found: dict[tuple[str, NodeRef], Cause] = {}
        for bit in bits(mask & ~VARIES):
            cause = self.causes_by_bit[bit]
            if cause is not None:
                found[cause.kind, cause.ref] = cause
        return tuple(c for c in found.values() if c.kind != "shape" or ("input", c.ref) not in found)

    def depends_on_parameters(self, mask: int) -> bool:
        return bool(mask & self._parameters)

    def only_attributes(self, mask: int) -> bool:
        """Whether a mask stands for attributes that are no tensors, and nothing else but constants."""
        return mask & ~VARIES == ATTRIBUTE

    def is_constant(self, mask: int, *, parameters: bool) -> bool:
        """Whether a mask stands for one value, the same at every run and in every iteration."""
        return not mask & ~(self._parameters if parameters else 0)

    def picked(self, ref: NodeRef, port: int) -> int | None:
        """Which element of its one tuple operand a node's output is; ``None`` where it is none."""
        graph = self.program.graphs[ref.graph]
        types = {use.dst_port: graph.nodes[use.src]["outputs"][use.src_port] for use in graph.operands(ref.node)}
        return picked(graph.nodes[ref.node], types, port)

    def written(self, ref: NodeRef, port: int) -> bool:
        """Whether some operation changes a value in place."""
        return port in self._written.get(ref.graph, EMPTY).get(ref.node, ())

    def sites(self, graph: str) -> list[tuple[str, str, str]]:
        """Where a graph is used: (caller, node, role)."""
        return self._sites.get(graph, [])

    def varies(self, site: tuple[str, str, str], index: int, path: tuple[int, ...] = ()) -> bool:
        """Whether an input of the region used at a site (or an element of it) differs from one run of it to the next."""
        callee = self.program.graphs[site[0]].nodes[site[1]]["calls"][site[2]].graph
        type = self.program.graphs[callee].nodes[self._inputs[callee][index]]["outputs"][0]
        first = self._summaries[callee].offsets[index]
        for step in path:
            first += self._layouts.of(type)[step]
            type = type.elements[step]
        cells = range(first, first + self._layouts.of(type)[-1])
        return not self._varying[site].isdisjoint(cells)

    # -- set-up

    def _find_roots(self) -> list[str]:
        """Graphs that a user enters: the entry, the signatures', and what nothing in the program reaches."""
        program = self.program
        calls: nx.DiGraph[str] = nx.DiGraph()
        calls.add_nodes_from(program.graphs)
        calls.add_edges_from((caller, callee) for callee, callers in self._callers.items() for caller in callers)
        roots = dict.fromkeys([program.entry, *(s.graph for s in program.signatures.values())])
        roots.update(dict.fromkeys(n for n in program.graphs if not self._callers[n]))
        reached = set(roots).union(*(nx.descendants(calls, root) for root in roots))
        roots.update(dict.fromkeys(n for n in program.graphs if n not in reached))
        return list(roots)

    def _number_sources(self) -> None:
        for name, graph in self.program.graphs.items():
            for id, data in graph.nodes(data=True):
                effects = data.get("effects", ())
                if effects and not (passes_on(effects) and graph.in_degree(id)):
                    kind = min(effects, key=lambda e: _PRECEDENCE.index(e) if e in _PRECEDENCE else len(_PRECEDENCE))
                    self._new_source(name, id, kind)
        for name, written in self._written.items():
            for id in written:
                if (name, id) not in self._source_bit:
                    self._new_source(name, id, "mutated")

    def _new_source(self, graph: str, id: str, kind: str) -> None:
        self._source_bit[graph, id] = 1 << len(self.causes_by_bit)
        self.causes_by_bit.append(Cause(kind, NodeRef(graph, id), self.program.graphs[graph].node(id).name))

    def _find_parameters(self) -> int:
        """Bits of what is part of the model: entry inputs that a signature says are, and reads of
        variables that are parameters and that nothing in the program writes."""
        mask = sum(1 << bit for bit, cause in enumerate(self.causes_by_bit) if cause is not None and cause.kind == "parameter")
        reads = 0
        for (graph, id), bit in self._source_bit.items():
            data = self.program.graphs[graph].nodes[id]
            if data.get("effects") != ("reads_state",):
                continue
            variable = next((use for use in self.program.graphs[graph].operands(id) if use.dst_port == 0), None)
            read = 0 if variable is None else self.of_value(NodeRef(graph, variable.src), variable.src_port)
            if read and not read & ~(PARAMETER | mask):
                reads |= bit
                place = bit.bit_length() - 1
                self.causes_by_bit[place] = Cause("parameter", NodeRef(graph, id), self._parameter_name(graph, id))
        return mask | reads

    def _parameter_name(self, graph: str, id: str) -> str:
        variable = next(use.src for use in self.program.graphs[graph].operands(id) if use.dst_port == 0)
        return self.program.graphs[graph].node(variable).name

    # -- summaries, callees first

    def _summarise(self, group: list[str]) -> None:
        recursive = len(group) > 1 or group[0] in self._callers[group[0]]
        self._cells.update({name: {} for name in group})
        wirings = {name: _wiring(self.program.graphs[name]) for name in group}
        changed = True
        while changed:
            self.cycles = {name: cycles for name, cycles in self.cycles.items() if name not in group}
            before = [list(self._summaries[name].results) for name in group]
            for name in group:
                self._pass_over(name, wirings[name])
            changed = recursive and before != [self._summaries[name].results for name in group]

    def _pass_over(self, name: str, wiring: _Wiring) -> None:
        graph = self.program.graphs[name]
        cells = self._cells[name]
        summary = self._summaries[name]
        offsets = dict(zip(self._inputs[name], summary.offsets, strict=False))
        components = _order(graph)
        for component in components:
            cyclic = len(component) > 1 or graph.has_edge(component[0], component[0])
            if cyclic:
                self.cycles.setdefault(name, []).append(component)
            again = True
            while again:
                again = False
                for id in component:
                    new = self._evaluate(name, id, wiring, offsets)
                    if cyclic:  # another value each time round
                        new = tuple((c[0] | VARIES, c[1], c[2], c[3], -1) for c in new)
                    again = again or (cyclic and cells.get(id) != new)
                    cells[id] = new
        for use in graph.operands(graph.output):
            summary.results[use.dst_port] = self._port(name, use.src, use.src_port)

    def _span(self, types: tuple[ValueType, ...], port: int) -> tuple[int, int]:
        start = self._layouts.width(types[:port])
        return start, start + self._layouts.of(types[port])[-1]

    def _port(self, graph: str, id: str, port: int) -> tuple[Cell, ...]:
        return self._cells_of(self._cells[graph], self.program.graphs[graph].nodes[id], id, port)

    def _cells_of(self, known: Mapping[str, tuple[Cell, ...]], data: Mapping[str, Any], id: str, port: int) -> tuple[Cell, ...]:
        cells = known.get(id)
        types = data.get("outputs", ())
        if cells is not None and len(types) == 1:  # nearly all values
            return cells
        start, stop = self._span(types, port)
        return (BOTTOM,) * (stop - start) if cells is None else cells[start:stop]

    def _evaluate(self, name: str, id: str, wiring: _Wiring, offsets: Mapping[str, int]) -> tuple[Cell, ...]:
        data = wiring.nodes[id]
        types: tuple[ValueType, ...] = data.get("outputs", ())
        kind = data["kind"]
        if kind == "input":
            leaves = [leaf for type in types for leaf in flat(type)]
            cells = tuple((0, 1 << 2 * c, 0, 0 if static(leaf) else 1 << 2 * c + 1, c) for c, leaf in enumerate(leaves, offsets[id]))
        elif kind == "constant":
            cells = (FIXED,) * self._layouts.width(types)
        elif kind == "parameter":
            value = data.get("value")
            tensor = value is None or isinstance(value.type, TensorType)
            cells = ((PARAMETER if tensor else ATTRIBUTE, 0, 0, 0, -1),) * self._layouts.width(types)
        else:
            cells = self._operation(name, id, data, wiring)
        for port in self._written.get(name, EMPTY).get(id, ()):
            start, stop = self._span(types, port)
            bit = self._source_bit[name, id]
            cells = (*cells[:start], *(join(c, (bit, 0, bit, 0, -1)) for c in cells[start:stop]), *cells[stop:])
        return cells

    def _operation(self, name: str, id: str, data: Mapping[str, Any], wiring: _Wiring) -> tuple[Cell, ...]:
        known = self._cells[name]
        slots: dict[int, tuple[Cell, ...]] = {}
        slot_types: dict[int, ValueType] = {}
        for slot, src, port in wiring.operands.get(id, ()):
            source = wiring.nodes[src]
            slots[slot] = self._cells_of(known, source, src, port)
            slot_types[slot] = source["outputs"][port]
        op = Operation(name, id, data, slots, slot_types)
        control: Control | None = data.get("control")
        if data.get("calls"):
            outcome = through_regions(op, self._summaries, self._layouts)
            cells, decided = outcome.cells, outcome.decision
            for role, feeds in outcome.feeds.items():
                self._feeds[name, id, role] = feeds
                self._varying[name, id, role] = outcome.varying[role]
        else:
            packed = moved(op, self._layouts)
            cells = computed(op) if packed is None else packed
            cells = self._chosen(op, cells)
            decided = None if control is None else decision(op, control, {})
        if decided is not None:
            self._decisions[name, id] = decided
        own = self._source_bit.get((name, id)) if data.get("effects") else None
        return cells if own is None else marked(cells, op, own)

    def _chosen(self, op: Operation, cells: tuple[Cell, ...]) -> tuple[Cell, ...]:
        """The cells of a value that other nodes of the graph choose (``meta["decided_by"]``: TensorFlow 1's Merge)."""
        g = l = 0
        for decider in op.data.get("meta", EMPTY).get("decided_by", ()):
            decided = self._decisions.get((op.graph, decider), (0, 0))
            g, l = g | decided[0], l | decided[1]
        if not g and not l:
            return cells
        leaves = (leaf for type in op.types for leaf in flat(type))
        return tuple(
            (c[0] | g, c[1] | l, c[2], c[3], -1) if static(leaf) else (c[0] | g, c[1] | l, c[2] | g, c[3] | l, -1)
            for c, leaf in zip(cells, leaves, strict=True)
        )

    # -- contexts, callers first

    def _contexts(self, groups: list[list[str]]) -> dict[str, list[tuple[int, int]]]:
        context = {name: [(0, 0)] * self._summaries[name].offsets[-1] for name in self.program.graphs}
        slots = {s.graph: s.inputs for s in self.program.signatures.values()}
        for name in self.roots:
            for i, input in enumerate(self._inputs[name]):
                slot = slots[name][i] if name in slots and i < len(slots[name]) else None
                self._enter(context[name], name, input, i, None if slot is None else (slot.role, slot.target or slot.name))
        feeds: dict[str, list[tuple[str, str, str]]] = {}
        for key in self._feeds:
            feeds.setdefault(key[0], []).append(key)
        for group in groups:
            changed = True
            while changed:
                changed = False
                for name in group:
                    for key in feeds.get(name, ()):
                        callee = self.program.graphs[name].nodes[key[1]]["calls"][key[2]].graph
                        grew = self._flow_in(context[name], context[callee], self._feeds[key], self._varying[key])
                        changed |= grew and callee in group
        return context

    def _enter(self, context: list[tuple[int, int]], name: str, input: str, index: int, slot: tuple[str, str] | None) -> None:
        ref = NodeRef(name, input)
        label = slot[1] if slot is not None else self.program.graphs[name].node(input).name
        first = len(self.causes_by_bit)
        if slot is not None and slot[0] in ("parameter", "buffer", "constant"):
            self.causes_by_bit.append(Cause("parameter", ref, label))
            value, shape = 1 << first, 0
        else:
            kind = "reads_state" if slot is not None and slot[0] == "state" else "input"
            self.causes_by_bit += [Cause(kind, ref, label), Cause("shape", ref, label)]
            value, shape = 1 << first, 1 << first + 1
        for c in range(self._summaries[name].offsets[index], self._summaries[name].offsets[index + 1]):
            context[c] = (value, shape)

    @staticmethod
    def _flow_in(outer: list[tuple[int, int]], inner: list[tuple[int, int]], feeds: tuple[Cell, ...], varying: frozenset[int]) -> bool:
        grew = False
        for c, cell in enumerate(feeds):
            value = cell[0] | lift(cell[1], outer) | (VARIES if c in varying else 0)
            shape = cell[2] | lift(cell[3], outer)
            old = inner[c]
            new = (old[0] | value, old[1] | shape)
            if new != old:
                inner[c], grew = new, True
        return grew

    def _resolve(self, graph: str, g: int, l: int) -> int:
        if not l:
            return g
        lifted = self._resolved.get((graph, l))
        if lifted is None:
            lifted = self._resolved[graph, l] = lift(l, self._context[graph])
        return g | lifted


@dataclass(frozen=True, slots=True)
class _Wiring:
    """A graph's nodes and operands in plain dictionaries: networkx's views cost more than the analysis itself."""

    nodes: Mapping[str, Mapping[str, Any]]
    operands: Mapping[str, list[tuple[int, str, int]]]


def _wiring(graph: Graph) -> _Wiring:
    operands: dict[str, list[tuple[int, str, int]]] = {}
    for src, dst, edge in graph.edges(data=True):
        if edge["kind"] == "data":
            operands.setdefault(dst, []).append((edge["dst_port"], src, edge["src_port"]))
    return _Wiring(dict(graph.nodes(data=True)), operands)


def _order(graph: Graph) -> list[list[str]]:
    """Nodes in an order of use; the nodes of a cycle together."""
    place = {id: i for i, id in enumerate(graph)}
    if all(place[src] < place[dst] for src, dst in graph.edges()):
        return [[id] for id in graph]
    condensed = nx.condensation(nx.DiGraph(graph))
    return [sorted(condensed.nodes[c]["members"], key=place.__getitem__) for c in nx.topological_sort(condensed)]


def _sites(program: Program) -> dict[str, list[tuple[str, str, str]]]:
    sites: dict[str, list[tuple[str, str, str]]] = {}
    for name, graph in program.graphs.items():
        for id, calls in graph.nodes(data="calls"):
            for role, call in (calls or EMPTY).items():
                sites.setdefault(call.graph, []).append((name, id, role))
    return sites


def _call_order(program: Program, sites: Mapping[str, list[tuple[str, str, str]]]) -> tuple[dict[str, set[str]], list[list[str]]]:
    """Callers of each graph; groups of graphs that call one another, callees first."""
    callers = {name: {site[0] for site in sites.get(name, ())} for name in program.graphs}
    calls: nx.DiGraph[str] = nx.DiGraph()
    calls.add_nodes_from(program.graphs)
    calls.add_edges_from((caller, callee) for callee, names in callers.items() for caller in names)
    condensed = nx.condensation(calls)
    groups = [sorted(condensed.nodes[c]["members"]) for c in nx.topological_sort(condensed)]
    return callers, groups[::-1]
