"""One graph or function of an ONNX model as an IR graph.

A graph in a node may use the values around it by name; such a use becomes an input of its own, fed by an operand of the node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from graphlab.capture.onnx import bodies, infer, origin, quantization
from graphlab.capture.onnx.attributes import Attributes, properties
from graphlab.capture.onnx.bodies import Body, Site
from graphlab.capture.onnx.sharding import configurations, sharded, shardings
from graphlab.capture.onnx.tensors import Tensors
from graphlab.capture.onnx.types import OMITTED, UNKNOWN, Types
from graphlab.capture.onnx.versions import Opsets, plain_domain, since_version
from graphlab.capture.unique import Names
from graphlab.errors import FormatError
from graphlab.ir.constants import Constant
from graphlab.ir.frozen import EMPTY, FrozenDict, frozen
from graphlab.ir.graph import Call, Graph
from graphlab.ir.ops import lookup
from graphlab.ir.values import TensorType, ValueType
from graphlab.ir.vocabulary.onnx import KNOWN

Key = tuple[str, str, str]
"""A function's domain, name and overload."""

_SPEC = "pkg.torch.export.graph_signature.InputSpec.kind"
_INDEX_TYPES = frozenset({"int16", "int32", "int64", "uint16", "uint32", "uint64", "bool", "string"})


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the model: its graph's name, and how many inputs and outputs it has."""

    graph: str
    inputs: int
    outputs: int


@dataclass(slots=True)
class Model:
    """What the graphs of one model share while it is being read."""

    file_name: str
    tensors: Tensors
    types: Types
    attributes: Attributes
    stacks: origin.Stacks
    opsets: Opsets
    functions: Mapping[Key, Function]
    has_devices: bool = False
    names: Names = field(default_factory=Names)
    graphs: dict[str, Graph] = field(default_factory=dict)
    ops: dict[Opsets, dict[Key, _Operator]] = field(default_factory=dict)
    scopes: dict[str, str] = field(default_factory=dict)
    globals: Region | None = None


@dataclass(frozen=True, slots=True)
class _Operator:
    op: str
    canonical: str | None
    effects: tuple[str, ...]
    function: Function | None
    quantizes: bool
    version: FrozenDict[str, Any]
    """The attribute that says which definition of it is meant."""


def _operator(key: Key, functions: Mapping[Key, Function], opsets: Opsets) -> _Operator:
    domain, op_type, overload = plain_domain(key[0]), key[1], key[2]
    function = functions.get((domain, op_type, overload))
    op = f"onnx.{domain}.{op_type}" if domain else f"onnx.{op_type}"
    info = lookup(op)
    effects = info.effects if op in KNOWN or function is not None else ("opaque",)
    version = since_version(domain, op_type, opsets.get(domain, 0)) if function is None else None
    told = EMPTY if version is None else FrozenDict({"since_version": version})
    return _Operator(op, info.canonical, effects, function, op in quantization.OPERATORS, told)


class Region:
    """Reads one graph; ``outer`` is the one around it. ``opsets`` are a function's own, else those around or the model's."""

    def __init__(self, model: Model, name: str, outer: Region | None = None, opsets: Opsets | None = None) -> None:
        self.name = name
        self.inputs: list[tuple[str, str]] = []
        """The graph's own inputs: their ids and the values' names."""
        self.results: list[str] = []
        self.captured: dict[str, None] = {}
        """The values it takes from around it."""
        self._model = model
        self._outer = outer
        self._opsets: Opsets = opsets if opsets is not None else model.opsets if outer is None else outer._opsets
        self._operators = model.ops.setdefault(self._opsets, {})
        self._ids = Names()
        self._heads: list[tuple[str, dict[str, Any]]] = []
        self._nodes: list[tuple[str, dict[str, Any]]] = []
        self._edges: list[tuple[str, str, int, int]] = []
        self._sources: dict[str, tuple[str, int]] = {}
        self._made: dict[str, dict[str, Any]] = {}
        self._types: dict[str, ValueType] = {}
        self._told: dict[str, Any] = {}
        self._constants: dict[str, Constant] = {}
        self._quantized: list[quantization.Quantized] = []
        self._sharded: dict[str, str] = {}
        self._normalizes = False

    # -- what it is read from

    def read_graph(self, graph: Any, *, defaults: bool) -> None:
        """Read a GraphProto. ``defaults``: an input that has an initializer is that initializer, which a caller may replace."""
        held = {tensor.name for tensor in graph.initializer} | {tensor.values.name for tensor in graph.sparse_initializer}
        told = self._told
        for values in (graph.value_info, graph.output, graph.input):
            for value in values:
                told[value.name] = value
        replaceable = set()
        for value in graph.input:
            if defaults and value.name in held:
                replaceable.add(value.name)
            else:
                self._input(value.name, self._described(value))
        for tensor in graph.initializer:
            if tensor.name not in self._sources:
                self._initializer(tensor.name, self._model.tensors.constant(tensor), tensor.name in replaceable)
        for sparse in graph.sparse_initializer:
            self._sparse_initializer(sparse)
        self._body(graph.node, [value.name for value in graph.output])
        for annotation in graph.quantization_annotation:
            self._quantized += quantization.of_annotation(annotation, self.constant)
        self._finish()

    def read_function(self, function: Any) -> None:
        """Read a FunctionProto."""
        for value in function.value_info:
            self._told[value.name] = value
        for name in function.input:
            self._input(name, EMPTY)
        self._body(function.node, list(function.output))
        self._finish()

    # -- values

    def type(self, value: str) -> ValueType:
        """A value's type, by its name."""
        found = self._types.get(value)
        if found is None:
            told = self._told.get(value)
            if told is not None:
                found = self._model.types.of(told.type)
            elif value not in self._sources and self._outer is not None:
                found = self._outer.type(value)
            else:
                found = UNKNOWN
            self._types[value] = found
        return found

    def constant(self, value: str) -> Constant | None:
        """A value that is a constant, here or around."""
        if value in self._sources or self._outer is None:
            return self._constants.get(value)
        return self._outer.constant(value)

    def has(self, value: str) -> bool:
        return value in self._sources or (self._outer is not None and self._outer.has(value))

    def source(self, value: str, user: str) -> tuple[str, int]:
        """The node and port that a value comes from; a value from around becomes an input.

        Raises:
            FormatError: there is no such value.
        """
        found = self._sources.get(value)
        if found is not None:
            return found
        if self._outer is not None and self._outer.has(value):
            self.captured[value] = None
            return self._input(value, EMPTY)
        shared = self._model.globals
        if shared is not None and value in shared._constants:  # a training graph uses the model's initializers
            held = shared._made[shared._sources[value][0]]
            id = self._ids.take(value)
            self._heads.append((id, dict(held)))
            self._define(value, id, held)
            return id, 0
        raise self._wrong(f"node '{user}' takes '{value}', which nothing gives")

    def _input(self, name: str, meta: FrozenDict[str, Any]) -> tuple[str, int]:
        if not name:
            raise self._wrong("an input has no name")
        id = self._ids.take(name)
        data: dict[str, Any] = {"kind": "input", "index": len(self.inputs), "outputs": (self.type(name),), "synthetic": True}
        if id != name:
            data["name"] = name
        if meta:
            data["meta"] = meta
        self.inputs.append((id, name))
        self._heads.append((id, data))
        self._define(name, id, data)
        return id, 0

    def _initializer(self, name: str, value: Constant, replaceable: bool) -> None:
        id = self._ids.take(name or "initializer")
        self._types[name] = value.type
        data: dict[str, Any] = {"kind": "parameter", "outputs": (value.type,), "value": value, "synthetic": True}
        if id != name:
            data["name"] = name
        if replaceable:
            data["meta"] = frozen(replaceable=True)
        told = self._told.get(name)
        noted = dict(properties(told.metadata_props)) if told is not None else {}
        kind = noted.get(_SPEC)
        if kind == "BUFFER":
            data["attrs"] = frozen(role="buffer")
        elif kind != "PARAMETER" and not replaceable and (kind is not None or _is_small_constant(value.type)):
            data["kind"] = "constant"
        self._constants[name] = value
        self._heads.append((id, data))
        self._define(name, id, data)

    def _sparse_initializer(self, sparse: Any) -> None:
        name = sparse.values.name
        id = self._ids.take(name or "initializer")
        type = self._types[name] = self._model.tensors.sparse_type(sparse)
        attrs = self._model.tensors.sparse(sparse)
        data: dict[str, Any] = {"kind": "parameter", "outputs": (type,), "attrs": attrs, "synthetic": True}
        self._heads.append((id, data))
        self._define(name, id, data)

    def _define(self, name: str, id: str, data: dict[str, Any], port: int = 0) -> None:
        if name in self._sources:
            raise self._wrong(f"the value '{name}' is given twice")
        self._sources[name] = (id, port)
        if port == 0:
            self._made[id] = data

    # -- nodes

    def _body(self, nodes: Sequence[Any], outputs: list[str]) -> None:
        made = []
        take, define = self._ids.take, self._define
        for node in nodes:
            given = list(node.output)
            while given and not given[-1]:  # left out
                given.pop()
            id = take(node.name or next(filter(None, given), node.op_type))
            data: dict[str, Any] = {"kind": "op"}
            for port, value in enumerate(given):
                if value:
                    define(value, id, data, port)
            self._made[id] = data
            made.append((id, node, data, given))
        for id, node, data, given in made:
            self._node(id, node, data, given)
            self._nodes.append((id, data))
        for name in outputs:
            if not name:
                raise self._wrong("an output has no name")
        self.results = outputs

    def _node(self, id: str, node: Any, data: dict[str, Any], given: list[str]) -> None:
        model = self._model
        key = node.domain, node.op_type, node.overload
        operator = self._operators.get(key)
        if operator is None:
            operator = self._operators[key] = _operator(key, model.functions, self._opsets)
        data["op"] = operator.op
        if operator.canonical is not None:
            data["canonical"] = operator.canonical
        attributes = node.attribute
        attrs, graphs = model.attributes.decode(attributes) if attributes else (None, ())
        name = node.name
        if name and name != id:
            data["name"] = name
        effects = operator.effects
        inputs = list(node.input)
        if operator.op == "onnx.Constant" and self._constant_node(data, attrs, given):
            attrs = data.pop("attrs", None)
        elif operator.op == "onnx.Dropout" and self._draws(attrs or EMPTY, inputs):
            effects = ("random",)
        elif operator.op == "onnx.BatchNormalization":
            self._normalizes = True
        if effects:
            data["effects"] = effects
        absent = []
        sources, edges = self._sources, self._edges
        for slot, value in enumerate(inputs):
            if value:
                src, port = sources.get(value) or self.source(value, id)
                edges.append((src, id, port, slot))
            else:
                absent.append(slot)
        if absent:
            data["absent"] = tuple(absent)
        if "outputs" not in data and given:
            types = [self.type(value) if value else OMITTED for value in given]
            if types[0] is UNKNOWN:
                operands = [self.type(value) if value else UNKNOWN for value in inputs]
                types[0] = self._types[given[0]] = infer.result(operator.op, operands, attrs or EMPTY)
            data["outputs"] = tuple(types)
        if model.has_devices and node.device_configurations:
            attrs = self._devices(node, attrs)
        if operator.version and data["kind"] == "op":
            attrs = FrozenDict({**operator.version, **attrs}) if attrs else operator.version
        if attrs:
            data["attrs"] = attrs
        if graphs:
            self._graphs(id, data, inputs, graphs)
        elif operator.function is not None:
            data["calls"] = FrozenDict({"call": _call(operator.function, inputs, given)})
            if node.overload:
                data["attrs"] = frozen(attrs or EMPTY, overload=node.overload)
        self._origin(node, name, data)
        if operator.quantizes:
            self._quantized += quantization.of_node(operator.op, inputs, given, attrs or EMPTY, self.constant)

    def _constant_node(self, data: dict[str, Any], attrs: FrozenDict[str, Any] | None, given: list[str]) -> bool:
        """A Constant's value; False where it takes it from the function's attribute, and so is an operation like any other."""
        value = next((_constant(key, held) for key, held in (attrs or EMPTY).items() if key in _CONSTANT_FIELDS), None)
        if value is None or len(given) != 1:
            return False
        data["kind"] = "constant"
        data["value"] = value
        data["outputs"] = (value.type,)
        self._types[given[0]] = value.type
        self._constants[given[0]] = value
        return True

    def _draws(self, attrs: Mapping[str, Any], inputs: list[str]) -> bool:
        """Whether a Dropout drops: opset 12 asks its third operand, opset 6 and below an attribute, those between never do."""
        if len(inputs) > 2 and inputs[2]:
            mode = self.constant(inputs[2])
            return mode is None or not mode.available or mode.bytes() != b"\0"
        return 0 < self._opsets.get("", 0) <= 6 and not attrs.get("is_test")

    def _devices(self, node: Any, attrs: FrozenDict[str, Any] | None) -> FrozenDict[str, Any]:
        for value, text in shardings(node):
            self._sharded.setdefault(value, text)
        return frozen(attrs or EMPTY, device_configurations=configurations(node))

    def _graphs(self, id: str, data: dict[str, Any], inputs: list[str], graphs: Sequence[tuple[str, Any]]) -> None:
        """Read the graphs in a node's attributes; what they take from here becomes operands after the node's own."""
        found: dict[str, Body] = {}
        slots: dict[str, int] = {}
        for role, graph in bodies.roles(data["op"], graphs):
            name = self._model.names.take(graph.name or f"{id}_{role}")
            inner = Region(self._model, name, self)
            self._model.graphs[name] = Graph(name=name)  # its place in order, before the graphs in it
            inner.read_graph(graph, defaults=False)
            for value in inner.captured:
                if value not in slots:
                    slots[value] = len(inputs) + len(slots)
                    src, port = self.source(value, id)
                    self._edges.append((src, id, port, slots[value]))
            found[role] = Body(name, len(inner.inputs) - len(inner.captured), len(inner.results), tuple(inner.captured))
        types = {slot: self.type(value) for slot, value in enumerate(inputs) if value}
        site = Site(data["op"], inputs, types, len(data.get("outputs", ())), data.get("attrs", EMPTY), self._opsets.get("", 0))
        data["calls"], control = bodies.wire(site, found, slots)
        if control is not None:
            data["control"] = control

    def _origin(self, node: Any, name: str, data: dict[str, Any]) -> None:
        props, doc = node.metadata_props, node.doc_string
        noted = dict(properties(props)) if props else {}
        scope = origin.noted_scope(noted) if noted else None
        if scope is None:
            above = name.rpartition("/")[0]
            scope = self._model.scopes.get(above)
            if scope is None:
                scope = self._model.scopes[above] = origin.scope_of_name(above)
        if scope:
            data["scope"] = scope
        if not props and not doc:
            return
        stack = noted.get(origin.STACK)
        loc = None
        if stack:
            loc = self._model.stacks.loc(stack, innermost_last=True)
        elif doc:
            loc = self._model.stacks.loc(doc, innermost_last=False)
            if loc is None:
                noted["doc_string"] = doc
        if loc is not None:
            data["loc"] = loc
        kept = {key: text for key, text in noted.items() if key not in origin.READ}
        if kept:
            data["meta"] = FrozenDict(kept)

    # -- the end

    def _finish(self) -> None:
        output = self._ids.take("output")
        for slot, name in enumerate(self.results):
            src, port = self.source(name, output)
            self._edges.append((src, output, port, slot))
        for found in self._quantized:
            self._retype(found.value, found.applied)
        for value, text in self._sharded.items():
            self._retype(value, partial(sharded, text=text))
        self._roles()
        graph = self._model.graphs.setdefault(self.name, Graph(name=self.name))
        graph.fill([*self._heads, *self._nodes, (output, {"kind": "output", "synthetic": True})], self._edges)

    def _retype(self, value: str, change: Callable[[ValueType], ValueType]) -> None:
        if value in self._sources:
            id, port = self._sources[value]
            outputs = self._made[id]["outputs"]
            new = self._types[value] = change(outputs[port])
            self._made[id]["outputs"] = (*outputs[:port], new, *outputs[port + 1 :])

    def _roles(self) -> None:
        """Running statistics are buffers; a quantized initializer is a parameter whatever its element type."""
        statistics: dict[str, bool] = {}
        for src, dst, _, slot in self._edges if self._normalizes else ():
            if self._made.get(src, EMPTY).get("kind") == "parameter":
                is_one = self._made.get(dst, EMPTY).get("op") == "onnx.BatchNormalization" and slot in (3, 4)
                statistics[src] = statistics.get(src, True) and is_one
        for id, is_one in statistics.items():
            if is_one and "attrs" not in self._made[id]:
                self._made[id]["attrs"] = frozen(role="buffer")
        for found in self._quantized:
            data = self._made.get(self._sources.get(found.value, ("", 0))[0])
            if data is not None and data["kind"] == "constant" and data.get("synthetic"):
                data["kind"] = "parameter"

    def signature_types(self, values: Iterable[str]) -> list[ValueType]:
        """The types of results as they are at the end."""
        found = []
        for value in values:
            id, port = self._sources[value]
            found.append(self._made[id]["outputs"][port])
        return found

    def _described(self, value: Any) -> FrozenDict[str, Any]:
        told = dict(properties(value.metadata_props)) if value.metadata_props else {}
        if value.doc_string:
            told["doc_string"] = value.doc_string
        if value.type.denotation:
            told["denotation"] = value.type.denotation
        return FrozenDict(told) if told else EMPTY

    def _wrong(self, found: str) -> FormatError:
        return FormatError(f"read {self._model.file_name}", found=found, do="check that the file is whole", where=f"graph '{self.name}'")


_CONSTANT_FIELDS: Mapping[str, Literal["value", "float32", "int64", "string", "sparse"]] = {
    "value": "value", "value_float": "float32", "value_floats": "float32", "value_int": "int64", "value_ints": "int64",
    "value_string": "string", "value_strings": "string",
}  # fmt: skip


def _constant(key: str, held: Any) -> Constant | None:
    """The value of a Constant node by the attribute that holds it."""
    if isinstance(held, Constant):
        return held
    kind = _CONSTANT_FIELDS[key]
    if kind == "value" or isinstance(held, FrozenDict):
        return None
    type = TensorType(kind, (len(held),) if isinstance(held, tuple) else ())
    if kind == "string":
        text = repr(list(held) if isinstance(held, tuple) else held).encode()
        return Constant(type, text, nbytes=len(text))
    import numpy as np

    return Constant(type, np.array(held, "<f4" if kind == "float32" else "<i8").tobytes())


def _call(function: Function, inputs: list[str], given: list[str]) -> Call:
    operands = tuple(slot if slot < len(inputs) else None for slot in range(function.inputs))
    results = tuple(port if port < len(given) and given[port] else None for port in range(function.outputs))
    return Call(function.graph, operands, results)


def _is_small_constant(type: ValueType) -> bool:
    """Whether an initializer is a number of the computation, not one that was learnt: an index, a shape, a single number."""
    return isinstance(type, TensorType) and (type.dtype in _INDEX_TYPES or type.elements == 1)
