"""TorchScript's graph as code is lowered into it: values, nodes, blocks.

A value that is replaced points to what replaces it, so that no lists of uses have to be kept.
Constants are not in any block: a graph has one of each, as torch's constant pooling leaves it.
"""

from __future__ import annotations

from typing import Any

from graphlab.capture.torch.schemas import Schema
from graphlab.capture.torch.script_types import BOOL, FLOAT, INT, NONE, STR, Type, tuple_of


class Value:
    """What a node or block makes. ``name`` is the variable's in the code."""

    __slots__ = ("forward", "name", "node", "type")

    def __init__(self, type: Type, node: Node | None, name: str = "") -> None:
        self.type = type
        self.node = node
        self.name = name
        self.forward: Value | None = None


def real(value: Value) -> Value:
    """The value itself, or what replaced it in the end."""
    while value.forward is not None:
        value = value.forward
    return value


class Node:
    """One operation. ``at`` is the byte offset of its text in the code; ``attrs`` are torch's node attributes."""

    __slots__ = ("at", "attrs", "blocks", "data", "inputs", "kind", "outputs", "schema", "subgraph")

    def __init__(self, kind: str, inputs: list[Value], at: int, schema: Schema | None = None) -> None:
        self.kind = kind
        self.inputs = inputs
        self.outputs: list[Value] = []
        self.blocks: list[Block] = []
        self.at = at
        self.schema = schema
        self.attrs: dict[str, Any] = {}
        self.subgraph: ScriptGraph | None = None
        self.data: dict[str, Any] | None = None  # what all nodes of the IR that are made of it share

    def output(self, type: Type, name: str = "") -> Value:
        """Add an output."""
        made = Value(type, self, name)
        self.outputs.append(made)
        return made


class Block:
    """Nodes in order, with what comes in and what goes out."""

    __slots__ = ("inputs", "nodes", "outputs")

    def __init__(self) -> None:
        self.inputs: list[Value] = []
        self.nodes: list[Node] = []
        self.outputs: list[Value] = []

    def input(self, type: Type, name: str = "") -> Value:
        made = Value(type, None, name)
        self.inputs.append(made)
        return made


class Tensor:
    """A tensor constant: ``CONSTANTS.c3``, by what holds it."""

    __slots__ = ("held", "key")

    def __init__(self, key: str, held: Any) -> None:
        self.key = key
        self.held = held


class ScriptGraph:
    """A function's body."""

    __slots__ = ("block", "constants", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.block = Block()
        self.constants: dict[Any, Node] = {}

    def constant(self, value: Any, at: int, type: Type | None = None) -> Value:
        """The graph's constant of that value and type."""
        if type is None:
            type = constant_type(value)
        key = (type, _key(value))
        node = self.constants.get(key)
        if node is None:
            node = self.constants[key] = Node("prim::Constant", [], at)
            node.attrs["value"] = value
            node.output(type)
        return node.outputs[0]


def _key(value: Any) -> Any:
    """Hashes alike what torch holds for one constant: ``0.0`` and ``-0.0`` are two, and so are 1 and True."""
    if isinstance(value, tuple):
        return tuple(map(_key, value))
    if isinstance(value, (float, complex)):
        return (value.__class__, repr(value))
    if isinstance(value, Tensor):
        return ("tensor", value.key)
    return (value.__class__, value)


def constant_type(value: Any) -> Type:
    """The type of a Python number, text, None, or tuple of those."""
    if value is None:
        return NONE
    if isinstance(value, tuple):
        return tuple_of(tuple(map(constant_type, value)))
    return _CONSTANTS[type(value)]


_CONSTANTS: dict[type, Type] = {bool: BOOL, int: INT, float: FLOAT, str: STR, complex: Type("complex")}


def is_constant(value: Value) -> bool:
    return value.node is not None and value.node.kind == "prim::Constant"


def constant_of(value: Value) -> Any:
    """A constant's Python value; only where :func:`is_constant`."""
    assert value.node is not None
    return value.node.attrs["value"]
