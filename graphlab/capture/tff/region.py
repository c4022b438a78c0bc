"""TFF expressions as graphs: one graph a lambda; what a lambda takes from around it becomes inputs of its own.

An expression evaluates to data (an output of a node), to a struct of values, or to a function. Functions that are known are
used by name (``calls``): data flow goes through them. A struct is a node only where something needs it as one value.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from graphlab.capture.file import File
from graphlab.capture.proto import Parsed
from graphlab.capture.tff import intrinsics, literals
from graphlab.capture.tff.types import element_names, notation, placements, value_type
from graphlab.capture.unique import Names
from graphlab.errors import FormatError
from graphlab.ir.constants import Constant
from graphlab.ir.frozen import FrozenDict, frozen
from graphlab.ir.graph import Call, Graph
from graphlab.ir.ops import lookup
from graphlab.ir.values import OpaqueType, ValueType
from graphlab.ir.vocabulary.tff import KNOWN

Leaf: TypeAlias = "Callable[[Any, str], Function]"


@dataclass(frozen=True, slots=True, eq=False)
class Datum:
    """An output of a node of some region."""

    region: Region
    id: str
    type: Any


@dataclass(frozen=True, slots=True, eq=False)
class Struct:
    """Named values that no node has put together yet."""

    elements: tuple[Value, ...]
    type: Any


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """A graph that can be called: a lambda, or a leaf of TensorFlow or XLA.

    Attributes:
        op: what a call of it is: ``tff.call``, ``tff.tensorflow``, ``tff.xla``.
        inputs: how many inputs take the parameter: one for a lambda, one a tensor for a leaf.
        captured: the values that the inputs after those take from around it.
        outputs: how many outputs the graph has.
        made: inputs after the parameter's that the caller does not feed (a session's token).
    """

    graph: str
    op: str
    inputs: int
    outputs: int
    type: Any
    captured: tuple[Datum, ...] = ()
    made: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Intrinsic:
    """A built-in operator."""

    uri: str
    type: Any


Value: TypeAlias = Datum | Struct | Function | Intrinsic
Scope: TypeAlias = "ChainMap[str, Value]"


@dataclass(slots=True)
class Shared:
    """What the graphs of one computation share while it is being read.

    Attributes:
        leaf: reads a TensorFlow or XLA computation into ``graphs``.
    """

    file: File
    parsed: Parsed
    leaf: Leaf
    names: Names = field(default_factory=Names)
    graphs: dict[str, Graph] = field(default_factory=dict)

    def wrong(self, found: str, *, where: str = "the computation") -> FormatError:
        return FormatError(f"read {self.file.name}", found=found, do="check that the file is whole", where=where)


class Region:
    """A graph while it is being built."""

    def __init__(self, shared: Shared, name: str, outer: Region | None) -> None:
        self.name = name
        self.inputs: list[str] = []
        self.captured: list[Datum] = []
        self._shared = shared
        self._outer = outer
        self._ids = Names()
        self._nodes: list[tuple[str, dict[str, Any]]] = []
        self._inputs: list[tuple[str, dict[str, Any]]] = []
        self._edges: list[tuple[str, str, int, int]] = []
        self._brought: dict[tuple[int, str], Datum] = {}
        self._put_together: dict[int, tuple[Value, Datum]] = {}
        shared.graphs[name] = Graph(name=name)  # its place in order, before the graphs in it

    @property
    def empty(self) -> bool:
        return not self._nodes and not self._inputs

    # -- expressions

    def evaluate(self, node: Any, scope: Scope, hint: str = "", parts: Sequence[str] = ()) -> Value:
        """What an expression gives.

        Args:
            hint: the name that the source gives to it.
            parts: what the elements of a struct are, where that is known better than by their names.

        Raises:
            FormatError: it is not sound.
        """
        which = node.WhichOneof("computation")
        if which == "reference":
            found = scope.get(node.reference.name)
            if found is None:
                raise self._wrong(f"'{node.reference.name}' is used where nothing of that name is")
            return found
        if which == "block":
            inner: Scope = scope.new_child()
            for local in node.block.local:
                inner[local.name] = self.evaluate(local.value, inner, local.name)
            return self.evaluate(node.block.result, inner, hint)
        if which == "struct":
            names = [element.name or (parts[i] if i < len(parts) else str(i)) for i, element in enumerate(node.struct.element)]
            values = [
                self.evaluate(element.value, scope, f"{hint}.{name}" if hint else name if parts else "")
                for name, element in zip(names, node.struct.element, strict=True)
            ]
            if node.type.WhichOneof("type") != "struct" or len(node.type.struct.element) != len(values):
                raise self._wrong(f"a struct of {len(values)} values has the type {notation(node.type)[:80]}")
            return Struct(tuple(values), node.type)
        if which == "selection":
            return self._select(self.evaluate(node.selection.source, scope), node, hint)
        if which == "call":
            return self._call(node, scope, hint)
        if which == "lambda":
            return self._lambda(node, scope, hint)
        if which in ("tensorflow", "xla"):
            return self._shared.leaf(node, self._within(hint))
        if which == "intrinsic":
            return Intrinsic(intrinsics.plain(node.intrinsic.uri), node.type)
        if which == "literal":
            value = literals.constant(node.literal.value, self._shared.parsed)
            return self._datum("literal", hint or "literal", node.type, kind="constant", value=value)
        if which == "placement":
            text = Constant(OpaqueType("placement"), node.placement.uri.encode())
            return self._datum("placement", hint or node.placement.uri, node.type, kind="constant", value=text)
        if which == "data":
            source = node.data.uri or node.data.content.type_url
            return self._datum("data", hint or "data", node.type, attrs=frozen(source=source))
        raise self._wrong("an expression in it is of no kind that this reader knows")

    def _within(self, hint: str) -> str:
        """A graph's name from what it is called here."""
        return hint if self._outer is None or not hint else f"{self.name}/{hint}"

    def _select(self, source: Value, node: Any, hint: str) -> Value:
        given = node.selection.source.type
        names = element_names(given)
        by_name = node.selection.WhichOneof("selection") == "name"
        index = names.index(node.selection.name) if by_name and node.selection.name in names else node.selection.index
        if given.WhichOneof("type") != "struct" or not 0 <= index < len(names) or (by_name and node.selection.name not in names):
            raise self._wrong(f"element '{node.selection.name or index}' is selected of {notation(given)[:80]}")
        if isinstance(source, Struct):
            if index >= len(source.elements):
                raise self._wrong(f"element {index} is selected of {len(source.elements)}")
            return source.elements[index]
        whole = self.one(source)
        attrs = frozen(index=index, name=given.struct.element[index].name or None)
        return self._datum("select", hint or names[index], given.struct.element[index].value, [whole], attrs=attrs)

    def _lambda(self, node: Any, scope: Scope, hint: str) -> Function:
        inner = Region(self._shared, self._shared.names.take(self._within(hint or "lambda")), self)
        inner_scope: Scope = scope.new_child()
        takes = node.type.function.HasField("parameter")
        if takes:
            name = getattr(node, "lambda").parameter_name
            inner_scope[name] = inner.take(name or "arg", node.type.function.parameter)
        result = inner.evaluate(getattr(node, "lambda").result, inner_scope)
        inner.finish([inner.one(result)])
        return Function(inner.name, "tff.call", int(takes), 1, node.type, tuple(inner.captured))

    # -- calls

    def _call(self, node: Any, scope: Scope, hint: str) -> Value:
        function = self.evaluate(node.call.function, scope, hint)
        argument: Value | None = None
        if node.call.HasField("argument"):
            given = node.call.argument
            listed = given.WhichOneof("computation") == "struct" and isinstance(function, Intrinsic)
            parts = intrinsics.argument_names(function.uri) if listed and isinstance(function, Intrinsic) else ()
            argument = self.evaluate(given, scope, hint, parts)
        if isinstance(function, Intrinsic):
            return self.intrinsic(function, argument, node.type, hint)
        operands = [] if argument is None else [self.one(argument)]
        if not isinstance(function, Function):
            return self._datum("call", hint or "call", node.type, [self.one(function), *operands], effects=("opaque",))
        if not operands and function.inputs and function.op == "tff.call":
            raise self._wrong(f"'{function.graph}' is called without its argument")
        fed, slots = self._captures(function, operands)
        call = Call(function.graph, (*(0 if operands else None for _ in range(function.inputs)), *slots), (0,) * function.outputs)
        return self._datum(function.op.removeprefix("tff."), hint or function.graph, node.type, fed, calls={"call": call})

    def intrinsic(self, function: Intrinsic, argument: Value | None, type: Any, hint: str) -> Datum:
        """A node for a built-in operator: the functions among its arguments are its regions, the rest its operands."""
        listed = isinstance(argument, Struct) and function.uri not in intrinsics.OF_ONE
        arguments = [] if argument is None else list(argument.elements) if isinstance(argument, Struct) and listed else [argument]
        uses = intrinsics.FUNCTIONS.get(function.uri, {})
        operands: list[Datum] = []
        slot_of: dict[int, int] = {}
        regions: list[tuple[str, intrinsics.Use, Function]] = []
        for i, value in enumerate(arguments):
            if isinstance(value, (Function, Intrinsic)):
                use = uses.get(i, intrinsics.Use(f"function_{i}"))
                regions.append((use.role, use, self._as_function(value)))
            else:
                slot_of[i] = len(operands)
                operands.append(self.one(value))
        calls: dict[str, Call] = {}
        where = placements(type)
        runs: dict[str, str] = {}
        for role, use, region in regions:
            operands, slots = self._captures(region, operands)
            given = slot_of.get(use.operand) if use.operand is not None else None
            results = (0 if use.result else None,) * region.outputs
            calls[role] = Call(region.graph, ((given,) * region.inputs + slots), results)
            at = use.placement or (where[0] if where else None)
            if at is not None:
                runs[role] = at
        told: dict[str, Any] = {"runs": runs} if runs else {}
        if function.uri in intrinsics.MOVES:
            told["moves"] = intrinsics.MOVES[function.uri]
        attrs = frozen(told) if told else None
        return self._datum(function.uri, hint or function.uri, type, operands, calls=calls, attrs=attrs)

    def _captures(self, function: Function, operands: Sequence[Datum]) -> tuple[list[Datum], tuple[int | None, ...]]:
        """The operands with those a function takes from around it behind them, and the slots of those."""
        around = [self.bring(value) for value in function.captured]
        slots = tuple(range(len(operands), len(operands) + len(around)))
        return [*operands, *around], (*(None for _ in range(function.made)), *slots)

    def _as_function(self, value: Function | Intrinsic) -> Function:
        """A built-in operator that is passed as a function is one that does nothing but call it."""
        if isinstance(value, Function):
            return value
        return eta(self._shared, value, self)

    # -- values

    def one(self, value: Value) -> Datum:
        """A value as the output of one node of this region."""
        if isinstance(value, Datum):
            return self.bring(value)
        known = self._put_together.get(id(value))
        if known is not None:
            return known[1]
        if isinstance(value, Struct):
            made = self._datum("struct", "struct", value.type, [self.one(element) for element in value.elements])
        elif isinstance(value, Function):
            fed, slots = self._captures(value, [])
            call = Call(value.graph, ((None,) * value.inputs + slots), (None,) * value.outputs)
            kind = "op" if fed else "constant"
            made = self._datum("function", f"{value.graph}.function", value.type, fed, kind=kind, calls={"function": call})
        else:
            made = self._datum(value.uri, value.uri, value.type, kind="constant")
        self._put_together[id(value)] = (value, made)
        return made

    def bring(self, value: Datum) -> Datum:
        """A value of a region around, as an input of this one."""
        if value.region is self:
            return value
        if self._outer is None:
            raise self._wrong("a function is used outside of where the values it takes are known")
        around = self._outer.bring(value)
        known = self._brought.get((id(around.region), around.id))
        if known is None:
            known = self._brought[id(around.region), around.id] = self.take(around.id, around.type)
            self.captured.append(around)
        return known

    def take(self, name: str, type: Any) -> Datum:
        """A new input."""
        id = self._ids.take(name or "arg")
        data: dict[str, Any] = {"kind": "input", "index": len(self._inputs), "outputs": (value_type(type),), "synthetic": True}
        if name and id != name:
            data["name"] = name
        data["meta"] = frozen(type=notation(type))
        self._inputs.append((id, data))
        return Datum(self, id, type)

    def _wrong(self, found: str) -> FormatError:
        return self._shared.wrong(found, where=f"graph '{self.name}'")

    def _datum(
        self,
        op: str,
        name: str,
        type: Any,
        operands: Sequence[Datum] = (),
        *,
        kind: str = "op",
        attrs: FrozenDict[str, Any] | None = None,
        calls: dict[str, Call] | None = None,
        effects: tuple[str, ...] = (),
        value: Constant | None = None,
    ) -> Datum:
        op = f"tff.{op}"
        id = self._ids.take(name)
        made: ValueType = value_type(type)
        data: dict[str, Any] = {"kind": kind, "op": op, "outputs": (made,)}
        if attrs:
            data["attrs"] = attrs
        if calls:
            data["calls"] = FrozenDict(calls)
        if value is not None:
            data["value"] = value
        if kind == "op":
            told = effects or (lookup(op).effects if op in KNOWN else ("opaque",))
            if told:
                data["effects"] = told
        data["meta"] = frozen(type=notation(type))
        self._nodes.append((id, data))
        self._edges += [(operand.id, id, 0, slot) for slot, operand in enumerate(operands)]
        return Datum(self, id, type)

    def finish(self, results: Sequence[Datum]) -> None:
        """Fill the graph."""
        output = self._ids.take("output")
        self._edges += [(result.id, output, 0, slot) for slot, result in enumerate(results)]
        nodes = [*self._inputs, *self._nodes, (output, {"kind": "output", "synthetic": True})]
        self._shared.graphs[self.name].fill(nodes, self._edges)


def eta(shared: Shared, value: Intrinsic, outer: Region | None) -> Function:
    """``x -> federated_sum(x)`` for ``federated_sum``."""
    inner = Region(shared, shared.names.take(value.uri), outer)
    function = value.type.function
    takes = function.HasField("parameter")
    argument = inner.take("arg", function.parameter) if takes else None
    inner.finish([inner.intrinsic(value, argument, function.result, "")])
    return Function(inner.name, "tff.call", int(takes), 1, value.type)
