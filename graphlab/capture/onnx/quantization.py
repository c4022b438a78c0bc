"""Which values of a graph are quantized, where their scales are constants.

Sources: the pages of QuantizeLinear, DequantizeLinear, QLinearConv and QLinearMatMul in ONNX's Operators.md; of the others in
onnxruntime's ContribOperators.md; ``quantization_annotation`` in onnx.proto.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from graphlab.errors import ValueUnavailable
from graphlab.ir.constants import Constant
from graphlab.ir.values import Quantization, TensorType, ValueType

MOST_SCALES = 4096
"""Scales above this many (one for each block of a weight) are not read."""

Lookup = Callable[[str], Constant | None]


@dataclass(frozen=True, slots=True)
class Quantized:
    """A value that is quantized: its name, how, and its stored element type where the zero point tells."""

    value: str
    how: Quantization
    stored: str | None

    def applied(self, type: ValueType) -> ValueType:
        """The value's type with its quantization, the axis counted from the front; without it where it does not fit."""
        if not isinstance(type, TensorType):
            type = TensorType(self.stored or "uint8", None)
        axis, rank = self.how.axis, type.rank
        if axis is not None and rank is not None and axis < 0:
            axis += rank
        if axis is not None and (axis < 0 or (rank is not None and axis >= rank)):
            return type
        return replace(type, quantization=replace(self.how, axis=axis))


# Operator -> groups of operand slots (value, scale, zero point), then of outputs (output, scale, zero point).
_Groups = tuple[tuple[int, int, int], ...]
_BINARY: tuple[_Groups, _Groups] = (((0, 1, 2), (3, 4, 5)), ((0, 6, 7),))
_UNARY: tuple[_Groups, _Groups] = (((0, 1, 2),), ((0, 3, 4),))
_SCHEMES: dict[str, tuple[_Groups, _Groups]] = {
    "onnx.QuantizeLinear": ((), ((0, 1, 2),)),
    "onnx.DequantizeLinear": (((0, 1, 2),), ()),
    "onnx.QLinearConv": _BINARY,
    "onnx.QLinearMatMul": _BINARY,
    "onnx.com.microsoft.QuantizeLinear": ((), ((0, 1, 2),)),
    "onnx.com.microsoft.DequantizeLinear": (((0, 1, 2),), ()),
    "onnx.com.microsoft.QLinearConv": _BINARY,
    "onnx.com.microsoft.QLinearAdd": _BINARY,
    "onnx.com.microsoft.QLinearMul": _BINARY,
    "onnx.com.microsoft.QLinearLeakyRelu": _UNARY,
    "onnx.com.microsoft.QLinearSigmoid": _UNARY,
    "onnx.com.microsoft.QLinearSoftmax": _UNARY,
    "onnx.com.microsoft.QLinearAveragePool": _UNARY,
    "onnx.com.microsoft.QLinearGlobalAveragePool": _UNARY,
    "onnx.com.microsoft.QLinearReduceMean": _UNARY,
    "onnx.com.microsoft.QGemm": (((0, 1, 2), (3, 4, 5)), ((0, 7, 8),)),
    "onnx.com.microsoft.QLinearWhere": (((1, 2, 3), (4, 5, 6)), ((0, 7, 8),)),
}
OPERATORS = frozenset({*_SCHEMES, "onnx.com.microsoft.QLinearConcat"})
# The weight's dim that scales run along where there are several: its operand slot, and the dim.
_WEIGHT_AXIS: dict[str, tuple[int, int]] = {
    "onnx.QLinearConv": (3, 0), "onnx.com.microsoft.QLinearConv": (3, 0),
    "onnx.QLinearMatMul": (3, -1), "onnx.com.microsoft.QGemm": (3, -1),
}  # fmt: skip


def of_node(op: str, inputs: Sequence[str], outputs: Sequence[str], attrs: Mapping[str, Any], lookup: Lookup) -> Iterator[Quantized]:
    """The values that one node says are quantized.

    Args:
        lookup: a value's constant by its name, ``None`` where it is none.
    """
    if op == "onnx.com.microsoft.QLinearConcat":  # scale and zero point of the output, then three for each input
        yield from _group((outputs[:1], inputs[:2]), None, lookup)
        for i in range(2, len(inputs) - 2, 3):
            yield from _group((inputs[i : i + 1], inputs[i + 1 : i + 3]), None, lookup)
        return
    if op not in _SCHEMES or attrs.get("block_size"):
        return
    given, made = _SCHEMES[op]
    weight, along = _WEIGHT_AXIS.get(op, (-1, 0))
    axis = attrs.get("axis", 1) if op.endswith("tizeLinear") else None
    for value, scale, zero in given:
        at = along if value == weight else axis
        yield from _group((inputs[value : value + 1], (*inputs[scale : scale + 1], *inputs[zero : zero + 1])), at, lookup)
    for value, scale, zero in made:
        yield from _group((outputs[value : value + 1], (*inputs[scale : scale + 1], *inputs[zero : zero + 1])), axis, lookup)


def of_annotation(annotation: Any, lookup: Lookup) -> Iterator[Quantized]:
    """The value that a graph's ``quantization_annotation`` names."""
    named = {entry.key: entry.value for entry in annotation.quant_parameter_tensor_names}
    if "SCALE_TENSOR" in named:
        axis = named.get("axis", "")
        parameters = [named["SCALE_TENSOR"], named.get("ZERO_POINT_TENSOR", "")]
        yield from _group(([annotation.tensor_name], parameters), int(axis) if axis.isdecimal() and len(axis) < 3 else None, lookup)


def _group(found: tuple[Sequence[str], Sequence[str]], axis: object, lookup: Lookup) -> Iterator[Quantized]:
    values, parameters = found
    if not values or not values[0] or not parameters or not parameters[0]:
        return
    scale = lookup(parameters[0])
    scales = None if scale is None else _numbers(scale)
    if scale is None or not scales or not isinstance(scale.type, TensorType):
        return
    stored = None
    zeros: tuple[float, ...] | None = (0.0,) * len(scales)
    if len(parameters) > 1 and parameters[1]:
        zero = lookup(parameters[1])
        zeros = None if zero is None else _numbers(zero)
        stored = zero.type.dtype if zero is not None and isinstance(zero.type, TensorType) else None
    if zeros is None or len(zeros) != len(scales) or not all(map(math.isfinite, zeros)):
        return
    along = axis if scale.type.rank == 1 and len(scales) > 1 and isinstance(axis, int) else None
    if len(scales) > 1 and along is None:
        return
    yield Quantized(values[0], Quantization(scales, tuple(int(zero) for zero in zeros), along, scale.type.dtype), stored)


def _numbers(constant: Constant) -> tuple[float, ...] | None:
    type = constant.type
    if not isinstance(type, TensorType) or type.elements is None or type.elements > MOST_SCALES or not constant.available:
        return None
    try:
        return tuple(float(x) for x in constant.array().ravel().tolist()) if type.dtype != "string" else None
    except (ValueUnavailable, TypeError):  # a complex scale, a file that went away
        return None
