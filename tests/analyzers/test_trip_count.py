"""Trip counts, each beside the loop it is of."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import pytest

from graphlab.analyzers.dataflow import Dataflow
from graphlab.analyzers.trip_count import UNBOUNDED, TripCount, TripCounter
from graphlab.ir.frozen import freeze
from graphlab.ir.graph import Call, Control
from graphlab.ir.program import NodeRef, Program
from graphlab.ir.values import TensorType, TupleType


def count(program: Program) -> TripCount | None:
    return TripCounter(program, Dataflow(program)).of(NodeRef("main", "loop"))


def torchscript_loop(build: Any, limit: int, *, goes_on: bool = True) -> Program:
    build.input("main", "x")
    build.constant("main", "limit", limit, "int64")
    build.constant("main", "true", True, "bool")
    build.op(
        "main", "loop", "prim::Loop", "limit", "true", "x",
        calls={"body": Call("body", (None, 2), (None, 0), ((1, 1),))},
        control=Control("loop", predicate=1, condition=("body", 0), trip_slot=0),
    )  # fmt: skip
    build.output("main", "loop")
    build.input("body", "i", build.INT)
    build.input("body", "x")
    if goes_on:
        build.constant("body", "more", True, "bool")
    else:
        build.op("body", "more", "t.any", "x", type=build.BOOL)
    build.output("body", "more", "x")
    program: Program = build.done()
    return program


def test_a_constant_limit(build: Any) -> None:
    assert count(torchscript_loop(build, 7)) == TripCount(7, exact=True)


def test_a_limit_with_a_condition_beside_it(build: Any) -> None:
    assert str(count(torchscript_loop(build, 7, goes_on=False))) == "at most 7"


def test_the_largest_int64_is_no_limit(build: Any) -> None:
    assert count(torchscript_loop(build, UNBOUNDED, goes_on=False)) is None


def test_what_the_source_knows_is_believed(build: Any) -> None:
    build.input("main", "x")
    build.op("main", "loop", "jax.scan", "x", calls={"body": Call("body", (0,), (0,), ((0, 0),))}, control=Control("loop", trip_count="n"))
    build.output("main", "loop")
    build.input("body", "x")
    build.output("body", "x")
    assert count(build.done()) == TripCount("n", exact=True)


def counted(build: Any, start: int, limit: Any, step: int, *, test: str = "Less", also: bool = False) -> Program:
    """i = start; while i < limit (and more): i += step. ``limit`` is a number, or None for a dim of x."""
    build.input("main", "x", TensorType("float32", (None, None)))
    build.constant("main", "start", start, "int64")
    if limit is None:
        build.constant("main", "axis", 1, "int64")
        build.op("main", "limit", "t.size", "x", "axis", type=build.INT, canonical="Shape")
    else:
        build.constant("main", "limit", limit, "int64")
    build.op(
        "main", "loop", "t.while", "start", "limit", "x", type=(build.INT, build.INT, build.DYNAMIC),
        calls={"cond": Call("going", (0, 1, 2), (None,)), "body": Call("body", (0, 1, 2), (0, 1, 2), ((0, 0), (1, 1), (2, 2)))},
        control=Control("loop", condition=("cond", 0)),
    )  # fmt: skip
    build.output("main", ("loop", 0))
    for graph in ("going", "body"):
        build.input(graph, "i", build.INT)
        build.input(graph, "limit", build.INT)
        build.input(graph, "x", build.DYNAMIC)
    sides = ("limit", "i") if test.startswith("Greater") else ("i", "limit")
    build.op("going", "test", "t.compare", *sides, type=build.BOOL, canonical=test)
    if also:
        build.op("going", "more", "t.any", "x", type=build.BOOL)
        build.op("going", "both", "t.and", "test", "more", type=build.BOOL, canonical="And")
    build.output("going", "both" if also else "test")
    build.constant("body", "step", step, "int64")
    build.op("body", "next", "t.add", "i", "step", type=build.INT, canonical="Add")
    build.output("body", "next", "limit", "x")
    program: Program = build.done()
    return program


@pytest.mark.parametrize(
    ("start", "limit", "step", "test"),
    [
        (0, 10, 1, "Less"),
        (2, 10, 3, "Less"),
        (0, 10, 1, "LessOrEqual"),
        (0, 10, 4, "Greater"),
        (5, 10, 2, "GreaterOrEqual"),
        (9, 3, 1, "Less"),
    ],
)
def test_a_counter_up_to_a_limit_is_counted_as_python_counts(build: Any, start: int, limit: int, step: int, test: str) -> None:
    truth = len(range(start, limit + (1 if test.endswith("OrEqual") else 0), step))
    assert count(counted(build, start, limit, step, test=test)) == TripCount(truth, exact=True)


def test_a_counter_up_to_a_dimension(build: Any) -> None:
    assert count(counted(build, 0, None, 1)) == TripCount("dim 1 of x", exact=True)


def test_a_counter_that_does_not_start_at_nought(build: Any) -> None:
    assert count(counted(build, 2, None, 1)) == TripCount("dim 1 of x - 2", exact=True)


def test_a_second_condition_makes_it_a_bound(build: Any) -> None:
    assert count(counted(build, 0, 10, 1, also=True)) == TripCount(10, exact=False)


def test_a_counter_within_a_tuple(build: Any) -> None:
    pair = TupleType((build.INT, build.FLOAT))
    build.input("main", "x")
    build.constant("main", "zero", 0, "int64")
    build.op("main", "pack", "hlo.tuple", "zero", "x", type=pair, canonical="SequenceConstruct")
    build.op(
        "main", "loop", "hlo.while", "pack", type=pair,
        calls={"cond": Call("going", (0,), (None,)), "body": Call("body", (0,), (0,), ((0, 0),))},
        control=Control("loop", condition=("cond", 0)),
    )  # fmt: skip
    build.output("main", "loop")
    for graph in ("going", "body"):
        build.input(graph, "state", pair)
        build.op(graph, "i", "hlo.get-tuple-element", "state", type=build.INT, attrs={"index": 0})
    build.constant("going", "limit", 12, "int64")
    build.op("going", "test", "hlo.compare", "i", "limit", type=build.BOOL, canonical="Less")
    build.output("going", "test")
    build.constant("body", "one", 1, "int64")
    build.op("body", "next", "hlo.add", "one", "i", type=build.INT, canonical="Add")
    build.op("body", "x", "hlo.get-tuple-element", "state", attrs={"index": 1})
    build.op("body", "pack", "hlo.tuple", "next", "x", type=pair, canonical="SequenceConstruct")
    build.output("body", "pack")
    assert count(build.done()) == TripCount(12, exact=True)


def test_a_picked_element_of_a_shape_in_another_graph(build: Any) -> None:
    """TensorFlow's way: max(shape(x)[1], 0) outside, the loop in a function."""
    build.input("main", "x", TensorType("float32", (None, None)))
    build.op("main", "shape", "tf.Shape", "x", type=TensorType("int32", (2,)), canonical="Shape")
    for name, value in (("begin", [1]), ("end", [2]), ("strides", [1])):
        build.constant("main", name, value, "int32")
    build.op("main", "dim", "tf.StridedSlice", "shape", "begin", "end", "strides", type=TensorType("int32", ()), canonical="Slice")
    build.constant("main", "zero", 0, "int32")
    build.op("main", "limit", "tf.Maximum", "dim", "zero", type=TensorType("int32", ()), canonical="Max")
    build.op(
        "main", "loop", "t.loop", "limit", "x", type=build.DYNAMIC,
        calls={"body": Call("body", (1,), (0,), ((0, 0),))}, control=Control("loop", trip_slot=0),
    )  # fmt: skip
    build.output("main", "loop")
    build.input("body", "x", build.DYNAMIC)
    build.op("body", "y", "t.neg", "x", type=build.DYNAMIC)
    build.output("body", "y")
    assert count(build.done()) == TripCount("dim 1 of x", exact=True)


def test_a_limit_that_the_body_changes_is_not_known(build: Any) -> None:
    program = counted(build, 0, 10, 1)
    body = program.graphs["body"]
    body.remove_edge("limit", "output", (0, 1))
    body.connect("next", "output", 0, 1)
    assert count(program) is None


COMPARE: dict[str, Callable[[int, int], bool]] = {
    "Less": operator.lt, "LessOrEqual": operator.le, "Greater": operator.gt, "GreaterOrEqual": operator.ge, "unequal": operator.ne,
}  # fmt: skip


def compare(build: Any, graph: str, id: str, way: str, *sides: str) -> None:
    """ONNX has no operator for "not equal": the dialects' own ops stand for it."""
    if way == "unequal":
        build.op(graph, id, "stablehlo.compare", *sides, type=build.BOOL, attrs={"comparison_direction": "NE"})
    else:
        build.op(graph, id, "stablehlo.compare", *sides, type=build.BOOL, canonical=way)


def stepped(build: Any, start: int, way: str, step: int, *, mirrored: bool = False, change: str = "Add", negated: str = "") -> Program:
    """i = start; while i <way> 10: i += step. The step is made outside of the loop, and is an operand of it."""
    build.constant("main", "start", start, "int64")
    build.constant("main", "by", step, "int64")
    build.op(
        "main", "loop", "t.while", "start", "by", type=(build.INT, build.INT),
        calls={"cond": Call("going", (0,), (None,)), "body": Call("body", (0, 1), (0, 1), ((0, 0), (1, 1)))},
        control=Control("loop", condition=("cond", 0)),
    )  # fmt: skip
    build.output("main", ("loop", 0))
    build.input("going", "i", build.INT)
    build.constant("going", "limit", 10, "int64")
    compare(build, "going", "test", way, *(("limit", "i") if mirrored else ("i", "limit")))
    if negated:
        build.op("going", "result", "t.not", "test", type=build.BOOL, canonical=negated)
    build.output("going", "result" if negated else "test")
    build.input("body", "i", build.INT)
    build.input("body", "by", build.INT)
    build.op("body", "next", "t.change", "i", "by", type=build.INT, canonical=change)
    build.output("body", "next", "by")
    program: Program = build.done()
    return program


def counting(start: int, test: Callable[[int], bool], step: int) -> int | None:
    """Trips by counting; None for more than a thousand."""
    return next((trips for trips in range(1000) if not test(start + trips * step)), None)


@pytest.mark.parametrize("way", COMPARE)
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("step", [-3, -1, 0, 1, 2, 5])
@pytest.mark.parametrize("start", [-7, 0, 1, 10, 11])
def test_trips_are_what_counting_gives(build: Any, way: str, mirrored: bool, step: int, start: int) -> None:
    test = COMPARE[way]
    truth = counting(start, lambda i: test(10, i) if mirrored else test(i, 10), step)
    assert count(stepped(build, start, way, step, mirrored=mirrored)) == (None if truth is None else TripCount(truth, exact=True))


@pytest.mark.parametrize(
    ("way", "change", "start", "step"), [("Greater", "Sub", 17, 2), ("GreaterOrEqual", "Sub", 17, 7), ("Less", "Sub", 3, -2)]
)
def test_what_the_body_takes_away_counts_down(build: Any, way: str, change: str, start: int, step: int) -> None:
    truth = counting(start, lambda i: COMPARE[way](i, 10), -step)
    assert count(stepped(build, start, way, step, change=change)) == TripCount(truth or 0, exact=True)


def test_a_test_turned_round_by_not(build: Any) -> None:
    assert count(stepped(build, 2, "GreaterOrEqual", 3, negated="Not")) == TripCount(len(range(2, 10, 3)), exact=True)


def test_other_changes_than_steps_are_not_guessed(build: Any) -> None:
    assert count(stepped(build, 1, "Less", 2, change="Mul")) is None


def test_a_loop_until_something_is_equal_is_not_counted(build: Any) -> None:
    assert count(stepped(build, 10, "Equal", 1)) is None


def test_the_sooner_of_two_limits_is_exact(build: Any) -> None:
    """TensorFlow's recurrent layers: time < steps and counter < maximum_iterations."""
    build.constant("main", "zero", 0, "int32")
    build.constant("main", "steps", 7, "int32")
    int32 = TensorType("int32", ())
    build.op(
        "main", "loop", "t.while", "zero", "zero", "steps", type=(int32,) * 3,
        calls={"cond": Call("going", (0, 1, 2), (None,)), "body": Call("body", (0, 1, 2), (0, 1, 2), ((0, 0), (1, 1), (2, 2)))},
        control=Control("loop", condition=("cond", 0)),
    )  # fmt: skip
    build.output("main", ("loop", 0))
    for graph in ("going", "body"):
        for name in ("i", "j", "steps"):
            build.input(graph, name, int32)
    build.constant("going", "nine", 9, "int32")
    compare(build, "going", "first", "Less", "i", "steps")
    compare(build, "going", "second", "Less", "j", "nine")
    build.op("going", "both", "t.and", "first", "second", type=build.BOOL, canonical="And")
    build.output("going", "both")
    build.constant("body", "one", 1, "int32")
    build.constant("body", "two", 2, "int32")
    build.op("body", "i2", "t.add", "i", "one", type=int32, canonical="Add")
    build.op("body", "j2", "t.add", "two", "j", type=int32, canonical="Add")
    build.output("body", "i2", "j2", "steps")
    assert count(build.done()) == TripCount(min(len(range(0, 7)), len(range(0, 9, 2))), exact=True)


@pytest.mark.parametrize(
    ("operation", "canonical", "truth"), [("add", "Add", 9), ("sub", "Sub", 3), ("mul", "Mul", 18), ("max", "Max", 6), ("min", "Min", 3)]
)
def test_a_limit_computed_from_constants(build: Any, operation: str, canonical: str, truth: int) -> None:
    program = counted(build, 0, 6, 1)
    main = program.graphs["main"]
    build.constant("main", "three", 3, "int64")
    build.op("main", "computed", f"t.{operation}", "limit", "three", type=build.INT, canonical=canonical)
    main.remove_edge("limit", "loop", (0, 1))
    main.connect("computed", "loop", 0, 1)
    assert count(program) == TripCount(truth, exact=True)


def test_a_static_dim_is_a_number(build: Any) -> None:
    program = counted(build, 0, None, 1)
    program.main.nodes["x"]["outputs"] = (TensorType("float32", (None, 6)),)
    assert count(program) == TripCount(6, exact=True)


def test_a_dimension_of_what_was_reshaped_is_not_the_inputs(build: Any) -> None:
    build.input("main", "x", build.DYNAMIC)
    build.op("main", "wider", "t.unsqueeze", "x", type=TensorType("float32", (None, None, None)), canonical="Unsqueeze")
    build.op("main", "limit", "aten.sym_size.int", "wider", type=build.INT, attrs={"dim": 1})
    build.op(
        "main", "loop", "t.loop", "limit", "x", type=build.DYNAMIC,
        calls={"body": Call("body", (1,), (0,), ((0, 0),))}, control=Control("loop", trip_slot=0),
    )  # fmt: skip
    build.output("main", "loop")
    build.input("body", "x", build.DYNAMIC)
    build.output("body", "x")
    assert count(build.done()) == TripCount("dim 1 of the result of t.unsqueeze", exact=True)


def test_a_stride_is_no_size(build: Any) -> None:
    program = counted(build, 0, None, 1)
    del program.main.nodes["limit"]["canonical"]
    program.main.nodes["limit"]["op"] = "aten::stride"
    assert count(program) is None
    program.main.nodes["limit"]["op"] = "aten::size"
    assert count(program) == TripCount("dim 1 of x", exact=True)


def test_a_dimension_of_what_the_loop_makes_is_another_each_time(build: Any) -> None:
    """while i < shape(x)[0]: i += 1; x = concat(x, x)."""
    build.input("main", "x", build.DYNAMIC)
    build.constant("main", "zero", 0, "int64")
    build.op(
        "main", "loop", "t.while", "zero", "x", type=(build.INT, build.DYNAMIC),
        calls={"cond": Call("going", (0, 1), (None,)), "body": Call("body", (0, 1), (0, 1), ((0, 0), (1, 1)))},
        control=Control("loop", condition=("cond", 0)),
    )  # fmt: skip
    build.output("main", ("loop", 1))
    for graph in ("going", "body"):
        build.input(graph, "i", build.INT)
        build.input(graph, "x", build.DYNAMIC)
    build.constant("going", "axis", 0, "int64")
    build.op("going", "size", "aten::size", "x", "axis", type=build.INT)
    compare(build, "going", "test", "Less", "i", "size")
    build.output("going", "test")
    build.constant("body", "one", 1, "int64")
    build.op("body", "next", "t.add", "i", "one", type=build.INT, canonical="Add")
    build.op("body", "double", "t.concat", "x", "x", type=build.DYNAMIC, canonical="Concat")
    build.output("body", "next", "double")
    program = build.done()
    assert count(program) is None
    body = program.graphs["body"]
    body.remove_edge("double", "output", (0, 1))
    body.connect("x", "output", 0, 1)
    assert count(program) == TripCount("dim 0 of x", exact=True)


def test_a_start_that_is_changed_in_place_is_not_known(build: Any) -> None:
    program = counted(build, 0, 10, 1)
    build.op("main", "bump", "aten::add_", "start", "limit", type=build.INT, effects=("writes_state",))
    assert count(program) is None


def body_tested(build: Any, start: int, limit: int | None, step: int, *, before: str) -> Program:
    """TorchScript's while: the body's result says whether to go on, an operand whether to begin. ``limit`` None: a dim of x."""
    build.input("main", "x", build.DYNAMIC)
    build.constant("main", "unbounded", UNBOUNDED, "int64")
    build.constant("main", "start", start, "int64")
    build.constant("main", "true", True, "bool")
    build.constant("main", "axis", 1, "int64")
    if limit is None:
        build.op("main", "limit", "aten::size", "x", "axis", type=build.INT)
    else:
        build.constant("main", "limit", limit, "int64")
    compare(build, "main", "test", "Less", "start", "limit")
    build.op("main", "any", "t.any", "x", type=build.BOOL)
    for name, sides in (("both", ("any", "true")), ("also", ("true", "any"))):
        build.op("main", name, "aten::__and__", *sides, type=build.BOOL, canonical="And")
    build.op(
        "main", "loop", "prim::Loop", "unbounded", before, "start", "limit", type=build.INT,
        calls={"body": Call("body", (None, 2, 3), (None, 0), ((1, 1),))},
        control=Control("loop", predicate=1, condition=("body", 0), trip_slot=0),
    )  # fmt: skip
    build.output("main", "loop")
    for name in ("n", "i", "limit"):
        build.input("body", name, build.INT)
    build.constant("body", "step", step, "int64")
    build.op("body", "next", "aten::add", "i", "step", type=build.INT, canonical="Add")
    compare(build, "body", "more", "Less", "next", "limit")
    build.output("body", "more", "next")
    program: Program = build.done()
    return program


def do_while(start: int, limit: int, step: int) -> int:
    trips, i = 0, start
    while True:
        trips, i = trips + 1, i + step
        if i >= limit:
            return trips


@pytest.mark.parametrize(("start", "limit", "step"), [(0, 10, 3), (0, 9, 3), (9, 3, 1), (3, 3, 1)])
def test_a_test_after_each_iteration(build: Any, start: int, limit: int, step: int) -> None:
    assert count(body_tested(build, start, limit, step, before="true")) == TripCount(do_while(start, limit, step), exact=True)


@pytest.mark.parametrize(("start", "limit", "step"), [(0, 10, 3), (0, 9, 3), (9, 3, 1), (3, 3, 1)])
def test_the_same_test_before_and_after(build: Any, start: int, limit: int, step: int) -> None:
    assert count(body_tested(build, start, limit, step, before="test")) == TripCount(len(range(start, limit, step)), exact=True)


def test_the_same_test_of_a_dimension_before_and_after(build: Any) -> None:
    assert count(body_tested(build, 0, None, 1, before="test")) == TripCount("dim 1 of x", exact=True)


@pytest.mark.parametrize("before", ["any", "both", "also"])
def test_a_first_test_that_is_not_known_makes_it_a_bound(build: Any, before: str) -> None:
    assert count(body_tested(build, 0, 10, 3, before=before)) == TripCount(4, exact=False)


def test_a_literal_beside_the_operands(build: Any) -> None:
    """torch.export keeps Python numbers among the attributes."""
    program = counted(build, 0, 10, 1)
    body = program.graphs["body"]
    body.remove_edge("step", "next", (0, 1))
    for literal, truth in (({"other": 2}, 5), ({"other": 2, "alpha": 3}, None)):
        body.nodes["next"]["attrs"] = freeze(literal)
        assert count(program) == (None if truth is None else TripCount(truth, exact=True))


def test_a_condition_that_repeats_itself_is_read_once(build: Any) -> None:
    """Sixty conjunctions of a test with itself: 2**60 ways to it."""
    program = counted(build, 0, 10, 1)
    going = program.graphs["going"]
    last = "test"
    for depth in range(60):
        build.op("going", f"and{depth}", "t.and", last, last, type=build.BOOL, canonical="And")
        last = f"and{depth}"
    going.remove_edge("test", "output", (0, 0))
    going.connect(last, "output", 0, 0)
    assert count(program) == TripCount(10, exact=True)
