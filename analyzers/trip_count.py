"""How often a loop runs, where the program says: a number, a symbol, or a dimension of an input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from graphlab.analyzers.dataflow import Dataflow
from graphlab.ir.graph import Control, Graph, Node
from graphlab.ir.ops import asks_type, forwards
from graphlab.ir.program import NodeRef, Program
from graphlab.ir.values import TensorType, TupleType

UNBOUNDED = 2**63 - 1
"""TorchScript's way to write a loop without a limit of its own: the largest int64."""

_FORWARDS = frozenset({"Identity", "Cast", "Squeeze", "Unsqueeze"})
_PICKS = frozenset({"Gather", "GatherElements", "GatherND", "Slice", "SequenceAt"})
_COMPARES = {"Less": (0, 1, 0), "LessOrEqual": (0, 1, 1), "Greater": (1, 0, 0), "GreaterOrEqual": (1, 0, 1)}
"""ONNX comparison → (slot of the counter, slot of the limit, 1 where the limit itself is still run)."""


@dataclass(frozen=True, slots=True)
class TripCount:
    """``count`` is an int, or words for what it equals; ``exact`` is False where the loop may end sooner."""

    count: int | str
    exact: bool

    def __str__(self) -> str:
        return str(self.count) if self.exact else f"at most {self.count}"


@dataclass(frozen=True, slots=True)
class _Value:
    """A value in a graph: ``path`` picks an element out of nested tuples, outermost index first."""

    graph: str
    id: str
    port: int
    path: tuple[int, ...] = ()


class TripCounter:
    """Answers :meth:`of` for the loops of one program."""

    def __init__(self, program: Program, flow: Dataflow) -> None:
        self._program = program
        self._flow = flow
        self._inputs: dict[str, list[str]] = {name: graph.inputs for name, graph in program.graphs.items()}

    def of(self, ref: NodeRef) -> TripCount | None:
        """The trip count of a loop node, ``None`` where it cannot be known from the graph."""
        node = self._program.node(ref)
        control = node.control
        if control is None or control.form != "loop":
            return None
        if control.trip_count is not None:
            return TripCount(control.trip_count, exact=True)
        counted = None if control.condition is None else self._counted(ref, node, control)
        if control.trip_slot is not None:
            limit = self._operand(ref.graph, node.id, control.trip_slot)
            count = None if limit is None else self._amount(limit)
            if count is not None and count != UNBOUNDED:
                agreed = counted is not None and counted.exact and counted.count == count
                return TripCount(count, exact=agreed or self._always_goes_on(node, control))
        return counted

    # -- a loop that counts up to a limit

    def _counted(self, ref: NodeRef, node: Node, control: Control) -> TripCount | None:
        assert control.condition is not None
        role, index = control.condition
        cond = node.calls[role].graph
        condition = self._operand(cond, self._program.graphs[cond].output, index)
        sides = [condition] if condition is not None else []
        found: list[int | str] = []
        conjunction = False
        while sides:
            at = self._follow(sides.pop(), cross=False)
            test = self._node(at)
            if test.canonical == "And":
                conjunction = True
                sides += [side for slot in (0, 1) if (side := self._operand(at.graph, at.id, slot)) is not None]
            elif test.canonical in _COMPARES:
                count = self._steps(ref, node, role, at, _COMPARES[test.canonical])
                found += [] if count is None else [count]
        if not found:
            return None
        # Of several limits the plainest is told: a number, else the shortest words.
        best = min(found, key=lambda c: (isinstance(c, str), c if isinstance(c, int) else len(c)))
        return TripCount(best, exact=not conjunction)

    def _steps(self, ref: NodeRef, node: Node, role: str, test: _Value, slots: tuple[int, int, int]) -> int | str | None:
        counter_slot, limit_slot, inclusive = slots
        counter = self._operand(test.graph, test.id, counter_slot)
        limit = self._operand(test.graph, test.id, limit_slot)
        if counter is None or limit is None:
            return None
        counter = self._follow(counter, cross=False)
        if self._node(counter).kind != "input":
            return None
        slot = node.calls[role].operands[self._inputs[counter.graph].index(counter.id)]
        if slot is None:
            return None
        first = self._operand(ref.graph, node.id, slot)
        start = None if first is None else self._integer(self._follow(_Value(first.graph, first.id, first.port, first.path + counter.path)))
        step = self._step(node, slot, counter.path)
        amount = self._amount(limit)
        if start is None or not step or step < 0 or amount is None:
            return None
        if isinstance(amount, int):
            return max(0, -((start - amount - inclusive) // step))
        if step != 1:
            return None
        offset = inclusive - start
        return amount if offset == 0 else f"{amount} {'+' if offset > 0 else '-'} {abs(offset)}"

    def _step(self, node: Node, slot: int, path: tuple[int, ...]) -> int | None:
        """The constant that the body adds to a loop variable."""
        for call in node.calls.values():
            for out, into in call.carried:
                if call.operands[into] != slot:
                    continue
                result = self._operand(call.graph, self._program.graphs[call.graph].output, out)
                if result is None:
                    return None
                added = self._follow(_Value(result.graph, result.id, result.port, result.path + path), cross=False)
                if self._node(added).canonical != "Add":
                    return None
                sides = [self._operand(added.graph, added.id, s) for s in (0, 1)]
                if None in sides:
                    return None
                ends = [self._follow(side, cross=False) for side in sides if side is not None]
                variable = _Value(call.graph, self._inputs[call.graph][into], 0, path)
                for this, other in (ends, ends[::-1]):
                    if this == variable:
                        return self._integer(self._follow(other))
        return None

    def _always_goes_on(self, node: Node, control: Control) -> bool:
        if control.condition is None:
            return True
        role, index = control.condition
        graph = node.calls[role].graph
        value = self._operand(graph, self._program.graphs[graph].output, index)
        return value is not None and self._integer(self._follow(value)) == 1

    # -- values

    def _amount(self, value: _Value) -> int | str | None:
        """A number, or words for a size."""
        value = self._follow(value)
        number = self._integer(value)
        return number if number is not None else self._size(value)

    def _size(self, value: _Value) -> str | None:
        """``dim 1 of x`` where a value is a dimension of something."""
        node = self._node(value)
        if node.kind == "input" and value.graph == self._program.entry:
            type = node.outputs[0]
            number = not isinstance(type, TensorType) or ("int" in type.dtype and type.elements == 1)
            return f"the value of {self._name(value)}" if number and not value.path else None
        if node.canonical in ("Shape", "Size") or (node.kind == "op" and asks_type(node.op)):
            measured = self._operand(value.graph, node.id, 0)
            if measured is None:
                return None
            name = self._name(self._follow(measured))
            if node.canonical == "Size":
                return f"the number of elements of {name}"
            dim = self._index(value.graph, node)
            return f"dim {dim} of {name}" if dim is not None else None
        if node.canonical == "Max":
            return self._at_least_nothing(value.graph, node)
        if node.canonical in _PICKS:
            shape = self._operand(value.graph, node.id, 0)
            dim = self._index(value.graph, node)
            if shape is None or dim is None:
                return None
            shape = self._follow(shape)
            source = self._node(shape)
            measured = self._operand(shape.graph, shape.id, 0) if source.canonical == "Shape" else None
            return None if measured is None else f"dim {dim} of {self._name(self._follow(measured))}"
        return None

    def _at_least_nothing(self, graph: str, node: Node) -> str | None:
        """``max(size, 0)`` is the size: none is negative."""
        sides = [self._follow(side) for slot in (0, 1) if (side := self._operand(graph, node.id, slot)) is not None]
        numbers = [self._integer(side) for side in sides]
        if len(sides) != 2 or sum(number is None for number in numbers) != 1 or max(n for n in numbers if n is not None) > 0:
            return None
        size = self._size(sides[numbers.index(None)])
        return size if size is not None and not size.startswith("the value") else None

    def _index(self, graph: str, node: Node) -> int | None:
        """Which element is picked: a constant operand's value, or a number among the attributes."""
        operand = self._operand(graph, node.id, 1)
        if operand is not None:
            return self._integer(self._follow(operand))
        for key in ("index", "dim", "axis", "dimension", "start"):
            value: Any = node.attrs.get(key)
            if isinstance(value, int):
                return value
        return None

    def _name(self, value: _Value) -> str:
        node = self._node(value)
        if node.kind == "input":
            for signature in self._program.signatures.values():
                if signature.graph == value.graph and (node.index or 0) < len(signature.inputs):
                    return signature.inputs[node.index or 0].name
            return node.name
        frame = self._program.frame(node)
        return f"the result of {node.op}" + (f" at {frame}" if frame else "")

    def _integer(self, value: _Value) -> int | None:
        """The value of a constant that is one whole number (or truth value)."""
        node = self._node(value)
        constant = node.value
        if node.kind != "constant" or value.path or constant is None or not constant.available or (constant.nbytes or 0) > 64:
            return None
        if not isinstance(constant.type, TensorType):
            text = constant.bytes().decode("utf-8", "replace")
            if text in ("True", "False"):
                return int(text == "True")
            return int(text) if text.lstrip("-").isdecimal() else None
        if constant.type.elements != 1 or not ("int" in constant.type.dtype or constant.type.dtype == "bool"):
            return None
        return int(constant.array().ravel()[0])

    def _follow(self, value: _Value, *, cross: bool = True) -> _Value:
        """Back through packing, casts and, with ``cross``, unchanged region inputs, to what makes the value."""
        seen: set[_Value] = set()
        while value not in seen:
            seen.add(value)
            node = self._node(value)
            previous: _Value | None = None
            if node.kind == "input":
                previous = self._crossed(value, node) if cross else None
            elif node.kind == "op" and not node.effects and not node.calls:
                previous = self._unpacked(value, node)
            if previous is None:
                return value
            value = previous
        return value

    def _unpacked(self, value: _Value, node: Node) -> _Value | None:
        whole = self._operand(value.graph, node.id, 0)
        picked = self._flow.picked(NodeRef(value.graph, node.id), value.port)
        if picked is None and (forwards(node.op) or node.canonical == "SequenceConstruct"):
            slot, rest = value.port, value.path
            if self._packs(node):
                if not value.path:
                    return None
                slot, rest = value.path[0], value.path[1:]
            operand = self._operand(value.graph, node.id, slot)
            return None if operand is None else _Value(operand.graph, operand.id, operand.port, rest)
        if whole is None:
            return None
        if picked is not None:
            return _Value(whole.graph, whole.id, whole.port, (*whole.path, picked, *value.path))
        one = node.canonical == "Reshape" and isinstance(node.outputs[0], TensorType) and node.outputs[0].elements == 1
        return _Value(whole.graph, whole.id, whole.port, whole.path + value.path) if node.canonical in _FORWARDS or one else None

    @staticmethod
    def _packs(node: Node) -> bool:
        """Whether a forwarding operation makes one tuple of its operands."""
        made = node.outputs[0]
        given = tuple(node.graph.node(use.src).outputs[use.src_port] for use in node.operands)
        return isinstance(made, TupleType) and len(node.outputs) == 1 and given == made.elements

    def _crossed(self, value: _Value, node: Node) -> _Value | None:
        """What an only caller feeds into a region's input, where the region keeps it unchanged."""
        sites = self._flow.sites(value.graph)
        if len(sites) != 1 or value.graph == self._program.entry:
            return None
        caller, id, role = sites[0]
        index = self._inputs[value.graph].index(node.id)
        slot = self._program.graphs[caller].node(id).calls[role].operands[index]
        if slot is None or self._flow.varies(sites[0], index, value.path):
            return None
        operand = self._operand(caller, id, slot)
        return None if operand is None else _Value(operand.graph, operand.id, operand.port, operand.path + value.path)

    def _operand(self, graph: str, id: str, slot: int) -> _Value | None:
        for use in self._graph(graph).operands(id):
            if use.dst_port == slot:
                return _Value(graph, use.src, use.src_port)
        return None

    def _graph(self, name: str) -> Graph:
        return self._program.graphs[name]

    def _node(self, value: _Value) -> Node:
        return self._graph(value.graph).node(value.id)
