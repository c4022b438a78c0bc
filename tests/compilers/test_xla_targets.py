"""Devices that are not here: their names, and what XLA makes of programs for them, against hand counts."""

from __future__ import annotations

import pytest

import graphlab
from graphlab.capture.xla.hlo_text import parse_hlo
from graphlab.compilers import xla, xla_targets
from graphlab.compilers.results import Absent, Compiled, Measured
from graphlab.errors import CompileError, MissingExtra

DENSE = """HloModule dense, entry_computation_layout={(f32[256,512]{1,0}, f32[512,128]{1,0})->f32[256,128]{1,0}}

ENTRY %main (x: f32[256,512], w: f32[512,128]) -> f32[256,128] {
  %x = f32[256,512]{1,0} parameter(0)
  %w = f32[512,128]{1,0} parameter(1)
  %xw = f32[256,128]{1,0} dot(%x, %w), lhs_contracting_dims={1}, rhs_contracting_dims={0}
  ROOT %out = f32[256,128]{1,0} multiply(%xw, %xw)
}
"""
FLOPS = 2 * 256 * 512 * 128 + 256 * 128
ARGUMENTS = 4 * (256 * 512 + 512 * 128)
OUTPUT = 4 * 256 * 128

SHARDED = """HloModule sharded, num_partitions=8, entry_computation_layout={(f32[1024,512]{1,0})->f32[]}

%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %s = f32[] add(%a, %b)
}

ENTRY %main (x: f32[1024,512]) -> f32[] {
  %x = f32[1024,512]{1,0} parameter(0), sharding={devices=[8,1]<=[8]}
  %zero = f32[] constant(0)
  ROOT %sum = f32[] reduce(%x, %zero), dimensions={0,1}, to_apply=%add, sharding={replicated}
}
"""

HUGE = """HloModule huge, entry_computation_layout={(f32[40000,70000]{1,0}, f32[40000,70000]{1,0})->f32[40000,70000]{1,0}}

ENTRY %main (x: f32[40000,70000], y: f32[40000,70000]) -> f32[40000,70000] {
  %x = f32[40000,70000]{1,0} parameter(0)
  %y = f32[40000,70000]{1,0} parameter(1)
  ROOT %out = f32[40000,70000]{1,0} add(%x, %y)
}
"""

here = pytest.mark.skipif(
    xla_targets.missing("tpu") is not None or xla_targets.missing("cuda") is not None, reason="needs the extras xla-tpu, xla-cuda"
)


def value(compiled: Compiled, name: str) -> float:
    metric = compiled.metrics[name]
    assert isinstance(metric, Measured), (name, metric)
    return metric.value


@pytest.mark.parametrize(
    ("name", "platform", "topology", "devices"),
    [
        ("cpu", "cpu", "", 0),
        ("tpu:v5e", "tpu", "v5e:1x1", 1),
        ("TPU:v5e:2x4", "tpu", "v5e:2x4", 8),
        ("tpu:v4:2x2x1", "tpu", "v4:2x2x1", 8),  # a v4 chip is two devices
        ("tpu:v7x", "tpu", "tpu7x:1x1x1", 2),
        ("cuda:h100", "cuda", "1x1x1", 1),
        ("cuda:h100:8", "cuda", "1x1x8", 8),
    ],
)
def test_a_target_is_a_platform_a_kind_and_a_number(name: str, platform: str, topology: str, devices: int) -> None:
    target = xla_targets.parse(name)
    assert (target.platform, target.topology, target.devices) == (platform, topology, devices)


@pytest.mark.parametrize(
    "name", ["", "gpu", "tpu", "tpu:v9", "cuda:h100:0", "cuda:h100:x", "tpu:v5e:2x2x1", "tpu:v5e:0x2", "cpu:2", "cuda"]
)
def test_what_is_no_target_is_refused(name: str) -> None:
    with pytest.raises(CompileError) as info:
        xla_targets.parse(name)
    assert info.value.reason == "failed"
    assert repr(name) in str(info.value)


def test_every_target_named_is_one() -> None:
    for name in xla.targets():
        assert xla_targets.parse(name).name == name


def test_a_compiler_that_is_not_installed_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xla_targets, "find_spec", lambda name: None if name == "libtpu" else object())
    assert xla_targets.missing("cpu") is None
    assert xla_targets.missing("tpu") == "pip install 'graphlab[xla-tpu]'"
    with pytest.raises(MissingExtra, match="xla-tpu"):
        graphlab.compile(parse_hlo(DENSE), target="tpu:v5e")


@pytest.mark.jax
@here
@pytest.mark.parametrize("target", ["tpu:v5e", "cuda:h100"])
def test_a_dense_layers_numbers_are_those_of_a_hand_count(target: str) -> None:
    compiled = graphlab.compile(parse_hlo(DENSE), target=target)
    assert value(compiled, "flops") == FLOPS
    assert value(compiled, "argument_bytes") == ARGUMENTS
    assert value(compiled, "output_bytes") == OUTPUT
    assert ARGUMENTS + OUTPUT <= value(compiled, "peak_bytes") <= value(compiled, "device_bytes")
    assert value(compiled, "bytes_accessed") >= ARGUMENTS + OUTPUT
    assert value(compiled, "optimal_seconds") > 0
    optimized = compiled.stages[-1].load()
    assert optimized.count() == value(compiled, "ops_after")
    assert any(node.op == "hlo.fusion" for _, node in optimized.each_node())


@pytest.mark.jax
@here
def test_a_gpus_time_is_its_roofline() -> None:
    compiled = graphlab.compile(parse_hlo(DENSE), target="cuda:a100")
    moved = value(compiled, "bytes_accessed")
    assert value(compiled, "optimal_seconds") == pytest.approx(max(FLOPS / 156e12, moved / 2039040000000))
    metric = compiled.metrics["optimal_seconds"]
    assert isinstance(metric, Measured)
    assert "bound from below" in metric.origin


@pytest.mark.jax
@here
@pytest.mark.parametrize("target", ["tpu:v5e:2x4", "cuda:h100:8"])
def test_a_sharded_program_ends_in_a_collective(target: str) -> None:
    compiled = graphlab.compile(parse_hlo(SHARDED), target=target)
    assert value(compiled, "collectives") == 1
    assert value(compiled, "argument_bytes") == 4 * 1024 * 512 / 8


@pytest.mark.jax
@here
def test_a_program_for_more_devices_than_the_target_has_is_refused() -> None:
    with pytest.raises(CompileError, match="made for 8 devices, and the target has 1") as info:
        graphlab.compile(parse_hlo(SHARDED), target="tpu:v5e")
    assert "tpu:v5e:2x4" in info.value.do


@pytest.mark.jax
@here
def test_a_program_that_does_not_fit_is_refused_in_xlas_words() -> None:
    with pytest.raises(CompileError, match="memory") as info:
        graphlab.compile(parse_hlo(HUGE), target="tpu:v5e")
    assert info.value.reason == "refused"


@pytest.mark.jax
@here
@pytest.mark.parametrize("target", ["tpu:v5e", "cuda:h100"])
def test_the_passes_are_stages_there_too(target: str) -> None:
    compiled = graphlab.compile(parse_hlo(DENSE), target=target, passes="algsimp|fusion")
    passes = {stage.pass_name for stage in compiled.stages}
    assert "algsimp" in passes or any("fusion" in name for name in passes)
    assert all(isinstance(stage.load().count(), int) for stage in compiled.stages)


def test_the_cpu_has_no_performance_model() -> None:
    pytest.importorskip("jaxlib")
    assert isinstance(graphlab.compile(parse_hlo(DENSE)).metrics["optimal_seconds"], Absent)
