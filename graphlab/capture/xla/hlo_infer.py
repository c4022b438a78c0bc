"""What follows from an HLO operation and its operands: a shape left out, the ONNX counterpart, effects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphlab.ir.values import TensorType, TupleType, ValueType
from graphlab.ir.vocabulary.xla import CUSTOM_CALL_EFFECTS

_COMPARISONS = {"EQ": "Equal", "LT": "Less", "LE": "LessOrEqual", "GT": "Greater", "GE": "GreaterOrEqual"}
_BITWISE = {"and": ("And", "BitwiseAnd"), "or": ("Or", "BitwiseOr"), "xor": ("Xor", "BitwiseXor"), "not": ("Not", "BitwiseNot")}

# Operations whose result has the shape of their first operand (xla/service/shape_inference.cc).
_LIKE_FIRST = frozenset((
    "abs", "add", "and", "atan2", "cbrt", "ceil", "clz", "copy", "cosine", "divide", "erf", "exponential",
    "exponential-minus-one", "floor", "log", "log-plus-one", "logistic", "maximum", "minimum", "multiply", "negate", "not",
    "opt-barrier", "or", "popcnt", "power", "reduce-precision", "remainder", "reverse", "round-nearest-afz",
    "round-nearest-even", "rsqrt", "shift-left", "shift-right-arithmetic", "shift-right-logical", "sign", "sine", "sqrt",
    "subtract", "tan", "tanh", "xor",
))  # fmt: skip

_TRANSFERS = frozenset(("send", "send-done", "recv", "recv-done"))


def infer(opcode: str, operands: Sequence[ValueType], attributes: Mapping[str, Any]) -> ValueType | None:
    """The result's type where the text leaves it out; None where it takes more than the operands' types to know."""
    if opcode == "tuple":
        return TupleType(tuple(operands))
    if not operands:
        return None
    first = operands[0]
    if opcode == "get-tuple-element":
        index = attributes.get("index")
        inside = isinstance(first, TupleType) and type(index) is int and 0 <= index < len(first.elements)
        return first.elements[index] if isinstance(first, TupleType) and inside and type(index) is int else None
    if opcode in ("compare", "is-finite") and isinstance(first, TensorType):
        return TensorType("bool", first.dims, first.layout)
    if opcode == "select" and len(operands) == 3:
        return operands[1]
    return first if opcode in _LIKE_FIRST else None


def canonical_of(opcode: str, attributes: Mapping[str, Any], operands: Sequence[ValueType]) -> str | None:
    """The ONNX operator of an operation whose meaning its name alone does not tell."""
    if opcode == "compare":
        return _COMPARISONS.get(attributes.get("direction", ""))
    if opcode in _BITWISE:
        logical, bitwise = _BITWISE[opcode]
        first = operands[0] if operands else None
        return logical if isinstance(first, TensorType) and first.dtype == "bool" else bitwise
    if opcode == "dot":
        return "MatMul" if _is_matmul(attributes, operands) else None
    if opcode == "convolution":
        return "Conv" if _is_conv(attributes) else None
    return None


def _is_matmul(attributes: Mapping[str, Any], operands: Sequence[ValueType]) -> bool:
    """Whether a dot is NumPy's matmul: leading batch dims, last of the left by last but one of the right."""
    ranks = [type.rank for type in operands if isinstance(type, TensorType)]
    if len(ranks) != 2 or None in ranks:
        return False
    left, right = (rank or 0 for rank in ranks)
    batch = attributes.get("lhs_batch_dims", ())
    if batch != attributes.get("rhs_batch_dims", ()) or batch != tuple(range(len(batch))):
        return False
    if batch and (left != len(batch) + 2 or right != left):
        return False
    contracting = (attributes.get("lhs_contracting_dims"), attributes.get("rhs_contracting_dims"))
    return right <= 2 + len(batch) and contracting == ((left - 1,), (max(right - 2, 0),))


def _is_conv(attributes: Mapping[str, Any]) -> bool:
    """Whether a convolution has ONNX's layout and no dilated or reversed input."""
    labels = attributes.get("dim_labels", "")
    window = attributes.get("window", {})
    spatial = "".join(map(str, range(labels.count("_") and len(labels.split("_")[0]) - 2))) if isinstance(labels, str) else ""
    if labels != f"bf{spatial}_oi{spatial}->bf{spatial}" or attributes.get("batch_group_count", 1) != 1:
        return False
    return isinstance(window, Mapping) and "lhs_dilate" not in window and not any(window.get("rhs_reversal", ()))


def effects_of(opcode: str, effects: tuple[str, ...], attributes: Mapping[str, Any]) -> tuple[str, ...]:
    """The effects of one instruction, given those of its operation."""
    if opcode == "custom-call":
        target = str(attributes.get("custom_call_target", ""))
        known = CUSTOM_CALL_EFFECTS.get(target, effects)
        # Shardy marks its own so that nothing removes them: they say how values are laid out, and do nothing.
        marked = attributes.get("custom_call_has_side_effect") is True and not target.startswith("xla.sdy.")
        return effects if marked and not known else known
    if opcode in _TRANSFERS and attributes.get("is_host_transfer") is True:
        return ("io",)
    return effects
