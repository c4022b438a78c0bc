"""The report as data, from Python."""

from __future__ import annotations

from pathlib import Path

import pytest

import graphlab

HLO = """HloModule m

ENTRY main {
  x = f32[4] parameter(0)
  y = f32[4] add(x, x)
  ROOT z = f32[4] tanh(y)
}
"""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "m.hlo"
    path.write_text(HLO)
    return path


def test_a_file_and_its_program_are_reported_alike(module: Path) -> None:
    by_path = graphlab.inspect(module, name="m", compile=False)
    by_program = graphlab.inspect(graphlab.load(module), name="m", compile=False)
    assert by_path.analyses == by_program.analyses
    assert by_path.analyses is not None
    assert by_path.analyses.size.ops == 2
    assert by_path.outcomes == ()


@pytest.mark.jax
def test_every_compiler_that_takes_the_program_has_an_outcome(module: Path) -> None:
    pytest.importorskip("jax")
    (outcome,) = graphlab.inspect(module).outcomes
    assert outcome.compiler == "xla"
    assert outcome.compiled is not None
    assert outcome.compiled.metrics["flops"] == graphlab.Measured(4, "flops", outcome.compiled.metrics["flops"].origin)  # type: ignore[union-attr]


@pytest.mark.torch
def test_a_live_model_is_captured_first() -> None:
    torch = pytest.importorskip("torch")
    report = graphlab.inspect(torch.nn.ReLU(), "f32[2,3]", compile=False)
    assert report.name == "ReLU"
    assert [t.attempt.method for t in report.tries] == ["export"]
    assert report.program is not None
    assert report.program.op_counts() == {"aten.relu.default": 1}
