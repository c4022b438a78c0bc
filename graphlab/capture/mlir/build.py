"""MLIR modules → Program: one way for text, for bytecode, and for what JAX lowers to.

Every function is a graph, every region of an operation another, closed: what a region takes from around
it comes in as an input, fed by an operand appended to its operation. Terminators (``func.return``,
``stablehlo.return``) are the graphs' output nodes. Of a region with several blocks each block is a graph:
a branch is a call in last place, whose results are the region's. ``Program.count()`` is the number of
operations within functions; modules, functions and what stands beside them (``sdy.mesh``) are no nodes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphlab.capture.mlir import rules
from graphlab.capture.mlir.cfg import Blocks
from graphlab.capture.mlir.dense import constant, plain
from graphlab.capture.mlir.facts import as_fact, bare_signature, index_path, is_declaration, is_jax, ranges, rows_of, sharded, told_name
from graphlab.capture.mlir.locations import Locations, users as users_of_paths
from graphlab.capture.mlir.module import Block, FunctionType, Location, Module, Operation, Region, Value
from graphlab.capture.mlir.types import type_text
from graphlab.capture.unique import Names
from graphlab.capture.xla.hlo_program import numbered
from graphlab.errors import FormatError
from graphlab.ir.constants import Constant
from graphlab.ir.frames import Frame, FrameTable
from graphlab.ir.frozen import FrozenDict, freeze
from graphlab.ir.graph import Call, Graph
from graphlab.ir.ops import lookup
from graphlab.ir.program import DimRange, Program, Signature, Slot, Source
from graphlab.ir.values import OpaqueType, TensorType, ValueType

_Place = tuple[str, int]

# Facts of the function, not of a value: they are kept elsewhere.
_FUNCTION_FACTS = ("sym_name", "function_type", "arg_attrs", "res_attrs")
_NUMBERED = re.compile(r"_\d+$")  # what makes a symbol unique
_JIT = re.compile(r"p?jit\([^/]*\)/")
_UNKNOWN = OpaqueType("unknown")


def build(
    modules: Sequence[Module],
    *,
    source: Source,
    native: Any = None,
    first_column: int | None = None,
    users: Callable[[Sequence[Frame]], list[Frame]] = users_of_paths,
    frames: FrameTable | None = None,
    dims: Mapping[str, DimRange] | None = None,
    draws: frozenset[str] = frozenset(),
    where: Callable[[int], str] = str,
    file: str = "the MLIR module",
) -> Program:
    """The program of modules of one file. Of several, graphs are called ``module/function``.

    Args:
        first_column: the number that the modules' producer gives a line's first column; by default 0 for JAX's, 1 for others'.
        users: leaves the user's frames of a stack, innermost first.
        dims: ranges of symbolic dimensions, where the caller knows them.
        draws: names of the producer's own operations that draw random numbers. One lowered to a function of
            plain arithmetic leaves its name to that function: the call has the effect ``random``, the
            arithmetic none.
        where: an operation's offset as messages say it.
        file: what messages call the file.

    Raises:
        FormatError: a value is used outside its region, or a branch does not fit the blocks it goes to.
    """
    table = frames or FrameTable()
    graphs: dict[str, Graph] = {}
    signatures: dict[str, Signature] = {}
    metas: dict[str, FrozenDict[str, Any]] = {}
    entry: str | None = None
    names = Names()
    for label, module in zip(numbered([module.name or "module" for module in modules]), modules, strict=True):
        column = first_column if first_column is not None else 0 if is_jax(module) else 1
        walk = _Walk(graphs, names, table, Locations(module.locations, column), users, draws, where, file)
        prefix = f"{label}/" if len(modules) > 1 else ""
        public = walk.module(module, prefix)
        signatures.update(public)
        metas[label] = walk.meta(module)
        first = next((s.graph for name, s in public.items() if name == f"{prefix}main"), None)
        first = first or next((s.graph for s in public.values()), None) or next(iter(walk.functions), None)
        entry = entry or first
    if entry is None:  # declarations only
        entry = names.take(modules[0].name or "module")
        graphs[entry] = Graph(name=entry)
        graphs[entry].add("output", kind="output", synthetic=True)
    if not signatures:
        signatures = {entry: bare_signature(entry, graphs[entry])}
    return Program(
        graphs=graphs,
        entry=entry,
        source=source,
        signatures=signatures,
        dims=dict(dims) if dims is not None else ranges(signatures),
        frames=table.done(),
        meta=next(iter(metas.values())) if len(modules) == 1 else FrozenDict(modules=FrozenDict(metas)),
        native=native,
    )


class _Walk:
    """State of one module's walk."""

    def __init__(
        self, graphs: dict[str, Graph], names: Names, frames: FrameTable, locations: Locations,
        users: Callable[[Sequence[Frame]], list[Frame]], draws: frozenset[str], where: Callable[[int], str], file: str,
    ) -> None:  # fmt: skip
        self.file = file
        self.graphs = graphs
        self.names = names
        self.frames = frames
        self.draws = draws
        self.where = where
        self.functions: dict[str, Operation] = {}
        self.beside: list[FrozenDict[str, Any]] = []
        self.loose = 0
        self._symbols: dict[str, str] = {}
        self._locations = locations
        self._users = users
        self._places: dict[Location, tuple[str, int | None]] = {}
        self.infos: dict[str, tuple[str, Any]] = {}

    def module(self, module: Module, prefix: str) -> dict[str, Signature]:
        """Read a module's functions; the public ones' signatures by name."""
        found: list[tuple[str, str, Operation]] = []
        loose: dict[str, list[Operation]] = {}
        self._collect(module.body, prefix, "", found, loose)
        for key, symbol, op in found:
            name = self.names.take(key)
            self.functions[name] = op
            self._symbols.setdefault(symbol, name)
        signatures: dict[str, Signature] = {}
        for name, op in list(self.functions.items()):
            signature = self._function(name, op)
            if op.attributes.get("sym_visibility", "public") in ("public", ""):
                exported = op.attributes.get("tf_saved_model.exported_names")
                for called in exported if isinstance(exported, tuple) and exported else (name,):
                    signatures[str(called)] = signature
        for key, operations in loose.items():
            name = self.names.take(f"{prefix}{key or module.name or 'module'}")
            self.graphs[name] = graph = Graph(name=name)
            region = _Region(self, graph)
            region.fill(Block([], operations))
            self.functions[name] = operations[0]
            if not self.functions.keys() - {name} and not signatures:
                signatures[name] = bare_signature(name, graph)
        return signatures

    def _collect(
        self, body: list[Operation], prefix: str, scope: str, found: list[tuple[str, str, Operation]], loose: dict[str, list[Operation]]
    ) -> None:
        """Functions with bodies, nested modules' too; what stands beside them; and operations outside of any function."""
        for op in body:
            symbol = op.attributes.get("sym_name")
            blocks = op.regions[0].blocks if len(op.regions) == 1 else []
            if op.name in ("builtin.module", "module") or (op.name.endswith(".module") and blocks):
                inner = f"{scope}{symbol or 'module'}/"
                for block in blocks:
                    self._collect(block.operations, prefix, inner, found, loose)
            elif isinstance(symbol, str) and blocks:
                found.append((f"{prefix}{scope}{symbol}", symbol, op))
            elif isinstance(symbol, str) or is_declaration(op):
                self.beside.append(as_fact(op))
            else:
                loose.setdefault(scope.rstrip("/"), []).append(op)

    def meta(self, module: Module) -> FrozenDict[str, Any]:
        """What the module says beside its functions."""
        facts = {name: freeze(value) for name, value in module.attributes.items() if name != "sym_name"}
        if self.beside:
            facts["beside"] = tuple(self.beside)
        if module.producer:
            facts["producer"] = module.producer
        if self.loose:
            facts["loosely_read"] = self.loose
        return FrozenDict(facts)

    def _function(self, name: str, op: Operation) -> Signature:
        """Read a function with a body; its signature."""
        kept = {key: value for key, value in op.attributes.items() if key not in _FUNCTION_FACTS}
        facts = {str(key): value for key, value in kept.items() if key != "incoming_graph_data"}
        self.graphs[name] = graph = Graph(name=name, **facts)
        entry = op.regions[0].blocks[0]
        told = rows_of(op.attributes.get("arg_attrs"), len(entry.arguments))
        arguments = [(self.place(a.location)[0] or told_name(of), of) for a, of in zip(entry.arguments, told, strict=True)]
        region = _Region(self, graph)
        region.fill_region(op.regions[0], arguments)
        if region.captures:
            raise FormatError(
                f"read the function '{name}' of {self.file}",
                found="it uses a value that is made outside of it",
                do="check that the module is whole",
                where=self.where(op.where),
            )  # fmt: skip
        inputs = tuple(Slot(graph.node(i).name, graph.node(i).outputs[0]) for i in graph.inputs[: len(entry.arguments)])
        returned = region.returned
        given = rows_of(op.attributes.get("res_attrs"), len(returned))
        outputs = tuple(
            Slot(str(of.get("jax.result_info") or index_path(of) or f"out{i}"), sharded(kind, rules.shardings(of, 1)[0]))
            for i, (kind, of) in enumerate(zip(returned, given, strict=True))
        )
        return Signature(name, inputs, outputs)

    def callee(self, symbol: object) -> str | None:
        """The graph of a function with a body, by its symbol; nested ones by their last name."""
        if not isinstance(symbol, str):
            return None
        return self._symbols.get(symbol) or (self._symbols.get(symbol.rpartition("@")[2]) if symbol.startswith("@") else None)

    def arity(self, graph: str) -> tuple[int, int]:
        """Numbers of inputs and results of a function that has a body."""
        op = self.functions[graph]
        entry = op.regions[0].blocks[0]
        kind = op.attributes.get("function_type")
        results = len(Blocks(op.regions[0]).returned)
        if isinstance(kind, FunctionType) and not results:
            results = len(kind.results) if len(op.regions[0].blocks) > 1 else 0
        return len(entry.arguments), results

    def place(self, loc: Location) -> tuple[str, int | None]:
        """A location's name, and the index of its innermost user frame."""
        found = self._places.get(loc)
        if found is None:
            name, frames = self._locations.decode(loc)
            found = self._places[loc] = (name, self.frames.add_stack(self._users(frames)))
        return found


class _Region:
    """Fills the graph of one region, or of one of its blocks.

    Attributes:
        captures: values from around the region, in the order of the inputs appended for them.
        returned: types of what the region gives.
    """

    def __init__(self, walk: _Walk, graph: Graph) -> None:
        self.walk = walk
        self.graph = graph
        self.ids = Names()
        self.captures: list[Value] = []
        self.returned: list[ValueType] = []
        self._places: dict[Value, _Place] = {}
        self._nodes: list[tuple[str, dict[str, Any]]] = []
        self._edges: list[tuple[str, str, int, int]] = []
        self._inputs = 0
        self._block: Block | None = None
        self._made: set[Value] | None = None
        self._deferred: list[tuple[Value, str, int]] = []

    def fill_region(self, region: Region, arguments: Sequence[tuple[str, dict[str, Any]]] = ()) -> None:
        """Read a region. Every block after the first becomes a graph of its own. ``arguments``: names and attributes of a function's."""
        if len(region.blocks) == 1:
            self.fill(region.blocks[0], arguments)
            return
        blocks = Blocks(region)
        names = {block: self.walk.names.take(f"{self.graph.name}.bb{i}") for i, block in enumerate(region.blocks) if i}
        for block in region.blocks[1:]:
            name = names[block]
            self.walk.graphs[name] = graph = Graph(name=name)
            inner = _Region(self.walk, graph)
            inner.fill(block, (), blocks, names)
        self.fill(region.blocks[0], arguments, blocks, {**names, region.blocks[0]: self.graph.name})
        self.returned = list(blocks.returned)

    def fill(
        self, block: Block, arguments: Sequence[tuple[str, dict[str, Any]]] = (), blocks: Blocks | None = None,
        names: Mapping[Block, str] | None = None,
    ) -> None:  # fmt: skip
        """Read one block. Of a region with several, ``blocks`` says what they take from each other, ``names`` their graphs."""
        for i, argument in enumerate(block.arguments):
            name, facts = arguments[i] if arguments else ("", {})
            self._input(argument, f"arg{i}", name, facts)
        if blocks is not None and names is not None:
            for value in blocks.needs[block]:
                self._resolve(value)
        self._block = block
        last = len(block.operations) - 1
        for i, op in enumerate(block.operations):
            if op.successors and blocks is not None and names is not None:
                self._branch(op, blocks, names)
            else:
                self._operation(op, is_last=i == last)
        for value, id, slot in self._deferred:
            place = self._places[value]
            self._edges.append((place[0], id, place[1], slot))
        if not any(data["kind"] == "output" for _, data in self._nodes[-1:]):
            self._nodes.append((self.ids.take("output"), {"kind": "output", "synthetic": True}))
        self.graph.fill(self._nodes, self._edges)

    def _input(self, value: Value, id: str, name: str, facts: Mapping[str, Any]) -> None:
        kind = sharded(value.type, rules.shardings(dict(facts), 1)[0]) if facts else value.type
        id = self.ids.take(id)
        data: dict[str, Any] = {"kind": "input", "index": self._inputs, "outputs": (kind,), "synthetic": True}
        if name:
            data["name"] = name
        if facts:
            data["attrs"] = FrozenDict({str(key): freeze(value) for key, value in facts.items()})
        self._inputs += 1
        self._places[value] = (id, 0)
        self._nodes.append((id, data))

    def _is_made_later(self, value: Value) -> bool:
        """Whether an operation further down makes it, as it may in regions that are graphs and no sequences."""
        if self._made is None:
            operations = [] if self._block is None else self._block.operations
            self._made = {result for op in operations for result in op.results}
        return value in self._made

    def _resolve(self, value: Value) -> _Place:
        place = self._places.get(value)
        if place is None:
            self.captures.append(value)
            self._input(value, "captured", "", {})
            place = self._places[value]
        return place

    def _operation(self, op: Operation, *, is_last: bool) -> None:
        walk, name, attrs = self.walk, op.name, op.attributes
        known = walk.infos.get(name)
        if known is None:
            known = walk.infos[name] = (rules.short_name(name), lookup(name))
        short, info = known
        is_output = is_last and rules.ends_region(op)
        id = self.ids.take("output" if is_output else short)
        data: dict[str, Any] = {"kind": "output" if is_output else "op", "op": name}
        operands = op.operands
        if not operands and name in rules.CONSTANTS and "value" in attrs:
            data["kind"] = "constant"
            data["value"] = _constant(op)
            attrs = {key: value for key, value in attrs.items() if key != "value"}
        calls = self._symbol_calls(op, attrs)
        captured: dict[Value, int] = {}
        if op.regions:
            self._regions(op, short, id, calls, captured)
        edges = self._edges
        for slot, value in enumerate([*operands, *captured] if captured else operands):
            place = self._places.get(value)
            if place is None:
                if self._is_made_later(value):
                    self._deferred.append((value, id, slot))
                    continue
                place = self._resolve(value)
            edges.append((place[0], id, place[1], slot))
        effects = info.effects
        if short == "custom_call":
            effects = rules.custom_call_effects(attrs)
        elif name in ("func.call", "stablehlo.composite", "mhlo.composite") and not calls:
            effects = ("opaque",)  # a function that is declared only
        if name == "func.call" and walk.draws and _NUMBERED.sub("", str(attrs.get("callee"))) in walk.draws:
            effects = ("random",)
        if op.results:
            if "sdy.sharding" in attrs or "mhlo.sharding" in attrs or "mhlo.frontend_attributes" in attrs:
                told = rules.shardings(attrs, len(op.results))
                data["outputs"] = tuple(sharded(r.type, text) for r, text in zip(op.results, told, strict=True))
            else:
                data["outputs"] = tuple([r.type for r in op.results])
        canonical = info.canonical or (rules.canonical_of(short, attrs, [v.type for v in operands]) if operands else None)
        if canonical is not None and data["kind"] != "constant":
            data["canonical"] = canonical
        elif info.canonical is not None:
            data["canonical"] = info.canonical
        if attrs:
            elements = attrs.get("value")
            if isinstance(elements, Constant):
                attrs = {**attrs, "value": plain(elements)}
            data["attrs"] = FrozenDict({key: _kept(value) if type(value) in _MUTABLE else value for key, value in attrs.items()})
        self._describe(op, data, len(captured))
        if effects:
            data["effects"] = effects
        if calls:
            data["calls"] = FrozenDict(calls)
            told_control = rules.control(op, short)
            if told_control is not None:
                data["control"] = told_control
        self._nodes.append((id, data))
        if is_output:
            self.returned = [v.type for v in operands]
        for port, result in enumerate(op.results):
            self._places[result] = (id, port)

    def _describe(self, op: Operation, data: dict[str, Any], captures: int) -> None:
        """What changes no meaning: the place in the source, the name scope, how it was read."""
        told, loc = self.walk.place(op.location) if op.location is not None else ("", None)
        meta: dict[str, Any] = {}
        if told:
            scope, _, primitive = _JIT.sub("", told, count=1).rpartition("/")
            if primitive:
                meta["location"] = primitive
            if scope:
                data["scope"] = scope
        if loc is not None:
            data["loc"] = loc
        if captures:
            meta["captures"] = captures
        if op.loose:
            meta["loosely_read"] = True
            self.walk.loose += 1
        if meta:
            data["meta"] = FrozenDict(meta)

    def _regions(self, op: Operation, short: str, id: str, calls: dict[str, Call], captured: dict[Value, int]) -> None:
        for i, region in enumerate(op.regions):
            if not region.blocks:
                continue
            role = rules.role(short, i, len(op.regions))
            name = self.walk.names.take(f"{self.graph.name}.{id}.{role}")
            self.walk.graphs[name] = graph = Graph(name=name)
            inner = _Region(self.walk, graph)
            inner.fill_region(region)
            slots = []
            for value in inner.captures:
                slots.append(len(op.operands) + captured.setdefault(value, len(captured)))
            calls[role] = rules.region_call(
                op, short, role, graph=name, arguments=len(region.blocks[0].arguments), gives=len(inner.returned), captured=tuple(slots)
            )

    def _branch(self, op: Operation, blocks: Blocks, names: Mapping[Block, str]) -> None:
        """A branch to other blocks: what they give is the region's outcome."""
        slots = rules.successor_operands(op)
        if slots is None:
            raise FormatError(
                f"read the operation '{op.name}' of {self.walk.file}", found="its operands do not fit the blocks it goes to",
                do="check that the module is whole", where=self.walk.where(op.where),
            )  # fmt: skip
        short = rules.short_name(op.name)
        id = self.ids.take(short)
        operands = list(op.operands)
        calls: dict[str, Call] = {}
        extra: dict[Value, int] = {}
        for role, target, own in zip(rules.successor_roles(op), op.successors, slots, strict=True):
            needed = [len(operands) + extra.setdefault(value, len(extra)) for value in blocks.needs[target]]
            calls[role] = Call(names[target], (*own, *needed), tuple(range(len(blocks.returned))))
        for slot, value in enumerate([*operands, *extra]):
            src, port = self._resolve(value)
            self._edges.append((src, id, port, slot))
        data: dict[str, Any] = {"kind": "op", "op": op.name, "outputs": tuple(blocks.returned), "calls": FrozenDict(calls)}
        if op.attributes:
            data["attrs"] = FrozenDict({key: _kept(value) for key, value in op.attributes.items()})
        control = rules.control(op, short)
        if control is not None:
            data["control"] = control
        self._describe(op, data, len(extra))
        self._nodes.append((id, data))
        output = self.ids.take("output")
        self._nodes.append((output, {"kind": "output", "synthetic": True}))
        self._edges += [(id, output, port, port) for port in range(len(blocks.returned))]

    def _symbol_calls(self, op: Operation, attrs: Mapping[str, Any]) -> dict[str, Call]:
        """Calls by symbol: func.call's callee, a composite's decomposition, a custom call's computations."""
        walk = self.walk
        found: dict[str, Call] = {}
        for key, called in _SYMBOLS.items():
            if key not in attrs:
                continue
            value = attrs[key]
            for i, symbol in enumerate(value if isinstance(value, tuple) else (value,)):
                graph = walk.callee(symbol)
                if graph is None:
                    continue
                takes, gives = walk.arity(graph)
                role = called if not isinstance(value, tuple) else f"{called}_{i}"
                straight = not isinstance(value, tuple) and takes == len(op.operands) and gives == len(op.results)
                operands: tuple[int | None, ...] = tuple(range(takes)) if straight else (None,) * takes
                results: tuple[int | None, ...] = tuple(range(gives)) if straight else (None,) * gives
                found[role] = Call(graph, operands, results)
        return found


_MUTABLE = (dict, list, set, FunctionType)
# Attributes that name functions → role.
_SYMBOLS = {
    "callee": "call", "decomposition": "decomposition", "called_computations": "called_computation", "called_computation": "call",
    "symbols": "symbol", "body": "body", "fn": "call",
}  # fmt: skip


def _kept(value: Any) -> Any:
    return OpaqueType(type_text(value)) if isinstance(value, FunctionType) else freeze(value)


def _constant(op: Operation) -> Constant:
    value = op.attributes["value"]
    if isinstance(value, Constant):
        return value
    kind = op.results[0].type if op.results else _UNKNOWN
    return _scalar(kind, value)


def _scalar(kind: ValueType, value: Any) -> Constant:
    """A constant of plain numbers."""
    import numpy as np

    if isinstance(kind, TensorType) and kind.elements is not None:
        import ml_dtypes

        if not kind.elements:
            return constant(kind, b"")

        try:
            dtype = np.dtype(getattr(ml_dtypes, kind.dtype, None) or kind.dtype)
            shape = tuple(d for d in kind.dims or () if isinstance(d, int))
            data = np.ascontiguousarray(np.broadcast_to(np.array(value, dtype=dtype), shape)).tobytes()
        except (TypeError, ValueError, OverflowError):
            return Constant(kind, None, reason=f"its value is {str(value)[:100]}, which does not fit its type")
        return constant(kind, data)
    return Constant(kind, str(value).encode("utf-8", "replace"))
