"""Diff: what changed between two programs.

Light on purpose: ``import graphlab`` imports it, so that ``graphlab.diff`` is this function and
``from graphlab.diff.changes import ...`` still reaches the rest.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing's, without importing typing
if TYPE_CHECKING:
    from graphlab.diff.changes import GraphDiff
    from graphlab.ir.program import Program


def diff(a: Program, b: Program, *, names: tuple[str, str] | None = None) -> GraphDiff:
    """What changed from ``a`` to ``b``, aligned by structure, not by names or order.

    The answer is verified: applying it to ``a`` gives a program equal to ``b``.

    Args:
        names: what to call the two; without it each one's file, else its entry's name.
    """
    from graphlab.diff.engine import diff_programs

    return diff_programs(a, b, names=names)
