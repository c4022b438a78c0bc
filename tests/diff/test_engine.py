"""The diff of two programs, as a user gets it: what is the same, what is found, and that the script is whole."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import networkx as nx
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import graphlab
from graphlab.diff.changes import (
    MISSING,
    Added,
    AttributeChanged,
    CallChanged,
    ConstantChanged,
    GraphAdded,
    GraphDiff,
    GraphRemoved,
    Moved,
    OpChanged,
    OperandsReordered,
    Removed,
    Rewired,
    SignatureChanged,
    TypeChanged,
)
from graphlab.diff.check import differences
from graphlab.errors import DiffError
from graphlab.ir.constants import Constant
from graphlab.ir.frozen import FrozenDict, frozen
from graphlab.ir.graph import Call, Graph
from graphlab.ir.program import NodeRef, Program
from graphlab.ir.values import TensorType
from graphlab.ir.verify import ensure_verified

Edit = Callable[[Program, str, Callable[[Graph], None]], Program]
SLOW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def isomorphic(a: Program, b: Program) -> bool:
    """networkx's own answer, for one graph: same ops, types and attributes, same edges with ports."""

    def marked(program: Program) -> nx.MultiDiGraph[str]:
        plain: nx.MultiDiGraph[str] = nx.MultiDiGraph()
        for id, data in program.main.nodes(data=True):
            plain.add_node(id, what=tuple(data.get(k) for k in ("kind", "op", "outputs", "attrs", "index")))
        for src, dst, data in program.main.edges(data=True):
            plain.add_edge(src, dst, ports=(data["src_port"], data["dst_port"]))
        return plain

    match = nx.algorithms.isomorphism
    return bool(
        nx.is_isomorphic(
            marked(a),
            marked(b),
            node_match=lambda x, y: x["what"] == y["what"],
            edge_match=match.categorical_multiedge_match("ports", None),
        )
    )


def kinds(diff: GraphDiff) -> Counter[str]:
    return Counter(type(change).__name__ for change in diff.changes)


@SLOW
@given(seed=st.integers(0, 10**6), size=st.integers(1, 40))
def test_a_program_and_its_shuffled_and_renamed_self_have_no_changes(make: Any, shuffle: Any, seed: int, size: int) -> None:
    program = make.random(seed, size)
    other, _ = shuffle(program, seed)
    diff = graphlab.diff(program, other)
    assert diff.equal, diff.summary()
    assert len(diff.matches) == sum(len(graph) for graph in program.graphs.values())


def _delete(graph: Graph, id: str) -> int:
    source = graph.operands(id)[0]
    users = graph.users(id)
    graph.remove_node(id)
    for use in users:
        graph.connect(source.src, use.dst, source.src_port, use.dst_port)
    return 1 + len(users)


def _insert(graph: Graph, id: str) -> int:
    users = graph.users(id)
    graph.add("planted", kind="op", op="x.planted", outputs=graph.node(id).outputs)
    graph.connect(id, "planted")
    for use in users:
        graph.remove_edge(id, use.dst, (use.src_port, use.dst_port))
        graph.connect("planted", use.dst, 0, use.dst_port)
    return 1 + len(users)


def _attribute(graph: Graph, id: str) -> int:
    graph.nodes[id]["attrs"] = FrozenDict({**graph.node(id).attrs, "planted": True})
    return 1


def _rewire(graph: Graph, id: str) -> int:
    use = graph.operands(id)[-1]
    other = next(i for i in graph.inputs[::-1])
    if other == use.src:
        return 0
    graph.remove_edge(use.src, id, (use.src_port, use.dst_port))
    graph.connect(other, id, 0, use.dst_port)
    return 1


def _swap(graph: Graph, id: str) -> int:
    uses = graph.operands(id)
    if len(uses) < 2 or uses[0].src == uses[1].src:
        return 0
    for use in uses[:2]:
        graph.remove_edge(use.src, id, (use.src_port, use.dst_port))
    graph.connect(uses[0].src, id, 0, uses[1].dst_port)
    graph.connect(uses[1].src, id, 0, uses[0].dst_port)
    return 1


@SLOW
@pytest.mark.parametrize("plant", [_delete, _insert, _attribute, _rewire, _swap])
@given(seed=st.integers(0, 10**6), size=st.integers(3, 40))
def test_a_planted_edit_is_found_at_little_cost_and_applying_the_diff_gives_the_other_program(
    make: Any, shuffle: Any, edit: Edit, plant: Callable[[Graph, str], int], seed: int, size: int
) -> None:
    program = make.random(seed, size)
    rng = random.Random(seed)
    target = rng.choice([node.id for node in program.main.each_node() if node.kind == "op"])
    cost = [0]
    edited = edit(program, "main", lambda graph: cost.__setitem__(0, plant(graph, target)))
    other, _ = shuffle(edited, seed)
    diff = graphlab.diff(program, other)
    patched = ensure_verified(diff.apply(program))
    assert isomorphic(patched, other)
    # Dead code that looks alike may cost a little more than what was planted, never much.
    assert len(diff.changes) <= 2 * cost[0] + 4, diff.changes
    assert diff.equal == isomorphic(program, other)


def test_relu_after_matmul_and_before_it_differ(make: Any) -> None:
    inputs: list[Any] = [("x", "in", (), {}), ("w", "in", (), {})]
    after = make.single([*inputs, ("m", "x.matmul", ("x", "w"), {}), ("r", "x.relu", ("m",), {})], ["r"])
    before = make.single([*inputs, ("r", "x.relu", ("x",), {}), ("m", "x.matmul", ("r", "w"), {})], ["m"])
    assert kinds(graphlab.diff(after, before)) == {"Rewired": 3}


def test_x_plus_x_and_x_plus_y_differ_in_one_edge_with_its_slot(make: Any) -> None:
    inputs: list[Any] = [("x", "in", (), {}), ("y", "in", (), {})]
    twice = make.single([*inputs, ("s", "x.add", ("x", "x"), {})], ["s"])
    both = make.single([*inputs, ("s", "x.add", ("x", "y"), {})], ["s"])
    [change] = graphlab.diff(twice, both).changes
    assert isinstance(change, Rewired)
    assert change.slot == 1
    assert change.old is not None
    assert change.new is not None
    assert (change.old.node.node, change.new.node.node) == ("x", "y")


def test_an_operand_swap_is_one_change_that_says_whether_the_operation_cares(make: Any) -> None:
    inputs: list[Any] = [("x", "in", (), {}), ("y", "in", (), {})]
    for op, more, commutative in (("x.sub", {}, False), ("x.add", {"canonical": "Add"}, True)):
        one = make.single([*inputs, ("s", op, ("x", "y"), more)], ["s"])
        two = make.single([*inputs, ("s", op, ("y", "x"), more)], ["s"])
        [change] = graphlab.diff(one, two).changes
        assert isinstance(change, OperandsReordered)
        assert (change.order, change.commutative) == ((1, 0), commutative)


def test_another_output_port_of_the_same_node_is_a_rewired_edge(make: Any) -> None:
    two = {"outputs": (TensorType("float32", (4, 4)), TensorType("float32", (4, 4)))}
    lines: list[Any] = [("x", "in", (), {}), ("s", "x.split", ("x",), two)]
    first = make.single([*lines, ("r", "x.relu", ("s:0",), {})], ["r"])
    second = make.single([*lines, ("r", "x.relu", ("s:1",), {})], ["r"])
    assert kinds(graphlab.diff(first, second)) == {"Rewired": 1}


def test_a_layer_without_its_relu_costs_one_removed_node_and_its_edges(make: Any, shuffle: Any) -> None:
    whole = make.layers(12)
    other, who = shuffle(make.layers(12, drop=5), 3)
    diff = graphlab.diff(whole, other)
    assert kinds(diff) == {"Removed": 1, "Rewired": 1}
    assert next(c.at.a for c in diff.changes if isinstance(c, Removed)) == NodeRef("main", "relu5")
    assert all(who[match.a] == match.b for match in diff.matches)


def test_inputs_that_move_up_because_one_is_gone_are_not_changes(make: Any, shuffle: Any) -> None:
    other, _ = shuffle(make.layers(11), 3)
    assert kinds(graphlab.diff(make.layers(12), other)) == {"Removed": 4, "Rewired": 1, "SignatureChanged": 1}
    assert kinds(graphlab.diff(other, make.layers(12)))["AttributeChanged"] == 0


def test_inputs_that_change_places_are_told_from_those_that_close_up(make: Any) -> None:
    def program(*order: str) -> Program:
        uses: list[Any] = [(f"u_{name}", f"x.{name}", (name,), {}) for name in sorted(order)]
        made: Program = make.single([*((name, "in", (), {}) for name in order), *uses], [use[0] for use in uses])
        return made

    diff = graphlab.diff(program("a", "b", "c", "d"), program("b", "d", "c"))
    assert isomorphic(diff.apply(diff.a), diff.b)
    assert kinds(diff)["AttributeChanged"] <= 1


def test_shape_changes_everywhere_match_every_node_and_are_type_changes_alone(make: Any, shuffle: Any) -> None:
    small, large = make.layers(4), make.layers(4)
    wide = TensorType("float32", (8, 4))
    for id in large.main:
        if large.main.nodes[id].get("outputs"):
            large.main.nodes[id]["outputs"] = (wide,)
    other, who = shuffle(large, 1)
    diff = graphlab.diff(small, other)
    assert kinds(diff) == {"TypeChanged": 17}
    assert {c.aspects for c in diff.changes if isinstance(c, TypeChanged)} == {("dims",)}
    assert all(who[match.a] == match.b for match in diff.matches)


def test_layout_sharding_and_dtype_are_told_apart(make: Any) -> None:
    def typed(kind: TensorType) -> Program:
        program: Program = make.single([("x", "in", (), {}), ("r", "x.relu", ("x",), {"outputs": (kind,)})], ["r"])
        return program

    base = TensorType("float32", (4, 4), "{1,0}")
    for other, aspect in (
        (TensorType("bfloat16", (4, 4), "{1,0}"), "dtype"),
        (TensorType("float32", (4, 4), "{0,1}"), "layout"),
        (TensorType("float32", (4, 4), "{1,0}", "{replicated}"), "sharding"),
    ):
        changes = graphlab.diff(typed(base), typed(other)).changes
        assert [c.aspects for c in changes if isinstance(c, TypeChanged)] == [(aspect,)]


def test_attribute_changes_name_the_key_and_tell_absent_from_none(make: Any) -> None:
    def program(**attrs: Any) -> Program:
        made: Program = make.single([("x", "in", (), {}), ("r", "x.sum", ("x",), {"attrs": frozen(attrs)})], ["r"])
        return made

    [change] = graphlab.diff(program(axis=0), program(axis=None)).changes
    assert isinstance(change, AttributeChanged)
    assert (change.key, change.old, change.new) == ("axis", 0, None)
    [change] = graphlab.diff(program(axis=0), program(axis=0, keep=None)).changes
    assert isinstance(change, AttributeChanged)
    assert (change.key, change.old, change.new) == ("keep", MISSING, None)
    assert graphlab.diff(program(eps=float("nan")), program(eps=float("nan"))).equal
    assert not graphlab.diff(program(flag=1), program(flag=True)).equal


def test_an_operation_replaced_in_its_place_is_one_change(make: Any) -> None:
    lines: list[Any] = [("x", "in", (), {}), ("a", "x.exp", ("x",), {})]
    old = make.single([*lines, ("r", "x.relu", ("a",), {}), ("z", "x.log", ("r",), {})], ["z"])
    new = make.single([*lines, ("r", "x.gelu", ("a",), {}), ("z", "x.log", ("r",), {})], ["z"])
    [change] = graphlab.diff(old, new).changes
    assert isinstance(change, OpChanged)
    assert (change.old, change.new) == ("x.relu", "x.gelu")


def test_control_edges_are_compared(make: Any, edit: Edit) -> None:
    plain = make.layers(2)
    ordered = edit(plain, "main", lambda graph: graph.connect_control("mm0", "mm1"))
    [change] = graphlab.diff(plain, ordered).changes
    assert isinstance(change, Rewired)
    assert (change.kind, change.old) == ("control", None)


def test_an_edit_in_a_loop_body_is_found_in_the_body(loop: Any, shuffle: Any) -> None:
    other, _ = shuffle(loop(extra=True), 2)
    diff = graphlab.diff(loop(), other)
    assert kinds(diff) == {"Added": 1, "Rewired": 1}
    assert {change.at.to.graph for change in diff.changes if isinstance(change, (Added, Rewired))} == {"body"}


def test_a_constant_in_a_loop_body_is_compared_by_value(loop: Any, shuffle: Any) -> None:
    other, _ = shuffle(loop(scale=b"\x00\x00\x00@"), 2)
    [change] = graphlab.diff(loop(), other).changes
    assert isinstance(change, ConstantChanged)
    assert change.at.a == NodeRef("body", "k")


def test_large_constants_are_compared_by_value(make: Any) -> None:
    kind = TensorType("float32", (1024, 1024))

    def program(byte: bytes) -> Program:
        value = Constant(kind, lambda: byte * (4 * 1024 * 1024))
        made: Program = make.single([("k", "", (), {"kind": "constant", "outputs": (kind,), "value": value})], ["k"])
        return made

    assert kinds(graphlab.diff(program(b"a"), program(b"b"))) == {"ConstantChanged": 1}
    same = graphlab.diff(program(b"a"), program(b"a"))
    assert (same.equal, same.unchecked) == (True, ())


def test_constants_that_cannot_be_had_are_said_to_be_unchecked(make: Any) -> None:
    kind = TensorType("float32", (1024, 1024))
    elided = Constant(kind, None, reason="elided")
    lines: list[Any] = [("k", "", (), {"kind": "constant", "outputs": (kind,), "value": elided})]
    other: list[Any] = [("k", "", (), {"kind": "constant", "outputs": (kind,), "value": Constant(kind, None, reason="elided")})]
    diff = graphlab.diff(make.single(lines, ["k"]), make.single(other, ["k"]))
    assert diff.equal
    assert diff.unchecked == ((NodeRef("main", "k"), NodeRef("main", "k")),)


def test_large_constants_of_known_digests_are_compared(make: Any) -> None:
    kind = TensorType("float32", (1024, 1024))

    def program(digest: str) -> Program:
        value = Constant(kind, None, digest=digest, reason="only the digest is kept")
        made: Program = make.single([("k", "", (), {"kind": "constant", "outputs": (kind,), "value": value})], ["k"])
        return made

    assert kinds(graphlab.diff(program("00"), program("01"))) == {"ConstantChanged": 1}
    same = graphlab.diff(program("00"), program("00"))
    assert (same.equal, same.unchecked) == (True, ())


def test_a_region_used_anew_is_added_with_its_nodes_and_the_way_back_removes_it(make: Any) -> None:
    inner = make.graph("inner", [("x", "in", (), {}), ("e", "x.exp", ("x",), {})], ["e"])
    calls = FrozenDict({"call": Call("inner", (0,), (0,))})
    plain = make.program(make.graph("main", [("x", "in", (), {}), ("r", "x.call", ("x",), {})], ["r"]))
    using = make.program(make.graph("main", [("x", "in", (), {}), ("r", "x.call", ("x",), {"calls": calls})], ["r"]), inner)
    forth, back = graphlab.diff(plain, using), graphlab.diff(using, plain)
    assert kinds(forth) == {"GraphAdded": 1, "CallChanged": 1}
    assert [len(change.nodes) for change in forth.changes if isinstance(change, GraphAdded)] == [3]
    assert kinds(back) == {"GraphRemoved": 1, "CallChanged": 1}
    assert isinstance(back.changes[0], GraphRemoved)
    assert isinstance(back.changes[1], CallChanged)


def test_a_node_that_leaves_a_region_for_its_caller_has_moved(make: Any) -> None:
    def program(inside: bool) -> Program:
        body: list[Any] = [("x", "in", (), {}), ("a", "x.sin", ("x",), {}), ("b", "x.tanh", ("a",), {})]
        if inside:
            body.append(("dead", "x.rare", ("a",), {}))
        lines: list[Any] = [("x", "in", (), {}), ("s", "x.sin", ("x",), {})]
        if not inside:
            lines.append(("dead", "x.rare", ("s",), {}))
        lines.append(("c", "x.call", ("s",), {"calls": FrozenDict({"call": Call("inner", (0,), (0,))})}))
        made: Program = make.program(make.graph("main", lines, ["c"]), make.graph("inner", body, ["b"]))
        return made

    [change] = graphlab.diff(program(True), program(False)).changes
    assert isinstance(change, Moved)
    assert change.at.a == NodeRef("inner", "dead")
    assert change.at.to.graph == "main"


def test_cycles_are_compared_like_anything_else(make: Any, shuffle: Any, edit: Edit) -> None:
    def cycle(graph: Graph) -> None:
        graph.connect("add1", "mm0", 0, 2)

    looped = edit(make.layers(3), "main", cycle)
    other, _ = shuffle(looped, 4)
    assert graphlab.diff(looped, other).equal
    assert kinds(graphlab.diff(make.layers(3), other)) == {"Rewired": 1}


def test_an_added_output_changes_the_signature(make: Any) -> None:
    lines: list[Any] = [("x", "in", (), {}), ("r", "x.relu", ("x",), {})]
    diff = graphlab.diff(make.single(lines, ["r"]), make.single(lines, ["r", "x"]))
    assert kinds(diff) == {"SignatureChanged": 1, "Rewired": 1}
    assert isinstance(diff.changes[0], SignatureChanged)


def test_the_diff_does_not_depend_on_the_order_of_nodes(make: Any) -> None:
    def reordered(program: Program, seed: int) -> Program:
        graph = program.main
        order = list(graph)
        random.Random(seed).shuffle(order)
        new = Graph(name="main")
        new.fill(
            [(id, dict(graph.nodes[id])) for id in order], [(u.src, u.dst, u.src_port, u.dst_port) for id in order for u in graph.users(id)]
        )
        return make.program(new, signatures=program.signatures)  # type: ignore[no-any-return]

    a, b = make.random(5, 40), make.random(6, 40)
    first = graphlab.diff(a, b)
    for seed in range(3):
        again = graphlab.diff(reordered(a, seed), reordered(b, seed + 10))
        assert again.changes == first.changes
        assert again.matches == first.matches


@SLOW
@given(seeds=st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)))
def test_unrelated_programs_too_have_a_whole_script(make: Any, seeds: tuple[int, int]) -> None:
    a, b = (make.random(seed, 25) for seed in seeds)
    assert isomorphic(graphlab.diff(a, b).apply(a), b)


def test_the_checker_sees_through_a_wrong_correspondence(make: Any) -> None:
    program = make.layers(2)
    nodes = {NodeRef("main", id): NodeRef("main", id) for id in program.main}
    assert not list(differences(program, program, nodes, {"main": "main"}))
    swapped = {**nodes, NodeRef("main", "mm0"): NodeRef("main", "mm1"), NodeRef("main", "mm1"): NodeRef("main", "mm0")}
    assert list(differences(program, program, swapped, {"main": "main"}))
    del nodes[NodeRef("main", "mm0")]
    assert list(differences(program, program, nodes, {"main": "main"}))


def test_a_wrong_script_is_a_defect_that_is_said(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from graphlab.diff import engine
    from graphlab.diff.script import edit_script as whole

    monkeypatch.setattr(engine, "edit_script", lambda a, b, alignment: replace(whole(a, b, alignment), changes=()))
    with pytest.raises(DiffError, match=r"defect of graphlab's diff"):
        engine.diff_programs(make.layers(3), make.layers(3, drop=1))


def test_a_diff_is_not_applied_to_another_program(make: Any) -> None:
    diff = graphlab.diff(make.layers(3), make.layers(3, drop=1))
    with pytest.raises(DiffError, match="apply it to the program"):
        diff.apply(make.random(1, 5))


def test_ten_thousand_nodes_in_a_chain_need_no_recursion(make: Any, shuffle: Any) -> None:
    program = make.layers(2500)
    other, _ = shuffle(program, 1)
    assert graphlab.diff(program, other).equal
