"""Exported programs made into TorchScript: exact at other sizes too, or refused by name."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest

import graphlab
from graphlab.analyzers import compile_results
from graphlab.compilers import torchscript
from graphlab.compilers.results import Absent, Compiled, Measured
from graphlab.errors import CompileError

pytest.importorskip("torch")
import torch
from torch.export import Dim, ExportedProgram

from graphlab.compilers import torchscript_export, torchscript_torch

pytestmark = pytest.mark.torch

Tensors = tuple[torch.Tensor, ...]


class Attends(torch.nn.Module):
    """Sizes go through views, arithmetic, slices and new tensors; a part of it runs without gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)
        self.places = torch.nn.Parameter(torch.arange(512.0).reshape(64, 8))
        self.register_buffer("scale", torch.full((8,), 0.5))
        self.weights = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])

    def forward(self, x: torch.Tensor) -> dict[str, Any]:
        batch, length, width = x.shape
        x = x + self.places[:batch, None] * torch.sin(self.scale)
        heads = x.view(batch, length, 2, width // 2).transpose(1, 2).reshape(batch * 2, -1)
        attended, _ = self.attention(x, x, x)
        with torch.no_grad():
            flat = attended.reshape(batch * length, -1).reshape(batch, length, -1) * self.weights
        backwards = torch.arange(batch - 1, -1, -1)
        return {"heads": heads, "both": (attended + flat, x[backwards]), "ones": x.new_ones((batch, 3)).cumsum(0), "mean": x.sum() / batch}


class Recurrent(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = torch.nn.LSTM(4, 6, 2, batch_first=True, bidirectional=True)

    def forward(self, x: torch.Tensor) -> Tensors:
        y, (h, _) = self.lstm(x)
        return y, h


class Convolves(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 3)
        self.norm = torch.nn.BatchNorm2d(8)
        self.linear = torch.nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu_(self.norm(self.conv(x)))
        return self.linear(torch.flatten(torch.nn.functional.adaptive_avg_pool2d(x, 1), 1))


def leaves(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, dict):
        value = tuple(value.values())
    for each in value if isinstance(value, (tuple, list)) else (value,):
        yield from leaves(each) if isinstance(each, (tuple, list, dict)) else (each,)


def assert_equal(traced: Any, program: ExportedProgram, *inputs: torch.Tensor) -> None:
    for ours, theirs in zip(traced(*inputs), leaves(program.module()(*inputs)), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    ("model", "example", "others"),
    [
        (Attends(), (3, 5, 8), [(2, 5, 8), (7, 5, 8), (64, 5, 8)]),
        (Recurrent(), (2, 5, 4), [(6, 5, 4), (3, 5, 4)]),
        (Convolves(), (2, 3, 8, 8), [(5, 3, 8, 8), (64, 3, 8, 8)]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, torch.nn.Module) else None,
)
def test_the_trace_computes_what_the_program_does_at_sizes_it_was_not_traced_at(
    model: torch.nn.Module, example: tuple[int, ...], others: list[tuple[int, ...]]
) -> None:
    program = torch.export.export(model.eval(), (torch.randn(example),), dynamic_shapes={"x": {0: Dim("batch", max=64)}})
    traced = torchscript_export.trace(program, asked="trace it")
    for shape in others:
        assert_equal(traced, program, torch.randn(shape))


def test_plain_tracing_of_the_same_program_loses_its_sizes() -> None:
    """What the module is for: were this to pass one day, torch.jit.trace alone would do."""
    program = torch.export.export(
        Attends().eval().requires_grad_(False), (torch.randn(3, 5, 8),), dynamic_shapes={"x": {0: Dim("batch", max=64)}}
    )
    module = program.module(check_guards=False)
    module._forward_pre_hooks.clear()  # they check the input's sizes, and fail while torch traces
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(lambda x: module(x)["both"][0], (torch.randn(3, 5, 8),), check_trace=False)
    with pytest.raises(RuntimeError, match=r"invalid for input of size|must match the size"):
        traced(torch.randn(7, 5, 8))


class Named(torch.nn.Module):
    def forward(self, x: torch.Tensor, *, factor: float, parts: dict[str, torch.Tensor]) -> torch.Tensor:
        return x * factor + parts["b"] - parts["a"]


def test_inputs_are_flat_and_constants_among_them_are_left_out() -> None:
    x, a, b = torch.ones(2), torch.full((2,), 3.0), torch.full((2,), 10.0)
    program = torch.export.export(Named(), (x,), {"parts": {"a": a, "b": b}, "factor": 2.0})
    (result,) = torchscript_export.trace(program, asked="trace it")(x, a, b)
    assert result.tolist() == [9.0, 9.0]


class Counts(torch.nn.Module):
    """Training: the batch norm's statistics and a counter are written."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(4)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.norm(x) + self.calls


def test_program_and_random_state_are_left_as_they_were_and_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    program = torch.export.export(Counts(), (torch.randn(3, 4),), dynamic_shapes={"x": {0: Dim("batch")}})
    text, before = str(program), {name: held.clone() for name, held in program.state_dict.items()}
    random = torch.get_rng_state()
    capfd.readouterr()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torchscript_export.trace(program, asked="trace it")
    assert capfd.readouterr() == ("", "")
    assert str(program) == text
    assert torch.equal(torch.get_rng_state(), random)
    assert before.keys() == program.state_dict.keys()
    assert all(torch.equal(held, program.state_dict[name]) for name, held in before.items())


class Branches(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = torch.cond(x.sum() > 0, lambda x: x + 1, lambda x: x - 1, (x,))
        return result


class Nonzero(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.nonzero() * 2


class Grows(torch.nn.Module):
    """``sym_max`` makes a plain number of a traced size."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.sym_max(x.shape[0], 4)


@pytest.mark.parametrize(
    ("model", "dynamic", "op"),
    [(Branches(), False, "higher_order.cond"), (Nonzero(), False, "aten.nonzero.default"), (Grows(), True, "sym_max")],
)
def test_what_a_trace_would_lose_is_refused_by_name(model: torch.nn.Module, dynamic: bool, op: str) -> None:
    program = torch.export.export(model, (torch.ones(3),), dynamic_shapes={"x": {0: Dim("n")}} if dynamic else None)
    captured = graphlab.capture(program)
    assert torchscript.takes(captured)
    with pytest.raises(CompileError, match=op) as info:
        graphlab.compile(captured, compiler="torchscript")
    assert (info.value.reason, info.value.step, info.value.ops) == ("refused", "trace", (op,))
    named = [captured.node(ref).op for ref in compile_results.failure(captured, info.value, compiler="torchscript").nodes]
    assert dynamic or named == [op]


class Widens(torch.nn.Module):
    """A number leaves int32 as it is; a tensor of int64, as the tracer has its sizes, makes int64 of a scalar."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.sum(dtype=torch.int32) + x.shape[0]


def test_a_size_that_would_change_a_result_s_type_is_refused() -> None:
    program = torch.export.export(Widens(), (torch.ones(3, dtype=torch.int32),), dynamic_shapes={"x": {0: Dim("n")}})
    with pytest.raises(CompileError, match=r"loses the size that aten\.add"):
        torchscript_export.trace(program, asked="trace it")


def test_a_trace_that_keeps_the_example_s_size_is_found_by_the_second_one(monkeypatch: pytest.MonkeyPatch) -> None:
    program = torch.export.export(Attends().eval(), (torch.randn(3, 5, 8),), dynamic_shapes={"x": {0: Dim("batch", max=64)}})
    monkeypatch.setattr(torchscript_torch, "function_of", lambda op: lambda *args, **kwargs: op(*_numbers(args), **kwargs))
    with pytest.raises(CompileError, match="keeps a size of the example's"):
        torchscript_export.trace(program, asked="trace it")


def _numbers(value: Any) -> Any:
    """Traced sizes as plain numbers, as an operator takes them."""
    if isinstance(value, (tuple, list)):
        return type(value)(_numbers(each) for each in value)
    return int(value) if isinstance(value, torch.Tensor) and value.dim() == 0 else value


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    model = Convolves().eval()
    return graphlab.compile(graphlab.capture(model, (torch.randn(2, 3, 8, 8),), method="export"))


def test_an_exported_program_is_compiled_from_its_trace_and_the_log_says_so(compiled: Compiled) -> None:
    assert compiled.log == "graphlab: the TorchScript is traced from the exported graph.\n"
    assert [s.name for s in compiled.stages] == ["input", "inline", "freeze", "run_frozen_optimizations", "optimize_for_inference"]
    assert isinstance(compiled.metrics["lowering_seconds"], Measured)
    first, last = compiled.stages[0].load(), compiled.stages[3].load()
    assert first.op_counts()["aten::batch_norm"] == 1
    assert "aten::batch_norm" not in last.op_counts()
    assert all(graphlab.verify(stage.load()) == () for stage in compiled.stages)


def test_stages_keep_the_user_s_lines(compiled: Compiled) -> None:
    lines = Convolves.forward.__code__.co_firstlineno
    for stage in compiled.stages[:3]:
        program = stage.load()
        places = {node.op: program.frame(node) for _, node in program.each_node()}
        frame = places["aten::batch_norm"]
        assert frame is not None
        assert (frame.file, frame.line, frame.function) == (__file__, lines + 1, "forward")


def test_tensors_have_their_types_from_the_trace(compiled: Compiled) -> None:
    program = compiled.stages[0].load()
    (conv,) = (node for _, node in program.each_node() if node.op == "aten::_convolution")
    assert str(conv.outputs[0]) == "f32[2,8,6,6]"


def test_parameters_keep_their_names(compiled: Compiled) -> None:
    program = compiled.stages[1].load()
    names = {node.name for _, node in program.each_node() if node.kind == "parameter"}
    assert {"conv.weight", "linear.bias", "norm.running_mean"} <= names


def test_a_graph_module_is_scripted() -> None:
    captured = graphlab.capture(torch.fx.symbolic_trace(Convolves().eval()), method="fx")
    assert torchscript.takes(captured)
    compiled = graphlab.compile(captured)
    assert "scripted from the graph module's code" in compiled.log
    assert compiled.stages[0].load().op_counts()["aten::conv2d"] == 1
    assert "aten::batch_norm" not in compiled.stages[-1].load().op_counts()


def test_what_is_torchscript_already_needs_no_lowering() -> None:
    compiled = graphlab.compile(graphlab.capture(torch.nn.ReLU(), (torch.ones(1),), method="jit.script"))
    assert isinstance(compiled.metrics["lowering_seconds"], Absent)
