"""TensorFlow functions through tf2xla into XLA."""

from __future__ import annotations

from typing import Any

import pytest

import graphlab
from graphlab.analyzers import compile_results
from graphlab.compilers.results import Compiled, Measured
from graphlab.errors import CompileError

pytestmark = [pytest.mark.tensorflow, pytest.mark.jax]
tf = pytest.importorskip("tensorflow")
pytest.importorskip("jaxlib")


def measured(compiled: Compiled, name: str) -> float:
    metric = compiled.metrics[name]
    assert isinstance(metric, Measured)
    return metric.value


def test_a_dense_layers_flops_and_bytes_are_the_hand_count() -> None:
    weight, bias = tf.Variable(tf.ones((8, 16))), tf.Variable(tf.ones((16,)))

    @tf.function
    def dense(x: Any) -> Any:
        return tf.nn.relu(x @ weight + bias)

    compiled = graphlab.compile(graphlab.capture(dense, ("f32[4,8]",)))
    assert compiled.compiler == "xla"
    assert measured(compiled, "flops") == 2 * 4 * 8 * 16 + 4 * 16 + 4 * 16
    assert measured(compiled, "argument_bytes") == 4 * (4 * 8 + 8 * 16 + 16)
    assert measured(compiled, "lowering_seconds") > 0


def test_a_loop_with_a_random_branch_keeps_both() -> None:
    @tf.function
    def coin(x: Any) -> Any:
        total = tf.zeros((2,))
        for i in range(tf.shape(x)[1]):
            if tf.random.uniform(()) > 0.5:
                total = total + x[:, i]
        return total

    program = graphlab.compile(graphlab.capture(coin, ("f32[2,3]",))).stages[0].load()
    assert program.op_counts()["hlo.while"] == 1
    assert program.op_counts()["hlo.conditional"] >= 1


def test_an_operation_that_xla_lacks_is_named_with_its_node() -> None:
    @tf.function
    def digits(x: Any) -> Any:
        return tf.strings.length(tf.strings.as_string(x))

    program = graphlab.capture(digits, ("f32[2]",))
    with pytest.raises(CompileError, match="XLA has no kernel for AsString") as info:
        graphlab.compile(program)
    assert "AsString" in info.value.ops
    finding = compile_results.failure(program, info.value, compiler="xla")
    assert finding.code == "GL404"
    assert program.node(finding.nodes[0]).op == "tf.AsString"
    assert finding.where is not None
    assert finding.where.line == digits.python_function.__code__.co_firstlineno + 2


def test_a_dynamic_input_is_refused_by_name() -> None:
    @tf.function
    def double(x: Any) -> Any:
        return x * 2

    with pytest.raises(CompileError, match="fixed shapes, and the input 'x'"):
        graphlab.compile(graphlab.capture(double, ("f32[batch,2]",)))
