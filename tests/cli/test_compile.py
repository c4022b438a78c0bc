"""``graphlab compile`` and ``graphlab targets``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from graphlab.cli.main import main
from graphlab.compilers import xla_targets

pytestmark = pytest.mark.jax
pytest.importorskip("jaxlib")

HLO = """HloModule dense, entry_computation_layout={(f32[256,512]{1,0}, f32[512,128]{1,0})->f32[256,128]{1,0}}

ENTRY %main (x: f32[256,512], w: f32[512,128]) -> f32[256,128] {
  %x = f32[256,512]{1,0} parameter(0)
  %w = f32[512,128]{1,0} parameter(1)
  %xw = f32[256,128]{1,0} dot(%x, %w), lhs_contracting_dims={1}, rhs_contracting_dims={0}
  ROOT %out = f32[256,128]{1,0} multiply(%xw, %xw)
}
"""


@pytest.fixture
def module(tmp_path: Path) -> str:
    path = tmp_path / "dense.hlo"
    path.write_text(HLO)
    return str(path)


def test_targets_lists_every_compiler_and_platform(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["targets"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert {("xla", "cpu"), ("xla", "tpu"), ("xla", "cuda"), ("torchscript", "cpu"), ("grappler", "cpu")} <= {
        (line[0], line[1]) for line in lines
    }


def test_without_a_target_it_compiles_for_the_cpu(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", module]) == 0
    out = capsys.readouterr().out
    assert "compiler" in out
    assert "33.6 Mflops" in out  # 2 * 256 * 512 * 128 + 256 * 128


@pytest.mark.skipif(xla_targets.missing("cuda") is not None, reason="needs the extra xla-cuda")
def test_fusions_are_split_where_they_are_counted(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", module, "--target", "cpu", "--target", "cuda:h100"]) == 0
    rows = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("fusions")]
    at = next(i for i, row in enumerate(rows) if row == "fusions")
    assert rows[at + 1 :] == sorted(rows[at + 1 :])
    assert all(row.startswith("fusions.") for row in rows[at + 1 :])


@pytest.mark.skipif(xla_targets.missing("cuda") is not None, reason="needs the extra xla-cuda")
def test_targets_stand_side_by_side(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", module, "--target", "cpu", "--target", "cuda:h100", "--json"]) == 0
    (report,) = json.loads(capsys.readouterr().out)["reports"]
    assert [(c["compiler"], c["target"]) for c in report["compiles"]] == [("xla", "cpu"), ("xla", "cuda:h100")]
    flops = {c["results"]["metrics"]["flops"]["value"] for c in report["compiles"]}
    assert flops == {2 * 256 * 512 * 128 + 256 * 128}


def test_a_target_that_cannot_be_compiled_for_is_told_and_the_code_is_2(
    module: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xla_targets, "find_spec", lambda name: None if name == "libtpu" else object())
    assert main(["compile", module, "--target", "cpu", "--target", "tpu:v5e"]) == 2
    out = capsys.readouterr().out
    assert "33.6 Mflops" in out
    assert "pip install 'graphlab[xla-tpu]'" in out


@pytest.mark.parametrize(("target", "do"), [("tpu:v9", "tpu:v5e"), ("h100", "did you mean cuda:h100?"), ("cuda:h100:0", "cuda:h100:8")])
def test_a_target_that_is_none_is_an_error_before_anything_is_compiled(
    module: str, capsys: pytest.CaptureFixture[str], target: str, do: str
) -> None:
    assert main(["compile", module, "--target", "cpu", "--target", target]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert do in captured.err


def test_a_compiler_that_does_not_take_the_file_says_so(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", module, "--compiler", "grappler"]) == 2
    assert "grappler does not take it" in capsys.readouterr().err


def test_a_target_that_no_compiler_has_is_an_error(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", module, "--target", "fpga"]) == 2
    assert "graphlab targets" in capsys.readouterr().err
