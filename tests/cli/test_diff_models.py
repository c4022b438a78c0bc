"""``graphlab diff`` of models in Python files, before and after an edit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from graphlab.cli.main import main

pytestmark = pytest.mark.torch
pytest.importorskip("torch")

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.Linear(8, 16)
        self.down = nn.Linear(16, 8)
    def forward(self, x):
        h = torch.relu(self.up(x))
        return self.down(h) + x

model = Net()
example_inputs = torch.ones(2, 8)
"""


@pytest.fixture
def before(tmp_path: Path) -> Path:
    path = tmp_path / "before.py"
    path.write_text(NET)
    return path


def edited(before: Path, old: str, new: str) -> str:
    assert old in NET
    path = before.with_name("after.py")
    path.write_text(NET.replace(old, new))
    return str(path)


def test_a_model_of_unseeded_weights_is_the_same_as_itself(before: Path) -> None:
    assert main(["diff", str(before), str(before)]) == 0


def test_both_sides_are_named_as_file_and_model(before: Path, capsys: pytest.CaptureFixture[str]) -> None:
    after = edited(before, "torch.relu", "torch.tanh")
    main(["diff", str(before), f"{after}:model"])
    assert capsys.readouterr().out.startswith(f"A {before}:model  torch.export, 10 nodes in 1 graph\nB {after}:model  ")
    main(["diff", str(before), after, "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert (answer["a"]["name"], answer["b"]["name"]) == (f"{before}:model", f"{after}:model")


def test_other_weights_are_a_difference_and_the_only_one(before: Path, capsys: pytest.CaptureFixture[str]) -> None:
    after = edited(before, "model = Net()", "torch.manual_seed(7)\nmodel = Net()")
    assert main(["diff", str(before), after, "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["counts"] == {"constant": 4}  # two layers, a weight and a bias each


def test_other_names_and_lines_are_no_difference(before: Path) -> None:
    after = edited(before, "h = torch.relu(self.up(x))", "# a comment\n        hidden = torch.relu(self.up(x))\n        h = hidden")
    assert main(["diff", str(before), after]) == 0


def test_the_first_run_of_a_process_draws_what_the_next_ones_do(before: Path) -> None:
    # In a process of its own: here the framework is loaded already.
    done = subprocess.run([sys.executable, "-m", "graphlab", "diff", str(before), str(before)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_another_activation_is_one_op_for_another(before: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    svg = tmp_path / "diff.svg"
    assert main(["diff", str(before), edited(before, "torch.relu", "torch.tanh"), "--svg", str(svg)]) == 1
    out = capsys.readouterr().out
    assert "aten.tanh.default" in out
    assert "aten.relu.default" in out
    assert "constant" not in out
    assert b"<svg" in svg.read_bytes()


def test_a_file_of_several_models_wants_a_name(before: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before.write_text(NET + "other = Net()\n")
    assert main(["diff", str(before), str(before)]) == 2
    error = capsys.readouterr().err
    assert "before.py:model" in error
    assert "before.py:other" in error
    assert main(["diff", f"{before}:model", f"{before}:model"]) == 0
