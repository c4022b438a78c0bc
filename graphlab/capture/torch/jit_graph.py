"""TorchScript graphs walked into the IR: blocks lifted to closed regions, methods and functions followed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from graphlab.capture.torch import jit_nodes
from graphlab.capture.torch.jit_values import Locations, attribute, literal_constant, value_type
from graphlab.capture.torch.private import script_function, slot_role
from graphlab.capture.torch.values import Ties
from graphlab.ir.frames import FrameTable
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.graph import Call, Control, Graph
from graphlab.ir.values import OpaqueType


@dataclass(frozen=True, slots=True)
class Instance:
    """A module that is known while reading: where it hangs in the model, and torch's object."""

    path: str
    object: Any

    def member(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name


@dataclass(frozen=True, slots=True)
class Callee:
    """A method or function that has a graph of its own. ``inputs`` and ``outputs`` are counts."""

    name: str
    inputs: int
    outputs: int


@dataclass(slots=True)
class _Body:
    """One torch graph with its blocks: what all of its regions share."""

    name: str
    scope: str
    function: str
    modules: dict[int, Instance] = field(default_factory=dict)
    """Values known to be modules, by torch's number of the value."""


@dataclass(slots=True)
class _Region:
    """One graph of the IR being filled.

    ``captures`` are values from outside, in the order they were first used.
    """

    body: _Body
    graph: Graph
    places: dict[int, tuple[str, int]] = field(default_factory=dict)
    captures: list[Any] = field(default_factory=list)
    own_inputs: int = 0
    nodes: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    edges: list[tuple[str, str, int, int]] = field(default_factory=list)
    control: list[tuple[str, str]] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    kinds: Counter[str] = field(default_factory=Counter)
    inputs: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def id(self, wanted: str) -> str:
        while wanted in self.ids:
            wanted += "'"
        self.ids.add(wanted)
        return wanted

    def input(self, value: Any, *, name: str | None = None) -> None:
        id = self.id(value.debugName())
        data: dict[str, Any] = {"kind": "input", "index": len(self.inputs), "outputs": (value_type(value.type()),), "synthetic": True}
        if name and name != id:
            data["name"] = name
        self.inputs.append((id, data))
        self.places[value.unique()] = (id, 0)

    def find(self, value: Any) -> tuple[str, int]:
        """The node and port of a value; one from outside becomes an input."""
        place = self.places.get(value.unique())
        if place is not None:
            return place
        module = self.body.modules.get(value.unique())
        if module is not None:  # a module passed as a value: known here, so it need not come in
            id = self.id(value.debugName())
            self.nodes.append((id, {**_module_node(module, value), "op": "module", "synthetic": True}))
            self.places[value.unique()] = (id, 0)
        else:
            self.input(value)
            self.captures.append(value)
        return self.places[value.unique()]


class Reader:
    """One program being built from TorchScript.

    The object a method is called on is no operand: it is known, so the callee is read for that
    very instance, and its parameters have their full names and values. Where it is not known (an
    object of a scripted class) it is an operand like any other.

    Args:
        find: the function of a qualified name; a module loaded from a file has its own.
    """

    def __init__(self, find: Callable[[str], Any | None] = script_function) -> None:
        self.find = find
        self.frames = FrameTable()
        self.graphs: dict[str, Graph] = {}
        self._locations = Locations(self.frames)
        self._callees: dict[tuple[str, str], Callee] = {}
        self._ties = Ties()

    def module(self, module: Any) -> str:
        """Read a module's ``forward``; returns its graph's name."""
        return self._method(Instance("", module._c), "forward").name

    def function(self, function: Any) -> str:
        """Read a function; returns its graph's name."""
        return self._function(function.qualified_name, function).name

    def _method(self, instance: Instance, method: str) -> Callee:
        key = (instance.path, method)
        if key not in self._callees:
            scope = instance.path.replace(".", "/")
            graph = instance.object._get_method(method).graph
            self._callees[key] = self._read(_Body(instance.member(method), scope, method), graph, instance)
        return self._callees[key]

    def _function(self, qualified_name: str, function: Any) -> Callee:
        key = ("", qualified_name)
        if key not in self._callees:
            name = jit_nodes.unmangled(qualified_name).removeprefix("__torch__.")
            self._callees[key] = self._read(_Body(name, "", name.rpartition(".")[2]), function.graph, None)
        return self._callees[key]

    def _read(self, body: _Body, graph: Any, instance: Instance | None) -> Callee:
        while body.name in self.graphs:
            body.name += "'"
        inputs = list(graph.inputs())
        if instance is not None:
            body.modules[inputs[0].unique()] = instance
            inputs = inputs[1:]
        _find_modules(graph, body.modules)
        self._region(body, body.name, graph, inputs)
        return Callee(body.name, len(inputs), sum(1 for _ in graph.outputs()))

    def _region(self, body: _Body, name: str, block: Any, inputs: list[Any]) -> _Region:
        """Read a graph or a block into a graph of its own."""
        self.graphs[name] = graph = Graph(name=name)
        region = _Region(body, graph)
        for value in inputs:
            region.input(value, name=value.debugName().partition(".")[0])
        region.own_inputs = len(inputs)
        for node in block.nodes():
            self._node(region, node)
        out = region.id("output")
        region.nodes.append((out, {"kind": "output", "synthetic": True}))
        for slot, value in enumerate(block.outputs()):
            src, port = region.find(value)
            region.edges.append((src, out, port, slot))
        graph.fill(region.inputs + region.nodes, region.edges, region.control)
        return region

    def _node(self, region: _Region, node: Any) -> None:
        kind = node.kind()
        results = list(node.outputs())
        short = kind.rpartition("::")[2]
        region.kinds[short] += 1
        id = region.id(results[0].debugName() if results else f"{short}_{region.kinds[short]}")
        data: dict[str, Any] = {"kind": "op", "op": kind, "outputs": tuple(value_type(v.type()) for v in results)}
        place = self._locations.of(node, region.body.function)
        if place is not None:
            data["loc"] = place
        if region.body.scope:
            data["scope"] = region.body.scope
        operands = list(node.inputs())
        modules = region.body.modules
        if kind == "prim::Constant":
            data |= literal_constant(node)
        elif kind == "prim::GetAttr" and operands[0].unique() in modules:
            data |= _get_attribute(modules[operands[0].unique()], node, modules, self._ties)
            operands = []
        elif kind == "prim::SetAttr" and operands[0].unique() in modules:
            data |= {"name": modules[operands[0].unique()].member(node.s("name")), "effects": ("writes_state",)}
            operands = operands[1:]
        elif kind == "prim::CallMethod":
            operands = self._call_method(region, id, data, node, operands)
        elif kind == "prim::CallFunction":
            operands = self._call_function(region, id, data, operands)
        else:
            data |= jit_nodes.describe(node, operands)
            self._blocks(region, id, data, node, operands)
        for slot, value in enumerate(operands):
            src, port = region.find(value)
            region.edges.append((src, id, port, slot))
        for port, value in enumerate(results):
            region.places[value.unique()] = (id, port)
        region.nodes.append((id, data))

    def _call_method(self, region: _Region, id: str, data: dict[str, Any], node: Any, operands: list[Any]) -> list[Any]:
        name = node.s("name")
        on = operands[0].unique()
        instance = region.body.modules.get(on)
        if instance is None:
            method = self.find(f"{operands[0].type().annotation_str}.{name}")
            data["attrs"] = FrozenDict(name=name)
            if method is None:
                data["effects"] = ("opaque",)
                return operands
            callee = self._function(method.qualified_name, method)
        else:
            if on in region.places:
                region.control.append((region.places[on][0], id))
            data["name"] = instance.member(name)
            callee = self._method(instance, name)
            operands = operands[1:]
        data["calls"] = _calls(callee, len(operands))
        return operands

    def _call_function(self, region: _Region, id: str, data: dict[str, Any], operands: list[Any]) -> list[Any]:
        called = operands[0]
        function = self.find(called.type().annotation_str)
        if function is None:
            data["effects"] = ("opaque",)
            return operands
        if called.unique() in region.places:
            region.control.append((region.places[called.unique()][0], id))
        callee = self._function(function.qualified_name, function)
        data["name"] = callee.name
        data["calls"] = _calls(callee, len(operands) - 1)
        return operands[1:]

    def _blocks(self, region: _Region, id: str, data: dict[str, Any], node: Any, operands: list[Any]) -> None:
        """Read a node's blocks and subgraphs; what they use from outside is appended to its operands."""
        blocks = list(node.blocks())
        for key in node.attributeNames():
            if node.kindOf(key) == "g":
                self._subgraph(region, id, data, node.g(key), operands)
        if not blocks:
            return
        kind = node.kind()
        if kind == "prim::If":
            roles = ["then", "else"]
            data["control"] = Control("conditional", predicate=0)
        elif kind == "prim::Loop":
            roles = ["body"]
            data["control"] = Control("loop", predicate=1, condition=("body", 0), trip_slot=0)
        else:
            roles = [f"block_{i}" for i in range(len(blocks))]
        slots: dict[int, int] = {}
        calls: dict[str, Call] = {}
        for role, block in zip(roles, blocks, strict=True):
            body = region.body
            inner = self._region(body, f"{region.graph.name}/{id}.{role}", block, list(block.inputs()))
            for value in inner.captures:
                if value.unique() not in slots:
                    slots[value.unique()] = len(operands)
                    operands.append(value)
            captured = tuple(slots[value.unique()] for value in inner.captures)
            given = inner.own_inputs
            outputs = sum(1 for _ in block.outputs())
            if kind == "prim::Loop":  # (index, carried…) -> (condition, carried…)
                own: tuple[int | None, ...] = (None, *range(2, given + 1))
                results: tuple[int | None, ...] = (None, *range(outputs - 1))
                carried = tuple((i, i) for i in range(1, outputs))
            else:
                own = (None,) * given
                results = tuple(range(outputs)) if kind == "prim::If" else (None,) * outputs
                carried = ()
            calls[role] = Call(inner.graph.name, own + captured, results, carried)
        data["calls"] = FrozenDict(calls)

    def _subgraph(self, region: _Region, id: str, data: dict[str, Any], graph: Any, operands: list[Any]) -> None:
        """A graph held as an attribute (``fork``, a fusion group): it takes the node's operands one by one."""
        body = _Body(f"{region.graph.name}/{id}.call", region.body.scope, region.body.function)
        inputs = list(graph.inputs())
        kept: list[Any] = []
        slots: list[int] = []
        for slot, (value, outer) in enumerate(zip(inputs, operands, strict=True)):
            known = region.body.modules.get(outer.unique())
            if known is None:
                kept.append(value)
                slots.append(slot)
            else:
                body.modules[value.unique()] = known
        _find_modules(graph, body.modules)
        self._region(body, body.name, graph, kept)
        outputs = sum(1 for _ in graph.outputs())
        same = outputs == len(data["outputs"]) and data["op"] != "prim::fork"  # a fork yields a future of them
        results: tuple[int | None, ...] = tuple(range(outputs)) if same else (0,) * outputs
        data["calls"] = FrozenDict(call=Call(body.name, tuple(slots), results))


def _calls(callee: Callee, operands: int) -> FrozenDict[str, Call]:
    given = min(operands, callee.inputs)
    slots: tuple[int | None, ...] = (*range(given), *(None for _ in range(callee.inputs - given)))
    return FrozenDict(call=Call(callee.name, slots, tuple(range(callee.outputs))))


def _all_nodes(block: Any) -> Iterator[Any]:
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from _all_nodes(inner)


def _find_modules(graph: Any, modules: dict[int, Instance]) -> None:
    """Add every value of a graph that is a known module's submodule."""
    for node in _all_nodes(graph):
        if node.kind() == "prim::GetAttr":
            owner = modules.get(node.inputsAt(0).unique())
            if owner is not None:
                held = owner.object.getattr(node.s("name"))
                if isinstance(held, torch.ScriptModule):
                    modules[node.output().unique()] = Instance(owner.member(node.s("name")), held)


def _module_node(instance: Instance, value: Any) -> dict[str, Any]:
    return {"kind": "constant", "outputs": (OpaqueType(jit_nodes.unmangled(value.type().annotation_str)),), "name": instance.path or "self"}


def _get_attribute(owner: Instance, node: Any, modules: dict[int, Instance], ties: Ties) -> dict[str, Any]:
    result = node.output()
    module = modules.get(result.unique())
    if module is not None:
        return _module_node(module, result)
    own = node.s("name")
    held, name = owner.object.getattr(own), owner.member(own)
    data = {"name": name, **attribute(held, value_type(result.type()))}
    if isinstance(held, torch.Tensor):
        data["attrs"] = FrozenDict(role=slot_role(owner.object, own))
        if (tied := ties.meta(name, held)) is not None:
            data["meta"] = tied
    return data
