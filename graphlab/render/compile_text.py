"""The table of ``graphlab compile``: metrics down, targets across; then why a number is missing, where it is from, and findings."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from graphlab.compilers.results import Absent, Measured, Metric
from graphlab.render.report_text import OF_THE_TOOL, print_findings
from graphlab.render.units import metric
from graphlab.report import Outcome, Report

NAME_WIDTH = 20
COLUMN_WIDTH = 14


def print_table(out: Console, report: Report) -> None:
    """The whole page."""
    out.print(Text(report.name, "bold"))
    done = [outcome for outcome in report.outcomes if outcome.compiled is not None]
    if done:
        _print_row(out, "", [outcome.target for outcome in done], "bold")
        _print_row(out, "compiler", [outcome.compiler for outcome in done])
        for name in _names(done):
            _print_row(out, name, [_cell(_metric(outcome, name)) for outcome in done])
        if any(isinstance(_metric(outcome, "device_bytes"), Measured) for outcome in done):
            _print_row(out, "fits", [_fits(outcome) for outcome in done])
        for note in _notes(done):
            out.print(Text(f"  {note}", "dim"))
    for outcome in report.outcomes:
        if outcome.error is not None:
            line = Text(f"{outcome.target:<{NAME_WIDTH}} ", "bold")
            line.append(f"{outcome.compiler}: {outcome.error.brief}", "red")
            out.print(line)
            out.print(Text(f"{'':<{NAME_WIDTH}} {outcome.error.do}", "dim"))
    print_findings(out, report)


def _names(outcomes: list[Outcome]) -> list[str]:
    """Metrics that at least one outcome has a number for, in the compilers' order, ``fusions.loop`` behind ``fusions``."""
    names = list(dict.fromkeys(name for outcome in outcomes if outcome.compiled for name in outcome.compiled.metrics))
    heads = [name.partition(".")[0] for name in names]
    names.sort(key=lambda name: (heads.index(name.partition(".")[0]), name))
    return [name for name in names if name not in OF_THE_TOOL and any(isinstance(_metric(outcome, name), Measured) for outcome in outcomes)]


def _metric(outcome: Outcome, name: str) -> Metric | None:
    assert outcome.compiled is not None
    return outcome.compiled.metrics.get(name)


def _cell(value: Metric | None) -> str:
    return metric(value) if isinstance(value, Measured) else "-"


def _fits(outcome: Outcome) -> str:
    """By the peak, or where XLA does not tell it by all buffers together, which is no less."""
    device = _metric(outcome, "device_bytes")
    if not isinstance(device, Measured):
        return "-"
    peak = _metric(outcome, "peak_bytes")
    if not isinstance(peak, Measured):
        parts = [_metric(outcome, f"{name}_bytes") for name in ("argument", "output", "temp")]
        peak = Measured(sum(part.value for part in parts if isinstance(part, Measured)), "bytes")
    share = peak.value / device.value
    return f"{'yes' if share <= 1 else 'no'}, {f'{share:.1%}' if share >= 0.001 else '< 0.1%'}"


def _notes(outcomes: list[Outcome]) -> Iterator[str]:
    """Why a number is missing, and the origins that differ between targets."""
    for outcome in outcomes:
        assert outcome.compiled is not None
        reasons: dict[str, list[str]] = {}
        for name, value in outcome.compiled.metrics.items():
            if isinstance(value, Absent) and name not in OF_THE_TOOL:
                reasons.setdefault(value.reason, []).append(name)
        for reason, names in reasons.items():
            yield f"{outcome.target}: {', '.join(names)} not known: {reason}"
        seconds = _metric(outcome, "optimal_seconds")
        if isinstance(seconds, Measured):
            yield f"{outcome.target}: optimal_seconds by {seconds.origin}"


def _print_row(out: Console, name: str, cells: list[str], style: str = "") -> None:
    line = Text(f"{name:<{NAME_WIDTH}} ", "bold")
    line.append(" ".join(f"{cell:>{COLUMN_WIDTH}}" for cell in cells), style)
    out.print(line)
