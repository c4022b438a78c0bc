"""Does a capture tell the truth? What the methods said, and what a trace lost against a capture that keeps control flow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphlab.analyzers import control_flow
from graphlab.analyzers.control_flow import Construct
from graphlab.findings import Finding
from graphlab.ir.frames import Frame
from graphlab.ir.frozen import frozen
from graphlab.ir.program import Attempt, NodeRef, Program

TRACER_WARNING = "tracer-warning"
TRACE_CHECK = "trace-check"
"""Kinds of ``Source.notes``: what a tracer warned of; a check by the framework that the trace did not pass."""


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
    """

    construct: Construct
    kept: tuple[str, ...]
    times: int
    random: bool


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
                }
                for lost in self.lost
            ]
        }


def analyze(program: Program, options: Options = Options()) -> Result:
    """What the capture says about itself: methods that failed, a tracer's warnings, a check not passed."""
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
    return None


def compare(traced: Program, reference: Program) -> Result:
    """What a trace lost against a capture of the same code that keeps control flow.

    Nodes are matched by source line: a loop or branch of ``reference`` is lost where ``traced`` has
    no construct of that form at its line, but operations from the lines of its regions. One whose
    regions left nothing in the trace, and that no line tells of, is not reported; nor is one that
    constants decide, which loses nothing by being traced.
    """
    kept = {(c.form, _line(c.where)) for c in control_flow.analyze(traced).constructs if c.where is not None}
    there = _ops_by_line(traced, traced.graphs)
    lost: list[Lost] = []
    for construct in control_flow.analyze(reference).constructs:
        if construct.where is None or (construct.form, _line(construct.where)) in kept:
            continue
        if construct.decided_by == "constant":  # it takes the same way at every run, as the trace does
            continue
        times = {region.role: _times(reference, region.graph, there) for region in construct.regions}
        roles = tuple(role for role, count in times.items() if count)
        if roles or _left_at(reference, construct, there):
            lost.append(Lost(construct, roles, max(times.values(), default=0), construct.decided_by == "random"))
    return Result(tuple(finding for one in lost for finding in _told(reference, one)), tuple(lost))


def _line(frame: Frame | None) -> tuple[str, int]:
    return ("", 0) if frame is None else (frame.file, frame.line)


def _ops_by_line(program: Program, graphs: Mapping[str, object] | set[str]) -> Counter[tuple[tuple[str, int], str]]:
    found: Counter[tuple[tuple[str, int], str]] = Counter()
    for name in graphs:
        for node in program.graphs[name].each_node():
            if node.kind == "op" and not node.synthetic and node.loc is not None:
                found[_line(program.frame(node)), node.op] += 1
    return found


def _times(reference: Program, region: str, there: Counter[tuple[tuple[str, int], str]]) -> int:
    """How often the trace holds a region's operations: the most that any of them occurs, for each time it stands in the region."""
    within = _ops_by_line(reference, _graphs_from(reference, region))
    return max((there[key] // count for key, count in within.items()), default=0)


def _graphs_from(program: Program, name: str) -> set[str]:
    found = {name}
    pending = [name]
    while pending:
        for node in program.graphs[pending.pop()].each_node():
            for call in node.calls.values():
                if call.graph not in found:
                    found.add(call.graph)
                    pending.append(call.graph)
    return found


def _left_at(reference: Program, construct: Construct, there: Counter[tuple[tuple[str, int], str]]) -> bool:
    """Whether the trace holds what decided the construct: then it ran, even where its regions left nothing."""
    refs = [construct.node, *(cause.ref for cause in construct.causes)]
    lines = {_line(construct.where)}
    for ref in refs:
        node = reference.node(ref)
        if node.kind == "op":
            lines.add(_line(reference.frame(node)))
    return any(line in lines for line, _ in there)


def _told(reference: Program, lost: Lost) -> Iterator[Finding]:
    construct = lost.construct
    nodes: tuple[NodeRef, ...] = (construct.node, *(cause.ref for cause in construct.causes))
    data = frozen(form=construct.form, kept=lost.kept, times=lost.times)
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
        return "neither side's operations are in it"
    if len(lost.kept) == 1:
        return f"only its '{lost.kept[0]}' side is in it" + (f", {lost.times} times" if lost.times > 1 else "")
    return f"its sides {' and '.join(lost.kept)} are in it as the example chose them"
