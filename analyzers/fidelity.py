"""Does a capture tell the truth? What the methods said, and what a trace lost against a capture that keeps control flow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from graphlab.analyzers import control_flow
from graphlab.analyzers.control_flow import Construct
from graphlab.capture.missing import MISSING_DATA
from graphlab.findings import Finding
from graphlab.ir.frames import Frame
from graphlab.ir.frozen import frozen
from graphlab.ir.graph import Node
from graphlab.ir.program import Attempt, NodeRef, Program
from graphlab.ir.values import TensorType

TRACER_WARNING = "tracer-warning"
TRACE_CHECK = "trace-check"
BAKED_ARGUMENT = "baked-argument"
PYTHON_CODE = "python-code"
"""Kinds of ``Source.notes``: what a tracer warned of; a check by the framework that the trace did not
pass; an argument whose value the capture took for the only one; code in a file that is not read."""


@dataclass(frozen=True, slots=True)
class Options:
    """No choices: all that a capture says about itself is told."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A loop or branch of the reference that the trace does not have.

    Attributes:
        construct: as it stands in the reference.
        kept: roles of the regions whose operations the trace holds, without the construct.
        times: how often the trace holds them: of a loop, the iterations that left operations in it.
        random: whether a random draw decides it, so that the trace holds one draw for ever.
        parameters: names of those its regions use and the trace does not hold.
    """

    construct: Construct
    kept: tuple[str, ...]
    times: int
    random: bool
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """``lost`` is empty but for :func:`compare`."""

    findings: tuple[Finding, ...]
    lost: tuple[Lost, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data: dicts, lists, strings, numbers."""
        return {
            "lost": [
                {
                    "form": lost.construct.form,
                    "node": str(lost.construct.node),
                    "where": str(lost.construct.where),
                    "kept": list(lost.kept),
                    "times": lost.times,
                    "random": lost.random,
                    "parameters": list(lost.parameters),
                }
                for lost in self.lost
            ]
        }


def analyze(program: Program, options: Options = Options()) -> Result:
    """What the capture says about itself: methods that failed, a tracer's warnings, a check not passed, arguments fixed."""
    source = program.source
    findings = [*failures(source.attempts), *(finding for note in source.notes if (finding := _noted(note, source.method)) is not None)]
    return Result(tuple(findings))


def failures(attempts: Iterable[Attempt]) -> tuple[Finding, ...]:
    """GL101 for every method that could not capture the model."""
    return tuple(
        Finding(
            "GL101",
            f"{attempt.method} cannot capture it: {attempt.error or 'no reason given'}",
            where=attempt.frame,
            do="change that line, or use a method that takes it",
            data=frozen(method=attempt.method, seconds=attempt.seconds),
        )
        for attempt in attempts
        if not attempt.ok
    )


def _noted(note: Mapping[str, Any], method: str) -> Finding | None:
    kind = note.get("kind")
    where = Frame(str(note["file"]), int(note.get("line", 0))) if note.get("file") else None
    text = " ".join(str(note.get("text", "")).split())
    if kind == TRACER_WARNING:
        do = "capture it by a method that keeps control flow, or compute the value from tensors alone"
        return Finding("GL104", f"{method} warned: {text}", where=where, do=do)
    if kind == TRACE_CHECK:
        do = "capture it by a method that keeps control flow and draws at run time"
        return Finding("GL105", f"the framework's own check of the {method} capture failed: {text}", where=where, do=do)
    if kind == BAKED_ARGUMENT:
        do = "capture once for each value that it takes, or pass a tensor"
        return Finding("GL107", text, where=where, do=do)
    if kind == MISSING_DATA:
        do = "fetch the model again with all the files that belong to it"
        return Finding("GL109", text, do=do, data=frozen(count=note.get("count"), files=note.get("files", ())))
    if kind == PYTHON_CODE:
        return Finding("GL108", text, where=where, do="load it with the framework only where you know who made it")
    return None


def compare(traced: Program, reference: Program) -> Result:
    """What a trace lost against a capture of the same code that keeps control flow.

    A loop or branch of ``reference`` is missing where ``traced`` has none of that form at its line.
    It is lost where every run comes to it, or where the trace holds operations of its regions (in
    the same module, from the same line, of the same name) or of what decides it. Not lost is what
    takes the same way at every run as in the trace: what constants decide, or attributes that are
    no tensors; and what stands in the framework's own functions, which are written to be traced,
    unless a random draw decides it.
    """
    kept = {(c.form, _line(c.where)) for c in control_flow.analyze(traced).constructs if c.where is not None}
    marks = _Marks(traced, by_op=traced.source.format == reference.source.format)
    lost: list[Lost] = []
    for construct in control_flow.analyze(reference).constructs:
        if construct.where is None or (construct.form, _line(construct.where)) in kept:
            continue
        if construct.decided_by == "constant" or construct.configured or _is_the_frameworks(reference, construct):
            continue
        times = {region.role: marks.times(reference, construct, region.graph) for region in construct.regions}
        roles = tuple(role for role, count in times.items() if count)
        always = () in construct.nesting and construct.decided_by in ("input", "random", "state", "outside")
        if roles or (always and not _only_checks(reference, construct)) or marks.has_decider(reference, construct):
            gone = marks.missing_parameters(reference, construct)
            lost.append(Lost(construct, roles, max(times.values(), default=0), construct.decided_by == "random", gone))
    return Result(tuple(finding for one in lost for finding in _told(reference, one)), tuple(lost))


_Place: TypeAlias = tuple[str, int]
_NOWHERE: _Place = ("", 0)


def _line(frame: Frame | None) -> _Place:
    return _NOWHERE if frame is None else (frame.file, frame.line)


def _is_the_frameworks(reference: Program, construct: Construct) -> bool:
    return reference.node(construct.node).loc is None and construct.form != "cycle" and construct.decided_by != "random"


def _only_checks(reference: Program, construct: Construct) -> bool:
    """Whether a branch is there to raise an error."""
    graphs = [reference.graphs[region.graph] for region in construct.regions]
    return any(node.op == "prim::RaiseException" for graph in graphs for node in graph.each_node())


class _Marks:
    """What tells a trace's operations apart: module, source line and, where both captures use the same names, the op.

    An operation of a framework's own function has the line of the call that leads to it.
    """

    def __init__(self, traced: Program, *, by_op: bool) -> None:
        self.by_op = by_op
        self.there = self._of(traced, traced.entry, _NOWHERE, "")
        self.lines = {line for _, line, _ in self.there}
        self.parameters = {node.name for graph in traced.graphs.values() for node in graph.each_node() if node.kind == "parameter"}

    def times(self, reference: Program, construct: Construct, region: str) -> int:
        """How often the trace holds a region's operations: the most that any of them occurs, for each time it stands in the region."""
        scope = reference.node(construct.node).scope
        within = self._of(reference, region, _line(construct.where), scope)
        if not self.by_op:
            return max((max(1, self.there[mark] // count) for mark, count in within.items() if mark in self.there), default=0)
        return max((self.there[mark] // count for mark, count in within.items()), default=0)

    def has_decider(self, reference: Program, construct: Construct) -> bool:
        """Whether the trace holds what decided the construct: then it ran, even where its regions left nothing."""
        nodes = [reference.node(ref) for ref in (construct.node, *(cause.ref for cause in construct.causes))]
        return any(line in self.lines for line in (_line(construct.where), *(_line(reference.frame(n)) for n in nodes if n.kind == "op")))

    def missing_parameters(self, reference: Program, construct: Construct) -> tuple[str, ...]:
        """Parameters that the construct's regions use and the trace does not hold."""
        held: dict[str, None] = {}
        for name in _graphs_from(reference, [region.graph for region in construct.regions]):
            for node in reference.graphs[name].each_node():
                if node.kind == "parameter" and node.name not in self.parameters and isinstance(_type(node), TensorType):
                    held[node.name] = None
        return tuple(held)

    def _of(self, program: Program, start: str, line: _Place, scope: str) -> Counter[tuple[str, _Place, str]]:
        found: Counter[tuple[str, _Place, str]] = Counter()
        entered = {(start, line, scope)}
        pending = [(start, line, scope)]
        while pending:
            name, around, outer = pending.pop()
            for node in program.graphs[name].each_node():
                if node.kind != "op" or node.synthetic:
                    continue
                at = around if node.loc is None else _line(program.frame(node))
                module = node.scope or outer
                if at != _NOWHERE and node.op not in _CALLS:
                    found[module, at, node.op if self.by_op else ""] += 1
                for call in node.calls.values():
                    inner = (call.graph, at, module)
                    if inner not in entered:
                        entered.add(inner)
                        pending.append(inner)
        return found


_CALLS = frozenset({"prim::CallMethod", "prim::CallFunction"})
"""Calls that some captures have and some do not; what they call counts."""


def _type(node: Node) -> object:
    return node.value.type if node.value is not None else next(iter(node.outputs), None)


def _graphs_from(program: Program, names: Iterable[str]) -> list[str]:
    pending = list(names)
    found = dict.fromkeys(pending)
    while pending:
        for node in program.graphs[pending.pop()].each_node():
            for call in node.calls.values():
                if call.graph not in found:
                    found[call.graph] = None
                    pending.append(call.graph)
    return list(found)


def _told(reference: Program, lost: Lost) -> Iterator[Finding]:
    construct = lost.construct
    nodes: tuple[NodeRef, ...] = (construct.node, *(cause.ref for cause in construct.causes))
    data = frozen(form=construct.form, kept=lost.kept, times=lost.times, parameters=lost.parameters)
    do = "capture it by a method that keeps control flow: torch.jit.script, torch.export, tf.function"
    if construct.form == "conditional" and construct.decided_by == "shape":
        message = f"branch at {construct.where} is gone from the trace, which holds for shapes like the example's: {_side(lost)}"
        yield Finding("GL106", message, nodes, construct.where, do, data)
    elif construct.form == "conditional":
        yield Finding("GL103", f"branch at {construct.where} is gone from the trace: {_side(lost)}", nodes, construct.where, do, data)
    else:
        held = f"its body stands in it {lost.times} time{'s' if lost.times != 1 else ''}" if lost.times else "its body left nothing in it"
        message = f"loop at {construct.where} is gone from the trace: {held}, as the example made it run"
        yield Finding("GL103", message, nodes, construct.where, do, data)
    if lost.random:
        draws = [reference.node(cause.ref) for cause in construct.causes if cause.kind == "random"]
        drawn = ", ".join(f"{n.op} at {f}" if (f := reference.frame(n)) else n.op for n in draws[:3])
        what = "branch" if construct.form == "conditional" else "loop"
        yield Finding(
            "GL102",
            f"{what} at {construct.where} is decided by {drawn} at every run; the trace holds the outcome of one draw",
            nodes,
            construct.where,
            do,
            data,
        )


def _side(lost: Lost) -> str:
    if not lost.kept:
        return f"neither side's operations are in it{_without(lost)}"
    if len(lost.kept) == 1:
        return f"only its '{lost.kept[0]}' side is in it" + (f", {lost.times} times" if lost.times > 1 else "") + _without(lost)
    return f"its sides {' and '.join(lost.kept)} are in it as the example chose them{_without(lost)}"


def _without(lost: Lost) -> str:
    names = lost.parameters
    if not names:
        return ""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"; parameter{'s' if len(names) > 1 else ''} {', '.join(names[:3])}{more} went with the rest"
