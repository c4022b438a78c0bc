"""Which computation an HLO instruction uses for what: operands in, results out, branches, loops and their trip counts."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, isinf

from graphlab.capture.xla.hlo_computation import Caller, Computation
from graphlab.capture.xla.hlo_lexer import HloText
from graphlab.ir.frozen import EMPTY, FrozenDict
from graphlab.ir.graph import Call, Control, Graph
from graphlab.ir.values import DTYPE_BITS, TensorType

_PASSES_OPERANDS = ("fusion", "call", "async-start")
# The result of these callees decides, it is no part of the caller's result.
_DECIDES = frozenset({("sort", "to_apply"), ("topk", "to_apply"), ("select-and-scatter", "select")})
# Operation → ONNX reduction and the value it must start from.
_REDUCTIONS = {
    "hlo.add": ("ReduceSum", 0), "hlo.multiply": ("ReduceProd", 1), "hlo.maximum": ("ReduceMax", -inf), "hlo.minimum": ("ReduceMin", inf),
}  # fmt: skip
_MIRROR = {"LT": "GT", "GT": "LT", "LE": "GE", "GE": "LE", "NE": "NE"}


def resolve(computations: Mapping[str, Computation], source: HloText) -> None:
    """Give every instruction that names computations its ``calls``, and ``control`` where it has branches or loops.

    Raises:
        FormatError: a computation is not there, takes another number of parameters than it is given, or uses itself.
    """
    uses: dict[str, list[str]] = {}
    for computation in computations.values():
        uses[computation.name] = [name for caller in computation.callers for _, names in caller.called for name in names]
        for caller in computation.callers:
            _resolve_one(caller, computation, computations, source)
    _refuse_recursion(uses, computations, source)


def _resolve_one(caller: Caller, owner: Computation, computations: Mapping[str, Computation], source: HloText) -> None:
    calls: dict[str, Call] = {}
    for attribute, names in caller.called:
        for k, name in enumerate(names):
            callee = computations.get(name)
            if callee is None:
                raise source.wrong(f"'{caller.id}' uses the computation '{name}', which is not in this module", caller.pos)
            role, slots, call = _call(caller.opcode, attribute, k, callee, len(caller.operands))
            expected = len(callee.parameters)
            if slots is not None and slots != expected:
                raise source.wrong(f"'{caller.id}' gives '{name}' {slots} operands, it takes {expected}", caller.pos)
            if any(slot is not None and slot >= len(caller.operands) for slot in call.operands):
                raise source.wrong(f"'{caller.id}' has no operand for '{name}'", caller.pos)
            calls[role] = call
    if not calls:
        return
    caller.data["calls"] = FrozenDict(calls)
    if caller.opcode == "while" and {"cond", "body"} <= calls.keys():
        caller.data["control"] = Control("loop", condition=("cond", 0), trip_count=_trip_count(caller, owner, computations))
    elif caller.opcode == "conditional" and caller.operands:
        caller.data["control"] = Control("conditional", predicate=0)
        if "then" in calls:
            caller.data["canonical"] = "If"
    elif caller.opcode == "reduce" and (kind := _reduction(caller, owner, computations)):
        caller.data["canonical"] = kind


def _call(opcode: str, attribute: str, k: int, callee: Computation, operands: int) -> tuple[str, int | None, Call]:
    """Role, number of values passed (None: the operation makes them), and the call."""
    own: tuple[int | None, ...] = (None,) * len(callee.parameters)
    if opcode == "while" and attribute in ("condition", "body"):
        if attribute == "condition":
            return "cond", 1, Call(callee.key, (0,), (None,))
        return "body", 1, Call(callee.key, (0,), (0,), ((0, 0),))
    if opcode == "conditional":
        if attribute == "true_computation":
            return "then", 1, Call(callee.key, (1,), (0,))
        if attribute == "false_computation":
            return "else", 1, Call(callee.key, (2,), (0,))
        return f"branch_{k}", 1, Call(callee.key, (k + 1,), (0,))
    if opcode in _PASSES_OPERANDS:
        return "call", operands, Call(callee.key, tuple(range(len(callee.parameters))), (0,))
    if attribute == "calls":  # async-update and async-done name what async-start started
        return "call", None, Call(callee.key, own, (0 if opcode.endswith("-done") else None,))
    if attribute == "called_computations":
        return f"call_{k}", None, Call(callee.key, own, (None,))
    decides = (opcode, attribute) in _DECIDES or opcode == "custom-call"
    return attribute, None, Call(callee.key, own, (None if decides else 0,))


def _refuse_recursion(uses: Mapping[str, list[str]], computations: Mapping[str, Computation], source: HloText) -> None:
    done: set[str] = set()
    for start in uses:
        path: dict[str, int] = {}
        work = [start] if start not in done else []
        while work:
            name = work[-1]
            step = path.setdefault(name, 0)
            if step == len(uses[name]):
                done.add(name)
                del path[name]
                work.pop()
                continue
            path[name] = step + 1
            used = uses[name][step]
            if used in path:
                raise source.wrong(f"the computation '{used}', which uses itself", computations[used].pos)
            if used not in done:
                work.append(used)


def _reduction(caller: Caller, owner: Computation, computations: Mapping[str, Computation]) -> str | None:
    """The ONNX reduction, where the computation is one operation on its two parameters and starts from its neutral value."""
    if len(caller.operands) != 2 or len(caller.called) != 1 or len(caller.called[0][1]) != 1:
        return None
    callee = computations[caller.called[0][1][0]]
    root = callee.graph.node(callee.root)
    if sorted(use.src for use in root.operands) != sorted(callee.parameters):
        return None
    kind, neutral = _REDUCTIONS.get(root.op, (None, 0))
    return kind if kind is not None and _is_neutral(owner, caller.operands[1], neutral) else None


def _is_neutral(computation: Computation, id: str, neutral: float) -> bool:
    """Whether a constant is ``neutral``; the infinities of an integer type are its limits."""
    type = computation.graph.nodes[id]["outputs"][0]
    if id not in computation.scalars or not isinstance(type, TensorType):
        return False
    if isinf(neutral) and "int" in type.dtype:
        bits, signed = DTYPE_BITS[type.dtype], type.dtype[0] == "i"
        limit = (2 ** (bits - signed) - 1) if neutral > 0 else -(2 ** (bits - 1)) if signed else 0
        return _integer(computation, id) == limit
    try:
        return float(computation.scalars[id]) == neutral
    except (ValueError, OverflowError):  # "true", or a literal that does not fit: whoever asks for the value is told
        return False


def _trip_count(caller: Caller, owner: Computation, computations: Mapping[str, Computation]) -> int | None:
    """How often a while runs: as XLA noted it, else where its condition compares a counter with a constant."""
    config = caller.data.get("attrs", EMPTY).get("backend_config")
    known = config.get("known_trip_count") if isinstance(config, Mapping) else None
    if isinstance(known, Mapping) and str(known.get("n", "")).isdecimal():
        return int(known["n"])
    called = dict(caller.called)
    if len(called.get("condition", ())) != 1 or len(called.get("body", ())) != 1:
        return None
    cond, body = computations[called["condition"][0]], computations[called["body"][0]]
    test = _counter_test(cond)
    if test is None:
        return None
    index, direction, bound = test
    init = _tuple_operand(owner.graph, caller.operands[0], index)
    step = _step(body, index)
    start = None if init is None else _integer(owner, init)
    return None if start is None or step is None else _count(start, step, direction, bound)


def _counter_test(cond: Computation) -> tuple[int, str, int] | None:
    """(tuple index, direction, bound) of a condition ``counter < constant``."""
    root = cond.graph.node(cond.root)
    direction = root.attrs.get("direction")
    if root.op != "hlo.compare" or direction not in _MIRROR:
        return None
    sides = [use.src for use in root.operands]
    if len(sides) != 2:
        return None
    for counter, bound, way in ((sides[0], sides[1], direction), (sides[1], sides[0], _MIRROR[direction])):
        index, limit = _element_of_parameter(cond, counter), _integer(cond, bound)
        if index is not None and limit is not None:
            return index, way, limit
    return None


def _element_of_parameter(computation: Computation, id: str) -> int | None:
    """The index, where a node is an element of the computation's one parameter."""
    node = computation.graph.node(id)
    index = node.attrs.get("index")
    if node.op != "hlo.get-tuple-element" or type(index) is not int or [use.src for use in node.operands] != computation.parameters:
        return None
    return index


def _step(body: Computation, index: int) -> int | None:
    """What the loop's body adds to the counter each time round."""
    new = _tuple_operand(body.graph, body.root, index)
    if new is None:
        return None
    node = body.graph.node(new)
    sides = [use.src for use in node.operands]
    if node.op not in ("hlo.add", "hlo.subtract") or len(sides) != 2:
        return None
    sign = 1 if node.op == "hlo.add" else -1
    orders = ((sides[0], sides[1]), (sides[1], sides[0])) if sign == 1 else ((sides[0], sides[1]),)
    for counter, step in orders:
        amount = _integer(body, step)
        if amount is not None and _element_of_parameter(body, counter) == index:
            return sign * amount
    return None


def _tuple_operand(graph: Graph, id: str, index: int) -> str | None:
    node = graph.node(id)
    uses = node.operands if node.op == "hlo.tuple" else []
    return uses[index].src if index < len(uses) else None


def _integer(computation: Computation, id: str) -> int | None:
    """The value of a scalar integer constant, seen through copies."""
    node = computation.graph.node(id)
    while node.op == "hlo.copy" and len(node.operands) == 1:
        node = computation.graph.node(node.operands[0].src)
    type = node.outputs[0]
    if not isinstance(type, TensorType) or "int" not in type.dtype:
        return None
    try:
        return int(computation.scalars[node.id])
    except (KeyError, ValueError):  # no constant, or elided, or one that does not fit
        return None


def _count(start: int, step: int, direction: str, bound: int) -> int | None:
    """Times round of ``for (i = start; i <direction> bound; i += step)``; None where it does not end by counting."""
    if direction in ("GT", "GE"):
        start, step, bound, direction = -start, -step, -bound, "LT" if direction == "GT" else "LE"
    if direction == "NE":
        return (bound - start) // step if step and (bound - start) % step == 0 and (bound - start) // step >= 0 else None
    if direction == "LE":
        bound += 1
    if start >= bound:
        return 0
    return -((start - bound) // step) if step > 0 else None
