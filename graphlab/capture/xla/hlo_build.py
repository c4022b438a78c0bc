"""HLO instructions to graph nodes, whatever form they were read from: each a node, the root the operand of a synthetic output node."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from graphlab.capture.xla.hlo_attributes import Attributes
from graphlab.capture.xla.hlo_infer import canonical_of, effects_of
from graphlab.capture.xla.hlo_lexer import Faults
from graphlab.capture.xla.hlo_metadata import Origin
from graphlab.capture.xla.hlo_shapes import with_sharding
from graphlab.ir.constants import Constant
from graphlab.ir.frozen import EMPTY, FrozenDict
from graphlab.ir.graph import Graph
from graphlab.ir.ops import lookup
from graphlab.ir.values import TensorType, ValueType

NOWHERE: Origin = (None, "", EMPTY)


@dataclass(slots=True)
class Caller:
    """An instruction that names computations, whose calls are worked out when all of them are read."""

    id: str
    opcode: str
    data: dict[str, Any]
    operands: list[str]
    called: tuple[tuple[str, tuple[str, ...]], ...]
    pos: int


@dataclass(slots=True)
class Computation:
    """A computation that has been read. ``key`` is its graph's name in the Program, ``scalars`` its scalar constants' text."""

    name: str
    key: str
    graph: Graph
    root: str
    parameters: list[str]
    callers: list[Caller]
    scalars: dict[str, str]
    pos: int
    is_entry: bool = False
    thread: str | None = None


@dataclass(slots=True)
class Body:
    """What has been read of the computation at hand. ``ids`` maps names to the one string kept of each."""

    nodes: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    edges: list[tuple[str, str, int, int]] = field(default_factory=list)
    control: list[tuple[str, str]] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)
    types: dict[str, ValueType] = field(default_factory=dict)
    callers: list[Caller] = field(default_factory=list)
    parameters: dict[int, str] = field(default_factory=dict)
    scalars: dict[str, str] = field(default_factory=dict)
    root: str | None = None


class Builder:
    """Makes the graphs of a module's computations, one after the other."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.body = Body()
        self._sharded: dict[tuple[ValueType, str], tuple[ValueType]] = {}
        self._ops: dict[str, tuple[str, str | None, tuple[str, ...]]] = {}

    def start(self) -> Body:
        """Begin a computation."""
        self.body = Body()
        return self.body

    def add(
        self, name: str, pos: int, opcode: str, operands: list[str], *,
        outputs: tuple[ValueType, ...], attributes: Attributes, origin: Origin = NOWHERE,
        index: int = 0, value: Constant | None = None, scalar: str | None = None,
    ) -> None:  # fmt: skip
        """Add an instruction.

        Args:
            pos: its place, for errors.
            operands: ids of instructions added before it.
            index: a parameter's number.
            value: a constant's value.
            scalar: a scalar constant's text, where its type is one.

        Raises:
            FormatError: a parameter's number is taken, or a control predecessor is not above it.
        """
        body = self.body
        if attributes.sharding is not None:
            key = (outputs[0], attributes.sharding)
            sharded = self._sharded.get(key)
            if sharded is None:
                sharded = self._sharded[key] = (with_sharding(outputs[0], attributes.sharding),)
            outputs = sharded
        data: dict[str, Any]
        if opcode == "parameter":
            if index in body.parameters:
                raise self.faults.wrong(f"a second parameter({index}) in one computation", pos)
            body.parameters[index] = name
            data = {"kind": "input", "index": index, "outputs": outputs}
        elif opcode == "constant":
            data = {"kind": "constant", "outputs": outputs, "value": value}
            if scalar is not None:
                body.scalars[name] = scalar
        else:
            op, canonical, effects = self._ops.get(opcode) or self._op(opcode)
            data = {"kind": "op", "op": op, "outputs": outputs}
            canonical = canonical or canonical_of(opcode, attributes.values, [body.types[id] for id in operands])
            if canonical is not None:
                data["canonical"] = canonical
            if effects and (effects := effects_of(opcode, effects, attributes.values)):
                data["effects"] = effects
        if attributes.values:
            data["attrs"] = attributes.values
        loc, scope, meta = origin
        if loc is not None:
            data["loc"] = loc
        if scope:
            data["scope"] = scope
        if attributes.debug:
            meta = FrozenDict({**meta, **attributes.debug}) if meta else attributes.debug
        if meta:
            data["meta"] = meta
        body.ids[name] = name
        body.types[name] = outputs[0]
        body.nodes.append((name, data))
        for slot, operand in enumerate(operands):
            body.edges.append((operand, name, 0, slot))
        for before in attributes.after:
            if before not in body.ids:
                raise self.faults.wrong(f"the control predecessor '{before}', which is not above it in this computation", pos)
            body.control.append((body.ids[before], name))
        if attributes.called:
            body.callers.append(Caller(name, opcode, data, operands, attributes.called, pos))

    def _op(self, opcode: str) -> tuple[str, str | None, tuple[str, ...]]:
        op = f"hlo.{opcode}"
        info = lookup(op)
        known = self._ops[opcode] = (op, info.canonical, info.effects)
        return known

    def finish(self, name: str, key: str, pos: int) -> Computation:
        """The computation begun last. Raises FormatError where it is empty or its parameters are not numbered from 0."""
        body = self.body
        if not body.nodes:
            raise self.faults.wrong(f"the computation '{name}', which has no instruction", pos)
        count = len(body.parameters)
        for index in range(count):
            if index not in body.parameters:
                raise self.faults.wrong(f"the computation '{name}' with {count} parameters and no parameter({index})", pos)
        root = body.root or body.nodes[-1][0]  # XLA takes the last one where none is marked
        output = "ROOT"
        while output in body.ids:
            output += "_"
        body.nodes.append((output, {"kind": "output", "synthetic": True}))
        body.edges.append((root, output, 0, 0))
        graph = Graph(name=key)
        graph.fill(body.nodes, body.edges, body.control)
        return Computation(name, key, graph, root, [body.parameters[i] for i in range(count)], body.callers, body.scalars, pos)


def is_scalar(type: ValueType) -> bool:
    """Whether it is an array without dimensions."""
    return isinstance(type, TensorType) and type.dims == ()
