"""AttributeProtos as attribute values; the graphs among them are handed on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from graphlab.capture.onnx.tensors import Tensors
from graphlab.capture.onnx.types import Types
from graphlab.errors import FormatError
from graphlab.ir.constants import Constant
from graphlab.ir.frozen import FrozenDict, frozen
from graphlab.ir.values import TensorType

LONG = 1024
"""A list of more numbers than this (a tree ensemble's) is kept as a constant."""

REFERENCE = "attribute of the function"
"""The key under which an attribute names the function's own attribute that it takes its value from."""

# The number of AttributeType, and the field that holds the value: onnx.proto.
_FIELDS: dict[int, str] = {
    1: "f", 2: "i", 3: "s", 4: "t", 5: "g", 6: "floats", 7: "ints", 8: "strings", 9: "tensors", 10: "graphs",
    11: "sparse_tensor", 12: "sparse_tensors", 13: "tp", 14: "type_protos",
}  # fmt: skip
_SINGLE = ("f", "i", "s", "t", "g", "sparse_tensor", "tp")
_LISTS = ("floats", "ints", "strings", "tensors", "graphs", "sparse_tensors", "type_protos")


class Attributes:
    """Decodes the attributes of nodes and functions."""

    def __init__(self, tensors: Tensors, types: Types, file_name: str) -> None:
        self._file = file_name
        self._decode: dict[str, Callable[[Any], Any]] = {
            "f": shortest,
            "i": int,
            "s": _text,
            "t": tensors.constant,
            "sparse_tensor": tensors.sparse,
            "tp": types.text,
            "floats": _floats,
            "ints": _ints,
            "strings": lambda texts: tuple([_text(text) for text in texts]),
            "tensors": lambda values: tuple([tensors.constant(value) for value in values]),
            "sparse_tensors": lambda values: tuple([tensors.sparse(value) for value in values]),
            "type_protos": lambda values: tuple([types.text(value) for value in values]),
        }

    def field(self, attribute: Any) -> str:
        """The field that holds the value: by the type, or, where a writer of IR version 1 left that out, the one that is there.

        Raises:
            FormatError: the type is one that this reader does not know.
        """
        number = attribute.type
        if number:
            name = _FIELDS.get(number)
            if name is None:
                raise FormatError(
                    f"read {self._file}",
                    found=f"it is of type {number}; types up to {max(_FIELDS)} are known",
                    do="check the file, or update graphlab",
                    where=f"attribute '{attribute.name}'",
                )
            return name
        held = next((name for name in _SINGLE if attribute.HasField(name)), None)
        return held or next((name for name in _LISTS if len(getattr(attribute, name))), "ints")

    def decode(self, attributes: Sequence[Any]) -> tuple[FrozenDict[str, Any] | None, list[tuple[str, Any]]]:
        """A node's attributes by name, ``None`` for none, and (role, GraphProto) of those that are graphs."""
        found: dict[str, Any] = {}
        graphs: list[tuple[str, Any]] = []
        for attribute in attributes:
            if attribute.ref_attr_name:
                found[attribute.name] = frozen({REFERENCE: attribute.ref_attr_name})
                continue
            field = self.field(attribute)
            if field == "g":
                graphs.append((attribute.name, attribute.g))
            elif field == "graphs":
                graphs += [(f"{attribute.name}_{i}", graph) for i, graph in enumerate(attribute.graphs)]
            else:
                found[attribute.name] = self._decode[field](getattr(attribute, field))
        return (FrozenDict(found) if found else None), graphs


def shortest(value: float) -> float:
    """The double with the fewest digits that is the same float32: 0.1 rather than 0.10000000149011612."""
    return float(str(np.float32(value)))


def _floats(values: Sequence[float]) -> tuple[float, ...] | Constant:
    if len(values) > LONG:
        return Constant(TensorType("float32", (len(values),)), np.array(values, "<f4").tobytes())
    return tuple([shortest(value) for value in values])


def _ints(values: Sequence[int]) -> tuple[int, ...] | Constant:
    if len(values) > LONG:
        return Constant(TensorType("int64", (len(values),)), np.array(values, "<i8").tobytes())
    return tuple(values)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def properties(entries: Sequence[Any]) -> Iterator[tuple[str, str]]:
    """Key and value of each of a message's ``metadata_props``."""
    for entry in entries:
        yield entry.key, entry.value
