"""TensorFlow Federated's operators.

Source: core/impl/compiler/intrinsic_defs.py of TFF 0.5, 0.20 and 0.87.
"""

from __future__ import annotations

_COUNTING = """
    federated_aggregate federated_collect federated_reduce federated_secure_modular_sum federated_secure_select
    federated_secure_sum federated_secure_sum_bitwidth federated_select federated_sum
"""
_PURE = """
    federated_apply federated_broadcast federated_eval_at_clients federated_eval_at_server federated_map federated_map_all_equal
    federated_max federated_mean federated_min federated_value_at_clients federated_value_at_server federated_weighted_mean
    federated_zip_at_clients federated_zip_at_server generic_divide generic_multiply generic_plus generic_zero sequence_map
    sequence_reduce sequence_sum call function literal placement select struct tensorflow xla
"""

CANONICAL: dict[str, str] = {}

EFFECTS: dict[str, tuple[str, ...]] = {
    **{f"tff.{name}": ("collective",) for name in _COUNTING.split()},
    "tff.data": ("io",),
}
"""What is ``collective`` depends on how many take part, even where each one's value is a constant."""

KNOWN: frozenset[str] = frozenset({*EFFECTS, *(f"tff.{name}" for name in _PURE.split())})
"""Operators whose doings are known; any other intrinsic is opaque."""
