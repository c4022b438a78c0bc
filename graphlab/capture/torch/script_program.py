"""Lowered TorchScript code walked into the IR: blocks lifted to closed regions, methods and functions followed.

The twin of ``jit_graph``, which does the same with torch's own objects: names, attributes and regions are alike.
A method is lowered once, and made into a graph for every module it is called on.
"""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphlab.capture.torch.restricted_pickle import Call as Pickled, TensorRecord
from graphlab.capture.torch.script_emit import Emitter
from graphlab.capture.torch.script_ir import Block, Node, ScriptGraph, Tensor, Value, constant_of, real
from graphlab.capture.torch.script_nodes import describe, unpacked_state
from graphlab.capture.torch.script_region import CONTROL, ROLES, Callee, Region, block_call, member, module_node
from graphlab.capture.torch.script_source import CodeFile, Library
from graphlab.capture.torch.script_state import SourceRange, Storages, attribute, dtype_of, range_at, storage_key
from graphlab.capture.torch.script_types import Type, unmangled, value_type
from graphlab.errors import FormatError
from graphlab.ir.constants import Constant
from graphlab.ir.frames import FrameTable
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.graph import Call, Graph
from graphlab.ir.values import OpaqueType

MAX_NODES = 4_000_000
"""What is followed through calls: a module that holds itself, or modules without end, stop here."""
MAX_DEPTH = 100
"""Branches and loops within one another."""


@dataclass(frozen=True, slots=True)
class Instance:
    """A module that is known while reading: where it hangs in the model, and what the archive says of it."""

    path: str
    held: Pickled
    type: Type

    def member(self, name: str) -> str:
        return member(self.path, name)


@dataclass(slots=True)
class _Body:
    """One lowered function: what all of its regions share."""

    name: str
    scope: str
    function: str
    file: CodeFile
    graph: ScriptGraph
    modules: dict[Value, Instance] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class _Region(Region[Value]):
    """A region of a lowered function."""

    body: _Body
    ids: dict[str, int] = field(default_factory=dict)
    depth: int = 0

    def id(self, value: Value | None, otherwise: str) -> str:
        """An id: the variable's name with a number where it is taken, or a number behind what kind of node it is."""
        wanted = otherwise if value is None or not value.name else value.name
        count = self.ids.get(wanted, 0)
        if not count:
            self.ids[wanted] = 1
            return wanted
        while (made := f"{wanted}.{count}") in self.ids:
            count += 1
        self.ids[wanted] = count + 1
        self.ids[made] = 1
        return made

    def key(self, value: Value) -> Value:
        return value

    def input_id(self, value: Value) -> str:
        return self.id(value, f"input_{len(self.inputs)}")

    def module(self, value: Value) -> tuple[str, dict[str, Any]] | None:
        module = self.body.modules.get(value)
        return None if module is None else (self.id(value, "module"), _module_node(module))

    def capture(self, value: Value) -> None:
        self.add_input(value, value_type(value.type), value.name)


class Reader:
    """One program being built from an archive's code and state.

    Args:
        constants: the archive's table of constants, as it was unpickled.
        storages, constant_storages: where the tensors of the state and of the table lie.
        archive: what messages call the archive.
    """

    def __init__(self, library: Library, constants: tuple[Any, ...], storages: Storages, constant_storages: Storages, archive: str) -> None:
        self.library = library
        self.constants = constants
        self.storages = storages
        self.constant_storages = constant_storages
        self.archive = archive
        self.frames = FrameTable()
        self.graphs: dict[str, Graph] = {}
        self._callees: dict[tuple[str, str], Callee] = {}
        self._lowered: dict[str, ScriptGraph] = {}
        self._places: dict[tuple[SourceRange, str], int | None] = {}
        self._ties: dict[tuple[Any, ...], str] = {}
        self._states: dict[int, dict[str, Any]] = {}
        self._values: dict[int, tuple[Any, dict[str, Any]]] = {}
        self._names: set[str] = set()
        self._pending: deque[tuple[_Body, list[Value]]] = deque()
        self._nodes = 0

    # -- functions

    def method(self, instance: Instance, method: str) -> Callee:
        """The graph of a module's method."""
        key = (instance.path, method)
        known = self._callees.get(key)
        if known is None:
            held = self.library.classes[instance.type.name]
            graph = self._lower(f"{instance.type.name}.{method}", held.file, held.methods[method], held.type)
            body = _Body(instance.member(method), instance.path.replace(".", "/"), method, held.file, graph)
            known = self._read(key, body, instance)
        return known

    def function(self, name: str, caller: str) -> Callee:
        """The graph of a function, or of a plain class's method, by qualified name; ``caller`` is the graph that calls it."""
        key = ("", name)
        known = self._callees.get(key)
        if known is None:
            found = self.library.function(name)
            if found is None:
                raise FormatError(f"read {self.archive}", found=f"the code calls '{name}', which it does not hold", do=_DO, where=caller)
            own = name.rpartition(".")[2]
            graph = self._lower(name, *found, None)
            file = found[0]
            known = self._read(key, _Body(unmangled(name).removeprefix("__torch__."), "", own, file, graph), None)
        return known

    def _lower(self, name: str, file: CodeFile, definition: ast.FunctionDef, owner: Type | None) -> ScriptGraph:
        graph = self._lowered.get(name)
        if graph is None:
            graph = ScriptGraph(name)
            try:
                Emitter(self.library, file, self.constants, graph).function(definition, owner)
            except RecursionError:
                file.refuse(definition, "its expressions nest too deeply")
            self._lowered[name] = graph
        return graph

    def _read(self, key: tuple[str, str], body: _Body, instance: Instance | None) -> Callee:
        """Give a function its name; it is read when its turn comes, so that calls within calls take no depth."""
        name = body.name
        while name in self._names:
            name += "'"
        body.name = name
        self._names.add(name)
        inputs = body.graph.block.inputs
        if instance is not None:
            body.modules[inputs[0]] = instance
            inputs = inputs[1:]
        self._pending.append((body, inputs))
        made = self._callees[key] = Callee(name, len(inputs), len(body.graph.block.outputs))
        return made

    def finish(self) -> None:
        """Read all that was called and not read yet."""
        while self._pending:
            body, inputs = self._pending.popleft()
            self._region(body, body.name, body.graph.block, inputs, constants=body.graph)

    # -- regions

    def _region(
        self, body: _Body, name: str, block: Block, inputs: list[Value], constants: ScriptGraph | None = None, depth: int = 0
    ) -> _Region:
        if depth > MAX_DEPTH:
            raise FormatError(f"read {self.archive}", found=f"branches and loops nest more than {MAX_DEPTH} deep", do=_DO, where=name)
        self.graphs[name] = graph = Graph(name=name)
        region = _Region(graph, body=body, depth=depth)
        for value in inputs:
            region.capture(value)
        region.own_inputs = len(inputs)
        if constants is not None:
            for node in constants.constants.values():
                self._constant(region, node)
        for node in block.nodes:
            self._node(region, node)
        region.finish(region.id(None, "output"), [real(value) for value in block.outputs])
        self._nodes += len(region.nodes)
        if self._nodes > MAX_NODES:
            raise FormatError(f"read {self.archive}", found=f"its calls unfold to more than {MAX_NODES:,} nodes", do=_DO, where=name)
        return region

    def _constant(self, region: _Region, node: Node) -> None:
        result = node.outputs[0]
        if node.data is None:
            node.data = {**self._shared(region.body, node), "kind": "constant", **self._constant_value(node)}
        data = node.data
        if region.body.scope:
            data = {**data, "scope": region.body.scope}
        id = region.id(result, "constant")
        region.places[result] = (id, 0)
        region.nodes.append((id, data))

    def _constant_value(self, node: Node) -> dict[str, Any]:
        result, value = node.outputs[0], node.attrs["value"]
        type = value_type(result.type)
        if result.type.kind == "function":
            return {"outputs": (OpaqueType("Function"),), "name": unmangled(value)}
        if isinstance(value, Tensor):
            return attribute(value.held, type, self.constant_storages, where="constants.pkl")
        held = list(value) if result.type.kind == "List" and isinstance(value, tuple) else value
        return attribute(held, type, self.storages, where="")

    def _shared(self, body: _Body, node: Node) -> dict[str, Any]:
        """What a node has wherever its function is used: operation, types, place."""
        data: dict[str, Any] = {"kind": "op", "op": node.kind, "outputs": tuple([value_type(v.type) for v in node.outputs])}
        found = range_at(body.file.ranges(), node.at)
        if found is not None:
            key = (found, body.function)
            if key not in self._places:
                self._places[key] = self.frames.add_stack(found.frames(body.function))
            place = self._places[key]
            if place is not None:
                data["loc"] = place
        if node.kind not in _OWN_WORDS:
            data |= describe(node, [real(value) for value in node.inputs])
        return data

    def _node(self, region: _Region, node: Node) -> None:
        kind = node.kind
        if node.data is None:
            node.data = self._shared(region.body, node)
        data = node.data.copy()
        if region.body.scope:
            data["scope"] = region.body.scope
        if node.outputs:
            id = region.id(node.outputs[0], node.kind.rpartition("::")[2] if not node.outputs[0].name else "")
        else:
            short = kind.rpartition("::")[2]
            id = region.id(None, short)
        operands = [real(value) for value in node.inputs]
        modules = region.body.modules
        if kind not in _OWN_WORDS:
            if node.blocks:
                self._blocks(region, id, data, node, operands)
            elif node.subgraph is not None:
                operands = self._subgraph(region, id, data, node, operands)
        elif kind == "prim::GetAttr" and operands[0] in modules:
            data |= self._get_attribute(modules[operands[0]], node, modules)
            operands = []
        elif kind == "prim::SetAttr" and operands[0] in modules:
            data |= {"name": modules[operands[0]].member(node.attrs["name"]), "effects": ("writes_state",)}
            operands = operands[1:]
        elif kind == "prim::CallMethod":
            operands = self._call_method(region, id, data, node, operands)
        elif kind == "prim::CallFunction":
            operands = self._call_function(region, id, data, operands)
        else:  # on an object that is an operand like any other
            data |= describe(node, operands)
        region.add(id, data, operands, node.outputs)

    def _call_method(self, region: _Region, id: str, data: dict[str, Any], node: Node, operands: list[Value]) -> list[Value]:
        name = node.attrs["name"]
        on = operands[0]
        instance = region.body.modules.get(on)
        if instance is None or name not in self.library.classes[instance.type.name].methods:
            data["attrs"] = FrozenDict(name=name)
            full = f"{on.type.name}.{name}"
            if on.type.kind != "class" or self.library.function(full) is None:
                data["effects"] = ("opaque",)
                return operands
            callee = self.function(full, region.graph.name)
        else:
            region.follow(on, id)
            data["name"] = instance.member(name)
            callee = self.method(instance, name)
            operands = operands[1:]
        data["calls"] = callee.called(len(operands))
        return operands

    def _call_function(self, region: _Region, id: str, data: dict[str, Any], operands: list[Value]) -> list[Value]:
        called = operands[0]
        region.follow(called, id)
        callee = self.function(constant_of(called), region.graph.name)
        data["name"] = callee.name
        data["calls"] = callee.called(len(operands) - 1)
        return operands[1:]

    def _blocks(self, region: _Region, id: str, data: dict[str, Any], node: Node, operands: list[Value]) -> None:
        """Read a node's blocks; what they use from outside is appended to its operands."""
        data["control"] = CONTROL[node.kind]
        slots: dict[Value, int] = {}
        calls: dict[str, Call] = {}
        for role, block in zip(ROLES[node.kind], node.blocks, strict=True):
            inner = self._region(region.body, f"{region.graph.name}/{id}.{role}", block, block.inputs, depth=region.depth + 1)
            for value in inner.captures:
                if value not in slots:
                    slots[value] = len(operands)
                    operands.append(value)
            captured = tuple(slots[value] for value in inner.captures)
            calls[role] = block_call(node.kind, inner, captured, len(block.outputs))
        data["calls"] = FrozenDict(calls)

    def _subgraph(self, region: _Region, id: str, data: dict[str, Any], node: Node, operands: list[Value]) -> list[Value]:
        """What a fork runs: it takes the node's operands one by one, modules that are known left out."""
        graph = node.subgraph
        assert graph is not None
        outer = region.body
        body = _Body(f"{region.graph.name}/{id}.call", outer.scope, outer.function, outer.file, graph)
        kept: list[Value] = []
        slots: list[int] = []
        for slot, (value, given) in enumerate(zip(graph.block.inputs, operands, strict=True)):
            known = outer.modules.get(given)
            if known is None:
                kept.append(value)
                slots.append(slot)
            else:
                body.modules[value] = known
        self._region(body, body.name, graph.block, kept, constants=graph, depth=region.depth + 1)
        data["calls"] = FrozenDict(call=Call(body.name, tuple(slots), (0,) * len(graph.block.outputs)))
        return operands

    # -- state

    def _get_attribute(self, owner: Instance, node: Node, modules: dict[Value, Instance]) -> dict[str, Any]:
        result = node.outputs[0]
        own = node.attrs["name"]
        name = owner.member(own)
        state = self._state(owner)
        if own not in state:
            reason = "the module sets it itself when it is loaded, by code that is not run"
            type = value_type(result.type)
            return {"kind": "parameter", "name": name, "outputs": (type,), "value": Constant(type, None, reason=reason)}
        held = state[own]
        module = self.module(name, held)
        if module is not None:
            modules[result] = module
            return _module_node(module)
        key = id(held)
        known = self._values.get(key)
        if known is None:  # the same record on every use: its bytes are found once
            known = self._values[key] = (held, attribute(held, value_type(result.type), self.storages, where="data.pkl"))
        data = {"kind": "parameter", "name": name, **known[1]}
        if not isinstance(held, TensorRecord):
            if data["outputs"][0] != (type := value_type(result.type)):
                data |= attribute(held, type, self.storages, where="data.pkl")
            return data
        cls = self.library.classes[owner.type.name]
        role = "parameter" if own in cls.parameters else "buffer" if own in cls.buffers else "attribute"
        data["attrs"] = FrozenDict(role=role)
        first = self._ties.setdefault(_memory(held), name)
        if first != name:
            data["meta"] = FrozenDict(tied_to=first)
        return data

    def _state(self, owner: Instance) -> Mapping[str, Any]:
        """A module's attributes. One that packs its state itself (``__setstate__``) is looked up in what that method would do."""
        state = owner.held.state
        held = self.library.classes[owner.type.name]
        if "__setstate__" not in held.methods:
            return state if isinstance(state, dict) else {}
        key = id(owner.held)
        known = self._states.get(key)
        if known is None:
            graph = self._lower(f"{owner.type.name}.__setstate__", held.file, held.methods["__setstate__"], held.type)
            known = self._states[key] = unpacked_state(graph, state)
        return known

    def module(self, path: str, held: Any) -> Instance | None:
        """A pickled object as a module; ``None`` where it is none."""
        if not isinstance(held, Pickled):
            return None
        type = self.library.named_type(held.name)
        found = None if type is None else self.library.classes.get(type.name)
        return Instance(path, held, found.type) if found is not None and found.is_module else None


_DO = "the archive is damaged or not TorchScript: write it again"
_OWN_WORDS = frozenset({"prim::GetAttr", "prim::SetAttr", "prim::CallMethod", "prim::CallFunction", "prim::Constant"})
"""What is read otherwise where the object it is done to is known."""


def _memory(held: TensorRecord) -> tuple[Any, ...]:
    key = storage_key(held)
    return (key, held.offset, held.sizes, held.strides, dtype_of(held)) if key else (id(held),)


def _module_node(instance: Instance) -> dict[str, Any]:
    return module_node(instance.path, unmangled(instance.type.name))


__all__ = ["Instance", "Reader"]
