"""TFF's literals as constants: Array in tensorflow_federated/proto/v0/array.proto."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphlab.capture.proto import Parsed
from graphlab.capture.tensorflow.values import dtype_name
from graphlab.ir.constants import Constant
from graphlab.ir.values import DTYPE_BITS, TensorType

_BITS_AS_NUMBERS = ("float16", "bfloat16")


def constant(array: Any, parsed: Parsed) -> Constant:
    """A literal's value."""
    dims = None if array.shape.unknown_rank else tuple(size if size >= 0 else None for size in array.shape.dim)
    type = TensorType(dtype_name(array.dtype), dims)
    if array.HasField("content"):
        return Constant(type, parsed.data(array.content), nbytes=parsed.nbytes(array.content))
    which = array.WhichOneof("kind")
    if which is None or type.elements is None:
        return Constant(type, None, reason="the literal has no value")
    values = list(getattr(array, which).value)
    if type.dtype == "string":
        texts = [parsed.read(value).decode("utf-8", "backslashreplace") for value in values]
        text = repr(texts[0] if type.dims == () and texts else texts).encode()
        return Constant(type, text, nbytes=len(text))
    data = _dense(type, values)
    bits = DTYPE_BITS.get(type.dtype)
    if data is None or bits is None or len(data) != type.elements * bits // 8:
        return Constant(type, None, reason=f"the literal holds {len(values):,} values, which its type does not fit")
    return Constant(type, data)


def _dense(type: TensorType, values: list[Any]) -> bytes | None:
    if type.dtype in _BITS_AS_NUMBERS:
        return np.array(values, np.int64).astype("<u2").tobytes()
    if type.dtype.startswith("complex"):
        return np.array(values, "<f4" if type.dtype == "complex64" else "<f8").tobytes()
    try:
        return np.array(values).astype(np.dtype(type.dtype).newbyteorder("<")).tobytes()
    except TypeError:  # a type that NumPy has not, or values of another kind
        return None
