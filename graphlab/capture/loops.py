"""The trip count of a counted loop, proved from its two regions."""

from __future__ import annotations

from collections.abc import Callable

from graphlab.ir.graph import Call, Graph, Node
from graphlab.ir.values import TensorType

_COMPARE = {"jax.lt": "LT", "jax.le": "LE", "jax.gt": "GT", "jax.ge": "GE", "jax.ne": "NE"}
_MIRRORED = {"LT": "GT", "LE": "GE", "GT": "LT", "GE": "LE", "NE": "NE"}
_ADD = ("jax.add", "stablehlo.add")
_SUBTRACT = ("jax.sub", "stablehlo.subtract")


def trip_count(cond: Graph, cond_call: Call, body: Graph, body_call: Call, initial: Callable[[int], int | None]) -> int | None:
    """How often the body runs, where the loop counts an integer by a constant step to a constant limit.

    Args:
        cond: region whose first result says whether to go on.
        body: region whose results are carried round.
        initial: the integer that a slot of the loop node is fed with, ``None`` where it is no known scalar.

    Returns:
        The number of trips; ``None`` where this form is not met. Wrap-around of the counter is not modelled.
    """
    results = cond.operands(cond.output)
    if not results:
        return None
    test = cond.node(results[0].src)
    direction = _direction(test)
    if direction is None:
        return None
    left, right = (cond.node(use.src) for use in test.operands)
    for counter, limit, sense in ((left, right, direction), (right, left, _MIRRORED[direction])):
        slot = _slot(counter, cond_call)
        if slot is None:
            continue
        start = initial(slot)
        stop = _invariant(limit, cond_call, body, body_call, initial)
        step = _step(body, body_call, slot, initial)
        if start is not None and stop is not None and step is not None:
            return _trips(start, stop, step, sense)
    return None


def scalar(node: Node) -> int | None:
    """The value of an integer scalar constant, ``None`` for any other node."""
    value = node.value
    if node.kind != "constant" or value is None or not value.available:
        return None
    kind = value.type
    if not isinstance(kind, TensorType) or kind.dims != () or "int" not in kind.dtype:
        return None
    return int(value.array())


def _direction(test: Node) -> str | None:
    direction = test.attrs.get("comparison_direction") if test.op == "stablehlo.compare" else _COMPARE.get(test.op)
    return direction if direction in _MIRRORED else None


def _slot(node: Node, call: Call) -> int | None:
    """The loop node's slot that feeds this input of a region; ``None`` for a node that is no input."""
    if node.kind != "input" or node.index is None:
        return None
    return call.operands[node.index]


def _body_input(body_call: Call, slot: int) -> int | None:
    return body_call.operands.index(slot) if slot in body_call.operands else None


def _invariant(node: Node, call: Call, body: Graph, body_call: Call, initial: Callable[[int], int | None]) -> int | None:
    """The value of a constant, or of an input that no trip changes."""
    slot = _slot(node, call)
    if slot is None:
        return scalar(node)
    taken = _body_input(body_call, slot)
    for out, back in body_call.carried:
        if back == taken:
            use = body.operands(body.output)[out]
            if body.node(use.src).kind != "input" or body.node(use.src).index != taken:
                return None
    return initial(slot)


def _step(body: Graph, body_call: Call, slot: int, initial: Callable[[int], int | None]) -> int | None:
    """What one trip adds to the value that starts in ``slot``."""
    taken = _body_input(body_call, slot)
    out = next((out for out, back in body_call.carried if back == taken), None)
    if taken is None or out is None:
        return None
    change = body.node(body.operands(body.output)[out].src)
    if change.op not in _ADD and change.op not in _SUBTRACT:
        return None
    first, second = (body.node(use.src) for use in change.operands)
    if second.kind == "input" and second.index == taken and change.op in _ADD:
        first, second = second, first
    if first.kind != "input" or first.index != taken:
        return None
    amount = _invariant(second, body_call, body, body_call, initial)
    if amount is None or change.op in _ADD:
        return amount
    return -amount


def _trips(start: int, stop: int, step: int, sense: str) -> int | None:
    if sense == "NE":
        distance = stop - start
        exact = distance == 0 or (step != 0 and distance % step == 0 and distance // step > 0)
        return (distance // step if distance else 0) if exact else None
    if sense in ("GT", "GE"):
        start, stop, step = -start, -stop, -step
    if sense in ("LE", "GE"):
        stop += 1
    if start >= stop:
        return 0
    return -(-(stop - start) // step) if step > 0 else None
