"""Dependences, against hand counts and against networkx's own reachability."""

from __future__ import annotations

import random
import time
from typing import Any

import networkx as nx
import pytest

from graphlab.analyzers.dataflow import Dataflow
from graphlab.ir.graph import Call, Control
from graphlab.ir.program import NodeRef, Program
from graphlab.ir.values import TensorType, TupleType

UNKNOWN = TensorType("float32", (None, None))


def causes(program: Program, graph: str, node: str, port: int = 0) -> set[tuple[str, str]]:
    flow = Dataflow(program)
    return {(c.kind, c.name) for c in flow.causes(flow.of_value(NodeRef(graph, node), port))}


def test_a_value_depends_on_the_inputs_it_is_computed_from(build: Any) -> None:
    build.input("main", "x")
    build.input("main", "y")
    build.op("main", "sum", "t.add", "x", "x")
    build.output("main", "sum", "y")
    assert causes(build.done(), "main", "sum") == {("input", "x")}


def test_a_shape_query_depends_on_the_shape_alone(build: Any) -> None:
    build.input("main", "x", UNKNOWN)
    build.op("main", "relu", "t.relu", "x", type=UNKNOWN)
    build.op("main", "size", "t.size", "relu", type=build.INT, canonical="Shape")
    build.output("main", "size")
    assert causes(build.done(), "main", "size") == {("shape", "x")}


def test_the_shape_of_a_static_tensor_depends_on_nothing(build: Any) -> None:
    build.input("main", "x")
    build.op("main", "size", "t.size", "x", type=build.INT, canonical="Shape")
    build.output("main", "size")
    assert causes(build.done(), "main", "size") == set()


def test_a_query_of_the_vocabulary_counts_without_an_onnx_counterpart(build: Any) -> None:
    build.input("main", "x", UNKNOWN)
    build.op("main", "rank", "aten::dim", "x", type=build.INT)
    build.output("main", "rank")
    assert causes(build.done(), "main", "rank") == {("shape", "x")}


def test_a_shape_computed_from_values_depends_on_them(build: Any) -> None:
    build.input("main", "x", UNKNOWN)
    build.input("main", "n", build.INT)
    build.op("main", "grown", "t.reshape", "x", "n", type=UNKNOWN)
    build.op("main", "size", "t.size", "grown", type=build.INT, canonical="Shape")
    build.output("main", "size")
    assert causes(build.done(), "main", "size") == {("shape", "x"), ("input", "n")}


def test_the_shape_of_nonzero_depends_on_values(build: Any) -> None:
    build.input("main", "x")
    build.op("main", "where", "t.nonzero", "x", type=UNKNOWN, canonical="NonZero")
    build.op("main", "size", "t.size", "where", type=build.INT, canonical="Shape")
    build.output("main", "size")
    assert causes(build.done(), "main", "size") == {("input", "x")}


def test_a_call_passes_on_only_what_feeds_the_result(build: Any) -> None:
    build.input("main", "x")
    build.input("main", "y")
    build.op("main", "call", "t.call", "x", "y", type=(build.FLOAT, build.FLOAT), calls={"call": Call("f", (0, 1), (0, 1))})
    build.output("main", ("call", 0), ("call", 1))
    build.input("f", "a")
    build.input("f", "b")
    build.op("f", "na", "t.neg", "a")
    build.op("f", "nb", "t.neg", "b")
    build.output("f", "na", "nb")
    program = build.done()
    assert causes(program, "main", "call", 0) == {("input", "x")}
    assert causes(program, "main", "call", 1) == {("input", "y")}


def test_two_callers_of_one_graph_are_kept_apart(build: Any) -> None:
    build.input("main", "x")
    build.op("main", "draw", "t.rand", effects=("random",))
    for name, operand in (("first", "x"), ("second", "draw")):
        build.op("main", name, "t.call", operand, calls={"call": Call("f", (0,), (0,))})
    build.output("main", "first", "second")
    build.input("f", "a")
    build.op("f", "na", "t.neg", "a")
    build.output("f", "na")
    program = build.done()
    assert causes(program, "main", "first") == {("input", "x")}
    assert causes(program, "main", "second") == {("random", "draw")}
    assert causes(program, "f", "na") == {("input", "x"), ("random", "draw")}


def loop(build: Any) -> Program:
    """while going(n): a, b, kept = b, a + c, kept — carried across two iterations; ``kept`` never changes."""
    for name in ("n", "a", "b", "c", "kept"):
        build.input("main", name)
    slots = tuple(range(5))
    build.op(
        "main", "while", "t.while", "n", "a", "b", "c", "kept", type=(build.FLOAT,) * 5,
        calls={
            "cond": Call("going", slots, (None,)),
            "body": Call("body", slots, slots, tuple((i, i) for i in slots)),
        },
        control=Control("loop", condition=("cond", 0)),
    )  # fmt: skip
    build.output("main", *(("while", i) for i in range(5)))
    for graph in ("going", "body"):
        for name in ("n", "a", "b", "c", "kept"):
            build.input(graph, name)
    build.op("going", "test", "t.less", "n", type=build.BOOL)
    build.output("going", "test")
    build.op("body", "next", "t.add", "a", "c")
    build.output("body", "n", "b", "next", "c", "kept")
    program: Program = build.done()
    return program


def test_a_loop_is_followed_until_nothing_new_comes_round(build: Any) -> None:
    program = loop(build)
    assert causes(program, "main", "while", 1) == {("input", x) for x in "abcn"}


def test_a_loop_variable_that_the_body_hands_on_unchanged_is_what_went_in(build: Any) -> None:
    program = loop(build)
    assert causes(program, "main", "while", 4) == {("input", "kept")}


def test_what_a_loop_decides_on_is_traced_through_its_condition(build: Any) -> None:
    program = loop(build)
    flow = Dataflow(program)
    decision = flow.of_decision(NodeRef("main", "while"))
    assert decision is not None
    assert [c.name for c in flow.causes(decision)] == ["n"]


def test_a_condition_sees_what_the_body_carries_round(build: Any) -> None:
    build.input("main", "x")
    build.constant("main", "zero", 0.0)
    build.op(
        "main", "while", "t.while", "zero", "x", type=(build.FLOAT, build.FLOAT),
        calls={"cond": Call("going", (0, 1), (None,)), "body": Call("body", (0, 1), (0, 1), ((0, 0), (1, 1)))},
        control=Control("loop", condition=("cond", 0)),
    )  # fmt: skip
    build.output("main", "while")
    for graph in ("going", "body"):
        build.input(graph, "sum", TensorType("float32", ()))
        build.input(graph, "x")
    build.op("going", "test", "t.less", "sum", type=build.BOOL)
    build.output("going", "test")
    build.op("body", "add", "t.add", "sum", "x", type=TensorType("float32", ()))
    build.output("body", "add", "x")
    flow = Dataflow(build.done())
    decision = flow.of_decision(NodeRef("main", "while"))
    assert decision is not None
    assert {(c.kind, c.name) for c in flow.causes(decision)} == {("input", "x")}


def test_the_result_of_a_branch_depends_on_its_predicate(build: Any) -> None:
    build.input("main", "p", build.BOOL)
    build.input("main", "x")
    build.op(
        "main", "if", "t.if", "p", "x", calls={"then": Call("then", (1,), (0,)), "else": Call("else", (1,), (0,))},
        control=Control("conditional", predicate=0),
    )  # fmt: skip
    build.output("main", "if")
    for graph, op in (("then", "t.neg"), ("else", "t.abs")):
        build.input(graph, "x")
        build.op(graph, "y", op, "x")
        build.output(graph, "y")
    assert causes(build.done(), "main", "if") == {("input", "p"), ("input", "x")}


def test_tuples_are_followed_element_by_element_through_a_loop(build: Any) -> None:
    pair = TupleType((build.INT, build.FLOAT))
    build.input("main", "n", build.INT)
    build.input("main", "x")
    build.op("main", "pack", "hlo.tuple", "n", "x", type=pair, canonical="SequenceConstruct")
    build.op(
        "main", "while", "hlo.while", "pack", type=pair,
        calls={"cond": Call("going", (0,), (None,)), "body": Call("body", (0,), (0,), ((0, 0),))},
        control=Control("loop", condition=("cond", 0)),
    )  # fmt: skip
    build.op("main", "n_after", "hlo.get-tuple-element", "while", type=build.INT, attrs={"index": 0})
    build.op("main", "x_after", "hlo.get-tuple-element", "while", attrs={"index": 1})
    build.output("main", "n_after", "x_after")
    for graph in ("going", "body"):
        build.input(graph, "state", pair)
        build.op(graph, "n", "hlo.get-tuple-element", "state", type=build.INT, attrs={"index": 0})
    build.op("going", "test", "hlo.compare", "n", type=build.BOOL)
    build.output("going", "test")
    build.op("body", "x", "hlo.get-tuple-element", "state", attrs={"index": 1})
    build.op("body", "sin", "hlo.sine", "x")
    build.op("body", "pack", "hlo.tuple", "n", "sin", type=pair, canonical="SequenceConstruct")
    build.output("body", "pack")
    program = build.done()
    assert causes(program, "main", "n_after") == {("input", "n")}
    assert causes(program, "main", "x_after") == {("input", "n"), ("input", "x")}


def test_what_a_reduction_makes_itself_depends_on_the_operands_that_go_nowhere_else(build: Any) -> None:
    build.input("main", "xs")
    build.input("main", "init")
    build.input("main", "scale")
    build.op(
        "main", "scan", "t.scan", "xs", "init", "scale", type=(build.FLOAT, build.FLOAT),
        calls={"body": Call("body", (1, None, 2), (0, 1), ((0, 0),))}, control=Control("loop", trip_count=4),
    )  # fmt: skip
    build.output("main", ("scan", 0), ("scan", 1))
    for name in ("carry", "slice", "scale"):
        build.input("body", name)
    build.op("body", "next", "t.mul", "carry", "scale")
    build.op("body", "y", "t.neg", "slice")
    build.output("body", "next", "y")
    program = build.done()
    assert causes(program, "main", "scan", 0) == {("input", "init"), ("input", "scale")}
    assert causes(program, "main", "scan", 1) == {("input", "xs")}


def test_a_value_written_to_in_a_region_is_no_constant_outside(build: Any) -> None:
    build.op("main", "list", "prim::ListConstruct", type=TensorType("float32", (0,)))
    build.input("main", "x")
    build.op("main", "call", "t.call", "list", "x", calls={"call": Call("f", (0, 1), (0,))})
    build.op("main", "stack", "t.stack", "list")
    build.output("main", "stack", "call")
    build.input("f", "list", TensorType("float32", (0,)))
    build.input("f", "x")
    build.op("f", "append", "aten::append", "list", "x", effects=("writes_state",))
    build.output("f", "append")
    assert ("mutated", "list") in causes(build.done(), "main", "stack")


def test_a_signature_tells_parameters_from_data(build: Any) -> None:
    build.input("main", "w")
    build.input("main", "x")
    build.op("main", "mul", "t.mul", "w", "x")
    build.output("main", "mul")
    assert causes(build.done(roles={"w": "parameter"}), "main", "mul") == {("parameter", "w"), ("input", "x")}


def test_reading_a_variable_that_nothing_writes_is_reading_a_parameter(build: Any) -> None:
    build.parameter("main", "w")
    build.op("main", "read", "tf.ReadVariableOp", "w", effects=("reads_state",))
    build.output("main", "read")
    assert causes(build.done(), "main", "read") == {("parameter", "w")}


def test_reading_a_variable_that_something_writes_is_reading_state(build: Any) -> None:
    build.parameter("main", "w")
    build.input("main", "x")
    build.op("main", "assign", "tf.AssignVariableOp", "w", "x", type=(), effects=("writes_state",))
    build.op("main", "read", "tf.ReadVariableOp", "w", effects=("reads_state",))
    build.output("main", "read")
    assert ("reads_state", "read") in causes(build.done(), "main", "read")


def test_recursion_comes_to_an_end(build: Any) -> None:
    build.input("main", "x")
    build.op("main", "call", "t.call", "x", calls={"call": Call("f", (0,), (0,))})
    build.output("main", "call")
    build.input("f", "a")
    build.op(
        "f", "if", "t.if", "a", "a", calls={"then": Call("f", (1,), (0,)), "else": Call("g", (1,), (0,))},
        control=Control("conditional", predicate=0),
    )  # fmt: skip
    build.output("f", "if")
    build.input("g", "a")
    build.op("g", "draw", "t.rand", "a", effects=("random",))
    build.output("g", "draw")
    assert causes(build.done(), "main", "call") == {("input", "x"), ("random", "draw")}


def test_a_cycle_of_edges_carries_what_enters_it_anywhere(build: Any) -> None:
    build.input("main", "x")
    build.input("main", "y")
    build.op("main", "merge", "tf.Merge", "x")
    build.op("main", "next", "t.add", "merge", "y")
    build.graph("main").connect("next", "merge", 0, 1)
    build.output("main", "merge")
    program = build.done()
    assert causes(program, "main", "merge") == {("input", "x"), ("input", "y")}
    assert Dataflow(program).cycles == {"main": [["merge", "next"]]}


@pytest.mark.parametrize("seed", range(20))
def test_in_a_flat_graph_it_is_networkx_reachability(build: Any, seed: int) -> None:
    rng = random.Random(seed)
    ids = [f"x{i}" for i in range(6)]
    for id in ids:
        build.input("main", id)
    for i in range(80):
        operands = rng.sample(ids, rng.randint(1, 3))
        build.op("main", f"n{i}", "t.op", *operands)
        ids.append(f"n{i}")
    build.output("main", ids[-1])
    program = build.done()
    flow = Dataflow(program)
    for id in ids[6:]:
        above = {n for n in nx.ancestors(program.main, id) if n.startswith("x")}
        assert {c.name for c in flow.causes(flow.of_value(NodeRef("main", id)))} == above


def test_regions_that_all_share_one_graph_are_walked_once(build: Any) -> None:
    """Sixty levels, each using the next one twice: unfolded, that is 2**60 graphs."""
    for level in range(60):
        name = "main" if level == 0 else f"g{level}"
        build.input(name, "x")
        for side in ("left", "right"):
            build.op(name, side, "t.call", "x", calls={"call": Call(f"g{level + 1}", (0,), (0,))})
        build.op(name, "sum", "t.add", "left", "right")
        build.output(name, "sum")
    build.input("g60", "x")
    build.op("g60", "neg", "t.neg", "x")
    build.output("g60", "neg")
    assert causes(build.done(), "main", "sum") == {("input", "x")}


def test_a_hundred_thousand_nodes_take_seconds(build: Any) -> None:
    nodes: list[tuple[str, dict[str, Any]]] = [("x", {"kind": "input", "outputs": (UNKNOWN,), "index": 0})]
    edges = []
    for i in range(100_000):
        nodes.append((f"n{i}", {"kind": "op", "op": "t.add", "outputs": (UNKNOWN,)}))
        edges += [(nodes[-2][0], f"n{i}", 0, 0), (nodes[i // 2][0], f"n{i}", 0, 1)]
    nodes.append(("output", {"kind": "output"}))
    edges.append(("n99999", "output", 0, 0))
    build.graph("main").fill(nodes, edges)
    program = build.done(verified=False)
    start = time.process_time()
    flow = Dataflow(program)
    assert [c.name for c in flow.causes(flow.of_value(NodeRef("main", "n99999")))] == ["x"]
    assert time.process_time() - start < 20  # 2.2 s of one core here; the bound leaves room for slower ones
