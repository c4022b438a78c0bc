"""``graphlab inspect`` on JAX functions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graphlab.cli.main import main

pytestmark = pytest.mark.jax
pytest.importorskip("jax")

Report = Callable[..., dict[str, Any]]
Example = Callable[[str], str]


@pytest.mark.parametrize("method", ["jaxpr", "stablehlo", "hlo"])
def test_the_scan_and_its_random_branch_are_found_by_every_method(report: Report, example: Example, method: str) -> None:
    found = report(example("scan_jax.py"), "--method", method, "--no-compile")
    forms = [(c["form"], c["decided_by"], c["trip_count"] and c["trip_count"]["count"]) for c in found["control_flow"]["constructs"]]
    assert ("loop", "constant", 5) in forms
    assert "conditional" in {form for form, _, _ in forms}


def test_xla_reports_before_and_after(report: Report, example: Example) -> None:
    (compiled,) = report(example("scan_jax.py"))["compiles"]
    metrics = compiled["results"]["metrics"]
    assert metrics["kernels"]["value"] < metrics["ops_after"]["value"]
    assert "absent" in metrics["optimal_seconds"]  # the CPU has no performance model: a reason, not a zero


def test_symbolic_dims_are_named_and_ranged(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "f.py"
    path.write_text("import jax\n@jax.jit\ndef f(x):\n    return x.sum(0)\n")
    found = report(str(path), "--input", "f32[batch,8]", "--no-compile")
    assert found["size"]["inputs"][0]["type"] == "f32[batch,8]"
    assert found["program"]["dims"]["batch"]["min"] >= 1


def test_a_concrete_branch_on_a_tracer_names_the_users_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "f.py"
    path.write_text("import jax\n@jax.jit\ndef f(x):\n    if x > 0:\n        return x\n    return -x\n")
    assert main(["inspect", str(path), "--input", "f32[]", "--no-compile"]) == 2
    captured = capsys.readouterr()
    assert "f.py:4" in captured.out + captured.err
    assert "Traceback" not in captured.err
