"""GraphModule → Program, and symbolic tracing."""

from __future__ import annotations

from typing import Any

import pytest

from graphlab.capture.inputs import as_inputs
from graphlab.capture.torch import capture
from graphlab.errors import CaptureError
from graphlab.ir.frozen import frozen
from graphlab.ir.graph import Operand
from graphlab.ir.values import OpaqueType, SymDim, TensorType, TupleType
from graphlab.ir.verify import verify

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

import torch  # noqa: E402
from torch import nn  # noqa: E402


class Inner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.norm = nn.BatchNorm1d(2)

    def forward(self, x: Any) -> Any:
        return nn.functional.dropout(self.norm(self.linear(x)), 0.1, False)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Inner()
        self.drop = nn.Dropout()
        self.weight = nn.Parameter(torch.ones(2))
        self.register_buffer("kept", torch.ones(2))
        self.plain = torch.ones(1)

    def forward(self, x: Any, y: Any = None, *, k: int = 3) -> Any:
        a, b = (self.drop(self.inner(x)) + x).split(1, 1)
        joined = torch.cat([torch.relu(a).view(-1)[0:1], b[0]], dim=0)
        return {"sum": joined + self.weight * self.kept + self.plain, "n": k}


class Loops(nn.Module):
    def forward(self, x: Any) -> Any:
        for i in range(x.size(1)):  # the line fx stumbles on
            x = x + i
        return x


class _GraphModulesAreLeaves(torch.fx.Tracer):
    def is_leaf_module(self, m: Any, module_qualified_name: str) -> bool:
        return isinstance(m, torch.fx.GraphModule) or bool(super().is_leaf_module(m, module_qualified_name))


@pytest.fixture(scope="module")
def program() -> Any:
    return capture(Model(), as_inputs("f32[3,2]"), method="fx")


def test_every_node_and_use_is_there(program: Any, fx_count: Any) -> None:
    assert verify(program) == ()
    assert (program.count(), program.main.number_of_edges()) == fx_count(program.native)


def test_a_leaf_module_is_one_operation_with_its_settings(program: Any) -> None:
    linear = program.main.node("inner_linear")
    assert linear.op == "torch.nn.modules.linear.Linear"
    assert (linear.scope, linear.name, linear.canonical) == ("inner/linear", "inner.linear", "Gemm")
    assert (linear.attrs["in_features"], linear.attrs["out_features"]) == (2, 2)


def test_only_what_is_in_training_draws_or_writes(program: Any) -> None:
    effects = {n.id: n.effects for n in program.main.each_node() if n.effects}
    assert effects == {"inner_norm": ("writes_state",), "drop": ("random",)}
    evaluated = capture(Model().eval(), None, method="fx")
    assert not [n for n in evaluated.main.each_node() if n.effects]


def test_attributes_are_told_apart(program: Any) -> None:
    held = {n.name: (n.kind, n.attrs["role"]) for n in program.main.each_node() if n.op == "get_attr"}
    assert held == {"weight": ("parameter", "parameter"), "kept": ("parameter", "buffer"), "plain": ("constant", "constant")}


def test_lists_and_slices_keep_their_structure(program: Any) -> None:
    assert program.main.node("cat").attrs == frozen(args=((Operand(0), Operand(1)),), dim=0)
    assert program.main.node("getitem_2").attrs["index"] == frozen(slice=(0, 1, None))
    assert program.main.node("split").op == "method.split"


def test_the_example_types_every_node(program: Any) -> None:
    assert program.main.node("inner_linear").outputs == (TensorType("float32", (3, 2)),)
    assert program.main.node("split").outputs == (TupleType((TensorType("float32", (3, 1)),) * 2),)


def test_without_an_example_of_known_size_types_stay_unknown() -> None:
    for inputs in (None, as_inputs(TensorType("float32", (SymDim("batch"), 2)))):
        program = capture(Model(), inputs, method="fx")
        assert program.main.node("inner_linear").outputs == (OpaqueType("unknown"),)


def test_running_the_example_changes_nothing() -> None:
    model = Model()
    state = torch.random.get_rng_state()
    capture(model, as_inputs("f32[3,2]"), method="fx")
    assert model.inner.norm.num_batches_tracked == 0
    assert torch.equal(state, torch.random.get_rng_state())


def test_nodes_know_their_line(program: Any) -> None:
    frame = program.frame(program.main.node("relu"))
    with open(__file__, encoding="utf-8") as stream:
        assert "torch.relu(a)" in stream.readlines()[frame.line - 1]
    assert frame.file == __file__


def test_a_graph_module_in_a_graph_module_is_one_region_for_all_its_calls(fx_count: Any) -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch.fx.symbolic_trace(Inner())

        def forward(self, x: Any) -> Any:
            return self.inner(self.inner(x=x))

    outer = Outer()
    program = capture(torch.fx.GraphModule(outer, _GraphModulesAreLeaves().trace(outer)), None, method="fx")
    assert verify(program) == ()
    assert program.count() == fx_count(program.native)[0]
    assert list(program.graphs) == ["main", "inner"]
    assert [n.calls["call"].operands for n in program.main.each_node() if n.calls] == [(0,), (0,)]


def test_a_failure_names_the_users_line() -> None:
    with pytest.raises(CaptureError) as caught:
        capture(Loops(), as_inputs("f32[2,3]"), method="fx")
    assert caught.value.found == "TypeError: 'Proxy' object cannot be interpreted as an integer"
    assert caught.value.frame is not None
    with open(__file__, encoding="utf-8") as stream:
        assert "the line fx stumbles on" in stream.readlines()[caught.value.frame.line - 1]


def test_what_works_in_place_writes() -> None:
    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act = nn.ReLU(inplace=True)

        def forward(self, x: Any) -> Any:
            return nn.functional.elu(self.act(x).neg_(), inplace=True)

    program = capture(InPlace(), None, method="fx")
    ops = {n.op: n.effects for n in program.main.each_node() if n.kind == "op"}
    assert len(ops) == 3
    assert set(ops.values()) == {("writes_state",)}


def test_a_function_of_the_users_own_is_opaque() -> None:
    graph = torch.fx.Graph()
    x = graph.placeholder("x")
    graph.output(graph.call_function(_mine, (x,)))
    program = capture(torch.fx.GraphModule(nn.Module(), graph), None, method="fx")
    [call] = [n for n in program.main.each_node() if n.kind == "op"]
    assert call.op.endswith("._mine")
    assert call.effects == ("opaque",)


def _mine(x: Any) -> Any:
    return x
