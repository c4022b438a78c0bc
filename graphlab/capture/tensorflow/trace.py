"""Gets the ConcreteFunction of a target: its inputs found or asked for, its errors told in a sentence."""

from __future__ import annotations

import inspect
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from graphlab.capture.inputs import Inputs, input_options
from graphlab.capture.tensorflow import private
from graphlab.capture.tensorflow.frames import framework_folders, user_frames
from graphlab.errors import CaptureError, InputsNeeded
from graphlab.ir.frames import Frame
from graphlab.ir.values import TensorType

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def concrete_function(model: Any, inputs: Inputs | None, *, keras: bool) -> Any:
    """The traced function of a ``tf.function``, ConcreteFunction or Keras layer.

    Raises:
        InputsNeeded: it has no input signature, and no inputs are given.
        CaptureError: TensorFlow could not trace it.
    """
    if keras:
        return _keras(model, inputs)
    if hasattr(model, "graph") and hasattr(model, "captured_inputs"):
        return model  # a ConcreteFunction: traced already
    return _function(model, inputs)


def _function(function: Any, inputs: Inputs | None) -> Any:
    name = getattr(function, "__name__", "function")
    parameters = _parameters(function)
    if inputs is None and function.input_signature is None and any(p.default is p.empty for p in parameters):
        names = [p.name for p in parameters if p.default is p.empty]
        specs = ", ".join("tf.TensorSpec([None, 8], tf.float32)" for _ in names)
        raise InputsNeeded(
            f"capture the tf.function '{name}'",
            found=f"it has no input_signature, and no example is given for {_list(names)}",
            do=f"{_examples(name, names)}; or decorate with @tf.function(input_signature=[{specs}])",
        )
    given = (inputs or Inputs()).map(_spec)
    return _traced(f"trace the tf.function '{name}'", lambda: function.get_concrete_function(*given.args, **given.kwargs))


def _keras(model: Any, inputs: Inputs | None) -> Any:
    asked = f"trace the Keras {type(model).__name__} '{model.name}'"
    parameters = _callers(list(inspect.signature(model.call).parameters.values()))
    if inputs is None:
        known = _known_inputs(model)
        if known is None:
            names = [p.name for p in parameters if p.default is p.empty]
            do = f"{_examples(model.name, names)}; or build it on keras.Input tensors, which know their shapes"
            raise InputsNeeded(asked, found=f"it was built without known inputs, and no example is given for {_list(names)}", do=do)
        given = Inputs((known,))
    else:
        made = inputs.map(_spec)
        named = [_named(value, p.name) for value, p in zip(made.args, parameters, strict=False)]
        given = Inputs((*named, *made.args[len(named) :]), made.kwargs)

    def call(*args: Any, **kwargs: Any) -> Any:
        return model(*args, **kwargs)

    call.__name__ = model.name
    return _traced(asked, lambda: tf.function(call).get_concrete_function(*given.args, **given.kwargs))


def _known_inputs(model: Any) -> Any | None:
    """Specs of a functional or sequential model's inputs in the structure it takes them; ``None`` where it has none."""
    tensors = getattr(model, "inputs", None)
    if not tensors:
        return None
    specs = [tf.TensorSpec(t.shape, t.dtype, name=t.name.replace(":", "_")) for t in tensors]
    structure = getattr(model, "input", None)  # a sequential model that was never called has none, and takes one tensor
    return specs[0] if structure is None else _like(structure, iter(specs))


def _like(structure: Any, specs: Any) -> Any:
    """The same structure with a spec for each leaf; mappings in the order of their sorted keys, as Keras flattens them."""
    if isinstance(structure, dict):
        leaves = {key: _like(structure[key], specs) for key in sorted(structure)}
        return {key: leaves[key] for key in structure}
    if isinstance(structure, (list, tuple)):
        return type(structure)([_like(element, specs) for element in structure])
    return next(specs)


def _traced(asked: str, trace: Callable[[], Any]) -> Any:
    try:
        return trace()
    except Exception as error:  # the user's own code runs here, and may raise anything
        raise CaptureError(asked, found=_sentence(error), do=_remedy(error), frame=_user_frame(error)) from error


def _user_frame(error: BaseException) -> Frame | None:
    """The user's line the error came from: the innermost frame outside the frameworks and graphlab."""
    stack = private.translated_stack(error)
    if not stack:
        stack = [(f.filename, f.lineno or 0, f.name) for f in reversed(traceback.extract_tb(error.__traceback__))]
    user = user_frames(stack, framework_folders(sys.modules))
    return user[0] if user else None


def _sentence(error: BaseException) -> str:
    """The first telling line of an error of TensorFlow's or Keras', whose messages quote the whole stack."""
    told = error.__context__ if private.translated_stack(error) and error.__context__ is not None else error
    lines = [_COLOUR.sub("", line).strip() for line in str(told).splitlines()]
    telling = [line for line in lines if line and not line.startswith("Exception encountered when calling")]
    text = telling[0] if telling else "it gives no reason"
    first = text.partition(" You can attempt ")[0]  # TensorFlow goes on with a page of general advice
    return f"{type(error).__name__}: {first[:300]}"


def _remedy(error: BaseException) -> str:
    if isinstance(error, tf.errors.OperatorNotAllowedInGraphError):
        return "use a tensor only where AutoGraph can turn the Python around it into graph operations (if, for, while), or tf.cond"
    if isinstance(error, TypeError) and "argument" in str(error):
        return "give one input for each parameter of the function"
    return "change the line named, or give inputs of the shapes and types that it takes"


def _parameters(function: Any) -> list[inspect.Parameter]:
    """Parameters the caller must or may give; none of a bound method's own ``self``."""
    return _callers(list(inspect.signature(function.python_function).parameters.values()))


def _callers(parameters: Sequence[inspect.Parameter]) -> list[inspect.Parameter]:
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p for p in parameters if p.kind not in variadic and p.name != "self"]


def _spec(type: TensorType) -> Any:
    """A TensorSpec. TensorFlow keeps no names of dims: a symbolic one is any size."""
    shape = None if type.dims is None else [d if isinstance(d, int) else None for d in type.dims]
    return tf.TensorSpec(shape, tf.dtypes.as_dtype(type.dtype))


def _list(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "its inputs"


def _named(value: Any, name: str) -> Any:
    """The value, as a spec that carries the parameter's name: Keras' own call gives TensorFlow none."""
    return tf.TensorSpec(value.shape, value.dtype, name=name) if isinstance(value, tf.TensorSpec) and value.name is None else value


def _examples(name: str, names: Sequence[str]) -> str:
    return f"give inputs, with the true types and sizes: {input_options(names)}; or define {name}_inputs = (...) in the file"
