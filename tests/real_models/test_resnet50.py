"""ResNet50 of keras.applications, random weights, by ``tf.function``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import graphlab

pytestmark = pytest.mark.tensorflow
tf = pytest.importorskip("tensorflow")


def test_resnet50_is_captured_whole_and_drawn(inspected: Callable[[Path], graphlab.Program], tmp_path: Path) -> None:
    path = tmp_path / "resnet.py"
    path.write_text("import keras\nmodel = keras.applications.ResNet50(weights=None)\n")
    program = inspected(path)

    import keras

    model = keras.applications.ResNet50(weights=None)
    concrete = tf.function(model.call).get_concrete_function(tf.TensorSpec((None, 224, 224, 3)))
    theirs = program.op_counts()
    ours = [op.type for op in concrete.graph.get_operations()]
    for op in ("Conv2D", "Relu", "MaxPool", "MatMul", "AddV2"):
        assert theirs[f"tf.{op}"] == ours.count(op), op
    assert sum(1 for _, node in program.each_node() if node.kind == "parameter") == len(model.variables)
