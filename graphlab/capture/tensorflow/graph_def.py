"""A GraphDef and its function library as IR graphs, one per graph that the entry reaches.

Works on the messages alone: what it needs of TensorFlow (OpDefs, source lines) is passed in.
The formats: graph.proto, function.proto and node_def.proto in tensorflow/core/framework.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphlab.capture.tensorflow import calls as node_calls
from graphlab.capture.tensorflow.effects import own_effects, spread_effects
from graphlab.capture.tensorflow.opdefs import OpSpec, OpSpecs
from graphlab.capture.tensorflow.values import Dims, attr_value, constant, shape_dims, value_type
from graphlab.errors import FormatError
from graphlab.ir.constants import Constant
from graphlab.ir.frozen import EMPTY, FrozenDict
from graphlab.ir.graph import Graph, Kind
from graphlab.ir.ops import lookup
from graphlab.ir.values import ValueType

_SHAPES = "_output_shapes"
_META = ("config", "config_proto", "executor_type", "parallel_iterations")
"""Attributes without a leading underscore that change how, not what, a node computes."""

Edge = tuple[str, str, int, int]


@dataclass(frozen=True, slots=True)
class Origin:
    """What a placeholder of the entry graph stands for: an input, a variable, a captured constant."""

    kind: Kind
    index: int | None = None
    name: str = ""
    value: Constant | None = None


def read_graphs(
    graph_def: Any,
    *,
    entry: str,
    origins: Mapping[str, Origin],
    outputs: Sequence[str],
    op_def: Callable[[str], Any | None],
    control_outputs: Sequence[str] = (),
    locations: Callable[[str | None], Mapping[str, int]] | None = None,
) -> dict[str, Graph]:
    """The entry graph and every library function it reaches, by name.

    Args:
        entry: a name for the graph itself; made unique where a function has it.
        origins: node name → what it stands for. Each input has an index, counting from 0.
        outputs: the results' tensor names, ``node`` or ``node:port``, in order.
        op_def: name → OpDef, ``None`` for an operation it does not know.
        control_outputs: nodes that must run though nothing takes a value of theirs.
        locations: function name (``None`` for the entry) → node name → index in the frame table.

    Raises:
        FormatError: an edge or a function leads nowhere, or an operation is defined by nobody.
    """
    functions = {f.signature.name: f for f in graph_def.library.function}
    while entry in functions:
        entry += "_"
    reader = _Reader(functions, OpSpecs(op_def, functions), locations or (lambda name: {}))
    graphs = {entry: reader.entry(graph_def, entry, origins, outputs, control_outputs)}
    waiting = list(_callees(graphs[entry]))
    while waiting:
        name = waiting.pop(0)
        if name not in graphs:
            graphs[name] = reader.function(name)
            waiting.extend(_callees(graphs[name]))
    spread_effects(graphs)
    return graphs


def _callees(graph: Graph) -> Iterator[str]:
    for _, data in graph.nodes(data=True):
        for call in data.get("calls", EMPTY).values():
            yield call.graph


class _Reader:
    def __init__(self, functions: Mapping[str, Any], specs: OpSpecs, locations: Callable[[str | None], Mapping[str, int]]) -> None:
        self._functions = functions
        self._specs = specs
        self._locations = locations

    def entry(
        self, graph_def: Any, name: str, origins: Mapping[str, Origin], outputs: Sequence[str], control_outputs: Sequence[str]
    ) -> Graph:
        nodes = {node.name: node for node in graph_def.node}
        region = _Region(name, nodes, self._specs)
        made = self._nodes(region, self._locations(None))
        for id, data in made:
            origin = origins.get(id)
            if origin is not None:
                data["kind"] = origin.kind
                if origin.index is not None:
                    data["index"] = origin.index
                if origin.name and origin.name != id:
                    data["name"] = origin.name
                if origin.value is not None:
                    data["value"] = origin.value
        return _filled(region, made, outputs, control_outputs)

    def function(self, name: str) -> Graph:
        definition = self._functions[name]
        signature = definition.signature
        nodes = {node.name: node for node in definition.node_def}
        region = _Region(name, nodes, self._specs, arguments={arg.name for arg in signature.input_arg})
        made: list[tuple[str, dict[str, Any]]] = []
        for index, (arg, type) in enumerate(_arguments(definition)):
            made.append((arg, {"kind": "input", "op": "tf._Arg", "index": index, "outputs": (type,), "synthetic": True}))
        made += self._nodes(region, self._locations(name))
        outputs = [definition.ret[arg.name] for arg in signature.output_arg]
        return _filled(region, made, outputs, list(definition.control_ret.values()))

    def _nodes(self, region: _Region, locations: Mapping[str, int]) -> list[tuple[str, dict[str, Any]]]:
        made = []
        for name, node in region.nodes.items():
            data = self._node(node)
            scope = name.rpartition("/")[0]
            if scope:
                data["scope"] = scope
            loc = locations.get(name)
            if loc is not None:
                data["loc"] = loc
            made.append((name, data))
        return made

    def _node(self, node: Any) -> dict[str, Any]:
        op = node.op
        spec = self._specs[op]
        attr = node.attr
        data: dict[str, Any] = {"kind": "op", "op": "tf." + op}
        named = node_calls.function_attrs(spec, attr) if spec.functions else {}
        attrs: dict[str, Any] = {}
        meta: dict[str, Any] = {}
        shapes: Sequence[Any] = ()
        for key in sorted(attr):  # a protobuf map has no order of its own
            value = attr[key]
            if key == _SHAPES:
                shapes = value.list.shape
            elif key in named and all(name in self._functions for name in named[key]):
                continue
            elif op == "Const" and key == "value":
                data["kind"] = "constant"
                data["value"] = constant(value.tensor)
            elif key[0] == "_" or key in _META:
                meta[key] = attr_value(value)
            else:
                attrs[key] = attr_value(value)
        if node.device:
            meta["device"] = node.device
        outputs = _outputs(spec, attr, shapes)
        if "value" in data:  # exact, whether or not shapes were inferred
            outputs = (data["value"].type,)
        if outputs:
            data["outputs"] = outputs
        if attrs:
            data["attrs"] = FrozenDict(attrs)
        if meta:
            data["meta"] = FrozenDict(meta)
        canonical = lookup("tf." + op).canonical
        if canonical is not None:
            data["canonical"] = canonical
        if named or op in self._functions:
            found = node_calls.calls(node, spec, named, self._functions, outputs=len(outputs))
            if found:
                data["calls"] = found
                control = node_calls.control(op)
                if control is not None:
                    data["control"] = control
        effects = own_effects(op, spec.stateful, calls="calls" in data)
        if effects:
            data["effects"] = effects
        return data


class _Region:
    """The nodes of one graph or function, and how references to their outputs read there."""

    def __init__(self, name: str, nodes: dict[str, Any], specs: OpSpecs, arguments: set[str] | None = None) -> None:
        self.name = name
        self.nodes = nodes
        self._specs = specs
        self._arguments = arguments or set()

    def source(self, reference: str) -> tuple[str, int]:
        """Node and flat port of ``node``, ``node:port``, ``node:argument:index`` or a function's own argument.

        Raises:
            FormatError: there is no such output.
        """
        node, *rest = reference.split(":")
        if node in self._arguments:
            return node, 0
        definition = self.nodes.get(node)
        port: int | None = None
        if definition is not None and not rest:
            port = 0
        elif definition is not None and len(rest) == 1 and rest[0].isdecimal():
            port = int(rest[0])
        elif definition is not None and len(rest) == 2 and rest[1].isdecimal():
            port = self._specs[definition.op].port(rest[0], int(rest[1]), definition.attr)
        if port is None:
            raise FormatError(
                f"read the graph '{self.name}'",
                found=f"a node takes '{reference}', which is no output of a node in it",
                do="check that the file is whole",
            )
        return node, port

    def edges(self) -> tuple[list[Edge], list[tuple[str, str]]]:
        """Data edges and control edges, in the order of the nodes that take them."""
        data: list[Edge] = []
        control: list[tuple[str, str]] = []
        known: dict[str, tuple[str, int]] = {}
        for name, node in self.nodes.items():
            slot = 0
            for text in node.input:
                if text[0] == "^":
                    control.append((self.source(text[1:])[0], name))
                    continue
                found = known.get(text)
                if found is None:
                    found = known[text] = self.source(text)
                data.append((found[0], name, found[1], slot))
                slot += 1
        return data, control


def _filled(region: _Region, made: list[tuple[str, dict[str, Any]]], outputs: Sequence[str], control_outputs: Iterable[str]) -> Graph:
    graph = Graph(name=region.name)
    taken = {name for name, _ in made}
    output = "output"
    while output in taken:
        output += "_"
    made.append((output, {"kind": "output", "synthetic": True}))
    edges, control = region.edges()
    edges += [(*_swap(region.source(text), output), slot) for slot, text in enumerate(outputs)]
    control += [(region.source(name)[0], output) for name in control_outputs]
    graph.fill(made, edges, control)
    return graph


def _swap(source: tuple[str, int], output: str) -> tuple[str, str, int]:
    return source[0], output, source[1]


def _outputs(spec: OpSpec, attr: Mapping[str, Any], shapes: Sequence[Any]) -> tuple[ValueType, ...]:
    dtypes = spec.output_dtypes(attr)
    if len(shapes) != len(dtypes):  # not inferred: the rank is unknown
        return tuple([value_type(dtype, None) for dtype in dtypes])
    return tuple([value_type(dtype, shape_dims(shape)) for dtype, shape in zip(dtypes, shapes, strict=True)])


def _arguments(definition: Any) -> Iterator[tuple[str, ValueType]]:
    inferred = definition.attr["_input_shapes"].list.shape if "_input_shapes" in definition.attr else ()
    for index, arg in enumerate(definition.signature.input_arg):
        dims: Dims = None
        own = definition.arg_attr[index].attr if index in definition.arg_attr else {}
        if _SHAPES in own:
            dims = shape_dims(own[_SHAPES].list.shape[0])
        elif index < len(inferred):
            dims = shape_dims(inferred[index])
        yield arg.name, value_type(arg.type, dims)


__all__ = ["Origin", "read_graphs"]
