"""What folding did, told from before and after."""

from __future__ import annotations

import json
from typing import Any

import pytest

from graphlab.analyzers.folding_done import compare
from graphlab.ir.program import Program


@pytest.fixture
def before(build: Any) -> Program:
    build.input("main", "x")
    build.constant("main", "a", [1.0] * 4)
    build.op("main", "Neg", "tf.Neg", "a")
    build.op("main", "Exp", "tf.Exp", "Neg")
    build.op("main", "Mul", "tf.Mul", "Exp", "x")
    build.output("main", "Mul")
    program: Program = build.done()
    return program


def folded(build: Any, *, exp: str = "Exp", mul: str = "Mul", size: int = 4) -> Program:
    build.input("main", "x")
    build.constant("main", exp, [0.5] * size)
    build.op("main", mul, "tf.Mul", exp, "x")
    build.output("main", mul)
    program: Program = build.done()
    return program


def test_an_operation_that_is_a_constant_of_its_name_was_folded(before: Program, build: Any) -> None:
    done = compare(before, folded(type(build)()))
    assert done.matched_by == "id"
    assert [ref.node for ref in done.folded] == ["Exp"]
    assert [ref.node for ref in done.vanished] == ["Neg"]
    assert ([len(part.nodes) for part in done.done], done.left) == ([2], ())


def test_a_subgraph_that_is_still_there_was_left(before: Program) -> None:
    done = compare(before, before)
    assert (done.done, [len(part.nodes) for part in done.left]) == ((), [2])
    assert (done.folded, done.vanished, done.fewer, done.more) == ((), (), {}, {})


def test_where_names_are_new_only_sums_are_told(before: Program, build: Any) -> None:
    done = compare(before, folded(type(build)(), exp="c7", mul="v8"))
    assert done.matched_by == "count"
    assert (done.folded, done.vanished, done.done, done.left) == ((), (), (), ())
    assert done.fewer == {"tf.Neg": 1, "tf.Exp": 1}
    assert (done.constants_before, done.constants_after) == ((1, 16), (1, 16))


def test_constants_that_grew_are_found_fault_with(before: Program, build: Any) -> None:
    done = compare(before, folded(type(build)(), size=100_000))
    assert [f.code for f in done.findings] == ["GL303"]
    assert "from 16 to 400,000 bytes" in done.findings[0].message


def test_the_result_is_plain_data(before: Program, build: Any) -> None:
    data = compare(before, folded(type(build)())).to_json()
    assert json.loads(json.dumps(data)) == data
