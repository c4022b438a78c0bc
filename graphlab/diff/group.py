"""The same change in many places is one line: grouping for display."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from graphlab.diff.changes import (
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
from graphlab.diff.keys import plain
from graphlab.ir.graph import Call

_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Group:
    """Changes that are the same but for numbers in names: ``region`` and ``scope`` have ``#`` for each number."""

    region: str
    scope: str
    changes: tuple[Change, ...]


def general(name: str) -> str:
    """``layer_12/add.3`` → ``layer_#/add.#``."""
    return _DIGITS.sub("#", name)


def grouped(changes: Iterable[Change]) -> tuple[Group, ...]:
    """Groups in the order of their first change."""
    groups: dict[tuple[str, str, Hashable], list[Change]] = defaultdict(list)
    for change in changes:
        match change:
            case GraphAdded(name=name) | GraphRemoved(name=name):
                key = (general(name), "")
            case SignatureChanged() | DimChanged():
                key = ("", "")
            case _:
                key = (general(change.at.to.graph), general(change.at.scope))
        groups[*key, (type(change).__name__, _what(change))].append(change)
    return tuple(Group(region, scope, tuple(members)) for (region, scope, _), members in groups.items())


def _what(change: Change) -> Hashable:
    match change:
        case Added(at=at, feeds=feeds):
            return (at.op, change.data.get("outputs"), tuple(map(_feed, feeds)))
        case Removed(at=at, outputs=outputs, feeds=feeds):
            return (at.op, outputs, tuple(map(_feed, feeds)))
        case OpChanged(at=at, old=old, new=new):
            return (at.op, old, new)
        case AttributeChanged(at=at):
            return (at.op, change.field, change.key, plain(change.old), plain(change.new))
        case TypeChanged(at=at):
            return (at.op, change.port, change.old, change.new)
        case ConstantChanged(at=at):
            return (at.op, *(None if c is None else c.type for c in (change.old, change.new)))
        case CallChanged(at=at):
            return (at.op, change.role, _call(change.old), _call(change.new))
        case Rewired(at=at):
            return (at.op, change.kind, change.slot, _source(change.old), _source(change.new))
        case OperandsReordered(at=at):
            return (at.op, change.order)
        case Moved(at=at):
            return (at.op, None if at.a is None else general(at.a.graph))
        case GraphAdded(nodes=nodes):
            return tuple(sorted(node.at.op for node in nodes))
        case GraphRemoved(nodes=count):
            return count
        case SignatureChanged(name=name) | DimChanged(name=name):
            return name


def _feed(feed: Feed) -> Hashable:
    return (feed.kind, feed.slot, _source(feed.source))


def _source(source: Source | None) -> Hashable:
    return None if source is None else (source.op, source.port)


def _call(call: Call | None) -> Hashable:
    return None if call is None else (general(call.graph), call.operands, call.results, call.carried)
