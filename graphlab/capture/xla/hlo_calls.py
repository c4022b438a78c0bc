"""Which computation an HLO instruction uses for what: operands in, results out, branches and loops."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, isinf

from graphlab.capture.xla.hlo_build import Caller, Computation
from graphlab.capture.xla.hlo_lexer import Faults
from graphlab.ir.frozen import EMPTY, FrozenDict
from graphlab.ir.graph import Call, Control
from graphlab.ir.values import DTYPE_BITS, TensorType

_PASSES_OPERANDS = ("fusion", "call", "async-start")
# The result of these callees decides, it is no part of the caller's result.
_DECIDES = frozenset({("sort", "to_apply"), ("topk", "to_apply"), ("select-and-scatter", "select")})
# Operation → ONNX reduction and the value it must start from.
_REDUCTIONS = {
    "hlo.add": ("ReduceSum", 0), "hlo.multiply": ("ReduceProd", 1), "hlo.maximum": ("ReduceMax", -inf), "hlo.minimum": ("ReduceMin", inf),
}  # fmt: skip


def resolve(computations: Mapping[str, Computation], source: Faults) -> None:
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


def _resolve_one(caller: Caller, owner: Computation, computations: Mapping[str, Computation], source: Faults) -> None:
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
        caller.data["control"] = Control("loop", condition=("cond", 0), trip_count=_trip_count(caller))
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


def _refuse_recursion(uses: Mapping[str, list[str]], computations: Mapping[str, Computation], source: Faults) -> None:
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
    try:
        if isinf(neutral) and "int" in type.dtype:
            bits, signed = DTYPE_BITS[type.dtype], type.dtype[0] == "i"
            limit = (2 ** (bits - signed) - 1) if neutral > 0 else -(2 ** (bits - 1)) if signed else 0
            return int(computation.scalars[id]) == limit
        return float(computation.scalars[id]) == neutral
    except (ValueError, OverflowError):  # "true", or a literal that does not fit: whoever asks for the value is told
        return False


def _trip_count(caller: Caller) -> int | None:
    """How often a while runs, as XLA noted it (``WhileLoopBackendConfig.known_trip_count`` of xla_data.proto)."""
    config = caller.data.get("attrs", EMPTY).get("backend_config")
    known = config.get("known_trip_count") if isinstance(config, Mapping) else None
    return int(known["n"]) if isinstance(known, Mapping) and str(known.get("n", "")).isdecimal() else None
