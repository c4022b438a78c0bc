"""All steps of alignment in their order."""

from __future__ import annotations

from collections import Counter
from typing import Any

from graphlab.diff.align import Alignment, anchor, anchor_down, begin, pair_entries, settle, settle_unreached
from graphlab.diff.colours import Palette
from graphlab.diff.exchange import Exchange
from graphlab.diff.residue import alike, bridge, moved, replaced
from graphlab.diff.votes import Votes
from graphlab.ir.frozen import EMPTY
from graphlab.ir.program import Program

LEAST = (2.2, 2.0, 1.6, 1.3)
"""The score a pair needs to be matched by its neighbours' votes, at each level."""


def align(a: Program, b: Program) -> Alignment:
    """Matches of the two programs' nodes and regions, each node and region in at most one.

    The way back has the same matches: of two programs, the same one is always taken for the first.
    """
    palette = Palette(a, b)
    turned = _rank(palette, 0) > _rank(palette, 1)
    found = begin(palette.flipped() if turned else palette)
    _align(found)
    return found.flipped() if turned else found


def empty(a: Program, b: Program) -> Alignment:
    """Nothing matched."""
    return begin(Palette(a, b))


def _rank(palette: Palette, side: int) -> tuple[int, int, int, str]:
    """What puts two programs in order, whatever their names and the order of their nodes."""
    table = palette.tables[side]
    size = len(table), len(table.src), len(table.names)
    other = palette.tables[1 - side]
    if size != (len(other), len(other.src), len(other.names)):
        return (*size, "")
    mine, theirs = (Counter(palette.near[s][0]) for s in (side, 1 - side))
    # Same sizes: by the nodes that the other has not so, in words.
    only = [i for i, colour in enumerate(palette.near[side][0]) if mine[colour] != theirs[colour]]
    words = sorted(_words(table.data[i]) for i in only)
    return (*size, "\n".join(words))


def _words(data: dict[str, Any]) -> str:
    return f"{data['kind']} {data.get('op')} {data.get('outputs')} {sorted(data.get('attrs', EMPTY).items(), key=str)}"


def _align(found: Alignment) -> None:
    pair_entries(found)
    votes = Votes(found)
    while True:
        for level, least in enumerate(LEAST):
            while True:
                anchor(found, level)
                votes.drain(least)
                if not settle(found):
                    break
        anchor_down(found)
        votes.drain(LEAST[-1])
        bridge(found, votes)
        alike(found, votes)
        # Regions whose callers were matched only now; then those that no match speaks for.
        if not settle(found) and not settle_unreached(found):
            break
    replaced(found)
    Exchange(found).run()
    moved(found)
