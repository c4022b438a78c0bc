"""Every conditional and loop of a program: what decides it, where it stands, how often it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from graphlab.analyzers.cells import flat
from graphlab.analyzers.dataflow import Cause, Dataflow
from graphlab.analyzers.trip_count import TripCount, TripCounter
from graphlab.findings import Finding
from graphlab.ir.frames import Frame
from graphlab.ir.frozen import EMPTY, frozen
from graphlab.ir.program import NodeRef, Program
from graphlab.ir.values import TensorType

Decider: TypeAlias = Literal["random", "outside", "input", "state", "shape", "constant", "unknown"]
"""What decides a branch or loop, the most restless of its sources: a random draw; something outside
the graph (an opaque op or callback, another device); an input's values; the model's own state
(parameters, variables, values changed in place); an input's shape; constants alone."""

_DECIDER: Mapping[str, Decider] = {
    "random": "random",
    **dict.fromkeys(("opaque", "host", "io", "collective"), "outside"),
    "input": "input",
    **dict.fromkeys(("reads_state", "writes_state", "mutated", "parameter"), "state"),
    "shape": "shape",
}
_RANK: tuple[Decider, ...] = ("random", "outside", "input", "state", "shape", "constant", "unknown")


@dataclass(frozen=True, slots=True)
class Options:
    """``paths``: how many ways into a shared region to list; ``causes``: how many sources of a predicate."""

    paths: int = 4
    causes: int = 8


@dataclass(frozen=True, slots=True)
class Region:
    """A region that a branch or loop runs. ``ops`` counts its operations and those of the regions in it."""

    role: str
    graph: str
    ops: int


@dataclass(frozen=True, slots=True)
class Construct:
    """A conditional, a loop, or a cycle of the graph itself (a TensorFlow 1 loop).

    Attributes:
        node: the operation; of a cycle, the one that decides it, else its first.
        where: its source line.
        nesting: the constructs around it, outermost first: one tuple for each way in (see ``Options.paths``).
        ways: how many ways in there are, all told.
        decided_by: the most restless of the sources of its predicate.
        causes: those sources that make it so.
        cause_count: how many such sources there are, listed or not.
        others: what else the predicate depends on.
        trip_count: of a loop, where it is known.
        regions: what it runs.
        configured: whether attributes that are no tensors (``training``) decide it, and nothing else.
    """

    form: Literal["conditional", "loop", "cycle"]
    node: NodeRef
    op: str
    where: Frame | None
    nesting: tuple[tuple[NodeRef, ...], ...]
    ways: int
    decided_by: Decider
    causes: tuple[Cause, ...] = ()
    cause_count: int = 0
    others: tuple[Decider, ...] = ()
    trip_count: TripCount | None = None
    regions: tuple[Region, ...] = ()
    configured: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """All constructs in the program's order, and what there is to say about them."""

    constructs: tuple[Construct, ...]
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data: dicts, lists, strings, numbers."""
        return {"constructs": [_construct_json(c) for c in self.constructs]}


def analyze(program: Program, options: Options = Options()) -> Result:
    """Find all control flow of a program, in all of its graphs, and trace every predicate to its sources."""
    flow = Dataflow(program)
    facts = _Facts(program, flow, TripCounter(program, flow), _sizes(program, flow), _Nesting(program, flow, options.paths), options)
    constructs = tuple(_constructs(facts))
    findings = tuple(f for construct in constructs if (f := _finding(facts, construct)) is not None)
    return Result(constructs, findings)


def of_fixed_shapes(program: Program) -> bool:
    """Whether the capture ran the code on inputs of known sizes, and so resolved what sizes decide.

    TorchScript compiles the code, and fx fails where a size would decide: neither resolves anything.
    """
    if program.source.format == "torch.fx" or program.source.method == "jit.script":
        return False
    leaves = (leaf for id in program.main.inputs for type in program.main.node(id).outputs for leaf in flat(type))
    return any(isinstance(leaf, TensorType) and any(isinstance(dim, int) for dim in leaf.dims or ()) for leaf in leaves)


@dataclass(frozen=True, slots=True)
class _Facts:
    program: Program
    flow: Dataflow
    trips: TripCounter
    sizes: Mapping[str, int]
    nesting: _Nesting
    options: Options


def _constructs(facts: _Facts) -> Iterator[Construct]:
    program, flow = facts.program, facts.flow
    for name, graph in program.graphs.items():
        cycles = flow.cycles.get(name, ())
        in_cycle = {id for cycle in cycles for id in cycle}
        for node in graph.each_node():
            if node.control is None or (node.control.form == "loop" and node.id in in_cycle and not node.calls):
                continue
            ref = NodeRef(name, node.id)
            mask = flow.of_decision(ref)
            decided, causes, others = _decided(flow, mask)
            yield Construct(
                form=node.control.form,
                node=ref,
                op=node.op,
                where=_line(facts, ref),
                nesting=facts.nesting.around(ref),
                ways=facts.nesting.ways(name),
                decided_by=decided,
                causes=causes[: facts.options.causes],
                cause_count=len(causes),
                others=others,
                trip_count=facts.trips.of(ref) if node.control.form == "loop" else None,
                regions=tuple(Region(role, call.graph, facts.sizes[call.graph]) for role, call in node.calls.items())
                or _parts(facts, ref, ("then", "else")),
                configured=mask is not None and flow.only_attributes(mask),
            )
        for cycle in cycles:
            yield from _loops(facts, name, cycle)


def _loops(facts: _Facts, name: str, cycle: list[str]) -> Iterator[Construct]:
    """The loops in a cycle of edges, one for each node in it that the source calls a loop's condition; one in all where it calls none so.

    A loop within a loop lies on the same cycle: what is in which, the nodes say (``meta["within"]``).
    """
    program, flow = facts.program, facts.flow
    nodes = [program.graphs[name].node(id) for id in cycle]
    deciding = [n for n in nodes if n.control is not None and n.control.form == "loop" and not n.calls]
    if not deciding and any(role == "loop" for n in nodes for _, role in n.meta.get("within", ())):
        return  # goes round in a loop that is decided beside it
    for head in deciding or nodes[:1]:
        ref = NodeRef(name, head.id)
        decided, causes, others = _decided(flow, flow.of_decision(ref) if deciding else None)
        within = [n for n in nodes if (head.id, "loop") in n.meta.get("within", ())] or nodes
        yield Construct(
            form="cycle",
            node=ref,
            op=head.op,
            where=next((f for n in (head, *within) if (f := program.frame(n)) is not None), None),
            nesting=facts.nesting.around(ref),
            ways=facts.nesting.ways(name),
            decided_by=decided,
            causes=causes[: facts.options.causes],
            cause_count=len(causes),
            others=others,
            trip_count=facts.trips.of(ref) if deciding else None,
            regions=_parts(facts, ref, ("loop",)) or (Region("cycle", name, sum(1 for n in nodes if n.kind == "op")),),
        )


def _parts(facts: _Facts, decider: NodeRef, roles: tuple[str, ...]) -> tuple[Region, ...]:
    """What a node decides on that lies in its own graph, by role."""
    counts = facts.nesting.decided.get(decider, Counter())
    return tuple(Region("body" if role == "loop" else role, decider.graph, counts[role]) for role in roles if role in counts)


def _decided(flow: Dataflow, mask: int | None) -> tuple[Decider, tuple[Cause, ...], tuple[Decider, ...]]:
    if mask is None:
        return "unknown", (), ()
    causes = flow.causes(mask)
    kinds = {_DECIDER.get(cause.kind, "outside") for cause in causes}
    if flow.depends_on_parameters(mask):
        kinds.add("state")
    ranked = [kind for kind in _RANK if kind in kinds] or ["constant"]
    return ranked[0], tuple(c for c in causes if _DECIDER.get(c.kind, "outside") == ranked[0]), tuple(ranked[1:])


def _sizes(program: Program, flow: Dataflow) -> dict[str, int]:
    """Operations of each graph and of the regions in it, a region counted at each use."""
    sizes: dict[str, int] = {}
    for group in flow.groups:
        for name in group:
            total = 0
            for _, data in program.graphs[name].nodes(data=True):
                if data["kind"] == "op" and not data.get("synthetic"):
                    total += 1 + sum(sizes.get(call.graph, 0) for call in data.get("calls", EMPTY).values())
            sizes[name] = total
    return sizes


class _Nesting:
    """Which constructs stand around a graph, for every way into it."""

    def __init__(self, program: Program, flow: Dataflow, limit: int) -> None:
        self._program = program
        self.decided: dict[NodeRef, Counter[str]] = {}
        """Of each node that decides on others of its own graph: how many operations run in which role."""
        for name, graph in program.graphs.items():
            for _, data in graph.nodes(data=True):
                for decider, role in data.get("meta", EMPTY).get("within", ()) if data["kind"] == "op" else ():
                    self.decided.setdefault(NodeRef(name, decider), Counter())[role] += 1
        self._paths: dict[str, tuple[tuple[NodeRef, ...], ...]] = {}
        self._ways: dict[str, int] = {}
        for group in reversed(flow.groups):
            for name in group:
                paths: dict[tuple[NodeRef, ...], None] = {(): None} if name in flow.roots else {}
                ways = 1 if name in flow.roots else 0
                for caller, id, _role in flow.sites(name):
                    if caller not in self._ways:
                        continue  # a graph that uses itself adds no way in from outside
                    ways += self._ways[caller]
                    control = program.graphs[caller].node(id).control
                    step = (*self._within(caller, id), *(() if control is None else (NodeRef(caller, id),)))
                    if len(paths) < limit:
                        paths.update(dict.fromkeys((*path, *step) for path in self._paths[caller]))
                self._paths[name] = tuple(paths)[:limit]
                self._ways[name] = ways

    def _within(self, graph: str, id: str) -> Iterator[NodeRef]:
        """The nodes of its own graph that decide whether a node runs, outermost first."""
        for decider, _ in self._program.graphs[graph].nodes[id].get("meta", EMPTY).get("within", ()):
            if decider != id:
                yield NodeRef(graph, decider)

    def around(self, ref: NodeRef) -> tuple[tuple[NodeRef, ...], ...]:
        """The constructs around a node, for every way into its graph."""
        within = tuple(self._within(ref.graph, ref.node))
        return tuple((*path, *within) for path in self._paths[ref.graph])

    def ways(self, graph: str) -> int:
        return self._ways[graph]


_CODES: Mapping[Decider, str] = {"random": "GL201", "input": "GL202", "state": "GL205", "outside": "GL206"}
_DO: Mapping[str, str] = {
    "GL201": "draw outside the model and pass the draw in, or select with where() instead of branching",
    "GL202": "expect this construct in every export; methods that trace it will keep one side only",
    "GL203": "capture it with that dimension symbolic, or keep the dimension fixed",
    "GL204": "remove the branch from the model, or make its condition depend on what it should",
    "GL205": "freeze the model if that state never changes: the branch then folds away",
    "GL206": "check that the operation is there, and answers the same, where the model will run",
}
_DO_LOOP: Mapping[str, str] = {
    "GL201": "draw the number of iterations outside the model and pass it in",
    "GL202": "expect this loop in every export; methods that trace it will keep as many iterations as the example took",
    "GL205": "freeze the model if that state never changes: the loop then runs a fixed number of times",
}
"""Where a loop asks for other words than a branch."""
_DO_READ: Mapping[str, str] = {
    "GL202": "expect the branch in everything that this program is converted to: a target without branches cannot take it",
    "GL203": "fix that dimension where the program is converted, if the target has no loops",
}
_DO_READ_LOOP: Mapping[str, str] = {
    "GL202": "expect the loop in everything that this program is converted to: how often it runs is known at run time alone",
}
"""Where a program is read from a file, so that nothing can be traced or captured in another way."""


def _finding(facts: _Facts, construct: Construct) -> Finding | None:
    what = "branch" if construct.form == "conditional" else "loop"
    place = f" at {construct.where}" if construct.where else f" {construct.node}"
    by = construct.decided_by
    if by == "shape" and construct.form != "conditional":
        code, rest = "GL203", f"runs {construct.trip_count} times" if construct.trip_count else "runs as often as a shape says"
        rest += f": {_told(facts, construct)}" if construct.causes else ""
    elif by == "constant" and construct.form == "conditional":
        code, rest = "GL204", "is decided by constants alone"
    elif by in _CODES:
        code, rest = _CODES[by], f"is decided by {_told(facts, construct)}"
    else:
        return None
    return Finding(
        code,
        f"{what}{place} {rest}",
        nodes=(construct.node, *(cause.ref for cause in construct.causes)),
        where=construct.where or next((f for c in construct.causes if (f := _line(facts, c.ref)) is not None), None),
        do=_advice(code, loop=what == "loop", read=facts.program.source.method == "read"),
        data=frozen(form=construct.form, decided_by=by, causes=[(c.kind, str(c.ref)) for c in construct.causes], ways=construct.ways),
    )


def _advice(code: str, *, loop: bool, read: bool) -> str:
    """The words for the narrowest case that has its own."""
    tables = [_DO_READ_LOOP] * (read and loop) + [_DO_READ] * read + [_DO_LOOP] * loop + [_DO]
    return next(table[code] for table in tables if code in table)


_WORDS: Mapping[Decider, str] = {
    "random": "a random draw",
    "outside": "what happens outside the graph",
    "input": "the values of",
    "state": "the model's state",
    "shape": "the shape of",
}


def _told(facts: _Facts, construct: Construct) -> str:
    words = _WORDS[construct.decided_by]
    if construct.decided_by in ("input", "shape"):
        names = [f"input '{cause.name}'" for cause in construct.causes[:3]]
        return f"{words} {', '.join(names)}{_more(construct.cause_count - len(names))}"
    told = [_source(facts, cause) for cause in construct.causes[:3]]
    return f"{words}: {', '.join(told)}{_more(construct.cause_count - len(told))}" if told else words


def _source(facts: _Facts, cause: Cause) -> str:
    if cause.kind == "parameter":
        return f"parameter '{cause.name}'"
    node = facts.program.node(cause.ref)
    frame = _line(facts, cause.ref)
    what = f"{node.op} changed in place" if cause.kind == "mutated" else node.op
    return f"{what} at {frame}" if frame else f"{what} ({cause.ref})"


def _line(facts: _Facts, ref: NodeRef) -> Frame | None:
    """A node's source line; where it has none (a framework's own function), that of the only call that leads to it."""
    frame = facts.program.frame(facts.program.node(ref))
    seen = {ref.graph}
    while frame is None and len(sites := facts.flow.sites(ref.graph)) == 1 and sites[0][0] not in seen:
        ref = NodeRef(sites[0][0], sites[0][1])
        seen.add(ref.graph)
        frame = facts.program.frame(facts.program.node(ref))
    return frame


def _more(count: int) -> str:
    return f" and {count} more" if count > 0 else ""


def _construct_json(c: Construct) -> dict[str, Any]:
    return {
        "form": c.form,
        "node": str(c.node),
        "op": c.op,
        "where": None if c.where is None else str(c.where),
        "nesting": [[str(ref) for ref in path] for path in c.nesting],
        "ways": c.ways,
        "decided_by": c.decided_by,
        "causes": [{"kind": cause.kind, "node": str(cause.ref), "name": cause.name} for cause in c.causes],
        "cause_count": c.cause_count,
        "others": list(c.others),
        "trip_count": None if c.trip_count is None else {"count": c.trip_count.count, "exact": c.trip_count.exact},
        "regions": [{"role": r.role, "graph": r.graph, "ops": r.ops} for r in c.regions],
    }
