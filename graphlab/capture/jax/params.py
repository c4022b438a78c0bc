"""A primitive's parameters as plain, immutable attribute values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

import numpy as np
from jax import Array
from jax.core import ShapedArray
from jax.extend.core import ClosedJaxpr, Jaxpr, Primitive

from graphlab.capture.jax.types import constant, dim, value_type
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.values import TensorType

INLINE_ELEMENTS = 64
"""Arrays up to this size become tuples, larger ones constants."""
_DEEPEST = 8  # parameters nest two or three levels; an object graph with cycles must end somewhere
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


class _Left:
    """Stands for a value that is no attribute: a jaxpr (it is a region), a Python function (it is none of the program)."""


LEFT = _Left()


def attributes(params: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Attributes and meta of an equation. Parameters that say nothing (``None``, unspecified) are left out;
    Python functions give their names in meta."""
    attrs: dict[str, Any] = {}
    meta: dict[str, Any] = {}
    for name, value in params.items():
        result = plain(value)
        if result is LEFT:
            function = _function_name(value)
            if function:
                meta[name] = function
        elif not _says_nothing(result):
            attrs[name] = result
    return attrs, meta


def jaxprs(value: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every Jaxpr and ClosedJaxpr in a parameter, with its place in it (``branches/0``), outermost only."""
    if isinstance(value, (Jaxpr, ClosedJaxpr)):
        yield path, value
    elif depth <= _DEEPEST:
        for name, part in _parts(value):
            yield from jaxprs(part, f"{path}/{name}" if path else str(name), depth + 1)


def plain(value: Any, depth: int = 0) -> Any:
    """One parameter's value, or :data:`LEFT`."""
    if isinstance(value, Enum):
        return value.name
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        return value
    if isinstance(value, (Jaxpr, ClosedJaxpr)) or type(value).__name__ == "WrappedFun":
        return LEFT
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.dtype):
        return value.name
    if isinstance(value, ShapedArray):
        return value_type(value)
    if type(value).__name__ == "UnspecifiedValue":
        return None
    if type(value).__name__ == "_DimExpr":
        return dim(value)
    if isinstance(value, Primitive):
        return value.name
    if isinstance(value, (np.ndarray, Array)):
        return _array(value)
    if depth > _DEEPEST:
        return _text(value)
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return tuple(v for v in (plain(v, depth + 1) for v in value) if v is not LEFT)
    if isinstance(value, (list, set, frozenset)):
        parts = sorted(value, key=str) if isinstance(value, (set, frozenset)) else value
        return tuple(v for v in (plain(v, depth + 1) for v in parts) if v is not LEFT)
    named = list(_parts(value))
    if named:
        kept = ((str(k), plain(v, depth + 1)) for k, v in named)
        found = {k: v for k, v in kept if v is not LEFT and not _says_nothing(v)}
        return FrozenDict(found) if found else LEFT if any(jaxprs(value)) else FrozenDict()
    return LEFT if callable(value) and not isinstance(value, type) else _text(value)


def _parts(value: Any) -> Iterator[tuple[Any, Any]]:
    """Named parts of a container: a mapping's items, a named tuple's or dataclass's fields, a sequence's elements."""
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        yield from zip(value._fields, value, strict=True)
    elif isinstance(value, (tuple, list)):
        yield from enumerate(value)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            if hasattr(value, field.name):
                yield field.name, getattr(value, field.name)


def _array(value: Any) -> Any:
    if value.size <= INLINE_ELEMENTS and isinstance(value_type(value), TensorType):
        return _tuples(np.asarray(value).tolist())
    return constant(value, value)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _says_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, tuple) and bool(value) and all(v is None for v in value))


def _text(value: Any) -> str:
    text = str(value)
    # Addresses differ from run to run: such an object is told by its class alone.
    return f"{type(value).__module__}.{type(value).__qualname__}" if _ADDRESS.search(text) else text


def _function_name(value: Any) -> str:
    """A Python function's full name; empty for what has none."""
    value = getattr(value, "f", value) if type(value).__name__ == "WrappedFun" else value
    name = getattr(value, "__qualname__", "")
    return f"{value.__module__}.{name}" if name and isinstance(getattr(value, "__module__", None), str) else name
