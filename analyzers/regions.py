"""What the results of an operation with regions depend on: calls, branches, loops, reductions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from graphlab.analyzers.cells import BOTTOM, FIXED, Cell, Layouts, flat, join, join_all, static, substitute_all
from graphlab.analyzers.transfer import Operation, computed
from graphlab.ir.graph import Call, Control


@dataclass(frozen=True, slots=True)
class Summary:
    """A callee as its callers see it: where each input's cells start, and its results in terms of them."""

    offsets: list[int]
    results: list[tuple[Cell, ...]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an operation with regions does to data flow.

    Attributes:
        cells: its outputs', in the caller's terms.
        feeds: per role, what goes into the callee's input cells, in the caller's terms.
        varying: per role, the callee's input cells that differ from one run of the region to the next.
        decision: what its predicate or condition depends on; ``None`` where it names none.
    """

    cells: tuple[Cell, ...]
    feeds: Mapping[str, tuple[Cell, ...]]
    varying: Mapping[str, frozenset[int]]
    decision: tuple[int, int] | None


def decision(op: Operation, control: Control, outs: Mapping[str, list[tuple[Cell, ...]]]) -> tuple[int, int] | None:
    """Bits of what a conditional or loop is decided by."""
    named = [slot for slot in (control.predicate, control.trip_slot) if slot is not None]
    deciding = [cell for slot in named for cell in op.slots.get(slot, ())]
    if control.condition is not None and outs:
        role, index = control.condition
        deciding += outs[role][index]
    elif not named and control.trip_count is None:
        return None
    g = l = 0
    for cell in deciding:
        g, l = g | cell[0], l | cell[1]
    return g, l


def through_regions(op: Operation, summaries: Mapping[str, Summary], layouts: Layouts) -> Outcome:
    """Follow an operation's operands through its regions to its results; round and round for a loop."""
    control: Control | None = op.data.get("control")
    calls: Mapping[str, Call] = op.data["calls"]
    state = _Loop(op, calls, summaries) if control is not None and control.form == "loop" else _Once(op, calls, summaries)
    state.run()
    decided = decision(op, control, state.outs) if control is not None else None
    vg, vl = decided or (0, 0)
    inner = 0
    for out in state.outs.values():
        for cells in out:
            for cell in cells:
                inner |= cell[0]
    found: list[Cell] = []
    unmapped = computed(op)
    for port, type in enumerate(op.types):
        width = layouts.of(type)[-1]
        result = state.result(port, width)
        if result is None:
            start = len(found)
            result = [join(cell, (inner, 0, 0, 0, -1)) for cell in unmapped[start : start + width]]
        for offset, (cell, leaf) in enumerate(zip(result, flat(type), strict=True)):
            if cell[4] >= 0 or state.unchanged(port, offset):
                found.append(cell)
            elif static(leaf):
                found.append((cell[0] | vg, cell[1] | vl, cell[2], cell[3], cell[4]))
            else:
                found.append((cell[0] | vg, cell[1] | vl, cell[2] | vg, cell[3] | vl, cell[4]))
    varying = {role: state.varying(call) for role, call in calls.items()}
    return Outcome(tuple(found), state.feeds, varying, decided)


class _Once:
    """Regions that run at most once for each run of the operation, or on elements it makes itself."""

    def __init__(self, op: Operation, calls: Mapping[str, Call], summaries: Mapping[str, Summary]) -> None:
        self.calls = calls
        self.summaries = summaries
        self.held: dict[int, list[Cell]] = {slot: list(cells) for slot, cells in op.slots.items()}
        self.feeds: dict[str, tuple[Cell, ...]] = {}
        self.outs: dict[str, list[tuple[Cell, ...]]] = {}

    def run(self) -> None:
        for role, call in self.calls.items():
            feeds = self.feed(role, call)
            self.feeds[role] = tuple(feeds)
            self.outs[role] = substitute_all(self.summaries[call.graph].results, feeds)

    def feed(self, role: str, call: Call) -> list[Cell]:
        made: Cell | None = None
        feeds: list[Cell] = []
        offsets = self.summaries[call.graph].offsets
        for i, slot in enumerate(call.operands):
            width = offsets[i + 1] - offsets[i]
            if slot is not None and slot in self.held:
                feeds.extend(_fit(self.held[slot], width))
                continue
            if made is None:
                # What the operation makes itself is made of the operands that go in nowhere else.
                mapped = set(call.operands)
                made = join(FIXED, join_all(c for s, cells in self.held.items() if s not in mapped for c in cells))
            feeds.extend(join(made, cell) for cell in self.made(role, i, width))
        return feeds

    def made(self, role: str, index: int, width: int) -> Iterable[Cell]:
        return [BOTTOM] * width

    def result(self, port: int, width: int) -> list[Cell] | None:
        """The cells of an output that regions' results end in; ``None`` where none does."""
        found: list[Cell] | None = None
        for role, call in self.calls.items():
            for j, target in enumerate(call.results):
                if target != port:
                    continue
                for cells in (self.outs[role][j], *self.firsts(call, j)):
                    fitted = _fit(cells, width)
                    found = fitted if found is None else [join(a, b) for a, b in zip(found, fitted, strict=True)]
        return found

    def firsts(self, call: Call, out: int) -> list[list[Cell]]:
        """What a result is where the region never runs."""
        return []

    def unchanged(self, port: int, offset: int) -> bool:
        """Whether an output's cell does not depend on what the operation decides."""
        return False

    def varying(self, call: Call) -> frozenset[int]:
        offsets = self.summaries[call.graph].offsets
        return frozenset(c for i, slot in enumerate(call.operands) if slot is None for c in range(offsets[i], offsets[i + 1]))


class _Loop(_Once):
    """Regions that run again on what they returned: ``held`` grows to all a loop variable may depend on."""

    def __init__(self, op: Operation, calls: Mapping[str, Call], summaries: Mapping[str, Summary]) -> None:
        super().__init__(op, calls, summaries)
        self.round: dict[tuple[str, int], list[Cell]] = {}  # what goes round without an operand of its own
        self.changing: set[tuple[int, int]] = set()

    def run(self) -> None:
        grew = True
        while grew:
            super().run()
            grew = False
            for role, call in self.calls.items():
                grew |= self.carry(role, call)

    def made(self, role: str, index: int, width: int) -> Iterable[Cell]:
        return self.round.get((role, index), [BOTTOM] * width)

    def carry(self, role: str, call: Call) -> bool:
        """Hand results back to the loop variables; whether they depend on anything new now."""
        grew = False
        offsets, results = self.summaries[call.graph].offsets, self.summaries[call.graph].results
        for out, into in call.carried:
            slot = call.operands[into]
            width = offsets[into + 1] - offsets[into]
            known = slot is not None and slot in self.held
            target = self.held[slot] if known and slot is not None else self.round.setdefault((role, into), [BOTTOM] * width)
            for k, cell in enumerate(self.outs[role][out][: len(target)]):
                if results[out][k][4] == offsets[into] + k:
                    continue  # the body hands it on as it came
                if slot is not None:
                    self.changing.add((slot, k))
                joined = join(target[k], cell)
                grew |= joined != target[k]
                target[k] = joined
        return grew

    def firsts(self, call: Call, out: int) -> list[list[Cell]]:
        slots = [call.operands[into] for o, into in call.carried if o == out]
        return [self.held[slot] for slot in slots if slot is not None and slot in self.held]

    def unchanged(self, port: int, offset: int) -> bool:
        slots = [call.operands[into] for call in self.calls.values() for out, into in call.carried if call.results[out] == port]
        return bool(slots) and all(slot is not None and (slot, offset) not in self.changing for slot in slots)

    def varying(self, call: Call) -> frozenset[int]:
        offsets = self.summaries[call.graph].offsets
        return frozenset(
            c
            for i, slot in enumerate(call.operands)
            for c in range(offsets[i], offsets[i + 1])
            if slot is None or (slot, c - offsets[i]) in self.changing
        )


def _fit(cells: Iterable[Cell], width: int) -> list[Cell]:
    """The cells one by one where there are as many as wanted, else all of them in each place."""
    cells = list(cells)
    return cells if len(cells) == width else [join_all(cells)] * width
