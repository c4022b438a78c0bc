"""Drawings: what is in the DOT, and what a real dot makes of it."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from graphlab.errors import GraphlabError
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.graph import Call, Graph
from graphlab.ir.program import NodeRef, Program, Signature, Slot, Source
from graphlab.ir.values import SymDim, TensorType
from graphlab.ir.verify import ensure_verified
from graphlab.render.dot import to_dot
from graphlab.render.svg import render_svg

F32 = TensorType("float32", (8, SymDim("n")))


def chain(name: str, scopes: list[str], calls: dict[str, str] | None = None, op: str = "t.add") -> Graph:
    """x -> one node a scope -> out; the last node uses the graphs in ``calls`` (role -> graph)."""
    graph = Graph(name=name)
    graph.add("x", kind="input", index=0, outputs=(F32,))
    last = "x"
    for i, scope in enumerate(scopes):
        used = (
            FrozenDict({role: Call(callee, (0,), (0,)) for role, callee in (calls or {}).items()}) if i == len(scopes) - 1 else FrozenDict()
        )
        graph.add(f"n{i}", kind="op", op=op, outputs=(F32,), scope=scope, calls=used)
        graph.connect(last, f"n{i}")
        last = f"n{i}"
    graph.add("out", kind="output", synthetic=True)
    graph.connect(last, "out")
    return graph


def program(*graphs: Graph) -> Program:
    return ensure_verified(Program({g.name: g for g in graphs}, graphs[0].name, Source("t", "t", "made")))


def loop() -> Program:
    return program(
        chain("main", ["", ""], {"cond": "c", "body": "b"}), chain("c", [""]), chain("b", ["", ""], {"apply": "add"}), chain("add", [""])
    )


def drawn(dot: str) -> ElementTree.Element:
    return ElementTree.fromstring(render_svg(dot))


def classes(svg: ElementTree.Element, name: str) -> int:
    return sum(element.get("class") == name for element in svg.iter())


def texts(svg: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in svg.iter() if element.tag.endswith("}text")]


def test_every_node_edge_and_region_of_a_small_program_is_drawn() -> None:
    made = loop()
    svg = drawn(to_dot(made))
    assert classes(svg, "node") == sum(map(len, made.graphs.values()))
    assert classes(svg, "edge") == sum(g.number_of_edges() for g in made.graphs.values()) + 3  # and cond, body, apply
    assert classes(svg, "cluster") == 3
    assert {"cond", "body", "apply"} <= set(texts(svg))


def test_a_region_is_drawn_inside_its_only_user_and_points_are_aimed_at_its_frame() -> None:
    dot = to_dot(loop())
    inner, outer = dot.index('label="add\n3 nodes"'), dot.index('label="b\n4 nodes"')
    assert outer < inner < dot.index("\n\t}", inner)
    assert dot.count("lhead=cluster_") == 3


def test_a_region_of_two_users_is_drawn_once() -> None:
    dot = to_dot(
        program(chain("main", [""], {"a": "a", "b": "b"}), chain("a", [""], {"f": "f"}), chain("b", [""], {"f": "f"}), chain("f", [""]))
    )
    assert dot.count('label="f\n3 nodes"') == 1
    assert dot.count("label=f ") == 2


def test_a_region_that_uses_itself_is_drawn() -> None:
    assert classes(drawn(to_dot(program(chain("main", [""], {"r": "r"}), chain("r", [""], {"again": "r"})))), "node") == 6


def test_ports_are_labelled_but_for_the_first() -> None:
    graph = chain("main", ["", ""])
    graph.connect("x", "n1", 0, 1)
    dot = to_dot(program(graph))
    assert re.findall(r"(?:tail|head)label=\d+", dot) == ["headlabel=1"]


def test_a_label_names_operation_node_and_type() -> None:
    assert {"t.add", "n0", "f32[8,n]"} <= set(texts(drawn(to_dot(program(chain("main", [""]))))))


@pytest.mark.parametrize(
    "name", ['a"b', "<b>bold</b>", "\\N", "a\\", "a:b", "ctrl\x01\x1b", "\ud800", "naïve 模型", "{x|y}", "&amp;", "--", "graph"]
)
def test_any_text_is_shown_as_it_is_in_valid_xml(name: str) -> None:
    shown = re.sub("[\x01\x1b\ud800]", "\ufffd", name)
    svg = drawn(to_dot(program(chain("main", [name], op=f"t.{name}"))))
    assert f"t.{shown}" in texts(svg)


LAYERS = [f"encoder/layer/{i}/{part}" for i in range(10) for part in ("attention", "attention", "mlp", "mlp")]


@pytest.mark.parametrize("max_nodes", [2, 3, 5, 12, 20, 24, 45, 300])
@pytest.mark.parametrize("scopes", [LAYERS, [""] * 40], ids=["scopes", "flat"])
def test_never_more_boxes_than_allowed_and_every_node_counted(max_nodes: int, scopes: list[str]) -> None:
    made = program(chain("main", scopes, {"cond": "c", "body": "b"}), chain("c", [""] * 5), chain("b", scopes))
    dot = to_dot(made, max_nodes=max_nodes)
    boxes = re.findall(r'^\s*([bc])\d+ \[label="?(.*?)"? ?(?:fillcolor|color)', dot, re.MULTILINE | re.DOTALL)
    assert len(boxes) <= max_nodes
    counted = sum(1 if kind == "b" else int(re.findall(r"\n(\d+) nodes", label)[0]) for kind, label in boxes)
    hidden = re.search(r"not drawn \((\d+) nodes\)", dot)
    assert counted + (int(hidden[1]) if hidden else 0) == sum(map(len, made.graphs.values()))


def test_scopes_collapse_at_the_deepest_level_that_fits() -> None:
    graph = program(chain("main", LAYERS))
    assert len(re.findall(r"encoder/layer/\d\n4 nodes", to_dot(graph, max_nodes=12))) == 10
    assert len(re.findall(r"encoder/layer/\d/\w+\n2 nodes", to_dot(graph, max_nodes=22))) == 20
    assert "nodes\n" not in to_dot(graph, max_nodes=42)


def test_a_collapsed_box_counts_its_operations() -> None:
    assert "encoder/layer\n40 nodes\n40 t.add" in to_dot(program(chain("main", LAYERS)), max_nodes=3)


def test_a_parameter_stays_with_the_scope_that_uses_it() -> None:
    graph = chain("main", LAYERS)
    for i in range(0, 40, 4):
        graph.add(f"w{i}", kind="input", index=1 + i // 4, outputs=(F32,))
        graph.connect(f"w{i}", f"n{i}", 0, 1)
    roles = (Slot("x", F32), *(Slot(f"w{i}", F32, "parameter") for i in range(10)))
    made = ensure_verified(Program({"main": graph}, "main", Source("t", "t"), {"main": Signature("main", roles, (Slot("y", F32),))}))
    assert len(re.findall(r"encoder/layer/\d\n5 nodes", to_dot(made, max_nodes=12))) == 10


def test_a_region_without_room_is_counted_on_its_user() -> None:
    dot = to_dot(program(chain("main", [""], {"cond": "c", "body": "b"}), chain("c", [""]), chain("b", [""])), max_nodes=2)
    assert "uses 1 region not drawn (3 nodes)" in dot


def test_a_highlight_fills_its_node_and_is_counted_where_collapsed() -> None:
    made = program(chain("main", LAYERS))
    marks = {NodeRef("main", "n0"): "#009e73", NodeRef("main", "n1"): "#009e73"}
    assert to_dot(made, highlight=marks).count("#009e73") == 2
    assert "2 of them highlighted" in to_dot(made, max_nodes=12, highlight=marks)


def test_drawing_starts_from_the_graph_asked_for() -> None:
    dot = to_dot(loop(), graph="b")
    assert 'label="add\n3 nodes"' in dot
    assert "2 graphs not used from here" in dot


def test_a_graph_that_is_not_there_or_no_room_at_all_is_refused() -> None:
    with pytest.raises(GraphlabError, match="choose from main, c, b, add"):
        to_dot(loop(), graph="z")
    with pytest.raises(GraphlabError, match="at least 2"):
        to_dot(loop(), max_nodes=1)


def test_the_same_program_gives_the_same_bytes() -> None:
    assert render_svg(to_dot(loop())) == render_svg(to_dot(loop()))


def test_a_large_flat_program_is_drawn_in_time() -> None:
    graph = chain("main", [""] * 4000)
    for i in range(0, 4000, 5):
        graph.connect("x", f"n{i}", 0, 1)
    assert classes(drawn(to_dot(program(graph))), "node") <= 300


def test_the_title_counts_nodes_as_the_report_does() -> None:
    made = loop()
    assert f"{made.count()} nodes and 4 added by graphlab in 4 regions" in to_dot(made)


def test_a_box_has_room_for_a_wider_font_than_graphviz_thinks_of() -> None:
    # DejaVu Sans, the usual stand-in for Helvetica on Linux: 0.6 em a character, 6 points at 10.
    name = "aten.scaled_dot_product_attention.default"
    svg = drawn(to_dot(program(chain("main", [""], op=name))))
    box = next(g for g in svg.iter() if g.get("class") == "node" and name in texts(g))
    corners = next(e for e in box.iter() if e.tag.endswith("}polygon")).get("points", "").split()
    across = [float(corner.partition(",")[0]) for corner in corners]
    assert max(across) - min(across) >= 6 * len(name)
