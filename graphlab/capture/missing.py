"""Weights that a file refers to and that are not there: one note of the capture, which ``fidelity`` tells as GL109."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphlab.ir.frozen import FrozenDict, frozen

MISSING_DATA = "missing data"
"""Kind of the ``Source.notes``."""


def missing_data(lost: Mapping[str, tuple[int | None, str]]) -> tuple[FrozenDict[str, Any], ...]:
    """The note, or none where nothing is missing.

    Args:
        lost: path of a file that values should lie in → how many weights have none for it (``None``: nobody knows), and why.
    """
    if not lost:
        return ()
    counts = [count for count, _ in lost.values()]
    count = None if None in counts else sum(number for number in counts if number is not None)
    why = next(iter(lost.values()))[1]
    more = f", and of {len(lost) - 1:,} more file{'s' if len(lost) > 2 else ''} likewise" if len(lost) > 1 else ""
    have = "the weights have" if count is None else "1 weight has" if count == 1 else f"{count:,} weights have"
    return (frozen(kind=MISSING_DATA, text=f"{have} no values: {why}{more}", count=count, files=tuple(lost)),)
