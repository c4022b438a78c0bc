"""Which node of one program corresponds to which of another: by structure; names only break ties.

Regions are paired from the entries down, a matched caller speaking for its callees. Nodes of paired regions
are matched, in this order, at four levels of likeness from strict to loose: what is alone of its colour on
both sides, all that is matched having a colour of its own; then votes of matched neighbours, port by port,
best first. After that: nodes between the same matched ancestors and descendants, by depth where there are
several (repeated blocks); what is left, by likeness; and at last every match that another would make
cheaper is exchanged. Nothing looks at the order in which nodes were added.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from graphlab.diff.colours import Colours, Palette, mixed
from graphlab.diff.tables import Ints, Table
from graphlab.ir.frozen import EMPTY

ROUNDS = (8, 6, 5, 3)
"""How far refinement looks at each level."""
NEAREST = (1, 1, 2, 2)
"""How far it looks at least."""
REGION_PAIRS = 10_000
"""Pairs of regions without matched callers that are compared, at most."""
REPEATS = 3
"""How often anchors are looked for again with those found as colours."""


@dataclass(slots=True)
class Alignment:
    """Matches of two programs' nodes by number, and of their regions.

    Attributes:
        to_b, to_a: node → its counterpart, or -1; ``mates`` the same as arrays.
        graphs, back: region → its counterpart, or -1.
        confidence, reason: by node of A.
    """

    palette: Palette
    to_b: list[int]
    to_a: list[int]
    mates: tuple[Ints, Ints]
    graphs: list[int]
    back: list[int]
    confidence: list[float]
    reason: list[str]
    votes: dict[int, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    """Region of A → regions of B, by how many matched calls speak for them."""

    @property
    def tables(self) -> tuple[Table, Table]:
        return self.palette.tables

    def free(self, i: int, j: int) -> bool:
        """Whether two nodes may be matched: neither is yet, kind and op are the same, and so are the regions."""
        own, (a, b) = self.palette.own[3], self.palette.tables
        return self.to_b[i] < 0 and self.to_a[j] < 0 and own[0][i] == own[1][j] and self.graphs[a.where[i]] == b.where[j]

    def accept(self, i: int, j: int, confidence: float, reason: str) -> None:
        self.to_b[i] = self.mates[0][i] = j
        self.to_a[j] = self.mates[1][j] = i
        self.confidence[i] = confidence
        self.reason[i] = reason
        self._speak(i, j, 1)

    def release(self, i: int) -> None:
        """Take a match back."""
        j = self.to_b[i]
        self.to_b[i] = self.to_a[j] = self.mates[0][i] = self.mates[1][j] = -1
        self._speak(i, j, -1)

    def _speak(self, i: int, j: int, weight: int) -> None:
        a, b = self.palette.tables
        calls = a.data[i].get("calls")
        if calls:
            others = b.data[j].get("calls", EMPTY)
            for role, call in calls.items():
                if role in others:
                    self.votes[a.number[call.graph]][b.number[others[role].graph]] += weight

    def flipped(self) -> Alignment:
        """The same matches from B to A."""
        confidence, reason = [0.0] * len(self.to_a), [""] * len(self.to_a)
        for i, j in enumerate(self.to_b):
            if j >= 0:
                confidence[j], reason[j] = self.confidence[i], self.reason[i]
        palette = self.palette.flipped()
        return Alignment(palette, self.to_a, self.to_b, self.mates[::-1], self.back, self.graphs, confidence, reason)

    def open(self, side: int) -> list[int]:
        """Unmatched nodes of paired regions."""
        open: list[int] = self.open_array(side).tolist()
        return open

    def open_array(self, side: int) -> Ints:
        """The same as an array, in rising order."""
        paired = np.array((self.graphs, self.back)[side])[self.tables[side].region] >= 0
        return np.flatnonzero(paired & (self.mates[side] < 0))


def begin(palette: Palette) -> Alignment:
    """Nothing matched yet."""
    one, two = palette.tables
    return Alignment(
        palette, [-1] * len(one), [-1] * len(two), (np.full(len(one), -1), np.full(len(two), -1)),
        [-1] * len(one.names), [-1] * len(two.names), [0.0] * len(one), [""] * len(one),
    )  # fmt: skip


def pair_entries(found: Alignment) -> None:
    """The entries correspond, and by name the signatures' graphs."""
    one, two = found.tables
    a, b = one.program, two.program
    pair_regions(found, one.number[a.entry], two.number[b.entry])
    for name, signature in a.signatures.items():
        match = b.signatures.get(name)
        if match is not None:
            pair = one.number[signature.graph], two.number[match.graph]
            if found.graphs[pair[0]] < 0 and found.back[pair[1]] < 0:
                pair_regions(found, *pair)


def pair_regions(found: Alignment, one: int, two: int) -> None:
    """Two regions correspond: so do their outputs and, where both take as many of the same element types and ranks, inputs."""
    a, b = found.tables
    found.graphs[one], found.back[two] = two, one
    if a.output[one] >= 0 and b.output[two] >= 0:
        found.accept(a.output[one], b.output[two], 1.0, "the region's output")
    left, right = a.inputs[one], b.inputs[two]
    own = found.palette.own[2]
    if [own[0][i] for i in left] == [own[1][j] for j in right]:
        for i, j in zip(left, right, strict=True):
            found.accept(i, j, 0.95, "the same position among as many inputs")


Candidate = tuple[bool, bool, int, bool, str, str, int, int]
"""Two regions: (not the same, not but for layouts, minus the calls that speak for them, not of one name, names, numbers)."""


def settle(found: Alignment) -> bool:
    """Pair the regions that matched callers speak for, the strongest first. Returns whether there were any."""
    candidates = [
        _candidate(found, one, two, number)
        for one, votes in found.votes.items()
        if found.graphs[one] < 0
        for two, number in votes.items()
        if found.back[two] < 0 and number > 0
    ]
    return _pair_all(found, candidates)


def settle_unreached(found: Alignment) -> bool:
    """Pair regions that no matched caller speaks for, callers first: equal ones, else those most alike in their ops."""
    a, b = found.tables
    left, right = _roots(a, found.graphs), _roots(b, found.back)
    equal: dict[int, list[int]] = defaultdict(list)
    for two in right:
        equal[found.palette.graphs[1][1][b.names[two]]].append(two)
    candidates = [_candidate(found, one, two, 0) for one in left for two in equal[found.palette.graphs[1][0][a.names[one]]]]
    if candidates or len(left) * len(right) > REGION_PAIRS:
        return _pair_all(found, candidates)
    own = found.palette.own[3]
    ops = [
        {r: Counter(own[side][i] for i in table.members(r) if table.data[i]["kind"] == "op") for r in (left, right)[side]}
        for side, table in enumerate(found.tables)
    ]
    for one in left:
        for two in right:
            common = 200 * (ops[0][one] & ops[1][two]).total() // max(1, ops[0][one].total() + ops[1][two].total())
            if common >= 50:
                candidates.append(_candidate(found, one, two, common))
    return _pair_all(found, candidates)


def _roots(table: Table, mates: list[int]) -> list[int]:
    """Unpaired regions that only paired ones use; all unpaired ones where each is used by another."""
    calls = table.calls
    open = [region for region, mate in enumerate(mates) if mate < 0]
    roots = [r for r in open if all(mates[table.number[user]] >= 0 for user in calls.predecessors(table.names[r]))]
    return roots or open


def _candidate(found: Alignment, one: int, two: int, votes: int) -> Candidate:
    name, other = found.tables[0].names[one], found.tables[1].names[two]
    strict, loose = (found.palette.graphs[level][0][name] != found.palette.graphs[level][1][other] for level in (0, 1))
    return strict, loose, -votes, name != other, name, other, one, two


def _pair_all(found: Alignment, candidates: list[Candidate]) -> bool:
    done = False
    for *_, one, two in sorted(candidates):
        if found.graphs[one] < 0 and found.back[two] < 0:
            pair_regions(found, one, two)
            done = True
    return done


def unique_pairs(left: Colours, right: Colours) -> Iterator[tuple[int, int]]:
    """Positions of the colours that occur once on either side."""
    sides = []
    for colours in (left, right):
        values, first, counts = np.unique(colours, return_index=True, return_counts=True)
        sides.append((values[counts == 1], first[counts == 1]))
    _, x, y = np.intersect1d(sides[0][0], sides[1][0], assume_unique=True, return_indices=True)
    return zip(sides[0][1][x].tolist(), sides[1][1][y].tolist(), strict=True)


def anchor(found: Alignment, level: int) -> None:
    """Match what is alone of its colour on both sides, the widest surroundings first."""
    alike = ("is the same", "is the same but for layout and large values", "has the same ops and ranks", "has the same ops")[level]
    palette, sure = found.palette, 1.0 - 0.05 * level
    if level == 0:
        both = [mixed(palette.whole_up[side]) ^ palette.whole_down[side] for side in (0, 1)]
        _take(found, both[0], both[1], sure, f"all it depends on and all that depends on it {alike}")
        deep = [np.array(table.depth) > 0 for table in found.tables]
        _take(found, palette.whole_up[0], palette.whole_up[1], 0.95, f"all it depends on {alike}", (deep[0], deep[1]))
    for _ in range(REPEATS):
        before = int((found.mates[0] >= 0).sum())
        if not (len(found.open_array(0)) and len(found.open_array(1))):
            return
        rounds = [_rounds(found, side, level) for side in (0, 1)]
        for reach in range(ROUNDS[level], NEAREST[level] - 1, -1):
            what = f"all within {reach} step{'s' if reach > 1 else ''} {alike}"
            _take(found, rounds[0][reach], rounds[1][reach], round(sure - 0.01 * (ROUNDS[level] - reach), 2), what)
        if int((found.mates[0] >= 0).sum()) - before < len(found.to_b) // 200 + 1:
            return


def anchor_down(found: Alignment) -> None:
    """Match what is alone in all that depends on it. Weaker than the rest: what is fed by other values may end alike."""
    down = found.palette.whole_down
    high = [np.array(table.height) > 0 for table in found.tables]
    _take(found, down[0], down[1], 0.9, "all that depends on it is the same", (high[0], high[1]))


def _rounds(found: Alignment, side: int, level: int) -> list[Colours]:
    """Colours at growing reach; what is matched has a colour of its own, the same on both sides."""
    palette, table = found.palette, found.tables[side]
    colours = palette.seated_colours[side].copy() if level == 0 else palette.own_colours[level][side].copy()
    number = found.mates[0] if side == 0 else np.arange(len(table))  # a pair goes by its node of B
    matched = found.mates[side] >= 0
    colours[matched] = mixed(number[matched].astype(np.uint64) ^ np.uint64(1 << 40))
    rounds = [colours]
    for _ in range(ROUNDS[level]):
        rounds.append(palette.refiners[side].round(rounds[-1]))
    return rounds


def _take(
    found: Alignment,
    left: Colours,
    right: Colours,
    confidence: float,
    reason: str,
    allowed: tuple[NDArray[np.bool_], NDArray[np.bool_]] | None = None,
) -> None:
    sides = []
    for side, colours in enumerate((left, right)):
        at = found.open_array(side)
        if allowed is not None:
            at = at[allowed[side][at]]
        region = found.tables[side].region[at]
        # A region of A goes by its counterpart's number.
        regions = np.array(found.graphs)[region] if side == 0 else region
        sides.append((at, mixed(colours[at]) ^ mixed(regions.astype(np.uint64))))
    for x, y in unique_pairs(sides[0][1], sides[1][1]):
        i, j = int(sides[0][0][x]), int(sides[1][0][y])
        if found.free(i, j):
            found.accept(i, j, confidence, reason)
