"""What a lowered node is, taken alone: its attributes, effects and ONNX counterpart; and what a ``__setstate__`` sets."""

from __future__ import annotations

from typing import Any

from graphlab.capture.torch.operators import canonical_for
from graphlab.capture.torch.script_ir import Node, ScriptGraph, Value, constant_of, is_constant, real
from graphlab.capture.torch.script_types import unmangled, value_type
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.ops import lookup
from graphlab.ir.values import OpaqueType
from graphlab.ir.vocabulary.torch import EFFECT_IF


def describe(node: Node, operands: list[Value]) -> dict[str, Any]:
    """``canonical``, ``effects``, ``attrs`` and ``meta`` of a node that is an ordinary operation."""
    kind, schema = node.kind, node.schema
    overload = schema.overload if schema is not None else ""
    info = lookup(f"{kind}.{overload}" if overload else kind)
    effects = list(info.effects)
    if schema is not None:
        if schema.mutable and "writes_state" not in effects:
            effects.append("writes_state")
        condition = EFFECT_IF.get(kind.replace("::", "."))
        if condition is not None:
            argument, effect = condition
            slot = schema.index(argument)
            value = operands[slot] if slot is not None and slot < len(operands) else None
            off = value is not None and is_constant(value) and not constant_of(value)
            if off and effect in effects:
                effects.remove(effect)
            elif not off and effect not in effects:
                effects.append(effect)
    elif kind.startswith("aten::"):  # one that torch 2.13 does not have
        effects.append("opaque")
    data: dict[str, Any] = {}
    result = value_type(node.outputs[0].type) if node.outputs else OpaqueType("None")
    canonical = canonical_for(info.canonical, result) if info.canonical else None
    if canonical:
        data["canonical"] = canonical
    if effects:
        data["effects"] = tuple(effects)
    if node.attrs:
        data["attrs"] = FrozenDict({key: _attribute(value) for key, value in node.attrs.items()})
    if overload:
        data["meta"] = FrozenDict(overload=overload)
    return data


def _attribute(value: Any) -> Any:
    return f"[{', '.join(unmangled(str(each)) for each in value)}]" if isinstance(value, tuple) else value


def unpacked_state(graph: ScriptGraph, state: Any) -> dict[str, Any]:
    """What a lowered ``__setstate__`` puts where, as far as it only takes its argument apart; nothing is run."""
    if len(graph.block.inputs) != 2:
        return {}
    known: dict[Value, Any] = {graph.block.inputs[1]: state}
    found: dict[str, Any] = {}
    for node in graph.block.nodes:
        source = known.get(real(node.inputs[0])) if node.inputs else None
        if node.kind == "prim::TupleUnpack" and isinstance(source, tuple) and len(source) == len(node.outputs):
            known.update(zip(node.outputs, source, strict=True))
        elif node.kind == "prim::TupleIndex" and isinstance(source, tuple):
            index = real(node.inputs[1])
            if is_constant(index) and -len(source) <= constant_of(index) < len(source):
                known[node.outputs[0]] = source[constant_of(index)]
        elif node.kind == "prim::SetAttr" and real(node.inputs[0]) is graph.block.inputs[0]:
            value = real(node.inputs[1])
            if is_constant(value):
                found[node.attrs["name"]] = constant_of(value)
            elif value in known:
                found[node.attrs["name"]] = known[value]
    return found
