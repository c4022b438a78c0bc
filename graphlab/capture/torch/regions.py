"""Higher-order operators: how each one's operands and results pass through the graphs it is given.

Argument orders are those of the operators' ``__call__`` in ``torch/_higher_order_ops`` (torch 2.13).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch.fx

from graphlab.ir.graph import Call, Control


@dataclass(frozen=True, slots=True)
class Callee:
    """A graph an operator is given: its name in the Program, its arity, and where in the arguments it stands."""

    name: str
    inputs: int
    outputs: int


@dataclass(frozen=True, slots=True)
class Region:
    """What an operator does with its graphs."""

    calls: dict[str, Call]
    control: Control | None = None


Slots = tuple[int | None, ...]


class Bound:
    """A higher-order node's arguments with graphs resolved and operand slots numbered.

    ``leaves`` are the flattened arguments in order: a :class:`Callee`, an operand slot (int), or
    ``None`` for a literal.
    """

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any], callees: dict[torch.fx.Node, Callee]) -> None:
        self._callees = callees
        self.nodes: list[torch.fx.Node] = []
        self.args: list[list[Callee | int | None]] = [list(self._flat(a)) for a in args]
        self.kwargs: dict[str, list[Callee | int | None]] = {k: list(self._flat(v)) for k, v in kwargs.items()}

    def _flat(self, value: Any) -> Iterator[Callee | int | None]:
        if isinstance(value, torch.fx.Node):
            callee = self._callees.get(value)
            if callee is not None:
                yield callee
                return
            self.nodes.append(value)
            yield len(self.nodes) - 1
        elif isinstance(value, (tuple, list)):
            for v in value:
                yield from self._flat(v)
        elif isinstance(value, dict):
            for v in value.values():
                yield from self._flat(v)
        else:
            yield None

    def slots(self, *positions: int) -> Slots:
        """Operand slots of whole arguments; ``None`` for a literal."""
        return tuple(leaf for p in positions if p < len(self.args) for leaf in self.args[p] if not isinstance(leaf, Callee))

    def callee(self, position: int) -> Callee:
        [found] = self.args[position]
        assert isinstance(found, Callee)
        return found

    def in_order(self) -> list[Callee | int | None]:
        return [leaf for arg in (*self.args, *self.kwargs.values()) for leaf in arg]


def region(op: str, bound: Bound, trip_count: int | str | None = None) -> Region:
    """The calls of a higher-order node.

    Args:
        op: ``higher_order.cond`` …
        trip_count: size of the scanned dimension, for a scan or map.
    """
    known = _KNOWN.get(op)
    return known(bound, trip_count) if known else _any(bound)


def _call(callee: Callee, operands: Slots, carried: int = 0) -> Call:
    """All results go to the node's one output, which is a tuple of them."""
    return Call(callee.name, operands, (0,) * callee.outputs, tuple((i, i) for i in range(carried)))


def _cond(bound: Bound, _: object) -> Region:
    operands = bound.slots(3)
    calls = {"then": _call(bound.callee(1), operands), "else": _call(bound.callee(2), operands)}
    predicate = bound.slots(0)
    return Region(calls, Control("conditional", predicate=predicate[0]))


def _while_loop(bound: Bound, _: object) -> Region:
    carried, more = bound.slots(2), bound.slots(3)
    cond = bound.callee(0)
    calls = {
        "cond": Call(cond.name, carried + more, (None,) * cond.outputs),
        "body": _call(bound.callee(1), carried + more, len(carried)),
    }
    return Region(calls, Control("loop", condition=("cond", 0)))


def _scan(bound: Bound, trips: int | str | None) -> Region:
    init, scanned, more = bound.slots(1), bound.slots(2), bound.slots(3)
    call = _call(bound.callee(0), init + (None,) * len(scanned) + more, len(init))
    return Region({"body": call}, Control("loop", trip_count=trips))


def _map(bound: Bound, trips: int | str | None) -> Region:
    call = _call(bound.callee(0), (None,) * len(bound.slots(1)) + bound.slots(2))
    return Region({"body": call}, Control("loop", trip_count=trips))


def _associative_scan(bound: Bound, _: object) -> Region:
    return Region({"to_apply": _call(bound.callee(0), (None,) * (2 * len(bound.slots(1))) + bound.slots(2))})


def _flex_attention(bound: Bound, _: object) -> Region:
    score = bound.callee(3)
    [mask] = [leaf for leaf in bound.args[4] if isinstance(leaf, Callee)]
    # the operation makes score, batch, head, query and key index; the mask takes no score
    return Region(
        {
            "score_mod": Call(score.name, (None,) * 5 + bound.slots(7), (None,) * score.outputs),
            "mask_mod": Call(mask.name, (None,) * 4 + bound.slots(8), (None,) * mask.outputs),
        }
    )


_KNOWN = {
    "higher_order.cond": _cond,
    "higher_order.while_loop": _while_loop,
    "higher_order.scan": _scan,
    "higher_order.map_impl": _map,
    "higher_order.associative_scan": _associative_scan,
    "higher_order.flex_attention": _flex_attention,
}


def _any(bound: Bound) -> Region:
    """An operator that wraps a call: what follows the graph goes into it, where the counts agree.

    Where they do not, no operand is claimed to be fed: what the operator does with them is not known.
    """
    leaves = bound.in_order()
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Callee)]
    calls: dict[str, Call] = {}
    for at in places:
        callee = leaves[at]
        assert isinstance(callee, Callee)
        after = tuple(leaf for leaf in leaves[at + 1 :] if not isinstance(leaf, Callee))
        nodes_only = tuple(leaf for leaf in after if leaf is not None)
        fed = after if len(after) == callee.inputs else nodes_only if len(nodes_only) == callee.inputs else (None,) * callee.inputs
        calls["call" if len(places) == 1 else f"call_{len(calls)}"] = _call(callee, fed)
    return Region(calls)
