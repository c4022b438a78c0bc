"""``graphlab load``: what a file holds, and which program of it."""

from __future__ import annotations

from pathlib import Path

import pytest

import graphlab
from graphlab.cli.main import main

ADD = """HloModule add

ENTRY main {
  x = f32[4]{0} parameter(0)
  one = f32[4]{0} constant({1, 2, 3, 4})
  ROOT y = f32[4]{0} add(x, one)
}
"""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "add.hlo"
    path.write_text(ADD)
    return path


def test_it_says_format_entries_graphs_and_weights(module: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["load", str(module)]) == 0
    out = capsys.readouterr().out
    assert "format    hlo text" in out
    assert "entries   add  (x: f32[4]{0}) -> (y: f32[4]{0})" in out
    assert "graphs    3 nodes in 1 graph" in out
    assert "weights   1 constant, 16 B" in out


def test_it_saves_what_it_read(module: Path, tmp_path: Path) -> None:
    assert main(["load", str(module), "--save", str(tmp_path / "out.graphlab")]) == 0
    assert not graphlab.diff(graphlab.load(module), graphlab.load(tmp_path / "out.graphlab")).changes


def test_a_name_behind_an_at_selects_one_of_several(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "two.hlo"
    path.write_text(ADD + "\n// -----\n\n" + ADD.replace("HloModule add", "HloModule twice"))
    assert main(["load", str(path), "--list"]) == 0
    assert capsys.readouterr().out.split() == ["add", "twice"]
    assert main(["load", f"{path}@twice"]) == 0
    assert "entries   twice" in capsys.readouterr().out
    assert main(["load", f"{path}@thrice"]) == 2
    assert "add, twice" in capsys.readouterr().err


def test_an_at_that_belongs_to_the_path_stays_in_it(tmp_path: Path) -> None:
    path = tmp_path / "a@b.hlo"
    path.write_text(ADD)
    assert main(["load", str(path)]) == 0
    assert main(["load", f"{path}@add"]) == 0


def test_a_python_file_is_not_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["load", "model.py"]) == 2
    assert "graphlab inspect model.py" in capsys.readouterr().err


def test_trust_is_refused_where_no_framework_reads_better(module: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["load", str(module), "--trust"]) == 2
    assert "read without one" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["load", "inspect"])
def test_nothing_is_saved_under_another_formats_name(command: str, module: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, str(module), "--save", str(module)]) == 2
    assert module.read_text() == ADD
    assert "add.graphlab" in capsys.readouterr().err


def test_an_empty_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["load", ""]) == 2
    assert "empty" in capsys.readouterr().err
