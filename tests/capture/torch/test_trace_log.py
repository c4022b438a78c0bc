"""TORCH_TRACE logs: real ones made here, hand-made ones, and the corpus's."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import graphlab
from graphlab.analyzers import compile_log
from graphlab.capture.dispatch import load_compiled
from graphlab.capture.file import File
from graphlab.capture.torch import trace_log
from graphlab.compilers.results import Artifact, Measured
from graphlab.errors import FormatError, SelectError
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.program import DimRange
from graphlab.ir.verify import verify
from graphlab.testing import reader_checks

GRAPH = """class GraphModule(torch.nn.Module):
    def forward(self, L_x_: "f32[3][1]cpu"):
        l_x_ = L_x_

        # File: /home/me/model.py:7 in f, code: return x.sin()
        sin: "f32[3][1]cpu" = l_x_.sin();  l_x_ = None
        return (sin,)
"""


def record(held: dict[str, Any], payload: str = "", prefix: str = "") -> str:
    line = f"{prefix}V1122 19:57:34.907000 1894 torch/_dynamo/utils.py:2350] {json.dumps(held)}\n"
    return line + "".join(f"\t{each}\n" for each in payload.splitlines())


def place(frame: int = 0, again: int = 0, attempt: int = 0) -> dict[str, Any]:
    return {"frame_id": frame, "frame_compile_id": again, "attempt": attempt, "has_payload": "x"}


BREAK = """Graph break in user code at /home/me/model.py:9
Graph Break Reason: Failed to trace builtin operator
  Explanation: Dynamo does not know how to trace builtin operator `print`
  Hint: Avoid calling builtin `print`.
User code traceback:
  File "/home/me/main.py", line 3, in <module>
    f(x)
  File "/home/me/model.py", line 9, in f
    print(x)
"""

HAND_MADE = "".join((
    "some other line\n",
    record({"str": ["/home/me/model.py", 1]}),
    record({"artifact": {"name": "torch_version", "encoding": "json"}, "has_payload": "x"}, '{"pytorch_version": "2.13.0"}'),
    record({"dynamo_start": {"stack": [{"line": 5, "name": "f", "filename": 1}]}, **place()}),
    record({"create_symbol": {"symbol": "s0", "vr": "[2, 9]"}, **place()}),
    record({"artifact": {"name": "dynamo_graph_break_reason", "encoding": "string"}, **place()}, BREAK),
    record({"dynamo_output_graph": {"sizes": {}}, **place(attempt=1)}, GRAPH),
    record({"aot_forward_graph": {}, **place(attempt=1)}, GRAPH.replace("f32[3]", "f32[s0]")),
    record({"inductor_output_code": {"filename": "/tmp/x.py"}, **place(attempt=1)}, "print('never run')"),
    record({"compilation_metrics": {"co_name": "f", "co_filename": "/home/me/model.py", "co_firstlineno": 5, "guard_count": 4,
            "entire_frame_compile_time_s": 1.5, "fail_type": None, "restart_reasons": ["Failed to trace builtin operator"]}, **place()}),
    record({"artifact": {"name": "recompile_reasons", "encoding": "json"}, **place(0, 1)}, "0/0: tensor 'x' size mismatch at index 0"),
    record({"dynamo_output_graph": {}, **place(0, 1)}, GRAPH),
    record({"compilation_metrics": {"co_name": "g", "co_filename": "/home/me/model.py", "co_firstlineno": 20,
            "fail_type": "<class 'torch._dynamo.exc.Unsupported'>", "fail_reason": "no such op", "fail_user_frame_filename":
            "/home/me/model.py", "fail_user_frame_lineno": 22}, **place(1)}),
    'V1122 19:57:34.907000 1894 torch/x.py:1] {"cut off\n',
))  # fmt: skip


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "trace.log"
    path.write_text(HAND_MADE)
    return path


def test_a_log_lists_its_graphs_and_takes_one(log: Path) -> None:
    with pytest.raises(SelectError) as refused:
        graphlab.load(log)
    assert refused.value.names == ("0/0/dynamo_output_graph", "0/0/aot_forward_graph", "0/1/dynamo_output_graph")
    dynamo = graphlab.load(log, select="0/0")
    assert dynamo.count() == 3
    assert [(node.op, str(dynamo.frame(node))) for node in dynamo.main.each_node() if node.kind == "op"] == [
        ("method.sin", "/home/me/model.py:7")
    ]
    assert graphlab.load(log, select="0/0/aot_forward_graph").dims == {"s0": DimRange(2, 9)}


def test_a_compile_has_stages_metrics_and_code(log: Path) -> None:
    compiled = load_compiled(log, select="0/0")
    assert compiled is not None
    assert (compiled.compiler, compiled.version, compiled.target) == ("torch.compile", "torch 2.13.0", "cpu")
    assert [stage.name for stage in compiled.stages] == ["dynamo_output_graph", "aot_forward_graph"]
    assert compiled.metrics["guards"] == Measured(4, "guards", "compilation_metrics")
    code = compiled.artifacts["inductor_output_code.py"]
    assert isinstance(code, Artifact)
    assert code.load() == b"print('never run')"
    with pytest.raises(SelectError) as refused:
        load_compiled(log)
    assert refused.value.names == ("0/0", "0/1", "1/0", "unknown")


def test_breaks_recompiles_and_failures_are_findings(log: Path) -> None:
    result = compile_log.analyze(trace_log.read_log(File.open(log)).compiles)
    assert (result.breaks, result.recompiles, result.failures, result.seconds) == (1, 1, 1, 1.5)
    told = {finding.code: (str(finding.where), finding.message) for finding in result.findings}
    assert told == {
        "GL501": ("/home/me/model.py:9", "the graph of 'f' breaks here (0/0): Failed to trace builtin operator"),
        "GL502": ("None", "the function is compiled again (0/1): tensor 'x' size mismatch at index 0"),
        "GL503": ("/home/me/model.py:22", "'g' could not be compiled (1/0): Unsupported: no such op"),
        "GL508": ("None", told["GL508"][1]),
    }
    assert "1 line of the log could not be read" in told["GL508"][1]
    assert result.findings[0].do == "Avoid calling builtin `print`."


def test_a_directory_is_read_by_file_and_compile(tmp_path: Path) -> None:
    for rank in (0, 1):
        (tmp_path / f"dedicated_log_torch_trace_rank_{rank}_abc.log").write_text(HAND_MADE)
    (tmp_path / "notes.md").write_text("nothing")
    with pytest.raises(SelectError) as refused:
        graphlab.load(tmp_path)
    assert len(refused.value.names) == 6
    assert graphlab.load(tmp_path, select="dedicated_log_torch_trace_rank_1_abc.log/0/0").count() == 3


def test_ranks_in_one_file_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "log"
    graph = GRAPH
    path.write_text("".join(record({"dynamo_output_graph": {}, **place()}, graph, prefix=f"[rank{rank}]:") for rank in (0, 1)))
    assert list(trace_log.read_log(File.open(path)).compiles) == ["rank0/0/0", "rank1/0/0"]


def test_many_findings_on_one_line_are_folded() -> None:
    reasons = [record({"artifact": {"name": "recompile_reasons"}, **place(0, n)}, f"0/{n - 1}: size {n}") for n in range(1, 21)]
    compiled = trace_log.read_log(File.of("log", "".join(reasons).encode())).compiles
    codes = [finding.message for finding in compile_log.analyze(compiled).findings]
    assert len(codes) == 9
    assert codes[-1] == "12 more of the same kind on that line"


def recompiled(*reasons: str, id: int) -> str:
    """A recompile as torch 2.13 writes it: one line for each earlier compile, whose guards failed."""
    lines = [f"0/{n}: {reason}" for n, reason in reversed(list(enumerate(reasons)))]
    return record({"artifact": {"name": "recompile_reasons", "encoding": "string"}, **place(0, id)}, "\n".join(lines))


def test_a_recompile_is_one_finding_however_many_guards_failed() -> None:
    text = recompiled("size", id=1) + recompiled("rank", "rank", id=2) + recompiled("dtype", "rank", "dtype", id=3)
    result = compile_log.analyze(trace_log.read_log(File.of("log", text.encode())).compiles)
    assert result.recompiles == 3
    assert [finding.message for finding in result.findings] == [
        "the function is compiled again (0/1): size; (0/2): rank; (0/3): dtype",
        "the function is compiled again (0/2): rank",
        "the function is compiled again (0/3): dtype, rank",
    ]
    assert result.findings[2].data["reasons"] == (
        FrozenDict(text="dtype", after=("0/2", "0/0")),
        FrozenDict(text="rank", after=("0/1",)),
    )


def test_many_reasons_of_one_recompile_are_counted_and_kept_in_the_data() -> None:
    text = recompiled(*(f"size {n}" for n in range(6)), id=6)
    (finding,) = compile_log.analyze(trace_log.read_log(File.of("log", text.encode())).compiles).findings
    assert finding.message == "the function is compiled again (0/6): size 5, size 4, size 3 and 3 more"
    assert [reason["text"] for reason in finding.data["reasons"]] == [f"size {n}" for n in (5, 4, 3, 2, 1, 0)]


def test_a_recompile_of_unknown_reason_is_told_too() -> None:
    text = "".join(record({"dynamo_output_graph": {}, **place(0, n)}, GRAPH) for n in (0, 1))
    result = compile_log.analyze(trace_log.read_log(File.of("log", text.encode())).compiles)
    assert [finding.message for finding in result.findings] == ["the function is compiled again (0/1): the log does not say why"]


def printed(artifact: str, text: str, *, line: int, id: str = "0/0") -> str:
    prefix = f"V1122 21:20:15.677000 29337 torch/_dynamo/output_graph.py:{line}] [{id}] [__{artifact}] "
    return "".join(f"{prefix}{each}\n" for each in text.splitlines())


def test_what_torch_logs_prints_is_read_alike() -> None:
    """As TORCH_LOGS=graph_code,aot_graphs,recompiles,graph_breaks prints it, in torch 2.13."""
    dynamo = "TRACED GRAPH\n ===== __compiled_fn_1 =====\n /site-packages/torch/fx/_lazy_graph_module.py " + GRAPH
    backward = "TRACED GRAPH\n ===== Backward graph 0 =====\n <eval_with_key>.2 " + GRAPH
    reason = "Recompiling function f in /home/me/model.py:5\n    triggered by the following guard failure(s):\n    - 0/0: tensor 'x' size\n"
    text = "".join(
        (
            "I1122 21:20:15.677000 29337 torch/fx/experimental/symbolic_shapes.py:4058] [0/0] create_env\n",
            printed("graph_breaks", BREAK, line=1),
            printed("graph_code", dynamo, line=2, id="0/0_1"),
            "print of the model\n",
            printed("aot_graphs", dynamo.replace("__compiled_fn_1", "Forward graph 0"), line=3, id="0/0_1"),
            printed("aot_graphs", backward, line=3, id="0/0_1"),
            printed("recompiles", reason, line=4, id="0/1"),
        )
    )
    file = File.of("out.txt", text.encode())
    assert trace_log.matches(file)
    compiles = trace_log.read_log(file).compiles
    assert [stage.name for stage in compiles["0/0"].stages] == ["dynamo_output_graph", "aot_forward_graph", "aot_backward_graph"]
    structured = trace_log.read(File.of("x", HAND_MADE.encode()), select="0/0")
    assert all(graphlab.diff(stage.load(), structured).equal for stage in compiles["0/0"].stages)
    told = [(finding.code, str(finding.where)) for finding in compile_log.analyze(compiles).findings]
    assert told == [("GL501", "/home/me/model.py:9"), ("GL502", "/home/me/model.py:5")]


@pytest.mark.parametrize("data", [b"", b"V1122 nothing", b"\x00" * 100, b"{}", b"[1, 2]\n", b"class GraphModule(torch.nn.Module):"])
def test_other_files_are_not_taken(data: bytes) -> None:
    assert not trace_log.matches(File.of("x", data))


def test_lines_without_one_sound_record_are_refused() -> None:
    with pytest.raises(FormatError, match="no sound record of a compile log"):
        trace_log.read(File.of("x.log", b'V1122 19:57:34.907000 1894 a.py:1] {"broken\n'))


def test_nesting_and_damage_are_bounded() -> None:
    deep = 'V1122 19:57:34.907000 1894 a.py:1] {"dynamo_output_graph": ' + "[" * 100_000 + "\n"
    log = trace_log.read_log(File.of("x.log", (deep + HAND_MADE).encode()))
    assert len(log.damaged) == 2
    broken = HAND_MADE.replace("l_x_.sin()", "l_x_.sin(((")
    with pytest.raises(FormatError, match=r"read '0/0/dynamo_output_graph' of x.log at line 6"):
        trace_log.read(File.of("x.log", broken.encode()), select="0/0")


SCRIPT = """
import json, sys, torch
from torch._dynamo.backends.common import aot_autograd
from torch._functorch.aot_autograd import make_boxed_func
told = []
def nodes(kind, module):
    told.append((kind, [n.name for n in module.graph.nodes], sum(len(m.graph.nodes) for m in module.modules() if hasattr(m, "graph"))))
def compiler(kind):
    def compile(module, inputs):
        nodes(kind, module)
        return make_boxed_func(module.forward)
    return compile
def backend(module, inputs):
    nodes("dynamo_output_graph", module)
    return aot_autograd(fw_compiler=compiler("aot_forward_graph"), bw_compiler=compiler("aot_backward_graph"),
                        inference_compiler=compiler("aot_inference_graph"))(module, inputs)
@torch.compile(backend=backend)
def f(x, w):
    y = torch.nn.functional.linear(x, w).relu()
    print("a break")
    return y.sin() + 1
@torch.compile(backend=backend)
def branch(x):
    return torch.cond(x.sum() > 0, lambda x: x.cos(), lambda x: x.sin(), (x,))
@torch.compile(backend=backend, fullgraph=True)
def refused(x):
    print(x)
    return x
for n in (3, 5):
    w = torch.randn(6, 4, requires_grad=True)
    f(torch.randn(n, 4, requires_grad=True), w).sum().backward()
branch(torch.ones(3))
try:
    refused(torch.ones(2))
except Exception:
    pass
json.dump(told, open(sys.argv[1], "w"))
"""


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[str, list[str], int]], Path]:
    """A directory of logs that torch wrote, and every graph that it really compiled."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("traced")
    script, told = folder / "script.py", folder / "told.json"
    script.write_text(SCRIPT)
    environment = {**os.environ, "TORCH_TRACE": str(folder / "logs"), "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"}
    subprocess.run([sys.executable, str(script), str(told)], env=environment, check=True, timeout=300, capture_output=True)
    return folder / "logs", [tuple(each) for each in json.loads(told.read_text())], script


@pytest.mark.torch
def test_every_graph_that_torch_compiled_is_a_stage(traced: tuple[Path, list[tuple[str, list[str], int]], Path]) -> None:
    folder, told, _ = traced
    log = trace_log.read_log(File.open(folder))
    kinds = {kind for kind, _, _ in told}
    found = [
        (stage.pass_name, list(program.main.nodes), program.count())
        for compiled in log.compiles.values()
        for stage in compiled.stages
        if stage.pass_name in kinds
        for program in (stage.load(),)
    ]
    assert verify(graphlab.load(folder, select="0/0")) == ()
    assert sorted(found) == sorted((kind, names, count) for kind, names, count in told)
    for compiled in log.compiles.values():
        if compiled.stages:  # torch's own count of the graph that Dynamo made
            counted = compiled.metrics["graph_nodes"]
            assert isinstance(counted, Measured)
            assert len(compiled.stages[0].load().main) == counted.value


@pytest.mark.torch
def test_what_torch_could_not_trace_is_found_at_its_line(traced: tuple[Path, list[tuple[str, list[str], int]], Path]) -> None:
    folder, _, script = traced
    result = compile_log.analyze(trace_log.read_log(File.open(folder)).compiles)
    lines = script.read_text().splitlines()
    places = {(f.code, lines[f.where.line - 1].strip()) for f in result.findings if f.where is not None and f.where.file == str(script)}
    assert places >= {("GL501", 'print("a break")'), ("GL503", "print(x)")}
    assert any(f.code == "GL502" and "size mismatch" in f.message for f in result.findings)
    assert result.failures == 1


def _rows(corpus: Path) -> list[dict[str, str]]:
    with (corpus / "MANIFEST.tsv").open() as stream:
        return [row for row in csv.DictReader(stream, delimiter="\t") if row["family"] == "torch_trace_log"]


@pytest.mark.corpus
def test_corpus_logs_hold_the_payloads_that_were_counted(corpus: Path) -> None:
    """The manifest counts graph payloads by kind; its ``graph_dump``s are C++ sources, kept as artifacts, and it does not count
    the text of an exported program, which is read as a stage."""
    rows = _rows(corpus)
    assert len(rows) == 10
    for row in rows:
        log = trace_log.read_log(File.open(corpus / row["file"]))
        stages = [stage for compiled in log.compiles.values() for stage in compiled.stages]
        for stage in stages:
            assert verify(stage.load()) == (), (row["file"], stage.name)
        kinds = Counter(stage.pass_name for stage in stages)
        dumps = sum(name.startswith("inductor_aot_") for compiled in log.compiles.values() for name in compiled.artifacts)
        code = sum(name.startswith("inductor_output_code") for compiled in log.compiles.values() for name in compiled.artifacts)
        expected = Counter(json.loads(row["notes"])["kinds"])
        told = Counter({kind: kinds[kind] for kind in expected if kind not in ("graph_dump", "inductor_output_code")})
        assert told + Counter(graph_dump=dumps, inductor_output_code=code) == expected, row["file"]
        graphs = sum(kinds[kind] for kind in expected if kind != "exported_program")
        assert graphs + dumps == int(row["count"]), row["file"]
        for compiled in log.compiles.values():
            counted = compiled.metrics.get("graph_nodes")
            if isinstance(counted, Measured):
                assert compiled.stages[0].load().count() == counted.value


@pytest.mark.corpus
def test_a_corpus_log_keeps_the_readers_contract(corpus: Path) -> None:
    for parameters in reader_checks(corpus / "torch_trace_log/meta-pytorch+tlparse/inputs/export.log"):
        check, path = parameters.values
        check(path)
