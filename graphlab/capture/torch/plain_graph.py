"""A ``torch.fx`` graph as a file tells it, and its way into the IR: the twin of ``fx_graph`` for files, without torch.

Readers of ``.pt2`` archives and of compile logs make :class:`PlainGraph`s; :class:`PlainWalk` gives them the names,
attributes, effects and regions that ``fx_graph.Walk`` gives the live graph.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

from graphlab.capture.torch.operators import NOTHING, also, canonical_for, operator
from graphlab.capture.torch.regions import Bound, Callee, Region, region
from graphlab.errors import FormatError
from graphlab.ir.frozen import EMPTY, FrozenDict
from graphlab.ir.graph import Call, Graph, Operand
from graphlab.ir.values import OpaqueType, TensorType, ValueType

MAX_DEPTH = 40
"""Graphs within graphs, and lists within lists of arguments, that are followed."""

UNKNOWN = OpaqueType("unknown")
"""A value of which the file tells no type."""
REGION = (OpaqueType("graph"),)
"""What a ``get_attr`` of a graph yields: no value of the model's, the graph itself."""

Kind = Literal["placeholder", "call_function", "call_method", "call_module", "get_attr", "output"]


@dataclass(frozen=True, slots=True)
class Ref:
    """Among arguments: the value of the node of that name."""

    name: str


@dataclass(slots=True)
class PlainNode:
    """One fx node.

    Attributes:
        target: dialect-qualified operation, method, module path or attribute; a placeholder's own name.
        type: of its value; ``None`` where the file does not tell it.
        arguments: names of the positional arguments, where the file tells them.
        data: attributes that the reader knows better: a placeholder's kind, value and role.
    """

    name: str
    kind: Kind
    target: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = EMPTY
    type: ValueType | None = None
    arguments: tuple[str, ...] | None = None
    loc: int | None = None
    scope: str = ""
    meta: FrozenDict[str, Any] = EMPTY
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class PlainGraph:
    """The nodes of one graph in order, and the graphs that its ``get_attr`` and ``call_module`` nodes name."""

    nodes: list[PlainNode] = field(default_factory=list)
    graphs: dict[str, PlainGraph] = field(default_factory=dict)


class PlainWalk:
    """One program being built.

    Args:
        asked: the task, for errors.
    """

    def __init__(self, asked: str) -> None:
        self.graphs: dict[str, Graph] = {}
        self._asked = asked
        self._callees: dict[int, Callee] = {}

    def entry(self, name: str, plain: PlainGraph) -> Graph:
        """Walk the graph that runs first, and those used in it.

        Raises:
            FormatError: a name stands for two nodes or none, or graphs nest too deep.
        """
        self.graphs[name] = graph = Graph(name=name)
        self._fill(graph, plain, 0)
        return graph

    def _callee(self, plain: PlainGraph, path: str, depth: int) -> Callee:
        known = self._callees.get(id(plain))
        if known is None:
            if depth > MAX_DEPTH:
                self._refuse(f"its graphs nest more than {MAX_DEPTH} deep", path)
            name = path
            while name in self.graphs:
                name += "'"
            self.graphs[name] = graph = Graph(name=name)
            inputs = sum(1 for node in plain.nodes if node.kind == "placeholder")
            results = Arguments({})
            for node in plain.nodes:
                if node.kind == "output":
                    results.take(node.args)
            known = self._callees[id(plain)] = Callee(name, inputs, len(results.nodes))
            self._fill(graph, plain, depth)
        return known

    def _fill(self, graph: Graph, plain: PlainGraph, depth: int) -> None:
        nodes: list[tuple[str, dict[str, Any]]] = []
        edges: list[tuple[str, str, int, int]] = []
        control: list[tuple[str, str]] = []
        callees: dict[Any, Callee] = {}
        prefix = "" if graph.name in ("main", "") else f"{graph.name}."
        used = {ref.name for node in plain.nodes for ref in refs((node.args, tuple(node.kwargs.values())))}
        types = {node.name: node.type or UNKNOWN for node in plain.nodes}
        inputs = outputs = 0
        for node in plain.nodes:
            uses: list[Ref] = []
            if node.kind == "placeholder":
                data = node.data or {"kind": "input"}
                if data["kind"] == "input":
                    data["index"] = inputs
                    inputs += 1
                data.setdefault("outputs", (types[node.name],))
                if node.target != node.name:
                    data.setdefault("name", node.target)
            elif node.kind == "output":
                arguments = Arguments({})
                taken = arguments.take(node.args[0])
                uses = arguments.nodes
                data = {"kind": "output"}
                if not isinstance(taken, tuple) or len(taken) != len(uses):
                    data["attrs"] = FrozenDict(args=taken)
                outputs += 1
            elif node.kind == "get_attr" and node.target in plain.graphs:
                callees[Ref(node.name)] = self._callee(plain.graphs[node.target], prefix + node.target, depth + 1)
                data = {"kind": "constant", "op": "get_attr", "outputs": REGION, "name": node.target}
            elif node.kind == "get_attr":
                data = {"kind": "constant", "op": "get_attr", "outputs": (types[node.name],), "name": node.target, **node.data}
            elif node.kind == "call_module":
                data, uses = self._call_module(node, plain, prefix, types[node.name], depth)
            elif node.kind == "call_function" and node.target.startswith("higher_order."):
                data, uses = self._higher_order(node, callees, types)
                seen = dict.fromkeys(ref for ref in refs((node.args, tuple(node.kwargs.values()))) if ref in callees)
                control.extend((ref.name, node.name) for ref in seen)
            else:
                data, uses = _call(node, types[node.name], node.name in used)
            if node.loc is not None:
                data["loc"] = node.loc
            if node.scope:
                data["scope"] = node.scope
            if node.meta:
                data["meta"] = FrozenDict({**data.get("meta", EMPTY), **node.meta})
            nodes.append((node.name, data))
            edges.extend((ref.name, node.name, 0, slot) for slot, ref in enumerate(uses))
        names = {name for name, _ in nodes}
        if len(names) != len(nodes):
            [(twice, _)] = Counter(name for name, _ in nodes).most_common(1)
            self._refuse(f"two of its nodes are named '{twice}'", graph.name)
        for src, dst, _, _ in edges:
            if src not in names:
                self._refuse(f"'{dst}' takes the value of '{src}', which is not there", graph.name)
        if outputs != 1:
            self._refuse(f"it has {outputs} outputs where every graph has one", graph.name)
        without = {name for name, data in nodes if not data.get("outputs")}
        for src, dst, _, _ in edges:
            if src in without:
                self._refuse(f"'{dst}' takes the value of '{src}', which has none", graph.name)
        graph.fill(nodes, edges, control)

    def _higher_order(self, node: PlainNode, callees: Mapping[Any, Callee], types: Mapping[str, ValueType]) -> _Made:
        known = operator(node.target)
        bound = Bound(node.args, node.kwargs, callees, Ref)
        made = _fitting(region(node.target, bound, _trips(node, types)), callees.values())
        data: dict[str, Any] = {"kind": "op", "op": node.target, "outputs": (types[node.name],)}
        if made.calls:
            data["calls"] = FrozenDict(made.calls)
        elif known.effects:
            data["effects"] = known.effects
        if made.control is not None:
            data["control"] = made.control
        # graphs are no operands: the names of what they do stand in ``calls``
        roles = {call.graph: f"<{role}>" for role, call in reversed(made.calls.items())}
        arguments = Arguments({ref: roles[callee.name] for ref, callee in callees.items() if callee.name in roles})
        arguments.bind(node.args, node.kwargs, None)
        data["attrs"] = FrozenDict(arguments.attrs)
        return data, arguments.nodes

    def _call_module(self, node: PlainNode, plain: PlainGraph, prefix: str, type: ValueType, depth: int) -> _Made:
        arguments = Arguments({})
        arguments.bind(node.args, node.kwargs, None)
        data: dict[str, Any] = {"kind": "op", "outputs": (type,), "name": node.target}
        called = plain.graphs.get(node.target)
        if called is not None:
            callee = self._callee(called, prefix + node.target, depth + 1)
            slots = {ref: slot for slot, ref in reversed(list(enumerate(arguments.nodes)))}
            names = [each.target for each in called.nodes if each.kind == "placeholder"]
            given = dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
            # by name, as Python passes them; a placeholder that takes its default is not fed
            fed = tuple(slots.get(value) if isinstance(value := given.get(name), Ref) else None for name in names)
            call = Call(callee.name, fed, (0,) * callee.outputs)
            data |= {"op": "torch.fx.GraphModule", "calls": FrozenDict(call=call)}
        else:  # the text does not tell the module's class
            data |= {"op": "torch.nn.Module", "effects": ("opaque",)}
        if arguments.attrs:
            data["attrs"] = FrozenDict(arguments.attrs)
        data["scope"] = node.target.replace(".", "/")
        return data, arguments.nodes

    def _refuse(self, found: str, where: str) -> NoReturn:
        raise FormatError(self._asked, found=found, do="fetch or write the file again", where=where)


_Made = tuple[dict[str, Any], list[Ref]]


def _call(node: PlainNode, value: ValueType, used: bool) -> _Made:
    known = operator(f"method.{node.target}" if node.kind == "call_method" else node.target)
    data: dict[str, Any] = {"kind": "op", "op": known.op}
    if value != NOTHING or used:
        data["outputs"] = (value,)
    canonical = canonical_for(known.canonical, value) if known.canonical else None
    if canonical:
        data["canonical"] = canonical
    arguments = Arguments({})
    names = known.arguments if node.arguments is None else node.arguments
    if known.op == "operator.getitem" and len(node.args) == 2 and isinstance(node.args[0], Ref) and not isinstance(node.args[1], Ref):
        arguments.nodes.append(node.args[0])
        arguments.attrs["index"] = arguments.take(node.args[1])
    else:
        arguments.bind(node.args, node.kwargs, names)
    if arguments.attrs:
        data["attrs"] = FrozenDict(arguments.attrs)
    effects = known.effects
    if known.condition is not None:
        effects = known.effects_here(lambda name: _argument(node, names, known.defaults, name))
    if arguments.attrs.get("inplace") is True:
        effects = also(effects, "writes_state")
    if effects:
        data["effects"] = effects
    return data, arguments.nodes


def _argument(node: PlainNode, names: tuple[str, ...] | None, defaults: Mapping[str, Any], name: str) -> Any:
    if name in node.kwargs:
        found = node.kwargs[name]
    elif names and name in names and names.index(name) < len(node.args):
        found = node.args[names.index(name)]
    else:
        found = defaults[name]
    if isinstance(found, Ref):
        raise KeyError(name)
    return found


def _trips(node: PlainNode, types: Mapping[str, ValueType]) -> int | str | None:
    """Size of the dimension that a scan or a map goes over: the first one of what it goes over."""
    at = {"higher_order.scan": 2, "higher_order.map_impl": 1}.get(node.target)
    scanned = node.args[at] if at is not None and at < len(node.args) else None
    if not isinstance(scanned, tuple) or not scanned or not isinstance(scanned[0], Ref):
        return None
    type = types.get(scanned[0].name)
    if not isinstance(type, TensorType) or not type.dims or type.dims[0] is None:
        return None
    return type.dims[0] if isinstance(type.dims[0], int) else str(type.dims[0])


def _fitting(made: Region, callees: Iterable[Callee]) -> Region:
    """The region without what it says of operands where a damaged file's graph does not take, or give, as many values."""
    known = {callee.name: callee for callee in callees}
    calls = {}
    for role, call in made.calls.items():
        takes, gives = known[call.graph].inputs, known[call.graph].outputs
        operands = call.operands if len(call.operands) == takes else (None,) * takes
        calls[role] = Call(call.graph, operands, call.results, tuple(p for p in call.carried if p[0] < gives and p[1] < takes))
    control = made.control
    if control is not None and control.condition is not None and not known[calls[control.condition[0]].graph].outputs:
        control = None
    return Region(calls, control)


def refs(value: Any) -> Iterator[Ref]:
    """The nodes named within arguments, in order."""
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, tuple):
        for each in value:
            yield from refs(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from refs(each)


class Arguments:
    """The operands of one node in slot order, and its attributes: see ``arguments.Arguments``, whose twin this is."""

    __slots__ = ("attrs", "named", "nodes")

    def __init__(self, named: Mapping[Ref, str]) -> None:
        self.named = named  # nodes that are no values, by what stands for them in the attributes
        self.nodes: list[Ref] = []
        self.attrs: dict[str, Any] = {}

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], names: tuple[str, ...] | None) -> None:
        """Take all arguments, positional ones by the names of the schema."""
        if names is None or len(args) > len(names):
            taken = self.take(args)
            if any(not isinstance(a, Operand) for a in taken):
                self.attrs["args"] = taken
        else:
            for name, arg in zip(names, args, strict=False):
                if isinstance(arg, Ref):
                    self.nodes.append(arg)
                else:
                    self.attrs[name] = self.take(arg)
        for key, arg in kwargs.items():
            self.attrs[key] = self.take(arg)

    def take(self, value: Any) -> Any:
        """One argument as an attribute value; nodes within it become operands."""
        if isinstance(value, Ref):
            if value in self.named:
                return self.named[value]
            self.nodes.append(value)
            return Operand(len(self.nodes) - 1)
        if isinstance(value, tuple):
            return tuple(self.take(v) for v in value)
        if isinstance(value, dict):
            return FrozenDict({str(k): self.take(v) for k, v in value.items()})
        return value
