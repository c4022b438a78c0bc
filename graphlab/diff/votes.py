"""Matched neighbours speak for unmatched ones, port by port; the pair they speak for most is matched next."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Hashable, Iterator

from graphlab.diff.align import Alignment
from graphlab.diff.colours import RADIUS

GROUP = 64
"""Largest product of two groups of users whose every pair gets a vote."""


class Votes:
    """Scores of unmatched pairs that stand to matched ones in the same way."""

    def __init__(self, found: Alignment) -> None:
        self.found = found
        self.count: dict[tuple[int, int], float] = defaultdict(float)
        self.heap: list[tuple[float, int, str, str, int, int]] = []
        self.waiting: list[tuple[float, int, str, str, int, int]] = []
        self.rivals: tuple[dict[int, set[int]], dict[int, set[int]]] = (defaultdict(set), defaultdict(set))
        self.heard: set[int] = set()

    def drain(self, least: float) -> None:
        """Accept the pair that its neighbours speak for most, again and again, down to the score ``least``.

        A pair that has a rival as good waits until nothing else is left: what is decided meanwhile often decides it.
        """
        found = self.found
        self._hear()
        heap, waiting = self.heap, self.waiting
        while True:
            if heap and -heap[0][0] >= least:
                entry = heapq.heappop(heap)
                contested = True
            elif waiting:
                entry = heapq.heappop(waiting)
                contested = False
            else:
                return
            score, i, j = -entry[0], entry[4], entry[5]
            # An entry from before a later vote is stale: the later one stands higher and came first.
            if not found.free(i, j) or score < self.score(i, j) - 1e-9:
                continue
            if contested and self._rival(i, j, score):
                heapq.heappush(waiting, entry)
            else:
                found.accept(i, j, round(min(0.95, score / 4), 2), "its neighbours match, port by port")
                self.speak(i, j)

    def _hear(self) -> None:
        """Let every match that has unmatched neighbours speak, once."""
        found = self.found
        table, to_b = found.tables[0], found.to_b
        for i in found.open(0):
            for _, _, src, _ in table.ins(i):
                if to_b[src] >= 0 and src not in self.heard:
                    self.speak(src, to_b[src])
            for _, _, _, dst in table.outs(i):
                if to_b[dst] >= 0 and dst not in self.heard:
                    self.speak(dst, to_b[dst])

    def speak(self, i: int, j: int) -> None:
        """A match's votes for its neighbours."""
        self.heard.add(i)
        a, b = self.found.tables
        for p, q, weight in self._neighbours(i, j):
            self.count[p, q] += weight
            self.rivals[0][p].add(q)
            self.rivals[1][q].add(p)
            heapq.heappush(self.heap, (-self.score(p, q), abs(a.depth[p] - b.depth[q]), a.ids[p], b.ids[q], p, q))

    def _neighbours(self, i: int, j: int) -> Iterator[tuple[int, int, float]]:
        """Unmatched pairs that stand to ``i`` and ``j`` in the same way, each with its share of the vote."""
        found = self.found
        a, b = found.tables
        fed = {s: (src, p) for c, s, src, p in b.ins(j) if not c}
        for control, slot, src, port in a.ins(i):
            if control:
                continue
            other = fed.get(slot)
            if other is not None and other[1] == port and found.free(src, other[0]):
                yield src, other[0], 1.0
        yield from self._group_votes(self._users(0, i), self._users(1, j))

    def _users(self, side: int, i: int) -> dict[Hashable, list[int]]:
        table, taken, ops = self.found.tables[side], (self.found.to_b, self.found.to_a)[side], self.found.palette.own[3][side]
        groups: dict[Hashable, list[int]] = defaultdict(list)
        for control, port, slot, dst in table.outs(i):
            if taken[dst] < 0:
                groups[control, port, slot, ops[dst]].append(dst)
        for control, _, src, _ in table.ins(i):
            if control and taken[src] < 0:
                groups["after", ops[src]].append(src)
        return groups

    def _group_votes(self, ours: dict[Hashable, list[int]], theirs: dict[Hashable, list[int]]) -> Iterator[tuple[int, int, float]]:
        palette = self.found.palette
        for key, left in ours.items():
            right = theirs.get(key)
            if right is None:
                continue
            if len(left) * len(right) <= GROUP:
                share = 1.0 / max(len(left), len(right))
                yield from ((p, q, share) for p in left for q in right)
                continue
            # A hub's many users of one op: only those that mean and feed the same get a vote.
            meant: dict[Hashable, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
            for side, members in enumerate((left, right)):
                for p in members:
                    meant[palette.own[0][side][p], palette.down[side][p]][side].append(p)
            for some, others in meant.values():
                if len(some) * len(others) <= GROUP:
                    share = 1.0 / max(len(some), len(others), 1)
                    yield from ((p, q, share) for p in some for q in others)

    def likeness(self, i: int, j: int) -> float:
        """0 to 1: how much two nodes mean the same by themselves and by their cones."""
        palette = self.found.palette
        own = palette.own
        if own[0][0][i] == own[0][1][j]:
            same = (palette.up[0][i] == palette.up[1][j]) + (palette.down[0][i] == palette.down[1][j])
            if same:
                return 0.9 + 0.05 * same
            near, others = palette.near
            reach = next((r for r in range(RADIUS) if near[r][i] != others[r][j]), RADIUS)
            return 0.7 + 0.05 * reach
        for level, value in ((1, 0.65), (2, 0.5), (3, 0.3)):
            if own[level][0][i] == own[level][1][j]:
                return value
        return 0.0

    def hints(self, i: int, j: int) -> float:
        """A little for the same scope and name: enough to break a tie."""
        a, b = self.found.tables
        x, y = a.data[i], b.data[j]
        scope = 0.03 if x.get("scope") == y.get("scope") else 0.0
        name = 0.02 if x.get("name", a.ids[i]) == y.get("name", b.ids[j]) else 0.0
        return scope + name

    def score(self, i: int, j: int) -> float:
        a, b = self.found.tables
        degree = max(a.degree(i), b.degree(j), 1)
        return 2 * self.likeness(i, j) + min(2.0, 2 * self.count[i, j] / degree) + self.hints(i, j)

    def _rival(self, i: int, j: int, score: float) -> bool:
        """Whether another pair with one of the two scores as high."""
        others = [(i, q) for q in self.rivals[0][i] if q != j] + [(p, j) for p in self.rivals[1][j] if p != i]
        return any(self.found.free(p, q) and self.score(p, q) >= score - 1e-9 for p, q in others)
