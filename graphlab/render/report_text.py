"""The report of ``graphlab inspect`` for a terminal, or for a pipe: the same words, colours only on a terminal."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import groupby

from rich.console import Console
from rich.text import Text

from graphlab.analyzers.compile_results import Folding
from graphlab.analyzers.control_flow import Construct, of_fixed_shapes
from graphlab.analyzers.size import Module
from graphlab.compilers.results import Absent, Measured
from graphlab.findings import Finding, Severity
from graphlab.ir.frames import Frame
from graphlab.ir.program import Program
from graphlab.render.load_text import entries
from graphlab.render.units import count, metric, size_of
from graphlab.report import Outcome, Report

_COLOUR = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}
_HEAD = 13
OPS_SHOWN = 8
MODULES_SHOWN = 12
CONSTRUCTS_SHOWN = 20
FINDINGS_SHOWN = 30
COMPILES_SHOWN = 20
STAGES_SHOWN = 5
TYPE_WIDTH = 100
OF_THE_TOOL = frozenset({"child_seconds", "child_bytes", "read_seconds"})
"""Metrics of graphlab's own work, not of the model: left to the JSON."""


def print_capture(out: Console, report: Report) -> None:
    """What was captured and how, size, control flow, constant folding."""
    out.print(Text(report.name, "bold"))
    program = report.program
    if program is not None:
        _row(out, "captured", _captured(program))
    for line in _tries(report):
        _row(out, "", line)
    _print_section(out, "compiles", _recorded(report))
    if report.recorded and program is None:
        return
    if program is None or report.analyses is None:
        _row(out, "captured", Text("nothing: no method works on it", "bold red"))
        return
    if len(program.signatures) > 1:
        _print_section(out, "entries", entries(program))
    _print_size(out, report)
    _print_section(out, "control flow", _constructs(report.analyses.control_flow.constructs, program))
    _print_section(out, "folding", _folding(report))
    _print_section(out, "placements", _placements(report))


def print_compiles(out: Console, report: Report) -> None:
    """What each compiler made of it."""
    if not report.outcomes:
        _row(out, "compile", Text("no compiler here takes this capture", "dim"))
    for outcome in report.outcomes:
        _print_section(out, "compile", _outcome(outcome))


def print_findings(out: Console, report: Report) -> None:
    """All findings, the gravest first; those of one code at one line, or of one message, are told once and counted."""
    found = report.findings
    if not found:
        _row(out, "findings", Text("none", "green"))
        return
    _row(out, "findings", Text(_totals(found)))
    groups: dict[tuple[str, Frame | str], list[Finding]] = {}
    for finding in found:
        groups.setdefault((finding.code, finding.where or finding.message), []).append(finding)
    told = ""
    for same in list(groups.values())[:FINDINGS_SHOWN]:
        finding = same[0]
        line = Text("  ")
        line.append(f"{finding.code} ", _COLOUR[finding.severity])
        if finding.where is None or str(finding.where) not in finding.message:
            line.append(_place(finding.where), "bold")
        line.append(_near(finding.message))
        like = "at this place" if finding.where is not None else "like it"
        line.append(f"  (and {len(same) - 1} more {like})" if len(same) > 1 else "", "dim")
        out.print(line)
        if finding.do and finding.do != told:  # one piece of advice for many in a row is given once
            out.print(Text(f"        {finding.do}", "dim"))
        told = finding.do
    hidden = sum(len(same) for same in list(groups.values())[FINDINGS_SHOWN:])
    if hidden:
        out.print(f"  ... and {hidden} more; --json has them all")
    codes = ", ".join(dict.fromkeys(finding.code for finding in found))
    out.print(Text(f"  'graphlab explain CODE' says more: {codes}", "dim"))


def _row(out: Console, head: str, body: Text | str) -> None:
    line = Text(f"{head:<{_HEAD}} ", "bold" if head else "")
    line.append_text(body if isinstance(body, Text) else Text(body))
    out.print(line)


def _print_section(out: Console, head: str, lines: Iterable[Text | str]) -> None:
    for line in lines:
        _row(out, head, line)
        head = ""


def _captured(program: Program) -> Text:
    source = program.source
    text = Text()
    text.append(source.method if source.method != "read" else source.format, "bold green")
    text.append(f"  {source.producer}" if source.producer else "")
    graphs = len(program.graphs)
    text.append(f"  {count(program.count(), 'node')} in {count(graphs, 'graph')}")
    return text


def _tries(report: Report) -> Iterator[Text]:
    if len(report.tries) < 2 and report.program is not None:
        return
    for tried in report.tries:
        text = Text(f"  {tried.attempt.method:<12}")
        if tried.program is None:
            text.append("fails  ", "red")
            text.append(_place(tried.attempt.frame), "bold")
            text.append(tried.attempt.error.partition("\n")[0])
        else:
            errors = sum(1 for f in report.captures[tried.attempt.method] if f.severity is Severity.ERROR)
            text.append("wrong  " if errors else "works  ", "bold red" if errors else "green")
            text.append(count(tried.program.count(), "node"))
            text.append(f", {count(errors, 'error')} below" if errors else "")
            if report.program is not None and tried.attempt.method == report.program.source.method:
                text.append("; this report is on it")
        yield text


def _recorded(report: Report) -> Iterator[Text]:
    """The compiles that a file records: their names, what was compiled, how far."""
    log = report.log
    if log is None or set(report.recorded) == {""}:
        return
    for name, compiled in list(report.recorded.items())[:COMPILES_SHOWN]:
        text = Text(f"{name}  ", "bold")
        function = log.compiles.get(name, "")
        text.append(f"{function}  " if function else "")
        text.append(f"{compiled.compiler} for {compiled.target}  " if compiled.target else f"{compiled.compiler}  ", "dim")
        text.append(", ".join(stage.name for stage in compiled.stages[:STAGES_SHOWN]) or "no graph")
        more = len(compiled.stages) - STAGES_SHOWN
        text.append(f" and {more:,} more" if more > 0 else "")
        text.append(f"; {count(len(compiled.artifacts), 'artifact')}" if compiled.artifacts else "")
        yield text
    if len(report.recorded) > COMPILES_SHOWN:
        yield Text(f"... {len(report.recorded) - COMPILES_SHOWN:,} more; --json has them all")
    if report.program is None:
        yield Text(f"select one for its graphs: {report.name}@{next(iter(report.recorded))}", "dim")


def _placements(report: Report) -> Iterator[Text]:
    """Who runs what and what crosses, where the source says."""
    assert report.analyses is not None
    found = report.analyses.placements
    if len(found.places) < 2 and not found.crossings:
        return
    for place in found.places:
        held = f"; holds {count(place.parameters, 'parameter')}, {size_of(place.parameter_bytes)}" if place.parameters else ""
        given = f"; inputs of {size_of(place.inputs)}" if place.inputs else ""
        yield Text(f"{place.name} runs {count(place.ops, 'op')}{held}{given}")
    for crossing in found.crossings[:CONSTRUCTS_SHOWN]:
        size = crossing.reason or "unknown size" if crossing.nbytes is None else size_of(crossing.nbytes)
        values = ", ".join(crossing.values[:3]) + (" ..." if len(crossing.values) > 3 else "")
        yield Text(f"  {crossing.source} -> {crossing.target}  {_place(crossing.where)}{crossing.op}  {_short(values)}  {size}")
    if len(found.crossings) > CONSTRUCTS_SHOWN:
        yield Text(f"  ... {len(found.crossings) - CONSTRUCTS_SHOWN} more; --json has them all")


def _print_size(out: Console, report: Report) -> None:
    assert report.analyses is not None
    size = report.analyses.size
    for head, values in (("inputs", size.inputs), ("outputs", size.outputs)):
        if values:
            shown = "  ".join(_short(f"{v.name}: {v.type}") for v in values[:6])
            _row(out, head, shown + (f"  ... {len(values) - 6} more" if len(values) > 6 else ""))
    text = f"{count(size.ops, 'op')}, depth {size.depth}"
    if size.longest_path is not None:
        text += f", longest path {size.longest_path}"
    if size.parameters:
        text += f"; {count(size.parameters, 'parameter tensor')}"
        text += f", {size.parameter_elements:,} elements, {size_of(size.parameter_bytes)}" if size.parameter_elements else ""
    if size.buffers:
        text += f"; {count(size.buffers, 'buffer')}, {size.buffer_elements:,} elements, {size_of(size.buffer_bytes)}"
    if size.constants:
        text += f"; {count(size.constants, 'constant')}" + (f", {size_of(size.constant_bytes)}" if size.constant_bytes else "")
    _row(out, "size", text)
    common = size.by_op.most_common(OPS_SHOWN)
    rest = len(size.by_op) - len(common)
    if common:
        _row(out, "  by op", "  ".join(f"{op} {n}" for op, n in common) + (f"  ... {count(rest, 'other kind')}" if rest else ""))
    modules = _interesting(size.modules)
    for i, module in enumerate(modules[:MODULES_SHOWN]):
        weight = f"  {module.elements:,} elements" if module.elements else ""
        _row(out, "  by module" if i == 0 else "", f"{module.path:<40} {count(module.ops, 'op')}{weight}")
    if len(modules) > MODULES_SHOWN:
        _row(out, "", f"... {count(len(modules) - MODULES_SHOWN, 'more module')}")


def _interesting(root: Module) -> list[Module]:
    """The first level that has several modules: a chain of wrappers says nothing, every leaf says too much."""
    level = list(root.children)
    while len(level) == 1 and level[0].children:
        level = list(level[0].children)
    return sorted(level, key=lambda m: -m.ops)


def _constructs(constructs: tuple[Construct, ...], program: Program) -> Iterator[Text]:
    opaque = sum(1 for _, node in program.each_node() if node.kind == "op" and "opaque" in node.effects)
    if not constructs and opaque:
        yield Text(f"none to be seen; what {count(opaque, 'opaque operation')} do{'es' if opaque == 1 else ''} is not known")
        return
    if not constructs:
        yield Text("none: the same operations at every run" + (" of inputs of these shapes" if of_fixed_shapes(program) else ""))
        return
    # Layers that do the same at one place are told once.
    groups: dict[object, list[Construct]] = {}
    for c in constructs:
        groups.setdefault((c.form, c.where, c.nesting, c.decided_by, c.trip_count, tuple(r.ops for r in c.regions)), []).append(c)
    for same in list(groups.values())[:CONSTRUCTS_SHOWN]:
        construct = same[0]
        depth = min((len(path) for path in construct.nesting), default=0)
        text = Text("  " * depth)
        text.append(f"{construct.form} ", "bold")
        text.append(_place(construct.where) or _scope(program, construct), "bold")
        if construct.form != "conditional" and construct.trip_count is not None:
            text.append(f"trip count {construct.trip_count}; ")
        text.append(_decided(construct, program))
        text.append("; " + ", ".join(f"{r.role} {count(r.ops, 'op')}" for r in construct.regions), "dim")
        text.append(f"; reached {construct.ways} ways" if construct.ways > 1 else "", "dim")
        text.append(f"  (and {len(same) - 1} more like it)" if len(same) > 1 else "", "dim")
        yield text
    hidden = sum(len(same) for same in list(groups.values())[CONSTRUCTS_SHOWN:])
    if hidden:
        yield Text(f"... {hidden} more; --json has them all")


def _scope(program: Program, construct: Construct) -> str:
    scope = program.node(construct.node).scope
    return f"in {scope}  " if scope else ""


_DECIDED = {
    "random": "decided by a random draw",
    "outside": "decided outside the graph",
    "input": "decided by the values of the inputs",
    "state": "decided by the model's state",
    "shape": "decided by the shapes of the inputs",
    "constant": "decided by constants",
    "unknown": "what decides it is not known",
}


def _decided(construct: Construct, program: Program) -> str:
    causes = []
    for cause in construct.causes[:3]:
        node = program.node(cause.ref)
        frame = program.frame(node)
        causes.append(f"{node.op if node.kind == 'op' else cause.name}{f' at {_at(frame)}' if frame and node.kind == 'op' else ''}")
    more = construct.cause_count - len(causes)
    told = f": {', '.join(causes)}{f' and {more} more' if more else ''}" if causes else ""
    return _DECIDED[construct.decided_by] + told


def _folding(report: Report) -> Iterator[Text]:
    assert report.analyses is not None
    folding = report.analyses.folding
    if not folding.foldable:
        yield Text("nothing depends on constants alone")
    else:
        depend = "depends" if folding.ops == 1 else "depend"
        yield Text(f"{count(folding.ops, 'op')} in {count(len(folding.foldable), 'subgraph')} {depend} on constants alone")
    for part in [p for p in folding.foldable if not p.small][:5]:
        change = "" if part.before is None or part.after is None else f", {size_of(part.before)} of constants become {size_of(part.after)}"
        yield Text(f"  {_place(part.where)}{count(part.ops, 'op')} ending in {part.nodes[-1].node}{change}")
    for block in folding.blocked[:5]:
        yield Text(f"  {_place(block.where)}{block.op} takes constants alone but cannot be folded: {', '.join(block.effects)}")


def _outcome(outcome: Outcome) -> Iterator[Text]:
    if outcome.compiled is None or outcome.results is None:
        assert outcome.error is not None
        text = Text(f"{outcome.compiler}: ")
        text.append(outcome.error.brief, "red")
        yield text
        yield Text(f"  {outcome.error.do}", "dim")
        return
    results = outcome.results
    text = Text(f"{results.compiler}", "bold green")
    text.append(f" for {results.target}{f'  {results.version}' if results.version else ''}")
    yield text
    told: list[str] = []
    metrics = [(name, value) for name, value in results.metrics if name not in OF_THE_TOOL]
    for name, value in metrics:
        if isinstance(value, Measured) and not (value.unit == "kernels" and value.value == 0):
            told.append(f"{name} {metric(value)}")
    for i in range(0, len(told), 4):
        yield Text("  " + "   ".join(told[i : i + 4]))
    if results.has_loops:
        yield Text("  flops, transcendentals and bytes_accessed count a loop's body once, however often it runs", "dim")
    absent = [(name, value) for name, value in metrics if isinstance(value, Absent)]
    for reason, names in groupby(sorted(absent, key=lambda pair: pair[1].reason), key=lambda pair: pair[1].reason):
        yield Text(f"  not known: {', '.join(name for name, _ in names)} ({reason})", "dim")
    for kind, group in groupby(sorted(results.fusions, key=lambda f: f.kind), key=lambda f: f.kind):
        fusions = list(group)
        yield Text(f"  {count(len(fusions), 'fusion')} of kind {kind}, {count(sum(len(f.ops) for f in fusions), 'op')} in them")
    for folding in results.foldings:
        yield Text("  " + _folded(folding))


def _folded(folding: Folding) -> str:
    done = folding.done
    gone = ", ".join(f"{op} {n}" for op, n in done.removed.most_common(6))
    left = f", {count(len(done.left), 'foldable subgraph')} left" if done.left else ""
    return f"{folding.stage} folded {gone}{left}; constants {size_of(done.constants_before[1])} -> {size_of(done.constants_after[1])}"


def _totals(findings: tuple[Finding, ...]) -> str:
    parts = []
    for severity in reversed(Severity):
        number = sum(1 for f in findings if f.severity is severity)
        if number:
            parts.append(count(number, severity.name.lower()))
    return ", ".join(parts)


def _place(frame: Frame | None) -> str:
    return f"{_at(frame)}  " if frame is not None else ""


def _at(frame: Frame) -> str:
    return _near(str(frame))


def _short(text: str) -> str:
    return text if len(text) <= TYPE_WIDTH else text[: TYPE_WIDTH - 3] + "..."


def _near(text: str) -> str:
    """Files below the working directory by their relative path, as the user would type it."""
    return text.replace(os.getcwd() + os.sep, "")
