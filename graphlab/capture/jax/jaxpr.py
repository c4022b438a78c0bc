"""ClosedJaxpr → Program: one graph a distinct jaxpr, one op node an equation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

from graphlab.capture.jax.canonical import canonical
from graphlab.capture.jax.frames import UserFrames
from graphlab.capture.jax.params import attributes
from graphlab.capture.jax.regions import Region, regions, variables
from graphlab.capture.jax.types import constant, dim, value_type
from graphlab.capture.unique import Names
from graphlab.ir.frames import FrameTable
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.graph import Call, Control, Graph
from graphlab.ir.ops import lookup
from graphlab.ir.program import DimRange, Program, Signature, Slot, Source

# Class of a jax effect → ours. A named axis is no effect: it only says which mesh axis is meant.
_EFFECTS: dict[str, tuple[str, ...]] = {
    "NamedAxisEffect": (),
    "ReadEffect": ("reads_state",),
    **dict.fromkeys(("WriteEffect", "AccumEffect", "InternalMutableArrayEffect"), ("writes_state",)),
    **dict.fromkeys(("IOEffect", "OrderedIOEffect", "DebugEffect", "OrderedDebugEffect", "ErrorEffect", "ShapeAssertionEffect"), ("io",)),
}

_Place = tuple[str, int]
"""Where a value comes from: node and output port."""


def read_jaxpr(
    closed: ClosedJaxpr,
    *,
    name: str = "main",
    input_names: Sequence[str] = (),
    output_names: Sequence[str] = (),
    dims: dict[str, DimRange] | None = None,
    native: Any = None,
) -> Program:
    """The program of a jaxpr and of every jaxpr its equations hold, at any depth; each distinct one is one graph.

    ``Program.count()`` is the number of equations. Inputs, closed-over constants, literals and the
    output node are synthetic.

    Args:
        name: the entry graph's name.
        input_names: names of the inputs, where the jaxpr's own (its function's parameters) are not wanted.
        dims: ranges of the symbolic dimensions' names.
    """
    reader = _Reader()
    entry = reader.graph(closed, name, input_names)
    graph = reader.graphs[entry]
    slots = tuple(Slot(graph.node(i).name, graph.node(i).outputs[0]) for i in graph.inputs)
    names = [*output_names, *_result_names(closed.jaxpr)][: len(closed.jaxpr.outvars)]
    outputs = tuple(Slot(n, value_type(v.aval)) for n, v in zip(names, closed.jaxpr.outvars, strict=True))
    return Program(
        graphs=reader.graphs,
        entry=entry,
        source=Source("jax", "jaxpr", "jaxpr", f"jax {jax.__version__}"),
        signatures={entry: Signature(entry, slots, outputs)},
        dims=dims or {},
        frames=reader.frames.table.done(),
        native=native,
    )


class _Reader:
    def __init__(self) -> None:
        self.graphs: dict[str, Graph] = {}
        self.frames = UserFrames(FrameTable())
        self._names = Names()
        # Keyed by identity; the value keeps the jaxpr alive, so that no other can get its address.
        self._done: dict[tuple[int, ...], tuple[str, Jaxpr | ClosedJaxpr]] = {}

    def graph(self, jaxpr: Jaxpr | ClosedJaxpr, hint: str, input_names: Sequence[str] = ()) -> str:
        """The name of the graph of a jaxpr, which is made where it is new."""
        inner, consts = (jaxpr.jaxpr, jaxpr.consts) if isinstance(jaxpr, ClosedJaxpr) else (jaxpr, ())
        key = (id(inner), *map(id, consts))
        if key in self._done:
            return self._done[key][0]
        name = self._names.take(hint)
        self._done[key] = (name, jaxpr)
        self.graphs[name] = graph = Graph(name=name)  # before its callees: graphs stand in the order of discovery
        _Body(self, graph, jaxpr).fill(input_names)
        return name


class _Body:
    """Fills one graph."""

    def __init__(self, reader: _Reader, graph: Graph, jaxpr: Jaxpr | ClosedJaxpr) -> None:
        self.reader = reader
        self.graph = graph
        self.jaxpr = jaxpr
        self.ids = Names()
        self.places: dict[Any, _Place] = {}
        self.nodes: list[tuple[str, dict[str, Any]]] = []
        self.edges: list[tuple[str, str, int, int]] = []

    def fill(self, input_names: Sequence[str]) -> None:
        inner: Jaxpr = self.jaxpr.jaxpr if isinstance(self.jaxpr, ClosedJaxpr) else self.jaxpr
        inputs, results = variables(self.jaxpr)
        names = list(input_names) or _argument_names(inner, len(inputs))
        for index, (var, name) in enumerate(zip(inputs, names, strict=True)):
            id = self._source(var.aval, name, kind="input", index=index)
            self.places[var] = (id, 0)
        if isinstance(self.jaxpr, ClosedJaxpr):
            for var, value in zip(inner.constvars, self.jaxpr.consts, strict=True):
                self.places[var] = (self._source(var.aval, "const", kind="constant", value=constant(value, var.aval)), 0)
        pending: list[tuple[dict[str, Any], list[Region], JaxprEqn]] = []
        for eqn in inner.eqns:
            self._equation(eqn, pending)
        out = self.ids.take("output")
        for slot, var in enumerate(results):
            self._connect(var, out, slot)
        self.nodes.append((out, {"kind": "output", "synthetic": True}))
        self.graph.fill(self.nodes, self.edges)
        for data, found, eqn in pending:
            self._calls(data, found, eqn)

    def _source(self, aval: Any, name: str, **fields: Any) -> str:
        """Add an input or constant: an operand that is no equation."""
        id = self.ids.take(name)
        data = {**fields, "outputs": (value_type(aval),), "synthetic": True}
        if getattr(aval, "weak_type", False):
            data["meta"] = FrozenDict({"weak_type": (True,)})
        self.nodes.append((id, data))
        return id

    def _connect(self, atom: Any, dst: str, slot: int) -> None:
        if isinstance(atom, Literal):
            place = (self._source(atom.aval, "literal", kind="constant", value=constant(atom.val, atom.aval)), 0)
        else:
            place = self.places[atom]
        self.edges.append((place[0], dst, place[1], slot))

    def _equation(self, eqn: JaxprEqn, pending: list[tuple[dict[str, Any], list[Region], JaxprEqn]]) -> None:
        name = eqn.primitive.name
        id = self.ids.take(name)
        for slot, atom in enumerate(eqn.invars):
            self._connect(atom, id, slot)
        attrs, meta = attributes(eqn.params)
        weak = tuple(bool(getattr(var.aval, "weak_type", False)) for var in eqn.outvars)
        if any(weak):
            meta["weak_type"] = weak
        info = lookup(f"jax.{name}")
        data: dict[str, Any] = {
            "kind": "op",
            "op": f"jax.{name}",
            "canonical": info.canonical or canonical(eqn),
            "outputs": tuple(value_type(var.aval) for var in eqn.outvars),
            "attrs": FrozenDict(attrs),
            "meta": FrozenDict(meta),
            "loc": self.reader.frames.of_traceback(eqn.source_info.traceback),
            "scope": str(eqn.source_info.name_stack),
            "effects": _effects(eqn, info.effects),
        }
        data = {key: value for key, value in data.items() if value is not None and value not in ((), "", {})}
        self.nodes.append((id, data))
        for port, var in enumerate(eqn.outvars):
            self.places[var] = (id, port)
        found = regions(eqn)
        if found:
            pending.append((data, found, eqn))

    def _calls(self, data: dict[str, Any], found: list[Region], eqn: JaxprEqn) -> None:
        name = eqn.primitive.name
        own = eqn.params.get("name") or getattr(eqn.params.get("name_and_src_info"), "name", None)
        calls: dict[str, Call] = {}
        for region in found:
            hint = str(own) if own and region.role in ("call", "body") else f"{name}_{region.role}".replace("/", "_")
            calls[region.role] = Call(self.reader.graph(region.jaxpr, hint), region.operands, region.results, region.carried)
        data["calls"] = FrozenDict(calls)
        if name == "cond":
            data["control"] = Control("conditional", predicate=0)
        elif name == "scan":
            length = dim(eqn.params["length"])
            data["control"] = Control("loop", trip_count=length if isinstance(length, int) else str(length))
        elif name == "while":
            data["control"] = Control("loop", condition=("cond", 0))


def _effects(eqn: JaxprEqn, known: tuple[str, ...]) -> tuple[str, ...]:
    """What the vocabulary knows of the primitive, and what the equation itself declares."""
    declared = (effect for e in eqn.effects for effect in _EFFECTS.get(type(e).__name__, ("opaque",)))
    return tuple(sorted({*known, *declared}))


def _argument_names(jaxpr: Jaxpr, count: int) -> list[str]:
    """The traced function's parameter names, with the place of a leaf in them: ``params['dense']['kernel']``."""
    names = getattr(jaxpr.debug_info, "arg_names", None) or ()
    if len(names) != count:
        return [f"in{i}" for i in range(count)]
    return [name or f"in{i}" for i, name in enumerate(names)]


def _result_names(jaxpr: Jaxpr) -> list[str]:
    """``result[0]['loss']`` as the tracer recorded it."""
    names = getattr(jaxpr.debug_info, "result_paths", None) or ()
    count = len(jaxpr.outvars)
    if len(names) != count:
        return [f"out{i}" for i in range(count)]
    return [name or f"out{i}" for i, name in enumerate(names)]
