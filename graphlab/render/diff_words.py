"""Changes in words: one terse line each, shared by the terminal and the drawing."""

from __future__ import annotations

from itertools import takewhile
from typing import Any

from graphlab.diff.changes import (
    MISSING,
    Added,
    AttributeChanged,
    CallChanged,
    Change,
    ConstantChanged,
    DimChanged,
    Feed,
    GraphAdded,
    GraphRemoved,
    Moved,
    OpChanged,
    OperandsReordered,
    Removed,
    Rewired,
    SignatureChanged,
    Source,
    TypeChanged,
)
from graphlab.ir.constants import Constant
from graphlab.ir.frames import Frame
from graphlab.ir.graph import Call
from graphlab.ir.program import DimRange, Signature
from graphlab.ir.values import TensorType, TupleType, ValueType
from graphlab.render import units

WIDTH = 80
"""Characters of one value shown; the rest is cut."""


def symbol(change: Change) -> str:
    """``+`` added, ``-`` removed, ``~`` changed."""
    match change:
        case Added() | GraphAdded() | SignatureChanged(old=None) | DimChanged(old=None):
            return "+"
        case Removed() | GraphRemoved() | SignatureChanged(new=None) | DimChanged(new=None):
            return "-"
    return "~"


def subject(change: Change) -> str:
    """What changed: the node's id (A's, where both sides have it), or the graph, signature or dimension."""
    match change:
        case GraphAdded(name=name) | GraphRemoved(name=name) | SignatureChanged(name=name) | DimChanged(name=name):
            return name
    return change.at.to.node


def where(change: Change) -> str:
    """``file:line`` of the change, both sides where they differ; empty where the source does not say."""
    match change:
        case GraphAdded() | GraphRemoved() | SignatureChanged() | DimChanged():
            return ""
    frames: list[Frame] = [f for f in (change.at.frame_a, change.at.frame_b) if f is not None]
    return " -> ".join(dict.fromkeys(map(str, frames)))


def describe(change: Change) -> str:
    """The change without its subject and place: ``hlo.dot: dims of output 0, f32[16,8] -> f32[32,8]``."""
    match change:
        case Added(at=at, data=data, feeds=feeds):
            return f"{at.op}{_types(data.get('outputs', ()))} added{_from(feeds)}"
        case Removed(at=at, outputs=outputs, feeds=feeds):
            return f"{at.op}{_types(outputs)} removed{_from(feeds)}"
        case OpChanged(old=old, new=new, kinds=kinds):
            kind = f" (now a {kinds[1]}, was a {kinds[0]})" if kinds[0] != kinds[1] else ""
            return f"{old} became {new}{kind}"
        case AttributeChanged(at=at, field=field, key=key, old=old, new=new):
            return f"{at.op}: {key or field} {_values(old, new)}"
        case TypeChanged(at=at, port=port, old=old, new=new):
            return f"{at.op}: {' and '.join(change.aspects)} of output {port}, {_changed_types(old, new)}"
        case ConstantChanged(at=at, old=old, new=new):
            was, now = _constant(old), _constant(new)
            return f"{at.op}: another value, {now}" if was == now else f"{at.op}: value {was} -> {now}"
        case CallChanged(at=at, role=role, old=old, new=new):
            return f"{at.op}: {role} {_call(old, new)}"
        case Rewired(at=at, kind="control", old=old, new=new):
            return f"{at.op}: runs after {_source(new)}" if old is None else f"{at.op}: no longer runs after {_source(old)}"
        case Rewired(at=at, slot=slot, old=old, new=new):
            return f"{at.op}: operand {slot} is {_source(new)}, was {_source(old)}"
        case OperandsReordered(at=at, order=order, commutative=commutative):
            return f"{at.op}: operands in the order {list(order)}{' (commutative)' if commutative else ''}"
        case Moved(at=at):
            assert at.a is not None
            return f"{at.op} moved from {at.a.graph} to {at.to.graph}"
        case GraphAdded(nodes=nodes):
            return f"region of {units.count(len(nodes), 'node')} added"
        case GraphRemoved(nodes=number):
            return f"region of {units.count(number, 'node')} removed"
        case SignatureChanged(old=old, new=new):
            return f"signature: {_signature(old, new)}"
        case DimChanged(old=old, new=new):
            return f"range of the dimension: {_range(old)} -> {_range(new)}"


def _cut(text: str) -> str:
    return text if len(text) <= WIDTH else text[: WIDTH - 3] + "..."


def _types(types: tuple[ValueType, ...]) -> str:
    return f" {_cut(', '.join(map(str, types)))}" if types else ""


def _from(feeds: tuple[Feed, ...]) -> str:
    data = [feed for feed in feeds if feed.kind == "data"]
    shown = ", ".join(_source(feed.source) for feed in data[:4])
    return f", on {shown}{', ...' if len(data) > 4 else ''}" if data else ""


def _source(source: Source | None) -> str:
    if source is None:
        return "none"
    return f"{source.node.node}:{source.port}" if source.port > 0 else source.node.node


def _values(old: Any, new: Any) -> str:
    """Both values, cut where they begin to differ rather than before."""
    texts = ["absent" if value is MISSING else repr(value) for value in (old, new)]
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(*texts, strict=False)))
    if same > WIDTH // 2 and max(map(len, texts)) > WIDTH:
        texts = ["..." + text[same - WIDTH // 4 :] for text in texts]
    return " -> ".join(map(_cut, texts))


def _changed_types(old: ValueType | None, new: ValueType | None) -> str:
    if isinstance(old, TupleType) and isinstance(new, TupleType) and len(old.elements) == len(new.elements):
        pairs = [(i, x, y) for i, (x, y) in enumerate(zip(old.elements, new.elements, strict=True)) if x != y]
        shown = "; ".join(f"[{i}] {_cut(str(x))} -> {_cut(str(y))}" for i, x, y in pairs[:2])
        return f"{shown}; ... {len(pairs)} in all" if len(pairs) > 2 else shown
    if isinstance(old, TensorType) and isinstance(new, TensorType) and str(old) == str(new) and old.quantization == new.quantization:
        return f"{old.sharding or 'no sharding'} -> {new.sharding or 'no sharding'}"
    return f"{'none' if old is None else _cut(str(old))} -> {'none' if new is None else _cut(str(new))}"


def _constant(value: Constant | None) -> str:
    return "none" if value is None else _cut(value.preview(4))


def _call(old: Call | None, new: Call | None) -> str:
    if old is None or new is None:
        return f"is {new.graph}, was none" if new else f"was {old.graph if old else 'none'}, is none"
    if old.graph != new.graph:
        return f"is {new.graph}, was {old.graph}"
    parts = [name for name in ("operands", "results", "carried") if getattr(old, name) != getattr(new, name)]
    return f"{old.graph}: other {' and '.join(parts)}"


def _signature(old: Signature | None, new: Signature | None) -> str:
    if old is None or new is None:
        return "added" if old is None else "removed"
    said = []
    for what in ("inputs", "outputs"):
        before, after = getattr(old, what), getattr(new, what)
        if len(before) != len(after):
            said.append(f"{len(before)} -> {len(after)} {what}")
            continue
        changed = [(x, y) for x, y in zip(before, after, strict=True) if (x.type, x.role) != (y.type, y.role)]
        said += [f"{x.name} {x.role} {_cut(str(x.type))} -> {y.role} {_cut(str(y.type))}" for x, y in changed[:3]]
        said += [f"... {len(changed)} {what} in all"] if len(changed) > 3 else []
    return "; ".join(said)


def _range(range: DimRange | None) -> str:
    return "none" if range is None else f"{range.min}..{'' if range.max is None else range.max}"
