"""What the adapter takes, decided without importing TensorFlow, and what it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from graphlab.capture import tensorflow as adapter

pytestmark = pytest.mark.tensorflow


def test_matches_imports_no_framework() -> None:
    code = (
        "import sys; from graphlab.capture import tensorflow as a; assert not a.matches(object());"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_takes_functions_graphs_modules_and_keras_layers(tf: Any, keras: Any) -> None:
    class Called(tf.Module):
        @tf.function
        def __call__(self, x: Any) -> Any:
            return x

    function = tf.function(lambda x: x)
    concrete = function.get_concrete_function(tf.TensorSpec([1]))
    takes = [function, concrete, concrete.graph, Called(), Called().__call__, keras.layers.Dense(1), keras.Sequential([])]
    assert all(adapter.matches(target) for target in takes)


def test_leaves_all_else_to_others(tf: Any, keras: Any) -> None:
    leaves = [
        tf.Module(),
        tf.constant(1),
        tf.Variable(1),
        lambda x: x,
        keras.optimizers.SGD(),
        keras.losses.MeanSquaredError(),
        keras.Model,
    ]
    assert not any(adapter.matches(target) for target in leaves)


def test_a_keras_model_on_another_backend_is_refused_saying_so() -> None:
    pytest.importorskip("keras")
    pytest.importorskip("jax")
    code = """
import keras, graphlab
try:
    graphlab.capture(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]))
except graphlab.CaptureError as error:
    print(error)
"""
    env = {**os.environ, "KERAS_BACKEND": "jax"}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=env)
    assert "Keras runs on the jax backend" in done.stdout
    assert "KERAS_BACKEND=tensorflow" in done.stdout
