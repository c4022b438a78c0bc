"""How often a loop runs, where the program says: a number, a symbol, or a dimension of an input.

A loop is counted where it goes on while ``counter < limit`` (or another comparison, or several), the
counter starts at a known quantity and each iteration adds a constant to it, and no iteration changes the limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from graphlab.analyzers.dataflow import Dataflow
from graphlab.analyzers.quantity import Quantities, Quantity, Symbol, Value, difference, total
from graphlab.ir.graph import Control, Node
from graphlab.ir.ops import differs, goes_back, meets
from graphlab.ir.program import NodeRef, Program

UNBOUNDED = 2**63 - 1
"""TorchScript's way to write a loop without a limit of its own: the largest int64."""

_COMPARES = {"Less": "<", "LessOrEqual": "<=", "Greater": ">", "GreaterOrEqual": ">=", "Equal": "=="}
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "!=": "!=", "==": "=="}
_NEGATED = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "!=": "==", "==": "!="}
_DEPTH = 64  # additions, one on another's result, that are followed to a counter


@dataclass(frozen=True, slots=True)
class TripCount:
    """``count`` is an int, or words for what it equals; ``exact`` is False where the loop may end sooner."""

    count: int | str
    exact: bool

    def __str__(self) -> str:
        return str(self.count) if self.exact else f"at most {self.count}"


@dataclass(frozen=True, slots=True)
class _Test:
    """``left way right`` in some graph; ``way`` is empty where the value is no comparison."""

    at: Value
    left: Value | int = 0
    way: str = ""
    right: Value | int = 0


class TripCounter:
    """Answers :meth:`of` for the loops of one program."""

    def __init__(self, program: Program, flow: Dataflow) -> None:
        self._program = program
        self._values = Quantities(program, flow)

    def of(self, ref: NodeRef) -> TripCount | None:
        """The trip count of a loop node, ``None`` where it cannot be known from the graph."""
        node = self._program.node(ref)
        control = node.control
        if control is None or control.form != "loop":
            return None
        if control.trip_count is not None:
            return TripCount(control.trip_count, exact=True)
        loop = (_Loop if node.calls else _Cycle)(self._values, self._program, ref, node, control)
        bounds = list(loop.bounds())
        known = [bound for bound in bounds if bound is not None]
        if not known:
            return None
        numbers = [bound for bound in known if isinstance(bound, int)]
        # Of several limits the plainest is told: the smallest number, else the shortest words.
        best = min(numbers) if numbers else min(known, key=lambda bound: len(str(bound)))
        all_told = len(known) == len(bounds) and loop.starts is not None
        exact = best == 0 or (all_told and (len(numbers) == len(known) or len(set(known)) == 1))
        return TripCount(best if isinstance(best, int) else str(best), exact=exact)


class _Loop:
    """One loop node, and the limits on how often it runs.

    Where the condition is a result of the body (TorchScript), it is tested after each iteration, and
    the operand ``predicate`` before the first.
    """

    def __init__(self, values: Quantities, program: Program, ref: NodeRef, node: Node, control: Control) -> None:
        self._values = values
        self._program = program
        self._ref = ref
        self._node = node
        self._control = control
        self._tested_after = control.condition is not None and control.condition[0] == "body"
        self._before = None if control.predicate is None else values.operand(ref.graph, node.id, control.predicate)
        self.starts: bool | None = True if self._before is None else self._holds(self._before)
        """Whether the first iteration runs; ``None`` where it cannot be told, True where a bound accounts for it."""

    def bounds(self) -> Iterator[Quantity | None]:
        """Every limit on the trips: the loop ends at the first that is met. ``None`` for one that cannot be told."""
        control = self._control
        if self.starts is False:
            yield 0
            return
        if control.trip_slot is not None:
            limit = self._values.operand(self._ref.graph, self._node.id, control.trip_slot)
            count = None if limit is None else self._values.of(limit)
            if count != UNBOUNDED:
                yield None if count is None else _trips(0, "<", count, 1)
        if control.condition is None:
            return
        role, index = control.condition
        graph = self._node.calls[role].graph
        condition = self._values.operand(graph, self._program.graphs[graph].output, index)
        if condition is None:
            yield None
            return
        for test in self._tests(condition):
            holds = self._truth(test)
            if holds is None:
                yield self._counted(role, test)
            elif not holds:
                yield int(self._tested_after)

    def _tests(self, condition: Value) -> Iterator[_Test]:
        """What must hold, all of it, for a condition to hold."""
        waiting = [(condition, False)]
        seen: set[tuple[Value, bool]] = set()
        while waiting:
            value, negated = waiting.pop()
            if (value, negated) in seen:
                continue
            seen.add((value, negated))
            at = self._values.follow(value, cross=False)
            node = self._values.node(at)
            way = "!=" if differs(node.op, node.attrs) else _COMPARES.get(node.canonical or "")
            sides = self._values.sides(at) if way else ()
            operands = [Value(at.graph, use.src, use.src_port) for use in node.operands]
            if node.canonical == "Not" and len(operands) == 1:
                waiting.append((operands[0], not negated))
            elif node.canonical == "And" and len(operands) == 2 and not negated:
                waiting += [(operand, False) for operand in operands]
            elif not negated and (needed := self._needed(at, node)) is not None:
                waiting.append(needed)
                yield _Test(at)  # what the other branch says
            elif way and len(sides) == 2:
                yield _Test(at, sides[0], _NEGATED[way] if negated else way, sides[1])
            else:
                yield _Test(at, left=int(negated))

    def _needed(self, at: Value, node: Node) -> tuple[Value, bool] | None:
        """The predicate (and whether negated) without which a conditional's result is False: ``break`` leaves such conditions."""
        if (
            node.control is None
            or node.control.form != "conditional"
            or node.control.predicate is None
            or node.calls.keys() != {"then", "else"}
        ):
            return None
        predicate = self._values.operand(at.graph, at.id, node.control.predicate)
        for role, negated in (("else", False), ("then", True)):
            call = node.calls[role]
            if at.path or at.port not in call.results or predicate is None:
                return None
            result = self._values.operand(call.graph, self._program.graphs[call.graph].output, call.results.index(at.port))
            if result is not None and self._values.number(result) == 0:
                return predicate, negated
        return None

    def _holds(self, condition: Value) -> bool | None:
        told = [self._truth(test) for test in self._tests(condition)]
        return False if False in told else None if None in told else True

    def _truth(self, test: _Test) -> bool | None:
        """Whether a test is passed at every run and in every iteration."""
        if not test.way:
            number = self._values.number(test.at)
            return None if number is None else bool(number) != bool(test.left)
        left, right = self._values.of(test.left), self._values.of(test.right)
        gap = None if left is None or right is None else difference(left, right)
        if not isinstance(gap, int):
            return None
        return {"<": gap < 0, "<=": gap <= 0, ">": gap > 0, ">=": gap >= 0, "==": gap == 0, "!=": gap != 0}[test.way]

    def _counted(self, role: str, test: _Test) -> Quantity | None:
        """How often a loop runs for which one test must hold."""
        if not test.way:
            return None
        for side, way, other in ((test.left, test.way, test.right), (test.right, _MIRRORED[test.way], test.left)):
            counter = self._counter(side)
            limit = self._values.of(other)
            if counter is None or limit is None or self._made_within(limit, test.at.graph):
                continue
            start, step = self._course(role, counter[0])
            first = None if start is None else total(start, counter[1])
            if first is None or step is None:
                continue
            return self._after_first(first, way, limit, step) if self._tested_after else _trips(first, way, limit, step)
        return None

    def _after_first(self, first: Quantity, way: str, limit: Quantity, step: int) -> Quantity | None:
        """The trips of a loop whose test comes after each iteration; ``first`` is the counter when it is made for the first time."""
        sooner = total(first, -step)
        if self.starts is None and sooner is not None and self._before is not None:
            tests = list(self._tests(self._before))
            same = ((sooner, way, limit), (limit, _MIRRORED[way], sooner))
            if len(tests) == 1 and (self._values.of(tests[0].left), tests[0].way, self._values.of(tests[0].right)) in same:
                self.starts = True
                return _trips(sooner, way, limit, step)
        more = _trips(first, way, limit, step)
        return more + 1 if isinstance(more, int) else None

    def _counter(self, side: Value | int) -> tuple[Value, int] | None:
        """A region's input and what is added to it, where a value is their sum."""
        added = 0
        for _ in range(_DEPTH):
            if isinstance(side, int):
                return None
            at = self._values.follow(side, cross=False)
            node = self._values.node(at)
            if self._values.written(at):
                return None
            if self._begins(node):
                return at, added
            sides = self._values.sides(at) if node.canonical in ("Add", "Sub") and not node.effects else ()
            if len(sides) != 2:
                return None
            amounts = [self._values.number(operand) for operand in sides]
            if amounts[1] is not None:
                side, added = sides[0], added + (amounts[1] if node.canonical == "Add" else -amounts[1])
            elif amounts[0] is not None and node.canonical == "Add":
                side, added = sides[1], added + amounts[0]
            else:
                return None
        return None

    def _begins(self, node: Node) -> bool:
        """Whether a node is where a loop variable has its value at the start of an iteration."""
        return node.kind == "input"

    def _course(self, role: str, variable: Value) -> tuple[Quantity | None, int | None]:
        """A loop variable's first value, and what each iteration adds to it."""
        slot = self._node.calls[role].operands[self._index(variable)]
        return self._start(slot, variable.path), self._step(slot, variable.path)

    def _start(self, slot: int | None, path: tuple[int, ...]) -> Quantity | None:
        fed = None if slot is None else self._values.operand(self._ref.graph, self._node.id, slot)
        return None if fed is None else self._values.of(replace(fed, path=path))

    def _step(self, slot: int | None, path: tuple[int, ...]) -> int | None:
        """The constant that the body adds to a loop variable."""
        for call in self._node.calls.values():
            for out, into in call.carried:
                if call.operands[into] != slot:
                    continue
                result = self._values.operand(call.graph, self._program.graphs[call.graph].output, out)
                counter = None if result is None else self._counter(replace(result, path=path))
                variable = Value(call.graph, self._values.inputs[call.graph][into], 0, path)
                return counter[1] if counter is not None and counter[0] == variable else None
        return None

    def _index(self, input: Value) -> int:
        return self._values.inputs[input.graph].index(input.id)

    def _made_within(self, limit: Quantity, graph: str) -> bool:
        """Whether a symbol is of a value made in the loop: another one each time round."""
        return isinstance(limit, Symbol) and limit.base[0].graph == graph


class _Cycle(_Loop):
    """A loop written as a cycle of the graph, decided by one node in it. A loop variable is where its first value and the next one meet."""

    def __init__(self, values: Quantities, program: Program, ref: NodeRef, node: Node, control: Control) -> None:
        super().__init__(values, program, ref, node, replace(control, predicate=None))
        self._decided = control.predicate

    def bounds(self) -> Iterator[Quantity | None]:
        condition = None if self._decided is None else self._values.operand(self._ref.graph, self._node.id, self._decided)
        if condition is None:
            yield None
            return
        for test in self._tests(condition):
            holds = self._truth(test)
            if holds is None:
                yield self._counted("", test)
            elif not holds:
                yield 0

    def _begins(self, node: Node) -> bool:
        return (
            meets(node.op) and self._innermost(node) == self._node.id and any(goes_back(node.graph.node(u.src).op) for u in node.operands)
        )

    @staticmethod
    def _innermost(node: Node) -> str | None:
        loops = [decider for decider, role in node.meta.get("within", ()) if role == "loop"]
        return loops[-1] if loops else None

    def _course(self, role: str, variable: Value) -> tuple[Quantity | None, int | None]:
        node = self._values.node(variable)
        operands = [Value(variable.graph, use.src, use.src_port) for use in node.operands]
        back = [operand for operand in operands if goes_back(self._values.node(operand).op)]
        first = [operand for operand in operands if operand not in back]
        if len(first) != 1 or len(back) != 1:
            return None, None
        next = self._values.operand(variable.graph, back[0].id, 0)
        counter = None if next is None else self._counter(next)
        step = counter[1] if counter is not None and counter[0] == variable else None
        return self._values.of(first[0]), step

    def _made_within(self, limit: Quantity, graph: str) -> bool:
        if not isinstance(limit, Symbol) or limit.base[0].graph != graph:
            return False
        return (self._node.id, "loop") in self._values.node(limit.base[0]).meta.get("within", ())


def _trips(start: Quantity, way: str, limit: Quantity, step: int) -> Quantity | None:
    """Times round of ``for (i = start; i way limit; i += step)``; ``None`` where it does not end by counting."""
    distance = difference(start, limit) if way in (">", ">=") else difference(limit, start)
    if distance is None or way == "==":
        return None
    if way in (">", ">="):
        step = -step
    if way in ("<=", ">="):
        distance = total(distance, 1)
    if isinstance(distance, Symbol):
        # A floor of nought changes nothing: no loop runs less than that.
        above = distance.floor is not None and distance.floor > 0
        return replace(distance, floor=None) if step == 1 and way != "!=" and not above else None
    if distance is None:
        return None
    if way == "!=":
        whole = distance == 0 or (step != 0 and distance % step == 0 and distance // step > 0)
        return (distance // step if distance else 0) if whole else None
    if distance <= 0:
        return 0
    return -(-distance // step) if step > 0 else None
