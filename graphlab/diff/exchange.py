"""The last step of alignment: every match that another would make cheaper to say is exchanged for it."""

from __future__ import annotations

from collections import Counter

from graphlab.diff.align import Alignment
from graphlab.diff.keys import plain
from graphlab.ir.frozen import EMPTY

CROWD = 16
"""Users of one value up to which they are looked at."""
PASSES = 6
"""How often all unhappy matches are looked at, at most."""


class Exchange:
    """Costs of single matches, as lines of the script, and the exchanges that lower their sum."""

    def __init__(self, found: Alignment) -> None:
        self.found = found
        self._parts: dict[tuple[int, int], int] = {}

    def run(self) -> None:
        """Exchange matches, and match what is left where a neighbour speaks for it, until nothing helps."""
        for _ in range(PASSES):
            better = False
            for i in self._unhappy():
                better |= self._improve(i)
            if not better:
                return

    def parts(self, i: int, j: int) -> int:
        """In how many of its own parts the node differs from its counterpart."""
        own = self.found.palette.own
        if own[0][0][i] == own[0][1][j]:
            return 0
        if (i, j) not in self._parts:
            self._parts[i, j] = self._differing(i, j)
        return self._parts[i, j]

    def _differing(self, i: int, j: int) -> int:
        a, b = self.found.tables
        x, y = a.data[i], b.data[j]
        count: int = int((x["kind"], x.get("op")) != (y["kind"], y.get("op")))
        outputs = x.get("outputs", ()), y.get("outputs", ())
        count += abs(len(outputs[0]) - len(outputs[1])) + sum(s != t for s, t in zip(*outputs, strict=False))
        before, after = x.get("attrs", EMPTY), y.get("attrs", EMPTY)
        count += sum(plain(before.get(k, Ellipsis)) != plain(after.get(k, Ellipsis)) for k in before.keys() | after.keys())
        count += sum(x.get(k) != y.get(k) for k in ("value", "control", "effects", "absent"))
        return max(1, count)

    def gain(self, i: int, j: int) -> int:
        """How many lines the script is shorter by for this match, all others as they are."""
        found = self.found
        a, b = found.tables
        if found.graphs[a.where[i]] != b.where[j]:
            return 0
        mine = {s: (found.to_b[src] if src != i else j, p) for c, s, src, p in a.ins(i) if not c}
        theirs = {s: (src, p) for c, s, src, p in b.ins(j) if not c}
        wrong = sum(mine.get(s) != theirs.get(s) for s in mine.keys() | theirs.keys())
        if wrong > 1 and Counter(mine.values()) == Counter(theirs.values()):
            wrong = 1
        uses = 0
        for control, port, slot, dst in a.outs(i):
            other = found.to_b[dst]
            if other >= 0 and dst != i and any((c, s, src, p) == (control, slot, j, port) for c, s, src, p in b.ins(other)):
                uses += 1
        return 2 - self.parts(i, j) - wrong + uses

    def _unhappy(self) -> list[int]:
        """Nodes of A with an edge that their counterparts do not have, the unmatched among them, by depth."""
        found = self.found
        a, b = found.tables
        to_b, to_a = found.to_b, found.to_a
        unhappy: set[int] = set()
        theirs = set(zip(b.src.tolist(), b.dst.tolist(), b.src_port.tolist(), b.dst_port.tolist(), strict=True))
        for src, dst, port, slot in zip(a.src.tolist(), a.dst.tolist(), a.src_port.tolist(), a.dst_port.tolist(), strict=True):
            edge = (to_b[src], to_b[dst], port, slot)
            if edge in theirs:
                theirs.discard(edge)
            else:
                unhappy.update((src, dst))
        for src, dst, _, _ in theirs:
            unhappy.update(i for i in (to_a[src], to_a[dst]) if i >= 0)
        kinds = ("op", "constant", "parameter")
        return sorted(
            (i for i in unhappy if a.data[i]["kind"] in kinds and found.graphs[a.where[i]] >= 0),
            key=lambda i: (a.depth[i], a.ids[i], a.where[i]),
        )

    def _wanted(self, i: int) -> list[int]:
        """Nodes of B that stand to the counterparts of the node's neighbours as it stands to them, most often first."""
        found = self.found
        a, b = found.tables
        own = found.palette.own[3]
        count: Counter[int] = Counter()
        for control, slot, src, port in a.ins(i):
            mate = found.to_b[src]
            if mate >= 0 and not control:
                users = [dst for c, p, s, dst in b.outs(mate) if (c, p, s) == (0, port, slot)]
                if len(users) <= CROWD:
                    count.update(2 * users)
        for control, port, slot, dst in a.outs(i):
            mate = found.to_b[dst]
            if mate >= 0 and not control:
                # In another slot it counts less: operands may have been exchanged.
                count.update(src for c, s, src, p in b.ins(mate) if not c and p == port for _ in range(1 + (s == slot)))
        current = found.to_b[i]
        likes = [(-n, abs(a.depth[i] - b.depth[j]), b.ids[j], j) for j, n in count.items() if j != current and own[0][i] == own[1][j]]
        return [j for _, _, _, j in sorted(likes)[:4]]

    def _improve(self, i: int) -> bool:
        found = self.found
        old = found.to_b[i]
        for new in self._wanted(i):
            rival = found.to_a[new]
            before = self.gain(i, old) if old >= 0 else 0
            kept = self._matches(*(node for node in (i, rival) if node >= 0 and found.to_b[node] >= 0))
            if old >= 0:
                found.release(i)
            if rival >= 0:
                found.release(rival)
                before += self.gain(rival, new)
            if not found.free(i, new):
                self._restore(kept)
                continue
            after = self.gain(i, new)
            found.accept(i, new, 0.7, "the script is shorter for it")
            swapped = False
            if rival >= 0 and old >= 0 and found.free(rival, old):
                extra = self.gain(rival, old)
                if extra > 0:
                    found.accept(rival, old, 0.7, "the script is shorter for it")
                    after += extra
                    swapped = True
            if after > before:
                return True
            if swapped:
                found.release(rival)
            found.release(i)
            self._restore(kept)
        return False

    def _restore(self, kept: list[tuple[int, int, float, str]]) -> None:
        for node, mate, confidence, reason in kept:
            self.found.accept(node, mate, confidence, reason)

    def _matches(self, *nodes: int) -> list[tuple[int, int, float, str]]:
        found = self.found
        return [(i, found.to_b[i], found.confidence[i], found.reason[i]) for i in nodes]
