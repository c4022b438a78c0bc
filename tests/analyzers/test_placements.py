"""What runs where and what crosses: devices, collectives, graphs that run where their caller says."""

from __future__ import annotations

from graphlab.analyzers import analyze, placements
from graphlab.ir.constants import Constant
from graphlab.ir.frozen import FrozenDict, frozen
from graphlab.ir.graph import Call, Graph
from graphlab.ir.program import Program, Source
from graphlab.ir.values import OpaqueType, SymDim, TensorType, ValueType
from graphlab.ir.verify import ensure_verified

F32 = TensorType("float32", (4, 2))


def _program(*graphs: Graph) -> Program:
    return ensure_verified(Program({graph.name: graph for graph in graphs}, graphs[0].name, Source("test", "test")))


def _chain(name: str, *ops: tuple[str, ValueType, dict[str, object]]) -> Graph:
    """One operation after another on one input."""
    graph = Graph(name=name)
    last = graph.add("x", kind="input", index=0, outputs=(F32,), synthetic=True)
    for i, (op, type, more) in enumerate(ops):
        id = graph.add(f"n{i}", kind="op", op=op, outputs=(type,), **more)
        graph.connect(last, id)
        last = id
    graph.add("output", kind="output", synthetic=True)
    graph.connect(last, "output")
    return graph


def _on(device: str) -> dict[str, object]:
    return {"meta": frozen(device=device)}


def test_a_program_that_says_nothing_of_places_has_none() -> None:
    result = placements.analyze(_program(_chain("main", ("tf.Neg", F32, {}))))
    assert (result.places, result.crossings) == ((), ())


def test_a_value_that_another_device_takes_crosses() -> None:
    graph = _chain("main", ("tf.Neg", F32, _on("/gpu:0")), ("tf.Abs", F32, _on("/gpu:0")), ("tf.Exp", F32, _on("/gpu:1")))
    result = analyze(_program(graph), "placements")
    assert [(place.name, place.ops) for place in result.places] == [("/gpu:0", 2), ("/gpu:1", 1)]
    [crossing] = result.crossings
    assert (str(crossing.node), crossing.source, crossing.target, crossing.nbytes) == ("main/n2", "/gpu:0", "/gpu:1", 32)


def test_a_value_taken_twice_crosses_once() -> None:
    graph = _chain("main", ("tf.Neg", F32, _on("a")), ("tf.Mul", F32, _on("b")))
    graph.connect("n0", "n1", 0, 1)
    [crossing] = placements.analyze(_program(graph)).crossings
    assert crossing.nbytes == 32


def test_a_graph_runs_where_its_caller_does() -> None:
    inner = _chain("inner", ("tf.Neg", F32, {}), ("tf.Abs", F32, {}))
    call: dict[str, object] = {"calls": FrozenDict(call=Call("inner", (0,), (0,))), **_on("gpu")}
    result = placements.analyze(_program(_chain("main", ("tf.PartitionedCall", F32, call)), inner))
    [place] = result.places
    assert (place.name, place.ops, place.graphs) == ("gpu", 3, ("inner",))


def test_what_an_operation_says_of_where_a_graph_runs_goes_down_into_the_graphs_below() -> None:
    below = _chain("below", ("tf.Neg", F32, {}))
    inner = _chain("inner", ("tf.PartitionedCall", F32, {"calls": FrozenDict(call=Call("below", (0,), (0,)))}))
    placed = TensorType("float32", (4, 2), placement="SERVER")
    call: dict[str, object] = {"calls": FrozenDict(map=Call("inner", (0,), (0,))), "attrs": frozen(runs={"map": "CLIENTS"})}
    result = placements.analyze(_program(_chain("main", ("tff.federated_map", placed, call)), inner, below))
    assert {place.name: place.ops for place in result.places} == {"CLIENTS": 2, "SERVER": 1}


def test_a_collective_among_devices_nobody_names_is_told_with_its_bytes() -> None:
    graph = _chain("main", ("hlo.all-reduce", F32, {"effects": ("collective",)}))
    [crossing] = placements.analyze(_program(graph)).crossings
    assert (crossing.source, crossing.target, crossing.nbytes) == (placements.DEVICES, placements.DEVICES, 32)


def test_of_a_size_that_is_not_known_the_reason_is_told() -> None:
    varying = TensorType("float32", (SymDim("n"), 2))
    graph = _chain("main", ("tf.Neg", varying, _on("a")), ("tf.Abs", varying, _on("b")), ("tf.Exp", OpaqueType("variant"), _on("c")))
    graph.add("y", kind="op", op="tf.Neg", outputs=(F32,), **_on("d"))
    graph.connect("n2", "y")
    found = placements.analyze(_program(graph)).crossings
    assert [(c.nbytes, c.reason) for c in found] == [
        (None, "f32[n,2] has no known size"),
        (None, "f32[n,2] has no known size"),
        (None, "variant has no known size"),
    ]


def test_parameters_and_inputs_are_counted_where_they_are_held() -> None:
    graph = Graph(name="main")
    client = TensorType("float32", (3,), placement="CLIENTS")
    server = TensorType("float32", (5,), placement="SERVER")
    graph.add("x", kind="input", index=0, outputs=(client,), synthetic=True)
    graph.add("w", kind="parameter", outputs=(server,), value=Constant(server, b"\0" * 20), synthetic=True)
    graph.add("total", kind="op", op="tff.federated_sum", outputs=(server,), effects=("collective",))
    graph.connect("x", "total")
    graph.add("output", kind="output", synthetic=True)
    graph.connect("total", "output")
    result = placements.analyze(_program(graph))
    assert [(p.name, p.ops, p.parameters, p.parameter_bytes, p.inputs) for p in result.places] == [
        ("CLIENTS", 0, 0, 0, 12),
        ("SERVER", 1, 1, 20, 0),
    ]
    assert result.total("CLIENTS", "SERVER") == (12, 0)
