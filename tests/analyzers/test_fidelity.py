"""What captures admit, and what a trace lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from graphlab.analyzers import fidelity
from graphlab.capture.missing import missing_data
from graphlab.ir.frames import Frame
from graphlab.ir.frozen import frozen
from graphlab.ir.graph import Call, Control
from graphlab.ir.program import Attempt, Program
from graphlab.ir.values import TensorType

UNKNOWN = TensorType("float32", (None, None))


def plain(build: Any, **source: Any) -> Program:
    build.input("main", "x")
    build.output("main", "x")
    program: Program = build.done(**source)
    return program


def test_a_failed_attempt_is_told_with_its_line(build: Any) -> None:
    attempts = (Attempt("fx", False, 0.1, "Proxy in range", Frame("model.py", 8)), Attempt("jit.script", True, 0.2))
    (finding,) = fidelity.analyze(plain(build, attempts=attempts)).findings
    assert (finding.code, finding.message, str(finding.where)) == ("GL101", "fx cannot capture it: Proxy in range", "model.py:8")


def test_a_tracer_warning_is_told_with_its_line(build: Any) -> None:
    notes = (frozen(kind="tracer-warning", text="Converting a tensor\n to a Python boolean", file="model.py", line=9),)
    (finding,) = fidelity.analyze(plain(build, method="jit.trace", notes=notes)).findings
    assert (finding.code, str(finding.where)) == ("GL104", "model.py:9")
    assert finding.message == "jit.trace warned: Converting a tensor to a Python boolean"


def test_a_failed_check_is_an_error_without_a_line(build: Any) -> None:
    (finding,) = fidelity.analyze(plain(build, notes=(frozen(kind="trace-check", text="they differ"),))).findings
    assert (finding.code, finding.where) == ("GL105", None)


def test_weights_that_are_not_there_are_one_finding(build: Any) -> None:
    notes = missing_data({"a.bin": (2, "there is no 'a.bin'"), "b.bin": (1, "there is no 'b.bin'")})
    (finding,) = fidelity.analyze(plain(build, notes=notes)).findings
    assert (finding.code, finding.where) == ("GL109", None)
    assert finding.message == "3 weights have no values: there is no 'a.bin', and of 1 more file likewise"
    assert finding.data == {"count": 3, "files": ("a.bin", "b.bin")}


def test_where_nothing_is_missing_nothing_is_told() -> None:
    assert missing_data({}) == ()


def test_notes_of_other_kinds_are_not_its_business(build: Any) -> None:
    assert fidelity.analyze(plain(build, notes=(frozen(kind="something", text="else"),))).findings == ()


def branch(build: Any, graph: str, decider: str) -> None:
    """9: if <decider>: 10: x = tanh(x) 12: else: x = neg(x); the end of ``graph``"""
    build.op(
        graph, "if", "prim::If", decider, "x", type=UNKNOWN, line=9, control=Control("conditional", predicate=0),
        calls={"then": Call("then", (1,), (0,)), "else": Call("else", (1,), (0,))},
    )  # fmt: skip
    build.output(graph, "if")
    for side, op, line in (("then", "aten::tanh", 10), ("else", "aten::neg", 12)):
        build.input(side, "x", UNKNOWN)
        build.op(side, "y", op, "x", type=UNKNOWN, line=line)
        build.output(side, "y")


@pytest.fixture
def reference(build: Any) -> Program:
    """8: for i in range(x.size(1)): 9: if rand() > 0.5: 10: x = tanh(x) 12: else: x = neg(x)"""
    build.input("main", "x", UNKNOWN)
    build.op("main", "size", "aten::size", "x", type=build.INT, canonical="Shape", line=8)
    build.op(
        "main", "loop", "prim::Loop", "size", "x", type=UNKNOWN, line=8,
        calls={"body": Call("body", (1,), (0,), ((0, 0),))}, control=Control("loop", trip_slot=0),
    )  # fmt: skip
    build.output("main", "loop")
    build.input("body", "x", UNKNOWN)
    build.op("body", "draw", "aten::rand", effects=("random",), line=9)
    branch(build, "body", "draw")
    program: Program = build.done()
    return program


def traced(build: Any, *ops: tuple[str, int]) -> Program:
    build.input("main", "x")
    last = "x"
    for i, (op, line) in enumerate(ops):
        build.op("main", f"n{i}", op, last, line=line)
        last = f"n{i}"
    build.output("main", last)
    program: Program = build.done(method="jit.trace")
    return program


def test_an_unrolled_loop_and_a_baked_coin_are_told_with_their_lines(reference: Program, build: Any) -> None:
    trace = traced(type(build)(), *[("aten::tanh", 10)] * 3)
    result = fidelity.compare(trace, reference)
    assert [(f.code, str(f.where)) for f in result.findings] == [("GL103", "model.py:8"), ("GL103", "model.py:9"), ("GL102", "model.py:9")]
    loop, coin = result.lost
    assert (loop.construct.form, loop.times, loop.random) == ("loop", 3, False)
    assert (coin.kept, coin.times, coin.random) == (("then",), 3, True)
    assert "aten::rand at model.py:9" in result.findings[2].message


def test_both_sides_in_the_trace_are_the_examples_choice(reference: Program, build: Any) -> None:
    trace = traced(type(build)(), ("aten::tanh", 10), ("aten::neg", 12), ("aten::tanh", 10))
    coin = fidelity.compare(trace, reference).lost[1]
    assert coin.kept == ("then", "else")


def test_a_capture_that_keeps_the_constructs_lost_nothing(reference: Program) -> None:
    assert fidelity.compare(reference, reference).findings == ()


def branch_on(build: Any, *decider: str, **facts: Any) -> Program:
    """9: if <decider>: 10: x = tanh(x) 12: else: x = neg(x)"""
    build.input("main", "x", UNKNOWN)
    build.op("main", "test", *decider, line=9, type=build.INT, **facts)
    branch(build, "main", "test")
    program: Program = build.done()
    return program


def test_a_branch_on_a_shape_is_a_warning_not_a_lie(build: Any) -> None:
    reference = branch_on(build, "aten::size", "x", canonical="Shape")
    (finding,) = fidelity.compare(traced(type(build)(), ("aten::tanh", 10)), reference).findings
    assert (finding.code, str(finding.where)) == ("GL106", "model.py:9")


def test_a_branch_on_constants_loses_nothing_by_tracing(build: Any) -> None:
    reference = branch_on(build, "aten::one")
    assert fidelity.compare(traced(type(build)(), ("aten::tanh", 10)), reference).findings == ()


def test_code_that_the_trace_never_entered_is_not_reported(reference: Program, build: Any) -> None:
    assert fidelity.compare(traced(type(build)(), ("aten::relu", 99)), reference).lost == ()


def test_the_result_is_plain_data(reference: Program, build: Any) -> None:
    data = fidelity.compare(traced(type(build)(), ("aten::tanh", 10)), reference).to_json()
    assert json.loads(json.dumps(data)) == data
