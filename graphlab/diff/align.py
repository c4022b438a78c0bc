"""Which node of one region corresponds to which of another: by structure; names only break ties.

In order: colours unique on both sides, from strict levels to loose ones; votes of matched
neighbours, port by port, best first; nodes between the same matched ancestors and descendants, in
order of depth where there are several; what is left by likeness, where a neighbour or its place
speaks for it; and operations replaced in their place. Every step is iterative, and none looks at
the order in which nodes were added.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass

from graphlab.diff.colours import LEVELS, RADIUS, Palette, plain
from graphlab.diff.view import View
from graphlab.ir.frozen import EMPTY

GROUP = 64
"""Largest product of two groups of users whose every pair gets a vote."""
WINDOW = 16
"""How many candidates a left-over node is compared with, by nearness of depth, in groups above ``GROUP`` squared."""
FAR = 1 << 60


@dataclass(frozen=True, slots=True)
class Pair:
    """Index in A, index in B, how sure (0 to 1), and why."""

    a: int
    b: int
    confidence: float
    reason: str


def align(a: View, b: View, palette: Palette) -> list[Pair]:
    """Pairs of corresponding nodes, each node in at most one."""
    return _Aligner(a, b, palette).run()


class _Aligner:
    def __init__(self, a: View, b: View, palette: Palette) -> None:
        self.a, self.b, self.palette = a, b, palette
        self.to_b: dict[int, int] = {}
        self.to_a: dict[int, int] = {}
        self.pairs: list[Pair] = []
        self.votes: dict[tuple[int, int], float] = defaultdict(float)
        self.heap: list[tuple[float, str, str, int, int]] = []
        self.waiting: list[tuple[float, str, str, int, int]] = []
        self.rivals: tuple[dict[int, set[int]], dict[int, set[int]]] = (defaultdict(set), defaultdict(set))
        self.own = [(palette.own(a, level), palette.own(b, level)) for level in range(LEVELS)]
        self.up = (palette.forward(a, 0), palette.forward(b, 0))
        self.down = (palette.backward(a, 0), palette.backward(b, 0))

    def run(self) -> list[Pair]:
        if self.a.output >= 0 and self.b.output >= 0:
            self.accept(self.a.output, self.b.output, 1.0, "the region's output")
        self.signature()
        for level, least in enumerate((2.2, 2.0, 1.6, 1.3)):
            self.anchor(level)
            self.drain(least)
            if self.complete():
                return self.pairs
        self.bridge()
        self.alike()
        self.replaced()
        return self.pairs

    def signature(self) -> None:
        """Match inputs by position, where both regions take as many, of the same element types and ranks."""
        left, right = (
            sorted((data.get("index", 0), i) for i, data in enumerate(view.data) if data["kind"] == "input") for view in (self.a, self.b)
        )
        alike = [self.own[2][0][i] for _, i in left] == [self.own[2][1][j] for _, j in right]
        for (_, i), (_, j) in zip(left, right, strict=True) if alike else ():
            self.accept(i, j, 0.95, "the same position among as many inputs")

    def complete(self) -> bool:
        return len(self.pairs) == min(len(self.a), len(self.b))

    def open_a(self) -> list[int]:
        return [i for i in range(len(self.a)) if i not in self.to_b]

    def open_b(self) -> list[int]:
        return [j for j in range(len(self.b)) if j not in self.to_a]

    def accept(self, i: int, j: int, confidence: float, reason: str) -> None:
        self.to_b[i] = j
        self.to_a[j] = i
        self.pairs.append(Pair(i, j, confidence, reason))
        for p, q, weight in self._neighbours(i, j):
            self.votes[p, q] += weight
            self.rivals[0][p].add(q)
            self.rivals[1][q].add(p)
            heapq.heappush(self.heap, (-self.score(p, q), self.a.ids[p], self.b.ids[q], p, q))

    def _neighbours(self, i: int, j: int) -> Iterator[tuple[int, int, float]]:
        """Unmatched pairs that stand to ``i`` and ``j`` in the same way, each with its share of the vote."""
        fed = {(c, s): (src, p) for c, s, src, p in self.b.ins[j] if not c}
        for control, slot, src, port in self.a.ins[i]:
            if control:
                continue
            other = fed.get((0, slot))
            if other is not None and other[1] == port and self.free(src, other[0]):
                yield src, other[0], 1.0
        yield from self._group_votes(self._users(self.a, i, self.to_b, 0), self._users(self.b, j, self.to_a, 1))

    def _users(self, view: View, i: int, taken: dict[int, int], side: int) -> dict[Hashable, list[int]]:
        groups: dict[Hashable, list[int]] = defaultdict(list)
        ops = self.own[3][side]
        for control, port, slot, dst in view.outs[i]:
            if dst not in taken:
                groups[control, port, slot, ops[dst]].append(dst)
        for control, _, src, _ in view.ins[i]:
            if control and src not in taken:
                groups["after", ops[src]].append(src)
        return groups

    def _group_votes(self, ours: dict[Hashable, list[int]], theirs: dict[Hashable, list[int]]) -> Iterator[tuple[int, int, float]]:
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
                    meant[self.own[0][side][p], self.down[side][p]][side].append(p)
            for some, others in meant.values():
                if len(some) * len(others) <= GROUP:
                    share = 1.0 / max(len(some), len(others), 1)
                    yield from ((p, q, share) for p in some for q in others)

    def free(self, i: int, j: int) -> bool:
        """Whether the two may be matched: neither is yet, and kind and op are the same."""
        return i not in self.to_b and j not in self.to_a and self.own[3][0][i] == self.own[3][1][j]

    def likeness(self, i: int, j: int) -> float:
        """0 to 1: how much two nodes mean the same by themselves and by their cones."""
        if self.own[0][0][i] == self.own[0][1][j]:
            same = (self.up[0][i] == self.up[1][j]) + (self.down[0][i] == self.down[1][j])
            if same:
                return 0.9 + 0.05 * same
            near, others = self.palette.near(self.a), self.palette.near(self.b)
            reach = next((r for r in range(RADIUS) if near[r][i] != others[r][j]), RADIUS)
            return 0.7 + 0.05 * reach
        for level, value in ((1, 0.65), (2, 0.5), (3, 0.3)):
            if self.own[level][0][i] == self.own[level][1][j]:
                return value
        return 0.0

    def hints(self, i: int, j: int) -> float:
        """A little for the same scope, name and source line: enough to break a tie."""
        x, y = self.a.data[i], self.b.data[j]
        scope = 0.03 if x.get("scope") == y.get("scope") else 0.0
        name = 0.02 if x.get("name", self.a.ids[i]) == y.get("name", self.b.ids[j]) else 0.0
        return scope + name

    def score(self, i: int, j: int) -> float:
        degree = max(self.a.degree(i), self.b.degree(j), 1)
        return 2 * self.likeness(i, j) + min(2.0, 2 * self.votes[i, j] / degree) + self.hints(i, j)

    def drain(self, least: float) -> None:
        """Accept the pair that its neighbours speak for most, again and again, down to the score ``least``.

        A pair that has a rival as good waits until nothing else is left: what is decided meanwhile often decides it.
        """
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
            score, i, j = -entry[0], entry[3], entry[4]
            # An entry from before a later vote is stale: the later one stands higher and came first.
            if not self.free(i, j) or score < self.score(i, j) - 1e-9:
                continue
            if contested and self._rival(i, j, score):
                heapq.heappush(waiting, entry)
            else:
                self.accept(i, j, round(min(0.95, score / 4), 2), "its neighbours match, port by port")

    def _rival(self, i: int, j: int, score: float) -> bool:
        """Whether another pair with one of the two scores as high."""
        others = [(i, q) for q in self.rivals[0][i] if q != j] + [(p, j) for p in self.rivals[1][j] if p != i]
        return any(self.free(p, q) and self.score(p, q) >= score - 1e-9 for p, q in others)

    def unique(self, keys_a: Iterable[tuple[int, Hashable]], keys_b: Iterable[tuple[int, Hashable]]) -> list[tuple[int, int]]:
        """Pairs whose key occurs once on either side."""
        ours: dict[Hashable, int] = {}
        theirs: dict[Hashable, int] = {}
        for found, keys in ((ours, keys_a), (theirs, keys_b)):
            for i, key in keys:
                found[key] = -1 if key in found else i
        return [(i, theirs[key]) for key, i in ours.items() if i >= 0 and theirs.get(key, -1) >= 0]

    def anchor(self, level: int) -> None:
        """Match what is unique by its whole upstream and downstream; then by either."""
        a, b, palette = self.a, self.b, self.palette
        up = (palette.forward(a, level), palette.forward(b, level))
        down = (palette.backward(a, level), palette.backward(b, level))
        sure = 1.0 - 0.05 * level
        self._take(level, lambda side, i: (up[side][i], down[side][i]), sure, "all it depends on and all that depends on it")
        # Half a context has to be deep enough to say something; at loose levels deeper.
        deep = 1 if level < 2 else 3
        self._take(level, lambda side, i: down[side][i], sure - 0.05, "all that depends on it", lambda view, i: view.height[i] >= deep)
        self._take(level, lambda side, i: up[side][i], sure - 0.05, "all it depends on", lambda view, i: view.depth[i] >= deep)

    def _take(
        self,
        level: int,
        key: Callable[[int, int], Hashable],
        confidence: float,
        what: str,
        allowed: Callable[[View, int], bool] = lambda view, i: True,
    ) -> None:
        alike = ("is the same", "is the same but for layout and position", "has the same ops and ranks", "has the same ops")[level]
        pairs = self.unique(
            ((i, key(0, i)) for i in self.open_a() if allowed(self.a, i)),
            ((j, key(1, j)) for j in self.open_b() if allowed(self.b, j)),
        )
        for i, j in pairs:
            if self.free(i, j):
                self.accept(i, j, round(confidence, 2), f"{what} {alike}")

    def between(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """For each node, where its nearest matched ancestors and descendants stand, by depth in A."""
        found: list[list[tuple[int, int]]] = []
        for view, taken in ((self.a, {i: i for i in self.to_b}), (self.b, self.to_a)):
            low, high = [-1] * len(view), [FAR] * len(view)
            for i in view.order:
                for _, _, src, _ in view.ins[i]:
                    low[i] = max(low[i], self.a.depth[taken[src]] if src in taken else low[src])
            for i in reversed(view.order):
                for _, _, _, dst in view.outs[i]:
                    high[i] = min(high[i], self.a.depth[taken[dst]] if dst in taken else high[dst])
            found.append(list(zip(low, high, strict=True)))
        return found[0], found[1]

    def bridge(self) -> None:
        """Match across inserted, removed and rewired nodes: same meaning between the same matched neighbours."""
        while not self.complete():
            place = self.between()
            before = len(self.pairs)
            for level in (0, 1, 2):
                own = self.own[level]
                keys_a: list[tuple[int, Hashable]] = [(i, (own[0][i], place[0][i])) for i in self.open_a()]
                keys_b: list[tuple[int, Hashable]] = [(j, (own[1][j], place[1][j])) for j in self.open_b()]
                for i, j in self.unique(keys_a, keys_b):
                    if self.free(i, j) and place[0][i] != (-1, FAR):
                        self.accept(i, j, 0.75, "alone of its kind between the same matched nodes")
                if len(self.pairs) > before:
                    break
                if self._in_order(keys_a, keys_b):
                    break
            if len(self.pairs) == before:
                return
            self.drain(2.0)

    def _in_order(self, keys_a: list[tuple[int, Hashable]], keys_b: list[tuple[int, Hashable]]) -> bool:
        """Repeated blocks: equally many of one kind between the same matched nodes pair up by depth."""
        groups: dict[Hashable, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
        for side, keys in enumerate((keys_a, keys_b)):
            for i, key in keys:
                groups[key][side].append(i)
        same = [group for group in groups.values() if len(group[0]) == len(group[1])]
        if not same:
            return False
        smallest = min(len(left) for left, _ in same)
        for left, right in same:
            if len(left) > smallest:
                continue
            left.sort(key=lambda i: (self.a.depth[i], -self.a.height[i], self.a.data[i].get("index", -1), self.a.ids[i]))
            right.sort(key=lambda j: (self.b.depth[j], -self.b.height[j], self.b.data[j].get("index", -1), self.b.ids[j]))
            for i, j in zip(left, right, strict=True):
                if self.free(i, j):
                    self.accept(i, j, 0.6, "same depth order among its like between the same matched nodes")
        return True

    def alike(self) -> None:
        """Match what is left by likeness, where a matched neighbour, its place, or its identity speaks for it."""
        place = self.between()
        groups: dict[int, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
        for i in self.open_a():
            groups[self.own[3][0][i]][0].append(i)
        for j in self.open_b():
            groups[self.own[3][1][j]][1].append(j)
        lone = {
            self.own[0][0][i]
            for i, _ in self.unique(((i, self.own[0][0][i]) for i in self.open_a()), ((j, self.own[0][1][j]) for j in self.open_b()))
        }
        scored: list[tuple[float, str, str, int, int]] = []
        for left, right in groups.values():
            for i, j in self._candidates(left, right):
                if not (self._plausible(i, j, place) or (self.own[0][0][i] == self.own[0][1][j] and self.own[0][0][i] in lone)):
                    continue
                near = 0.3 * (place[0][i][0] == place[1][j][0]) + 0.3 * (place[0][i][1] == place[1][j][1])
                value = self.score(i, j) + near + 0.4 * self._shared_attrs(i, j) + 2 * self.hints(i, j)
                if value >= 1.2:
                    scored.append((-value, self.a.ids[i], self.b.ids[j], i, j))
        for value, _, _, i, j in sorted(scored):
            if self.free(i, j):
                self.accept(i, j, round(min(0.6, -value / 6), 2), "the most alike of what was left")
                self.drain(1.6)

    def _candidates(self, left: list[int], right: list[int]) -> Iterator[tuple[int, int]]:
        if len(left) * len(right) <= GROUP * GROUP:
            yield from ((i, j) for i in left for j in right)
            return
        left.sort(key=lambda i: (self.a.depth[i], self.a.ids[i]))
        right.sort(key=lambda j: (self.b.depth[j], self.b.ids[j]))
        for rank, i in enumerate(left):
            middle = rank * len(right) // len(left)
            yield from ((i, j) for j in right[max(0, middle - WINDOW) : middle + WINDOW])

    def _plausible(self, i: int, j: int, place: tuple[list[tuple[int, int]], list[tuple[int, int]]]) -> bool:
        if self.votes[i, j] > 0 or (place[0][i] == place[1][j] and place[0][i] != (-1, FAR)):
            return True
        if self.a.data[i]["kind"] != "op":
            # A value's origin is itself: an input by position or name, a constant by its bytes.
            same_name = self.a.data[i].get("name", self.a.ids[i]) == self.b.data[j].get("name", self.b.ids[j])
            return self.own[0][0][i] == self.own[0][1][j] or (same_name and self.own[2][0][i] == self.own[2][1][j])
        return self.own[0][0][i] == self.own[0][1][j] and (self.up[0][i] == self.up[1][j] or self.down[0][i] == self.down[1][j])

    def _shared_attrs(self, i: int, j: int) -> float:
        x, y = self.a.data[i].get("attrs", EMPTY), self.b.data[j].get("attrs", EMPTY)
        keys = set(x) | set(y)
        if not keys:
            return 1.0
        return sum(1 for k in keys if k in x and k in y and plain(x[k]) == plain(y[k])) / len(keys)

    def replaced(self) -> None:
        """Match operations that differ but take the same operands to the same users, in the same slots."""
        found: list[tuple[float, str, str, int, int]] = []
        for i in self.open_a():
            if self.a.data[i]["kind"] != "op":
                continue
            agree: dict[int, list[int]] = defaultdict(lambda: [0, 0])
            for control, slot, src, port in self.a.ins[i]:
                if src in self.to_b:
                    for c, p, s, other in self.b.outs[self.to_b[src]]:
                        if (c, p, s) == (control, port, slot) and other not in self.to_a:
                            agree[other][0] += 1
            for control, port, slot, dst in self.a.outs[i]:
                if dst in self.to_b:
                    for c, s, other, p in self.b.ins[self.to_b[dst]]:
                        if (c, p, s) == (control, port, slot) and other not in self.to_a:
                            agree[other][1] += 1
            for j, (came, went) in agree.items():
                degree = max(self.a.degree(i), self.b.degree(j))
                if self.b.data[j]["kind"] == "op" and came and went and came + went >= 0.6 * degree:
                    found.append((-(came + went) / degree, self.a.ids[i], self.b.ids[j], i, j))
        for value, _, _, i, j in sorted(found):
            if i not in self.to_b and j not in self.to_a:
                self.accept(i, j, round(min(0.6, -value * 0.6), 2), "another operation in its place")
