"""The walk over GraphDef messages alone: references, library calls, and messages that are not sound."""

from __future__ import annotations

from typing import Any

import pytest

from graphlab import FormatError, Graph, TensorType
from graphlab.capture.tensorflow import private
from graphlab.capture.tensorflow.graph_def import Origin, read_graphs
from graphlab.ir.graph import Call
from graphlab.ir.values import OpaqueType

pytest.importorskip("tensorflow")
pytestmark = pytest.mark.tensorflow


def parse(text: str) -> Any:
    from google.protobuf import text_format
    from tensorflow.core.framework import graph_pb2

    return text_format.Parse(text, graph_pb2.GraphDef())


def read(text: str, outputs: tuple[str, ...] = ()) -> dict[str, Graph]:
    return read_graphs(parse(text), entry="main", origins={"x": Origin("input", 0)}, outputs=outputs, op_def=private.op_def)


X = 'node { name: "x" op: "Placeholder" attr { key: "dtype" value { type: DT_FLOAT } } }'
DOUBLE = """
library { function {
  signature { name: "double" input_arg { name: "v" type: DT_FLOAT } output_arg { name: "r" type: DT_FLOAT } }
  node_def { name: "sum" op: "AddV2" input: "v" input: "v" attr { key: "T" value { type: DT_FLOAT } } }
  node_def { name: "log" op: "NoOp" input: "^sum" }
  ret { key: "r" value: "sum:z:0" }
  control_ret { key: "log" value: "log" }
} }
"""


def test_without_inferred_shapes_ranks_are_unknown() -> None:
    assert read(X, ("x",))["main"].node("x").outputs == (TensorType("float32", None),)


def test_a_call_by_the_functions_own_name_is_a_call() -> None:
    graphs = read(f'{X} node {{ name: "twice" op: "double" input: "x" }} {DOUBLE}', ("twice:0",))
    assert graphs["main"].node("twice").calls == {"call": Call("double", (0,), (0,))}
    assert graphs["main"].node("twice").outputs == (TensorType("float32", None),)
    assert list(graphs) == ["main", "double"]


def test_what_a_function_must_run_is_ordered_before_its_end() -> None:
    graph = read(f'{X} node {{ name: "twice" op: "double" input: "x" }} {DOUBLE}', ("twice",))["double"]
    assert [(src, dst) for src, dst, kind in graph.edges(data="kind") if kind == "control"] == [("sum", "log"), ("log", "output")]


def test_functions_that_nothing_reaches_are_left_out() -> None:
    assert list(read(f"{X} {DOUBLE}", ("x",))) == ["main"]


def test_a_nodes_and_functions_own_names_never_clash_with_ours() -> None:
    graphs = read_graphs(
        parse(f'node {{ name: "output" op: "NoOp" }} {DOUBLE.replace("double", "main")}'),
        entry="main",
        origins={},
        outputs=(),
        op_def=private.op_def,
    )
    assert list(graphs) == ["main_"]
    assert graphs["main_"].output == "output_"


def typed(name: str, op: str, *inputs: str, extra: str = "") -> str:
    fed = " ".join(f'input: "{text}"' for text in inputs)
    return f'node {{ name: "{name}" op: "{op}" {fed} attr {{ key: "T" value {{ type: DT_FLOAT }} }} {extra} }}'


def test_attributes_that_change_no_meaning_are_meta() -> None:
    node = typed("y", "Neg", "x", extra='device: "/cpu:0" attr { key: "_class" value { s: "a" } }')
    made = read(f"{X} {node}", ("y",))["main"].node("y")
    assert made.attrs == {"T": "float32"}
    assert made.meta == {"_class": "a", "device": "/cpu:0"}
    assert made.canonical == "Neg"


def test_a_cycle_of_tensorflow_1_loops_is_kept() -> None:
    text = "".join(
        (
            X,
            typed("enter", "Enter", "x", extra='attr { key: "frame_name" value { s: "f" } }'),
            typed("merge", "Merge", "enter", "next", extra='attr { key: "N" value { i: 2 } }'),
            typed("next", "NextIteration", "merge"),
        )
    )
    graph = read(text, ("merge",))["main"]
    assert graph.has_edge("next", "merge")
    assert graph.has_edge("merge", "next")
    assert graph.node("merge").outputs == (TensorType("float32", None), TensorType("int32", None))


@pytest.mark.parametrize("reference", ["nobody", "nobody:1", "x:z:0", "x:", "x:a:b", "x:output:5"])
def test_a_reference_to_nothing_is_refused(reference: str) -> None:
    with pytest.raises(FormatError, match="no output of a node"):
        read(X + typed("y", "Identity", reference), ("y",))


def test_an_operation_that_nobody_defines_is_opaque_and_has_as_many_outputs_as_are_taken() -> None:
    text = f'{X} node {{ name: "y" op: "Frobnicate" input: "x" }} node {{ name: "z" op: "Glue" input: "y:2" input: "y" }}'
    graph = read(text, ("y:1",))["main"]
    assert len(graph.node("y").outputs) == 3
    assert set(graph.node("y").outputs) == {OpaqueType("unknown")}
    assert graph.node("y").effects == ("opaque",)
    assert graph.node("z").outputs == ()
