"""One TorchScript node as an operation: its attributes, its effects, its ONNX counterpart."""

from __future__ import annotations

from functools import cache
from typing import Any

from graphlab.capture.torch.jit_values import value_type
from graphlab.capture.torch.operators import canonical_for
from graphlab.capture.torch.private import Schema
from graphlab.capture.torch.script_types import unmangled
from graphlab.capture.torch.values import constant, literal
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.ops import lookup
from graphlab.ir.values import OpaqueType
from graphlab.ir.vocabulary.torch import EFFECT_IF

_schema = cache(Schema)


def describe(node: Any, operands: list[Any]) -> dict[str, Any]:
    """``canonical``, ``effects``, ``attrs`` and ``meta`` of a node that is an ordinary operation."""
    kind = node.kind()
    text = node.schema()
    schema = None if text.startswith("(no schema)") else _schema(text)
    info = lookup(f"{kind}.{schema.overload}" if schema is not None and schema.overload else kind)
    effects = list(info.effects)
    if schema is not None and schema.mutable and "writes_state" not in effects:
        effects.append("writes_state")
    if node.isNondeterministic() and "random" not in effects:
        effects.append("random")
    if schema is not None:
        _switch(effects, kind, schema, operands)
    data: dict[str, Any] = {}
    results = [value_type(value.type()) for value in node.outputs()]
    canonical = canonical_for(info.canonical, results[0] if results else OpaqueType("None")) if info.canonical else None
    if canonical:
        data["canonical"] = canonical
    if effects:
        data["effects"] = tuple(effects)
    # warn_id is torch's number for a warning among all that this process has compiled
    attrs = {key: _attribute(node, key) for key in node.attributeNames() if node.kindOf(key) not in ("g", "gs") and key != "warn_id"}
    if attrs:
        data["attrs"] = FrozenDict(attrs)
    if schema is not None and schema.overload:
        data["meta"] = FrozenDict(overload=schema.overload)
    return data


def _switch(effects: list[str], kind: str, schema: Schema, operands: list[Any]) -> None:
    """Take out the effect that a constant argument switches off, put in the one it switches on."""
    known = EFFECT_IF.get(kind.replace("::", "."))
    if known is None:
        return
    argument, effect = known
    value = operands[schema.arguments.index(argument)] if argument in schema.arguments else None
    off = value is not None and value.node().kind() == "prim::Constant" and not value.toIValue()
    if off and effect in effects:
        effects.remove(effect)
    elif not off and effect not in effects:
        effects.append(effect)


def _attribute(node: Any, key: str) -> Any:
    kind = node.kindOf(key)
    if kind == "t":
        return constant(node.t(key))
    if kind in ("ty", "tys"):
        return unmangled(str(getattr(node, kind)(key)))
    if kind == "ival":
        return literal(node.ival(key))
    return literal(getattr(node, kind)(key))
