"""Inputs that are missing or wrong, and models that raise: one sentence, and the user's line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import graphlab
from graphlab import CaptureError, InputsNeeded

pytest.importorskip("tensorflow")
pytestmark = pytest.mark.tensorflow


def text_at(error: CaptureError) -> str:
    assert error.frame is not None
    assert error.frame.file == __file__
    return Path(__file__).read_text(encoding="utf-8").splitlines()[error.frame.line - 1]


def test_missing_inputs_are_asked_for_by_name_with_all_ways_to_give_them(tf: Any) -> None:
    @tf.function
    def blend(x: Any, y: Any, share: float = 0.5) -> Any:
        return x * share + y

    with pytest.raises(InputsNeeded) as caught:
        graphlab.capture(blend)
    assert "'x', 'y'" in caught.value.found
    assert "share" not in str(caught.value)
    for way in ("--input 'x=", "--input 'y=", "blend_inputs", "input_signature=[tf.TensorSpec"):
        assert way in caught.value.do


def test_a_function_without_parameters_needs_no_inputs(tf: Any) -> None:
    assert graphlab.capture(tf.function(lambda: tf.ones([2]))).count() > 0


def test_wrong_shapes_are_told_at_the_innermost_line_of_the_users(tf: Any) -> None:
    def helper(x: Any) -> Any:
        return tf.matmul(x, tf.ones([7, 7]))  # here

    @tf.function
    def model(x: Any) -> Any:
        return helper(x)

    with pytest.raises(CaptureError, match="ValueError: Dimensions must be equal, but are 2 and 7") as caught:
        graphlab.capture(model, ("f32[2,2]",))
    assert "# here" in text_at(caught.value)
    assert "\n" not in caught.value.found


def test_what_autograph_refuses_is_told_at_its_line(tf: Any) -> None:
    @tf.function
    def model(x: Any) -> Any:
        if x > 0.0:  # here
            z = 1.0
        return z

    with pytest.raises(CaptureError, match="'z' must also be initialized in the else branch") as caught:
        graphlab.capture(model, ("f32[]",))
    assert "# here" in text_at(caught.value)


def test_a_python_branch_on_a_tensor_says_what_autograph_can_take(tf: Any) -> None:
    @tf.function(autograph=False)
    def model(x: Any) -> Any:
        return x if x > 0.0 else -x  # here

    with pytest.raises(CaptureError, match="OperatorNotAllowedInGraphError") as caught:
        graphlab.capture(model, ("f32[]",))
    assert "AutoGraph" in caught.value.do
    assert "# here" in text_at(caught.value)


def test_an_error_of_the_users_own_keeps_its_type_and_cause(tf: Any) -> None:
    def model(x: Any) -> Any:
        raise KeyError("no such thing")

    with pytest.raises(CaptureError, match="KeyError") as caught:
        graphlab.capture(tf.function(model), ("f32[]",))
    assert isinstance(caught.value.__cause__, KeyError)


def test_too_many_inputs_are_refused(tf: Any) -> None:
    with pytest.raises(CaptureError, match="too many positional arguments") as caught:
        graphlab.capture(tf.function(lambda x: x), ("f32[2]", "f32[2]"))
    assert caught.value.do == "give one input for each parameter of the function"


def test_another_method_of_capture_is_refused(tf: Any) -> None:
    with pytest.raises(CaptureError, match=r"choose from tf\.function"):
        graphlab.capture(tf.function(lambda x: x), ("f32[2]",), method="export")
