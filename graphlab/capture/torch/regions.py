"""Higher-order operators: how each one's operands and results pass through the graphs it is given.

Argument orders are those of the operators' ``__call__`` in ``torch/_higher_order_ops`` (torch 2.13).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

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

    Args:
        node: the class of what stands for a node's value among the arguments.
    """

    def __init__(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], callees: Mapping[Any, Callee], node: type) -> None:
        self._callees = callees
        self._node = node
        self.nodes: list[Any] = []
        self.args: list[list[Callee | int | None]] = [list(self._flat(a)) for a in args]
        self.kwargs: dict[str, list[Callee | int | None]] = {k: list(self._flat(v)) for k, v in kwargs.items()}

    def _flat(self, value: Any) -> Iterator[Callee | int | None]:
        if isinstance(value, self._node):
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

    def holds_callee(self, position: int) -> bool:
        """Whether an argument is a graph, or a tuple with one graph in it."""
        return position < len(self.args) and sum(1 for leaf in self.args[position] if isinstance(leaf, Callee)) == 1

    def callee(self, position: int) -> Callee:
        [found] = [leaf for leaf in self.args[position] if isinstance(leaf, Callee)]
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
    if known is None or not all(map(bound.holds_callee, known[1])):
        return _any(bound)
    return known[0](bound, trip_count)


def _call(callee: Callee, operands: Slots, carried: int = 0) -> Call:
    """All results go to the node's one output, which is a tuple of them."""
    return Call(callee.name, operands, (0,) * callee.outputs, tuple((i, i) for i in range(carried)))


def _cond(bound: Bound, _: object) -> Region:
    operands = bound.slots(3)
    calls = {"then": _call(bound.callee(1), operands), "else": _call(bound.callee(2), operands)}
    predicate = bound.slots(0)
    return Region(calls, Control("conditional", predicate=predicate[0] if predicate else None))


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
    score, mask = bound.callee(3), bound.callee(4)
    # the operation makes score, batch, head, query and key index; the mask takes no score
    return Region(
        {
            "score_mod": Call(score.name, (None,) * 5 + bound.slots(7), (None,) * score.outputs),
            "mask_mod": Call(mask.name, (None,) * 4 + bound.slots(8), (None,) * mask.outputs),
        }
    )


# operator -> what it does, and which of its arguments are graphs
_KNOWN: dict[str, tuple[Callable[[Bound, int | str | None], Region], tuple[int, ...]]] = {
    "higher_order.cond": (_cond, (1, 2)),
    "higher_order.while_loop": (_while_loop, (0, 1)),
    "higher_order.scan": (_scan, (0,)),
    "higher_order.map_impl": (_map, (0,)),
    "higher_order.associative_scan": (_associative_scan, (0,)),
    "higher_order.flex_attention": (_flex_attention, (3, 4)),
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
