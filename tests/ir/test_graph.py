"""networkx's own functions on the IR, as it is."""

from __future__ import annotations

import json

import networkx as nx
import pytest

from graphlab.ir.frozen import FrozenDict
from graphlab.ir.graph import Graph, Use


def test_topological_sort_orders_a_graph(chain: Graph) -> None:
    order = list(nx.topological_sort(chain))
    assert all(order.index(src) < order.index(dst) for src, dst in chain.edges())


def test_longest_path_ancestors_and_components_are_those_counted_by_hand(chain: Graph) -> None:
    assert nx.dag_longest_path(chain.simple()) == ["x", "square", "sum", "exp", "out"]
    assert nx.ancestors(chain, "sum") == {"x", "one", "square"}
    assert nx.number_weakly_connected_components(chain) == 1


@pytest.mark.parametrize("derive", [
    lambda g: g.copy(),
    lambda g: g.subgraph(list(g)).copy(),
    lambda g: g.reverse().reverse(),
    lambda g: nx.compose(g, g),
    lambda g: nx.relabel_nodes(g, {n: n for n in g}, copy=True),
    lambda g: nx.node_link_graph(nx.node_link_data(g, edges="edges"), edges="edges"),
], ids=["copy", "subgraph", "reverse", "compose", "relabel", "node_link"])  # fmt: skip
def test_derived_graphs_keep_every_attribute(chain: Graph, derive: object) -> None:
    assert callable(derive)
    derived = derive(chain)
    assert nx.utils.graphs_equal(nx.MultiDiGraph(derived), nx.MultiDiGraph(chain))


@pytest.mark.parametrize("derive", [Graph.copy, Graph.reverse, lambda g: nx.compose(g, g), lambda g: g.subgraph(["x", "square"]).copy()])
def test_derived_graphs_are_graphs_of_ours(chain: Graph, derive: object) -> None:
    assert callable(derive)
    assert isinstance(derive(chain), Graph)


def test_a_value_used_twice_is_two_edges_and_one_in_the_simple_graph(chain: Graph) -> None:
    assert chain.number_of_edges("x", "square") == 2
    assert chain.simple().edges["x", "square"]["uses"] == (Use("x", 0, "square", 0), Use("x", 0, "square", 1))


def test_simple_has_as_many_edges_as_there_are_pairs_of_neighbours(chain: Graph) -> None:
    assert chain.simple().number_of_edges() == len(set(chain.edges()))
    assert sum(len(uses) for _, _, uses in chain.simple().edges(data="uses")) == chain.number_of_edges()


@pytest.mark.filterwarnings("ignore:The hashes produced")
def test_algorithms_that_refuse_multigraphs_take_the_simple_graph(chain: Graph) -> None:
    with pytest.raises(nx.NetworkXNotImplemented):
        nx.weisfeiler_lehman_graph_hash(chain)
    renamed = nx.relabel_nodes(chain, {n: f"other {n}" for n in chain})
    by_op = {graph: nx.weisfeiler_lehman_graph_hash(graph.simple(), node_attr="kind") for graph in (chain, renamed)}
    assert by_op[chain] == by_op[renamed]


def test_a_cycle_is_legal_and_found_by_networkx(chain: Graph) -> None:
    chain.connect("exp", "square", 0, 2)
    assert {"square", "sum", "exp"} in list(nx.strongly_connected_components(chain))
    assert not nx.is_directed_acyclic_graph(chain)


def test_node_attributes_collide_with_no_exporter(chain: Graph) -> None:
    data = nx.node_link_data(chain, edges="edges")
    assert {node["id"] for node in data["nodes"]} == set(chain)
    reserved = {"id", "source", "target", "key", "shape", "label"}
    assert not any(reserved & set(attributes) for _, attributes in chain.nodes(data=True))
    assert json.dumps([(e["source"], e["target"], e["key"]) for e in data["edges"]])


def test_fill_makes_what_add_and_connect_make(chain: Graph) -> None:
    filled = Graph(name="main")
    nodes = [(n, dict(data)) for n, data in chain.nodes(data=True)]
    uses = [(u.src, u.dst, u.src_port, u.dst_port) for n in chain for u in chain.operands(n)]
    filled.fill(nodes, uses, control=[("one", "exp")])
    assert nx.utils.graphs_equal(filled, chain)


def test_fill_refuses_an_id_that_is_taken(chain: Graph) -> None:
    with pytest.raises(ValueError, match="repeat"):
        chain.fill([("x", {"kind": "op"})], [])


def test_fill_refuses_an_edge_to_a_node_that_is_not_there() -> None:
    with pytest.raises(KeyError):
        Graph(name="g").fill([("a", {"kind": "op"})], [("a", "b", 0, 0)])


def test_networkx_forgets_cached_answers_after_fill() -> None:
    graph = Graph(name="g")
    assert list(graph.edges()) == []
    graph.fill([("a", {"kind": "op"}), ("b", {"kind": "op"})], [("a", "b", 0, 0)])
    assert list(graph.edges()) == [("a", "b")]
    assert list(graph.predecessors("b")) == ["a"]


def test_add_refuses_an_id_that_is_taken(chain: Graph) -> None:
    with pytest.raises(ValueError, match="'x'"):
        chain.add("x", kind="op")


def test_add_leaves_out_what_says_nothing() -> None:
    graph = Graph(name="g")
    graph.add("a", kind="op", op="t.a", scope="", attrs=FrozenDict(), loc=0, index=None, synthetic=False, absent=())
    assert dict(graph.nodes["a"]) == {"kind": "op", "op": "t.a", "loc": 0}


def test_operands_come_in_slot_order_whatever_the_order_of_making() -> None:
    graph = Graph(name="g")
    for n in ("a", "b", "c"):
        graph.add(n, kind="op", op="t")
    graph.connect("b", "c", 0, 1)
    graph.connect("a", "c", 0, 0)
    assert [use.src for use in graph.operands("c")] == ["a", "b"]


def test_count_leaves_out_what_the_source_does_not_count(chain: Graph) -> None:
    assert chain.count() == len(chain) - 1


def test_inputs_come_by_index_and_the_output_is_one() -> None:
    graph = Graph(name="g")
    graph.add("b", kind="input", index=1)
    graph.add("a", kind="input", index=0)
    with pytest.raises(KeyError, match="no output node"):
        _ = graph.output
    graph.add("out", kind="output")
    assert graph.inputs == ["a", "b"]
    assert graph.output == "out"


def test_a_graph_is_told_by_its_name_and_number_of_nodes(chain: Graph) -> None:
    assert repr(chain) == f"<Graph {chain.name}: {chain.number_of_nodes()} nodes>"
    assert repr(chain.subgraph(["x"])) == f"<Graph {chain.name}: 1 node>"
    assert repr(Graph()) == "<Graph: 0 nodes>"
