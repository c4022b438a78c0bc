"""Conditionals and loops of hand-built programs: what decides them, where they stand, what they run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from graphlab.analyzers import control_flow
from graphlab.ir.graph import Call, Control
from graphlab.ir.program import NodeRef, Program
from graphlab.ir.values import TensorType

UNKNOWN = TensorType("float32", (None, None))


def branch(build: Any, graph: str, id: str, predicate: str, value: str, *, line: int | None = None) -> None:
    """A conditional on ``predicate`` that negates ``value`` or hands it on."""
    build.op(
        graph, id, "t.if", predicate, value, line=line, control=Control("conditional", predicate=0),
        calls={"then": Call(f"{id}.then", (1,), (0,)), "else": Call(f"{id}.else", (1,), (0,))},
    )  # fmt: skip
    build.input(f"{id}.then", "v")
    build.op(f"{id}.then", "neg", "t.neg", "v")
    build.output(f"{id}.then", "neg")
    build.input(f"{id}.else", "v")
    build.output(f"{id}.else", "v")


def dynamic_rnn(build: Any) -> Program:
    """for i in range(x.size(1)): if rand() > 0.5: state = -state"""
    build.input("main", "x", UNKNOWN)
    build.constant("main", "state", [0.0] * 4)
    build.constant("main", "one", 1, "int64")
    build.constant("main", "true", True, "bool")
    build.op("main", "size", "aten::size", "x", "one", type=build.INT, canonical="Shape", line=11)
    build.op(
        "main", "loop", "prim::Loop", "size", "true", "state", line=11,
        calls={"body": Call("body", (None, 2), (None, 0), ((1, 1),))}, control=Control("loop", condition=("body", 0), trip_slot=0),
    )  # fmt: skip
    build.output("main", "loop")
    build.input("body", "i", build.INT)
    build.input("body", "state")
    build.op("body", "draw", "aten::rand", effects=("random",), line=12)
    build.op("body", "coin", "aten::gt", "draw", type=build.BOOL, line=12)
    branch(build, "body", "if", "coin", "state", line=12)
    build.constant("body", "go_on", True, "bool")
    build.output("body", "go_on", "if")
    program: Program = build.done()
    return program


def test_a_loop_over_a_dimension_and_the_coin_in_it(build: Any) -> None:
    loop, coin = control_flow.analyze(dynamic_rnn(build)).constructs
    assert (loop.form, str(loop.where), loop.decided_by, str(loop.trip_count)) == ("loop", "model.py:11", "shape", "dim 1 of x")
    assert (coin.form, str(coin.where), coin.decided_by) == ("conditional", "model.py:12", "random")
    assert [str(cause.ref) for cause in coin.causes] == ["body/draw"]
    assert coin.nesting == ((loop.node,),)


def test_the_findings_name_the_lines(build: Any) -> None:
    findings = {f.code: f for f in control_flow.analyze(dynamic_rnn(build)).findings}
    assert set(findings) == {"GL201", "GL203"}
    assert findings["GL201"].message == "branch at model.py:12 is decided by a random draw: aten::rand at model.py:12"
    assert "dim 1 of x" in findings["GL203"].message
    assert str(findings["GL203"].where) == "model.py:11"


def test_the_sizes_of_regions_count_the_regions_in_them(build: Any) -> None:
    loop, coin = control_flow.analyze(dynamic_rnn(build)).constructs
    assert [(r.role, r.ops) for r in loop.regions] == [("body", 4)]  # rand, gt, if, neg
    assert [(r.role, r.ops) for r in coin.regions] == [("then", 1), ("else", 0)]


def test_the_result_is_plain_data(build: Any) -> None:
    data = control_flow.analyze(dynamic_rnn(build)).to_json()
    assert json.loads(json.dumps(data)) == data


def one_branch(build: Any, predicate: str) -> control_flow.Result:
    branch(build, "main", "if", predicate, "x")
    build.output("main", "if")
    return control_flow.analyze(build.done())


def test_a_branch_on_values(build: Any) -> None:
    build.input("main", "x")
    build.op("main", "test", "t.any", "x", type=build.BOOL)
    result = one_branch(build, "test")
    assert [f.code for f in result.findings] == ["GL202"]
    assert "input 'x'" in result.findings[0].message


def test_a_branch_on_a_shape_is_no_finding(build: Any) -> None:
    build.input("main", "x", UNKNOWN)
    build.op("main", "size", "t.shape", "x", type=build.INT, canonical="Shape")
    build.op("main", "test", "t.gt", "size", type=build.BOOL)
    result = one_branch(build, "test")
    assert (result.constructs[0].decided_by, result.findings) == ("shape", ())


def test_a_branch_on_constants(build: Any) -> None:
    build.input("main", "x")
    build.constant("main", "flag", 1.0)
    build.op("main", "test", "t.gt", "flag", type=build.BOOL)
    assert [f.code for f in one_branch(build, "test").findings] == ["GL204"]


def test_a_branch_on_a_parameter(build: Any) -> None:
    build.input("main", "x")
    build.parameter("main", "w")
    build.op("main", "test", "t.any", "w", type=build.BOOL)
    assert [f.code for f in one_branch(build, "test").findings] == ["GL205"]


def test_a_branch_on_an_opaque_operation(build: Any) -> None:
    build.input("main", "x")
    build.op("main", "test", "my.op", "x", type=build.BOOL, effects=("opaque",))
    result = one_branch(build, "test")
    assert [f.code for f in result.findings] == ["GL206"]
    assert result.constructs[0].others == ("input",)


def test_the_most_restless_source_decides_and_the_others_are_told(build: Any) -> None:
    build.input("main", "x")
    build.op("main", "draw", "t.rand", effects=("random",))
    build.op("main", "test", "t.gt", "draw", "x", type=build.BOOL)
    construct = one_branch(build, "test").constructs[0]
    assert (construct.decided_by, construct.others) == ("random", ("input",))
    assert [c.ref for c in construct.causes] == [NodeRef("main", "draw")]


def test_a_shared_region_tells_every_way_in(build: Any) -> None:
    build.input("main", "p", build.BOOL)
    build.input("main", "x")
    for id in ("first", "second"):
        build.op(
            "main", id, "t.if", "p", "p", "x", control=Control("conditional", predicate=0),
            calls={"then": Call("shared", (1, 2), (0,)), "else": Call("plain", (2,), (0,))},
        )  # fmt: skip
    build.output("main", "first", "second")
    build.input("plain", "x")
    build.output("plain", "x")
    build.input("shared", "p", build.BOOL)
    build.input("shared", "x")
    branch(build, "shared", "inner", "p", "x")
    build.output("shared", "inner")
    inner = next(c for c in control_flow.analyze(build.done()).constructs if c.node.node == "inner")
    assert inner.nesting == ((NodeRef("main", "first"),), (NodeRef("main", "second"),))
    assert inner.ways == 2


def test_ways_in_are_counted_even_where_they_cannot_be_listed(build: Any) -> None:
    for level in range(50):
        name = "main" if level == 0 else f"g{level}"
        build.input(name, "x")
        for side in ("left", "right"):
            build.op(name, side, "t.call", "x", calls={"call": Call(f"g{level + 1}", (0,), (0,))})
        build.op(name, "sum", "t.add", "left", "right")
        build.output(name, "sum")
    build.input("g50", "x")
    build.op("g50", "test", "t.any", "x", type=build.BOOL)
    branch(build, "g50", "if", "test", "x")
    build.output("g50", "if")
    (construct,) = control_flow.analyze(build.done()).constructs
    assert construct.ways == 2**50
    assert construct.nesting == ((),)


def test_a_cycle_of_edges_is_a_loop(build: Any) -> None:
    build.input("main", "x")
    build.op("main", "enter", "tf.Enter", "x")
    build.op("main", "merge", "tf.Merge", "enter", line=5)
    build.op("main", "less", "tf.Less", "merge", type=build.BOOL)
    build.op("main", "cond", "tf.LoopCond", "less", type=build.BOOL, control=Control("loop", predicate=0), line=4)
    build.op("main", "switch", "tf.Switch", "merge", "cond", type=(build.FLOAT, build.FLOAT))
    build.op("main", "next", "tf.NextIteration", ("switch", 1))
    build.graph("main").connect("next", "merge", 0, 1)
    build.op("main", "exit", "tf.Exit", ("switch", 0))
    build.output("main", "exit")
    (cycle,) = control_flow.analyze(build.done()).constructs
    assert (cycle.form, cycle.node.node, str(cycle.where), cycle.decided_by) == ("cycle", "cond", "model.py:4", "input")
    assert cycle.regions[0].ops == 5


def test_a_cycle_without_a_named_condition_is_of_unknown_decision(build: Any) -> None:
    build.input("main", "x")
    build.op("main", "a", "t.a", "x")
    build.op("main", "b", "t.b", "a")
    build.graph("main").connect("b", "a", 0, 1)
    build.output("main", "b")
    (cycle,) = control_flow.analyze(build.done()).constructs
    assert (cycle.decided_by, cycle.regions[0].ops) == ("unknown", 2)


def test_a_host_read_is_no_source_the_values_it_reads_decide(build: Any) -> None:
    build.input("main", "x")
    build.op("main", "sum", "aten::sum", "x", type=build.FLOAT)
    build.op("main", "read", "aten::Bool", "sum", type=build.BOOL, effects=("host",))
    branch(build, "main", "if", "read", "x", line=3)
    build.output("main", "if")
    result = control_flow.analyze(build.done())
    assert [(c.decided_by, [cause.name for cause in c.causes]) for c in result.constructs] == [("input", ["x"])]
    assert [f.code for f in result.findings] == ["GL202"]


def test_a_host_read_of_a_draw_is_random(build: Any) -> None:
    build.input("main", "x")
    build.op("main", "draw", "aten::rand", type=build.FLOAT, effects=("random",))
    build.op("main", "read", "aten::item", "draw", type=build.BOOL, effects=("host",))
    branch(build, "main", "if", "read", "x")
    build.output("main", "if")
    assert control_flow.analyze(build.done()).constructs[0].decided_by == "random"


def test_a_host_value_made_of_nothing_and_a_callback_come_from_outside(build: Any) -> None:
    build.input("main", "x")
    build.op("main", "made", "t.clock", type=build.BOOL, effects=("host",))
    build.op("main", "called", "t.callback", "x", type=build.BOOL, effects=("host", "opaque"))
    branch(build, "main", "if", "made", "x")
    branch(build, "main", "if2", "called", "if")
    build.output("main", "if2")
    assert [c.decided_by for c in control_flow.analyze(build.done()).constructs] == ["outside", "outside"]


def test_a_capture_of_fixed_sizes_says_so(build: Any) -> None:
    for type, method, fixed in (
        (build.FLOAT, "export", True), (build.SYMBOLIC, "export", True), (UNKNOWN, "export", False), (build.FLOAT, "jit.script", False),
    ):  # fmt: skip
        one = build.__class__()
        one.input("main", "x", type)
        one.output("main", "x")
        assert control_flow.of_fixed_shapes(one.done(method=method)) is fixed


@pytest.mark.parametrize("method", ["export", "read"])
def test_a_program_read_from_a_file_is_not_told_to_be_traced(build: Any, method: str) -> None:
    build.input("main", "x")
    build.input("main", "n", build.INT)
    build.op(
        "main", "loop", "t.for", "n", "x",
        calls={"body": Call("body", (None, 1), (0,), ((0, 1),))}, control=Control("loop", trip_slot=0),
    )  # fmt: skip
    build.output("main", "loop")
    build.input("body", "i", build.INT)
    build.input("body", "v")
    build.op("body", "neg", "t.neg", "v")
    build.output("body", "neg")
    (finding,) = control_flow.analyze(build.done(method=method)).findings
    assert finding.code == "GL202"
    assert ("trace" in finding.do, "converted" in finding.do) == (method == "export", method == "read")
