"""``graphlab inspect`` on graph files: no framework needed to read them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graphlab.cli.main import main

HLO = """HloModule m, entry_computation_layout={(f32[4]{0})->f32[4]{0}}

body {
  p = (s32[], f32[4]{0}) parameter(0)
  i = s32[] get-tuple-element(p), index=0
  x = f32[4]{0} get-tuple-element(p), index=1
  one = s32[] constant(1)
  next = s32[] add(i, one)
  twice = f32[4]{0} add(x, x), metadata={op_name="step/add" source_file="model.py" source_line=7}
  ROOT out = (s32[], f32[4]{0}) tuple(next, twice)
}

cond {
  p = (s32[], f32[4]{0}) parameter(0)
  i = s32[] get-tuple-element(p), index=0
  n = s32[] constant(3)
  ROOT less = pred[] compare(i, n), direction=LT
}

ENTRY main {
  x = f32[4]{0} parameter(0)
  zero = s32[] constant(0)
  init = (s32[], f32[4]{0}) tuple(zero, x)
  loop = (s32[], f32[4]{0}) while(init), condition=cond, body=body
  ROOT y = f32[4]{0} get-tuple-element(loop), index=1
}
"""

Report = Callable[..., dict[str, Any]]


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "module.txt"
    path.write_text(HLO)
    return path


def test_an_hlo_module_is_recognised_by_its_content(report: Report, module: Path) -> None:
    found = report(str(module), "--no-compile")
    assert found["program"]["format"] == "hlo text"
    assert found["program"]["nodes"] == 16
    (loop,) = found["control_flow"]["constructs"]
    assert loop["trip_count"] == {"count": 3, "exact": True}


def test_reading_it_imports_no_framework(module: Path) -> None:
    code = (
        "import sys\nfrom graphlab.cli.main import main\n"
        f"main(['inspect', {str(module)!r}, '--no-compile'])\n"
        "print(sorted({'torch', 'tensorflow', 'jax', 'jaxlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


@pytest.mark.jax
def test_xla_compiles_an_hlo_file(report: Report, module: Path) -> None:
    pytest.importorskip("jax")
    (compiled,) = report(str(module))["compiles"]
    assert compiled["error"] is None
    assert compiled["results"]["metrics"]["ops_before"]["value"] == 16


def test_a_broken_module_is_refused_with_line_and_column(module: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module.write_text(HLO.replace("add(i, one)", "add(i, two)"))
    assert main(["inspect", str(module)]) == 2
    error = capsys.readouterr().err
    assert "module.txt:8:" in error
    assert "two" in error


def test_saved_and_loaded_again_it_is_the_same(report: Report, module: Path, tmp_path: Path) -> None:
    saved = tmp_path / "m.graphlab"
    first = report(str(module), "--no-compile", "--save", str(saved))
    second = report(str(saved), "--no-compile")
    assert {**first, "name": ""} == {**second, "name": ""}


def test_options_for_python_files_are_refused(module: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(module), "--input", "f32[4]"]) == 2
    assert "leave that option away" in capsys.readouterr().err
