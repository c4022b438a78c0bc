"""Trip counts of loops: given where they can be proved, against a run of the loop; absent where not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import graphlab
from graphlab import Program
from graphlab.ir.graph import Control

pytest.importorskip("tensorflow")
pytestmark = pytest.mark.tensorflow


def loops(program: Program) -> list[Control]:
    return [node.control for _, node in program.each_node() if node.control and node.control.form == "loop"]


def counting(tf: Any, bounds: tuple[int, ...]) -> Callable[..., Any]:
    """A function that returns how often its loop over a range ran."""

    def count() -> Any:
        rounds = tf.constant(0)
        for _ in tf.range(*bounds):
            rounds += 1
        return rounds

    function: Callable[..., Any] = tf.function(count)
    return function


@pytest.mark.parametrize("bounds", [(5,), (2, 9), (0, 10, 3), (3, 3), (1, 8, 7)])
def test_a_constant_range_has_the_count_that_a_run_has(tf: Any, bounds: tuple[int, ...]) -> None:
    function = counting(tf, bounds)
    (loop,) = loops(graphlab.capture(function))
    assert loop.trip_count == int(function())


def test_a_while_with_a_constant_bound_has_its_count(tf: Any) -> None:
    @tf.function
    def function() -> Any:
        i = tf.constant(1)
        while i <= 10:
            i += 2
        return i

    (loop,) = loops(graphlab.capture(function))
    assert loop.trip_count == 5


def test_a_static_dim_bounds_a_loop(tf: Any) -> None:
    @tf.function
    def function(x: Any) -> Any:
        total = tf.constant(0.0)
        for i in range(tf.shape(x)[1]):
            total += x[0, i]
        return total

    (static,) = loops(graphlab.capture(function, ("f32[b,6]",)))
    (dynamic,) = loops(graphlab.capture(function, ("f32[6,t]",)))
    assert static.trip_count == 6
    assert dynamic.trip_count is None
    assert dynamic.trip_slot is not None


def test_the_trip_slot_is_the_operand_that_bounds_the_loop(tf: Any) -> None:
    @tf.function
    def function(n: Any) -> Any:
        total = tf.constant(0)
        for i in tf.range(n):
            total += i
        return total

    program = graphlab.capture(function, ("i32[]",))
    (node,) = [node for node in program.main.each_node() if node.control]
    assert node.control is not None
    assert [use.src for use in node.operands if use.dst_port == node.control.trip_slot] == ["n"]


def test_an_inner_loop_takes_its_bound_through_the_outer_ones_operands(tf: Any) -> None:
    @tf.function
    def function(n: Any) -> Any:
        total = tf.constant(0)
        four = tf.constant(4) * 1
        for _ in tf.range(n):
            for j in tf.range(four):
                total += j
        return total

    assert sorted(str(loop.trip_count) for loop in loops(graphlab.capture(function, ("i32[]",)))) == ["4", "None"]


def test_a_loop_that_may_break_has_no_count(tf: Any) -> None:
    @tf.function
    def function(x: Any) -> Any:
        for _ in tf.range(8):
            x = x * 2.0
            if x > 100.0:
                break
        return x

    (loop,) = loops(graphlab.capture(function, ("f32[]",)))
    assert loop.trip_count is None


def test_a_counter_that_does_not_grow_evenly_has_no_count(tf: Any) -> None:
    @tf.function
    def function() -> Any:
        i = tf.constant(1)
        while i < 100:
            i *= 2
        return i

    (loop,) = loops(graphlab.capture(function))
    assert loop.trip_count is None


def test_a_bound_that_the_body_changes_gives_no_count(tf: Any) -> None:
    @tf.function
    def function() -> Any:
        i, n = tf.constant(0), tf.constant(10)
        while i < n:
            i += 1
            n -= 1
        return i

    (loop,) = loops(graphlab.capture(function))
    assert loop.trip_count is None
    assert int(function()) == 5
