"""Parts of torch that it does not promise to keep: seen in torch 2.13; named when they are gone."""

from __future__ import annotations

import importlib

import pytest

from graphlab.errors import CompileError

pytest.importorskip("torch")
import torch

from graphlab.compilers import torchscript_torch

pytestmark = pytest.mark.torch


def test_they_are_there_in_the_torch_they_were_seen_in() -> None:
    assert torchscript_torch.SEEN_IN == "2.13"
    importlib.reload(torchscript_torch)


def test_when_one_is_gone_the_error_names_it_and_torchs_version() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(torch._C, "_jit_pass_inline")
        with pytest.raises(CompileError, match="_jit_pass_inline") as info:
            importlib.reload(torchscript_torch)
    assert torch.__version__ in str(info.value)
    importlib.reload(torchscript_torch)


def test_inline_puts_bodies_in_place_of_calls() -> None:
    graph = torch.jit.script(torch.nn.Sequential(torch.nn.ReLU())).graph
    torchscript_torch.inline(graph)
    assert [node.kind() for node in graph.nodes() if node.kind() == "prim::CallMethod"] == []


def test_sizes_of_the_export_at_other_values_of_its_symbols() -> None:
    class Same(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + 1

    half = torch.export.Dim("half", max=4)
    for length, other in ((6, 8), (8, 6)):  # up where there is room, else down
        program = torch.export.export(Same(), (torch.ones(length, 3),), dynamic_shapes={"x": {0: 2 * half}})
        (placeholder,) = (node for node in program.graph.nodes if node.op == "placeholder")
        shape = placeholder.meta["val"].shape
        assert [torchscript_torch.size_at(size, 0) for size in shape] == [length, 3]
        assert [torchscript_torch.size_at(size, 1) for size in shape] == [other, 3]


def test_operators_are_found_as_functions_of_c_that_keep_sizes() -> None:
    assert torchscript_torch.function_of(torch.ops.aten.view.default) is torch._C.TensorBase.view
    assert torchscript_torch.function_of(torch.ops.aten.arange.default) is torch._C._VariableFunctions.arange
    assert torchscript_torch.function_of(torch.ops.prims.iota.default) is None
