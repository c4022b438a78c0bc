"""Which regions an equation uses, and which of its operands and results go in and out of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn

from graphlab.capture.jax.params import jaxprs


@dataclass(frozen=True, slots=True)
class Region:
    """One inner jaxpr of an equation, with the mapping that :class:`graphlab.ir.graph.Call` holds."""

    role: str
    jaxpr: Jaxpr | ClosedJaxpr
    operands: tuple[int | None, ...]
    results: tuple[int | None, ...]
    carried: tuple[tuple[int, int], ...] = ()


def regions(eqn: JaxprEqn) -> list[Region]:
    """All regions of an equation: by the primitive's own rule where it is known, else by what fits."""
    rule = _RULES.get(eqn.primitive.name)
    if rule is not None:
        return rule(eqn)
    found = [pair for name, value in eqn.params.items() for pair in jaxprs(value, name)]
    return [_fitting(eqn, _role(path), jaxpr) for path, jaxpr in found]


def variables(jaxpr: Jaxpr | ClosedJaxpr) -> tuple[Sequence[Any], Sequence[Any]]:
    """Inputs and results of a region. An open jaxpr's constants have no values here: they are inputs, the first."""
    if isinstance(jaxpr, ClosedJaxpr):
        return jaxpr.jaxpr.invars, jaxpr.jaxpr.outvars
    return [*jaxpr.constvars, *jaxpr.invars], jaxpr.outvars


def _cond(eqn: JaxprEqn) -> list[Region]:
    """``lax.cond`` and ``lax.switch``: operand 0 is the branch's number; ``cond`` puts False's branch first."""
    given = _ints(1, len(eqn.invars))
    return [Region(f"branch_{i}", branch, given, _ints(0, len(eqn.outvars))) for i, branch in enumerate(eqn.params["branches"])]


def _while(eqn: JaxprEqn) -> list[Region]:
    """Operands: the condition's constants, the body's constants, the carried values."""
    first, second = eqn.params["cond_nconsts"], eqn.params["body_nconsts"]
    carry = _ints(first + second, len(eqn.invars))
    back = tuple((i, second + i) for i in range(len(carry)))
    return [
        Region("cond", eqn.params["cond_jaxpr"], _ints(0, first) + carry, (None,)),
        Region("body", eqn.params["body_jaxpr"], _ints(first, first + second) + carry, _ints(0, len(carry)), back),
    ]


def _scan(eqn: JaxprEqn) -> list[Region]:
    """Operands: constants, carried values, scanned arrays, of which the body sees one slice a trip."""
    consts, carry = eqn.params["num_consts"], eqn.params["num_carry"]
    slices = len(eqn.invars) - consts - carry
    operands = _ints(0, consts + carry) + (None,) * slices
    back = tuple((i, consts + i) for i in range(carry))
    return [Region("body", eqn.params["jaxpr"], operands, _ints(0, len(eqn.outvars)), back)]


def _call(eqn: JaxprEqn) -> list[Region]:
    """A call: operands and results one to one (under ``shard_map`` each device sees its part of them)."""
    [(path, jaxpr)] = [pair for name, value in eqn.params.items() for pair in jaxprs(value, name)]
    inputs, results = variables(jaxpr)
    if len(inputs) != len(eqn.invars) or len(results) != len(eqn.outvars):
        return [_fitting(eqn, _role(path), jaxpr)]
    return [Region("call", jaxpr, _ints(0, len(eqn.invars)), _ints(0, len(eqn.outvars)))]


def _reduction(eqn: JaxprEqn) -> list[Region]:
    """The region combines two elements a time; what comes of it in the end is the result."""
    [(_, jaxpr)] = [pair for name, value in eqn.params.items() for pair in jaxprs(value, name)]
    inputs, results = variables(jaxpr)
    return [Region("to_apply", jaxpr, (None,) * len(inputs), _ints(0, len(results)))]


def _linear_solve(eqn: JaxprEqn) -> list[Region]:
    """Operands: the constants of matvec, vecmat, solve and transpose_solve in turn, then the right-hand side.

    Only ``solve`` makes the result; the others are there for differentiation and for checking.
    """
    lengths, solvers = eqn.params["const_lengths"], eqn.params["jaxprs"]
    found: list[Region] = []
    start = 0
    for role, length, jaxpr in zip(lengths._fields, lengths, solvers, strict=True):
        if jaxpr is not None:
            inputs, results = variables(jaxpr)
            solves = role == "solve"
            vector = _ints(sum(lengths), len(eqn.invars)) if solves else (None,) * (len(inputs) - length)
            ports = _ints(0, len(results)) if solves else (None,) * len(results)
            found.append(Region(role, jaxpr, _ints(start, start + length) + vector, ports))
        start += length
    return found


def _fitting(eqn: JaxprEqn, role: str, jaxpr: Jaxpr | ClosedJaxpr) -> Region:
    """One to one where number and types agree; else the operation itself makes the region's inputs of all it is given."""
    inputs, results = variables(jaxpr)
    return Region(
        role,
        jaxpr,
        _ints(0, len(inputs)) if _same(inputs, eqn.invars) else (None,) * len(inputs),
        _ints(0, len(results)) if _same(results, eqn.outvars) else (None,) * len(results),
    )


def _same(ours: Sequence[Any], theirs: Sequence[Any]) -> bool:
    def described(variables: Sequence[Any]) -> list[tuple[Any, Any]]:
        return [(getattr(v.aval, "shape", None), getattr(v.aval, "dtype", None)) for v in variables]

    return described(ours) == described(theirs)


def _role(path: str) -> str:
    """``update_jaxpr`` → ``update``, ``jaxprs/solve`` → ``solve``, ``jaxpr`` → ``body``."""
    parts = [part.removesuffix("_jaxpr") for part in path.split("/") if part not in ("jaxpr", "jaxprs", "call_jaxpr")]
    return "/".join(parts) or "body"


def _ints(start: int, stop: int) -> tuple[int | None, ...]:
    return tuple(range(start, stop))


_Rule: TypeAlias = Callable[[JaxprEqn], list[Region]]
_RULES: dict[str, _Rule] = {
    "cond": _cond,
    "while": _while,
    "scan": _scan,
    "reduce": _reduction,
    "reduce_window": _reduction,
    "custom_linear_solve": _linear_solve,
    **dict.fromkeys(
        ("jit", "pjit", "closed_call", "core_call", "remat", "remat2", "checkpoint", "custom_jvp_call", "custom_vjp_call",
         "custom_vjp_call_jaxpr", "custom_partitioning", "composite", "shard_map", "xla_pmap"),
        _call,
    ),
}  # fmt: skip
