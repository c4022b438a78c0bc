"""``graphlab inspect`` on files that record compiles, and on programs whose values are held by several parties."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graphlab.cli.main import main

Report = Callable[..., dict[str, Any]]

GRAPH = """class GraphModule(torch.nn.Module):
    def forward(self, L_x_: "f32[3][1]cpu"):
        l_x_ = L_x_

        # File: /home/me/model.py:7 in f, code: return x.sin()
        sin: "f32[3][1]cpu" = l_x_.sin();  l_x_ = None
        return (sin,)
"""
BREAK = "Graph break in user code at /home/me/model.py:9\nGraph Break Reason: Failed to trace builtin operator\n"

BEFORE = """HloModule jit_f

ENTRY main {
  x = f32[4]{0} parameter(0)
  one = f32[4]{0} constant({1, 1, 1, 1})
  y = f32[4]{0} add(x, one)
  ROOT z = f32[4]{0} multiply(y, y)
}
"""
AFTER = """HloModule jit_f, is_scheduled=true

fused {
  p = f32[4]{0} parameter(0)
  one = f32[4]{0} constant({1, 1, 1, 1})
  y = f32[4]{0} add(p, one)
  ROOT z = f32[4]{0} multiply(y, y)
}

ENTRY main {
  x = f32[4]{0} parameter(0)
  ROOT fusion = f32[4]{0} fusion(x), kind=kLoop, calls=fused
}
"""

SHARED = """HloModule shared, num_partitions=2

sum {
  a = f32[] parameter(0)
  b = f32[] parameter(1)
  ROOT s = f32[] add(a, b)
}

ENTRY main {
  x = f32[256]{0} parameter(0)
  ROOT y = f32[256]{0} all-reduce(x), replica_groups={{0,1}}, to_apply=sum
}
"""


def record(held: dict[str, Any], payload: str) -> str:
    line = f"V1122 19:57:34.907000 1894 torch/_dynamo/utils.py:2350] {json.dumps({**held, 'has_payload': 'x'})}\n"
    return line + "".join(f"\t{each}\n" for each in payload.splitlines())


@pytest.fixture
def log(tmp_path: Path) -> str:
    """Two compiles; the first has two graphs and breaks."""
    first, second = {"frame_id": 0, "frame_compile_id": 0, "attempt": 0}, {"frame_id": 1, "frame_compile_id": 0, "attempt": 0}
    path = tmp_path / "trace.log"
    path.write_text(
        record({"artifact": {"name": "dynamo_graph_break_reason", "encoding": "string"}, **first}, BREAK)
        + record({"dynamo_output_graph": {"sizes": {}}, **first}, GRAPH)
        + record({"aot_forward_graph": {}, **first}, GRAPH)
        + record({"dynamo_output_graph": {"sizes": {}}, **second}, GRAPH)
    )
    return str(path)


@pytest.fixture
def dump(tmp_path: Path) -> str:
    folder = tmp_path / "dump"
    folder.mkdir()
    (folder / "module_0001.jit_f.before_optimizations.txt").write_text(BEFORE)
    (folder / "module_0001.jit_f.0002.fusion.after_fusion.txt").write_text(AFTER)
    (folder / "module_0001.jit_f.cpu_after_optimizations.txt").write_text(AFTER)
    return str(folder)


def test_a_trace_log_is_told_compile_by_compile_with_its_breaks(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", log]) == 0
    out = capsys.readouterr().out
    assert "0/0  " in out
    assert "1/0  " in out
    assert "dynamo_output_graph, aot_forward_graph" in out
    assert "GL501 /home/me/model.py:9" in out
    assert f"{log}@0/0" in out


def test_the_breaks_gate(log: str) -> None:
    assert main(["inspect", log, "--fail-on", "warning"]) == 1
    assert main(["inspect", f"{log}@1/0", "--fail-on", "warning"]) == 0


def test_one_graph_of_a_log_is_inspected_as_any_other(report: Report, log: str) -> None:
    found = report(f"{log}@0/0/aot_forward_graph")
    assert found["size"]["inputs"][0]["type"] == "f32[3]"
    assert [recorded["name"] for recorded in found["recorded"]] == ["0/0/aot_forward_graph"]
    assert [finding["code"] for finding in found["findings"]] == ["GL501"]


def test_a_log_as_json_keeps_the_schema_without_a_program(report: Report, log: str) -> None:
    found = report(log)
    assert found["program"] is None
    assert [[stage["name"] for stage in recorded["stages"]] for recorded in found["recorded"]] == [
        ["dynamo_output_graph", "aot_forward_graph"],
        ["dynamo_output_graph"],
    ]


def test_a_dump_directory_is_the_compile_that_it_records(report: Report, dump: str) -> None:
    found = report(dump)
    assert found["program"]["nodes"] == 4  # the module as XLA was given it
    (compiled,) = found["compiles"]
    (fusion,) = compiled["results"]["fusions"]
    assert (fusion["kind"], fusion["ops"]) == ("loop", ["hlo.add", "hlo.multiply"])
    assert [stage["name"] for stage in found["recorded"][0]["stages"]] == ["input", "0002.fusion.fusion", "optimized"]
    assert report(f"{dump}@1/optimized")["program"]["graphs"] == 2  # a module by XLA's number, a stage


def test_what_crosses_between_devices_is_told(report: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "shared.hlo"
    path.write_text(SHARED)
    (crossing,) = report(str(path), "--no-compile")["placements"]["crossings"]
    assert (crossing["op"], crossing["bytes"]) == ("hlo.all-reduce", 1024)
    assert main(["inspect", str(path), "--no-compile"]) == 0
    assert "hlo.all-reduce" in capsys.readouterr().out
