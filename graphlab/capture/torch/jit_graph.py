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
from graphlab.capture.torch.script_region import CONTROL, ROLES, Callee, Region, block_call, member, module_node
from graphlab.capture.torch.script_types import unmangled
from graphlab.capture.torch.values import Ties
from graphlab.ir.frames import FrameTable
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.graph import Call, Graph


@dataclass(frozen=True, slots=True)
class Instance:
    """A module that is known while reading: where it hangs in the model, and torch's object."""

    path: str
    object: Any

    def member(self, name: str) -> str:
        return member(self.path, name)


@dataclass(slots=True)
class _Body:
    """One torch graph with its blocks: what all of its regions share."""

    name: str
    scope: str
    function: str
    modules: dict[int, Instance] = field(default_factory=dict)
    """Values known to be modules, by torch's number of the value."""


@dataclass(slots=True, kw_only=True)
class _Region(Region[Any]):
    """A region whose values are told apart by torch's number of them."""

    body: _Body
    ids: set[str] = field(default_factory=set)
    kinds: Counter[str] = field(default_factory=Counter)

    def id(self, wanted: str) -> str:
        while wanted in self.ids:
            wanted += "'"
        self.ids.add(wanted)
        return wanted

    def key(self, value: Any) -> int:
        number: int = value.unique()
        return number

    def input_id(self, value: Any) -> str:
        return self.id(value.debugName())

    def module(self, value: Any) -> tuple[str, dict[str, Any]] | None:
        module = self.body.modules.get(value.unique())
        return None if module is None else (self.id(value.debugName()), _module_node(module, value))

    def capture(self, value: Any) -> None:
        self.add_input(value, value_type(value.type()), None)


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
            name = unmangled(qualified_name).removeprefix("__torch__.")
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
        region = _Region(graph, body=body)
        for value in inputs:
            region.add_input(value, value_type(value.type()), value.debugName().partition(".")[0])
        region.own_inputs = len(inputs)
        for node in block.nodes():
            self._node(region, node)
        region.finish(region.id("output"), block.outputs())
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
        region.add(id, data, operands, results)

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
            region.follow(operands[0], id)
            data["name"] = instance.member(name)
            callee = self._method(instance, name)
            operands = operands[1:]
        data["calls"] = callee.called(len(operands))
        return operands

    def _call_function(self, region: _Region, id: str, data: dict[str, Any], operands: list[Any]) -> list[Any]:
        called = operands[0]
        function = self.find(called.type().annotation_str)
        if function is None:
            data["effects"] = ("opaque",)
            return operands
        region.follow(called, id)
        callee = self._function(function.qualified_name, function)
        data["name"] = callee.name
        data["calls"] = callee.called(len(operands) - 1)
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
        roles = ROLES.get(kind) or [f"block_{i}" for i in range(len(blocks))]
        if kind in CONTROL:
            data["control"] = CONTROL[kind]
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
            calls[role] = block_call(kind, inner, captured, sum(1 for _ in block.outputs()))
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
    return module_node(instance.path, unmangled(value.type().annotation_str))


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
