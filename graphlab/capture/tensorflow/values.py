"""TensorFlow's types, shapes, attributes and constants in the IR's words. Needs the messages, not TensorFlow.

Numbers: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/framework/types.proto
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, Protocol

from graphlab.errors import ValueUnavailable
from graphlab.ir.constants import Constant
from graphlab.ir.frozen import frozen
from graphlab.ir.values import OpaqueType, TensorType, ValueType

DTYPES: dict[int, str] = {
    1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 7: "string", 8: "complex64",
    9: "int64", 10: "bool", 11: "qint8", 12: "quint8", 13: "qint32", 14: "bfloat16", 15: "qint16", 16: "quint16",
    17: "uint16", 18: "complex128", 19: "float16", 20: "resource", 21: "variant", 22: "uint32", 23: "uint64",
    24: "float8_e5m2", 25: "float8_e4m3fn", 26: "float8_e4m3fnuz", 27: "float8_e4m3b11fnuz", 28: "float8_e5m2fnuz",
    29: "int4", 30: "uint4", 31: "int2", 32: "uint2", 33: "float4_e2m1fn",
}  # fmt: skip
"""DataType number → TensorFlow's name, which is NumPy's or ml_dtypes' but for the quantized types and handles."""

_REF = 100  # DT_FLOAT_REF and its like: a TF1 variable's mutable buffer
_HANDLES = ("resource", "variant")
_QUANTIZED = {"qint8": "int8", "quint8": "uint8", "qint16": "int16", "quint16": "uint16", "qint32": "int32"}

# The repeated field of TensorProto that holds elements one by one, by type.
_FIELDS: dict[str, str] = {
    "float32": "float_val", "float64": "double_val", "int64": "int64_val", "bool": "bool_val",
    "uint32": "uint32_val", "uint64": "uint64_val", "complex64": "scomplex_val", "complex128": "dcomplex_val",
    **dict.fromkeys(("float16", "bfloat16"), "half_val"),
    **dict.fromkeys(("int32", "int16", "int8", "uint16", "uint8", "int4", "uint4", "int2", "uint2"), "int_val"),
}  # fmt: skip

_MOST_BYTES = 1 << 28
"""A few elements may stand for a large tensor: one larger than this only in a file that means harm."""

NUMPY_ITEM: dict[str, int] = {
    **dict.fromkeys(("bool", "int8", "uint8", "int4", "uint4", "int2", "uint2", "float4_e2m1fn"), 1),
    **{name: 1 for name in DTYPES.values() if name.startswith("float8")},
    **dict.fromkeys(("int16", "uint16", "float16", "bfloat16"), 2),
    **dict.fromkeys(("int32", "uint32", "float32"), 4),
    **dict.fromkeys(("int64", "uint64", "float64", "complex64"), 8),
    "complex128": 16,
}  # fmt: skip
"""Bytes of an element as NumPy and ml_dtypes lay it out: one at least."""

Dims = tuple[int | None, ...] | None

_TYPES: dict[tuple[int, Dims], ValueType] = {}


def dtype_name(number: int) -> str:
    """``1`` → ``float32``; ``dtype_34`` for a number this table does not know."""
    return DTYPES.get(number % _REF, f"dtype_{number}")


def value_type(number: int, dims: Dims) -> ValueType:
    """The type of a tensor: interned, for a graph has few of them. Handles are opaque."""
    found = _TYPES.get((number, dims))
    if found is None:
        name = dtype_name(number)
        found = OpaqueType(name) if name in _HANDLES else TensorType(_QUANTIZED.get(name, name), dims)
        _TYPES[number, dims] = found
    return found


def shape_dims(shape: Any) -> Dims:
    """Dims of a TensorShapeProto; ``None`` for an unknown rank."""
    if shape.unknown_rank:
        return None
    return tuple([size if (size := dim.size) >= 0 else None for dim in shape.dim])


class InFile(Protocol):
    """What knows of bytes fields that were left in the file: ``graphlab.capture.proto.Parsed``."""

    def data(self, field: bytes) -> bytes | Callable[[], bytes]: ...
    def nbytes(self, field: bytes) -> int: ...
    def read(self, field: bytes) -> bytes: ...


def constant(proto: Any, file: InFile | None = None) -> Constant:
    """The Constant of a TensorProto; its bytes are decoded when asked for.

    Args:
        file: of the message, where large fields of it were left in a file.
    """
    kind = value_type(proto.dtype, shape_dims(proto.tensor_shape))
    return Constant(kind, lambda: tensor_bytes(proto, file))


def tensor_bytes(proto: Any, file: InFile | None = None) -> bytes:
    """The bytes of a TensorProto, as :class:`Constant` wants them.

    A tensor's elements stand either in ``tensor_content`` or one by one in a field of their type,
    where the last one given stands for all that follow, and none at all means zeros.

    Raises:
        ValueUnavailable: the message's elements do not fit its shape, or are handles.
    """
    import ml_dtypes
    import numpy as np

    kind = value_type(proto.dtype, shape_dims(proto.tensor_shape))
    if not isinstance(kind, TensorType) or kind.dims is None or None in kind.dims:
        raise ValueUnavailable(
            f"read a constant of type {kind}", found="it holds a handle, or no known shape", do="look at the graph instead"
        )
    count = prod(d for d in kind.dims if isinstance(d, int))
    if kind.dtype == "string":
        return _strings([_fetched(v, file) for v in proto.string_val], kind.dims).encode()
    dtype = np.dtype(getattr(ml_dtypes, kind.dtype, None) or kind.dtype)
    content = _fetched(proto.tensor_content, file)
    if content:
        if len(content) != count * dtype.itemsize:
            raise _misfit(kind, f"{len(content):,} bytes for {count:,} elements")
        return content
    if count * dtype.itemsize > _MOST_BYTES:
        raise _misfit(kind, f"a shape of {count:,} elements")
    given: list[Any]
    if kind.dtype.startswith("float8"):
        given, field = list(_fetched(proto.float8_val, file)), "float8_val"  # one byte an element
    else:
        field = _FIELDS.get(kind.dtype, "int_val")
        given = list(getattr(proto, field))
    if field in ("scomplex_val", "dcomplex_val"):
        if len(given) % 2:
            raise _misfit(kind, "a real part without its imaginary part")
        given = [complex(re, im) for re, im in zip(given[::2], given[1::2], strict=True)]
    if len(given) > count:
        raise _misfit(kind, f"{len(given):,} elements for {count:,}")
    if field == "half_val":  # the bits, one int an element
        array = np.array(given, np.int64).astype(np.uint16).view(dtype)
    elif field == "float8_val":
        array = np.array(given, np.uint8).view(dtype)
    else:
        array = np.array(given).astype(dtype)
    if len(array) < count:
        rest = array[-1] if len(array) else np.zeros((), dtype)
        array = np.concatenate([array.astype(dtype), np.full(count - len(array), rest, dtype)])
    return array.tobytes()


def array_constant(kind: ValueType, fetch: Any) -> Constant:
    """A Constant whose value ``fetch()`` brings as a NumPy array when asked for."""

    def load() -> bytes:
        import numpy as np

        array = np.asarray(fetch())
        if isinstance(kind, TensorType) and kind.dtype == "string":
            flat = [v if isinstance(v, bytes) else str(v).encode() for v in array.ravel().tolist()]
            return _strings(flat, array.shape).encode()
        return array.tobytes()

    return Constant(kind, load)


def _misfit(kind: ValueType, found: str) -> ValueUnavailable:
    return ValueUnavailable(f"read a constant of type {kind}", found=f"its message holds {found}", do="check that the file is whole")


def _strings(values: list[bytes], dims: tuple[object, ...]) -> str:
    texts = [repr(v.decode("utf-8", "backslashreplace")) for v in values]
    return texts[0] if dims == () and texts else f"[{', '.join(texts)}]"


def _fetched(field: bytes, file: InFile | None) -> bytes:
    return field if file is None else file.read(field)


def attr_value(proto: Any, file: InFile | None = None) -> Any:
    """An AttrValue that is no function: a frozen Python value. Types become names, shapes tuples, tensors Constants.

    So do strings that were left in the file.
    """
    which = proto.WhichOneof("value")
    if which is None:
        return None
    if which == "list":
        for field, values in proto.list.ListFields():
            return tuple([_plain(field.name, v, file) for v in values])
        return ()
    return _plain(which, getattr(proto, which), file)


def _plain(which: str, value: Any, file: InFile | None) -> Any:
    match which:
        case "type":
            return dtype_name(value)
        case "s":
            data = value if file is None else file.data(value)
            return (
                _text(data) if isinstance(data, bytes) else Constant(OpaqueType("bytes"), data, nbytes=file.nbytes(value) if file else None)
            )
        case "f":
            return _float(value)
        case "shape":
            return shape_dims(value)
        case "tensor":
            return constant(value, file)
        case "func":
            return frozen({**{k: attr_value(value.attr[k], file) for k in sorted(value.attr)}, "function": value.name})
        case "placeholder":
            return f"${value}"
        case _:  # i, b
            return value


def _text(value: bytes) -> str | bytes:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value


def _float(value: float) -> float:
    """The shortest decimal that is the same float32: ``1e-05``, not ``9.999999747378752e-06``."""
    import numpy as np

    return float(str(np.float32(value)))
