"""TorchScript's passes in a child: what freeze folds, what the later passes merge, and what is refused."""

from __future__ import annotations

import pytest

import graphlab
from graphlab.compilers import torchscript
from graphlab.compilers.results import Absent, Compiled, Measured
from graphlab.errors import CompileError

pytest.importorskip("torch")
import torch

pytestmark = pytest.mark.torch


class Folds(torch.nn.Module):
    """sin(table) + 1 depends on a buffer alone; the batch norm can be merged into the convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 3)
        self.norm = torch.nn.BatchNorm2d(8)
        self.register_buffer("table", torch.ones(8, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = torch.sin(self.table) + 1
        return torch.relu(self.norm(self.conv(x))).mean((2, 3)) @ weight


def _plain(x: torch.Tensor) -> torch.Tensor:
    return x + 1


_plain.__annotations__.update({"x": torch.Tensor, "return": torch.Tensor})  # TorchScript reads no text


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    model = Folds()
    program = graphlab.capture(model, (torch.ones(2, 3, 8, 8),), method="jit.script")
    result = graphlab.compile(program)
    assert model.training, "the caller's module is left as it was"
    return result


def measured(compiled: Compiled, name: str) -> float:
    metric = compiled.metrics[name]
    assert isinstance(metric, Measured)
    return metric.value


def ops(compiled: Compiled, stage: str) -> dict[str, int]:
    (program,) = (s.load() for s in compiled.stages if s.name == stage)
    return dict(program.op_counts())


def test_it_takes_modules_by_every_method_but_no_scripted_function() -> None:
    x = torch.ones(2, 3, 8, 8)
    for method in ("jit.script", "jit.trace", "export", "fx"):
        assert torchscript.takes(graphlab.capture(Folds().eval(), (x,), method=method)), method
    assert not torchscript.takes(graphlab.capture(torch.jit.script(_plain)))


def test_freeze_folds_what_depends_on_a_buffer_alone(compiled: Compiled) -> None:
    assert ops(compiled, "inline")["aten::sin"] == 1
    assert "aten::sin" not in ops(compiled, "freeze")
    assert ops(compiled, "freeze")["aten::batch_norm"] == 1


def test_frozen_optimizations_merge_the_batch_norm_into_the_convolution(compiled: Compiled) -> None:
    assert "aten::batch_norm" not in ops(compiled, "run_frozen_optimizations")
    assert ops(compiled, "run_frozen_optimizations")["aten::conv2d"] == 1


def test_stages_are_in_order_timed_and_sound(compiled: Compiled) -> None:
    assert [s.name for s in compiled.stages] == ["input", "inline", "freeze", "run_frozen_optimizations", "optimize_for_inference"]
    for stage in compiled.stages[1:]:
        assert stage.seconds is not None
        assert graphlab.verify(stage.load()) == (), stage.name


def test_counts_are_torchs_own(compiled: Compiled) -> None:
    module = torch.jit.script(Folds().eval())
    frozen = torch.jit.freeze(module, optimize_numerics=False)
    expected = sum(1 for node in frozen.graph.nodes() if node.kind() != "prim::Constant")
    assert measured(compiled, "ops_frozen") == expected == 5  # conv2d, batch_norm, relu, mean, matmul
    assert measured(compiled, "folded_ops") == measured(compiled, "ops_before") - expected > 0


def test_constant_bytes_before_are_those_of_parameters_and_buffers(compiled: Compiled) -> None:
    model = Folds()
    held = sum(t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers()))
    assert measured(compiled, "constant_bytes_before") == held


def test_every_metric_is_documented_in_its_unit(compiled: Compiled) -> None:
    assert compiled.metrics.keys() == torchscript.METRICS.keys()
    for name, metric in compiled.metrics.items():
        assert isinstance(metric, Absent) == (name == "lowering_seconds"), "scripted code needs no lowering"
        assert isinstance(metric, Absent) or torchscript.METRICS[name][0] == metric.unit


def test_training_mode_is_spoken_of(compiled: Compiled) -> None:
    assert "training mode" in compiled.log


def test_a_module_in_eval_mode_needs_no_word() -> None:
    program = graphlab.capture(torch.nn.Linear(2, 2).eval(), (torch.ones(1, 2),), method="jit.script")
    assert "training" not in graphlab.compile(program).log


def _python(x: torch.Tensor) -> torch.Tensor:
    return x


# TorchScript does not resolve an ignored function's annotations where they are text.
_python.__annotations__.update({"x": torch.Tensor, "return": torch.Tensor})
ignored = torch.jit.ignore(_python)


class CallsPython(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return ignored(x)


def test_a_module_that_cannot_be_saved_is_refused_in_torchs_words() -> None:
    program = graphlab.capture(CallsPython().eval(), (torch.ones(1),), method="jit.script")
    with pytest.raises(CompileError, match="Could not export Python function call") as info:
        graphlab.compile(program, compiler="torchscript")
    assert info.value.step == "save"
