"""Folding: what of hand-built programs is constant, counted by hand."""

from __future__ import annotations

import json
import random
from typing import Any

import networkx as nx
import pytest

from graphlab.analyzers import constant_folding
from graphlab.analyzers.constant_folding import Options, analyze
from graphlab.ir.graph import Call, Control
from graphlab.ir.program import NodeRef, Program
from graphlab.ir.values import OpaqueType, TensorType

BIG = TensorType("float32", (64, 1024))


def ids(result: constant_folding.Result) -> list[list[str]]:
    return [[ref.node for ref in part.nodes] for part in result.foldable]


def test_operations_on_constants_alone_are_found_connected_and_maximal(build: Any) -> None:
    build.input("main", "x")
    build.constant("main", "a", [1.0] * 4)
    build.constant("main", "b", [2.0] * 4)
    build.op("main", "exp", "t.exp", "a")
    build.op("main", "add", "t.add", "exp", "b")
    build.op("main", "neg", "t.neg", "b")  # apart from the two above: they share a constant, not a result
    build.op("main", "mul", "t.mul", "add", "x")
    build.output("main", "mul", "neg")
    assert ids(analyze(build.done())) == [["exp", "add"], ["neg"]]


def test_bytes_before_are_of_constants_used_nowhere_else_and_after_of_results_used_elsewhere(build: Any) -> None:
    build.constant("main", "own", [1.0] * 4)  # 16 bytes
    build.constant("main", "shared", [2.0] * 4)
    build.op("main", "add", "t.add", "own", "shared")
    build.op("main", "sum", "t.sum", "add", type=TensorType("float32", ()))  # 4 bytes
    build.output("main", "sum", "shared")
    (part,) = analyze(build.done()).foldable
    assert (part.ops, part.before, part.after, part.added) == (2, 16, 4, -12)


def test_a_size_that_is_not_known_is_not_nought(build: Any) -> None:
    build.constant("main", "a", [1.0] * 4)
    build.op("main", "unique", "t.unique", "a", type=TensorType("float32", (None,)))
    build.output("main", "unique")
    (part,) = analyze(build.done()).foldable
    assert (part.after, part.added) == (None, None)


def test_an_operation_without_operands_is_constant(build: Any) -> None:
    build.op("main", "iota", "hlo.iota")
    build.output("main", "iota")
    assert ids(analyze(build.done())) == [["iota"]]


def test_effects_keep_an_operation_from_folding_and_all_that_needs_it(build: Any) -> None:
    build.constant("main", "a", [1.0] * 4)
    build.op("main", "draw", "t.rand", "a", effects=("random",))
    build.op("main", "neg", "t.neg", "draw")
    build.output("main", "neg")
    assert ids(analyze(build.done())) == []


def test_parameters_count_where_asked(build: Any) -> None:
    build.input("main", "x")
    build.parameter("main", "w", BIG)
    build.op("main", "transpose", "t.transpose", "w", type=TensorType("float32", (1024, 64)))
    build.op("main", "matmul", "t.matmul", "x", "transpose")
    build.output("main", "matmul")
    program = build.done()
    assert ids(analyze(program)) == []
    (part,) = analyze(program, Options(parameters=True)).foldable
    assert ([r.node for r in part.nodes], part.before, part.after) == (["transpose"], 64 * 1024 * 4, 64 * 1024 * 4)


def test_a_variable_read_counts_as_its_parameter(build: Any) -> None:
    build.parameter("main", "w")
    build.op("main", "read", "tf.ReadVariableOp", "w", effects=("reads_state",))
    build.op("main", "neg", "t.neg", "read")
    build.output("main", "neg")
    program = build.done()
    assert ids(analyze(program)) == []
    assert ids(analyze(program, Options(parameters=True))) == [["read", "neg"]]


def test_a_variable_that_is_written_does_not(build: Any) -> None:
    build.parameter("main", "w")
    build.input("main", "x")
    build.op("main", "assign", "tf.AssignVariableOp", "w", "x", type=(), effects=("writes_state",))
    build.op("main", "read", "tf.ReadVariableOp", "w", effects=("reads_state",))
    build.op("main", "neg", "t.neg", "read")
    build.output("main", "neg")
    assert ids(analyze(build.done(), Options(parameters=True))) == []


def test_an_empty_list_that_is_appended_to_is_no_constant(build: Any) -> None:
    build.input("main", "x")
    build.op("main", "list", "prim::ListConstruct")
    build.op("main", "append", "aten::append", "list", "x", effects=("writes_state",))
    build.op("main", "stack", "aten::stack", "list")
    build.output("main", "stack", "append")
    assert ids(analyze(build.done())) == []


def in_loop(build: Any) -> Program:
    """A loop whose body negates a constant handed in unchanged, a counter and a captured constant of the caller."""
    build.input("main", "x")
    build.constant("main", "kept", [1.0] * 4)
    build.constant("main", "counter", [0.0] * 4)
    build.op(
        "main", "loop", "t.loop", "kept", "counter", "x", type=(build.FLOAT,) * 3, control=Control("loop", trip_count=3),
        calls={"body": Call("body", (0, 1, 2), (0, 1, 2), ((0, 0), (1, 1), (2, 2)))},
    )  # fmt: skip
    build.output("main", *(("loop", i) for i in range(3)))
    for name in ("kept", "counter", "x"):
        build.input("body", name)
    build.op("body", "same", "t.exp", "kept")
    build.op("body", "next", "t.exp", "counter")
    build.op("body", "y", "t.add", "x", "same")
    build.output("body", "kept", "next", "y")
    program: Program = build.done()
    return program


def test_in_a_loop_only_what_never_changes_is_constant(build: Any) -> None:
    assert ids(analyze(in_loop(build))) == [["same"]]


def test_a_constant_that_a_loop_hands_on_unchanged_is_constant_after_it(build: Any) -> None:
    build.input("main", "n", build.INT)
    build.constant("main", "kept", [1.0] * 4)
    build.op(
        "main", "loop", "t.loop", "n", "kept", control=Control("loop", trip_slot=0), calls={"body": Call("body", (1,), (0,), ((0, 0),))}
    )  # fmt: skip
    build.op("main", "neg", "t.neg", "loop")
    build.output("main", "neg")
    build.input("body", "kept")
    build.output("body", "kept")
    assert ["neg"] in [part[-1:] for part in ids(analyze(build.done()))]


def test_an_input_that_all_callers_feed_a_constant_is_constant(build: Any) -> None:
    build.input("main", "x")
    build.constant("main", "a", [1.0] * 4)
    for id, second in (("first", "a"), ("second", "x")):
        build.op("main", id, "t.call", "a", second, calls={"call": Call("f", (0, 1), (0,))})
    build.output("main", "first", "second")
    build.input("f", "p")
    build.input("f", "q")
    build.op("f", "np", "t.neg", "p")
    build.op("f", "nq", "t.neg", "q")
    build.op("f", "sum", "t.add", "np", "nq")
    build.output("f", "sum")
    result = analyze(build.done())
    assert {tuple(map(str, part.nodes)): part.ops for part in result.foldable} == {("main/first",): 4, ("f/np",): 1}


def test_a_branch_on_constants_folds_as_a_whole_and_its_regions_are_not_counted_again(build: Any) -> None:
    build.constant("main", "p", True, "bool")
    build.constant("main", "a", [1.0] * 4)
    build.op(
        "main", "if", "t.if", "p", "a", control=Control("conditional", predicate=0),
        calls={"then": Call("then", (1,), (0,)), "else": Call("else", (1,), (0,))},
    )  # fmt: skip
    build.output("main", "if")
    for graph in ("then", "else"):
        build.input(graph, "v")
        build.op(graph, "neg", "t.neg", "v")
        build.output(graph, "neg")
    (part,) = analyze(build.done()).foldable
    assert (list(map(str, part.nodes)), part.ops) == (["main/if"], 3)


def test_a_region_with_effects_keeps_its_operation_from_folding(build: Any) -> None:
    build.constant("main", "a", [1.0] * 4)
    build.op("main", "call", "t.call", "a", calls={"call": Call("f", (0,), (0,))})
    build.output("main", "call")
    build.input("f", "v")
    build.op("f", "print", "t.print", "v", type=(), effects=("io",))
    build.op("f", "neg", "t.neg", "v")
    build.output("f", "neg")
    result = analyze(build.done())
    assert ids(result) == [["neg"]]
    assert [(b.node.node, b.effects) for b in result.blocked] == [("call", ("region",))]


def test_what_an_opaque_operation_keeps_from_folding_is_counted(build: Any) -> None:
    build.input("main", "x")
    build.constant("main", "a", [1.0] * 4)
    build.op("main", "custom", "my.op", "a", effects=("opaque",))
    build.op("main", "neg", "t.neg", "custom")
    build.op("main", "add", "t.add", "neg", "a")
    build.op("main", "mul", "t.mul", "add", "x")  # would not fold anyway
    build.output("main", "mul")
    result = analyze(build.done())
    (block,) = result.blocked
    assert (block.op, block.effects, [r.node for r in block.lost]) == ("my.op", ("opaque",), ["neg", "add"])
    assert [f.code for f in result.findings] == ["GL302"]


def test_a_node_that_waits_for_two_blockers_is_lost_to_neither(build: Any) -> None:
    build.constant("main", "a", [1.0] * 4)
    for id in ("one", "two"):
        build.op("main", id, "my.op", "a", effects=("opaque",))
    build.op("main", "add", "t.add", "one", "two")
    build.output("main", "add")
    assert [(len(b.nodes), len(b.lost)) for b in analyze(build.done()).blocked] == [(2, 0)]


def test_blockers_of_one_kind_on_one_line_are_told_once_and_counted(build: Any) -> None:
    build.constant("main", "a", [1.0] * 4)
    for id, line in (("one", 3), ("two", 3), ("three", 4)):
        build.op("main", id, "my.op", "a", effects=("opaque",), line=line)
        build.op("main", f"{id}.neg", "t.neg", id)
    build.output("main", "one.neg", "two.neg", "three.neg")
    result = analyze(build.done())
    told = {str(b.where): ([r.node for r in b.nodes], [r.node for r in b.lost]) for b in result.blocked}
    assert told == {"model.py:3": (["one", "two"], ["one.neg", "two.neg"]), "model.py:4": (["three"], ["three.neg"])}
    assert [(f.message, f.data["count"]) for f in result.findings] == [
        ("2 my.op take constants alone but cannot be folded (opaque); 2 more operations cannot for their sake", 2),
        ("my.op takes constants alone but cannot be folded (opaque); 1 more operation cannot for its sake", 1),
    ]
    assert [b["count"] for b in result.to_json()["blocked"]] == [2, 1]


def test_state_and_files_are_no_constants(build: Any) -> None:
    build.constant("main", "path", [1.0] * 4)
    build.op("main", "handle", "tf.VarHandleOp", type=OpaqueType("resource"))
    build.op("main", "read", "tf.ReadVariableOp", "handle", effects=("reads_state",))
    build.op("main", "variable", "tf.VariableV2", effects=("reads_state",))
    build.op("main", "restore", "tf.RestoreV2", "path", effects=("io",))
    build.output("main", "read", "variable", "restore")
    assert analyze(build.done()).blocked == ()


@pytest.mark.parametrize(("canonical", "listed"), [("Identity", ["t.check"]), (None, [])])
def test_a_check_of_a_constant_is_listed_and_what_comes_from_outside_is_not(build: Any, canonical: str | None, listed: list[str]) -> None:
    build.constant("main", "a", [1.0] * 4)
    build.op("main", "check", "t.check", "a", effects=("io",), canonical=canonical)
    build.output("main", "check")
    assert [b.op for b in analyze(build.done()).blocked] == listed


def test_random_draws_are_listed_and_not_found_fault_with(build: Any) -> None:
    build.constant("main", "size", [4], "int64")
    build.op("main", "draw", "t.rand", "size", effects=("random",))
    build.op("main", "neg", "t.neg", "draw")
    build.output("main", "neg")
    result = analyze(build.done())
    assert [b.op for b in result.blocked] == ["t.rand"]
    assert result.findings == ()


def test_a_result_much_larger_than_its_constants_is_found_fault_with(build: Any) -> None:
    build.input("main", "x", BIG)
    build.constant("main", "zero", 0.0)
    build.op("main", "broadcast", "hlo.broadcast", "zero", type=BIG, line=9)
    build.op("main", "max", "hlo.maximum", "x", "broadcast", type=BIG)
    build.output("main", "max")
    (finding,) = analyze(build.done()).findings
    assert (finding.code, str(finding.where)) == ("GL303", "model.py:9")
    assert "4 bytes of constants into 262,144" in finding.message


def test_a_large_group_is_found_fault_with_and_a_small_one_is_not(build: Any) -> None:
    build.constant("main", "big", [[1.0] * 64] * 4)
    build.op("main", "exp", "t.exp", "big", type=TensorType("float32", (4, 64)), line=3)
    build.constant("main", "little", 1.0)
    build.op("main", "neg", "t.neg", "little", type=TensorType("float32", ()))
    build.output("main", "exp", "neg")
    result = analyze(build.done())
    assert [(f.code, f.nodes) for f in result.findings] == [("GL301", (NodeRef("main", "exp"),))]
    assert [part.small for part in result.foldable] == [False, True]


def test_groups_of_one_line_are_one_finding(build: Any) -> None:
    build.constant("main", "zero", 0.0)
    for i, line in enumerate((9, 9, 4)):
        build.op("main", f"b{i}", "hlo.broadcast", "zero", type=BIG, line=line)
    build.output("main", "b0", "b1", "b2")
    findings = analyze(build.done()).findings
    assert [(str(f.where), f.data["groups"]) for f in findings] == [("model.py:9", 2), ("model.py:4", 1)]
    assert "2 operations in 2 groups" in findings[0].message


def test_reads_and_forwards_alone_are_not_found_fault_with(build: Any) -> None:
    build.parameter("main", "w", BIG)
    build.op("main", "read", "tf.ReadVariableOp", "w", type=BIG, effects=("reads_state",))
    build.op("main", "same", "tf.Identity", "read", type=BIG, canonical="Identity")
    build.output("main", "same")
    assert analyze(build.done(), Options(parameters=True)).findings == ()


def test_the_result_is_plain_data(build: Any) -> None:
    data = analyze(in_loop(build)).to_json()
    assert json.loads(json.dumps(data)) == data


@pytest.mark.parametrize("seed", range(10))
def test_in_a_flat_graph_the_foldable_nodes_are_those_without_an_input_above_them(build: Any, seed: int) -> None:
    rng = random.Random(seed)
    names = ["x", "c0", "c1", "c2"]
    build.input("main", "x")
    for c in names[1:]:
        build.constant("main", c, [1.0] * 4)
    for i in range(60):
        build.op("main", f"n{i}", "t.op", *rng.sample(names, rng.randint(1, 2)))
        names.append(f"n{i}")
    build.output("main", names[-1])
    program = build.done()
    free = {n for n in names[4:] if "x" not in nx.ancestors(program.main, n)}
    parts = sorted(map(sorted, nx.weakly_connected_components(program.main.subgraph(free))))
    assert sorted(sorted(part) for part in ids(analyze(program))) == parts
