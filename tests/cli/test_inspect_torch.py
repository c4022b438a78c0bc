"""``graphlab inspect`` on PyTorch models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import graphlab
from graphlab.cli.main import main

pytestmark = pytest.mark.torch
pytest.importorskip("torch")

Report = Callable[..., dict[str, Any]]
Example = Callable[[str], str]

LOOP, BRANCH = 19, 20
"""Lines of examples/dynamic_rnn_torch.py."""


@pytest.fixture(scope="module")
def rnn_lines() -> list[str]:
    return (Path(__file__).parents[2] / "examples" / "dynamic_rnn_torch.py").read_text().splitlines()


def test_the_lines_below_are_the_examples(rnn_lines: list[str]) -> None:
    assert "for i in range(x.size(1))" in rnn_lines[LOOP - 1]
    assert "if torch.rand(1) > 0.5" in rnn_lines[BRANCH - 1]


def test_the_dynamic_rnn_is_told_truly(report: Report, example: Example) -> None:
    found = report(example("dynamic_rnn_torch.py"))
    methods = {m["method"]: m for m in found["methods"]}
    assert found["program"]["method"] == "jit.script"
    assert not methods["export"]["ok"]
    assert methods["export"]["where"]["line"] == BRANCH
    assert not methods["fx"]["ok"]
    assert methods["fx"]["where"]["line"] == LOOP
    assert methods["jit.trace"]["ok"]  # it runs, and lies: see the next test

    loop, branch = found["control_flow"]["constructs"][:2]
    assert loop["form"] == "loop"
    assert loop["where"].endswith(f"dynamic_rnn_torch.py:{LOOP}")
    assert loop["trip_count"] == {"count": "dim 1 of x", "exact": True}
    assert branch["form"] == "conditional"
    assert branch["decided_by"] == "random"
    assert branch["where"].endswith(f"dynamic_rnn_torch.py:{BRANCH}")
    assert branch["nesting"] == [[loop["node"]]]

    (compiled,) = found["compiles"]
    assert compiled["compiler"] == "torchscript"
    assert compiled["error"] is None


def test_the_traces_lies_are_findings_at_their_lines(report: Report, example: Example) -> None:
    findings = report(example("dynamic_rnn_torch.py"), "--no-compile")["findings"]
    lines = {(f["code"], f["where"]["line"]) for f in findings if f["where"]}
    assert {("GL102", BRANCH), ("GL103", LOOP), ("GL103", BRANCH), ("GL104", BRANCH), ("GL201", BRANCH)} <= lines


def test_a_model_that_exports_is_not_captured_by_the_other_methods(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    path.write_text("import torch\nmodel = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.ReLU())\n")
    found = report(str(path), "--input", "f32[batch,8]", "--no-compile")
    assert [m["method"] for m in found["methods"]] == ["export"]
    assert found["size"]["by_op"] == {"aten.linear.default": 1, "aten.relu.default": 1}
    assert found["size"]["parameters"]["elements"] == 8 * 4 + 4
    assert [v["type"] for v in found["size"]["inputs"]] == [f"f32[{next(iter(found['program']['dims']))},8]"]


def test_every_method_tries_them_all(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    path.write_text("import torch\nmodel = torch.nn.Linear(8, 4)\nexample_inputs = torch.ones(2, 8)\n")
    found = report(str(path), "--every-method", "--no-compile")
    assert [(m["method"], m["ok"]) for m in found["methods"]] == [("export", True), ("jit.script", True), ("fx", True), ("jit.trace", True)]


def test_missing_inputs_say_exactly_what_to_add(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "net.py"
    path.write_text("import torch\nmodel = torch.nn.Bilinear(3, 4, 5)\n")
    assert main(["inspect", str(path)]) == 2
    error = capsys.readouterr().err
    assert "input1" in error
    assert "input2" in error
    assert "--input" in error
    assert "Traceback" not in error


def test_a_model_that_raises_names_the_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "net.py"
    path.write_text(
        "import torch\nclass Net(torch.nn.Module):\n    def forward(self, x):\n        return x @ torch.ones(3, 3)\n"
        "model = Net()\nexample_inputs = torch.ones(2, 8)\n"
    )
    code = main(["inspect", str(path), "--no-compile"])
    captured = capsys.readouterr()
    assert code == 2
    assert "Traceback" not in captured.err
    assert "net.py:4" in captured.out + captured.err


def test_the_svg_and_the_graphlab_file_are_written(tmp_path: Path, example: Example, capsys: pytest.CaptureFixture[str]) -> None:
    svg, saved = tmp_path / "out" / "rnn.svg", tmp_path / "rnn.graphlab"
    assert main(["inspect", example("dynamic_rnn_torch.py"), "--no-compile", "--svg", str(svg), "--save", str(saved)]) == 0
    capsys.readouterr()
    assert b"<svg" in svg.read_bytes()
    again = graphlab.load(saved)
    assert again.source.method == "jit.script"
    assert {a.method for a in again.source.attempts} == {"export", "jit.script", "fx", "jit.trace"}


def test_fail_on_makes_findings_an_exit_code(example: Example, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", example("dynamic_rnn_torch.py"), "--no-compile", "--fail-on", "error"]) == 1
    capsys.readouterr()


def test_several_models_are_reported_one_after_the_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "nets.py"
    path.write_text("import torch\nfirst = torch.nn.ReLU()\nsecond = torch.nn.Tanh()\nexample_inputs = torch.ones(2)\n")
    assert main(["inspect", str(path), "--no-compile"]) == 0
    out = capsys.readouterr().out
    assert out.index("nets.py:first") < out.index("nets.py:second")
    assert main(["inspect", str(path), "--no-compile", "--svg", str(tmp_path / "x.svg")]) == 2
    assert "nets.py:first" in capsys.readouterr().err
