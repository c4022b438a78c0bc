"""What the vocabulary says of an operation by its name."""

from __future__ import annotations

import pytest

from graphlab.ir.ops import asks_size, asks_type, differs
from graphlab.ir.vocabulary.queries import QUERIES, SIZES


def test_who_asks_for_a_size_asks_for_a_type() -> None:
    assert SIZES < QUERIES


@pytest.mark.parametrize(("op", "size"), [("aten::size", True), ("aten::size.int", True), ("aten::stride", False), ("aten::numel", False)])
def test_sizes_are_told_from_other_queries(op: str, size: bool) -> None:
    assert asks_type(op)
    assert asks_size(op) is size


@pytest.mark.parametrize(
    ("op", "attrs", "unequal"),
    [
        ("jax.ne", {}, True),
        ("jax.eq", {}, False),
        ("hlo.compare", {"direction": "NE"}, True),
        ("hlo.compare", {"direction": "EQ"}, False),
        ("stablehlo.compare", {"comparison_direction": "NE"}, True),
    ],
)
def test_not_equal_is_known_by_name_or_by_attribute(op: str, attrs: dict[str, str], unequal: bool) -> None:
    assert differs(op, attrs) is unequal
