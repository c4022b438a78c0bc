"""What colours and votes leave: nodes between the same matched ones, repeated blocks by depth, the most alike, the replaced."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator

from graphlab.diff.align import Alignment
from graphlab.diff.keys import plain
from graphlab.diff.votes import GROUP, Votes
from graphlab.ir.frozen import EMPTY

WINDOW = 16
"""How many candidates a left-over node is compared with, by nearness of depth, in groups above ``GROUP`` squared."""
FAR = 1 << 60
NOWHERE = (-1, FAR)

Place = tuple[int, int]
"""Depth, in A, of the nearest matched ancestor and descendant."""


def between(found: Alignment) -> tuple[dict[int, Place], dict[int, Place]]:
    """Where each unmatched node of paired regions stands among the matched."""
    depth = found.tables[0].depth
    sides = []
    for side, table in enumerate(found.tables):
        to_b, to_a = found.to_b, found.to_a
        open = set(found.open(side))
        low, high = dict.fromkeys(open, -1), dict.fromkeys(open, FAR)
        order = sorted(open, key=table.depth.__getitem__)

        def known(i: int, side: int = side, to_b: list[int] = to_b, to_a: list[int] = to_a) -> int:
            if side == 0:
                return depth[i] if to_b[i] >= 0 else -1
            return depth[to_a[i]] if to_a[i] >= 0 else -1

        for i in order:
            for _, _, src, _ in table.ins(i):
                at = known(src)
                low[i] = max(low[i], at if at >= 0 else low.get(src, -1))
        for i in reversed(order):
            for _, _, _, dst in table.outs(i):
                at = known(dst)
                high[i] = min(high[i], at if at >= 0 else high.get(dst, FAR))
        sides.append({i: (low[i], high[i]) for i in open})
    return sides[0], sides[1]


def unique(keys_a: Iterable[tuple[int, Hashable]], keys_b: Iterable[tuple[int, Hashable]]) -> list[tuple[int, int]]:
    """Pairs whose key occurs once on either side."""
    ours: dict[Hashable, int] = {}
    theirs: dict[Hashable, int] = {}
    for found, keys in ((ours, keys_a), (theirs, keys_b)):
        for i, key in keys:
            found[key] = -1 if key in found else i
    return [(i, theirs[key]) for key, i in ours.items() if i >= 0 and theirs.get(key, -1) >= 0]


def bridge(found: Alignment, votes: Votes) -> None:
    """Match across inserted, removed and rewired nodes: same meaning between the same matched neighbours."""
    a, b = found.tables
    while True:
        place = between(found)
        if not place[0] or not place[1]:
            return
        done = False
        for level in (0, 1, 2):
            own = found.palette.own[level]
            keys_a: list[tuple[int, Hashable]] = [(i, (own[0][i], at, found.graphs[a.where[i]])) for i, at in place[0].items()]
            keys_b: list[tuple[int, Hashable]] = [(j, (own[1][j], at, b.where[j])) for j, at in place[1].items()]
            for i, j in unique(keys_a, keys_b):
                if found.free(i, j) and place[0][i] != NOWHERE:
                    found.accept(i, j, 0.75, "alone of its kind between the same matched nodes")
                    done = True
            if done:
                break
            if _in_order(found, keys_a, keys_b):
                done = True
                break
        if not done:
            return
        votes.drain(2.0)


def _in_order(found: Alignment, keys_a: list[tuple[int, Hashable]], keys_b: list[tuple[int, Hashable]]) -> bool:
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
        for side, members in enumerate((left, right)):
            table = found.tables[side]
            members.sort(key=lambda i, t=table: (t.depth[i], -t.height[i], t.data[i].get("index", -1), t.ids[i]))  # type: ignore[misc]
        for i, j in zip(left, right, strict=True):
            if found.free(i, j):
                found.accept(i, j, 0.6, "same depth order among its like between the same matched nodes")
    return True


def alike(found: Alignment, votes: Votes) -> None:
    """Match what is left by likeness, where a matched neighbour, its place, or its identity speaks for it; the same in itself first."""
    a, b = found.tables
    own = found.palette.own
    for level in (0, 2, 3):
        place = between(found)
        groups: dict[tuple[int, int], tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
        for i in place[0]:
            groups[own[level][0][i], found.graphs[a.where[i]]][0].append(i)
        for j in place[1]:
            groups[own[level][1][j], b.where[j]][1].append(j)
        scored: list[tuple[float, int, str, str, int, int]] = []
        for left, right in groups.values():
            # The last of its kind on either side needs nothing else to speak for it, nor do values without users.
            alone = level == 0 and len(left) == len(right) == 1
            for i, j in _candidates(found, left, right, place):
                if not (alone or _plausible(found, votes, i, j, place)):
                    continue
                near = 0.3 * (place[0][i][0] == place[1][j][0]) + 0.3 * (place[0][i][1] == place[1][j][1])
                value = votes.score(i, j) + near + 0.4 * _shared_attrs(found, i, j) + 2 * votes.hints(i, j)
                if value >= 1.2:
                    scored.append((-value, abs(a.depth[i] - b.depth[j]), a.ids[i], b.ids[j], i, j))
        for value, _, _, _, i, j in sorted(scored):
            if found.free(i, j):
                found.accept(i, j, round(min(0.6, -value / 6), 2), "the most alike of what was left")
                votes.speak(i, j)
                votes.drain(1.6)


def _candidates(
    found: Alignment, left: list[int], right: list[int], place: tuple[dict[int, Place], dict[int, Place]]
) -> Iterator[tuple[int, int]]:
    if len(left) * len(right) <= GROUP * GROUP:
        yield from ((i, j) for i in left for j in right)
        return
    for side, members in enumerate((left, right)):
        members.sort(key=lambda i, s=side: (place[s][i], found.tables[s].depth[i], found.tables[s].ids[i]))  # type: ignore[misc]
    for rank, i in enumerate(left):
        middle = rank * len(right) // len(left)
        yield from ((i, j) for j in right[max(0, middle - WINDOW) : middle + WINDOW])


def _plausible(found: Alignment, votes: Votes, i: int, j: int, place: tuple[dict[int, Place], dict[int, Place]]) -> bool:
    palette = found.palette
    if votes.count.get((i, j), 0.0) > 0 or (place[0][i] == place[1][j] and place[0][i] != NOWHERE):
        return True
    a, b = found.tables
    own = palette.own
    if a.data[i]["kind"] != "op":
        # A value's origin is itself: an input by position or name, a constant by its bytes, a parameter without bytes by its type.
        same_name = a.data[i].get("name", a.ids[i]) == b.data[j].get("name", b.ids[j])
        return palette.seated[0][i] == palette.seated[1][j] or (same_name and own[2][0][i] == own[2][1][j])
    return own[0][0][i] == own[0][1][j] and (palette.up[0][i] == palette.up[1][j] or palette.down[0][i] == palette.down[1][j])


def _shared_attrs(found: Alignment, i: int, j: int) -> float:
    x, y = (table.data[k].get("attrs", EMPTY) for table, k in zip(found.tables, (i, j), strict=True))
    keys = set(x) | set(y)
    if not keys:
        return 1.0
    return sum(1 for k in keys if k in x and k in y and plain(x[k]) == plain(y[k])) / len(keys)


def replaced(found: Alignment) -> None:
    """Match operations that differ but take the same operands to the same users, in the same slots."""
    a, b = found.tables
    pairs: list[tuple[float, str, str, int, int]] = []
    for i in found.open(0):
        if a.data[i]["kind"] != "op":
            continue
        agree: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        for control, slot, src, port in a.ins(i):
            if found.to_b[src] >= 0:
                for c, p, s, other in b.outs(found.to_b[src]):
                    if (c, p, s) == (control, port, slot) and found.to_a[other] < 0:
                        agree[other][0] += 1
        for control, port, slot, dst in a.outs(i):
            if found.to_b[dst] >= 0:
                for c, s, other, p in b.ins(found.to_b[dst]):
                    if (c, p, s) == (control, port, slot) and found.to_a[other] < 0:
                        agree[other][1] += 1
        for j, (came, went) in agree.items():
            degree = max(a.degree(i), b.degree(j))
            if b.data[j]["kind"] == "op" and came and went and came + went >= 0.6 * degree:
                pairs.append((-(came + went) / degree, a.ids[i], b.ids[j], i, j))
    for value, _, _, i, j in sorted(pairs):
        if found.to_b[i] < 0 and found.to_a[j] < 0:
            found.accept(i, j, round(min(0.6, -value * 0.6), 2), "another operation in its place")


def moved(found: Alignment) -> None:
    """Match operations that mean and neighbour the same, and are alone in that, in regions that do not correspond."""
    own = found.palette.own[1]
    keys: list[list[tuple[int, Hashable]]] = []
    for side, (table, taken) in enumerate(zip(found.tables, (found.to_b, found.to_a), strict=True)):
        keys.append([])
        for i, data in enumerate(table.data):
            if data["kind"] == "op" and taken[i] < 0:
                users = tuple(sorted((p, s, own[side][dst]) for c, p, s, dst in table.outs(i) if not c))
                operands = tuple((s, own[side][src], p) for c, s, src, p in table.ins(i) if not c)
                keys[side].append((i, (own[side][i], operands, users)))
    a, b = found.tables
    for i, j in unique(keys[0], keys[1]):
        if found.graphs[a.where[i]] != b.where[j]:
            found.accept(i, j, 0.5, "the same with the same kind of neighbours, in another region")
