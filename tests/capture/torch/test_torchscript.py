"""TorchScript → Program, against torch's own graphs and its inliner."""

from __future__ import annotations

from collections import Counter
from typing import Any, List, Optional, Tuple  # noqa: UP035  TorchScript of older torch reads these

import numpy as np
import pytest

from graphlab.capture.inputs import as_inputs
from graphlab.capture.torch import capture
from graphlab.errors import CaptureError, InputsNeeded
from graphlab.ir.program import Program
from graphlab.ir.values import OpaqueType, TensorType
from graphlab.ir.verify import verify

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

import torch  # noqa: E402
from torch import nn  # noqa: E402

from graphlab.capture.torch import torchscript  # noqa: E402


class DynamicRNN(nn.Module):
    """A loop over a tensor's dimension with a coin in it: the one export and fx refuse, and tracing gets wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs = []
        for i in range(x.size(1)):
            if torch.rand(1) > 0.5:  # the coin
                outputs.append(self.cell(x[:, i]))
        return torch.stack(outputs)


def scaled(x: torch.Tensor, k: int) -> torch.Tensor:
    if k > 1:
        return x * k
    return x


class Part(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.register_buffer("kept", torch.ones(2))
        self.times = 3

    def forward(self, x: torch.Tensor, n: int = 1) -> torch.Tensor:
        return self.helped(self.linear(x)) + self.kept * self.times

    @torch.jit.export
    def helped(self, x: torch.Tensor) -> torch.Tensor:
        return scaled(x, x.dim())


class Whole(nn.Module):
    """Nested loops and branches, a method called twice, lists, dicts, tuples, an optional."""

    def __init__(self) -> None:
        super().__init__()
        self.a = Part()
        self.c = Part()
        self.listed = nn.ModuleList([Part(), Part()])
        self.w = nn.Parameter(torch.ones(2))

    def forward(
        self,
        x: torch.Tensor,
        d: dict[str, torch.Tensor],
        o: Optional[torch.Tensor] = None,  # noqa: UP045
    ) -> Tuple[torch.Tensor, List[torch.Tensor]]:  # noqa: UP006
        outs: List[torch.Tensor] = []  # noqa: UP006
        for m in self.listed:
            x = m(x)
        i = 0
        while bool(x.sum() > 0) and i < 10:
            if i % 2 == 0:
                x = self.a(x)
                for j in range(3):
                    x = x - self.w * j
            else:
                x = self.c(x, n=i)
                outs.append(x)
            i += 1
        y = self.a(x)
        if o is not None:
            y = y + o
        a, b = torch.split(y, 1, 1)
        print(i)
        return a + b + d["k"].sum(), outs


@pytest.fixture(scope="module")
def rnn() -> Program:
    return capture(DynamicRNN(), None, method="jit.script")


@pytest.fixture(scope="module")
def whole() -> Program:
    return capture(Whole(), None, method="jit.script")


def _flat_ops(program: Program) -> Counter[str]:
    return Counter(data["op"] for _, data in program.flatten().nodes(data=True) if data.get("op", "").startswith("aten::"))


@pytest.mark.parametrize("model", [DynamicRNN, Whole, Part])
def test_unfolded_it_has_the_ops_of_torchs_own_inlined_graph(model: Any, inlined_ops: Any) -> None:
    program = capture(model(), None, method="jit.script")
    assert verify(program) == ()
    assert _flat_ops(program) == inlined_ops(program.native)


def test_every_node_of_every_block_and_method_is_there(whole: Program, jit_nodes: Any) -> None:
    model = whole.native
    parts = [model.a, model.c, getattr(model.listed, "0"), getattr(model.listed, "1")]
    methods = [(p, name) for p in parts for name in ("forward", "helped")] + [(p.linear, "forward") for p in parts]
    graphs = [model.graph, *(owner._c._get_method(name).graph for owner, name in methods)]
    graphs.append(torch.jit.script(scaled).graph)
    assert whole.count() == sum(len(jit_nodes(graph)) for graph in graphs)


def test_a_loop_holds_a_branch_that_a_random_draw_decides(rnn: Program) -> None:
    loop = rnn.main.node("Loop_1")
    assert loop.control is not None
    assert (loop.control.form, loop.control.trip_slot, loop.control.predicate, loop.control.trip_count) == ("loop", 0, 1, None)
    assert rnn.main.node(loop.operands[0].src).op == "aten::size"
    body = rnn.graphs[loop.calls["body"].graph]
    [branch] = [n for n in body.each_node() if n.op == "prim::If"]
    chain = []
    node = branch
    while node.operands and node.kind == "op":
        chain.append(node.op)
        node = body.node(node.operands[0].src)
    assert chain[:4] == ["prim::If", "aten::Bool", "aten::gt", "aten::rand"]
    [draw] = [n for n in body.each_node() if n.op == "aten::rand"]
    assert draw.effects == ("random",)
    assert set(branch.calls) == {"then", "else"}


def test_a_region_takes_what_it_uses_from_outside_as_inputs(rnn: Program) -> None:
    loop = rnn.main.node("Loop_1")
    call = loop.calls["body"]
    body = rnn.graphs[call.graph]
    assert len(body.inputs) == len(call.operands)
    assert call.operands[0] is None  # the index
    fed = {name: loop.operands[slot].src for name, slot in zip(body.inputs, call.operands, strict=True) if slot is not None}
    assert "x.1" in fed.values()
    for name, source in fed.items():
        assert body.node(name).outputs == rnn.main.node(source).outputs


def test_a_loop_carries_its_values_round(whole: Program) -> None:
    [loop] = [n for n in whole.main.each_node() if n.op == "prim::Loop"]
    call = loop.calls["body"]
    assert [str(t) for t in loop.outputs] == ["Tensor", "int"]
    assert call.operands[:3] == (None, 2, 3)
    assert call.results == (None, 0, 1)
    assert call.carried == ((1, 1), (2, 2))
    assert loop.control is not None
    assert loop.control.condition == ("body", 0)
    assert loop.control.trip_count is None  # a while loop's bound is no count


def test_a_method_called_twice_is_stored_once_per_instance(whole: Program) -> None:
    sites = [
        n.calls["call"].graph for _, n in whole.each_node() if n.op == "prim::CallMethod" and n.calls["call"].graph.endswith(".forward")
    ]
    assert Counter(sites)["a.forward"] == 2
    assert set(whole.graphs) >= {"a.forward", "a.helped", "a.linear.forward", "c.forward", "listed.0.forward", "listed.1.forward"}
    assert sum(name.endswith(".scaled") for name in whole.graphs) == 1


def test_parameters_and_attributes_have_full_names_and_values(whole: Program) -> None:
    held = {n.name: n for _, n in whole.each_node() if n.kind == "parameter"}
    model = whole.native
    for name in ("w", "a.kept", "listed.1.linear.weight"):
        value = held[name].value
        assert value is not None
        np.testing.assert_array_equal(value.array(), model.state_dict()[name].numpy())
    assert held["c.times"].outputs == (OpaqueType("int"),)
    assert held["c.times"].value is not None
    assert held["c.times"].value.bytes() == b"3"
    assert {n.scope for _, n in whole.each_node() if n.name == "listed.1.linear.weight"} == {"listed/1/linear"}


def test_types_that_are_no_tensors_keep_their_names(whole: Program) -> None:
    slots = whole.signatures["forward"].inputs
    assert [(s.name, str(s.type)) for s in slots] == [("x", "Tensor"), ("d", "Dict[str, Tensor]"), ("o", "Optional[Tensor]")]
    [result] = whole.signatures["forward"].outputs
    assert str(result.type) == "(Tensor, List[Tensor])"


def test_effects_are_what_torchs_schemas_say(whole: Program) -> None:
    effects = {n.op: n.effects for _, n in whole.each_node() if n.effects}
    assert effects["aten::append"] == ("writes_state",)
    assert effects["prim::Print"] == ("io",)
    assert effects["aten::Bool"] == ("host",)
    assert "aten::add" not in effects


def test_nodes_know_their_line(rnn: Program) -> None:
    [draw] = [n for _, n in rnn.each_node() if n.op == "aten::rand"]
    frame = rnn.frame(draw)
    assert frame is not None
    assert frame.file == __file__
    with open(__file__, encoding="utf-8") as stream:
        assert "# the coin" in stream.readlines()[frame.line - 1]


def test_a_dropout_draws_only_where_it_trains() -> None:
    class Drops(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.dropout(torch.dropout(x, 0.5, False), 0.5, True)

    program = capture(Drops(), None, method="jit.script")
    flat = [n for _, n in program.each_node() if n.op == "aten::dropout"]
    assert () in [n.effects for n in flat]
    assert ("random",) in [n.effects for n in flat]


def test_a_fork_is_a_call_for_the_instance_it_is_made_on() -> None:
    class Forks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(2, 2)

        def work(self, x: torch.Tensor) -> torch.Tensor:
            return self.linear(x)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.jit.wait(torch.jit.fork(self.work, x))

    program = capture(Forks(), None, method="jit.script")
    assert verify(program) == ()
    assert {n.name for _, n in program.each_node() if n.kind == "parameter"} == {"linear.weight", "linear.bias"}


def test_a_scripted_function_is_read() -> None:
    program = capture(torch.jit.script(scaled), None, method="jit.script")
    assert verify(program) == ()
    assert [n.op for n in program.main.each_node() if n.kind == "op"] == ["aten::gt", "prim::If"]
    assert program.main.name.endswith("scaled")


def test_code_torchscript_refuses_is_named_by_line() -> None:
    class Refused(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            yield x  # the line TorchScript stumbles on

    with pytest.raises(CaptureError) as caught:
        capture(Refused(), None, method="jit.script")
    assert caught.value.frame is not None
    with open(__file__, encoding="utf-8") as stream:
        assert "the line TorchScript stumbles on" in stream.readlines()[caught.value.frame.line - 1]
    assert "HERE" not in caught.value.found


def test_tracing_says_what_it_baked_in(capfd: pytest.CaptureFixture[str]) -> None:
    program = capture(DynamicRNN(), as_inputs("f32[2,5,8]"), method="jit.trace")
    assert not [n for _, n in program.each_node() if n.control]
    kinds = {note["kind"]: note for note in program.source.notes}
    assert set(kinds) == {"tracer-warning", "trace-check"}
    warned = kinds["tracer-warning"]
    assert warned["file"] == __file__
    with open(__file__, encoding="utf-8") as stream:
        assert "# the coin" in stream.readlines()[warned["line"] - 1]
    assert "Graphs differed across invocations" in [note["text"] for note in program.source.notes]
    assert capfd.readouterr() == ("", "")


def test_a_trace_that_draws_is_told_apart_from_one_that_does_not() -> None:
    class Noisy(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.rand(2)

    noisy = capture(Noisy(), as_inputs("f32[2]"), method="jit.trace")
    assert "Trace had nondeterministic nodes: aten::rand" in [note["text"] for note in noisy.source.notes]
    assert capture(nn.Linear(2, 2), as_inputs("f32[1,2]"), method="jit.trace").source.notes == ()


def test_a_path_taken_without_gradients_only_is_no_wrong_trace() -> None:
    model = nn.TransformerEncoderLayer(8, 2, 8, batch_first=True).eval()
    program = capture(model, as_inputs("f32[1,2,8]"), method="jit.trace")
    assert [note["kind"] for note in program.source.notes if note["kind"] != "tracer-warning"] == ["trace-mode"]


def test_a_trace_knows_all_types_and_calls_submodules(jit_nodes: Any) -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(2, 3), nn.ReLU())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x) * 2

    program = capture(Outer(), as_inputs({"x": "f32[4,2]"}), method="jit.trace")
    assert verify(program) == ()
    assert program.source.method == "jit.trace"
    linear = next(n for _, n in program.each_node() if n.op == "aten::linear")
    assert linear.outputs == (TensorType("float32", (4, 3)),)
    assert linear.scope == "inner/0"
    assert linear.canonical == "Gemm"
    frame = program.frame(linear)
    assert frame is not None
    assert frame.file == __file__
    model = program.native
    graphs = [model.graph, model.inner.graph, getattr(model.inner, "0").graph, getattr(model.inner, "1").graph]
    assert program.count() == sum(len(jit_nodes(graph)) for graph in graphs)


def test_tracing_leaves_the_model_as_it_was() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout())
    state = torch.random.get_rng_state()
    capture(model, as_inputs("f32[3,2]"), method="jit.trace")
    assert model[1].num_batches_tracked == 0
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(m.training for m in model.modules())


def test_tracing_needs_inputs() -> None:
    with pytest.raises(InputsNeeded) as caught:
        capture(DynamicRNN(), None, method="jit.trace")
    assert "--input 'x=f32[2,8]'" in caught.value.do


def test_a_traced_module_is_read_as_it_is() -> None:
    traced = torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2))
    program = torchscript.script(traced)
    assert program.native is traced
    assert program.source.method == "jit.trace"
    assert verify(program) == ()
