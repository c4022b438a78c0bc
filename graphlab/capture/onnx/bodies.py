"""How an operator uses its graphs: which operands go in, where results end, what goes round, what decides.

Sources: the operators' pages in ONNX's Operators.md (If, Loop, Scan 8 and 9, SequenceMap).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphlab.ir.frozen import FrozenDict
from graphlab.ir.graph import Call, Control
from graphlab.ir.values import SymDim, TensorType, ValueType


@dataclass(frozen=True, slots=True)
class Body:
    """A graph as its caller sees it: its name, how many inputs and outputs it has, what it takes from around it."""

    graph: str
    inputs: int
    outputs: int
    captured: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Site:
    """A node that uses graphs.

    Attributes:
        op: its operator.
        inputs: its operands' names in the model, by slot; empty where none is given.
        types: the operands' types by slot.
        outputs: how many outputs it has.
        attrs: its attributes.
        opset: the version of ONNX's own operators that the model asks for; 0 where it does not say.
    """

    op: str
    inputs: Sequence[str]
    types: Mapping[int, ValueType]
    outputs: int
    attrs: Mapping[str, object]
    opset: int = 0

    def slot(self, number: int) -> int | None:
        return number if number < len(self.inputs) and self.inputs[number] else None

    def port(self, number: int) -> int | None:
        return number if number < self.outputs else None


Parts = tuple[Sequence[int | None], Sequence[int | None], Sequence[tuple[int, int]]]
"""What goes into a graph's own inputs, where its outputs go, what is carried."""


def wire(site: Site, bodies: Mapping[str, Body], slots: Mapping[str, int]) -> tuple[FrozenDict[str, Call], Control | None]:
    """A node's calls and what it decides.

    Args:
        bodies: by role.
        slots: the operand slot of each value that a body takes from around it.
    """
    calls: dict[str, Call] = {}
    for role, body in bodies.items():
        operands, results, carried = _parts(site, body)
        around = [slots[name] for name in body.captured]
        pairs = tuple((out, back) for out, back in carried if out < body.outputs and back < body.inputs)
        calls[role] = Call(body.graph, (*operands, *around), tuple(results), pairs)
    return FrozenDict(calls), _control(site, bodies)


def roles(op: str, graphs: Sequence[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """The graphs in a node's attributes by what they are to it: the attribute's own name where nobody knows more."""
    if op != "onnx.If":
        return list(graphs)
    named = [({"then_branch": "then", "else_branch": "else"}.get(name, name), graph) for name, graph in graphs]
    return sorted(named, key=lambda pair: pair[0] != "then")


def _parts(site: Site, body: Body) -> Parts:
    if site.op == "onnx.If":
        return [None] * body.inputs, [site.port(i) for i in range(body.outputs)], ()
    if site.op == "onnx.Loop":
        # The body takes the iteration's number, the condition, the carried values; it gives condition, carried values, scan outputs.
        operands = [None, site.slot(1), *(site.slot(i) for i in range(2, body.inputs))][: body.inputs]
        results = [None, *(site.port(i) for i in range(body.outputs - 1))][: body.outputs]
        return operands, results, [(0, 1), *((i - 1, i) for i in range(2, body.inputs))]
    if site.op == "onnx.Scan":
        states = max(0, body.inputs - _scanned(site, body))
        first = _batched(site)
        operands = [site.slot(first + i) if i < states else None for i in range(body.inputs)]
        return operands, [site.port(i) for i in range(body.outputs)], [(i, i) for i in range(states)]
    if site.op == "onnx.SequenceMap":
        # An element of each sequence; a tensor goes in as it is.
        operands = [site.slot(i) if isinstance(site.types.get(i), TensorType) else None for i in range(body.inputs)]
        return operands, [site.port(i) for i in range(body.outputs)], ()
    return [None] * body.inputs, [None] * body.outputs, ()


def _control(site: Site, bodies: Mapping[str, Body]) -> Control | None:
    if site.op == "onnx.If":
        return Control("conditional", predicate=site.slot(0))
    body = bodies.get("body")
    if body is None:
        return None
    if site.op == "onnx.Loop":
        condition = ("body", 0) if body.outputs else None
        return Control("loop", predicate=site.slot(1), condition=condition, trip_slot=site.slot(0))
    if site.op == "onnx.Scan":
        return Control("loop", trip_count=_scan_length(site, body))
    if site.op == "onnx.SequenceMap":
        return Control("loop", trip_count=f"length of {site.inputs[0]}" if site.inputs else None)
    return None


def _batched(site: Site) -> int:
    """1 for opset 8's Scan: it has a first operand of its own, the sequences' lengths, and a first dim, the batch."""
    return int(site.opset == 8)


def _scanned(site: Site, body: Body) -> int:
    count = site.attrs.get("num_scan_inputs")
    return min(count, body.inputs) if isinstance(count, int) and count > 0 else 0


def _scan_length(site: Site, body: Body) -> int | str | None:
    """The size of the dim that is scanned, by the first operand that says it."""
    scanned = _scanned(site, body)
    first = _batched(site) + body.inputs - scanned
    given = site.attrs.get("scan_input_axes")
    axes = given if isinstance(given, tuple) and len(given) == scanned else (_batched(site),) * scanned
    for i, axis in enumerate(axes):
        type = site.types.get(first + i)
        if isinstance(type, TensorType) and type.dims is not None and isinstance(axis, int) and -len(type.dims) <= axis < len(type.dims):
            dim = type.dims[axis]
            if dim is not None:
                return dim.expr if isinstance(dim, SymDim) else dim
    return None
