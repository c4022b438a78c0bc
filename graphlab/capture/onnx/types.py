"""ONNX's types as the IR's: element types, shapes with named dims, sequences, maps, optionals."""

from __future__ import annotations

import re
from typing import Any

from graphlab.ir.program import DimRange
from graphlab.ir.values import Dim, OpaqueType, SymDim, TensorType, ValueType

UNKNOWN = OpaqueType("unknown")
"""The type of a value that the model says nothing of."""
OMITTED = OpaqueType("none")
"""The type of an output that the node leaves out."""

SPARSE = "sparse"
"""The layout of a sparse tensor's type."""

# By the numbers of TensorProto.DataType: the IR's name, and the name in ONNX's text syntax.
_DTYPES: dict[int, tuple[str, str]] = {
    1: ("float32", "float"), 2: ("uint8", "uint8"), 3: ("int8", "int8"), 4: ("uint16", "uint16"), 5: ("int16", "int16"),
    6: ("int32", "int32"), 7: ("int64", "int64"), 8: ("string", "string"), 9: ("bool", "bool"), 10: ("float16", "float16"),
    11: ("float64", "double"), 12: ("uint32", "uint32"), 13: ("uint64", "uint64"), 14: ("complex64", "complex64"),
    15: ("complex128", "complex128"), 16: ("bfloat16", "bfloat16"), 17: ("float8_e4m3fn", "float8e4m3fn"),
    18: ("float8_e4m3fnuz", "float8e4m3fnuz"), 19: ("float8_e5m2", "float8e5m2"), 20: ("float8_e5m2fnuz", "float8e5m2fnuz"),
    21: ("uint4", "uint4"), 22: ("int4", "int4"), 23: ("float4_e2m1fn", "float4e2m1"), 24: ("float8_e8m0fnu", "float8e8m0"),
    25: ("uint2", "uint2"), 26: ("int2", "int2"), 27: ("float6_e2m3fn", "float6e2m3"), 28: ("float6_e3m2fn", "float6e3m2"),
}  # fmt: skip

TEXT_DTYPES: dict[str, int] = {text: number for number, (_, text) in _DTYPES.items()}
"""Element types by their names in ONNX's text syntax."""

_NAME = re.compile(r"[^\W\d]\w*(?!\w*\s*\()")  # a dim's name in a formula; what a bracket follows is a function


def dtype(number: int) -> str:
    """The IR's name of an element type; of one that is newer than this reader, ``onnx_`` and its number."""
    known = _DTYPES.get(number)
    return known[0] if known else f"onnx_{number}"


class Types:
    """Turns TypeProtos into value types and gathers the names of their dims."""

    def __init__(self) -> None:
        self.dims: dict[str, DimRange] = {}
        self._known: dict[bytes, ValueType] = {}

    def of(self, type: Any) -> ValueType:
        """A value's type; :data:`UNKNOWN` where the TypeProto says nothing. Equal types are one object."""
        key = type.SerializeToString()
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._read(type)
        return found

    def _read(self, type: Any) -> ValueType:
        which = type.WhichOneof("value")
        if which == "tensor_type":
            return self._tensor(type.tensor_type, None)
        if which == "sparse_tensor_type":
            return self._tensor(type.sparse_tensor_type, SPARSE)
        return UNKNOWN if which is None else OpaqueType(self.text(type))

    def text(self, type: Any) -> str:
        """A type in ONNX's text syntax: ``seq(float[batch,?])``."""
        which = type.WhichOneof("value")
        if which == "tensor_type":
            return self._tensor_text(type.tensor_type)
        if which == "sparse_tensor_type":
            return f"sparse_tensor({self._tensor_text(type.sparse_tensor_type)})"
        if which == "sequence_type":
            return f"seq({self.text(type.sequence_type.elem_type)})"
        if which == "optional_type":
            return f"optional({self.text(type.optional_type.elem_type)})"
        if which == "map_type":
            return f"map({_text_dtype(type.map_type.key_type)}, {self.text(type.map_type.value_type)})"
        if which == "opaque_type":
            return f"opaque({', '.join(part for part in (type.opaque_type.domain, type.opaque_type.name) if part)})"
        return UNKNOWN.name

    def dim(self, dim: Any) -> Dim:
        """A size, a name or a formula, or ``None`` where the model does not say; a size below 0 says nothing either."""
        which = dim.WhichOneof("value")
        if which == "dim_value":
            size: int = dim.dim_value
            return size if size >= 0 else None
        expr = dim.dim_param.strip() if which == "dim_param" else ""
        if not expr or expr == "?":
            return None
        for name in _NAME.findall(expr) or (expr,):
            self.dims.setdefault(name, DimRange())
        return SymDim(expr)

    def _tensor(self, type: Any, layout: str | None) -> ValueType:
        if not type.elem_type:
            return UNKNOWN
        return TensorType(dtype(type.elem_type), self._shape(type), layout)

    def _shape(self, type: Any) -> tuple[Dim, ...] | None:
        return tuple([self.dim(dim) for dim in type.shape.dim]) if type.HasField("shape") else None

    def _tensor_text(self, type: Any) -> str:
        shape = self._shape(type)
        if shape == ():
            return _text_dtype(type.elem_type)
        return f"{_text_dtype(type.elem_type)}[{','.join('?' if dim is None else str(dim) for dim in shape or ())}]"


def _text_dtype(number: int) -> str:
    known = _DTYPES.get(number)
    return known[1] if known else f"onnx_{number}"
