"""Types that follow from an operator's operands at once, for values that the model gives no type.

Only operators whose result has the shape of an operand, or that of the operands broadcast: what takes more than that
(a convolution, a reshape) stays unknown. Source: the operators' pages in ONNX's Operators.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphlab.capture.onnx.types import UNKNOWN, dtype
from graphlab.ir.values import Dim, TensorType, ValueType

_SAME = frozenset(
    f"onnx.{name}"
    for name in """
        Abs Acos Acosh Asin Asinh Atan Atanh BatchNormalization BitwiseNot Ceil Celu Clip Cos Cosh CumSum Dropout Elu Erf Exp Floor Gelu
        GroupNormalization HardSigmoid HardSwish Hardmax Identity InstanceNormalization LRN LayerNormalization LeakyRelu Log LogSoftmax
        LpNormalization MeanVarianceNormalization Mish Neg Not PRelu Reciprocal Relu ReverseSequence Round Scatter
        ScatterElements ScatterND Selu Shrink Sigmoid Sign Sin Sinh Softmax Softplus Softsign Sqrt Swish Tan Tanh ThresholdedRelu Trilu
    """.split()  # noqa: SIM905
)
"""The result is of the first operand's type."""
_BROADCAST = frozenset(
    f"onnx.{name}"
    for name in "Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Div Max Mean Min Mod Mul Or Pow Sub Sum Xor".split()  # noqa: SIM905
)
_COMPARE = frozenset(f"onnx.{name}" for name in ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"))
_ASK = frozenset({"onnx.IsNaN", "onnx.IsInf"})


def result(op: str, operands: Sequence[ValueType], attrs: Mapping[str, Any]) -> ValueType:
    """The type of an operator's first result; :data:`UNKNOWN` where it does not follow.

    Args:
        operands: their types by slot, :data:`UNKNOWN` for one that is left out.
    """
    first = operands[0] if operands else UNKNOWN
    if op == "onnx.Identity":
        return first
    if not isinstance(first, TensorType):
        return UNKNOWN
    if op in _SAME:
        return TensorType(first.dtype, first.dims)
    if op in _ASK:
        return TensorType("bool", first.dims)
    if op in _BROADCAST or op in _COMPARE:
        return TensorType("bool" if op in _COMPARE else first.dtype, _broadcast([_dims(type) for type in operands]))
    if op == "onnx.Where":
        chosen = operands[1] if len(operands) > 1 else UNKNOWN
        return TensorType(chosen.dtype, _broadcast([_dims(type) for type in operands])) if isinstance(chosen, TensorType) else UNKNOWN
    if op == "onnx.Cast" and isinstance(attrs.get("to"), int):
        return TensorType(dtype(attrs["to"]), first.dims)
    if op == "onnx.Shape":
        rank = first.rank
        return TensorType("int64", (None,) if rank is None else (len(range(rank)[_part(attrs)]),))
    if op == "onnx.Size":
        return TensorType("int64", ())
    if op == "onnx.Transpose" and first.dims is not None:
        perm = attrs.get("perm", tuple(reversed(range(len(first.dims)))))
        fits = isinstance(perm, tuple) and sorted(perm) == list(range(len(first.dims)))
        return TensorType(first.dtype, tuple(first.dims[i] for i in perm)) if fits else UNKNOWN
    if op in ("onnx.QuantizeLinear", "onnx.DequantizeLinear"):
        return _quantized(op, first, operands, attrs)
    return UNKNOWN


def _quantized(op: str, first: TensorType, operands: Sequence[ValueType], attrs: Mapping[str, Any]) -> ValueType:
    """A quantized value is of its zero point's element type, a real one of its scale's; unsigned bytes where nothing is said."""
    by = operands[2 if op == "onnx.QuantizeLinear" else 1 :][:1]
    if isinstance(attrs.get("output_dtype"), int) and attrs["output_dtype"]:
        return TensorType(dtype(attrs["output_dtype"]), first.dims)
    if by and isinstance(by[0], TensorType):
        return TensorType(by[0].dtype, first.dims)
    return TensorType("uint8", first.dims) if op == "onnx.QuantizeLinear" and not by else UNKNOWN


def _part(attrs: Mapping[str, Any]) -> slice:
    start, end = attrs.get("start"), attrs.get("end")
    return slice(start if isinstance(start, int) else None, end if isinstance(end, int) else None)


def _dims(type: ValueType) -> tuple[Dim, ...] | None:
    return type.dims if isinstance(type, TensorType) else None


def _broadcast(shapes: Sequence[tuple[Dim, ...] | None]) -> tuple[Dim, ...] | None:
    """NumPy's rule; a dim that two operands name differently is not known."""
    known = [shape for shape in shapes if shape is not None]
    if len(known) < len(shapes):
        return None
    rank = max(map(len, known), default=0)
    found: list[Dim] = []
    for i in range(rank):
        dims = [shape[i - rank + len(shape)] for shape in known if i - rank + len(shape) >= 0]
        sizes = [dim for dim in dims if isinstance(dim, int) and dim != 1]
        others = [dim for dim in dims if not isinstance(dim, int)]
        if sizes:
            found.append(sizes[0])
        elif not others:
            found.append(1)
        else:
            found.append(others[0] if all(dim == others[0] for dim in others) else None)
    return tuple(found)
