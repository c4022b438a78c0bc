"""What holds of every diff, whatever the programs: the way back, the way on, symmetry, and the planted edits of the benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import graphlab
from graphlab.diff.changes import GraphDiff
from graphlab.diff.rewrites import Rewrite
from graphlab.errors import DiffError
from graphlab.ir.program import NodeRef, Program

SLOW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SEEDS = st.tuples(st.integers(0, 10**6), st.integers(0, 10**6))


def pairs(diff: GraphDiff) -> set[tuple[NodeRef, NodeRef]]:
    return {(match.a, match.b) for match in diff.matches}


@SLOW
@given(seeds=SEEDS)
def test_the_way_back_makes_the_first_program_of_the_second_by_the_same_matches(make: Any, seeds: tuple[int, int]) -> None:
    a, b = (make.random(seed, 20) for seed in seeds)
    forth = graphlab.diff(a, b)
    back = forth.invert()
    assert pairs(back) == {(y, x) for x, y in pairs(forth)}
    assert graphlab.diff(back.apply(b), a).equal
    assert back.names == forth.names[::-1]


@SLOW
@given(seeds=SEEDS)
def test_two_programs_have_the_same_matches_either_way(make: Any, seeds: tuple[int, int]) -> None:
    a, b = (make.random(seed, 20) for seed in seeds)
    assert pairs(graphlab.diff(b, a)) == {(y, x) for x, y in pairs(graphlab.diff(a, b))}


@SLOW
@given(seeds=st.tuples(*[st.integers(0, 10**6)] * 3))
def test_two_diffs_in_a_row_are_one(make: Any, seeds: tuple[int, int, int]) -> None:
    a, b, c = (make.random(seed, 15) for seed in seeds)
    whole = graphlab.diff(a, b).then(graphlab.diff(b, c))
    assert (whole.a, whole.b) == (a, c)
    assert graphlab.diff(whole.apply(a), c).equal


def test_diffs_that_do_not_meet_are_not_joined(make: Any) -> None:
    a, b = make.random(1, 10), make.random(2, 10)
    with pytest.raises(DiffError, match="does not begin"):
        graphlab.diff(a, b).then(graphlab.diff(a, b))


def rewritten(make: Any, before: list[Any], after: list[Any]) -> tuple[Rewrite, ...]:
    inputs: list[Any] = [("x", "in", (), {}), ("y", "in", (), {})]
    ends: list[Any] = [("e", "x.tanh", ("r",), {}), ("f", "x.mul", ("e", "y"), {})]
    one, two = (make.single([*inputs, *lines, *ends], ["f"]) for lines in (before, after))
    found: tuple[Rewrite, ...] = graphlab.diff(one, two).rewrites
    return found


def test_two_operations_that_became_one_are_fused_and_one_that_became_two_decomposed(make: Any) -> None:
    two: list[Any] = [("m", "x.matmul", ("x", "y"), {}), ("r", "x.relu", ("m",), {})]
    one: list[Any] = [("r", "x.fused", ("x", "y"), {})]
    [fused] = rewritten(make, two, one)
    assert (fused.kind, [r.node for r in fused.a], [r.node for r in fused.b]) == ("fused", ["m", "r"], ["r"])
    [decomposed] = rewritten(make, one, two)
    assert (decomposed.kind, len(decomposed.a), len(decomposed.b)) == ("decomposed", 1, 2)


def test_a_value_computed_twice_is_a_duplicate(make: Any) -> None:
    lines: list[Any] = [("x", "in", (), {}), ("c", "x.cos", ("x",), {})]
    once = make.single([*lines, ("s", "x.sin", ("c",), {}), ("t", "x.tan", ("c",), {})], ["s", "t"])
    twice = make.single([*lines, ("d", "x.cos", ("x",), {}), ("s", "x.sin", ("c",), {}), ("t", "x.tan", ("d",), {})], ["s", "t"])
    assert [r.kind for r in graphlab.diff(once, twice).rewrites] == ["duplicated"]
    assert [r.kind for r in graphlab.diff(twice, once).rewrites] == ["merged"]


def test_a_block_of_a_stack_that_is_left_out_is_a_layer_dropped(make: Any, shuffle: Any) -> None:
    def stack(blocks: list[int]) -> Program:
        lines: list[Any] = [("x", "in", (), {})]
        for k in blocks:
            for step, op in enumerate(("x.exp", "x.sin", "x.cos", "x.tan", "x.log")):
                lines.append((f"b{k}.{step}", op, (lines[-1][0],), {}))
        program: Program = make.single(lines, [lines[-1][0]])
        return program

    other, _ = shuffle(stack([0, 1, 3, 4]), 1)
    diff = graphlab.diff(stack([0, 1, 2, 3, 4]), other)
    assert [(r.kind, len(r.a)) for r in diff.rewrites] == [("layer dropped", 5)]
    assert diff.counts() == {"removed": 5, "rewired": 1}


@pytest.mark.parametrize("seed", range(3))
def test_edits_planted_in_a_stack_of_layers_are_found_at_about_what_they_cost(
    make: Any, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    from benchmarks.diff_quality.__main__ import trial
    from benchmarks.diff_quality.score import orbits

    program = make.layers(40)
    score = trial(program, 0.05, "both", seed, orbits(program), True)
    ours = score["engine"][0]
    assert ours.applied
    assert ours.orbit >= 0.97
    assert ours.ratio <= 1.05
    assert all(score[rival][0].orbit < 0.5 for rival in ("name", "sequence"))
