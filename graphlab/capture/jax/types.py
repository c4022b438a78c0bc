"""JAX's abstract values as value types."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from graphlab.ir.constants import Constant
from graphlab.ir.values import DTYPE_BITS, Dim, OpaqueType, SymDim, TensorType, TokenType, ValueType


def value_type(aval: Any) -> ValueType:
    """A ``ShapedArray`` or ``ShapeDtypeStruct`` is a TensorType; keys, references and the like are opaque by JAX's own name."""
    name = type(aval).__name__
    if name == "AbstractToken":
        return TokenType()
    dtype = dtype_of(getattr(aval, "dtype", None))
    if dtype is None or name == "AbstractRef" or getattr(aval, "shape", None) is None:
        return OpaqueType(str(aval))
    return TensorType(dtype, tuple(map(dim, aval.shape)), sharding=_sharding(aval))


def dtype_of(dtype: Any) -> str | None:
    """NumPy's or ml_dtypes' name; ``None`` for JAX's extended types (random keys) and float0."""
    return _named(dtype) if isinstance(dtype, np.dtype) else None


@cache
def _named(dtype: np.dtype[Any]) -> str | None:
    """NumPy works the name out each time it is asked for it."""
    return dtype.name if dtype.name in DTYPE_BITS else None


def dim(size: Any) -> Dim:
    """An int, or the formula of a symbolic dimension."""
    return int(size) if isinstance(size, (int, np.integer)) else SymDim(str(size))


def constant(value: Any, aval: Any) -> Constant:
    """A closed-over or literal value. An array's bytes are fetched from the device when first asked for."""
    kind = value_type(aval)
    if not isinstance(kind, TensorType):
        return Constant(kind, None, reason="it is no array that has bytes")
    if isinstance(value, (bool, int, float, complex, np.generic)):
        return Constant(kind, np.asarray(value, aval.dtype).tobytes())
    return Constant(kind, lambda: np.ascontiguousarray(np.asarray(value)).tobytes())


def _sharding(aval: Any) -> str | None:
    """The partition spec that an explicit-sharding mode keeps in the type; ``None`` where nothing is split."""
    spec = getattr(getattr(aval, "sharding", None), "spec", None)
    return str(spec) if spec is not None and any(part is not None for part in spec) else None
