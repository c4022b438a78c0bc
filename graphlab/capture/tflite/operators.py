"""Operators: their names, options, effects and ONNX counterparts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from graphlab.capture.tflite.flatbuffer import Buffer, Span, Table
from graphlab.capture.tflite.flexbuffer import decode
from graphlab.capture.tflite.schema import schema
from graphlab.capture.tflite.values import Tensors
from graphlab.errors import FormatError
from graphlab.ir.constants import Constant
from graphlab.ir.ops import OPAQUE, OpInfo, lookup
from graphlab.ir.values import TensorType
from graphlab.ir.vocabulary import tensorflow as tensorflow_ops
from graphlab.ir.vocabulary.tflite import CUSTOM_PURE

_GREATER_CODES = 127  # PLACEHOLDER_FOR_GREATER_OP_CODES: from there on the code stands in the later, wider field
_DECODED = 64 << 10  # custom options above this are not decoded
_BYTES = 4 << 10  # bytes within decoded options above this are told by their length


@dataclass(frozen=True, slots=True)
class Code:
    """One of a model's operator codes.

    Attributes:
        name: the schema's name of a builtin, ``custom`` for the others.
        op: as the IR has it: ``tflite.CONV_2D``, ``tflite.custom.TFLite_Detection_PostProcess``.
    """

    name: str
    op: str
    version: int
    info: OpInfo


def code(table: Table) -> Code:
    """One operator code. A number that the schema does not know is an opaque operator named by it."""
    early, late = table["deprecated_builtin_code"], table["builtin_code"]
    number = early if late <= early < _GREATER_CODES else late
    name = schema().name("BuiltinOperator", number)
    if name == "CUSTOM":
        custom: str = table["custom_code"] or "unnamed"
        return Code("custom", f"tflite.custom.{custom}", table["version"], _custom(custom))
    if isinstance(name, int):
        return Code(f"builtin_{name}", f"tflite.builtin_{name}", table["version"], OPAQUE)
    op = f"tflite.{name}"
    return Code(name, op, table["version"], lookup(op))


def options(table: Table, buffer: Buffer, tensors: Tensors) -> dict[str, Any]:
    """An operator's options by name, those that are not stored by their default; a custom one's as far as they are a FlexBuffer."""
    found: dict[str, Any] = {}
    for field in ("builtin_options", "builtin_options_2"):
        given: Table | None = table[field]
        if given is not None:
            for name in given.fields():
                value = given.named(name)
                if isinstance(value, Span):  # attributes of a composite or a custom call
                    value = _flexible(value, buffer, tensors)
                if value is not None:
                    found[name] = shortest(value) if isinstance(value, float) else value
    span: Span | None = table["custom_options"]
    if table["large_custom_options_offset"] > 1:
        span = tensors.outside(table["large_custom_options_offset"], table["large_custom_options_size"])
    if span is not None and span.length:
        found["custom_options"] = _flexible(span, buffer, tensors)
    mutated = table["mutating_variable_inputs"]
    if mutated and any(mutated):
        found["mutating_variable_inputs"] = mutated
    return found


def shortest(value: float) -> float:
    """The shortest decimal that is the same float32: ``1e-05``, not ``9.999999747378752e-06``."""
    import numpy as np

    return float(str(np.float32(value)))


def fused(options: dict[str, Any]) -> bool:
    """Whether an activation is part of the operator, so that it is no longer the one its name says."""
    return bool(options.get("fused_activation_function", "NONE") != "NONE")


def _flexible(span: Span, buffer: Buffer, tensors: Tensors) -> Any:
    """Decoded where it is a FlexBuffer; else the bytes, as a constant."""
    if span.length <= _DECODED:
        buffer.spend(span.length, span.offset)
        try:
            return _brief(decode(buffer.bytes(span)))
        except FormatError:
            pass  # the format allows any bytes: a custom operator's author may have chosen others
    return Constant(TensorType("uint8", (span.length,)), tensors.load(span), nbytes=span.length)


def _brief(value: Any) -> Any:
    if isinstance(value, bytes) and len(value) > _BYTES:
        return f"{len(value):,} bytes"
    if isinstance(value, tuple):
        return tuple([_brief(v) for v in value])
    if isinstance(value, dict):
        return type(value)({k: _brief(v) for k, v in value.items()})
    return value


def _custom(name: str) -> OpInfo:
    """A custom operator is opaque, but for those that come with TensorFlow Lite, and TensorFlow's own (``FlexAddV2``)."""
    if name in CUSTOM_PURE:
        return OpInfo()
    if name.startswith("Flex"):
        known = "tf." + name.removeprefix("Flex")
        if known in tensorflow_ops.CANONICAL or known in tensorflow_ops.EFFECTS:
            return lookup(known)
    return OPAQUE
