"""Which changes count: by topic, and constants within a tolerance."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from graphlab.diff.changes import KINDS, AttributeChanged, Change, ConstantChanged, GraphDiff, OperandsReordered, TypeChanged
from graphlab.errors import DiffError, ValueUnavailable

PLACEMENT = frozenset(("layout", "sharding"))
TOPICS = {
    "layout": "types that differ in layout or sharding alone",
    "constants": "values of constants and parameters",
    "order": "operands in another order where the operation does not care, and inputs in another place",
    **{word: f"changes of the kind '{word}'" for word in KINDS.values()},
}
"""What ``--only``, ``--ignore`` and ``--fail-on`` take. Names and metadata are never compared, so there is nothing to leave out."""


def topics(change: Change) -> set[str]:
    """The topics that a change belongs to."""
    found = {KINDS[type(change)]}
    match change:
        case TypeChanged(aspects=aspects) if set(aspects) <= PLACEMENT:
            found.add("layout")
        case ConstantChanged():
            found.add("constants")
        case OperandsReordered(commutative=True) | AttributeChanged(field="index"):
            found.add("order")
    return found


def select(diff: GraphDiff, *, only: Collection[str] = (), ignore: Collection[str] = (), tolerance: float = 0.0) -> tuple[Change, ...]:
    """The changes that belong to ``only`` (all of them without it), not to ``ignore``, and are no constants within ``tolerance``.

    Args:
        tolerance: the largest difference of two elements that counts as none; types have to be equal.

    Raises:
        DiffError: a topic that is none of :data:`TOPICS`.
    """
    check_topics([*only, *ignore])
    return tuple(
        change
        for change in diff.changes
        if (not only or topics(change) & set(only)) and not topics(change) & set(ignore) and not (tolerance and _near(change, tolerance))
    )


def narrowed(diff: GraphDiff, *, only: Collection[str] = (), ignore: Collection[str] = (), tolerance: float = 0.0) -> GraphDiff:
    """The diff with :func:`select`'s changes alone, to be shown; it can no longer be applied."""
    return replace(diff, changes=select(diff, only=only, ignore=ignore, tolerance=tolerance))


def check_topics(words: Iterable[str]) -> None:
    """Refuse words that are no topic."""
    for word in words:
        if word not in TOPICS:
            raise DiffError(f"select changes by '{word}'", found="there is no such topic", do=f"use one of: {', '.join(TOPICS)}")


def _near(change: Change, tolerance: float) -> bool:
    if not isinstance(change, ConstantChanged) or change.old is None or change.new is None or change.old.type != change.new.type:
        return False
    import numpy as np

    try:
        old, new = (value.array() for value in (change.old, change.new))
    except ValueUnavailable:
        return False
    if old.dtype.kind in "OSU":
        return False
    wide = np.complex128 if old.dtype.kind == "c" else np.float64
    return bool(np.allclose(old.astype(wide), new.astype(wide), rtol=0.0, atol=tolerance, equal_nan=True))
