"""What graphlab uses of TensorFlow beyond its public API. Seen in tensorflow 2.21.0; tests name each.

``op_def``  tensorflow.python.framework.op_def_registry.get: arguments, attributes and statefulness of an op
``function_graph``  Graph._get_function(name).graph: the traced graph of a library function, for its source lines
``captures``  FuncGraph.captures: pairs of (outer tensor, placeholder within)
``user_trace``  StackTrace.get_user_frames() on Operation.traceback: frames outside tensorflow/python
``translated_stack``  ag_error_metadata.translated_stack on an exception: the user's lines for AutoGraph's code
"""

from __future__ import annotations

from typing import Any

from graphlab.errors import GraphlabError


def op_def(name: str) -> Any | None:
    """The OpDef of an op that TensorFlow knows, ``None`` for another (a function's name, a custom op not loaded)."""
    try:
        from tensorflow.python.framework import op_def_registry
    except ImportError as error:
        raise gone("tensorflow.python.framework.op_def_registry") from error
    return op_def_registry.get(name)


def function_graph(graph: Any, name: str) -> Any | None:
    """The FuncGraph a library function was traced into; ``None`` where only its definition is left."""
    try:
        function = graph._get_function(name)
    except AttributeError as error:
        raise gone("Graph._get_function") from error
    found = getattr(function, "graph", None)
    return found if hasattr(found, "get_operations") else None


def captures(graph: Any) -> list[tuple[Any, Any]]:
    """Pairs (outer tensor, inner placeholder) of what a FuncGraph takes from outside itself.

    Values that are only known at each call (deferred captures) have ``None`` for the outer tensor.
    """
    try:
        deferred = [(None, inner) for inner in graph.deferred_internal_captures]
        return [*graph.captures, *deferred]
    except AttributeError as error:
        raise gone("FuncGraph.captures") from error


def user_trace(operation: Any) -> Any | None:
    """An operation's frames outside TensorFlow's Python, outermost first; ``None`` where it has none.

    A sequence of frames with ``filename``, ``lineno`` and ``name``, hashable and equal by content.
    AutoGraph's generated code is mapped back to the user's lines by TensorFlow itself.
    """
    trace = operation.traceback
    if trace is None:
        return None
    try:
        return trace.get_user_frames()
    except AttributeError as error:
        raise gone("StackTrace.get_user_frames") from error


def translated_stack(error: BaseException) -> list[tuple[str, int, str]]:
    """(file, line, function) of an error in a function AutoGraph converted, in the user's own lines, innermost first.

    Empty for an error that passed through no converted function.
    """
    metadata = getattr(error, "ag_error_metadata", None)
    if metadata is None:
        return []
    try:
        return [(frame.filename, frame.lineno, frame.function_name or "<lambda>") for frame in metadata.translated_stack]
    except AttributeError as missing:
        raise gone("ag_error_metadata.translated_stack") from missing


def gone(what: str) -> GraphlabError:
    import tensorflow as tf

    return GraphlabError(
        f"use {what} of tensorflow {tf.__version__}",
        found="this version does not have it",
        do="use the tensorflow version that graphlab's constraints name",
    )
