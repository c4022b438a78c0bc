"""Everything used of TensorFlow beyond its public API. Seen in tensorflow 2.21.0."""

from __future__ import annotations

from typing import Any

import pytest

from graphlab import GraphlabError
from graphlab.capture.tensorflow import private

pytest.importorskip("tensorflow")
pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def variable(tf: Any) -> Any:  # a fixture of its own: a graph does not keep its variables
    return tf.Variable(1.0)


@pytest.fixture(scope="module")
def graph(tf: Any, variable: Any) -> Any:
    @tf.function(input_signature=[tf.TensorSpec([])])
    def function(x: Any) -> Any:
        return tf.cond(x > 0.0, lambda: x * variable, lambda: -x)

    return function.get_concrete_function().graph


def test_op_def_tells_arguments_and_statefulness(tf: Any) -> None:
    random = private.op_def("RandomUniform")
    assert random is not None
    assert random.is_stateful
    assert [arg.name for arg in random.output_arg] == ["output"]
    assert private.op_def("NoSuchOperation") is None


def test_function_graph_is_the_traced_graph_of_a_branch(graph: Any) -> None:
    (branch,) = [operation for operation in graph.get_operations() if operation.type == "If"]
    found = private.function_graph(graph, branch.get_attr("then_branch").name)
    assert found is not None
    assert "Mul" in [operation.type for operation in found.get_operations()]
    assert private.function_graph(graph, "no_such_function") is None


def test_captures_pair_the_outer_tensor_with_its_placeholder(graph: Any, variable: Any) -> None:
    ((outer, inner),) = private.captures(graph)
    assert outer is variable.handle
    assert inner.op.type == "Placeholder"


def test_user_trace_has_the_users_frames_and_equals_by_content(graph: Any) -> None:
    (branch,) = [operation for operation in graph.get_operations() if operation.type == "If"]
    trace = private.user_trace(branch)
    assert trace is not None
    assert __file__ in [frame.filename for frame in trace]
    assert trace == private.user_trace(branch)
    assert hash(trace) == hash(private.user_trace(branch))


def test_translated_stack_is_innermost_first(tf: Any) -> None:
    @tf.function
    def broken(x: Any) -> Any:
        return tf.matmul(x, x)

    with pytest.raises(ValueError, match="Shape must be rank 2") as caught:
        broken.get_concrete_function(tf.TensorSpec([]))
    files = [file for file, _, _ in private.translated_stack(caught.value)]
    assert files[-1] == __file__
    assert private.translated_stack(ValueError()) == []


def test_an_api_that_is_gone_is_named_with_the_version(tf: Any) -> None:
    with pytest.raises(GraphlabError, match=rf"Graph\._get_function of tensorflow {tf.__version__}"):
        private.function_graph(object(), "f")
