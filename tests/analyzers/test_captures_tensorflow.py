"""The analyzers on what TensorFlow really captured."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.tensorflow
tf = pytest.importorskip("tensorflow")

import graphlab  # noqa: E402
from graphlab.analyzers import constant_folding, control_flow, size  # noqa: E402
from graphlab.ir.program import Program  # noqa: E402


@pytest.fixture(scope="module")
def program() -> Program:
    cell = tf.keras.layers.LSTMCell(8)

    @tf.function
    def model(x):  # type: ignore[no-untyped-def]
        state = [tf.zeros([2, 8]), tf.zeros([2, 8])]
        outputs = tf.TensorArray(tf.float32, size=0, dynamic_size=True)
        for i in range(tf.shape(x)[1]):
            if tf.random.uniform(()) > 0.5:
                out, state = cell(x[:, i], state)
                outputs = outputs.write(outputs.size(), out)
        return outputs.stack()

    return graphlab.capture(model, "f32[2,time,8]")


def test_the_while_and_the_coin_in_it(program: Program) -> None:
    loop, coin = control_flow.analyze(program).constructs
    assert (loop.form, loop.decided_by, str(loop.trip_count)) == ("loop", "shape", "dim 1 of x")
    assert (coin.form, coin.decided_by, coin.nesting) == ("conditional", "random", ((loop.node,),))
    assert [program.node(cause.ref).op for cause in coin.causes] == ["tf.RandomUniform"]
    assert loop.where is not None
    assert coin.where is not None
    assert coin.where.line == loop.where.line + 1


def test_variables_are_constants_only_where_parameters_are(program: Program) -> None:
    def reads(parameters: bool) -> int:
        result = constant_folding.analyze(program, constant_folding.Options(parameters=parameters))
        return sum(program.node(ref).op == "tf.ReadVariableOp" for part in result.foldable for ref in part.nodes)

    assert (reads(False), reads(True)) == (0, 3)


def test_variables_are_counted_by_their_values(program: Program) -> None:
    result = size.analyze(program)
    assert (result.parameters, result.parameter_elements) == (3, 8 * 32 + 8 * 32 + 32)
