"""The diff on the terminal, as a drawing and on the command line."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import networkx as nx
import pytest
from rich.console import Console

import graphlab
from graphlab.cli.main import main
from graphlab.diff.changes import GraphDiff
from graphlab.diff.group import general, grouped
from graphlab.diff.union import union
from graphlab.ir.frozen import frozen
from graphlab.ir.program import NodeRef
from graphlab.render.diff_dot import diff_dot
from graphlab.render.diff_text import print_diff
from graphlab.render.svg import render_svg


def printed(diff: GraphDiff, **options: Any) -> str:
    out = io.StringIO()
    print_diff(diff, Console(file=out), **options)
    return out.getvalue()


def deeper(make: Any, axis: int) -> Any:
    lines: list[Any] = [("x", "in", (), {})]
    for k in range(32):
        lines.append((f"s{k}", "x.sum", (lines[-1][0],), {"scope": f"model/layer_{k}", "attrs": frozen(axis=axis)}))
    return make.single(lines, ["s31"])


def test_the_same_change_in_32_layers_is_one_line(make: Any) -> None:
    diff = graphlab.diff(deeper(make, 0), deeper(make, 1))
    assert len(diff.changes) == 32
    assert [(group.scope, len(group.changes)) for group in grouped(diff.changes)] == [("model/layer_#", 32)]
    assert "32x x.sum: axis 0 -> 1" in printed(diff)
    assert general("layer_12/add.3") == "layer_#/add.#"


def test_the_text_is_plain_where_it_is_piped_and_lines_are_not_wrapped(make: Any) -> None:
    text = printed(graphlab.diff(make.layers(3), make.layers(3, drop=1)))
    assert "\x1b" not in text
    assert "  - x.relu f32[4,4] removed, on mm1  relu1" in text.replace("    ", "  ")
    assert "x.add: operand 1 is mm1, was relu1" in text


def test_stat_counts_by_region_and_kind(make: Any) -> None:
    text = printed(graphlab.diff(make.layers(3), make.layers(3, drop=1)), stat=True)
    assert re.search(r"^main\s+2\s+1 removed, 1 rewired$", text, re.M)


def test_more_lines_than_the_limit_are_counted(make: Any) -> None:
    text = printed(graphlab.diff(make.random(1, 40), make.random(2, 40)), limit=2)
    assert re.search(r"\.\.\. \d+ more changes in \d+ groups", text)


def test_the_union_holds_both_sides(make: Any) -> None:
    a, b = make.layers(3), make.layers(3, drop=1)
    both = union(graphlab.diff(a, b))
    status = nx.get_node_attributes(both, "status")
    assert {ref.node for ref, s in status.items() if s == "removed"} == {"relu1"}
    assert {ref.node for ref, s in status.items() if s == "changed"} == {"add1"}
    kept = [e for e in both.edges(data="status") if e[2] != "removed"]
    assert len(kept) == b.main.number_of_edges()
    assert both.edges[NodeRef("main", "mm1"), NodeRef("main", "add1"), (0, 1)]["status"] == "added"


def test_the_drawing_shows_changes_with_their_neighbours_only_and_marks_them_by_symbol(make: Any) -> None:
    diff = graphlab.diff(make.layers(20), make.layers(20, drop=7))
    svg = render_svg(diff_dot(diff)).decode()
    ElementTree.fromstring(svg)
    drawn = re.findall(r"n\d+ \[label=", diff_dot(diff))
    assert len(drawn) < 12
    assert ">- x.relu<" in svg.replace("&#45;", "-")
    assert ">~ x.add<" in svg


def test_a_drawing_has_at_most_so_many_nodes_and_counts_the_rest(make: Any) -> None:
    diff = graphlab.diff(deeper(make, 0), deeper(make, 1))
    dot = diff_dot(diff, max_nodes=10)
    assert len(re.findall(r"n\d+ \[label=", dot)) == 10
    assert "~ 22 changed" in dot


def test_hostile_names_stay_inside_their_labels(make: Any) -> None:
    bad = 'x" ]; evil [label="<b>\\n\x01'
    one = make.single([("x", "in", (), {}), (bad, "x.relu", ("x",), {})], [bad])
    two = make.single([("x", "in", (), {}), (bad, "x.relu", ("x",), {"attrs": frozen(k=bad)})], [bad])
    svg = render_svg(diff_dot(graphlab.diff(one, two)))
    nodes = [g for g in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}g") if g.get("class") == "node"]
    assert len(nodes) == 3


def test_the_command_tells_same_from_different_by_its_exit_code(make: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = str(tmp_path / "a.graphlab"), str(tmp_path / "b.graphlab")
    graphlab.save(make.layers(3), a)
    graphlab.save(make.layers(3, drop=1), b)
    assert main(["diff", a, a]) == 0
    assert "no changes" in capsys.readouterr().out
    assert main(["diff", a, b, "--svg", str(tmp_path / "d.svg"), "--dot", str(tmp_path / "d.dot")]) == 1
    assert "1 removed" in capsys.readouterr().out
    assert (tmp_path / "d.svg").read_bytes().startswith(b"<?xml")
    assert (tmp_path / "d.dot").read_text().startswith("digraph")
    assert main(["diff", a, str(tmp_path / "none.graphlab")]) == 2
    assert "none.graphlab" in capsys.readouterr().err


def test_the_command_prints_json(make: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = str(tmp_path / "a.graphlab"), str(tmp_path / "b.graphlab")
    graphlab.save(make.layers(3), a)
    graphlab.save(make.layers(3, drop=1), b)
    assert main(["diff", a, b, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["counts"] == {"removed": 1, "rewired": 1}
