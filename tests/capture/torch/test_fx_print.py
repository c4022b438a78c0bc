"""Printed fx graphs read as text say what the live graph says."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import Any

import pytest

import graphlab
from graphlab.capture.torch.fx_program import program
from graphlab.diff.changes import DimChanged, TypeChanged
from graphlab.errors import FormatError
from graphlab.ir.graph import Control, Operand
from graphlab.ir.program import DimRange, Program, Source
from graphlab.ir.values import OpaqueType, SymDim, TensorType
from graphlab.ir.verify import ensure_verified

HEADER = 'class GraphModule(torch.nn.Module):\n    def forward(self, x: "f32[2, s0][s0, 1]cuda:0", n: "Sym(s0)"):\n'


def parse(text: str, **more: Any) -> Program:
    return ensure_verified(program(text, asked="read a graph", source=Source("torch", "fx"), **more))


def body(*lines: str) -> Program:
    return parse(HEADER + "".join(f"        {line}\n" for line in lines) + "        return (y,)\n")


def only(graph: Program) -> Any:
    return next(node for node in graph.main.each_node() if node.kind == "op")


def test_types_frames_and_arguments_are_read() -> None:
    graph = body(
        "# File: /home/me/model.py:12 in forward, code: y = torch.softmax(x, -1)",
        'y: "f32[2, s0][s0, 1]cuda:0" = torch.ops.aten._softmax.default(x, -1, False);  x = None',
    )
    node = only(graph)
    assert (node.op, node.canonical, dict(node.attrs)) == ("aten._softmax.default", "Softmax", {"dim": -1, "half_to_float": False})
    assert node.outputs == (TensorType("float32", (2, SymDim("s0"))),)
    assert node.meta == {"strides": ("s0", 1), "device": "cuda:0"}
    frame = graph.frame(node)
    assert frame is not None
    assert (frame.file, frame.line, frame.function) == ("/home/me/model.py", 12, "forward")
    assert [slot.type for slot in graph.signatures["forward"].inputs] == [node.outputs[0], OpaqueType("int")]


@pytest.mark.parametrize(
    ("line", "op", "attrs"),
    [
        ("y = x * 2", "operator.mul", {"b": 2}),
        ("y = 1 - x", "operator.sub", {"a": 1}),
        ("y = -x", "operator.neg", {}),
        ("y = x @ x", "operator.matmul", {}),
        ("y = x >= n", "operator.ge", {}),
        ("y = x[(slice(None, 1, None), Ellipsis, 0)]", "operator.getitem", {"index": ({"slice": (None, 1, None)}, "...", 0)}),
        ("y = x.view(2, -1)", "method.view", {"args": (Operand(0), 2, -1)}),
        ("y = x.shape", "builtins.getattr", None),
        ("y = torch._C._nn.gelu(x, approximate = 'tanh')", "torch.nn.functional.gelu", {"approximate": "tanh"}),
        ("y = torch.nn.functional.dropout(x, 0.1, True, False)", "torch.nn.functional.dropout",
         {"p": 0.1, "training": True, "inplace": False}),
        ("y = torch.ops.aten.full.default([2, 2], -inf, dtype = torch.bfloat16, device = device(type='cuda', index=1))",
         "aten.full.default",
         {"size": (2, 2), "fill_value": float("-inf"), "dtype": "bfloat16", "device": "cuda:1"}),
        ("y = torch.ops.aten.mul.Tensor(x, (1+2j))", "aten.mul.Tensor", {"other": 1 + 2j}),
        ("y = torch.sym_max(n, 3)", "torch.sym_max", {"b": 3}),
        ("y = torch.ops.mylib.scale(x, 'a, b')", "mylib.scale", None),
        ("x[0] = n;  y = x", "operator.setitem", None),
        ("x += 1;  y = x;  x = None", "operator.iadd", {"b": 1}),
        ("y = self.layers.getattr_(x)", "torch.nn.Module", None),
        ('y = getattr(self.layers, "0")(x)', "torch.nn.Module", None),
        ("y = max(n, 3)", "builtins.max", None),
    ],
)  # fmt: skip
def test_a_statement_is_the_operation_that_fx_printed(line: str, op: str, attrs: dict[str, Any] | None) -> None:
    node = only(body(line))
    assert (node.id, node.op) == ("y", op)
    if attrs is not None:
        assert dict(node.attrs) == attrs


def test_effects_are_those_of_the_operators() -> None:
    assert only(body("y = torch.ops.aten.rand.default([2])")).effects == ("random",)
    assert only(body("y = x.add_(1)")).effects == ("writes_state",)
    assert only(body("y = torch.nn.functional.dropout(x, 0.1, False)")).effects == ()
    assert only(body("y = torch.ops.mylib.scale(x)")).effects == ("opaque",)


BRANCHES = """class GraphModule(torch.nn.Module):
    def forward(self, p: "b8[][]cpu", x: "f32[3][1]cpu"):
        cond_true_0 = self.cond_true_0
        cond_false_0 = self.cond_false_0
        cond = torch.ops.higher_order.cond(p, cond_true_0, cond_false_0, (x,));  p = cond_true_0 = cond_false_0 = x = None
        getitem: "f32[3][1]cpu" = cond[0];  cond = None
        return (getitem,)

    class cond_true_0(torch.nn.Module):
        def forward(self, x: "f32[3][1]cpu"):
            sin: "f32[3][1]cpu" = x.sin();  x = None
            return (sin,)

    class cond_false_0(torch.nn.Module):
        def forward(self, x: "f32[3][1]cpu"):
            cos: "f32[3][1]cpu" = x.cos();  x = None
            return (cos,)
"""


def test_classes_within_are_the_graphs_of_a_branch() -> None:
    graph = parse(BRANCHES)
    assert list(graph.graphs) == ["main", "cond_true_0", "cond_false_0"]
    cond = graph.main.node("cond")
    assert cond.control == Control("conditional", predicate=0)
    assert {role: call.graph for role, call in cond.calls.items()} == {"then": "cond_true_0", "else": "cond_false_0"}


JOINT = """class inner_f(torch.nn.Module):
    def forward(
        self,
        primals,
        tangents,
    ):
        primals_1: "f32[3][1]cpu"  # ParamAOTInput(target='w')
        tangents_1: "f32[3][1]cpu"  # TangentAOTInput(output=PlainAOTOutput(idx=0))
        primals_1, tangents_1, = fx_pytree.tree_flatten_spec([primals, tangents], self._in_spec)
        # No stacktrace found for following nodes
        mul: "f32[3][1]cpu" = torch.ops.aten.mul.Tensor(primals_1, tangents_1)
        return pytree.tree_unflatten([
            primals_1,  # PlainAOTOutput(idx=0)
            mul,  # GradAOTOutput(grad_of=ParamAOTInput(target='w'))
            None,  # None
        ], self._out_spec)
"""


def test_a_joint_graphs_comments_name_parameters_and_gradients() -> None:
    graph = parse(JOINT)
    signature = graph.signatures["forward"]
    assert [(slot.name, slot.role, slot.target) for slot in signature.inputs] == [
        ("primals_1", "parameter", "w"),
        ("tangents_1", "user", None),
    ]
    assert [(slot.name, slot.role, slot.target) for slot in signature.outputs] == [("primals_1", "user", None), ("mul", "parameter", "w")]


def test_an_exported_programs_text_has_its_ranges() -> None:
    text = (
        'ExportedProgram:\n    class GraphModule(torch.nn.Module):\n        def forward(self, x: "f32[s0]"):\n'
        '            y: "f32[s0]" = torch.ops.aten.relu.default(x);  x = None\n            return (y,)\n            \n'
        "Graph signature: ExportGraphSignature()\nRange constraints: {s0: VR[2, 10]}\n"
    )
    assert parse(text).dims == {"s0": DimRange(2, 10)}


def test_ranges_come_from_the_log() -> None:
    graph = parse(HEADER + "        return (x,)\n", ranges={"s0": "[2, int_oo]"})
    assert graph.dims == {"s0": DimRange(2, None)}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("def f(): pass", "does not begin with a class"),
        (HEADER + "        import os\n", "none of those fx prints"),
        (HEADER + "        y = x if n else x\n", "none of those fx prints"),
        (HEADER + "        y = x.sin(;\n        return (y,)\n", "no Python"),
        (HEADER + "        y = (\n", "no Python"),
        (HEADER + f"        y = torch.f({'[' * 150}{']' * 150})\n", "nests more than|no Python"),
        (HEADER + f"        y = x{'.a' * 5000}\n", "nests more than|no Python"),
        (HEADER + f"        y = torch.f({'-' * 20000}1)\n", "nests more than|no Python"),
        (HEADER + "        y = x.sin()\n        y = x.cos()\n        return (y,)\n", "two of its nodes"),
        (HEADER + "        return (x,)\n        return (x,)\n", "returns twice"),
        ("\n".join("    " * i + "class a(torch.nn.Module):" for i in range(80)), "nest more than"),
    ],
)
def test_a_text_that_fx_did_not_print_is_refused(text: str, found: str) -> None:
    with pytest.raises(FormatError, match=found) as refused:
        parse(text)
    assert refused.value.where


def test_what_a_text_says_is_never_run(tmp_path: Any) -> None:
    flag = tmp_path / "ran"
    for call in (f"(lambda: open({str(flag)!r}, 'w'))()", f"__import__('pathlib').Path({str(flag)!r}).touch()"):
        with contextlib.suppress(FormatError):
            body(f"y = {call}")
    assert not flag.exists()
    code = (
        "import sys; from graphlab.capture.torch.fx_program import program; from graphlab.ir.program import Source; "
        f"program({BRANCHES!r}, asked='read', source=Source('torch', 'fx')); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.torch
def test_live_graphs_and_their_print_say_the_same() -> None:
    """Dynamo's, AOTAutograd's forward and backward; of results that are tuples the text tells no type, of sizes no range."""
    torch = pytest.importorskip("torch")
    from torch._dynamo.backends.common import aot_autograd
    from torch._functorch.aot_autograd import make_boxed_func

    checked: list[int] = []

    def check(module: Any) -> None:
        text = module.print_readable(print_output=False, include_stride=True, include_device=True)
        live, told = graphlab.capture(module, method="fx"), parse(text)
        left = [c for c in graphlab.diff(live, told).changes if not isinstance(c, DimChanged)]
        kept = [c for c in left if not (isinstance(c, TypeChanged) and c.new == OpaqueType("unknown"))]
        assert [c for c in kept if type(c).__name__ != "SignatureChanged"] == []
        assert [set(g.nodes) for g in told.graphs.values()] == [set(g.nodes) for g in live.graphs.values()]
        assert told.count() == live.count()
        checked.append(live.count())

    def backend(module: Any, inputs: Any) -> Any:
        check(module)

        def compiler(inner: Any, inputs: Any) -> Any:
            check(inner)
            return make_boxed_func(inner.forward)

        return aot_autograd(fw_compiler=compiler, bw_compiler=compiler)(module, inputs)

    class Model(torch.nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.encoder = torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
            self.register_buffer("seen", torch.zeros(16))

        def forward(self, x: Any) -> Any:
            self.seen.copy_(x[0, 0].detach())
            x = torch.cond(x.sum() > 0, lambda x: x.sin(), lambda x: x.cos(), (x,))
            a, b = self.encoder(x)[..., 1:].split(8, dim=-1)
            return a.sum() + b.max(dim=-1).values.mean() * x.shape[0]

    torch._dynamo.reset()
    torch.manual_seed(0)
    torch.compile(Model(), backend=backend, dynamic=True)(torch.randn(3, 5, 16)).backward()
    assert len(checked) >= 3  # Dynamo's, forward, backward
    assert min(checked) > 20
