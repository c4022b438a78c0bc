"""The vocabulary: real TensorFlow operations on one side, real ONNX operators on the other."""

from __future__ import annotations

from typing import Any

import pytest

from graphlab import Program
from graphlab.capture.tensorflow import private
from graphlab.capture.tensorflow.effects import own_effects
from graphlab.ir.ops import EFFECTS, lookup
from graphlab.ir.vocabulary import tensorflow as vocabulary

pytestmark = pytest.mark.tensorflow


def test_counterparts_are_onnx_operators() -> None:
    defs = pytest.importorskip("onnx.defs")
    names = {schema.name for schema in defs.get_all_schemas()}
    assert set(vocabulary.CANONICAL.values()) <= names


def test_every_operation_named_is_tensorflows(tf: Any) -> None:
    known = {name.removeprefix("tf.") for name in (*vocabulary.CANONICAL, *vocabulary.EFFECTS)}
    assert {name for name in known if private.op_def(name) is None and not name.startswith("_")} == set()


def test_effects_are_of_the_shared_list() -> None:
    assert {effect for effects in vocabulary.EFFECTS.values() for effect in effects} <= set(EFFECTS)


def test_a_stateful_operation_that_is_not_listed_is_opaque() -> None:
    assert own_effects("NobodysCustomOp", True, calls=False) == ("opaque",)
    assert own_effects("NobodysCustomOp", False, calls=False) == ()
    assert own_effects("StatefulPartitionedCall", True, calls=True) == ()
    assert own_effects("VarHandleOp", True, calls=False) == ()


def test_random_draws_are_told_from_stateless_ones() -> None:
    assert lookup("tf.RandomUniform").effects == ("random",)
    assert lookup("tf.StatelessRandomUniformV2").effects == ()


def test_what_computes_in_resnet50_has_a_counterpart(resnet_program: Program) -> None:
    without = {node.op for node in resnet_program.main.each_node() if node.kind == "op" and node.canonical is None}
    assert without <= {"tf.ReadVariableOp", "tf.NoOp", "tf.Rsqrt"}  # ONNX has no reciprocal square root
