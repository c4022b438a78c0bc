"""Which overload of an operator a call means, and what torch converts for it (``schema_matching.cpp``)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

from graphlab.capture.torch.schemas import Argument, Schema, default_value, schemas
from graphlab.capture.torch.script_ir import constant_type
from graphlab.capture.torch.script_types import (
    BOOL,
    COMPLEX,
    DEVICE,
    FLOAT,
    INT,
    NUMBER,
    TENSOR,
    Type,
    bind,
    filled,
    is_subtype,
    list_of,
    tuple_of,
)

Step: TypeAlias = tuple[Any, ...]
"""One conversion of a value: ``("op", name, type)``, ``("repeat", n, list type)``, ``("list", list type, n)``, ``("each", steps)``."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a call fills an operator's operands.

    Attributes:
        operands: for each (source, conversions): a position, a keyword, ``("default", value, type)``, or
            ``("rest", first position, type)`` for the arguments that make one list.
        returns: types of the results.
    """

    schema: Schema
    operands: tuple[tuple[Any, tuple[Step, ...]], ...]
    returns: tuple[Type, ...]


_IMPLICIT = {FLOAT: "aten::FloatImplicit", COMPLEX: "aten::ComplexImplicit", INT: "aten::IntImplicit", NUMBER: "aten::ScalarImplicit"}
_FROM_NUMBER = {FLOAT: "aten::Float", COMPLEX: "aten::Complex", INT: "aten::Int"}


@cache
def convert(actual: Type, wanted: Type, allow: bool) -> tuple[Type, tuple[Step, ...]]:
    """What a value of one type becomes where another is wanted (``tryConvertToType``), and by which steps."""
    if wanted.kind == "Optional" and actual.kind not in ("Optional", "NoneType"):
        return convert(actual, wanted.args[0], allow)
    steps: tuple[Step, ...] = ()
    if actual.kind == "Tuple":
        inner = wanted.args[0] if wanted.kind == "Optional" else wanted
        if inner.kind == "List" and all(is_subtype(each, inner.args[0]) for each in actual.args):
            steps = (("list", inner, len(actual.args)),)
            actual = inner
        elif wanted.kind == "Tuple" and not is_subtype(actual, wanted) and len(wanted.args) == len(actual.args):
            parts = [convert(a, w, allow) for a, w in zip(actual.args, wanted.args, strict=True)]
            steps = (("each", tuple(part[1] for part in parts)),)
            actual = tuple_of(tuple(part[0] for part in parts))
    if allow:
        if actual == TENSOR:
            if wanted in _IMPLICIT:
                return wanted, (*steps, ("op", _IMPLICIT[wanted], wanted))
        elif actual == NUMBER:
            if wanted in _FROM_NUMBER:
                return wanted, (*steps, ("op", _FROM_NUMBER[wanted], wanted))
        elif actual.kind == "str" and wanted == DEVICE:
            return DEVICE, (*steps, ("op", "aten::device", DEVICE))
    return actual, steps


def argument(formal: Argument, actual: Type, allow: bool, bound: dict[str, Type]) -> tuple[Step, ...] | None:
    """Conversions that make a value fit an argument; ``None`` where it does not."""
    steps: tuple[Step, ...] = ()
    if formal.size is not None and actual in (INT, FLOAT):
        inner = formal.type.args[0] if formal.type.kind == "Optional" else formal.type
        if inner.kind == "List" and inner.args[0] == actual:
            steps = (("repeat", formal.size, list_of(actual)),)
            actual = list_of(actual)
    if not bind(formal.type, actual, bound):
        return None
    wanted = filled(formal.type, bound)
    if wanted is None:
        return None
    actual, more = convert(actual, wanted, allow)
    return (*steps, *more) if is_subtype(actual, wanted) else None


def match(schema: Schema, args: tuple[Type, ...], kwargs: tuple[tuple[str, Type], ...], allow: bool) -> Plan | None:
    """The plan of a call by one overload; ``None`` where its arguments do not fit."""
    if schema.name == "aten::view" and schema.overload == "dtype":  # torch itself never chooses it: a dtype is an int
        return None
    bound: dict[str, Type] = {}
    operands: list[tuple[Any, tuple[Step, ...]]] = []
    named = dict(kwargs)
    used = 0
    formals = schema.arguments
    for i, formal in enumerate(formals):
        source: Any
        if not formal.kwarg_only and used < len(args):
            if (
                allow
                and formal.type.kind == "List"
                and formal.size is None
                and formal.type.args[0].kind != "var"
                and (i + 1 == len(formals) or formals[i + 1].kwarg_only)
                and args[used].kind not in ("List", "Unknown")
                and not (args[used].kind == "Tuple" and all(is_subtype(t, formal.type.args[0]) for t in args[used].args))
            ):
                element = Argument("", formal.type.args[0])
                parts = [argument(element, each, allow, bound) for each in args[used:]]
                if any(part is None for part in parts):
                    return None
                operands.append((("rest", used, formal.type), tuple(part or () for part in parts)))
                used = len(args)
                continue
            source, actual = used, args[used]
            used += 1
        elif formal.name in named:
            source, actual = formal.name, named.pop(formal.name)
        elif formal.name == "self" and "input" in named and schema.name.startswith("aten::"):
            source, actual = "input", named.pop("input")
        elif formal.default is not None:
            value, actual = default_of(formal)
            source = ("default", value, actual)
        else:
            return None
        steps = argument(formal, actual, allow, bound)
        if steps is None:
            return None
        operands.append((source, steps))
    if schema.vararg:
        operands += [(i, ()) for i in range(used, len(args))]
        used = len(args)
    if used < len(args) or named:
        return None
    returns = tuple(filled(each, bound) for each in schema.returns)
    if any(each is None for each in returns):
        return None
    return Plan(schema, tuple(operands), tuple(each for each in returns if each is not None))


def default_of(formal: Argument) -> tuple[Any, Type]:
    """An argument's default as a value and its type."""
    value = default_value(formal.default or "None")
    inner = formal.type.args[0] if formal.type.kind == "Optional" else formal.type
    if inner == FLOAT and isinstance(value, int):
        value = float(value)
    if inner.kind == "List" and formal.size is not None and isinstance(value, (int, float)):  # int[2] stride=1 is [1, 1]
        value = (value,) * formal.size
    if isinstance(value, tuple):
        return value, inner
    return value, constant_type(value)


@cache
def choose(name: str, args: tuple[Type, ...], kwargs: tuple[tuple[str, Type], ...]) -> Plan | None:
    """The overload torch takes: the first that fits as it is, else the first that fits with conversions."""
    variants = schemas(name)
    for allow in (False, True) if len(variants) > 1 else (True,):
        for schema in variants:
            plan = match(schema, args, kwargs, allow)
            if plan is not None:
                return plan
    return None


# Aliases that torch takes back to one name where the first operand is a tensor (passes/normalize_ops.cpp).
_SAME = {
    "absolute": "abs", "adjoint": "mH", "arccos": "acos", "arccosh": "acosh", "arcsin": "asin", "arcsinh": "asinh", "arctan": "atan",
    "arctan2": "atan2", "arctanh": "atanh", "clip": "clamp", "det": "linalg_det", "divide": "div", "fix": "trunc", "ger": "outer",
    "greater": "gt", "greater_equal": "ge", "inverse": "linalg_inv", "less": "lt", "less_equal": "le", "matrix_exp": "linalg_matrix_exp",
    "matrix_power": "linalg_matrix_power", "moveaxis": "movedim", "multiply": "mul", "negative": "neg", "not_equal": "ne",
    "orgqr": "linalg_householder_product", "subtract": "sub", "swapaxes": "transpose", "swapdims": "transpose", "true_divide": "div",
}  # fmt: skip
_OF_LISTS = {"concat": "cat", "concatenate": "cat", "row_stack": "vstack"}
ALIASES = {f"aten::{alias}{end}": f"aten::{name}{end}" for alias, name in _SAME.items() for end in ("", "_")} | {
    f"aten::{alias}": f"aten::{name}" for alias, name in _OF_LISTS.items()
}


def normalized(name: str, plan: Plan, types: tuple[Type, ...]) -> tuple[str, Schema, bool]:
    """The operation torch puts in a call's place, its schema, and whether its first two operands change places."""
    schema = plan.schema
    if name == "aten::rsub" and schema.overload == "Tensor":
        return "aten::sub", _overload("aten::sub", "Tensor", schema), True
    if name in ("aten::__is__", "aten::__isnot__") and types[:2] == (BOOL, BOOL):
        name = "aten::eq" if name == "aten::__is__" else "aten::ne"
        return name, _overload(name, "bool", schema), False
    if name in ALIASES and types and types[0] in (TENSOR, list_of(TENSOR)):
        name = ALIASES[name]
        return name, _overload(name, schema.overload, schema), False
    return name, schema, False


def _overload(name: str, overload: str, otherwise: Schema) -> Schema:
    return next((each for each in schemas(name) if each.overload == overload), otherwise)
