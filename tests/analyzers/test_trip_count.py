"""Trip counts, each beside the loop it is of."""

from __future__ import annotations

from typing import Any

import pytest

from graphlab.analyzers.dataflow import Dataflow
from graphlab.analyzers.trip_count import UNBOUNDED, TripCount, TripCounter
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
