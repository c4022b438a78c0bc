"""What a compiler made of a program: operations before and after, fusions, folding, widened types, missed fusions.

Unlike the other analyzers it takes a :class:`~graphlab.compilers.results.Compiled`, not a Program:
its first stage is what the compiler was given, its last what it made, in the same dialect.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import networkx as nx

from graphlab.analyzers import constant_folding, folding_done
from graphlab.analyzers.folding_done import FoldingDone
from graphlab.compilers.results import Compiled, Measured, Metric, Stage
from graphlab.errors import CompileError
from graphlab.findings import Finding
from graphlab.ir.frames import Frame
from graphlab.ir.frozen import frozen
from graphlab.ir.graph import Graph, Node
from graphlab.ir.program import NodeRef, Program
from graphlab.ir.values import DTYPE_BITS, TensorType

FOLDING_PASSES = frozenset(("import", "constant_folding", "freeze", "constfold"))
"""Names under which compilers fold constants: XLA's import of StableHLO, XLA's pass, TorchScript's, Grappler's."""

ELEMENTWISE = frozenset(
    f"hlo.{name}"
    for name in (
        "abs", "add", "and", "atan2", "cbrt", "ceil", "clamp", "compare", "convert", "cosine", "divide", "erf", "exponential",
        "exponential-minus-one", "floor", "is-finite", "log", "log-plus-one", "logistic", "maximum", "minimum", "multiply", "negate",
        "not", "or", "power", "remainder", "round-nearest-afz", "round-nearest-even", "rsqrt", "select", "shift-left",
        "shift-right-arithmetic", "shift-right-logical", "sign", "sine", "sqrt", "subtract", "tan", "tanh", "xor",
    )
)  # fmt: skip
"""HLO operations whose every output element needs one element of each operand: any two of them can share a loop."""

_MOVES = frozenset(
    f"hlo.{name}"
    for name in (
        "convert", "bitcast", "bitcast-convert", "copy", "tuple", "get-tuple-element", "fusion", "call", "while", "conditional",
        "broadcast", "reshape", "transpose", "iota", "slice", "concatenate",
    )
)  # fmt: skip
"""Operations that compute nothing in a type: they may pass a wide value on without anything having been widened."""


@dataclass(frozen=True, slots=True)
class Options:
    """What to report.

    Attributes:
        nodes: how many nodes a finding names at most.
        growth_bytes: constants that grow by folding by more than that are a finding.
    """

    nodes: int = 20
    growth_bytes: int = 1 << 20


@dataclass(frozen=True, slots=True)
class OpRow:
    """One operation: how often it occurs in what the compiler was given, and in what it made (inside fusions too)."""

    op: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Fusion:
    """One fusion of the final program.

    Attributes:
        kind: ``loop``, ``output``, ``input`` or ``custom``, which is a library's.
        ops: what it computes, in order, without parameters and constants.
        lines: the user's lines that these come from.
    """

    node: NodeRef
    kind: str
    ops: tuple[str, ...]
    lines: tuple[Frame, ...]


@dataclass(frozen=True, slots=True)
class Folding:
    """One run of a constant folding pass that changed something: the stage it made, and what it did."""

    stage: str
    done: FoldingDone


@dataclass(frozen=True, slots=True)
class Widened:
    """Operations that the compiled program computes in a wider type than the program it was given."""

    op: str
    was: str
    now: str
    nodes: tuple[NodeRef, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """See the classes of its parts. ``metrics`` are the compiler's own."""

    compiler: str
    target: str
    version: str
    metrics: tuple[tuple[str, Metric], ...]
    ops: tuple[OpRow, ...]
    fusions: tuple[Fusion, ...]
    foldings: tuple[Folding, ...]
    widened: tuple[Widened, ...]
    unfused: tuple[tuple[NodeRef, ...], ...]
    findings: tuple[Finding, ...]

    @property
    def has_loops(self) -> bool:
        """Whether the final program loops: XLA's cost analysis counts a loop's body once, however often it runs."""
        return any(row.op == "hlo.while" and row.after for row in self.ops)

    def to_json(self) -> dict[str, Any]:
        """Plain data: dicts, lists, strings, numbers."""
        return {
            "compiler": self.compiler,
            "target": self.target,
            "version": self.version,
            "metrics": {name: _metric_json(metric) for name, metric in self.metrics},
            "ops": [{"op": row.op, "before": row.before, "after": row.after} for row in self.ops],
            "fusions": [
                {"node": str(f.node), "kind": f.kind, "ops": list(f.ops), "lines": [str(line) for line in f.lines]} for f in self.fusions
            ],
            "foldings": [{"stage": folding.stage, **folding.done.to_json()} for folding in self.foldings],
            "widened": [{"op": w.op, "was": w.was, "now": w.now, "nodes": [str(node) for node in w.nodes]} for w in self.widened],
            "unfused": [[str(node) for node in chain] for chain in self.unfused],
        }


def analyze(compiled: Compiled, options: Options = Options()) -> Result:
    """Compare what the compiler was given with what it made; read the stages in between for folding."""
    before, after = compiled.stages[0].load(), compiled.stages[-1].load()
    foldings = tuple(_foldings(compiled.stages, options))
    given, made = tuple(before.each_node()), tuple(after.each_node())
    widened = tuple(_widened(before, given, after, made))
    unfused = tuple(_unfused(after, made))
    return Result(
        compiled.compiler,
        compiled.target,
        compiled.version,
        tuple(compiled.metrics.items()),
        _op_rows(given, made),
        tuple(_fusions(after, made)),
        foldings,
        widened,
        unfused,
        (
            *(finding for folding in foldings for finding in folding.done.findings),
            *(_widened_finding(after, w, compiled.target, options) for w in widened),
            *(_unfused_finding(after, chain, options) for chain in unfused),
        ),
    )


def failure(program: Program, error: CompileError, *, compiler: str, options: Options = Options()) -> Finding:
    """The program did not compile: GL404 where the compiler refused it, else GL401 (a crash, a limit).

    Names the nodes of the operations that the compiler refused.
    """
    dialect_ops = {*error.ops, *(f"{dialect}.{op}" for op in error.ops for dialect in ("tf", "jax", "hlo", "stablehlo"))}
    nodes = [ref for ref, node in program.each_node() if node.op in dialect_ops][: options.nodes]
    return Finding(
        "GL404" if error.reason == "refused" else "GL401",
        f"{compiler}: {error.brief}",
        tuple(nodes),
        next((frame for ref in nodes if (frame := program.frame(program.node(ref)))), None),
        error.do,
        frozen(compiler=compiler, reason=error.reason, step=error.step, ops=error.ops),
    )


def _metric_json(metric: Metric) -> dict[str, Any]:
    if isinstance(metric, Measured):
        return {"value": metric.value, "unit": metric.unit, "origin": metric.origin}
    return {"absent": metric.reason}


Nodes: TypeAlias = tuple[tuple[NodeRef, Node], ...]
"""All nodes of a program, made once."""


def _op_rows(before: Nodes, after: Nodes) -> tuple[OpRow, ...]:
    was, now = (Counter(node.op for _, node in nodes if node.kind == "op") for nodes in (before, after))
    rows = (OpRow(op, was[op], now[op]) for op in was.keys() | now.keys())
    return tuple(sorted(rows, key=lambda row: (-max(row.before, row.after), row.op)))


def _fused(program: Program, node: Node) -> Graph | None:
    """The body of a fusion."""
    if node.op != "hlo.fusion" or not node.calls:
        return None
    return program.graphs[next(iter(node.calls.values())).graph]


def _fusions(program: Program, nodes: Nodes) -> Iterator[Fusion]:
    for ref, node in nodes:
        body = _fused(program, node)
        if body is None:
            continue
        inner = [n for n in body.each_node() if n.kind == "op"]
        lines = dict.fromkeys(frame for n in inner if (frame := _place(program, n)) is not None)
        kind = str(node.attrs.get("kind", "")).removeprefix("k").lower()
        yield Fusion(ref, kind, tuple(n.op for n in inner), tuple(lines))


def _foldings(stages: tuple[Stage, ...], options: Options) -> Iterator[Folding]:
    for last, stage in pairwise(stages):
        if stage.pass_name in FOLDING_PASSES:
            done = folding_done.compare(last.load(), stage.load(), constant_folding.Options(growth=options.growth_bytes))
            if done.removed or done.findings:
                yield Folding(stage.name, done)


def _float(node: Node) -> str | None:
    """The floating-point type of a node's result, by name."""
    for type in node.outputs:
        if isinstance(type, TensorType) and ("float" in type.dtype):
            return type.dtype
    return None


def _widened(before: Program, given: Nodes, after: Program, made: Nodes) -> Iterator[Widened]:
    """Operations in a wider float than any of the same name and origin (line and scope) had before.

    An operation whose origin is not among the given program's counts only if no operation of its name
    was that wide.
    """
    by_origin: dict[tuple[str, Frame | None, str], set[str]] = defaultdict(set)
    by_op: dict[str, set[str]] = defaultdict(set)
    for _, node in given:
        dtype = _float(node) if node.kind == "op" else None
        if dtype is not None:
            by_origin[node.op, _place(before, node), node.scope].add(dtype)
            by_op[node.op].add(dtype)
    found: dict[tuple[str, str, str], list[NodeRef]] = defaultdict(list)
    for ref, node in made:
        now = _float(node) if node.kind == "op" and node.op not in _MOVES else None
        if now is None:
            continue
        was = by_origin.get((node.op, _place(after, node), node.scope)) or by_op.get(node.op)
        if was and max(DTYPE_BITS[dtype] for dtype in was) < DTYPE_BITS[now]:
            found[node.op, max(was, key=lambda dtype: DTYPE_BITS[dtype]), now].append(ref)
    for (op, narrow, wide), nodes in sorted(found.items()):
        yield Widened(op, narrow, wide, tuple(nodes))


def _place(program: Program, node: Node) -> Frame | None:
    frame = program.frame(node)
    return None if frame is None else Frame(frame.file, frame.line)  # callers and columns do not survive every compiler


def _widened_finding(program: Program, widened: Widened, target: str, options: Options) -> Finding:
    return Finding(
        "GL403",
        f"for {target} {len(widened.nodes)} {widened.op} compute(s) in {widened.now}; the model asked for {widened.was}",
        widened.nodes[: options.nodes],
        next((frame for ref in widened.nodes if (frame := program.frame(program.node(ref)))), None),
        "choose a type the target computes in, or expect the wider type's time and memory",
        frozen(target=target, op=widened.op, was=widened.was, now=widened.now, count=len(widened.nodes)),
    )


def _unfused(program: Program, nodes: Nodes) -> Iterator[tuple[NodeRef, ...]]:
    """Chains of kernels in which each one's only use is elementwise by the next, and its own last step is too."""
    # Bodies of fusions, and functions on scalars (of a reduction, a sort …): no kernels run there.
    inside = {call.graph for _, node in nodes if not _runs_kernels(node.op) for call in node.calls.values()}
    for name, graph in program.graphs.items():
        if name in inside:
            continue
        links: nx.DiGraph[str] = nx.DiGraph()
        for node in graph.each_node():
            uses = graph.users(node.id)
            if len(uses) != 1 or node.kind != "op":
                continue
            user = graph.node(uses[0].dst)
            if user.kind == "op" and _ends_elementwise(program, node) and _starts_elementwise(program, user, uses[0].dst_port):
                links.add_edge(node.id, user.id)
        for chain in nx.weakly_connected_components(links):
            order = [id for id in graph if id in chain]
            yield tuple(NodeRef(name, id) for id in order)


def _runs_kernels(op: str) -> bool:
    """Whether the computations an operation calls run as kernels of their own."""
    return op in ("hlo.call", "hlo.while", "hlo.conditional") or op.startswith("hlo.async")


def _ends_elementwise(program: Program, node: Node) -> bool:
    body = _fused(program, node)
    if body is None:
        return node.op in ELEMENTWISE
    return [body.node(use.src).op in ELEMENTWISE for use in body.operands(body.output)] == [True]


def _starts_elementwise(program: Program, node: Node, slot: int) -> bool:
    body = _fused(program, node)
    if body is None:
        return node.op in ELEMENTWISE
    uses = body.users(body.inputs[slot])
    return bool(uses) and all(body.node(use.dst).op in ELEMENTWISE for use in uses)


def _unfused_finding(program: Program, chain: tuple[NodeRef, ...], options: Options) -> Finding:
    return Finding(
        "GL402",
        f"{len(chain)} elementwise kernels in a row, each read by the next alone, were not fused",
        chain[: options.nodes],
        next((frame for ref in chain if (frame := program.frame(program.node(ref)))), None),
        "look for what stands between them: a barrier, a changed layout, a library call, or a limit of the compiler's fusion",
        frozen(count=len(chain)),
    )
