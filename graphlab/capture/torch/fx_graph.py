"""A ``torch.fx.Graph`` and all graphs used in it, walked into the IR; shared by ``export`` and ``fx``."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
import torch.fx

from graphlab.capture.torch import ops, source_text
from graphlab.capture.torch.arguments import Arguments
from graphlab.capture.torch.frames import Stacks
from graphlab.capture.torch.modules import describe
from graphlab.capture.torch.operators import also, canonical_for
from graphlab.capture.torch.private import HigherOrderOperator, OpOverload, gives_nothing
from graphlab.capture.torch.regions import Bound, Callee, region
from graphlab.capture.torch.values import Rename, Ties, Types, as_is, class_name, constant, literal, text_constant
from graphlab.errors import GraphlabError
from graphlab.ir.frames import FrameTable
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.graph import Call, Graph
from graphlab.ir.values import OpaqueType, TensorType, ValueType

UNKNOWN = OpaqueType("unknown")
"""A value fx has not run: it need not even be a tensor."""

REGION = (OpaqueType("graph"),)
"""What a ``get_attr`` of a graph module yields: no value of the model's, the graph itself."""

_NOTHING = OpaqueType("None")  # what an assertion returns

Placeholder = Callable[[torch.fx.Node, int], dict[str, Any]]
"""Attributes of an entry's placeholder, by its node and its place among the placeholders."""


class Walk:
    """One program being built from graph modules.

    Args:
        rename: how symbolic dims are spelt.
        known: types of values that nodes do not know themselves.
        buffers: names of the entry's buffers; where absent, what its module registers.
    """

    def __init__(
        self,
        *,
        rename: Rename = as_is,
        known: Mapping[torch.fx.Node, ValueType] | None = None,
        buffers: Collection[str] | None = None,
    ) -> None:
        self.frames = FrameTable()
        self.graphs: dict[str, Graph] = {}
        self._stacks = Stacks(self.frames)
        self._types = Types(rename)
        self._rename = rename
        self._known = known or {}
        self._buffers = buffers
        self._scopes: dict[str, str] = {}
        self._callees: dict[int, Callee] = {}
        self.ties = Ties()

    def entry(self, name: str, module: torch.nn.Module, graph: torch.fx.Graph, placeholder: Placeholder | None = None) -> Graph:
        """Walk the graph that runs first. ``module`` is where its ``get_attr`` and ``call_module`` targets are found."""
        self.graphs[name] = walked = Graph(name=name)
        self._fill(walked, module, graph, placeholder)
        return walked

    def types(self, value: Any) -> ValueType:
        return self._types.of(value)

    def callee(self, module: torch.fx.GraphModule, path: str) -> Callee:
        """The graph of a module used in another one; stored once, under the path it was first met by."""
        known = self._callees.get(id(module))
        if known is None:
            name = path
            while name in self.graphs:
                name += "'"
            self.graphs[name] = graph = Graph(name=name)
            inputs = sum(1 for node in module.graph.nodes if node.op == "placeholder")
            results = Arguments(self._rename)
            results.take(module.graph.output_node().args)
            known = self._callees[id(module)] = Callee(name, inputs, len(results.nodes))
            self._fill(graph, module, module.graph, None)
        return known

    def _fill(self, graph: Graph, module: torch.nn.Module, source: torch.fx.Graph, placeholder: Placeholder | None) -> None:
        nodes: list[tuple[str, dict[str, Any]]] = []
        edges: list[tuple[str, str, int, int]] = []
        control: list[tuple[str, str]] = []
        callees: dict[torch.fx.Node, Callee] = {}
        prefix = "" if graph.name in ("main", "") else f"{graph.name}."
        inputs = 0
        for node in source.nodes:
            kind = node.op
            uses: list[torch.fx.Node] = []
            if kind == "call_function":
                if isinstance(node.target, HigherOrderOperator):
                    data, uses = self._higher_order(node, callees)
                    control.extend((used.name, node.name) for used in node.all_input_nodes if used in callees)
                else:
                    data, uses = self._call(node, ops.target(node.target))
            elif kind == "placeholder":
                data = {"kind": "input", "index": inputs} if placeholder is None else placeholder(node, inputs)
                inputs += data["kind"] == "input"
                data.setdefault("outputs", (self._value(node),))
                if node.args:
                    data.setdefault("attrs", FrozenDict(default=literal(node.args[0])))
                if node.target != node.name:
                    data.setdefault("name", str(node.target))
            elif kind == "get_attr":
                data = self._get_attr(node, module, prefix, callees)
            elif kind == "output":
                arguments = Arguments(self._rename)
                taken = arguments.take(node.args[0])
                uses = arguments.nodes
                data = {"kind": "output"}
                if not isinstance(taken, tuple) or len(taken) != len(uses):
                    data["attrs"] = FrozenDict(args=taken)
            elif kind == "call_method":
                data, uses = self._call(node, ops.target(str(node.target)))
            else:
                data, uses = self._call_module(node, module, prefix)
            self._place(node, data)
            nodes.append((node.name, data))
            edges.extend((used.name, node.name, 0, slot) for slot, used in enumerate(uses))
        graph.fill(nodes, edges, control)

    def _value(self, node: torch.fx.Node) -> ValueType:
        meta = node.meta
        if node in self._known:
            return self._known[node]
        if "val" in meta:
            return self._types.of(meta["val"])
        if "example_value" in meta:
            return self._types.of(meta["example_value"])
        known = meta.get("tensor_meta")
        if known is not None and hasattr(known, "dtype"):
            return TensorType(str(known.dtype).removeprefix("torch."), tuple(self._types.dim(d) for d in known.shape))
        if isinstance(node.target, OpOverload) and gives_nothing(node.target):
            return _NOTHING
        return UNKNOWN

    def _place(self, node: torch.fx.Node, data: dict[str, Any]) -> None:
        meta = node.meta
        loc = self._stacks.loc(meta.get("stack_trace"))
        if loc is not None:
            data["loc"] = loc
        modules = meta.get("nn_module_stack")
        if modules:
            path = next(reversed(modules.values()))[0]
            scope = self._scopes.get(path)
            if scope is None:
                scope = self._scopes[path] = source_text.scope(path)
            if scope:
                data["scope"] = scope

    def _call(self, node: torch.fx.Node, known: ops.Target) -> tuple[dict[str, Any], list[torch.fx.Node]]:
        data: dict[str, Any] = {"kind": "op", "op": known.op}
        value = self._value(node)
        if value != _NOTHING or node.users:
            data["outputs"] = (value,)
        if known.canonical:
            canonical = canonical_for(known.canonical, value)
            if canonical:
                data["canonical"] = canonical
        arguments = Arguments(self._rename)
        if node.target is operator.getitem and not isinstance(node.args[1], torch.fx.Node):
            arguments.nodes.append(node.args[0])
            arguments.attrs["index"] = arguments.take(node.args[1])
        else:
            arguments.bind(node.args, node.kwargs, known.arguments)
        if arguments.attrs:
            data["attrs"] = FrozenDict(arguments.attrs)
        effects = known.effects
        if known.condition is not None:
            effects = ops.effects_here(known, _argument(node, known))
        if arguments.attrs.get("inplace") is True:
            effects = also(effects, "writes_state")
        if effects:
            data["effects"] = effects
        return data, arguments.nodes

    def _get_attr(self, node: torch.fx.Node, module: torch.nn.Module, prefix: str, callees: dict[torch.fx.Node, Callee]) -> dict[str, Any]:
        target = str(node.target)
        held = _attribute(module, target)
        if isinstance(held, torch.fx.GraphModule):
            callees[node] = self.callee(held, prefix + target)
            return {"kind": "constant", "op": "get_attr", "outputs": REGION, "name": target}
        if isinstance(held, torch.Tensor):
            role = "buffer" if self._is_buffer(module, target, prefix) else "constant"
            if isinstance(held, torch.nn.Parameter):
                role = "parameter"
            held_tensor = self._types.tensor(held)
            tied = None if prefix or role == "constant" else self.ties.meta(target, held)
            return {
                "kind": "constant" if role == "constant" else "parameter",
                "op": "get_attr",
                "outputs": (held_tensor,),
                "name": target,
                "attrs": FrozenDict(role=role),
                "value": constant(held, held_tensor),
                **({} if tied is None else {"meta": tied}),
            }
        held_type = OpaqueType(class_name(type(held)))
        text = repr(held) if isinstance(held, (bool, int, float, str)) else held_type.name
        return {"kind": "constant", "op": "get_attr", "outputs": (held_type,), "name": target, "value": text_constant(held_type, text)}

    def _is_buffer(self, module: torch.nn.Module, path: str, prefix: str) -> bool:
        if not prefix and self._buffers is not None:
            return path in self._buffers
        owner, _, name = path.rpartition(".")
        holder = _attribute(module, owner) if owner else module
        return isinstance(holder, torch.nn.Module) and name in dict(holder.named_buffers(recurse=False))

    def _higher_order(self, node: torch.fx.Node, callees: dict[torch.fx.Node, Callee]) -> tuple[dict[str, Any], list[torch.fx.Node]]:
        known = ops.target(node.target)
        bound = Bound(node.args, node.kwargs, callees, torch.fx.Node)
        made = region(known.op, bound, self._trips(known.op, node))
        data: dict[str, Any] = {"kind": "op", "op": known.op, "outputs": (self._value(node),)}
        if made.calls:
            data["calls"] = FrozenDict(made.calls)
        elif known.effects:
            data["effects"] = known.effects
        if made.control is not None:
            data["control"] = made.control
        # graphs are no operands: the names of what they do stand in ``calls``
        roles = {call.graph: f"<{role}>" for role, call in reversed(made.calls.items())}
        arguments = Arguments(self._rename, {used: roles[callee.name] for used, callee in callees.items() if callee.name in roles})
        arguments.bind(node.args, node.kwargs, None)
        data["attrs"] = FrozenDict(arguments.attrs)
        return data, arguments.nodes

    def _trips(self, op: str, node: torch.fx.Node) -> int | str | None:
        """Size of the dimension that a scan or a map goes over: the first one of what it goes over."""
        at = {"higher_order.scan": 2, "higher_order.map_impl": 1}.get(op)
        scanned = node.args[at] if at is not None else None
        if not isinstance(scanned, (tuple, list)) or not scanned or not isinstance(scanned[0], torch.fx.Node):
            return None
        type = self._value(scanned[0])
        if not isinstance(type, TensorType) or not type.dims or type.dims[0] is None:
            return None
        return type.dims[0] if isinstance(type.dims[0], int) else str(type.dims[0])

    def _call_module(self, node: torch.fx.Node, module: torch.nn.Module, prefix: str) -> tuple[dict[str, Any], list[torch.fx.Node]]:
        path = str(node.target)
        called = _attribute(module, path)
        arguments = Arguments(self._rename)
        arguments.bind(node.args, node.kwargs, None)
        data: dict[str, Any] = {"kind": "op", "outputs": (self._value(node),), "name": path}
        if isinstance(called, torch.fx.GraphModule):
            callee = self.callee(called, prefix + path)
            slots = {used: slot for slot, used in reversed(list(enumerate(arguments.nodes)))}
            operands = tuple(slots.get(given) for given in _given(called, node))
            data |= {"op": "torch.fx.GraphModule", "calls": FrozenDict(call=Call(callee.name, operands, (0,) * callee.outputs))}
        else:
            data |= describe(called, data["outputs"][0])
        attrs = {**data.get("attrs", {}), **arguments.attrs}
        if attrs:
            data["attrs"] = FrozenDict(attrs)
        data.setdefault("scope", path.replace(".", "/"))
        return data, arguments.nodes


def _given(called: torch.fx.GraphModule, node: torch.fx.Node) -> list[Any]:
    """What a call passes for each placeholder of a graph module; ``None`` where it takes its default."""
    names = [str(each.target) for each in called.graph.nodes if each.op == "placeholder"]
    by_name = dict(zip(names, node.args, strict=False)) | node.kwargs
    return [by_name.get(name) for name in names]


def _argument(node: torch.fx.Node, known: ops.Target) -> Callable[[str], Any]:
    def value(name: str) -> Any:
        if name in node.kwargs:
            found = node.kwargs[name]
        elif known.arguments and name in known.arguments:
            at = known.arguments.index(name)
            found = node.args[at] if at < len(node.args) else ops.default(node.target, name)
        else:
            raise KeyError(name)
        if isinstance(found, torch.fx.Node):
            raise KeyError(name)
        return found

    return value


def _attribute(module: torch.nn.Module, path: str) -> Any:
    held: Any = module
    for part in path.split("."):
        if not hasattr(held, part):
            found = f"its graph names '{path}', which it does not hold"
            raise GraphlabError("walk a graph module", found=found, do="add it, or take its nodes out of the graph")
        held = getattr(held, part)
    return held
