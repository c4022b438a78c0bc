"""Graphs within nodes: what goes in, what comes out, what goes round, what decides."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from graphlab.analyzers import control_flow
from graphlab.ir.graph import Call, Control
from graphlab.ir.program import Program

Read = Callable[[Any], Program]
Text = Callable[[str], Any]

HEAD = '<ir_version: 9, opset_import: ["" : 18]>'


def test_an_if_takes_what_its_branches_use_from_around_as_operands(read: Read, text: Text) -> None:
    model = text(
        f"""{HEAD} g (bool c, float[2] x, float[2] z) => (float[2] y) {{
            y = If (c) <else_branch = no () => (float[2] n) {{ n = Add(x, z) }}, then_branch = yes () => (float[2] t) {{ t = Neg(z) }}>
        }}"""
    )
    program = read(model)
    node = program.main.node("y")
    assert [use.src for use in node.operands] == ["c", "z", "x"]
    assert node.calls == {"then": Call("yes", (1,), (0,)), "else": Call("no", (2, 1), (0,))}
    assert node.control == Control("conditional", predicate=0)
    assert program.graphs["no"].inputs == ["x", "z"]
    assert program.count() == 3
    [construct] = control_flow.analyze(program).constructs
    assert (construct.decided_by, [cause.name for cause in construct.causes]) == ("input", ["c"])


def test_a_use_deep_inside_passes_through_every_graph_between(read: Read, text: Text) -> None:
    model = text(
        f"""{HEAD} g (bool c, float x) => (float y) {{
            y = If (c) <then_branch = a () => (float o) {{
                o = If (c) <then_branch = b () => (float p) {{ p = Neg(x) }}, else_branch = d () => (float q) {{ q = Abs(x) }}>
            }}, else_branch = e () => (float r) {{ r = Identity(x) }}>
        }}"""
    )
    program = read(model)
    assert program.graphs["a"].inputs == ["c", "x"]
    assert program.graphs["b"].inputs == ["x"]
    assert program.graphs["a"].node("o").calls["then"] == Call("b", (1,), (0,))
    assert len(program.flatten()) > 10


LOOP = """{head} g (int64 m, bool go, float[2] x, float[2] k) => (float[2] last, float[?,2] all) {{
    last, all = Loop ({m}, {go}, x) <body = step (int64 i, bool c, float[2] v) => (bool again, float[2] w, float[2] scan) {{
        w = Add(v, k) again = Identity(c) scan = Identity(w) }}>
}}"""


def test_a_loop_carries_its_condition_and_values_and_gathers_scan_outputs(read: Read, text: Text) -> None:
    program = read(text(LOOP.format(head=HEAD, m="m", go="go")))
    node = program.main.node("last")
    assert [use.src for use in node.operands] == ["m", "go", "x", "k"]
    assert node.calls["body"] == Call("step", (None, 1, 2, 3), (None, 0, 1), ((0, 1), (1, 2)))
    assert node.control == Control("loop", predicate=1, condition=("body", 0), trip_slot=0)
    [construct] = control_flow.analyze(program).constructs
    assert {cause.name for cause in construct.causes} == {"m", "go"}


def test_a_loop_with_neither_limit_nor_condition_leaves_both_absent(read: Read, text: Text) -> None:
    program = read(text(LOOP.format(head=HEAD, m="", go="")))
    node = program.main.node("last")
    assert node.absent == (0, 1)
    assert node.control == Control("loop", condition=("body", 0))
    assert node.calls["body"].operands == (None, None, 2, 3)


def test_a_loop_of_a_known_limit_has_that_trip_count(read: Read, text: Text) -> None:
    model = text(
        f"""{HEAD} g (float[2] x) => (float[2] y) {{
            ten = Constant <value = int64 {{10}}> () yes = Constant <value = bool {{1}}> ()
            y = Loop (ten, yes, x) <body = step (int64 i, bool c, float[2] v) => (bool again, float[2] w) {{
                w = Neg(v) again = Identity(c) }}>
        }}"""
    )
    [construct] = control_flow.analyze(read(model)).constructs
    assert construct.trip_count is not None
    assert (construct.trip_count.count, construct.trip_count.exact) == (10, True)


def test_a_scan_runs_over_the_dim_it_says(read: Read, text: Text) -> None:
    model = text(
        f"""{HEAD} g (float[3] s, float[2,7,3] xs) => (float[3] e, float[7,3] ys) {{
            e, ys = Scan <num_scan_inputs = 1, scan_input_axes = [1], body = step (float[3] a, float[2,3] x) => (float[3] b, float[3] y) {{
                r = ReduceMax <keepdims = 0> (x) b = Add(a, r) y = Identity(b) }}> (s, xs)
        }}"""
    )
    program = read(model)
    node = program.main.node("e")
    assert node.calls["body"] == Call("step", (0, None), (0, 1), ((0, 0),))
    assert node.control == Control("loop", trip_count=7)


def test_opset_8_s_scan_has_the_lengths_first_and_a_batch(read: Read, onnx: ModuleType) -> None:
    h, t = onnx.helper, onnx.TensorProto
    body = h.make_graph(
        [h.make_node("Add", ["a", "x"], ["b"]), h.make_node("Identity", ["b"], ["y"])],
        "step",
        [h.make_tensor_value_info(n, t.FLOAT, [3]) for n in ("a", "x")],
        [h.make_tensor_value_info(n, t.FLOAT, [3]) for n in ("b", "y")],
    )
    node = h.make_node("Scan", ["", "s", "xs"], ["e", "ys"], num_scan_inputs=1, body=body)
    info = {n: h.make_tensor_value_info(n, t.FLOAT, s) for n, s in (("s", [2, 3]), ("xs", [2, 5, 3]), ("e", [2, 3]), ("ys", [2, 5, 3]))}
    graph = h.make_graph([node], "g", [info["s"], info["xs"]], [info["e"], info["ys"]])
    program = read(h.make_model(graph, opset_imports=[h.make_opsetid("", 8)]))
    scan = program.main.node("e")
    assert scan.calls["body"] == Call("step", (1, None), (0, 1), ((0, 0),))
    assert scan.control == Control("loop", trip_count=5)
    assert scan.absent == (0,)


def test_a_sequence_map_gives_its_body_an_element_of_each_sequence_and_tensors_whole(read: Read, text: Text) -> None:
    model = text(
        f"""{HEAD} g (seq(float[3]) s, float[3] k) => (seq(float[3]) o) {{
            o = SequenceMap <body = one (float[3] e, float[3] b) => (float[3] r) {{ r = Add(e, b) }}> (s, k)
        }}"""
    )
    node = read(model).main.node("o")
    assert node.calls["body"] == Call("one", (None, 1), (0,))
    assert node.control == Control("loop", trip_count="length of s")


def test_the_graphs_of_an_operator_nobody_knows_are_kept(read: Read, onnx: ModuleType) -> None:
    h, t = onnx.helper, onnx.TensorProto
    info = [h.make_tensor_value_info(n, t.FLOAT, [1]) for n in ("x", "y", "p")]
    inner = [h.make_graph([h.make_node(op, ["x"], ["p"])], op, [], [info[2]]) for op in ("Neg", "Abs")]
    node = h.make_node("Beam", ["x"], ["y"], domain="com.example", decoder=inner[0], steps=inner)
    program = read(h.make_model(h.make_graph([node], "g", info[:1], info[1:2])))
    calls = program.main.node("y").calls
    assert list(calls) == ["decoder", "steps_0", "steps_1"]
    assert all(call.operands == (1,) for call in calls.values())
    assert program.count() == 4
