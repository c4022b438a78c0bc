"""Whether two programs are the same but for names, order and metadata: proved either way, or said to be open."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from graphlab.diff.changes import GraphDiff
from graphlab.diff.colours import Palette
from graphlab.diff.engine import diff_programs
from graphlab.ir.program import Program


@dataclass(frozen=True, slots=True)
class Equality:
    """``verdict`` with what it rests on, in words; ``diff`` is the one it was drawn from."""

    verdict: Literal["equal", "different", "open"]
    reason: str
    diff: GraphDiff


def equality(a: Program, b: Program, *, names: tuple[str, str] | None = None) -> Equality:
    """Compare two programs.

    Equal: every node of one was found to be one of the other, and node by node, edge by edge that was checked. Different:
    something that every renaming and reordering leaves as it is does not agree. Open: neither could be shown.
    """
    diff = diff_programs(a, b, names=names)
    if diff.equal and diff.unchecked:
        return Equality("open", f"equal but for {len(diff.unchecked):,} constants whose values cannot be had", diff)
    if diff.equal:
        return Equality("equal", f"all {len(diff.matches):,} nodes correspond one to one, checked with every edge", diff)
    palette = Palette(a, b)
    counts = [len(table) for table in palette.tables], [len(table.src) for table in palette.tables]
    for what, (one, two) in zip(("nodes", "edges"), counts, strict=True):
        if one != two:
            return Equality("different", f"{one:,} {what} and {two:,}", diff)
    if a.dims != b.dims or len(a.signatures) != len(b.signatures):
        return Equality("different", "the ranges of their dimensions or their signatures do not agree", diff)
    views = [("what nodes are by themselves", palette.seated)]
    views += [(f"what nodes are within {reach + 1} steps", [side[reach] for side in palette.near]) for reach in range(len(palette.near[0]))]
    views += [("what nodes depend on", palette.up), ("what depends on nodes", palette.down)]
    for what, (left, right) in views:
        if Counter(left) != Counter(right):
            only = (Counter(left) - Counter(right)).total()
            return Equality("different", f"{what}: {only:,} nodes of one have no like in the other", diff)
    return Equality("open", "no invariant tells them apart, and no correspondence without changes was found", diff)
