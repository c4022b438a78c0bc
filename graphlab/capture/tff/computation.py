"""A Computation as a Program: which of its functions can be entered, and what they take and give."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence
from typing import Any

from graphlab.capture.file import File
from graphlab.capture.proto import Parsed
from graphlab.capture.select import chosen
from graphlab.capture.tff.leaves import Leaves
from graphlab.capture.tff.region import Datum, Function, Intrinsic, Region, Scope, Shared, Struct, eta
from graphlab.capture.tff.types import element_names
from graphlab.ir.constants import digest
from graphlab.ir.program import Program, Signature, Slot, Source

_DIGEST_BYTES = 64 << 20


def program(parsed: Parsed, file: File, *, select: str | None) -> Program:
    """The Program of a parsed Computation.

    Raises:
        FormatError: it is not sound.
        SelectError: it has no such function.
    """
    leaves = Leaves(parsed, file)
    shared = leaves.shared
    signatures = _signatures(shared, parsed.message)
    names = tuple(signatures)
    entry = names[0] if select is None else names[chosen(names, select, file=file, what="functions")]
    return Program(
        graphs=shared.graphs,
        entry=signatures[entry].graph,
        source=Source(
            "tensorflow_federated",
            "tff computation",
            path=file.name,
            digest=digest(file.read()) if file.size <= _DIGEST_BYTES else None,
        ),
        signatures=signatures,
        frames=tuple(leaves.frames),
    )


def _signatures(shared: Shared, top: Any) -> Mapping[str, Signature]:
    """A computation's own signature, or one for each function of a struct of them."""
    region = Region(shared, shared.names.take("main"), None)
    if top.WhichOneof("computation") == "lambda":
        return {"main": _lambda(region, top, shared)}
    value = region.evaluate(top, ChainMap())
    parts = _functions(value)
    functions = {name: eta(shared, part, None) if isinstance(part, Intrinsic) else part for name, part in parts.items()}
    if not functions or any(function.captured for function in functions.values()):
        results, names = _results(region, value, top.type)
        region.finish(results)
        return {"main": _signature(shared, region.name, names)}
    if region.empty:
        del shared.graphs[region.name]
    else:
        region.finish([])
    return {name: _of_function(shared, function) for name, function in functions.items()}


def _functions(value: Any) -> dict[str, Function | Intrinsic]:
    """The functions that a value is, by name; none where it is, or holds, anything else."""
    if isinstance(value, (Function, Intrinsic)):
        return {"main": value}
    if not isinstance(value, Struct):
        return {}
    named = dict(zip(element_names(value.type), value.elements, strict=True))
    found = {name: part for name, part in named.items() if isinstance(part, (Function, Intrinsic))}
    return found if len(found) == len(value.elements) else {}


def _lambda(region: Region, top: Any, shared: Shared) -> Signature:
    """The graph of the whole computation: an input for each element of its parameter, a result for each of its result."""
    scope: Scope = ChainMap()
    function = top.type.function
    body = getattr(top, "lambda")
    if function.HasField("parameter"):
        name, type = body.parameter_name, function.parameter
        if type.WhichOneof("type") == "struct" and type.struct.element:
            parts = zip(element_names(type), type.struct.element, strict=True)
            scope[name] = Struct(tuple(region.take(part, element.value) for part, element in parts), type)
        else:
            scope[name] = region.take(name, type)
    results, names = _results(region, region.evaluate(body.result, scope), function.result)
    region.finish(results)
    return _signature(shared, region.name, names)


def _results(region: Region, value: Any, type: Any) -> tuple[list[Datum], Sequence[str]]:
    if isinstance(value, Struct) and value.elements:
        return [region.one(element) for element in value.elements], element_names(value.type)
    return [region.one(value)], ("result",)


def _of_function(shared: Shared, function: Function) -> Signature:
    result = function.type.function.result
    names = element_names(result) if result.WhichOneof("type") == "struct" else ()
    return _signature(shared, function.graph, names if len(names) == function.outputs else (), made=function.made)


def _signature(shared: Shared, name: str, results: Sequence[str], *, made: int = 0) -> Signature:
    """A graph's signature. ``made``: how many of its last inputs the runtime feeds."""
    graph = shared.graphs[name]
    inputs = [graph.node(id) for id in graph.inputs]
    slots = [Slot(node.name, node.outputs[0], "user" if i < len(inputs) - made else "token") for i, node in enumerate(inputs)]
    uses = graph.operands(graph.output)
    named = results if len(results) == len(uses) else [f"result_{i}" if len(uses) > 1 else "result" for i in range(len(uses))]
    outputs = [Slot(text, graph.node(use.src).outputs[use.src_port]) for text, use in zip(named, uses, strict=True)]
    return Signature(name, tuple(slots), tuple(outputs))
