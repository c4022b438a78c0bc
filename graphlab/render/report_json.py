"""The report of ``graphlab inspect`` as JSON; its schema is ``graphlab/render/report.schema.json``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from graphlab.compilers.results import Compiled
from graphlab.findings import Finding
from graphlab.ir.frames import Frame
from graphlab.ir.program import Program
from graphlab.report import Outcome, Report

VERSION = 1


def to_json(reports: Iterable[Report]) -> dict[str, Any]:
    """Plain data for ``json.dumps``: one entry a report."""
    return {"graphlab_report": VERSION, "reports": [_report(report) for report in reports]}


def finding_json(finding: Finding) -> dict[str, Any]:
    """One finding: its rule's code, name and severity with the facts of this case."""
    return {
        "code": finding.code,
        "rule": finding.rule.name,
        "severity": finding.severity.name.lower(),
        "message": finding.message,
        "where": _frame(finding.where),
        "nodes": [{"graph": ref.graph, "node": ref.node} for ref in finding.nodes],
        "do": finding.do,
        "data": dict(finding.data),
    }


def _report(report: Report) -> dict[str, Any]:
    analyses = report.analyses
    return {
        "name": report.name,
        "program": None if report.program is None else _program(report.program),
        "methods": [
            {
                "method": tried.attempt.method,
                "ok": tried.attempt.ok,
                "seconds": tried.attempt.seconds,
                "error": tried.attempt.error,
                "where": _frame(tried.attempt.frame),
                "nodes": None if tried.program is None else tried.program.count(),
            }
            for tried in report.tries
        ],
        "size": None if analyses is None else analyses.size.to_json(),
        "control_flow": None if analyses is None else analyses.control_flow.to_json(),
        "constant_folding": None if analyses is None else analyses.folding.to_json(),
        "placements": None if analyses is None else analyses.placements.to_json(),
        "recorded": [_recorded(name, compiled) for name, compiled in report.recorded.items()],
        "compiles": [_outcome(outcome) for outcome in report.outcomes],
        "findings": [finding_json(finding) for finding in report.findings],
    }


def _program(program: Program) -> dict[str, Any]:
    source = program.source
    return {
        "framework": source.framework,
        "format": source.format,
        "method": source.method,
        "producer": source.producer,
        "path": source.path,
        "digest": source.digest,
        "nodes": program.count(),
        "graphs": len(program.graphs),
        "entry": program.entry,
        "dims": {name: {"min": bounds.min, "max": bounds.max} for name, bounds in program.dims.items()},
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    error = outcome.error
    return {
        "compiler": outcome.compiler,
        "target": outcome.target,
        "results": None if outcome.results is None else outcome.results.to_json(),
        "error": None if error is None else {"asked": error.asked, "found": error.found, "do": error.do},
    }


def _recorded(name: str, compiled: Compiled) -> dict[str, Any]:
    return {
        "name": name,
        "compiler": compiled.compiler,
        "target": compiled.target,
        "stages": [{"name": stage.name, "pass": stage.pass_name} for stage in compiled.stages],
        "artifacts": list(compiled.artifacts),
        "notes": [dict(note) for note in compiled.notes],
    }


def _frame(frame: Frame | None) -> dict[str, Any] | None:
    return None if frame is None else {"file": frame.file, "line": frame.line, "function": frame.function}
