"""Live TensorFlow functions and Keras models: traced where they are not yet, and read into the IR."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from graphlab.capture.inputs import Inputs
from graphlab.capture.tensorflow import private
from graphlab.capture.tensorflow.frames import Locator, framework_folders
from graphlab.capture.tensorflow.graph_def import Origin, read_graphs
from graphlab.capture.tensorflow.trace import concrete_function
from graphlab.capture.tensorflow.values import array_constant, value_type
from graphlab.errors import CaptureError
from graphlab.ir.frames import FrameTable
from graphlab.ir.frozen import EMPTY, FrozenDict
from graphlab.ir.graph import Graph
from graphlab.ir.program import Program, Signature, Slot, Source
from graphlab.ir.values import OpaqueType, ValueType


def capture(model: Any, inputs: Inputs | None, *, keras: bool) -> Program:
    """Trace the model where it is not traced yet, and read what came of it. See the package's ``capture``."""
    if isinstance(model, tf.Graph):
        return read_function(model, name=getattr(model, "name", "graph"))
    concrete = concrete_function(model, inputs, keras=keras)
    paths = {id(v.value): v.path for v in model.variables if hasattr(v, "path")} if keras else {}
    return read_function(concrete.graph, name=model.name if keras else concrete.graph.name, concrete=concrete, paths=paths)


def read_function(graph: Any, *, name: str, concrete: Any | None = None, paths: Mapping[int, str] | None = None) -> Program:
    """The Program of a FuncGraph.

    Args:
        name: the entry's name.
        concrete: the ConcreteFunction it belongs to, which becomes ``native``.
        paths: ``id`` of a variable → a better name than its own.
    """
    try:
        definition = graph.as_graph_def(add_shapes=True)
    except ValueError as error:  # protobuf holds no more than 2 GB
        raise CaptureError(
            f"read the graph '{name}'",
            found=f"TensorFlow cannot write it as a GraphDef: {error}",
            do="keep large arrays in tf.Variable instead of in the graph",
        ) from error
    table = FrameTable()
    locator = Locator(table, framework_folders(sys.modules))

    def locations(function: str | None) -> Mapping[str, int]:
        traced = graph if function is None else private.function_graph(graph, function)
        return {} if traced is None else locator.locations(traced)

    origins = _origins(graph, paths or {})
    with _collector_paused():
        graphs = read_graphs(
            definition,
            entry=name,
            origins=origins,
            outputs=[tensor.name for tensor in graph.outputs],
            op_def=private.op_def,
            control_outputs=[operation.name for operation in graph.control_outputs],
            locations=locations,
        )
    entry = next(iter(graphs))
    return Program(
        graphs=graphs,
        entry=entry,
        source=Source("tensorflow", "tf.function", method="tf.function", producer=f"tensorflow {tf.__version__}"),
        signatures={entry: _signature(graphs[entry], _output_names(graph))},
        frames=table.done(),
        meta=FrozenDict({"function": concrete.name.decode()}) if concrete is not None else EMPTY,
        native=concrete,
    )


def _origins(graph: Any, paths: Mapping[int, str]) -> dict[str, Origin]:
    """What each placeholder stands for: an input of the caller, or a value captured from outside."""
    captured = private.captures(graph)
    inner = {id(tensor) for _, tensor in captured}
    found: dict[str, Origin] = {}
    own = [tensor for tensor in graph.inputs if id(tensor) not in inner]
    names = _input_names(own)
    for index, (tensor, name) in enumerate(zip(own, names, strict=True)):
        found[tensor.op.name] = Origin("input", index, name)
    variables = {id(variable.handle): variable for variable in _variables(graph) if hasattr(variable, "handle")}
    index = len(own)
    for outer, tensor in captured:
        variable = variables.get(id(outer))
        if variable is not None:
            name = paths.get(id(variable)) or variable.name.removesuffix(":0")
            kind = _type(variable.dtype, variable.shape)
            found[tensor.op.name] = Origin("parameter", None, name, array_constant(kind, variable.numpy))
        elif isinstance(_type(tensor.dtype, tensor.shape), OpaqueType):  # a table, a generator's state without its variable
            found[tensor.op.name] = Origin("parameter", None, tensor.op.name)
        elif hasattr(outer, "numpy"):
            found[tensor.op.name] = Origin("constant", None, tensor.op.name, array_constant(_type(outer.dtype, outer.shape), outer.numpy))
        else:  # a value of an enclosing graph, or one that only each call knows
            found[tensor.op.name] = Origin("input", index, tensor.op.name)
            index += 1
    return found


def _variables(graph: Any) -> tuple[Any, ...]:
    try:
        variables: tuple[Any, ...] = graph.variables
    except AssertionError as error:  # TensorFlow holds them weakly, and would refuse to run the function too
        raise CaptureError(
            f"read the graph '{graph.name}'",
            found="a variable that it uses was deleted",
            do="keep the variables of a function as long as the function, for instance in an object's attributes",
        ) from error
    return variables


def _input_names(tensors: list[Any]) -> list[str]:
    """The user's parameter names where TensorFlow knows them; elements of a nested one are numbered."""
    given = []
    for tensor in tensors:
        attr = tensor.op.node_def.attr
        given.append(attr["_user_specified_name"].s.decode() if "_user_specified_name" in attr else tensor.op.name)
    total, seen = Counter(given), Counter[str]()
    names = []
    for name in given:
        names.append(f"{name}/{seen[name]}" if total[name] > 1 else name)
        seen[name] += 1
    return names


def _output_names(graph: Any) -> list[str]:
    structured = getattr(graph, "structured_outputs", None)
    count = len(graph.outputs)
    if isinstance(structured, Mapping) and len(structured) == count and all(isinstance(v, tf.Tensor) for v in structured.values()):
        return sorted(structured)  # tf.nest flattens a mapping in the order of its sorted keys
    return ["output"] if count == 1 else [f"output_{i}" for i in range(count)]


def _signature(graph: Graph, output_names: list[str]) -> Signature:
    inputs = tuple(Slot(node.name, node.outputs[0]) for node in map(graph.node, graph.inputs))
    uses = graph.operands(graph.output)
    outputs = tuple(Slot(name, graph.node(use.src).outputs[use.src_port]) for name, use in zip(output_names, uses, strict=True))
    return Signature(graph.name, inputs, outputs)


def _type(dtype: Any, shape: Any) -> ValueType:
    return value_type(dtype.as_datatype_enum, None if shape.rank is None else tuple(shape.as_list()))


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Reading makes many objects and no garbage, and one full collection beside TensorFlow's modules takes 0.2 s."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
