"""TensorFlow: ``tf.function``, ``ConcreteFunction``, ``FuncGraph`` and Keras models, as TensorFlow traces them.

This module imports no framework; what it needs of TensorFlow is loaded once a target is TensorFlow's.
"""

from __future__ import annotations

from inspect import getattr_static
from typing import Any

from graphlab.capture.inputs import Inputs
from graphlab.errors import CaptureError, missing_extra
from graphlab.ir.program import Program

METHODS = ("tf.function",)

_FUNCTIONS = ("Function", "ConcreteFunction", "FuncGraph")
_KERAS = ("keras", "tf_keras")


def matches(target: object) -> bool:
    """Whether it is a TensorFlow function or graph, a tf.Module called by one, or a Keras layer of whatever backend."""
    return _is_function(target) or _is_keras(target) or _is_module(target)


def is_part(target: object) -> bool:
    """A Keras layer that is no model: not looked at of its own accord where a model or function stands beside it."""
    return _is_keras(target) and not any(base.__name__ == "Model" for base in type(target).__mro__)


def methods_for(model: object) -> tuple[str, ...]:
    """Methods to try on it, best first."""
    return METHODS


def capture(model: Any, inputs: Inputs | None, *, method: str) -> Program:
    """The graph that TensorFlow traces, with its whole function library.

    Raises:
        InputsNeeded: it has no input signature and no inputs are given.
        CaptureError: tracing fails, or the Keras model runs on another backend.
        MissingExtra: TensorFlow is not installed.
    """
    if _is_keras(model):
        _require_tensorflow_backend(model)
    try:
        import tensorflow as tf  # noqa: F401
    except ImportError as error:
        raise missing_extra("capture a TensorFlow model", "tensorflow", "tensorflow") from error
    from graphlab.capture.tensorflow import function

    return function.capture(model.__call__ if _is_module(model) else model, inputs, keras=_is_keras(model))


def _is_function(target: object) -> bool:
    return any(base.__module__.startswith("tensorflow.python.") and base.__name__ in _FUNCTIONS for base in type(target).__mro__)


def _is_keras(target: object) -> bool:
    """A layer, which models are too; a loss or an optimizer is none."""
    return any(base.__module__.partition(".")[0] in _KERAS and base.__name__ == "Layer" for base in type(target).__mro__)


def _is_module(target: object) -> bool:
    """A ``tf.Module`` whose ``__call__`` is a ``tf.function``."""
    module = any((base.__module__, base.__name__) == ("tensorflow.python.module.module", "Module") for base in type(target).__mro__)
    return module and _is_function(getattr_static(type(target), "__call__", None))


def _require_tensorflow_backend(model: Any) -> None:
    """Keras 3 mixes its backend's own layer class into every layer."""
    backends = [base.__module__.split(".")[3] for base in type(model).__mro__ if base.__module__.startswith("keras.src.backend.")]
    others = [backend for backend in backends if backend in ("jax", "torch", "numpy", "openvino")]
    if others:
        raise CaptureError(
            f"capture the Keras {type(model).__name__} '{model.name}' with TensorFlow",
            found=f"Keras runs on the {others[0]} backend here, so TensorFlow sees nothing of it",
            do="set KERAS_BACKEND=tensorflow before Keras is imported",
        )
