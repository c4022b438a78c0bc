"""TFF's types as the IR's, and in TFF's own short notation: ``{float32[3]}@CLIENTS``, ``<weights=float32[?,10],int32>@SERVER``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from graphlab.capture.tensorflow.values import dtype_name
from graphlab.ir.values import OpaqueType, TensorType, TupleType, ValueType


def value_type(type: Any, placement: str | None = None) -> ValueType:
    """A type, placed where its values are; what has no tensors of its own is opaque, by its notation.

    Args:
        placement: who holds it, where a federated type around it says.
    """
    which = type.WhichOneof("type")
    if which == "tensor":
        return TensorType(dtype_name(type.tensor.dtype), _dims(type.tensor), placement=placement)
    if which == "struct":
        return TupleType(tuple([value_type(element.value, placement) for element in type.struct.element]))
    if which == "federated":
        return value_type(type.federated.member, placed(type.federated))
    text = notation(type)
    return OpaqueType(f"{text}@{placement}" if placement else text)


def placed(federated: Any) -> str:
    """``CLIENTS``, ``SERVER``; the label where the placement is a variable of an abstract type."""
    spec = federated.placement
    name: str = spec.value.uri if spec.WhichOneof("placement") == "value" else spec.label.label
    return name.upper() or "UNKNOWN"


def placements(type: Any) -> tuple[str, ...]:
    """The placements within a type, each once, in order."""
    return tuple(dict.fromkeys(_placements(type)))


def _placements(type: Any) -> Iterator[str]:
    which = type.WhichOneof("type")
    if which == "federated":
        yield placed(type.federated)
    elif which == "struct":
        for element in type.struct.element:
            yield from _placements(element.value)


def notation(type: Any) -> str:
    """A type as TFF prints it: ``{…}@CLIENTS`` where each client has its own, ``…@SERVER`` where all are equal."""
    which = type.WhichOneof("type")
    if which == "tensor":
        dims = _dims(type.tensor)
        shape = "[*]" if dims is None else f"[{','.join('?' if d is None else str(d) for d in dims)}]" if dims else ""
        return dtype_name(type.tensor.dtype) + shape
    if which == "struct":
        return f"<{','.join((f'{e.name}=' if e.name else '') + notation(e.value) for e in type.struct.element)}>"
    if which == "sequence":
        return notation(type.sequence.element) + "*"
    if which == "function":
        parameter = notation(type.function.parameter) if type.function.HasField("parameter") else ""
        return f"({parameter} -> {notation(type.function.result)})"
    if which == "federated":
        member = notation(type.federated.member)
        return f"{member if type.federated.all_equal else '{' + member + '}'}@{placed(type.federated)}"
    if which == "placement":
        return "placement"
    return str(type.abstract.label) if which == "abstract" else "unknown"


def is_function(type: Any) -> bool:
    return bool(type.WhichOneof("type") == "function")


def element_names(type: Any) -> tuple[str, ...]:
    """The names of a struct's elements, their numbers where they have none."""
    return tuple(element.name or str(i) for i, element in enumerate(type.struct.element))


def _dims(tensor: Any) -> tuple[int | None, ...] | None:
    return None if tensor.unknown_rank else tuple(size if size >= 0 else None for size in tensor.dims)
