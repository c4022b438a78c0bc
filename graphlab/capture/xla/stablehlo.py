"""An MLIR module of StableHLO (and the dialects that travel with it) → Program.

Every ``func.func`` is a graph, every region of an operation another, closed: what a region takes
from around it comes in as an input, fed by an operand appended to its operation. Terminators
(``func.return``, ``stablehlo.return``) are the graphs' output nodes. ``Program.count()`` is the number of
operations within functions; the module, the functions themselves and what stands beside them
(``sdy.mesh``) are no nodes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from graphlab.capture import canonical
from graphlab.capture.unique import Names
from graphlab.capture.xla.mlir_values import Decoder, Locations
from graphlab.errors import FormatError
from graphlab.ir.frames import Frame, FrameTable
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.graph import Call, Control, Graph
from graphlab.ir.ops import lookup
from graphlab.ir.program import DimRange, Program, Signature, Slot, Source
from graphlab.ir.values import TensorType, ValueType
from graphlab.ir.vocabulary.xla import CUSTOM_CALL_EFFECTS

_Place = tuple[str, int]

# Regions by the operation's name without its dialect. The others are named region_0, region_1 …, a single one to_apply.
_ROLES: dict[str, tuple[str, ...]] = {
    "while": ("cond", "body"),
    "if": ("then", "else"),
    "sort": ("comparator",),
    "select_and_scatter": ("select", "scatter"),
    "scatter": ("update",),
    "manual_computation": ("body",),
}
# Regions that see one element (or pair of elements) a time, and those of them whose outcome is no result.
_ELEMENTWISE = ("reduce", "reduce_window", "map", "sort", "scatter", "select_and_scatter", "all_reduce", "reduce_scatter")
_DECIDES = ("comparator", "select")
_CONSTANTS = ("stablehlo.constant", "mhlo.constant", "arith.constant")
# Facts of the function, not of a value: they are kept elsewhere.
_FUNCTION_FACTS = ("sym_name", "function_type", "arg_attrs", "res_attrs")
_SHARDINGS = ("mhlo.sharding", "sdy.sharding")
_NUMBERED = re.compile(r"_\d+$")  # what makes a symbol unique
_JIT = re.compile(r"p?jit\([^/]*\)/")


def read_module(
    module: Any,
    *,
    source: Source,
    native: Any = None,
    first_column: int = 1,
    users: Callable[[Sequence[Frame]], list[Frame]] = list,
    frames: FrameTable | None = None,
    dims: dict[str, DimRange] | None = None,
    draws: frozenset[str] = frozenset(),
) -> Program:
    """The program of a ``jaxlib.mlir.ir.Module``.

    Args:
        first_column: the number that the module's producer gives a line's first column.
        users: leaves the user's frames of a stack, innermost first.
        dims: ranges of symbolic dimensions, where the caller knows them.
        draws: names of the producer's own operations that draw random numbers. One lowered to a function of
            plain arithmetic leaves its name to that function: the call has the effect ``random``, the
            arithmetic none.

    Raises:
        FormatError: a region with several blocks, a value used outside its region, or no function.
    """
    walk = _Walk(first_column, users, frames or FrameTable(), draws)
    signatures: dict[str, Signature] = {}
    functions = [op for op in module.body.operations if op.operation.name == "func.func"]
    bodies = [op for op in functions if len(op.operation.regions[0].blocks)]
    for op in bodies:
        walk.declare(op.operation)
    for op in bodies:
        signature = walk.function(op.operation)
        if walk.decode.attributes(op).get("sym_visibility", "public") == "public":
            signatures[signature.graph] = signature
    if not walk.functions:
        raise FormatError("read the MLIR module", found="it holds no function with a body", do="give a module of func.func operations")
    public = list(signatures) or list(walk.functions.values())
    entry = "main" if "main" in public else public[0]
    meta = {name: value for name, value in walk.decode.attributes(module.operation).items() if name != "sym_name"}
    aside = tuple(str(op) for op in module.body.operations if op.operation.name != "func.func")
    if aside:
        meta["beside"] = aside
    return Program(
        graphs=walk.graphs,
        entry=entry,
        source=source,
        signatures=signatures,
        dims=dims or {},
        frames=walk.frames.done(),
        meta=FrozenDict(meta),
        native=native,
    )


class _Walk:
    """State of one module's walk."""

    def __init__(
        self, first_column: int, users: Callable[[Sequence[Frame]], list[Frame]], frames: FrameTable, draws: frozenset[str]
    ) -> None:
        self.decode = Decoder()
        self.graphs: dict[str, Graph] = {}
        self.names = Names()
        self.functions: dict[str, str] = {}
        self._arity: dict[str, tuple[int, int]] = {}
        self.frames = frames
        self.draws = draws
        self._decode_location = Locations(first_column).decode
        self._users = users
        self._locations: dict[Any, tuple[str, int | None]] = {}

    def declare(self, op: Any) -> None:
        """Name the graph of a func.func, before any call to it is read."""
        name = self.decode.attribute(op.attributes["sym_name"])
        block = op.regions[0].blocks[0]
        self.functions[name] = self.names.take(name)
        self._arity[name] = (len(block.arguments), len(block.operations[len(block.operations) - 1].operands))

    def function(self, op: Any) -> Signature:
        """Read a func.func with a body; its signature."""
        attrs = self.decode.attributes(op)
        name = self.functions[attrs["sym_name"]]
        kept = {key: value for key, value in attrs.items() if key not in _FUNCTION_FACTS}
        self.graphs[name] = graph = Graph(name=name, **kept)
        block = op.regions[0].blocks[0]
        region = _Region(self, graph)
        told: Sequence[dict[str, Any]] = attrs.get("arg_attrs") or ({},) * len(block.arguments)
        region.fill(op.regions[0], [(self.place(a.location)[0], of) for a, of in zip(block.arguments, told, strict=True)])
        if region.captures:
            raise FormatError(
                f"read the function '{name}'", found="it uses a value that is made outside of it", do="check that the module is whole"
            )
        inputs = tuple(Slot(graph.node(i).name, graph.node(i).outputs[0]) for i in graph.inputs)
        returned = [self.decode.type(value.type) for value in block.operations[len(block.operations) - 1].operands]
        facts: Sequence[dict[str, Any]] = attrs.get("res_attrs") or ({},) * len(returned)
        outputs = tuple(
            Slot(of.get("jax.result_info") or f"out{i}", _sharded(kind, of))
            for i, (kind, of) in enumerate(zip(returned, facts, strict=True))
        )
        return Signature(name, inputs, outputs)

    def arity(self, symbol: str) -> tuple[int, int]:
        """Numbers of inputs and results of a function that has a body."""
        return self._arity[symbol]

    def place(self, loc: Any) -> tuple[str, int | None]:
        """A location's name, and the index of its innermost user frame."""
        found = self._locations.get(loc.attr)
        if found is None:
            name, frames = self._decode_location(loc)
            found = self._locations[loc.attr] = (name, self.frames.add_stack(self._users(frames)))
        return found


class _Region:
    """Fills the graph of one region.

    Attributes:
        captures: values from around the region, in the order of the inputs appended for them.
    """

    def __init__(self, walk: _Walk, graph: Graph) -> None:
        self.walk = walk
        self.graph = graph
        self.ids = Names()
        self.captures: list[Any] = []
        self._places: dict[Any, _Place] = {}
        self._nodes: list[tuple[str, dict[str, Any]]] = []
        self._edges: list[tuple[str, str, int, int]] = []
        self._inputs = 0

    def fill(self, region: Any, arguments: Sequence[tuple[str, Any]] = ()) -> None:
        """Read the region's one block. ``arguments``: names and attributes of a function's arguments."""
        if len(region.blocks) != 1:
            raise FormatError(
                f"read the region '{self.graph.name}'",
                found=f"it has {len(region.blocks)} blocks",
                do="lower it to structured control flow",
            )
        block = region.blocks[0]
        for i, argument in enumerate(block.arguments):
            name, facts = arguments[i] if arguments else ("", {})
            self._input(argument, f"arg{i}", name, dict(facts))
        for op in block.operations:
            self._operation(op.operation)
        self.graph.fill(self._nodes, self._edges)

    def _input(self, value: Any, id: str, name: str, facts: dict[str, Any]) -> None:
        kind = _sharded(self.walk.decode.type(value.type), facts)
        id = self.ids.take(id)
        data: dict[str, Any] = {"kind": "input", "index": self._inputs, "outputs": (kind,), "synthetic": True}
        if name:
            data["name"] = name
        if facts:
            data["attrs"] = FrozenDict(facts)
        self._inputs += 1
        self._places[value] = (id, 0)
        self._nodes.append((id, data))

    def _resolve(self, value: Any) -> _Place:
        if value not in self._places:
            self.captures.append(value)
            self._input(value, "captured", "", {})
        return self._places[value]

    def _operation(self, op: Any) -> None:
        walk, name = self.walk, op.name
        short = name.partition(".")[2]
        is_output = short == "return"
        id = self.ids.take("output" if is_output else short)
        data: dict[str, Any] = {"kind": "output" if is_output else "op", "op": name}
        operands = list(op.operands)
        attrs = walk.decode.attributes(op)
        if name in _CONSTANTS and not operands:
            data["kind"] = "constant"
            data["value"] = walk.decode.constant_op(op)
            attrs.pop("value", None)
        calls = self._symbol_calls(op, attrs, len(operands))
        captured: list[Any] = []
        for i, region in enumerate(op.regions):
            role = _role(short, i, len(op.regions))
            inner = self._nested(region, f"{self.graph.name}.{id}.{role}")
            slots = []
            for value in inner.captures:
                if value not in captured:
                    captured.append(value)
                slots.append(len(operands) + captured.index(value))
            calls[role] = _region_call(op, short, role, inner, tuple(slots))
        for slot, value in enumerate([*operands, *captured]):
            src, port = self._resolve(value)
            self._edges.append((src, id, port, slot))
        info = lookup(name)
        effects = _custom_call_effects(attrs) if short == "custom_call" else info.effects
        if name in ("func.call", "stablehlo.composite") and not calls:
            effects = ("opaque",)  # a function that is declared only
        told, loc = walk.place(op.location)
        scope, _, primitive = _JIT.sub("", told, count=1).rpartition("/")
        if name == "func.call" and _NUMBERED.sub("", attrs["callee"]) in walk.draws:
            effects = ("random",)
        meta: dict[str, Any] = {}
        if primitive:
            meta["location"] = primitive
        if captured:
            meta["captures"] = len(captured)
        kinds = tuple(_sharded(walk.decode.type(r.type), attrs if len(op.results) == 1 else {}) for r in op.results)
        data.update(
            canonical=info.canonical or _canonical(short, attrs, operands, walk.decode), outputs=kinds, attrs=FrozenDict(attrs),
            meta=FrozenDict(meta), loc=loc, scope=scope, effects=effects, calls=FrozenDict(calls),
            control=_control(short),
        )  # fmt: skip
        data = {key: value for key, value in data.items() if value is not None and value not in ((), "", {})}
        self._nodes.append((id, data))
        for port, result in enumerate(op.results):
            self._places[result] = (id, port)

    def _nested(self, region: Any, name: str) -> _Region:
        graph_name = self.walk.names.take(name)
        self.walk.graphs[graph_name] = graph = Graph(name=graph_name)
        inner = _Region(self.walk, graph)
        inner.fill(region)
        return inner

    def _symbol_calls(self, op: Any, attrs: dict[str, Any], operands: int) -> dict[str, Call]:
        """Calls by symbol: func.call's callee, a composite's decomposition, a custom call's computations."""
        functions = self.walk.functions
        for key, role in (("callee", "call"), ("decomposition", "decomposition")):
            if isinstance(attrs.get(key), str) and attrs[key] in functions:
                return {role: Call(functions[attrs[key]], tuple(range(operands)), tuple(range(len(op.results))))}
        found: dict[str, Call] = {}
        for i, symbol in enumerate(attrs.get("called_computations", ())):
            if symbol in functions:
                takes, gives = self.walk.arity(symbol)
                found[f"called_computation_{i}"] = Call(functions[symbol], (None,) * takes, (None,) * gives)
        return found


def _canonical(short: str, attrs: dict[str, Any], operands: list[Any], decode: Decoder) -> str | None:
    """The ONNX operator, where attributes decide."""
    kinds = [decode.type(value.type) for value in operands]
    first = kinds[0] if kinds else None
    if not isinstance(first, TensorType):
        return None
    if short == "compare":
        return canonical.comparison(attrs["comparison_direction"])
    if short == "dot_general" and isinstance(kinds[1], TensorType):
        dims = attrs["dot_dimension_numbers"]
        return canonical.dot(
            (first.rank or 0, kinds[1].rank or 0),
            (dims["lhs_batching_dimensions"], dims["rhs_batching_dimensions"]),
            (dims["lhs_contracting_dimensions"], dims["rhs_contracting_dimensions"]),
        )
    if short == "convolution":
        dims = attrs["dimension_numbers"]
        return canonical.convolution(
            (dims["input_batch_dimension"], dims["input_feature_dimension"], *dims["input_spatial_dimensions"]),
            (dims["kernel_output_feature_dimension"], dims["kernel_input_feature_dimension"], *dims["kernel_spatial_dimensions"]),
            (dims["output_batch_dimension"], dims["output_feature_dimension"], *dims["output_spatial_dimensions"]),
            attrs.get("batch_group_count", 1),
            attrs.get("lhs_dilation", ()),
        )
    return canonical.logic(short, first.dtype)


def _role(short: str, index: int, count: int) -> str:
    if short == "case":
        return f"branch_{index}"
    named = _ROLES.get(short, ())
    if index < len(named):
        return named[index]
    return "to_apply" if count == 1 else f"region_{index}"


def _region_call(op: Any, short: str, role: str, inner: _Region, captured: tuple[int, ...]) -> Call:
    """How a region's arguments and results meet the operation's operands and results, by the operation's own rule."""
    arguments = len(inner.graph.inputs) - len(captured)
    gives = len(inner.graph.operands(inner.graph.output))
    results: tuple[int | None, ...] = (None,) * gives
    operands: tuple[int | None, ...] = (None,) * arguments
    carried: tuple[tuple[int, int], ...] = ()
    if short not in _ELEMENTWISE and arguments == len(op.operands):
        operands = tuple(range(arguments))
    if role not in _DECIDES and role != "cond" and gives == len(op.results):
        results = tuple(range(gives))
    if short == "while" and role == "body":
        carried = tuple((i, i) for i in range(gives))
    return Call(inner.graph.name, operands + captured, results, carried)


def _control(short: str) -> Control | None:
    if short in ("if", "case"):
        return Control("conditional", predicate=0)
    return Control("loop", condition=("cond", 0)) if short == "while" else None


def _custom_call_effects(attrs: dict[str, Any]) -> tuple[str, ...]:
    return CUSTOM_CALL_EFFECTS.get(attrs.get("call_target_name", ""), ("opaque",))


def _sharded(kind: ValueType, facts: dict[str, Any] | FrozenDict[str, Any]) -> ValueType:
    """The type with the sharding that stands beside it, where there is one."""
    text = next((facts[name] for name in _SHARDINGS if name in facts), None)
    return replace(kind, sharding=str(text)) if text is not None and isinstance(kind, TensorType) else kind
