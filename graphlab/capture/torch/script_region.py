"""What TorchScript's blocks and calls become in the IR: the same from torch's own objects (``jit_graph``) and from lowered code
(``script_program``)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from graphlab.ir.frozen import FrozenDict
from graphlab.ir.graph import Call, Control, Graph
from graphlab.ir.values import OpaqueType, ValueType

V = TypeVar("V")
CONTROL: Mapping[str, Control] = {
    "prim::If": Control("conditional", predicate=0),
    "prim::Loop": Control("loop", predicate=1, condition=("body", 0), trip_slot=0),
}
ROLES: Mapping[str, tuple[str, ...]] = {"prim::If": ("then", "else"), "prim::Loop": ("body",)}
"""What the blocks of branches and loops are called."""


@dataclass(frozen=True, slots=True)
class Callee:
    """A method or function that has a graph of its own. ``inputs`` and ``outputs`` are counts."""

    name: str
    inputs: int
    outputs: int

    def called(self, operands: int) -> FrozenDict[str, Call]:
        """A call of it by a node of so many operands."""
        given = min(operands, self.inputs)
        slots: tuple[int | None, ...] = (*range(given), *(None for _ in range(self.inputs - given)))
        return FrozenDict(call=Call(self.name, slots, tuple(range(self.outputs))))


@dataclass(slots=True)
class Region(ABC, Generic[V]):
    """One graph of the IR being filled.

    ``places`` are nodes and ports by the value's key; ``captures`` values from outside, in the order they were first used.
    """

    graph: Graph
    places: dict[Hashable, tuple[str, int]] = field(default_factory=dict)
    captures: list[V] = field(default_factory=list)
    own_inputs: int = 0
    inputs: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    nodes: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    edges: list[tuple[str, str, int, int]] = field(default_factory=list)
    control: list[tuple[str, str]] = field(default_factory=list)

    @abstractmethod
    def key(self, value: V) -> Hashable:
        """What tells a value from all others of its function."""

    @abstractmethod
    def input_id(self, value: V) -> str:
        """An id for an input."""

    @abstractmethod
    def module(self, value: V) -> tuple[str, dict[str, Any]] | None:
        """A node for a value that is a known module; ``None`` for any other value."""

    def add_input(self, value: V, type: ValueType, name: str | None) -> None:
        id = self.input_id(value)
        data: dict[str, Any] = {"kind": "input", "index": len(self.inputs), "outputs": (type,), "synthetic": True}
        if name and name != id:
            data["name"] = name
        self.inputs.append((id, data))
        self.places[self.key(value)] = (id, 0)

    @abstractmethod
    def capture(self, value: V) -> None:
        """Make an input for a value from outside."""

    def find(self, value: V) -> tuple[str, int]:
        """The node and port of a value; one from outside becomes an input."""
        key = self.key(value)
        place = self.places.get(key)
        if place is not None:
            return place
        module = self.module(value)
        if module is not None:  # a module passed as a value: known here, so it need not come in
            id, data = module
            self.nodes.append((id, {**data, "op": "module", "synthetic": True}))
            self.places[key] = (id, 0)
        else:
            self.capture(value)
            self.captures.append(value)
        return self.places[key]

    def follow(self, value: V, id: str) -> None:
        """Keep a node behind the one that makes a value it uses without having it for an operand."""
        place = self.places.get(self.key(value))
        if place is not None:
            self.control.append((place[0], id))

    def add(self, id: str, data: dict[str, Any], operands: Iterable[V], results: Iterable[V]) -> None:
        """Add a node with its edges."""
        for slot, value in enumerate(operands):
            src, port = self.find(value)
            self.edges.append((src, id, port, slot))
        for port, value in enumerate(results):
            self.places[self.key(value)] = (id, port)
        self.nodes.append((id, data))

    def finish(self, id: str, results: Iterable[V]) -> None:
        """Add the output node, and fill the graph."""
        self.add(id, {"kind": "output", "synthetic": True}, results, ())
        self.graph.fill(self.inputs + self.nodes, self.edges, self.control)


def block_call(kind: str, inner: Region[Any], captured: tuple[int, ...], outputs: int) -> Call:
    """The call of a node's block that has so many outputs.

    Args:
        kind: of the node; a block of a kind that is neither branch nor loop gets and gives what is not known.
        captured: slots of what the block uses from outside.
    """
    if kind == "prim::Loop":  # (index, carried…) -> (condition, carried…)
        own = (None, *range(2, inner.own_inputs + 1))
        return Call(inner.graph.name, own + captured, (None, *range(outputs - 1)), tuple((i, i) for i in range(1, outputs)))
    results: tuple[int | None, ...] = tuple(range(outputs)) if kind == "prim::If" else (None,) * outputs
    return Call(inner.graph.name, (None,) * inner.own_inputs + captured, results)


def member(path: str, name: str) -> str:
    """A module's member by its path in the model."""
    return f"{path}.{name}" if path else name


def module_node(path: str, type_name: str) -> dict[str, Any]:
    """A module as a value."""
    return {"kind": "constant", "outputs": (OpaqueType(type_name),), "name": path or "self"}
