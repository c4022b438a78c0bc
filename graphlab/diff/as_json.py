"""A diff as plain data that follows ``diff.schema.json``."""

from __future__ import annotations

import math
from typing import Any

from graphlab.diff.changes import (
    KINDS,
    MISSING,
    Added,
    AttributeChanged,
    CallChanged,
    Change,
    ConstantChanged,
    DimChanged,
    Feed,
    GraphAdded,
    GraphDiff,
    GraphRemoved,
    Moved,
    OpChanged,
    OperandsReordered,
    Removed,
    Rewired,
    SignatureChanged,
    Site,
    Source,
    TypeChanged,
)
from graphlab.ir.constants import Constant
from graphlab.ir.frames import Frame
from graphlab.ir.graph import Call, Control, Operand
from graphlab.ir.program import DimRange, NodeRef, Program, Signature
from graphlab.ir.values import SymDim

VERSION = 1


def diff_json(diff: GraphDiff) -> dict[str, Any]:
    """The whole diff. Attribute values are JSON where JSON has them, else their text."""
    return {
        "graphlab_diff": VERSION,
        "equal": diff.equal,
        "a": _program(diff.a, diff.names[0]),
        "b": _program(diff.b, diff.names[1]),
        "counts": dict(sorted(diff.counts().items())),
        "graphs": [{"a": a, "b": b} for a, b in diff.graphs.items()],
        "changes": [_change(change) for change in diff.changes],
        "rewrites": [{"kind": r.kind, "a": [_ref(x) for x in r.a], "b": [_ref(y) for y in r.b]} for r in diff.rewrites],
        "matches": [{"a": _ref(m.a), "b": _ref(m.b), "confidence": m.confidence, "reason": m.reason} for m in diff.matches],
        "unchecked": [{"a": _ref(a), "b": _ref(b)} for a, b in diff.unchecked],
    }


def _program(program: Program, name: str) -> dict[str, Any]:
    source = program.source
    return {
        "name": name,
        "path": source.path,
        "framework": source.framework,
        "format": source.format,
        "entry": program.entry,
        "nodes": program.count(),
    }


def _ref(ref: NodeRef) -> dict[str, str]:
    return {"graph": ref.graph, "node": ref.node}


def _frame(frame: Frame | None) -> dict[str, Any] | None:
    return None if frame is None else {"file": frame.file, "line": frame.line}


def _source(source: Source | None) -> dict[str, Any] | None:
    return None if source is None else {**_ref(source.node), "port": source.port, "op": source.op}


def _feeds(feeds: tuple[Feed, ...]) -> list[dict[str, Any]]:
    return [{"kind": f.kind, "slot": f.slot, "source": _source(f.source)} for f in feeds]


def _constant(value: Constant | None) -> dict[str, Any] | None:
    return None if value is None else {"type": str(value.type), "nbytes": value.nbytes, "digest": value.digest}


def _call(call: Call | None) -> dict[str, Any] | None:
    if call is None:
        return None
    return {"graph": call.graph, "operands": list(call.operands), "results": list(call.results), "carried": [list(c) for c in call.carried]}


def _signature(signature: Signature | None) -> dict[str, Any] | None:
    if signature is None:
        return None
    inputs, outputs = (
        [{"name": s.name, "type": str(s.type), "role": s.role} for s in slots] for slots in (signature.inputs, signature.outputs)
    )
    return {"graph": signature.graph, "inputs": inputs, "outputs": outputs}


def _range(range: DimRange | None) -> dict[str, Any] | None:
    return None if range is None else {"min": range.min, "max": range.max}


def _value(value: Any) -> Any:
    """An attribute's value: numbers, texts, lists and maps as such; anything else as its text."""
    match value:
        case None | bool() | int() | str():
            return value
        case float() if math.isfinite(value):
            return value
        case tuple():
            return [_value(v) for v in value]
        case dict():
            return {str(k): _value(v) for k, v in value.items()}
        case Constant():
            return _constant(value)
        case Operand():
            return {"operand": value.slot}
        case Control():
            fields = ("form", "predicate", "condition", "trip_slot", "trip_count")
            return {field: _value(getattr(value, field)) for field in fields}
        case SymDim():
            return value.expr
    return str(value)


def _site(site: Site) -> dict[str, Any]:
    return {
        "to": _ref(site.to),
        "a": None if site.a is None else _ref(site.a),
        "b": None if site.b is None else _ref(site.b),
        "op": site.op,
        "scope": site.scope,
        "frame_a": _frame(site.frame_a),
        "frame_b": _frame(site.frame_b),
    }


def _change(change: Change) -> dict[str, Any]:
    record: dict[str, Any] = {"change": KINDS[type(change)]}
    match change:
        case GraphAdded():
            return {**record, "name": change.name, "b": change.b, "nodes": [_change(node) for node in change.nodes]}
        case GraphRemoved():
            return {**record, "name": change.name, "nodes": change.nodes}
        case SignatureChanged():
            return {**record, "name": change.name, "old": _signature(change.old), "new": _signature(change.new)}
        case DimChanged():
            return {**record, "name": change.name, "old": _range(change.old), "new": _range(change.new)}
    record["at"] = _site(change.at)
    match change:
        case Added():
            record["outputs"] = [str(t) for t in change.data.get("outputs", ())]
            record["attrs"] = _value(change.data.get("attrs", {}))
            record["calls"] = {role: _call(c) for role, c in change.data.get("calls", {}).items()}
            record["value"] = _constant(change.data.get("value"))
            record["feeds"] = _feeds(change.feeds)
        case Removed():
            record["outputs"] = [str(t) for t in change.outputs]
            record["feeds"] = _feeds(change.feeds)
        case OpChanged():
            record |= {"old": change.old, "new": change.new}
        case AttributeChanged():
            record |= {"field": change.field, "key": change.key}
            record |= {side: _value(v) for side, v in (("old", change.old), ("new", change.new)) if v is not MISSING}
        case TypeChanged():
            old, new = (None if t is None else str(t) for t in (change.old, change.new))
            record |= {"port": change.port, "aspects": list(change.aspects), "old": old, "new": new}
        case ConstantChanged():
            record |= {"old": _constant(change.old), "new": _constant(change.new)}
        case CallChanged():
            record |= {"role": change.role, "old": _call(change.old), "new": _call(change.new)}
        case Rewired():
            record |= {"kind": change.kind, "slot": change.slot, "old": _source(change.old), "new": _source(change.new)}
        case OperandsReordered():
            record |= {"order": list(change.order), "commutative": change.commutative}
        case Moved():
            record["feeds"] = _feeds(change.feeds)
    return record
