"""Trip counts of While loops, where they can be proved from constants and static shapes."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from graphlab.ir.frozen import EMPTY
from graphlab.ir.graph import Call, Control, Graph, Use
from graphlab.ir.values import TensorType

_DEPTH = 64  # how far a value is followed
_FOLD: dict[str, Callable[[int, int], int]] = {
    "tf.AddV2": operator.add, "tf.Add": operator.add, "tf.Sub": operator.sub, "tf.Mul": operator.mul,
    "tf.Maximum": max, "tf.Minimum": min,
}  # fmt: skip
# Of one element, these are that element.
_PASS = (
    "tf.Identity", "tf.Cast", "tf.Squeeze", "tf.Reshape", "tf.ExpandDims", "tf.StopGradient", "tf.Max", "tf.Min", "tf.Sum", "tf.Prod",
)  # fmt: skip
# comparison -> (whether the counter stands first, how far past the bound the last round may be)
_COMPARE = {"tf.Less": (True, 0), "tf.LessEqual": (True, 1), "tf.Greater": (False, 0), "tf.GreaterEqual": (False, 1)}


@dataclass(frozen=True, slots=True)
class _Site:
    graph: str
    node: str
    role: str
    call: Call


@dataclass(frozen=True, slots=True)
class _Bound:
    """One condition on the loop: ``counter < limit``."""

    count: int | None
    slot: int | None


def count_trips(graphs: Mapping[str, Graph]) -> None:
    """Set ``trip_count`` and ``trip_slot`` on the Control of every loop for which they are provable.

    Provable is: the loop goes on while ``counter < limit`` (or a conjunction of such), where the
    counter starts at a known integer and grows by a known positive step, and the limit is known.
    The operand slot is given where start is 0 and step 1, and the limit is that operand, unchanged.
    """
    resolver = _Resolver(graphs)
    for name, graph in graphs.items():
        for id, data in graph.nodes(data=True):
            control: Control | None = data.get("control")
            calls = data.get("calls", EMPTY)
            if control is None or control.form != "loop" or "cond" not in calls or "body" not in calls:
                continue
            bounds = list(_bounds(resolver, name, id, calls["cond"], calls["body"]))
            counts = [bound.count for bound in bounds]
            known = [count for count in counts if count is not None]
            slots = [bound.slot for bound in bounds if bound.slot is not None]
            trip_count = min(known) if known and len(known) == len(counts) else None
            data["control"] = replace(control, trip_count=trip_count, trip_slot=slots[0] if slots else None)


def _bounds(resolver: _Resolver, name: str, id: str, cond: Call, body: Call) -> Iterator[_Bound]:
    graph = resolver.graphs[cond.graph]
    waiting = graph.operands(graph.output)[:1]
    while waiting:
        src, data = resolver.through(graph, waiting.pop())
        if data.get("op") == "tf.LogicalAnd":
            waiting += graph.operands(src.src)
            continue
        yield _bound(resolver, resolver.feeding(name, id), src, cond, body)


def _bound(resolver: _Resolver, outer: Mapping[int, int | None], condition: Use, cond_call: Call, body: Call) -> _Bound:
    """One comparison of a loop's condition. ``outer``: operand slot of the loop → its integer, where it can be told."""
    unknown = _Bound(None, None)
    cond = resolver.graphs[cond_call.graph]
    compare = _COMPARE.get(cond.nodes[condition.src].get("op", ""))
    if compare is None:
        return unknown
    operands = cond.operands(condition.src)
    counter, limit = operands if compare[0] else reversed(operands)
    counter_data = resolver.through(cond, counter)[1]
    limit_use, limit_data = resolver.through(cond, limit)
    if counter_data["kind"] != "input" or not _integer(counter_data):
        return unknown
    k: int = counter_data["index"]
    step, start = resolver.step(body, k), outer.get(k)
    if step is None or step <= 0 or start is None:
        return unknown
    slot: int | None = None
    if limit_data["kind"] == "input":
        j: int = limit_data["index"]
        if not resolver.invariant(body, j):
            return unknown
        bound = outer.get(j)
        slot = j if (start, step, compare[1]) == (0, 1, 0) else None
    else:
        bound = resolver.value(cond.name, limit_use)
    return _Bound(None if bound is None else max(0, -((start - bound - compare[1]) // step)), slot)


def _integer(data: Mapping[str, Any]) -> bool:
    kind = next(iter(data.get("outputs", ())), None)
    return isinstance(kind, TensorType) and kind.dtype.startswith(("int", "uint")) and kind.elements in (1, None)


class _Resolver:
    """Follows scalar integers through a program's graphs."""

    def __init__(self, graphs: Mapping[str, Graph]) -> None:
        self.graphs = graphs
        self._sites: dict[str, list[_Site]] = {}
        for name, graph in graphs.items():
            for id, data in graph.nodes(data=True):
                for role, call in data.get("calls", EMPTY).items():
                    self._sites.setdefault(call.graph, []).append(_Site(name, id, role, call))

    def through(self, graph: Graph, use: Use) -> tuple[Use, dict[str, Any]]:
        """Where a value comes from, identities skipped: the use that leaves its origin, and the origin's data."""
        data = graph.nodes[use.src]
        for _ in range(_DEPTH):
            if data.get("op") != "tf.Identity":
                break
            use = graph.operands(use.src)[0]
            data = graph.nodes[use.src]
        return use, data

    def feeding(self, name: str, id: str) -> dict[int, int | None]:
        """Operand slot → the integer a node is given there, ``None`` where it cannot be told."""
        return {use.dst_port: self.value(name, use) for use in self.graphs[name].operands(id)}

    def invariant(self, body: Call, k: int) -> bool:
        """Whether a loop's body hands its input ``k`` on unchanged."""
        graph = self.graphs[body.graph]
        _, data = self.through(graph, graph.operands(graph.output)[k])
        return data["kind"] == "input" and data.get("index") == k

    def step(self, body: Call, k: int) -> int | None:
        """What a loop's body adds to its input ``k`` in each round."""
        graph = self.graphs[body.graph]
        use, data = self.through(graph, graph.operands(graph.output)[k])
        if data.get("op") not in ("tf.AddV2", "tf.Add"):
            return None
        for this, other in (operands := graph.operands(use.src), operands[::-1]):
            _, origin = self.through(graph, this)
            if origin["kind"] == "input" and origin.get("index") == k:
                return self.value(graph.name, other)
        return None

    def value(self, name: str, use: Use, depth: int = 0) -> int | None:
        """The integer a value is at every run, where that can be told."""
        graph = self.graphs[name]
        data = graph.nodes[use.src]
        if depth > _DEPTH:
            return None
        if data["kind"] == "constant":
            constant = data.get("value")
            scalar = constant is not None and constant.available and constant.type.elements == 1
            return int(constant.array().item()) if scalar and _integer(data) else None
        if data["kind"] == "input":
            return self._entering(name, data["index"], depth)
        operands = graph.operands(use.src)
        op = data.get("op", "")
        if op in _PASS:
            return self.value(name, operands[0], depth + 1) if _integer(data) else None
        if op in _FOLD and len(operands) == 2:
            left, right = (self.value(name, operand, depth + 1) for operand in operands)
            return None if left is None or right is None else _FOLD[op](left, right)
        if op == "tf.StridedSlice":
            return self._dim(name, use.src, depth)
        return None

    def _entering(self, name: str, index: int, depth: int) -> int | None:
        """A region's input, where the region is used at one place and a loop does not change it."""
        sites = self._sites.get(name, [])
        nodes = {(site.graph, site.node) for site in sites}
        if len(nodes) != 1:
            return None
        site = sites[0]
        calls = self.graphs[site.graph].nodes[site.node]["calls"]
        if "body" in calls and not self.invariant(calls["body"], index):
            return None
        slot = site.call.operands[index]
        feeding = [use for use in self.graphs[site.graph].operands(site.node) if use.dst_port == slot]
        return self.value(site.graph, feeding[0], depth + 1) if feeding else None

    def _dim(self, name: str, id: str, depth: int) -> int | None:
        """``tf.shape(x)[k]`` where that dim of ``x`` is static."""
        graph = self.graphs[name]
        operands = graph.operands(id)
        attrs = graph.nodes[id].get("attrs", EMPTY)
        shape, data = self.through(graph, operands[0])
        if data.get("op") != "tf.Shape" or attrs.get("shrink_axis_mask") != 1 or len(operands) != 4:
            return None
        k = self.value(name, operands[1], depth + 1)
        of = graph.operands(shape.src)[0]
        kind = graph.nodes[of.src]["outputs"][of.src_port]
        if k is None or not isinstance(kind, TensorType) or kind.dims is None or not -len(kind.dims) <= k < len(kind.dims):
            return None
        dim = kind.dims[k]
        return dim if isinstance(dim, int) else None


__all__ = ["count_trips"]
