"""Trip counts of counted loops, against counting."""

from __future__ import annotations

import operator
from collections.abc import Callable

import pytest

from graphlab.capture.loops import trip_count
from graphlab.ir.constants import Constant
from graphlab.ir.graph import Call, Graph
from graphlab.ir.values import TensorType

INT = TensorType("int32")
COMPARE: dict[str, Callable[[int, int], bool]] = {
    "LT": operator.lt, "LE": operator.le, "GT": operator.gt, "GE": operator.ge, "NE": operator.ne,
}  # fmt: skip


def region(op: str, amount: int, *, mirrored: bool = False, **attrs: str) -> Graph:
    """``output(op(arg, amount))``."""
    from graphlab.ir.frozen import FrozenDict

    graph = Graph(name="region")
    graph.add("arg", kind="input", index=0, outputs=(INT,))
    graph.add("amount", kind="constant", outputs=(INT,), value=Constant(INT, amount.to_bytes(4, "little", signed=True)))
    graph.add("op", kind="op", op=op, outputs=(INT,), attrs=FrozenDict(attrs))
    graph.add("output", kind="output")
    graph.connect("arg", "op", 0, int(mirrored))
    graph.connect("amount", "op", 0, int(not mirrored))
    graph.connect("op", "output")
    return graph


def counted(start: int, test: Callable[[int], bool], step: int) -> int | None:
    """Trips by counting; None for more than a thousand."""
    for trips in range(1000):
        if not test(start + trips * step):
            return trips
    return None


@pytest.mark.parametrize("direction", COMPARE)
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("step", [-3, -1, 1, 2, 5])
@pytest.mark.parametrize("start", [-7, 0, 1, 10, 11])
def test_trips_are_what_counting_gives(direction: str, mirrored: bool, step: int, start: int) -> None:
    limit = 10
    compare = COMPARE[direction]
    cond = region("stablehlo.compare", limit, mirrored=mirrored, comparison_direction=direction)
    body = region("stablehlo.add", step)
    trips = trip_count(cond, Call("cond", (0,), (None,)), body, Call("body", (0,), (0,), ((0, 0),)), lambda slot: start)
    assert trips == counted(start, lambda i: compare(limit, i) if mirrored else compare(i, limit), step)


def test_subtraction_counts_down() -> None:
    cond = region("stablehlo.compare", 0, comparison_direction="GT")
    body = region("stablehlo.subtract", 2)
    assert trip_count(cond, Call("cond", (0,), (None,)), body, Call("body", (0,), (0,), ((0, 0),)), lambda slot: 7) == 4


def test_other_steps_are_not_guessed() -> None:
    cond = region("stablehlo.compare", 10, comparison_direction="LT")
    body = region("stablehlo.multiply", 2)
    assert trip_count(cond, Call("cond", (0,), (None,)), body, Call("body", (0,), (0,), ((0, 0),)), lambda slot: 1) is None
