"""Keras models: their own inputs, their variables' paths, every node of ResNet50."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import networkx as nx
import pytest

import graphlab
from graphlab import CaptureError, InputsNeeded, Program
from graphlab.ir.values import TensorType

pytest.importorskip("keras")
pytestmark = pytest.mark.tensorflow


def parameters(program: Program) -> list[str]:
    return [node.name for node in program.main.each_node() if node.kind == "parameter"]


def test_resnet50_has_every_node_tensorflow_counts(resnet_program: Program, definition_count: Callable[[Program], int]) -> None:
    assert resnet_program.count() == definition_count(resnet_program)
    assert resnet_program.op_counts()["tf.Conv2D"] == 53


def test_resnet50_names_every_variable_by_its_path(resnet: Any, resnet_program: Program) -> None:
    assert sorted(parameters(resnet_program)) == sorted(variable.path for variable in resnet.variables)


def test_resnet50s_image_reaches_its_prediction_through_all_convolutions(resnet_program: Program) -> None:
    graph = resnet_program.main
    (image,) = graph.inputs
    between = nx.descendants(graph, image) & nx.ancestors(graph, graph.output)
    assert sum(graph.node(id).op == "tf.Conv2D" for id in between) == 53
    assert resnet_program.signatures["resnet50"].inputs[0].type == TensorType("float32", (None, 224, 224, 3))


def test_nodes_stand_in_their_layers_scope(resnet_program: Program) -> None:
    convolutions = [node for node in resnet_program.main.each_node() if node.op == "tf.Conv2D"]
    assert convolutions[0].scope.split("/")[1] == "conv1_conv_1"


def test_a_sequential_model_needs_no_inputs(keras: Any) -> None:
    model = keras.Sequential([keras.Input((3,), name="features"), keras.layers.Dense(2, name="head")], name="small")
    program = graphlab.capture(model)
    assert program.entry == "small"
    assert [slot.name for slot in program.signatures["small"].inputs] == ["features"]
    assert parameters(program) == [variable.path for variable in model.variables]


def test_a_layer_used_twice_has_one_set_of_variables(keras: Any) -> None:
    shared = keras.layers.Dense(4, use_bias=False, name="shared")
    left, right = keras.Input((3,), name="left"), keras.Input((3,), name="right")
    program = graphlab.capture(keras.Model([left, right], keras.layers.add([shared(left), shared(right)])))
    assert len(parameters(program)) == 1
    (parameter,) = [node for node in program.main.each_node() if node.kind == "parameter"]
    assert len(parameter.users) == 2
    assert program.op_counts()["tf.MatMul"] == 2


def test_a_mapping_of_inputs_is_given_as_a_mapping(keras: Any) -> None:
    inputs = {"second": keras.Input((3,), name="second"), "first": keras.Input((5,), name="first")}
    program = graphlab.capture(keras.Model(inputs, keras.layers.concatenate([inputs["first"], inputs["second"]])))
    slots = program.signatures[program.entry].inputs
    assert {slot.name: str(slot.type) for slot in slots} == {"first": "f32[?,5]", "second": "f32[?,3]"}


def test_a_model_without_known_inputs_asks_for_them_by_name(keras: Any) -> None:
    class Scale(keras.layers.Layer):
        def call(self, values: Any, factor: float = 2.0) -> Any:
            return values * factor

    with pytest.raises(InputsNeeded, match="'values'") as caught:
        graphlab.capture(Scale(name="scale"))
    assert "--input 'values=" in caught.value.do
    assert "scale_inputs" in caught.value.do
    program = graphlab.capture(Scale(name="scale"), ("f32[2,3]",))
    assert [slot.name for slot in program.signatures["scale"].inputs] == ["values"]


def test_an_error_in_a_layer_names_the_layers_line(keras: Any, tf: Any) -> None:
    class Broken(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return tf.matmul(x, tf.ones([7, 7]))  # the broken line

    with pytest.raises(CaptureError, match="Dimensions must be equal, but are 2 and 7") as caught:
        graphlab.capture(Broken(), ("f32[2,2]",))
    assert caught.value.frame is not None
    assert caught.value.frame.file == __file__
    with open(__file__, encoding="utf-8") as source:
        assert "the broken line" in source.read().splitlines()[caught.value.frame.line - 1]
