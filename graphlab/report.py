"""The report of ``graphlab inspect``, as data: capture, analyses, compile results and all findings in one place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from graphlab import registry
from graphlab.analyzers import compile_log, compile_results, constant_folding, control_flow, fidelity, placements, size
from graphlab.capture.dispatch import Tried, attempts, load, load_compiled, load_compiles
from graphlab.capture.inputs import as_inputs
from graphlab.compilers import compiler_for
from graphlab.compilers.results import Compiled
from graphlab.errors import CompileError, MissingExtra, SelectError
from graphlab.findings import Finding
from graphlab.ir.program import Program


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one compiler made of the program: its result with what the analysis says of it, or its error."""

    compiler: str
    target: str
    compiled: Compiled | None = None
    results: compile_results.Result | None = None
    error: CompileError | MissingExtra | None = None
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Analyses:
    """What the analyzers say of one program."""

    size: size.Result
    control_flow: control_flow.Result
    folding: constant_folding.Result
    placements: placements.Result


@dataclass(frozen=True, slots=True)
class Report:
    """All that ``inspect`` has to say about one model or file.

    Attributes:
        name: what was inspected, as the user named it.
        program: the capture that is reported on; ``None`` where no method of capture works.
        tries: the methods of capture that were tried, in order; empty for a file.
        analyses: ``None`` where there is no program.
        captures: method → what there is to say about its capture: why it failed, or what it lost. A file's is ``read``.
        outcomes: one for each compiler that takes the program, once it was asked to; for a file, the compile it records.
        recorded: the compiles that a file records, by name: the one selected, or all where none was.
        log: what they say of breaks, recompiles and failures.
    """

    name: str
    program: Program | None
    tries: tuple[Tried, ...] = ()
    analyses: Analyses | None = None
    captures: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict)
    outcomes: tuple[Outcome, ...] = ()
    recorded: Mapping[str, Compiled] = field(default_factory=dict)
    log: compile_log.Result | None = None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Of captures, analyses and compiles, the gravest first."""
        found = [finding for findings in self.captures.values() for finding in findings]
        if self.analyses is not None:
            found += self.analyses.control_flow.findings + self.analyses.folding.findings
            found += self.analyses.placements.findings
        if self.log is not None:
            found += self.log.findings
        for outcome in self.outcomes:
            found += outcome.findings
        return tuple(sorted(dict.fromkeys(found), key=lambda finding: -finding.severity))


def inspect(
    target: Any, inputs: Any = None, *, name: str | None = None, method: str | None = None, every_method: bool = False, compile: bool = True
) -> Report:
    """All that ``graphlab inspect`` tells about a live model, a Program, or a graph file, as data.

    Args:
        target: the framework's own object, a Program, or the path of a graph file.
        inputs: as :func:`graphlab.capture` takes them; for a live model.
        name: what to call it in the report.
        method: the only method of capture to try, for a live model.
        every_method: try every method of capture, even where the best one works.
        compile: have every compiler that takes the program compile it.

    Raises:
        GraphlabError: the model cannot be captured at all, or the file not be read. That a method or a compiler
            fails is no error: the report says so.
    """
    if isinstance(target, (str, Path)):
        report = inspect_file(target, name=name or str(target))
    elif isinstance(target, Program):
        report = inspect_program(target, name=name or target.entry)
    else:
        report = inspect_model(target, inputs, name=name or type(target).__name__, method=method, every_method=every_method)
    return compile_report(report) if compile else report


def _silent(what: str) -> None:
    """Announces nothing."""


def inspect_model(
    model: Any,
    inputs: Any = None,
    *,
    name: str = "model",
    method: str | None = None,
    every_method: bool = False,
    announce: Callable[[str], None] = _silent,
) -> Report:
    """Capture a live model and analyze it. Compiles nothing: see :func:`compile_report`.

    The framework's methods of capture are tried best first. Where the best one works, that is all;
    where it fails, or with ``every_method``, all are, so that the report can say which of them work,
    which fail on which line, and which lie. ``announce`` is told each method before it is tried.

    Raises:
        InputsNeeded: the inputs are not given and cannot be known.
        CaptureError: nobody captures such an object.
        MissingExtra: its framework cannot be imported.
    """
    tries: list[Tried] = []
    for tried in attempts(model, as_inputs(inputs), methods=None if method is None else (method,), announce=announce):
        tries.append(tried)
        if tried.program is not None and len(tries) == 1 and not every_method:
            break
    chosen = next((t.program for t in tries if t.program is not None), None)
    captures = {tried.attempt.method: _judge(tried, chosen) for tried in tries}
    if chosen is None:
        return Report(name, None, tuple(tries), None, captures)
    chosen = chosen.replace_source(attempts=tuple(t.attempt for t in tries))
    return Report(name, chosen, tuple(tries), _analyses(chosen), captures)


def inspect_file(path: str | Path, *, select: str | None = None, trust: bool = False, name: str) -> Report:
    """Read a graph file and analyze it; where it records a compile, that is in the outcomes. Compiles nothing.

    A file that records several compiles, of which none is selected, has no program: the report is on all of them.

    Raises:
        GraphlabError: see :func:`graphlab.load`.
    """
    try:
        report = inspect_program(load(path, select=select, trust=trust), name=name)
    except SelectError:
        recorded = load_compiles(path) if select is None else {}
        if not recorded:
            raise
        return Report(name, None, recorded=recorded, log=compile_log.analyze(recorded))
    compiled = load_compiled(path, select=select)
    if compiled is None:
        return report
    results = compile_results.analyze(compiled) if compiled.stages else None
    outcome = Outcome(compiled.compiler, compiled.target, compiled, results, findings=results.findings if results else ())
    recorded = {select or "": compiled}
    return replace(report, outcomes=(outcome,), recorded=recorded, log=compile_log.analyze(recorded))


def inspect_program(program: Program, *, name: str) -> Report:
    """Analyze a program."""
    return Report(name, program, (), _analyses(program), {program.source.method: fidelity.analyze(program).findings})


def compile_report(
    report: Report,
    *,
    targets: Sequence[str] | None = None,
    compiler: str | None = None,
    announce: Callable[[str], None] = _silent,
    **options: Any,
) -> Report:
    """The report with an outcome for every compiler that takes its program, or for every target asked for.

    A refusal or a crash is an outcome too. A compiler that can keep the program around its folding passes does, so that the
    report can say what folding did. A file that records its compile is not compiled again, unless targets are asked for.

    Args:
        targets: compile for each of these, by the first compiler that has it; without it, by every compiler for its first target.
        compiler: the only one to ask.
        options: fields of the compilers' ``Options``; one that a compiler lacks is left away there.
    """
    options = {"passes": "constant_folding", **options}
    program = report.program
    if program is None or (report.outcomes and targets is None):
        return report
    outcomes = []
    if targets is None:
        for name in registry.table("compilers") if compiler is None else (compiler,):
            module = registry.get("compilers", name)
            if compiler is not None or module.takes(program):
                announce(name)
                outcomes.append(_outcome(name, module, program, module.targets()[0], options))
    asked = [(target, *compiler_for(program, target=target, compiler=compiler)) for target in targets or ()]
    for target, name, module in asked:
        announce(target)
        outcomes.append(_outcome(name, module, program, target, options))
    return replace(report, outcomes=tuple(outcomes))


def _outcome(name: str, module: ModuleType, program: Program, target: str, options: dict[str, Any]) -> Outcome:
    known = {key: value for key, value in options.items() if key in {f.name for f in fields(module.Options)}}
    try:
        compiled = module.compile(program, target=target, options=module.Options(**known))
    except CompileError as error:
        return Outcome(name, target, error=error, findings=(compile_results.failure(program, error, compiler=name),))
    except MissingExtra as error:
        return Outcome(name, target, error=error)
    results = compile_results.analyze(compiled)
    return Outcome(name, target, compiled, results, findings=results.findings)


def _analyses(program: Program) -> Analyses:
    return Analyses(size.analyze(program), control_flow.analyze(program), constant_folding.analyze(program), placements.analyze(program))


def _judge(tried: Tried, chosen: Program | None) -> tuple[Finding, ...]:
    """Why a method failed; or what its capture says of itself and, if it is not the chosen one, what it lost against that."""
    if tried.program is None:
        return fidelity.failures((tried.attempt,))
    found = fidelity.analyze(tried.program).findings
    if chosen is None or tried.program is chosen:
        return found
    return found + fidelity.compare(tried.program, chosen).findings
