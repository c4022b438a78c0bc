"""TFF's built-in operators: what the functions among their arguments do, and where those run.

Source: core/impl/compiler/intrinsic_defs.py of TFF 0.5, 0.20 and 0.87, and the intrinsics' pages in TFF's documentation.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Use:
    """A function among an operator's arguments.

    Attributes:
        role: what it does for the operator.
        operand: the argument that it gets as it is, each party its own; ``None`` where the operator makes what it gets.
        result: whether its result is the operator's.
        placement: who runs it; ``None`` for whoever holds the operator's result.
    """

    role: str
    operand: int | None = None
    result: bool = False
    placement: str | None = None


_MAP = {0: Use("map", operand=1, result=True)}

FUNCTIONS: dict[str, dict[int, Use]] = {
    "federated_map": _MAP,
    "federated_map_all_equal": _MAP,
    "federated_apply": _MAP,
    "federated_aggregate": {
        2: Use("accumulate", placement="SERVER"),
        3: Use("merge", placement="SERVER"),
        4: Use("report", result=True, placement="SERVER"),
    },
    "federated_reduce": {2: Use("reduce", result=True, placement="SERVER")},
    "federated_eval_at_clients": {0: Use("eval", result=True, placement="CLIENTS")},
    "federated_eval_at_server": {0: Use("eval", result=True, placement="SERVER")},
    "federated_select": {3: Use("select", result=True, placement="SERVER")},
    "federated_secure_select": {3: Use("select", result=True, placement="SERVER")},
    "sequence_map": {0: Use("map", result=True)},
    "sequence_reduce": {2: Use("reduce", result=True)},
}
"""By the operator's URI, and the position among its arguments."""

OF_ONE = frozenset({
    "federated_broadcast", "federated_collect", "federated_eval_at_clients", "federated_eval_at_server", "federated_max",
    "federated_mean", "federated_min", "federated_sum", "federated_value_at_clients", "federated_value_at_server", "sequence_sum",
    "generic_zero",
})  # fmt: skip
"""Operators of one argument: a struct that they take is that argument, and no list of several."""

_SELECTS = (("CLIENTS", "SERVER", (0,)), ("SERVER", "CLIENTS", ()))
MOVES: dict[str, tuple[tuple[str, str, tuple[int, ...]], ...]] = {"federated_select": _SELECTS, "federated_secure_select": _SELECTS}
"""What crosses where types do not tell: from, to, and the operand slots that cross (none: what the operator makes of them)."""

_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "federated_weighted_mean": ("value", "weight"),
    "federated_secure_sum": ("value", "max_input"),
    "federated_secure_sum_bitwidth": ("value", "bitwidth"),
    "federated_secure_modular_sum": ("value", "modulus"),
    "federated_aggregate": ("value", "zero"),
    "federated_reduce": ("value", "zero"),
    "federated_select": ("client_keys", "max_key", "server_value"),
    "federated_secure_select": ("client_keys", "max_key", "server_value"),
    "sequence_reduce": ("sequence", "zero"),
}


def argument_names(uri: str) -> tuple[str, ...]:
    """What an operator's arguments are, by position: the role of a function, ``value`` where nothing else is known."""
    named, roles = _ARGUMENTS.get(uri, ()), FUNCTIONS.get(uri, {})
    count = max(len(named), *(i + 1 for i in roles), 2) if roles else len(named)
    return tuple(roles[i].role if i in roles else named[i] if i < len(named) else "value" for i in range(count))


def plain(uri: str) -> str:
    """The URI without a namespace."""
    return uri.removeprefix("tff.")
