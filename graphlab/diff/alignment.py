"""All steps of alignment in their order."""

from __future__ import annotations

from graphlab.diff.align import Alignment, anchor, anchor_down, begin, settle, settle_unreached
from graphlab.diff.exchange import Exchange
from graphlab.diff.residue import alike, bridge, moved, replaced
from graphlab.diff.votes import Votes
from graphlab.ir.program import Program

LEAST = (2.2, 2.0, 1.6, 1.3)
"""The score a pair needs to be matched by its neighbours' votes, at each level."""


def align(a: Program, b: Program) -> Alignment:
    """Matches of the two programs' nodes and regions, each node and region in at most one."""
    found = begin(a, b)
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
    return found
