"""XLA on the CPU: numbers against XLA's own in this process and against hand counts; refusals, crashes, limits."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import graphlab
from graphlab.capture.xla.hlo_text import parse_hlo
from graphlab.compilers import xla, xla_targets
from graphlab.compilers.results import Absent, Compiled, Measured
from graphlab.errors import CompileError, MissingExtra
from graphlab.ir.program import Program, Source

pytestmark = pytest.mark.jax
jax = pytest.importorskip("jax")

DENSE = """HloModule dense, entry_computation_layout={(f32[4,8]{1,0}, f32[8,16]{1,0}, f32[16]{0})->f32[4,16]{1,0}}

ENTRY %main (x: f32[4,8], w: f32[8,16], b: f32[16]) -> f32[4,16] {
  %x = f32[4,8]{1,0} parameter(0)
  %w = f32[8,16]{1,0} parameter(1)
  %b = f32[16]{0} parameter(2)
  %xw = f32[4,16]{1,0} dot(%x, %w), lhs_contracting_dims={1}, rhs_contracting_dims={0}
  %bs = f32[4,16]{1,0} broadcast(%b), dimensions={1}
  %sum = f32[4,16]{1,0} add(%xw, %bs)
  %two = f32[] constant(2)
  %three = f32[] constant(3)
  %five = f32[] add(%two, %three)
  %fives = f32[4,16]{1,0} broadcast(%five), dimensions={}
  ROOT %out = f32[4,16]{1,0} multiply(%sum, %fives)
}
"""

TWO_SHARDING_OPERANDS = """HloModule crash
ENTRY %main (x: f32[4], y: f32[4]) -> f32[4] {
  %x = f32[4]{0} parameter(0)
  %y = f32[4]{0} parameter(1)
  ROOT %s = f32[4]{0} custom-call(%x, %y), custom_call_target="Sharding", sharding={replicated}
}
"""


def measured(compiled: Compiled, name: str) -> float:
    metric = compiled.metrics[name]
    assert isinstance(metric, Measured), metric
    return metric.value


@pytest.fixture(scope="module")
def dense() -> Compiled:
    return graphlab.compile(parse_hlo(DENSE), compiler="xla", passes=".*")


def test_it_takes_hlo_text_and_not_a_program_without_its_artifact() -> None:
    program = parse_hlo(DENSE)
    assert xla.takes(program)
    assert not xla.takes(Program(program.graphs, program.entry, Source("jax", "jaxpr")))


STABLEHLO = """module @dense {
  func.func public @main(%x: tensor<4x8xf32>, %w: tensor<8x16xf32>) -> tensor<4x16xf32> {
    %0 = stablehlo.dot_general %x, %w, contracting_dims = [1] x [0] : (tensor<4x8xf32>, tensor<8x16xf32>) -> tensor<4x16xf32>
    return %0 : tensor<4x16xf32>
  }
}
"""


def test_it_takes_stablehlo_text(tmp_path: Path) -> None:
    path = tmp_path / "dense.mlir"
    path.write_text(STABLEHLO)
    assert measured(graphlab.compile(graphlab.load(path)), "flops") == 2 * 4 * 8 * 16


def test_it_takes_what_jax_exports(tmp_path: Path) -> None:
    exported = jax.export.export(jax.jit(lambda x, w: x @ w))(
        jax.ShapeDtypeStruct((4, 8), "float32"), jax.ShapeDtypeStruct((8, 16), "float32")
    )
    path = tmp_path / "dense.bin"
    path.write_bytes(exported.serialize())
    assert measured(graphlab.compile(graphlab.load(path)), "flops") == 2 * 4 * 8 * 16


def test_stablehlo_that_mlir_does_not_take_is_refused_in_its_words(tmp_path: Path) -> None:
    path = tmp_path / "bad.mlir"
    path.write_text(
        STABLEHLO.replace("tensor<4x16xf32>\n    return", "tensor<5x16xf32>\n    return").replace("%0 : tensor<4x16", "%0 : tensor<5x16")
    )
    with pytest.raises(CompileError) as info:
        graphlab.compile(graphlab.load(path))
    assert info.value.reason == "refused"


def test_flops_of_a_dense_layer_are_the_hand_count(dense: Compiled) -> None:
    assert measured(dense, "flops") == 2 * 4 * 8 * 16 + 4 * 16 + 4 * 16


def test_argument_and_output_bytes_are_those_of_the_types(dense: Compiled) -> None:
    assert measured(dense, "argument_bytes") == 4 * (4 * 8 + 8 * 16 + 16)
    assert measured(dense, "output_bytes") == 4 * 4 * 16
    assert measured(dense, "alias_bytes") == 0


def test_what_xla_cannot_tell_for_the_cpu_is_absent(dense: Compiled) -> None:
    assert isinstance(dense.metrics["code_bytes"], Absent)
    assert isinstance(dense.metrics["optimal_seconds"], Absent)
    assert isinstance(dense.metrics["lowering_seconds"], Absent)


def test_every_metric_is_documented_in_its_unit(dense: Compiled) -> None:
    for name, metric in dense.metrics.items():
        unit, meaning = xla.METRICS[name.partition(".")[0]]
        assert meaning
        assert isinstance(metric, Absent) or metric.unit == unit, name


def test_counts_are_those_of_the_stages_as_our_reader_reads_them(dense: Compiled) -> None:
    first, last = dense.stages[0].load(), dense.stages[-1].load()
    assert measured(dense, "ops_before") == first.count() == 11
    assert measured(dense, "ops_after") == last.count()
    fusions = [node for node in last.main.each_node() if node.op == "hlo.fusion"]
    assert measured(dense, "fusions") == len(fusions) > 0


def test_the_input_stage_of_a_file_is_the_program_itself() -> None:
    program = parse_hlo(DENSE)
    compiled = graphlab.compile(program, compiler="xla")
    assert compiled.stages[0].load() is program
    assert [stage.name for stage in compiled.stages] == ["input", "imported", "optimized"]
    assert not compiled.artifacts


def test_passes_stand_in_the_order_xla_ran_them_and_each_changed_something(dense: Compiled) -> None:
    names = [stage.name for stage in dense.stages]
    assert names[0] == "input"
    assert names[-1] == "optimized"
    orders = [int(name.partition(".")[0]) for name in names[2:-1]]
    assert orders == sorted(set(orders))
    passes = [stage.pass_name for stage in dense.stages]
    assert passes.index("dot-library-rewriter") < passes.index("fusion")


def test_what_the_import_folds_is_a_stage_of_its_own(dense: Compiled) -> None:
    assert [stage.pass_name for stage in dense.stages[:2]] == ["", "import"]
    given, imported = (stage.load().op_counts() for stage in dense.stages[:2])
    assert given["hlo.add"] - imported["hlo.add"] == 1


def test_every_stage_is_sound(dense: Compiled) -> None:
    for stage in dense.stages:
        assert graphlab.verify(stage.load()) == (), stage.name


def test_xlas_other_dumps_are_artifacts_that_live_as_long_as_the_result() -> None:
    compiled = graphlab.compile(parse_hlo(DENSE), compiler="xla", passes=".*")
    (report,) = (path for name, path in compiled.artifacts.items() if name.endswith("memory-usage-report.txt"))
    assert isinstance(report, Path)
    assert report.read_text()
    del compiled
    assert not report.exists()


def test_a_refusal_is_in_xlas_own_words() -> None:
    fused = """HloModule fused
%f (p: f32[4]) -> f32[4] {
  %p = f32[4]{0} parameter(0)
  ROOT %n = f32[4]{0} negate(%p)
}
ENTRY %main (x: f32[4]) -> f32[4] {
  %x = f32[4]{0} parameter(0)
  ROOT %r = f32[4]{0} fusion(%x), kind=kCustom, calls=%f
}
"""
    with pytest.raises(CompileError, match="Fusion must have backend config") as info:
        graphlab.compile(parse_hlo(fused), compiler="xla")
    assert info.value.reason == "refused"


def test_a_crash_of_xla_names_the_pass() -> None:
    with pytest.raises(CompileError, match="in pass ShardingRemover") as info:
        graphlab.compile(parse_hlo(TWO_SHARDING_OPERANDS), compiler="xla")
    assert info.value.reason == "crashed"
    assert info.value.step == "compile"
    assert "SIGABRT" in info.value.found
    assert "exactly one operand" in info.value.found


def test_the_limits_of_the_options_hold() -> None:
    with pytest.raises(CompileError, match="longer than") as info:
        graphlab.compile(parse_hlo(DENSE), compiler="xla", time_limit=0.01)
    assert info.value.reason == "timeout"


def test_an_unknown_target_is_refused_with_those_there_are() -> None:
    with pytest.raises(CompileError, match=r"choose from cpu, tpu:v2.*cuda:h100"):
        graphlab.compile(parse_hlo(DENSE), compiler="xla", target="tpu:v9")


def test_without_jaxlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xla_targets, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"graphlab\[jax\]"):
        graphlab.compile(parse_hlo(DENSE), compiler="xla")


def test_a_jax_py_in_the_users_folder_shadows_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("jax", "jaxlib", "types", "numpy"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('shadowed')")
    monkeypatch.chdir(tmp_path)
    assert measured(graphlab.compile(parse_hlo(DENSE), compiler="xla"), "kernels") > 0


def test_elided_constants_are_spoken_of() -> None:
    text = "HloModule m\nENTRY %e () -> f32[64] {\n  ROOT %c = f32[64]{0} constant({...})\n}\n"
    assert "elided" in graphlab.compile(parse_hlo(text), compiler="xla").log


def test_a_module_for_several_devices_is_partitioned() -> None:
    text = """HloModule sharded, num_partitions=4
ENTRY %e (x: f32[8,4]) -> f32[] {
  %x = f32[8,4]{1,0} parameter(0), sharding={devices=[4,1]<=[4]}
  %zero = f32[] constant(0)
  ROOT %r = f32[] reduce(%x, %zero), dimensions={0,1}, to_apply=%add, sharding={replicated}
}
"""
    add = "%add (a: f32[], b: f32[]) -> f32[] {\n  %a = f32[] parameter(0)\n  %b = f32[] parameter(1)\n  ROOT %s = f32[] add(%a, %b)\n}\n"
    head, entry = text.split("\n", 1)
    compiled = graphlab.compile(parse_hlo(f"{head}\n{add}{entry}"), compiler="xla")
    assert measured(compiled, "collectives") == 1
    assert measured(compiled, "argument_bytes") == 8 * 4 * 4 / 4


# --- JAX


def gelu_layer(x: Any, w: Any) -> Any:
    return jax.nn.gelu(x @ w)


def looped(x: Any) -> Any:
    return jax.lax.while_loop(lambda s: s[0] < 7, lambda s: (s[0] + 1, s[1] * 2), (0, x))[1]


def scanned(x: Any) -> Any:
    return jax.lax.scan(lambda c, row: (c + row, c * row), x[0], x)


FUNCTIONS = {
    "gelu_layer": (gelu_layer, ((4, 8), (8, 16))),
    "looped": (looped, ((4, 4),)),
    "scanned": (scanned, ((6, 4),)),
}


@pytest.fixture(scope="module", params=FUNCTIONS)
def both(request: pytest.FixtureRequest) -> tuple[Compiled, Any]:
    """A function compiled by graphlab, and by JAX in this process."""
    function, shapes = FUNCTIONS[request.param]
    args = tuple(jax.numpy.ones(shape) for shape in shapes)
    jitted = jax.jit(function)
    return graphlab.compile(graphlab.capture(jitted, args), compiler="xla"), jitted.lower(*args).compile()


def test_costs_are_jaxs_own(both: tuple[Compiled, Any]) -> None:
    ours, theirs = both
    cost = theirs.cost_analysis()
    for name, key in (("flops", "flops"), ("transcendentals", "transcendentals"), ("bytes_accessed", "bytes accessed")):
        assert measured(ours, name) == cost.get(key, 0.0), name


def test_memory_is_jaxs_own(both: tuple[Compiled, Any]) -> None:
    ours, theirs = both
    memory = theirs.memory_analysis()
    for name in ("argument", "output", "alias", "temp"):
        assert measured(ours, f"{name}_bytes") == getattr(memory, f"{name}_size_in_bytes"), name
    assert measured(ours, "peak_bytes") == memory.peak_memory_in_bytes


def test_the_optimized_module_is_the_one_jax_runs(both: tuple[Compiled, Any]) -> None:
    ours, theirs = both
    (module,) = theirs.runtime_executable().hlo_modules()
    assert ours.stages[-1].load().op_counts() == parse_hlo(module.to_string()).op_counts()


def test_a_loop_says_that_its_body_counts_once() -> None:
    compiled = graphlab.compile(graphlab.capture(jax.jit(looped), (jax.numpy.ones((4, 4)),)), compiler="xla")
    metric = compiled.metrics["flops"]
    assert isinstance(metric, Measured)
    assert "body counts once" in metric.origin
    assert metric.value == 4 * 4 + 1 + 1  # multiply, count, compare


def test_a_users_line_reaches_the_optimized_program() -> None:
    compiled = graphlab.compile(graphlab.capture(jax.jit(gelu_layer), (jax.numpy.ones((4, 8)), jax.numpy.ones((8, 16)))), compiler="xla")
    program = compiled.stages[-1].load()
    (dot,) = (node for _, node in program.each_node() if node.op == "hlo.dot")
    frame = program.frame(dot)
    assert frame is not None
    assert Path(frame.file).name == Path(__file__).name
    assert frame.line == gelu_layer.__code__.co_firstlineno + 1


def test_lapack_and_callbacks_compile_as_custom_calls() -> None:
    def solve(x: Any) -> Any:
        return jax.numpy.linalg.cholesky(x) + jax.pure_callback(lambda a: a, jax.ShapeDtypeStruct((4, 4), "float32"), x)

    compiled = graphlab.compile(graphlab.capture(jax.jit(solve), (jax.numpy.eye(4),)), compiler="xla")
    assert measured(compiled, "custom_calls") == 2


# --- the corpus


@pytest.mark.corpus
def test_modules_of_the_corpus_compile_or_are_refused_by_xla_itself() -> None:
    corpus = os.environ.get("GRAPHLAB_CORPUS")
    if corpus is None:
        pytest.skip("GRAPHLAB_CORPUS is not set")
    files = sorted(Path(corpus, "hlo_text").rglob("*.hlo"), key=lambda path: (path.stat().st_size, path))[:240:20]
    outcomes = {"compiled": 0, "refused": 0, "crashed": 0}
    for path in files:
        try:
            program = parse_hlo(path.read_text(), path=str(path))
        except graphlab.FormatError:
            continue
        if not xla.takes(program):  # several modules: one would have to be selected
            continue
        try:
            compiled = graphlab.compile(program, compiler="xla", time_limit=120)
        except CompileError as error:
            outcomes[error.reason] += 1  # any other reason is ours: a KeyError
        else:
            assert compiled.stages[-1].load().count() == measured(compiled, "ops_after"), path
            outcomes["compiled"] += 1
    assert outcomes["compiled"] >= len(files) // 3, outcomes
