"""What torch computes when it compiles: operations on constant numbers, texts and tuples of them."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from graphlab.capture.torch.script_types import Type

NOT_FOLDED = object()
_BITS = 64
_MAX_TEXT = 1 << 16


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda result, *values: function(*values)


def _remainder(a: Any, b: Any) -> Any:
    return a % b


def _numbers(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """On two numbers or two texts; ``aten::add`` takes a third argument only for tensors."""
    return lambda result, a, b: function(a, b)


_OPS: dict[str, Callable[..., Any]] = {
    "aten::add": _numbers(operator.add),
    "aten::sub": _numbers(operator.sub),
    "aten::mul": _numbers(operator.mul),
    "aten::div": _numbers(lambda a, b: a / b),
    "aten::floordiv": _numbers(operator.floordiv),
    "aten::remainder": _numbers(_remainder),
    "aten::neg": _plain(operator.neg),
    "aten::eq": _numbers(operator.eq),
    "aten::ne": _numbers(operator.ne),
    "aten::lt": _numbers(operator.lt),
    "aten::gt": _numbers(operator.gt),
    "aten::le": _numbers(operator.le),
    "aten::ge": _numbers(operator.ge),
    "aten::__and__": _numbers(operator.and_),
    "aten::__or__": _numbers(operator.or_),
    "aten::__xor__": _numbers(operator.xor),
    "aten::__not__": _plain(operator.not_),
    "aten::__is__": _numbers(lambda a, b: a is b if a is None or b is None else NOT_FOLDED),
    "aten::__isnot__": _numbers(lambda a, b: a is not b if a is None or b is None else NOT_FOLDED),
    "aten::Int": _plain(int),
    "aten::Float": _plain(float),
    "aten::Bool": _plain(bool),
    "aten::len": _plain(len),
    "aten::ceil": _plain(math.ceil),
    "aten::floor": _plain(math.floor),
    "aten::sqrt": _plain(math.sqrt),
    "aten::log": _plain(math.log),
    "prim::min": _numbers(min),
    "prim::max": _numbers(max),
    "prim::abs": _plain(abs),
    "aten::device": lambda result, *values: values[0] if len(values) == 1 else NOT_FOLDED,
    "prim::TupleConstruct": lambda result, *values: tuple(values),
    "prim::TupleIndex": lambda result, values, index: values[index],
    "prim::unchecked_cast": lambda result, value: value,
    "aten::_unwrap_optional": lambda result, value: NOT_FOLDED if value is None else value,
    "aten::__contains__": lambda result, where, what: what in where if isinstance(where, str) else NOT_FOLDED,
}


def fold(kind: str, result: Type, attrs: dict[str, Any], values: list[Any]) -> Any:
    """What the operation gives on these constants; :data:`NOT_FOLDED` where torch leaves it, or graphlab does not know."""
    function = _OPS.get(kind)
    if function is None:
        return NOT_FOLDED
    if kind == "aten::mul" and any(isinstance(value, str) for value in values):
        return NOT_FOLDED
    try:
        made = function(result, *values)
    except (ArithmeticError, TypeError, ValueError, IndexError):  # as torch: what cannot be computed is left
        return NOT_FOLDED
    if isinstance(made, int) and not isinstance(made, bool) and not -(1 << (_BITS - 1)) <= made < 1 << (_BITS - 1):
        return NOT_FOLDED
    if isinstance(made, str) and len(made) > _MAX_TEXT:
        return NOT_FOLDED
    return made
