"""ExportedProgram → Program, against what torch's own objects say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import pytest

from graphlab.capture.inputs import Inputs, as_inputs
from graphlab.capture.torch import capture
from graphlab.errors import CaptureError, InputsNeeded
from graphlab.ir.format import dumps, loads
from graphlab.ir.graph import Operand
from graphlab.ir.program import DimRange, Program
from graphlab.ir.values import OpaqueType, SymDim, TensorType, TupleType
from graphlab.ir.verify import verify

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

import torch  # noqa: E402
from torch import nn  # noqa: E402

from graphlab.capture.torch import export  # noqa: E402


class Twice(nn.Module):
    def forward(self, x: Any) -> Any:
        return x + x


class Nested(nn.Module):
    """A scan whose body holds a cond, and a cond in a cond."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, init: Any, xs: Any) -> Any:
        from torch._higher_order_ops.scan import scan

        total = xs.sum()

        def step(carry: Any, x: Any) -> Any:
            new = torch.cond(carry.sum() > 0, lambda c: self.linear(c) + total, lambda c: c - 1, (carry,))
            return new, new + x

        def outer(c: Any) -> Any:
            return torch.cond(c.max() > 3, lambda d: d.sin(), lambda d: d.cos() * 2, (c,))

        carry, ys = scan(step, init, xs)
        return torch.cond(carry.min() > 0, outer, lambda c: c.exp(), (carry,)), ys


class While(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Any, n: Any) -> Any:
        from torch._higher_order_ops.while_loop import while_loop

        return while_loop(lambda i, a: i > 0, lambda i, a: (i - 1, self.linear(a) + n), (n, x))[1]


class Mapped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, xs: Any, y: Any) -> Any:
        from torch._higher_order_ops.map import map as map_over

        return map_over(lambda x, y: (self.linear(x) + y, x * 2), xs, y)


class Wrapped(nn.Module):
    """Regions that export makes itself, a constant, buffers of both kinds, a shared parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kept", torch.zeros(4))
        self.register_buffer("passing", torch.ones(4), persistent=False)
        self.weight = nn.Parameter(torch.full((2,), 3.0))
        self.same = self.weight
        self.plain = torch.ones(2)

    def forward(self, x: Any, y: Any) -> Any:
        self.kept.add_(x.sum())
        with torch.no_grad():
            z = y * 3
        with torch.autocast("cpu"):
            w = z @ z.T
        return x + self.passing, self.weight + self.same + self.plain + torch.tensor([1.0, 2.0]), w


class MultiOutput(nn.Module):
    def forward(self, x: Any) -> Any:
        a, b = x.split([1, 3], 1)
        values, indices = b.topk(2)
        return {"a": torch.cat([a, values], dim=1), "i": indices, "n": 3, "nothing": None}


class ConvNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.block = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8))
        self.head = nn.Linear(8, 5)

    def forward(self, x: Any) -> Any:
        x = self.stem(x)
        x = torch.relu(self.block(x) + x)
        return self.head(x.mean((2, 3)))


class RandomBranch(nn.Module):
    def forward(self, x: Any) -> Any:
        if torch.rand(1) > 0.5:  # the line export stumbles on
            return x
        return x + 1


CASES: dict[str, tuple[Callable[[], Any], tuple[Any, ...]]] = {
    "nested scan and cond": (Nested, ("f32[4]", "f32[5,4]")),
    "while_loop": (While, ("f32[2,4]", "i64[]")),
    "map": (Mapped, ("f32[5,4]", "f32[4]")),
    "grad mode and autocast": (Wrapped, ("f32[b,4]", "f32[3,3]")),
    "several results": (MultiOutput, ("f32[2,4]",)),
    "conv net in training": (ConvNet, ("f32[2,3,8,8]",)),
    "one value twice": (Twice, ("f32[2]",)),
}


@pytest.fixture(scope="module")
def captured() -> Callable[[str], Program]:
    made: dict[str, Program] = {}

    def get(name: str) -> Program:
        if name not in made:
            model, inputs = CASES[name]
            torch.manual_seed(0)
            made[name] = capture(model(), as_inputs(inputs), method="export")
        return made[name]

    return get


@pytest.mark.parametrize("name", CASES)
def test_every_node_of_every_graph_module_is_there(name: str, captured: Any, fx_count: Any) -> None:
    program = captured(name)
    assert program.count() == fx_count(program.native.graph_module)[0]


@pytest.mark.parametrize("name", CASES)
def test_every_use_of_a_value_is_an_edge(name: str, captured: Any, fx_count: Any) -> None:
    program = captured(name)
    assert sum(g.number_of_edges() for g in program.graphs.values()) == fx_count(program.native.graph_module)[1]


@pytest.mark.parametrize("name", CASES)
def test_the_program_is_sound_and_survives_the_file_format(name: str, captured: Any) -> None:
    program = captured(name)
    assert verify(program) == ()
    again = loads(dumps(program))
    for ref, node in program.each_node():
        read = again.node(ref)
        assert (read.outputs, read.attrs, read.calls, read.control, read.operands) == (
            node.outputs,
            node.attrs,
            node.calls,
            node.control,
            node.operands,
        )


@pytest.mark.parametrize("name", CASES)
def test_inputs_and_outputs_are_those_of_torchs_signature(name: str, captured: Any) -> None:
    program = captured(name)
    theirs = program.native.graph_signature
    signature = program.signatures["forward"]
    assert [s.name for s in signature.inputs] == list(theirs.user_inputs)
    kept = [s.arg.name for s in theirs.output_specs if getattr(s.arg, "name", "")]
    assert [s.name for s in signature.outputs] == kept


def test_a_value_used_twice_has_two_edges(captured: Any) -> None:
    main = captured("one value twice").main
    assert [(u.src, u.dst_port) for u in main.operands("add")] == [("x", 0), ("x", 1)]


def test_a_scan_maps_carry_slices_and_captures(captured: Any) -> None:
    program = captured("nested scan and cond")
    scan = program.main.node("scan")
    call = scan.calls["body"]
    assert scan.control is not None
    assert (scan.control.form, scan.control.trip_count) == ("loop", 5)
    assert call.operands[:2] == (0, None)  # the carry comes in, the operation slices xs
    assert call.carried == ((0, 0),)
    assert [u.src for u in scan.operands][:2] == ["init", "xs"]
    assert scan.outputs == (TupleType((TensorType("float32", (4,)), TensorType("float32", (5, 4)))),)


def test_conds_nest_three_regions_deep(captured: Any) -> None:
    program = captured("nested scan and cond")
    calls = program.call_graph()
    assert nx.dag_longest_path_length(calls) == 2
    conds = [(ref, n) for ref, n in program.each_node() if n.op == "higher_order.cond"]
    assert len(conds) == 3
    for _, cond in conds:
        assert cond.control is not None
        assert set(cond.calls) == {"then", "else"}
        assert cond.operands[cond.control.predicate].dst_port == cond.control.predicate == 0
        predicate = cond.graph.node(cond.operands[0].src)
        assert predicate.op == "aten.gt.Scalar"


def test_what_goes_into_a_branch_has_the_type_of_the_branchs_input(captured: Any) -> None:
    program = captured("nested scan and cond")
    for _, node in program.each_node():
        slots = {u.dst_port: node.graph.node(u.src).outputs[u.src_port] for u in node.operands}
        for call in node.calls.values():
            callee = program.graphs[call.graph]
            for name, slot in zip(callee.inputs, call.operands, strict=True):
                if slot is not None:
                    assert callee.node(name).outputs[0] == slots[slot]


def test_a_while_loop_has_its_condition_and_carries_round(captured: Any) -> None:
    loop = captured("while_loop").main.node("while_loop")
    assert loop.control is not None
    assert loop.control.condition == ("cond", 0)
    assert loop.calls["body"].carried == ((0, 0), (1, 1))
    assert loop.calls["cond"].operands == loop.calls["body"].operands == (0, 1, 2, 3, 4)
    assert [u.src for u in loop.operands][:2] == ["n", "x"]


def test_a_map_goes_over_its_first_dimension(captured: Any) -> None:
    [mapped] = [n for _, n in captured("map").each_node() if n.op == "higher_order.map_impl"]
    assert mapped.control is not None
    assert mapped.control.trip_count == 5
    assert mapped.calls["body"].operands == (None, 1, 2, 3)


def test_regions_that_export_makes_itself_are_calls(captured: Any) -> None:
    ops = {n.op: n for _, n in captured("grad mode and autocast").each_node() if n.calls}
    assert set(ops) == {"higher_order.wrap_with_set_grad_enabled", "higher_order.wrap_with_autocast"}
    assert ops["higher_order.wrap_with_autocast"].calls["call"].operands == (0,)
    assert ops["higher_order.wrap_with_autocast"].attrs["args"][:2] == ("cpu", "bfloat16")


def test_parameters_buffers_and_constants_are_told_apart(captured: Any) -> None:
    main = captured("grad mode and autocast").main
    roles = {n.name: (n.kind, n.attrs.get("role")) for n in main.each_node() if n.kind in ("parameter", "constant") and n.value}
    assert roles["kept"] == roles["passing"] == ("parameter", "buffer")
    assert roles["weight"] == roles["same"] == ("parameter", "parameter")
    assert roles["plain"] == ("constant", "constant")


def test_a_parameters_bytes_are_the_tensors(captured: Any) -> None:
    program = captured("map")
    [weight] = [n for n in program.main.each_node() if n.name == "linear.weight"]
    assert weight.value is not None
    np.testing.assert_array_equal(weight.value.array(), program.native.state_dict["linear.weight"].detach().numpy())


def test_a_symbolic_dim_keeps_the_name_it_was_given(captured: Any) -> None:
    program = captured("grad mode and autocast")
    assert program.main.node("x").outputs == (TensorType("float32", (SymDim("b"), 4)),)
    assert set(program.dims) == {"b"}


def test_ranges_of_dims_are_torchs() -> None:
    batch = torch.export.Dim("batch", min=2, max=100)
    exported = torch.export.export(Twice(), (torch.ones(3, 2),), dynamic_shapes={"x": {0: batch}})
    program = export.read(exported)
    [symbol] = program.dims
    assert program.dims[symbol] == DimRange(2, 100)
    assert program.main.node("add").outputs == (TensorType("float32", (SymDim(symbol), 2)),)


def test_one_name_is_one_dim_wherever_it_stands() -> None:
    class Sum(nn.Module):
        def forward(self, x: Any, *, y: Any, z: Any) -> Any:
            return x + y * z.sum()

    given = Inputs(as_inputs("f32[b,4]").args, {"z": TensorType("float32", (SymDim("k"),)), "y": TensorType("float32", (SymDim("b"), 4))})  # type: ignore[union-attr]
    program = capture(Sum(), given, method="export")
    shapes = {n: program.main.node(n).outputs[0].dims for n in program.main.inputs}  # type: ignore[union-attr]
    assert shapes == {"x": (SymDim("b"), 4), "y": (SymDim("b"), 4), "z": (SymDim("k"),)}


def test_several_results_stay_a_tuple_with_getitems(captured: Any) -> None:
    main = captured("several results").main
    topk = main.node("topk")
    assert isinstance(topk.outputs[0], TupleType)
    assert sorted(main.node(u.dst).attrs["index"] for u in topk.users) == [0, 1]
    assert main.node("cat").attrs["tensors"] == (Operand(0), Operand(1))
    assert main.node("cat").attrs["dim"] == 1


def test_a_literal_result_stays_in_the_output_nodes_attributes(captured: Any) -> None:
    main = captured("several results").main
    assert main.node(main.output).attrs["args"] == (Operand(0), Operand(1), 3, None)


def test_batch_norm_in_training_writes_its_buffers(captured: Any) -> None:
    program = captured("conv net in training")
    norms = [n for n in program.main.each_node() if n.op == "aten.batch_norm.default"]
    assert [n.effects for n in norms] == [("writes_state",)] * 2
    counters = [n for n in program.main.each_node() if n.op == "aten.add_.Tensor"]
    assert [n.effects for n in counters] == [("writes_state",)] * 2
    decomposed = export.read(program.native.run_decompositions())
    written = {s.target for s in decomposed.signatures["forward"].outputs if s.role == "buffer"}
    assert written == {f"{m}.{b}" for m in ("stem.1", "block.1") for b in ("running_mean", "running_var", "num_batches_tracked")}


def test_batch_norm_in_eval_mode_is_pure() -> None:
    program = capture(ConvNet().eval(), as_inputs("f32[2,3,8,8]"), method="export")
    assert {e for n in program.main.each_node() for e in n.effects} == set()


def test_convolutions_and_sums_have_their_onnx_names(captured: Any) -> None:
    canonical = {n.op: n.canonical for n in captured("conv net in training").main.each_node() if n.kind == "op"}
    assert canonical["aten.conv2d.default"] == "Conv"
    assert canonical["aten.relu.default"] == "Relu"
    assert canonical["aten.linear.default"] == "Gemm"  # its input is a matrix here
    assert canonical["aten.mean.dim"] == "ReduceMean"


def test_nodes_know_their_module_and_line(captured: Any) -> None:
    program = captured("conv net in training")
    conv = program.main.node("conv2d")
    assert conv.scope == "stem/0"
    frame = program.frame(conv)
    assert frame is not None
    line = "        x = self.stem(x)\n"
    assert frame.file == __file__
    with open(__file__, encoding="utf-8") as stream:
        assert stream.readlines()[frame.line - 1] == line


def test_a_custom_op_is_opaque() -> None:
    with torch.library._scoped_library("graphlab_test", "FRAGMENT") as library:
        library.define("twice(Tensor x) -> Tensor")
        library.impl("twice", lambda x: x * 2, "CompositeExplicitAutograd")
        torch.library.register_fake("graphlab_test::twice", torch.empty_like, lib=library)

        class Custom(nn.Module):
            def forward(self, x: Any) -> Any:
                return torch.ops.graphlab_test.twice(x) + 1

        program = capture(Custom(), as_inputs("f32[2]"), method="export")
        custom = program.main.node("twice")
        assert (custom.op, custom.effects) == ("graphlab_test.twice.default", ("opaque",))
        assert custom.outputs == (TensorType("float32", (2,)),)


def test_a_random_op_says_so() -> None:
    class Noise(nn.Module):
        def forward(self, x: Any) -> Any:
            return nn.functional.dropout(x, 0.1, training=False) + torch.rand_like(x) + nn.functional.dropout(x)

    program = capture(Noise(), as_inputs("f32[2]"), method="export")
    assert [n.op for n in program.main.each_node() if "random" in n.effects] == ["aten.rand_like.default", "aten.dropout.default"]


def test_a_scalar_read_back_is_an_int_that_leaves_the_device() -> None:
    class Item(nn.Module):
        def forward(self, x: Any) -> Any:
            n = x.sum().int().item()
            torch._check(n >= 2)
            return torch.zeros(n)

    program = capture(Item(), Inputs((torch.ones(3),)), method="export")
    item = program.main.node("item")
    assert item.outputs == (OpaqueType("int"),)
    assert item.effects == ("host",)
    assert program.main.node("zeros").attrs["size"] == (Operand(0),)
    [name] = program.dims
    assert program.dims[name].min == 2


def test_an_argument_left_out_before_a_tensor_is_kept() -> None:
    class Clamp(nn.Module):
        def forward(self, x: Any, high: Any) -> Any:
            return torch.clamp(x, max=high)

    clamp = capture(Clamp(), as_inputs(("f32[2]", "f32[2]")), method="export").main.node("clamp")
    assert clamp.attrs == {"min": None}  # export passes it by position, the one before it empty
    assert [(u.src, u.dst_port) for u in clamp.operands] == [("x", 0), ("high", 1)]


def test_a_failure_names_the_users_line_and_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CaptureError) as caught:
        capture(RandomBranch(), as_inputs("f32[2]"), method="export")
    frame = caught.value.frame
    assert frame is not None
    with open(__file__, encoding="utf-8") as stream:
        assert "the line export stumbles on" in stream.readlines()[frame.line - 1]
    assert "data-dependent expression" in caught.value.found
    assert "\n" not in caught.value.found
    assert capfd.readouterr() == ("", "")


def test_missing_inputs_are_asked_for_by_name() -> None:
    with pytest.raises(InputsNeeded) as caught:
        capture(While(), None, method="export")
    assert "forward(x, n)" in caught.value.found
    assert "--input 'x=f32[2,8]' --input 'n=f32[2,8]'" in caught.value.do


def test_the_model_is_left_as_it_was() -> None:
    model = ConvNet()
    model.block.eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state = torch.random.get_rng_state()
    capture(model, as_inputs("f32[2,3,8,8]"), method="export")
    assert (model.training, model.block.training, model.stem.training) == (True, False, True)
    assert torch.equal(state, torch.random.get_rng_state())
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])


def test_an_exported_program_needs_no_inputs() -> None:
    exported = torch.export.export(Twice(), (torch.ones(2),))
    program = capture(exported, None, method="export")
    assert program.native is exported
    assert program.source.producer == f"torch {torch.__version__}"


def test_bert_base_is_all_there(fx_count: Any, transformers: Any) -> None:
    model = transformers.BertModel(transformers.BertConfig()).eval()
    program = capture(model, as_inputs({"input_ids": "i64[1,16]"}), method="export")
    assert verify(program) == ()
    assert program.count() == fx_count(program.native.graph_module)[0] > 400
    scopes = {n.scope for n in program.main.each_node()}
    assert "encoder/layer/11/attention/self/query" in scopes
