"""The report as text: what is told, what is told once, and that a pipe gets plain text."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from graphlab.analyzers import compile_results
from graphlab.capture.dispatch import Tried
from graphlab.capture.xla.hlo_text import parse_hlo
from graphlab.compilers.results import Absent, Compiled, Measured, Stage
from graphlab.errors import CaptureError, CompileError
from graphlab.findings import Finding
from graphlab.ir.frames import Frame
from graphlab.ir.program import Attempt
from graphlab.render.report_text import print_capture, print_compiles, print_findings
from graphlab.report import Outcome, Report, inspect_program

LAYERS = """HloModule m

yes {
  a = f32[4] parameter(0)
  ROOT t = f32[4] tanh(a), metadata={op_name="net/yes/tanh"}
}

no {
  ROOT a = f32[4] parameter(0)
}

ENTRY main {
  p = pred[] parameter(0)
  x = f32[4] parameter(1)
  one = f32[4] conditional(p, x, x), true_computation=yes, false_computation=no, metadata={source_file="net.py" source_line=3}
  two = f32[4] conditional(p, one, one), true_computation=yes, false_computation=no, metadata={source_file="net.py" source_line=3}
  k = f32[] constant(2)
  big = f32[64,64] broadcast(k), dimensions={}
  sum = f32[64,64] add(big, big), metadata={source_file="net.py" source_line=9}
  ROOT out = (f32[4], f32[64,64]) tuple(two, sum)
}
"""


@pytest.fixture
def report() -> Report:
    return inspect_program(parse_hlo(LAYERS, path="net.hlo"), name="net.hlo")


def text(print_part: Callable[[Console, Report], None], report: Report) -> str:
    out = io.StringIO()
    print_part(Console(file=out, soft_wrap=True, highlight=False), report)
    return out.getvalue()


def test_a_pipe_gets_no_escape_codes(report: Report) -> None:
    assert "\x1b" not in text(print_capture, report) + text(print_findings, report)


def test_the_capture_section_counts_by_hand(report: Report) -> None:
    told = text(print_capture, report)
    assert "hlo text  11 nodes in 3 graphs" in told
    assert "hlo.conditional 2" in told
    assert "2 ops in 1 subgraph depend on constants alone" in told


def test_layers_that_do_the_same_are_told_once(report: Report) -> None:
    told = text(print_capture, report)
    assert told.count("conditional net.py:3") == 1
    assert "(and 1 more like it)" in told


def test_findings_of_one_code_at_one_line_are_told_once(report: Report) -> None:
    told = text(print_findings, report)
    assert told.count("GL202 ") == 1
    assert "(and 1 more at this place)" in told
    assert "findings      3 notes" in told


def test_findings_without_a_place_are_one_only_where_they_say_the_same(report: Report) -> None:
    found = (Finding("GL404", "xla: no such op"), Finding("GL404", "xla: no such op", do="b"), Finding("GL404", "grappler: no such op"))
    told = text(print_findings, replace(report, captures={"read": found}, analyses=None))
    assert "GL404 xla: no such op  (and 1 more like it)\n" in told
    assert "GL404 grappler: no such op\n" in told


def test_one_operation_depends_and_two_depend(report: Report) -> None:
    assert "2 ops in 1 subgraph depend on" in text(print_capture, report)
    fewer = inspect_program(
        parse_hlo(LAYERS.replace("add(big, big)", "add(q, q)").replace("k = f32[]", "q = f32[64,64] parameter(2)\n  k = f32[]")), name="m"
    )
    assert "1 op in 1 subgraph depends on" in text(print_capture, fewer)


def test_what_graphlab_itself_took_is_left_to_the_json(report: Report) -> None:
    assert report.program is not None
    metrics: dict[str, Measured | Absent] = {
        "flops": Measured(1, "flops"),
        "child_seconds": Measured(2, "seconds"),
        "child_bytes": Absent("this system has no /proc"),
    }
    compiled = Compiled("xla", "cpu", "1", (Stage("", lambda: parse_hlo(LAYERS), ""),), metrics)
    told = text(print_compiles, replace(report, outcomes=(Outcome("xla", "cpu", compiled, compile_results.analyze(compiled)),)))
    assert "flops 1 flop\n" in told
    assert "child" not in told


def test_files_below_the_working_directory_are_told_as_typed(report: Report) -> None:
    here = Frame(os.path.join(os.getcwd(), "net.py"), 3)
    told = text(print_findings, replace(report, captures={"fx": (Finding("GL101", f"fx cannot capture it at {here}", where=here),)}))
    assert "GL101 fx cannot capture it at net.py:3\n" in told


def test_where_no_method_works_each_ones_reason_is_told() -> None:
    error = CaptureError("capture it", found="no Proxy in range", do="", frame=Frame("net.py", 7))
    tried = Tried(Attempt("fx", False, 0.1, error.found, error.frame), None, error)
    told = text(print_capture, Report("net.py:net", None, (tried,), None, {"fx": ()}))
    assert "fx          fails  net.py:7  no Proxy in range" in told
    assert "nothing: no method works on it" in told


def test_a_compilers_refusal_is_told_in_its_words(report: Report) -> None:
    refused = Outcome("xla", "cpu", error=CompileError("compile it", found="no such op\nlog", do="change it"))
    assert "xla: no such op\n" in text(print_compiles, replace(report, outcomes=(refused,)))


def test_text_is_the_same_wherever_it_runs(report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = text(print_capture, report)
    monkeypatch.chdir(tmp_path)
    assert text(print_capture, report) == before
