"""TorchScript's types, constants, attributes and source ranges in the IR's words."""

from __future__ import annotations

import re
from typing import Any

import torch

from graphlab.capture.torch.frames import is_own_file, is_user_file
from graphlab.capture.torch.script_types import unmangled
from graphlab.capture.torch.values import constant, dtype_name, text_constant
from graphlab.ir.constants import Constant
from graphlab.ir.frames import Frame, FrameTable
from graphlab.ir.values import OpaqueType, TensorType, TupleType, ValueType


def value_type(type: Any) -> ValueType:
    """A tensor's type as far as torch knows it: a traced one has all, a scripted one usually nothing."""
    kind = type.kind()
    if kind == "TensorType":
        dtype = type.dtype()
        if dtype is None:
            return OpaqueType("Tensor")
        sizes = type.sizes() if type.sizes() is not None else type.varyingSizes()
        return TensorType(dtype_name(dtype), None if sizes is None else tuple(sizes))
    if kind == "TupleType":
        return TupleType(tuple(value_type(element) for element in type.containedTypes()))
    return OpaqueType(unmangled(type.annotation_str))


def literal_constant(node: Any) -> dict[str, Any]:
    """Kind, type and value of a ``prim::Constant``."""
    result = node.output()
    type = value_type(result.type())
    if result.type().kind() == "FunctionType":
        name = unmangled(result.type().annotation_str)
        return {"kind": "constant", "outputs": (OpaqueType("Function"),), "name": name}
    return {"kind": "constant", **_held(result.toIValue(), type)}


def attribute(held: Any, type: ValueType) -> dict[str, Any]:
    """Kind, type and value of a module's attribute: part of the model, and it may change between runs."""
    return {"kind": "parameter", **_held(held, type)}


def _held(held: Any, type: ValueType) -> dict[str, Any]:
    if isinstance(held, torch.Tensor):
        value = constant(held)
        return {"outputs": (value.type,), "value": value}
    if held is None or isinstance(held, (bool, int, float, complex, str, torch.device)) or _is_plain(held):
        text = str(held) if isinstance(held, (str, torch.device)) else repr(held)
        return {"outputs": (type,), "value": text_constant(type if isinstance(type, OpaqueType) else OpaqueType(str(type)), text)}
    return {"outputs": (type,), "value": Constant(type, None, reason=f"a {type} is no tensor, number or text")}


def _is_plain(held: Any) -> bool:
    """Whether it is made of numbers and texts alone."""
    if isinstance(held, (list, tuple)):
        return all(_is_plain(each) for each in held)
    if isinstance(held, dict):
        return all(_is_plain(each) for pair in held.items() for each in pair)
    return held is None or isinstance(held, (bool, int, float, complex, str))


# scripted: a highlighted excerpt of the source under its place; traced: a Python stack, innermost first
_SCRIPTED = re.compile(r'File "(?P<file>[^"\n]+)", line (?P<line>\d+)')
_TRACED = re.compile(r"^(?P<file>[^\n]+)\((?P<line>\d+)\): (?P<function>[^\n]+)$", re.MULTILINE)
_TRACER = re.compile(r"torch[/\\]jit[/\\]_trace\.py$")


class Locations:
    """Turns nodes' source ranges into frame indices; each distinct text is parsed once."""

    def __init__(self, table: FrameTable) -> None:
        self._table = table
        self._index: dict[tuple[str, str], int | None] = {}

    def of(self, node: Any, function: str) -> int | None:
        """Index of the innermost user frame; ``function`` is whose body it is where torch does not say."""
        text = node.sourceRange()
        if not text:
            return None
        key = (text, function)
        if key not in self._index:
            self._index[key] = self._table.add_stack(frames_of(text, function))
        return self._index[key]


def frames_of(text: str, function: str) -> list[Frame]:
    """User frames of a source range, innermost first. A saved module's is told by its source, not by its place in the archive."""
    text = text.partition("\nSerialized ")[0]
    scripted = _SCRIPTED.search(text)
    if scripted:
        found = [Frame(scripted["file"], int(scripted["line"]), 0, function)]
        return [frame for frame in found if is_user_file(frame.file)]
    found = []
    for m in _TRACED.finditer(text):
        file = m["file"]
        if _TRACER.search(file) or (found and is_own_file(file)):  # from here outward it is who called the tracer
            break
        if is_user_file(file) and not is_own_file(file):
            found.append(Frame(file, int(m["line"]), 0, m["function"]))
    return found
