"""A model's config and weights as IR graphs: a node for every call of a layer, a graph for every model within a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any, NoReturn

import networkx as nx

from graphlab.capture.file import File
from graphlab.capture.keras.config import Layer, LayerCall, Model, Ref, shape_dims
from graphlab.capture.keras.shapes import Dims, results
from graphlab.capture.keras.weights import Store, Weight
from graphlab.capture.unique import Names
from graphlab.errors import FormatError
from graphlab.ir.frozen import EMPTY, FrozenDict
from graphlab.ir.graph import Call, Graph
from graphlab.ir.ops import lookup
from graphlab.ir.program import Signature, Slot
from graphlab.ir.values import OpaqueType, TensorType, ValueType
from graphlab.ir.vocabulary.keras import ACTIVATIONS

MAX_EDGES = 4_000_000
_UNKNOWN = OpaqueType("KerasTensor")
_MOST_RESULTS = 1024
_MERGES = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")
_MOVES = (
    "Flatten", "Reshape", "Permute", "RepeatVector", "Concatenate", "Dropout", "Masking", "Identity",
    *(f"{kind}{n}D" for kind in ("ZeroPadding", "Cropping", "UpSampling", "MaxPooling", "GlobalMaxPooling", "SpatialDropout")
      for n in (1, 2, 3)),
)  # fmt: skip
"""Layers that compute nothing: integers stay integers whatever the layer's own dtype."""
_OTHER_DTYPES = (
    "Lambda", "TFOpLambda", "TensorFlowOpLayer", "SlicingOpLambda", "Discretization", "CategoryEncoding", "Hashing", "HashedCrossing",
    "IntegerLookup", "StringLookup", "TextVectorization",
)  # fmt: skip
"""Layers whose dtype is not that of their result."""


class Builder:
    """Builds the graphs of one file's model."""

    def __init__(self, file: File) -> None:
        self.graphs: dict[str, Graph] = {}
        self._file = file
        self._names = Names()
        self._edges = 0

    def build(self, model: Model, store: Store, scope: str = "") -> tuple[str, Signature]:
        """Add the model's graph, and those of the models in it; its name and signature.

        Raises:
            FormatError: a call takes a result that no layer makes, or calls go in too many ways.
        """
        name = self._names.take(model.name)
        self.graphs[name] = Graph(name=name)  # before those it calls
        region = _Region(self, model, store, scope, name)
        self.graphs[name] = region.graph()
        return name, region.signature

    def spend(self, edges: int) -> None:
        self._edges += edges
        if self._edges > MAX_EDGES:
            self.fail(f"its layers and weights meet in more than {MAX_EDGES:,} ways", "config")

    def fail(self, found: str, where: str) -> NoReturn:
        raise FormatError(
            f"read {self._file.name}", found=f"its model's config is damaged: {found}", do="save the model again", where=where
        )


class _Region:
    def __init__(self, builder: Builder, model: Model, store: Store, scope: str, name: str) -> None:
        self._builder = builder
        self._model = _linked(model)
        self._models = {layer.name: layer.model for layer in model.layers if layer.model is not None}
        self._store = store
        self._scope = scope
        self._prefix = f"{scope}/" if scope else ""
        self._ids = Names()
        self._graph = Graph(name=name)
        self._calls: dict[tuple[str, int], str] = {}  # layer, call → node
        self._nested: dict[str, tuple[str, Signature]] = {}
        self._types: dict[Ref, ValueType] = {}  # what the config says of them, dims and dtype left out of the key
        self.signature = Signature(name)

    def graph(self) -> Graph:
        model = self._model
        for layer in model.layers:
            self._nest(layer)
        for layer in model.layers:
            for call in layer.calls:
                for ref in call.operands:
                    if ref.dtype:
                        self._types[Ref(ref.layer, ref.call, ref.port)] = TensorType(ref.dtype, ref.dims)
        inputs = {ref.layer: position for position, (_, ref) in enumerate(model.inputs)}
        for layer in model.layers:
            self._layer(layer, inputs)
        if model.opaque:
            self._opaque()
        self._connect()
        self._infer()
        return self._graph

    def _nest(self, layer: Layer) -> None:
        if layer.model is not None:
            store = self._store.nested.get(layer.name, Store())
            self._nested[layer.name] = self._builder.build(layer.model, store, f"{self._prefix}{layer.name}")

    def _layer(self, layer: Layer, inputs: Mapping[str, int]) -> None:
        """The nodes of all calls of a layer; one without operands for a layer that nobody calls."""
        if layer.name in inputs:
            id = self._ids.take(layer.name)
            data = self._attributes(layer, LayerCall(()), id)
            if layer.added:
                del data["attrs"]
            own = {"kind": "input", "index": inputs[layer.name], "outputs": (_stated(layer) or _UNKNOWN,), "scope": self._scope}
            self._graph.add(id, **{**data, **own})
            self._calls[layer.name, 0] = id
            return
        for number, call in enumerate(layer.calls or (LayerCall(()),)):
            id = self._ids.take(layer.name)
            self._graph.add(id, **self._attributes(layer, call, id))
            self._calls[layer.name, number] = id

    def _attributes(self, layer: Layer, call: LayerCall, id: str) -> dict[str, Any]:
        op = _op(layer)
        attrs: dict[str, Any] = dict(layer.config)
        if call.arguments:
            attrs["call"] = call.arguments
        info = lookup(op)
        effects = ("opaque",) if layer.custom or (layer.wrapped is not None and layer.wrapped.custom) else info.effects
        if layer.wrapped is not None and layer.wrapped.kind == "Lambda":
            effects = ("opaque",)
        if layer.config.get("stateful") is True:
            effects = tuple(sorted({*effects, "reads_state", "writes_state"}))
        if (
            layer.kind in ("TFOpLambda", "TensorFlowOpLayer")
            and "random" in str(layer.config.get("function", layer.config.get("node_def"))).lower()
        ):
            effects = ("random",)
        data: dict[str, Any] = {
            "kind": "op", "op": op, "attrs": FrozenDict(attrs), "effects": effects, "scope": f"{self._prefix}{layer.name}",
            "canonical": None if layer.custom else _canonical(layer, info.canonical), "synthetic": layer.added,
        }  # fmt: skip
        if id != layer.name:
            data["name"] = layer.name
        nested = self._nested.get(layer.name)
        if nested is not None:
            graph, signature = nested
            given = tuple(i if i < len(call.operands) else None for i in range(len(signature.inputs)))
            data["calls"] = FrozenDict({"call": Call(graph, given, tuple(range(len(signature.outputs))))})
            data["outputs"] = tuple(slot.type for slot in signature.outputs)
            inner = {effect for node in self._builder.graphs[graph].each_node() for effect in node.effects}
            data["effects"] = tuple(sorted({*effects, *inner}))
        return data

    def _opaque(self) -> None:
        """A model whose class says what it does, not its config: one node that nobody can look into."""
        model = self._model
        id = self._ids.take(model.name)
        self._graph.add(
            id, kind="op", op=f"keras.{model.kind}", attrs=model.config, effects=("opaque",), outputs=(_UNKNOWN,), synthetic=True,
            scope=f"{self._prefix}{model.name}",
        )  # fmt: skip
        self._calls[model.name, 0] = id
        source = self._ids.take("inputs")
        type = _UNKNOWN if model.input_dims is None else TensorType("float32", model.input_dims)
        self._graph.add(
            source,
            kind="input",
            index=0,
            outputs=(OpaqueType(f"KerasTensor{_shown(model.input_dims)}") if type else _UNKNOWN,),
            synthetic=True,
        )
        self._graph.connect(source, id)
        self._weights(id, 1, self._store.rest, model.name)
        self._store.rest = []

    def _connect(self) -> None:
        model, graph = self._model, self._graph
        ports: dict[str, int] = {}

        def source(ref: Ref, user: str, *, end: bool = False) -> tuple[str, int]:
            layer = self._call_of(ref, end=end)
            if layer is None or ref.port >= _MOST_RESULTS:
                self._builder.fail(f"'{user}' takes result {ref.port} of call {ref.call} of '{ref.layer}', which is not there", user)
            ports[layer] = max(ports.get(layer, 0), ref.port)
            return layer, ref.port

        uses: list[tuple[str, int, str, int]] = []
        for layer in model.layers:
            weights = self._store.own.get(layer.name, [])
            for number, call in enumerate(layer.calls or (LayerCall(()),)):
                id = self._calls.get((layer.name, number))
                if id is None or graph.nodes[id]["kind"] == "input":
                    continue
                self._builder.spend(len(call.operands) + len(weights))
                for slot, ref in enumerate(call.operands):
                    uses.append((*source(ref, layer.name), id, slot))
        output = self._ids.take("output")
        ends = [(name, source(ref, model.name, end=True)) for name, ref in model.outputs] or self._own_ends()
        for id in graph.nodes:
            given = graph.nodes[id].get("outputs", ())
            wanted = max(ports.get(id, 0) + 1, len(given))
            graph.nodes[id]["outputs"] = (*given, *(_UNKNOWN,) * (wanted - len(given)))
        for src, port, dst, slot in uses:
            graph.connect(src, dst, port, slot)
        for layer in model.layers:
            weights = self._store.own.get(layer.name, [])
            made: list[str] = []
            for number, call in enumerate(layer.calls or (LayerCall(()),)):
                id = self._calls.get((layer.name, number))
                if id is None or graph.nodes[id]["kind"] == "input":
                    continue
                made = made or self._parameters(weights, layer.name)
                for k, parameter in enumerate(made):
                    graph.connect(parameter, id, 0, len(call.operands) + k)
        self._parameters(self._store.rest, "")
        graph.add(output, kind="output", synthetic=True)
        for slot, (_, (src, port)) in enumerate(ends):
            graph.connect(src, output, port, slot)
        self._ends = [(name, src, port) for name, (src, port) in ends]

    def _own_ends(self) -> list[tuple[str, tuple[str, int]]]:
        """The result of a model that has no layers: what its only node makes."""
        return [(id, (id, 0)) for id in [self._calls.get((self._model.name, 0))] if id is not None]

    def _call_of(self, ref: Ref, *, end: bool) -> str | None:
        """The node of a call.

        Models that were built when they were made have a call of their own, before those of the model around them. Keras 2
        counts it, in calls and in the model's ends; Keras 3 counts it in the ends alone, and of no Sequential.
        """
        if ref.layer not in self._nested:
            return self._calls.get((ref.layer, ref.call))
        if self._model.modern:
            return self._calls.get((ref.layer, ref.call - (end and not self._is_chain(ref.layer))))
        first = ref.call - self._prebuilt(ref.layer)
        return self._calls.get((ref.layer, first)) or self._calls.get((ref.layer, ref.call))

    def _is_chain(self, name: str) -> bool:
        model = self._models.get(name)
        return model is not None and model.chain

    def _prebuilt(self, name: str) -> bool:
        model = self._models.get(name)
        if model is None or not model.chain:
            return True
        first = model.layers[0] if model.layers else None
        return first is not None and _stated(first) is not None

    def _weights(self, id: str, slot: int, weights: list[Weight], owner: str) -> None:
        self._builder.spend(len(weights))
        for k, parameter in enumerate(self._parameters(weights, owner)):
            self._graph.connect(parameter, id, 0, slot + k)

    def _parameters(self, weights: list[Weight], owner: str) -> list[str]:
        """Parameter nodes, named by their layer's path."""
        made = []
        for weight in weights:
            name = f"{self._prefix}{owner}/{weight.name}" if owner else f"{self._prefix}{weight.name}"
            id = self._ids.take(name)
            attrs = FrozenDict({"role": "buffer"}) if weight.buffer else EMPTY
            own: dict[str, Any] = {} if name == id else {"name": name}
            if owner:
                own["scope"] = f"{self._prefix}{owner}"
            if weight.stored:
                own["meta"] = FrozenDict({"stored": weight.stored})
            self._graph.add(id, kind="parameter", outputs=(weight.value.type,), value=weight.value, attrs=attrs, synthetic=True, **own)
            made.append(id)
        return made

    def _infer(self) -> None:
        """Types of the results, where the config says them or settles them; then the signature."""
        graph, model = self._graph, self._model
        layers = {layer.name: layer for layer in model.layers}
        by_node = {id: (layers[name], number) for (name, number), id in self._calls.items() if name in layers}
        order = list(nx.topological_sort(graph)) if nx.is_directed_acyclic_graph(graph) else []
        for id in order:
            if id not in by_node:
                continue
            layer, number = by_node[id]
            data = graph.nodes[id]
            if data["kind"] == "input":
                continue
            operands = [graph.nodes[use.src]["outputs"][use.src_port] for use in graph.operands(id)]
            taken = operands[: len(layer.calls[number].operands) if layer.calls else 0]
            stored = [t.dtype for t in operands[len(taken) :] if isinstance(t, TensorType)]
            data["outputs"] = tuple(self._result(layer, number, port, type, taken, stored) for port, type in enumerate(data["outputs"]))
        inputs = [(name, self._calls[ref.layer, 0]) for name, ref in model.inputs if (ref.layer, 0) in self._calls]
        if model.opaque:
            inputs = [("inputs", graph.inputs[0])]
        self.signature = Signature(
            graph.name,
            tuple(Slot(name, graph.nodes[id]["outputs"][0]) for name, id in inputs),
            tuple(Slot(name, graph.nodes[src]["outputs"][port]) for name, src, port in self._ends),
        )

    def _result(self, layer: Layer, number: int, port: int, type: ValueType, taken: list[Any], stored: list[str]) -> ValueType:
        if layer.model is not None and type != _UNKNOWN:
            return type
        said = self._types.get(Ref(layer.name, number, port))
        if said is not None:
            return said
        given: list[Dims | None] = [t.dims if isinstance(t, TensorType) else None for t in taken]  # type: ignore[misc]
        if layer.input_dims is not None and len(given) == 1 and given[0] is None:
            given = [layer.input_dims]
        found = results(layer, given) if layer.model is None and not _is_operation(layer) else ()
        dims = found[port] if port < len(found) else None
        dtype = _result_dtype(layer, [t.dtype for t in taken if isinstance(t, TensorType)], stored)
        return TensorType(dtype, dims) if dtype else _UNKNOWN


def _linked(model: Model) -> Model:
    """A Sequential as a Functional: its chain as calls, and an input where its first layer is none."""
    if not model.chain:
        return model
    layers = list(model.layers)
    first = layers[0] if layers else None
    if first is None or first.kind != "InputLayer":
        stated = _stated(first) if first is not None else None
        dims = stated.dims if isinstance(stated, TensorType) else model.input_dims
        dtype = stated.dtype if isinstance(stated, TensorType) else ""
        name = "input" if all(layer.name != "input" for layer in layers) else "sequential_input"
        config = FrozenDict({"batch_shape": dims, "dtype": dtype})
        layers.insert(0, Layer(name, "InputLayer", "", "", config, None, (), added=True))
    chained = [layers[0]]
    for before, layer in pairwise(layers):
        chained.append(replace(layer, calls=(LayerCall((Ref(before.name, 0, 0),)),)))
    last = layers[-1]
    own = int(last.model is not None and not last.model.chain)
    return Model(
        model.name, model.kind, tuple(chained),
        inputs=((layers[0].name, Ref(layers[0].name, 0, 0)),),
        outputs=((last.name, Ref(last.name, own, 0)),), modern=True,
    )  # fmt: skip


def _stated(layer: Layer) -> ValueType | None:
    """The type that a first layer says its input has, under the names of Keras 1 to 3."""
    config = layer.config
    dims = next((config[key] for key in ("batch_shape", "batch_input_shape") if isinstance(config.get(key), tuple)), None)
    if dims is None and isinstance(config.get("input_shape"), tuple):
        dims = (None, *config["input_shape"])
    if layer.model is not None:
        inner = layer.model.layers[0] if layer.model.layers else None
        return _stated(inner) if inner is not None else None
    shape = shape_dims(list(dims)) if dims is not None else None
    if dims is None and layer.kind != "InputLayer":
        return None
    dtype = _dtype(layer) or config.get("input_dtype")
    return TensorType(dtype, shape) if isinstance(dtype, str) and dtype else OpaqueType(f"KerasTensor{_shown(shape)}")


def _dtype(layer: Layer) -> str:
    """The element type a layer computes in, by its dtype or its policy; empty where the config does not say."""
    said = layer.config.get("dtype")
    if isinstance(said, dict):  # a serialized policy
        config = said.get("config")
        said = config.get("name") if isinstance(config, dict) else None
    if not isinstance(said, str):
        return ""
    return {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}.get(said, said if said.isidentifier() and "_" not in said else "")


def _result_dtype(layer: Layer, taken: list[str], stored: list[str]) -> str:
    """The element type of a layer's result: that it computes in, or, where it only moves elements, that of integers it takes."""
    if layer.custom or layer.kind in _OTHER_DTYPES or _is_operation(layer):
        return ""
    if layer.kind in _MOVES and taken and "float" not in taken[0]:
        return taken[0]
    return _dtype(layer) or (stored[0] if stored else "") or (taken[0] if taken else "")


def _op(layer: Layer) -> str:
    if layer.package:
        return f"keras.{layer.package}>{layer.kind}"
    if _is_operation(layer):
        return f"keras.ops.{layer.kind}"
    return f"keras.{layer.kind}"


def _is_operation(layer: Layer) -> bool:
    """Whether it is an operation of ``keras.ops`` and no layer. An .h5 names no module: there a layer that merges takes a list."""
    if layer.module:
        return layer.module.startswith(("keras.src.ops", "keras.ops"))
    listless = any("args" in call.arguments for call in layer.calls)
    return layer.kind in _MERGES and (listless or (layer.kind == "Concatenate" and not layer.config.keys() & {"axis", "concat_axis"}))


def _canonical(layer: Layer, named: str | None) -> str | None:
    """The ONNX operator, where the layer's settings leave it that."""
    config, kind = layer.config, layer.kind
    if _is_operation(layer):
        return named
    activation = config.get("activation")
    if kind == "Activation":
        return ACTIVATIONS.get(activation) if isinstance(activation, str) else None
    if kind == "ReLU":
        plain = config.get("max_value") is None and not config.get("negative_slope") and not config.get("threshold")
        return "Relu" if plain else None
    if kind in ("LSTM", "GRU", "SimpleRNN"):
        return named
    if kind == "Dense" and layer.input_dims is not None and len(layer.input_dims) != 2:
        return None
    return named if activation in (None, "linear") else None


def _shown(dims: tuple[int | None, ...] | None) -> str:
    return "" if dims is None else f"[{','.join('?' if d is None else str(d) for d in dims)}]"
