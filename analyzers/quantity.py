"""Whole numbers of a program, followed to where they come from: a number, or words for what it equals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from graphlab.analyzers.dataflow import Dataflow
from graphlab.errors import GraphlabError
from graphlab.ir.graph import Node
from graphlab.ir.ops import asks_size, forwards, gates
from graphlab.ir.program import NodeRef, Program
from graphlab.ir.values import TensorType, TupleType, ValueType

_DEPTH = 64  # operations, one on another's result, that are computed
_SAME = frozenset({"Identity", "Cast"})
_SAME_ELEMENTS = frozenset({"Squeeze", "Unsqueeze"})
_OF_ONE = frozenset({"Reshape", "ReduceMax", "ReduceMin", "ReduceSum", "ReduceProd"})
"""Of one element, these are that element."""
_ARITHMETIC = frozenset({"Add", "Sub", "Mul", "Max", "Min"})
_PICKS = frozenset({"Gather", "GatherElements", "GatherND", "Slice", "SequenceAt"})


@dataclass(frozen=True, slots=True)
class Value:
    """A value in a graph: ``path`` picks an element out of nested tuples, outermost index first."""

    graph: str
    id: str
    port: int = 0
    path: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Symbol:
    """``max(base + plus, floor)`` of something known only when the program runs.

    Attributes:
        base: what it is: the value, and the dim of it (``""`` where it is the value itself, ``"*"`` for the number of its elements).
        words: the same for a reader.
        floor: ``None`` where there is none.
    """

    base: tuple[Value, int | str]
    words: str
    plus: int = 0
    floor: int | None = None

    def __str__(self) -> str:
        return f"{self.words} {'+' if self.plus > 0 else '-'} {abs(self.plus)}" if self.plus else self.words


Quantity: TypeAlias = int | Symbol


def total(left: Quantity, right: Quantity) -> Quantity | None:
    """Their sum; ``None`` for two symbols."""
    if isinstance(left, int):
        left, right = right, left
    if isinstance(right, Symbol):
        return None
    if isinstance(left, int):
        return left + right
    return replace(left, plus=left.plus + right, floor=None if left.floor is None else left.floor + right)


def difference(left: Quantity, right: Quantity) -> Quantity | None:
    """``left - right``, where that is a number or has the form of a :class:`Symbol`."""
    if isinstance(right, int):
        return total(left, -right)
    alike = isinstance(left, Symbol) and left.base == right.base and left.floor is None and right.floor is None
    return left.plus - right.plus if alike and isinstance(left, Symbol) else None


def _larger(left: Quantity, right: Quantity) -> Quantity | None:
    if isinstance(left, int):
        left, right = right, left
    if isinstance(right, Symbol):
        return None
    if isinstance(left, int):
        return max(left, right)
    return replace(left, floor=right if left.floor is None else max(left.floor, right))


class Quantities:
    """Follows values of one program."""

    def __init__(self, program: Program, flow: Dataflow) -> None:
        self._program = program
        self._flow = flow
        self._known: dict[Value, Quantity | None] = {}
        self.inputs: Mapping[str, list[str]] = {name: graph.inputs for name, graph in program.graphs.items()}

    # -- what a value is

    def of(self, value: Value | int, depth: int = 0) -> Quantity | None:
        """The number that a value is at every run, or a symbol for it; ``None`` where neither can be told.

        Wrap-around of fixed-width integers is not modelled.
        """
        if isinstance(value, int):
            return value
        value = self.follow(value)
        if value not in self._known and depth < _DEPTH:
            self._known[value] = None  # what a value says of itself, in a cycle
            self._known[value] = self._compute(value, depth)
        return self._known.get(value)

    def number(self, value: Value | int) -> int | None:
        """The number that a value is at every run."""
        found = self.of(value)
        return found if isinstance(found, int) else None

    def _compute(self, value: Value, depth: int) -> Quantity | None:
        node = self.node(value)
        if self.written(value):
            return None
        if node.kind == "constant":
            return None if value.path else _integer(node)
        if node.kind == "input":
            return self._entry_input(value, node)
        if node.canonical in _ARITHMETIC and not node.effects and _countable(node.outputs[value.port]):
            sides = [self.of(side, depth + 1) for side in self.sides(value)]
            if len(sides) == 2 and sides[0] is not None and sides[1] is not None:
                return _arithmetic(node.canonical, sides[0], sides[1])
            return None
        return self._size(value, node)

    def sides(self, value: Value) -> tuple[Value | int, ...]:
        """The two operands of an operation such as ``Less`` or ``Add``; empty where it has not two.

        The second may stand among the attributes as a number (``other``). A third that scales the second (``alpha``) must be 1.
        """
        node = self.node(value)
        found: list[Value | int] = [Value(value.graph, use.src, use.src_port) for use in node.operands]
        other = node.attrs.get("other")
        if len(found) == 1 and type(other) is int:
            found.append(other)
        if len(found) == 3 and self.number(found[2]) == 1:
            found.pop()
        return tuple(found) if len(found) == 2 and node.attrs.get("alpha", 1) == 1 else ()

    def _entry_input(self, value: Value, node: Node) -> Symbol | None:
        if value.graph != self._program.entry or value.path or not _countable(node.outputs[0]):
            return None
        return Symbol((value, ""), f"the value of {self._name(value)}")

    def _size(self, value: Value, node: Node) -> Quantity | None:
        """A dimension of something, or the number of its elements."""
        if node.canonical in _PICKS:
            picks, result = value, node.outputs[value.port]
            shape = self.operand(value.graph, node.id, 0)
            if shape is None or (isinstance(result, TensorType) and result.elements != 1):
                return None
            value = self.follow(shape)
            node = self.node(value)
            dim = self._index(picks)
        else:
            dim = "*" if node.canonical == "Size" else self._index(value)
        measured = self.operand(value.graph, node.id, 0) if self._measures(node) else None
        if measured is None or dim is None:
            return None
        origin = self.follow(measured, reshaped=False)
        for seen in (measured, origin):
            size = _static(self._type(seen), dim)
            if size is not None:
                return size
        rank = getattr(self._type(origin), "rank", None)
        if isinstance(dim, int) and dim < 0 and rank is not None:
            dim += rank
        name = self._name(origin)
        return Symbol((origin, dim), f"the number of elements of {name}" if dim == "*" else f"dim {dim} of {name}", floor=0)

    @staticmethod
    def _measures(node: Node) -> bool:
        return node.canonical in ("Shape", "Size") or (node.kind == "op" and asks_size(node.op))

    def _index(self, value: Value) -> int | str | None:
        """Which element is picked: a constant operand's value, or a number among the attributes."""
        operand = self.operand(value.graph, value.id, 1)
        if operand is not None:
            return self.number(operand)
        attrs = self.node(value).attrs
        return next((attrs[key] for key in ("index", "dim", "axis", "dimension", "start") if isinstance(attrs.get(key), int)), None)

    def _type(self, value: Value) -> ValueType | None:
        types = self.node(value).outputs
        type: ValueType | None = types[value.port] if value.port < len(types) else None
        for step in value.path:
            type = type.elements[step] if isinstance(type, TupleType) and step < len(type.elements) else None
        return type

    def _name(self, value: Value) -> str:
        node = self.node(value)
        if node.kind == "input":
            for signature in self._program.signatures.values():
                if signature.graph == value.graph and (node.index or 0) < len(signature.inputs):
                    return signature.inputs[node.index or 0].name
            return node.name
        frame = self._program.frame(node)
        return f"the result of {node.op}" + (f" at {frame}" if frame else "")

    # -- where a value comes from

    def follow(self, value: Value, *, cross: bool = True, reshaped: bool = True) -> Value:
        """Back through packing, casts and identities to what makes the value.

        Args:
            cross: also out of a region, through an input that the region's only caller feeds and that no iteration changes.
            reshaped: also through what keeps the elements and changes the shape.
        """
        seen: set[Value] = set()
        while value not in seen:
            seen.add(value)
            node = self.node(value)
            previous: Value | None = None
            if self.written(value):
                return value
            if node.kind == "input":
                previous = self._crossed(value, node) if cross else None
            elif node.kind == "op" and not node.effects and not node.calls:
                previous = self._unpacked(value, node, reshaped)
            if previous is None:
                return value
            value = previous
        return value

    def _unpacked(self, value: Value, node: Node, reshaped: bool) -> Value | None:
        picked = self._flow.picked(NodeRef(value.graph, node.id), value.port)
        if picked is None and (forwards(node.op) or node.canonical == "SequenceConstruct"):
            slot, rest = value.port, value.path
            if _packs(node):
                if not value.path:
                    return None
                slot, rest = value.path[0], value.path[1:]
            operand = self.operand(value.graph, node.id, slot)
            return None if operand is None else replace(operand, path=rest)
        whole = self.operand(value.graph, node.id, 0)
        if whole is None:
            return None
        if picked is not None:
            return replace(whole, path=(picked, *value.path))
        given, made = self._type(whole), node.outputs[value.port]
        if node.canonical == "Cast" and getattr(made, "dtype", "") == "bool" != getattr(given, "dtype", ""):
            return None
        one = node.canonical in _OF_ONE and isinstance(given, TensorType) and given.elements == 1
        through = node.canonical in _SAME or gates(node.op) or (reshaped and (one or node.canonical in _SAME_ELEMENTS))
        return replace(whole, path=value.path) if through else None

    def _crossed(self, value: Value, node: Node) -> Value | None:
        """What an only caller feeds into a region's input, where the region keeps it unchanged."""
        sites = self._flow.sites(value.graph)
        if len(sites) != 1 or value.graph in self._flow.roots:
            return None
        caller, id, role = sites[0]
        index = self.inputs[value.graph].index(node.id)
        slot = self._program.graphs[caller].node(id).calls[role].operands[index]
        if slot is None or self._flow.varies(sites[0], index, value.path):
            return None
        operand = self.operand(caller, id, slot)
        return None if operand is None else replace(operand, path=value.path)

    def operand(self, graph: str, id: str, slot: int) -> Value | None:
        """What is fed into an operand slot."""
        for use in self._program.graphs[graph].operands(id):
            if use.dst_port == slot:
                return Value(graph, use.src, use.src_port)
        return None

    def written(self, value: Value) -> bool:
        """Whether the value, or the tuple it is in, is changed in place somewhere."""
        return self._flow.written(NodeRef(value.graph, value.id), value.port)

    def node(self, value: Value) -> Node:
        """The node that makes the value, or the tuple it is in."""
        return self._program.graphs[value.graph].node(value.id)


def _arithmetic(canonical: str, left: Quantity, right: Quantity) -> Quantity | None:
    if canonical == "Add":
        return total(left, right)
    if canonical == "Sub":
        return difference(left, right)
    if canonical == "Max":
        return _larger(left, right)
    if isinstance(left, Symbol) or isinstance(right, Symbol):
        return None
    return left * right if canonical == "Mul" else min(left, right)


def _countable(type: ValueType) -> bool:
    """Whether a value may be one whole number; of an opaque type nothing more can be said."""
    return not isinstance(type, TupleType) and (not isinstance(type, TensorType) or ("int" in type.dtype and type.elements in (1, None)))


def _static(type: ValueType | None, dim: int | str) -> int | None:
    if not isinstance(type, TensorType) or type.dims is None:
        return None
    if dim == "*":
        return type.elements
    size = type.dims[dim] if isinstance(dim, int) and -len(type.dims) <= dim < len(type.dims) else None
    return size if isinstance(size, int) else None


def _integer(node: Node) -> int | None:
    """The value of a constant that is one whole number (or truth value)."""
    constant = node.value
    if constant is None or not constant.available or (constant.nbytes or 0) > 64:
        return None
    if not isinstance(constant.type, TensorType):
        text = constant.bytes().decode("utf-8", "replace")
        if text in ("True", "False"):
            return int(text == "True")
        return int(text) if text.lstrip("-").isdecimal() else None
    if constant.type.elements != 1 or not ("int" in constant.type.dtype or constant.type.dtype == "bool"):
        return None
    try:
        return int(constant.array().ravel()[0])
    except GraphlabError:  # the text of the value does not fit its type: whoever asks for the value is told
        return None


def _packs(node: Node) -> bool:
    """Whether a forwarding operation makes one tuple of its operands."""
    made = node.outputs[0]
    given = tuple(node.graph.node(use.src).outputs[use.src_port] for use in node.operands)
    return isinstance(made, TupleType) and len(node.outputs) == 1 and given == made.elements
