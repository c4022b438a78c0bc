"""Sizes of hand-built programs, counted by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from graphlab.analyzers import size
from graphlab.ir.constants import Constant
from graphlab.ir.frozen import frozen
from graphlab.ir.graph import Call
from graphlab.ir.program import Program
from graphlab.ir.values import OpaqueType, TensorType


@pytest.fixture
def program(build: Any) -> Program:
    build.input("main", "x")
    build.parameter("main", "encoder.layer.0.weight", TensorType("float32", (4, 8)))
    build.parameter("main", "encoder.layer.1.weight", TensorType("bfloat16", (10,)))
    build.constant("main", "scale", [1.0, 2.0])
    build.op("main", "mm", "t.mm", "x", "encoder.layer.0.weight", scope="encoder/layer/0")
    build.op("main", "mul", "t.mul", "mm", "encoder.layer.1.weight", scope="encoder/layer/1")
    build.op("main", "call", "t.call", "mul", scope="encoder", calls={"call": Call("f", (0,), (0,))})
    build.op("main", "neg", "t.mul", "call", "scale")
    build.output("main", "neg")
    build.input("f", "v")
    build.op("f", "exp", "t.exp", "v", scope="encoder/layer/1/act")
    build.op("f", "made", "t.made", "exp", synthetic=True)
    build.output("f", "made")
    done: Program = build.done()
    return done


def test_operations_are_counted_by_name_over_all_graphs_without_synthetic_ones(program: Program) -> None:
    result = size.analyze(program)
    assert result.by_op == {"t.mm": 1, "t.mul": 2, "t.call": 1, "t.exp": 1}
    assert (result.ops, result.nodes) == (5, program.count())
    assert result.graphs == {"main": 4, "f": 1}


def test_modules_form_a_tree_with_sums(program: Program) -> None:
    rows = [(m.path, m.ops, m.own_ops, m.parameters, m.elements, m.nbytes) for m in size.analyze(program).by_module()]
    assert rows == [
        ("", 5, 1, 2, 42, 148),
        ("encoder", 4, 1, 2, 42, 148),
        ("encoder/layer", 3, 0, 2, 42, 148),
        ("encoder/layer/0", 1, 1, 1, 32, 128),
        ("encoder/layer/1", 2, 1, 1, 10, 20),
        ("encoder/layer/1/act", 1, 1, 0, 0, 0),
    ]


def test_the_tree_can_be_cut(program: Program) -> None:
    assert [m.path for m in size.analyze(program).by_module(1)] == ["", "encoder"]


def test_parameters_and_constants_are_weighed(program: Program) -> None:
    result = size.analyze(program)
    assert (result.parameters, result.parameter_elements, result.parameter_bytes) == (2, 42, 148)
    assert (result.constants, result.constant_bytes, result.unsized) == (1, 8, 0)
    assert [(v.name, v.nbytes) for v in result.largest_constants] == [("scale", 8)]


def test_inputs_that_the_signature_calls_parameters_are_parameters(build: Any) -> None:
    build.input("main", "w")
    build.input("main", "x")
    build.op("main", "mul", "t.mul", "w", "x")
    build.output("main", "mul")
    result = size.analyze(build.done(roles={"w": "parameter"}))
    assert ([v.name for v in result.inputs], result.parameters, result.parameter_bytes) == (["x"], 1, 16)


def test_a_parameter_named_in_two_graphs_is_one(build: Any) -> None:
    for graph in ("main", "f"):
        build.parameter(graph, "w")
    build.op("main", "call", "t.call", calls={"call": Call("f", (), (0,))})
    build.output("main", "call")
    build.output("f", "w")
    assert size.analyze(build.done()).parameters == 1


def test_what_has_no_known_size_is_counted_as_such(build: Any) -> None:
    build.parameter("main", "w", TensorType("float32", (None,)))
    build.output("main", "w")
    result = size.analyze(build.done())
    assert (result.parameter_bytes, result.unsized) == (0, 1)


def test_depth_counts_graphs_and_the_longest_path_operations(program: Program) -> None:
    result = size.analyze(program)
    assert (result.depth, result.longest_path) == (2, 4)


def test_a_cycle_has_no_longest_path(build: Any) -> None:
    build.input("main", "x")
    build.op("main", "a", "t.a", "x")
    build.op("main", "b", "t.b", "a")
    build.graph("main").connect("b", "a", 0, 1)
    build.output("main", "b")
    assert size.analyze(build.done()).longest_path is None


def test_the_result_is_plain_data(program: Program) -> None:
    data = size.analyze(program).to_json()
    assert json.loads(json.dumps(data)) == data


def test_buffers_are_counted_apart_from_parameters(build: Any) -> None:
    build.parameter("main", "w")
    build.parameter("main", "mean")
    build.graphs["main"].nodes["mean"]["attrs"] = frozen(role="buffer")
    build.op("main", "sub", "t.sub", "w", "mean")
    build.output("main", "sub")
    result = size.analyze(build.done())
    assert (result.parameters, result.parameter_bytes) == (1, 16)
    assert (result.buffers, result.buffer_elements, result.buffer_bytes) == (1, 4, 16)
    assert result.to_json()["buffers"] == {"count": 1, "elements": 4, "bytes": 16}
    assert result.modules.parameters == 1


def test_a_parameter_tied_to_another_is_the_same_one(build: Any) -> None:
    build.parameter("main", "embed.weight")
    build.parameter("main", "head.weight")
    build.graphs["main"].nodes["head.weight"]["meta"] = frozen(tied_to="embed.weight")
    build.op("main", "mul", "t.mul", "embed.weight", "head.weight")
    build.output("main", "mul")
    result = size.analyze(build.done())
    assert (result.parameters, result.parameter_elements) == (1, 4)
    assert [m.path for m in result.by_module() if m.parameters] == ["", "embed"]


def test_a_constant_that_is_no_tensor_has_no_bytes_and_a_handle_is_none(build: Any) -> None:
    none = OpaqueType("NoneType")
    build.input("main", "x")
    build.graph("main").add("none", kind="constant", outputs=(none,), value=Constant(none, b"None"))
    build.graph("main").add("module", kind="constant", outputs=(OpaqueType("torch.nn.Linear"),))
    build.op("main", "mul", "t.mul", "x", "none", "module")
    build.output("main", "mul")
    result = size.analyze(build.done())
    assert (result.constants, result.constant_bytes, result.unsized) == (1, 0, 0)
    assert result.largest_constants[0].nbytes is None
