"""A ModelProto as a Program."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from graphlab.capture.file import File
from graphlab.capture.missing import missing_data
from graphlab.capture.onnx import origin
from graphlab.capture.onnx.attributes import Attributes, properties
from graphlab.capture.onnx.region import Function, Key, Model, Region
from graphlab.capture.onnx.tensors import Tensors
from graphlab.capture.onnx.types import Types
from graphlab.capture.onnx.versions import Opsets, imported, plain_domain
from graphlab.capture.proto import Parsed, Schema
from graphlab.capture.unique import Names
from graphlab.errors import FormatError
from graphlab.ir.constants import digest
from graphlab.ir.frames import FrameTable
from graphlab.ir.frozen import FrozenDict, frozen
from graphlab.ir.graph import Graph
from graphlab.ir.program import Program, Signature, Slot, Source

DIGEST_BYTES = 64 << 20


def program(parsed: Parsed, file: File, plain: Schema, *, packed: bool, format: str = "onnx") -> Program:
    """The Program of a model.

    Args:
        parsed: the ModelProto.
        plain: the schema of ONNX's messages.
        packed: see :class:`Tensors`.
        format: what it was read as.

    Raises:
        FormatError: it has no graph, or a graph in it is not sound.
    """
    model = parsed.message
    if not model.HasField("graph"):
        raise FormatError(f"read {file.name}", found="the model has no graph", do="check that the file is whole", where="the end")
    frames = FrameTable()
    types = Types()
    tensors = Tensors(parsed, file, plain, packed=packed)
    names = Names()
    main = names.take(model.graph.name or "main")
    functions = _functions(model.functions, names, file)
    attributes, stacks = Attributes(tensors, types, file.name), origin.Stacks(frames)
    shared = Model(file.name, tensors, types, attributes, stacks, _opsets_of(model), functions, bool(model.configuration), names)
    region = Region(shared, main)
    shared.graphs[main] = Graph(name=main)
    region.read_graph(model.graph, defaults=True)
    for function in model.functions:
        name = functions[_key(function)].graph
        shared.graphs[name] = Graph(name=name)
        Region(shared, name, opsets=FrozenDict({**shared.opsets, **imported(function.opset_import)})).read_function(function)
    signatures = {main: _signature(region)}
    shared.globals = region
    for i, training in enumerate(model.training_info):
        signatures |= _training(shared, i, training)
    return Program(
        graphs=shared.graphs,
        entry=main,
        source=Source(
            "onnx",
            format,
            producer=" ".join(part for part in (model.producer_name, model.producer_version) if part),
            path=file.name,
            digest=digest(bytes(file.view())) if file.size <= DIGEST_BYTES else None,
            notes=missing_data(tensors.missing),
        ),
        signatures=signatures,
        dims=types.dims,
        frames=frames.done(),
        meta=_meta(model, functions, shared.attributes),
    )


def _opsets_of(model: Any) -> Opsets:
    """The opsets that a model asks for; before IR version 3 there was the first of ONNX's own alone."""
    first = {"": 1} if 0 < model.ir_version < 3 else {}
    return FrozenDict({**first, **imported(model.opset_import)})


def _key(function: Any) -> Key:
    return plain_domain(function.domain), function.name, function.overload


def _functions(functions: Iterable[Any], names: Names, file: File) -> dict[Key, Function]:
    found: dict[Key, Function] = {}
    for function in functions:
        key = _key(function)
        if key in found:
            raise FormatError(
                f"read {file.name}",
                found="it is defined twice",
                do="check that the file is whole",
                where=f"function '{'.'.join(filter(None, key))}'",
            )
        full = ".".join(part for part in key[:2] if part) + (f":{key[2]}" if key[2] else "")
        found[key] = Function(names.take(full or "function"), len(function.input), len(function.output))
    return found


def _signature(region: Region, targets: Mapping[str, str] | None = None) -> Signature:
    names = [name for _, name in region.inputs]
    inputs = tuple(Slot(name, type) for name, type in zip(names, region.signature_types(names), strict=True))
    outputs = []
    for name, type in zip(region.results, region.signature_types(region.results), strict=True):
        target = (targets or {}).get(name)
        outputs.append(Slot(name, type) if target is None else Slot(name, type, "state", target))
    return Signature(region.name, inputs, tuple(outputs))


def _training(shared: Model, number: int, training: Any) -> dict[str, Signature]:
    """The graphs that set up and update the model's initializers: a result bound to one is its new value."""
    found: dict[str, Signature] = {}
    parts = (("initialization", training.initialization_binding), ("algorithm", training.update_binding))
    for part, binding in parts:
        graph = getattr(training, part)
        if not training.HasField(part):
            continue
        name = shared.names.take(f"training_{number}/{part}")
        shared.graphs[name] = Graph(name=name)
        region = Region(shared, name)
        region.read_graph(graph, defaults=True)
        found[name] = _signature(region, {new: target for target, new in properties(binding)})
    return found


def _meta(model: Any, functions: Mapping[Key, Function], attributes: Attributes) -> FrozenDict[str, Any]:
    meta: dict[str, Any] = {"ir_version": model.ir_version, "opset_import": _opsets(model.opset_import)}
    for key in ("domain", "model_version", "doc_string"):
        if getattr(model, key):
            meta[key] = getattr(model, key)
    if model.graph.doc_string:
        meta["graph_doc_string"] = model.graph.doc_string
    noted = {**dict(properties(model.graph.metadata_props)), **dict(properties(model.metadata_props))}
    if noted:
        meta["metadata_props"] = noted
    if model.configuration:
        meta["device_configurations"] = {c.name: {"num_devices": c.num_devices, "devices": tuple(c.device)} for c in model.configuration}
    told = {functions[_key(function)].graph: _function_meta(function, attributes) for function in model.functions}
    if told:
        meta["functions"] = told
    return frozen(meta)


def _function_meta(function: Any, attributes: Attributes) -> dict[str, Any]:
    """What a function says of itself: its attributes with their defaults, the operators it asks for."""
    told: dict[str, Any] = {"opset_import": _opsets(function.opset_import)}
    if function.attribute:
        told["attributes"] = tuple(function.attribute)
    defaults, _ = attributes.decode(function.attribute_proto)
    if defaults:
        told["defaults"] = defaults
    if function.doc_string:
        told["doc_string"] = function.doc_string
    noted = dict(properties(function.metadata_props))
    if noted:
        told["metadata_props"] = noted
    return told


def _opsets(entries: Iterable[Any]) -> dict[str, int]:
    return {plain_domain(entry.domain) or "ai.onnx": entry.version for entry in entries}
