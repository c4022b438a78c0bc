"""What depends on constants alone and could be computed once, what keeps the rest from it, and what folding did.

An operation can be folded where it has no effects (but a host's read of its operands), neither have
the regions it runs, and all that its results depend on is constants: the same value at every run of
the program and in every iteration of a loop around it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import networkx as nx

from graphlab.analyzers.dataflow import Dataflow
from graphlab.analyzers.transfer import passes_on
from graphlab.findings import Finding
from graphlab.ir.frames import Frame
from graphlab.ir.frozen import EMPTY, frozen
from graphlab.ir.graph import Graph, Node, Use
from graphlab.ir.program import NodeRef, Program
from graphlab.ir.values import OpaqueType, TensorType, ValueType


@dataclass(frozen=True, slots=True)
class Options:
    """What counts.

    Attributes:
        parameters: treat parameters as constants, as when the model is frozen for inference.
        small: a subgraph whose results all have at most this many elements is small: it is listed, not found fault with.
        growth: bytes that folding must add before it is found fault with (GL303).
    """

    parameters: bool = False
    small: int = 16
    growth: int = 65536


@dataclass(frozen=True, slots=True)
class Foldable:
    """A maximal connected subgraph of one graph that depends on constants alone.

    Attributes:
        nodes: its operations, in the graph's order.
        ops: operations saved, those in regions that only it runs among them.
        before: bytes of the constants (and parameters, where they count) that only it uses; ``None`` where a size is not known.
        after: bytes of the results that others use, constants once folded; ``None`` where a size is not known.
        where: the source line of its last operation that has one.
        small: all it computes is a few numbers, or nothing: it only reads and forwards.
    """

    nodes: tuple[NodeRef, ...]
    ops: int
    before: int | None
    after: int | None
    where: Frame | None
    small: bool

    @property
    def added(self) -> int | None:
        """Bytes that folding adds; negative where it saves."""
        return None if self.before is None or self.after is None else self.after - self.before


@dataclass(frozen=True, slots=True)
class Blocked:
    """Operations on constants alone that cannot be folded because of their effects: those of one kind on one line.

    ``lost``: operations that depend on nothing but one of them and constants, and so are kept from folding with it.
    """

    nodes: tuple[NodeRef, ...]
    op: str
    effects: tuple[str, ...]
    lost: tuple[NodeRef, ...]
    where: Frame | None

    @property
    def node(self) -> NodeRef:
        """The first of them."""
        return self.nodes[0]


@dataclass(frozen=True, slots=True)
class Result:
    """``foldable`` from the most operations saved down, ``blocked`` from the most lost down."""

    foldable: tuple[Foldable, ...]
    blocked: tuple[Blocked, ...]
    findings: tuple[Finding, ...]

    @property
    def ops(self) -> int:
        """Operations that folding would save."""
        return sum(f.ops for f in self.foldable)

    def to_json(self) -> dict[str, Any]:
        """Plain data: dicts, lists, strings, numbers."""
        return {
            "ops": self.ops,
            "foldable": [
                {
                    "nodes": [str(n) for n in f.nodes],
                    "ops": f.ops,
                    "bytes_before": f.before,
                    "bytes_after": f.after,
                    "where": None if f.where is None else str(f.where),
                    "small": f.small,
                }
                for f in self.foldable
            ],
            "blocked": [
                {
                    "node": str(b.node),
                    "nodes": [str(n) for n in b.nodes],
                    "count": len(b.nodes),
                    "op": b.op,
                    "effects": list(b.effects),
                    "lost": [str(n) for n in b.lost],
                    "where": None if b.where is None else str(b.where),
                }
                for b in self.blocked
            ],
        }


def analyze(program: Program, options: Options = Options()) -> Result:
    """Find what can be folded and what keeps the rest from it; ``folding_done.compare`` says what was."""
    facts = _Facts(program, options)
    foldable = sorted(facts.foldable(), key=lambda f: -f.ops)
    blocked = sorted(_together(facts.blocked()), key=lambda b: -len(b.lost))
    return Result(tuple(foldable), tuple(blocked), tuple(_findings(foldable, blocked, options)))


class _Facts:
    """Which nodes are fixed (of one value for ever) and which of them can be folded."""

    def __init__(self, program: Program, options: Options) -> None:
        self.program = program
        self.options = options
        self.flow = Dataflow(program)
        self.impure = self._impure_graphs()
        self.nodes: dict[str, dict[str, None]] = {}
        covered: dict[str, bool] = {}  # graphs that only folded operations run
        self.sizes: dict[str, int] = {}
        for group in reversed(self.flow.groups):
            for name in group:
                sites = self.flow.sites(name)
                covered[name] = bool(sites) and name not in self.flow.roots
                covered[name] &= all(covered.get(c, False) or id in self.nodes.get(c, ()) for c, id, _ in sites)
                self.nodes[name] = {} if covered[name] else self._foldable_nodes(name)
        self.covered = {name for name, yes in covered.items() if yes}
        for group in self.flow.groups:
            for name in group:
                self.sizes[name] = sum(self.weight(data) for _, data in program.graphs[name].nodes(data=True) if data["kind"] == "op")

    def weight(self, data: Mapping[str, Any]) -> int:
        """An operation with the operations of the regions it runs."""
        inner = sum(self.sizes.get(call.graph, 0) for call in data.get("calls", EMPTY).values())
        return inner + (0 if data.get("synthetic") else 1)

    def _impure_graphs(self) -> set[str]:
        impure = {name for name, graph in self.program.graphs.items() if any(_bars(d) for _, d in graph.nodes(data=True))}
        pending = list(impure)
        while pending:
            for caller, _, _ in self.flow.sites(pending.pop()):
                if caller not in impure:
                    impure.add(caller)
                    pending.append(caller)
        return impure

    def fixed(self, graph: str, id: str) -> bool:
        """Whether all of a node's results are the same at every run."""
        return self.flow.is_constant(self.flow.of_node(NodeRef(graph, id)), parameters=self.options.parameters)

    def operand_fixed(self, graph: str, use: Use) -> bool:
        return self.flow.is_constant(self.flow.of_value(NodeRef(graph, use.src), use.src_port), parameters=self.options.parameters)

    def pure(self, data: Mapping[str, Any]) -> bool:
        return not _bars(data) and not any(call.graph in self.impure for call in data.get("calls", EMPTY).values())

    def _foldable_nodes(self, name: str) -> dict[str, None]:
        graph = self.program.graphs[name]
        read = self.options.parameters
        found: dict[str, None] = {}
        for id, data in graph.nodes(data=True):
            if data["kind"] != "op" or not data.get("outputs") or not self.fixed(name, id):
                continue
            if self.pure(data) or (read and data.get("effects") == ("reads_state",)):
                found[id] = None
        return found

    # -- what folds

    def foldable(self) -> Iterator[Foldable]:
        for name, nodes in self.nodes.items():
            graph = self.program.graphs[name]
            place = {id: i for i, id in enumerate(graph)} if nodes else {}
            for part in _components(graph, nodes):
                yield self._describe(name, graph, sorted(part, key=place.__getitem__), part)

    def _describe(self, name: str, graph: Graph, ids: list[str], part: set[str]) -> Foldable:
        consumed: dict[str, int | None] = {}
        results: dict[tuple[str, int], ValueType] = {}
        small = forwards = True
        for id in ids:
            data = graph.nodes[id]
            forwards = forwards and (data.get("canonical") == "Identity" or bool(data.get("effects")))
            small = small and all(_few(type, self.options.small) for type in data["outputs"])
            for use in graph.users(id):
                if use.dst not in part:
                    results[id, use.src_port] = data["outputs"][use.src_port]
            for src in graph.pred[id]:
                source = graph.nodes[src]
                if source["kind"] in ("constant", "parameter") and src not in consumed and part.issuperset(graph.succ[src]):
                    value = source.get("value")
                    consumed[src] = value.nbytes if value is not None else _bytes(source["outputs"][0])
        lines = [frame for id in reversed(ids) if (frame := self.program.frame(graph.node(id))) is not None]
        return Foldable(
            nodes=tuple(NodeRef(name, id) for id in ids),
            ops=sum(self.weight(graph.nodes[id]) for id in ids),
            before=_sum(consumed.values()),
            after=_sum(_bytes(type) for type in results.values()),
            where=lines[0] if lines else None,
            small=small or forwards,
        )

    # -- what does not

    def blocked(self) -> Iterator[Blocked]:
        for name, graph in self.program.graphs.items():
            if name in self.covered:
                continue
            for node in graph.each_node():
                effects = node.effects or (("region",) if node.kind == "op" and not self.pure(graph.nodes[node.id]) else ())
                if node.kind != "op" or not effects or node.id in self.nodes[name] or not node.outputs:
                    continue
                operands = node.operands
                if _takes_more(node, operands):
                    continue
                if all(self.operand_fixed(name, use) for use in operands):
                    ref = NodeRef(name, node.id)
                    lost = tuple(NodeRef(name, id) for id in self._lost(name, graph, node.id))
                    yield Blocked((ref,), node.op, effects, lost, self.program.frame(node))

    def _lost(self, name: str, graph: Graph, blocker: str) -> list[str]:
        """Pure operations whose operands are all fixed or depend on the blocker alone. No node is lost to two blockers."""
        lost: dict[str, None] = {}
        pending = [blocker]
        while pending:
            for dst in graph.succ[pending.pop()]:
                data = graph.nodes[dst]
                if dst in lost or dst == blocker or data["kind"] != "op" or not self.pure(data) or not data.get("outputs"):
                    continue
                if all(use.src == blocker or use.src in lost or self.operand_fixed(name, use) for use in graph.operands(dst)):
                    lost[dst] = None
                    pending.append(dst)
        return list(lost)


def _takes_more(node: Node, operands: list[Use]) -> bool:
    """Whether a node works on what is no constant, though no operand says so: state, or what comes from outside.

    State is its own (a variable of TensorFlow 1) or lies behind a handle; what a file or a queue holds comes from outside,
    but for an operation that hands on its operand (a check of it).
    """
    if node.synthetic or ("io" in node.effects and "host" not in node.effects and node.canonical != "Identity"):
        return True
    if "reads_state" not in node.effects and "writes_state" not in node.effects:
        return False
    graph = node.graph
    return not operands or any(isinstance(graph.nodes[use.src]["outputs"][use.src_port], OpaqueType) for use in operands)


def _together(blocked: Iterator[Blocked]) -> Iterator[Blocked]:
    """Those of one kind on one line as one: the same would be said of each."""
    alike: dict[tuple[str, tuple[str, ...], Frame | None], list[Blocked]] = {}
    for block in blocked:
        alike.setdefault((block.op, block.effects, block.where), []).append(block)
    for (op, effects, where), blocks in alike.items():
        nodes = tuple(ref for block in blocks for ref in block.nodes)
        yield Blocked(nodes, op, effects, tuple(ref for block in blocks for ref in block.lost), where)


def _components(graph: Graph, nodes: Mapping[str, None]) -> Iterator[set[str]]:
    uses: nx.Graph[str] = nx.Graph()
    uses.add_nodes_from(nodes)
    uses.add_edges_from(
        (id, dst)
        for id in nodes
        for dst, keyed in graph.succ[id].items()
        if dst in nodes and any(d["kind"] == "data" for d in keyed.values())
    )
    yield from nx.connected_components(uses)


def _few(type: ValueType, limit: int) -> bool:
    return not isinstance(type, TensorType) or (type.elements is not None and type.elements <= limit)


def _bytes(type: ValueType) -> int | None:
    return type.nbytes if isinstance(type, TensorType) else None


def _sum(sizes: Any) -> int | None:
    total = 0
    for size in sizes:
        if size is None:
            return None
        total += size
    return total


_DO_BLOCKED = {
    "reads_state": "freeze the variable, or make it a constant",
    "opaque": "tell the framework that the operation is pure, or compute its result when the model is built",
    "host": "compute its result when the model is built",
    "collective": "do it once when the model is built, and keep the result",
}


def _bars(data: Mapping[str, Any]) -> bool:
    """Whether an operation's effects keep it from being folded; what a host reads of a constant is constant."""
    effects = data.get("effects", ())
    return bool(effects) and not passes_on(effects)


def _findings(foldable: list[Foldable], blocked: list[Blocked], options: Options) -> Iterator[Finding]:
    # One finding a source line and code: a line that makes a hundred of them has one cause.
    together: dict[tuple[str, Frame | None], list[Foldable]] = {}
    for part in foldable:
        grows = part.added is not None and part.added > options.growth
        if grows or not part.small:
            together.setdefault(("GL303" if grows else "GL301", part.where), []).append(part)
    for (code, where), parts in together.items():
        yield _foldable_finding(code, where, parts)
    for block in blocked:
        reasons = [e for e in block.effects if e in _DO_BLOCKED]
        if block.lost and reasons:
            several = len(block.nodes) > 1
            yield Finding(
                "GL302",
                f"{f'{len(block.nodes)} {block.op} take' if several else f'{block.op} takes'} constants alone but cannot be folded "
                f"({', '.join(block.effects)}); {len(block.lost)} more operation{'s' if len(block.lost) > 1 else ''} "
                f"cannot for {'their' if several else 'its'} sake",
                nodes=(*block.nodes, *block.lost),
                where=block.where,
                do=_DO_BLOCKED[reasons[0]],
                data=frozen(effects=block.effects, count=len(block.nodes), lost=len(block.lost)),
            )


def _foldable_finding(code: str, where: Frame | None, parts: list[Foldable]) -> Finding:
    ops, before, after = sum(part.ops for part in parts), _sum(part.before for part in parts), _sum(part.after for part in parts)
    counted = f"{ops} operation{'s' if ops > 1 else ''}" + (f" in {len(parts)} groups" if len(parts) > 1 else "")
    nodes = tuple(ref for part in parts for ref in part.nodes[::-1])
    data = frozen(ops=ops, groups=len(parts), bytes_before=before, bytes_after=after)
    if code == "GL303":
        message = f"folding {counted} would turn {before:,} bytes of constants into {after:,}"
        return Finding(code, message, nodes, where, "keep it unfolded: let it be computed (or fused) where it is used", data)
    message = f"{counted} depend{'' if ops > 1 else 's'} on constants alone"
    return Finding(code, message, nodes, where, "compute the result once, in the constructor, or let a compiler fold it", data)
