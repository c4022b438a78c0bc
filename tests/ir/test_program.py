from __future__ import annotations

import networkx as nx
import pytest

from graphlab.errors import GraphlabError
from graphlab.ir.frozen import frozen
from graphlab.ir.graph import Call, Graph
from graphlab.ir.program import NodeRef, Program, Source


def test_call_graph_names_every_site(loop: Program) -> None:
    calls = loop.call_graph()
    assert set(calls.edges()) == {("main", "cond"), ("main", "body")}
    assert calls.edges["main", "body"]["sites"] == (("while", "body"),)


def test_flatten_turns_a_loop_into_a_cycle(loop: Program) -> None:
    flat = loop.flatten()
    assert set(flat) == {"x", "while", "out", *(f"while/{r}/{n}" for r, n in
                         (("cond", "p"), ("cond", "any"), ("cond", "out"), ("body", "p"), ("body", "half"), ("body", "out")))}  # fmt: skip
    assert {"while/body/p", "while/body/half"} in list(nx.strongly_connected_components(flat))


def test_flatten_joins_regions_to_what_feeds_them(loop: Program) -> None:
    flat = loop.flatten()
    vias = {(src, dst): data["via"] for src, dst, data in flat.edges(data=True) if "via" in data}
    assert vias == {
        ("x", "while/cond/p"): "enter",
        ("x", "while/body/p"): "enter",
        ("while/cond/any", "while"): "exit",
        ("while/body/half", "while"): "exit",
        ("while/body/half", "while/body/p"): "carry",
        ("while/body/half", "while/cond/p"): "carry",
    }
    assert nx.has_path(flat, "x", "while/body/half")


def test_flatten_says_where_each_node_came_from(loop: Program) -> None:
    flat = loop.flatten()
    assert flat.nodes["while/body/half"]["region"] == "body"
    assert flat.nodes["while/body/half"]["site"] == "while"
    assert "site" not in flat.nodes["x"]


def test_flatten_copies_a_shared_region_once_for_every_use(loop: Program) -> None:
    main = loop.main
    main.add("again", kind="op", op="call", outputs=main.node("x").outputs, calls=frozen(call=Call("body", (0,), (0,))))
    main.connect("while", "again")
    flat = loop.flatten()
    assert {"while/body/half", "again/call/half"} <= set(flat)
    assert len(flat) == len(main) + 2 * len(loop.graphs["body"]) + len(loop.graphs["cond"])


def test_flatten_refuses_recursion() -> None:
    graph = Graph(name="g")
    graph.add("self", kind="op", op="call", calls=frozen(call=Call("g")))
    graph.add("out", kind="output")
    with pytest.raises(GraphlabError, match="uses itself"):
        Program({"g": graph}, "g", Source("t", "t")).flatten()


def test_flatten_stops_at_its_limit(loop: Program) -> None:
    assert len(loop.flatten(limit=9)) == 9
    with pytest.raises(GraphlabError, match="more than 8 nodes"):
        loop.flatten(limit=8)


def test_stack_goes_from_the_innermost_frame_outward(loop: Program) -> None:
    node = loop.node(NodeRef("body", "half"))
    assert [str(frame) for frame in loop.stack(node)] == ["model.py:7", "model.py:1"]
    assert loop.frame(node) == loop.frames[1]
    assert loop.stack(loop.node(NodeRef("main", "x"))) == ()


def test_counts_cover_every_region_and_no_synthetic_node(loop: Program) -> None:
    assert loop.count() == 6
    assert loop.op_counts() == {"hlo.while": 1, "hlo.any": 1, "hlo.half": 1}
