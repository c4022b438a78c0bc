"""Torch's values in the IR's words: tensors as types and constants, arguments as attribute values."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Any

import torch

from graphlab.ir.constants import Constant
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.values import Dim, OpaqueType, SymDim, TensorType, TupleType, ValueType

DTYPES: dict[torch.dtype, str] = {
    value: str(value).removeprefix("torch.") for value in vars(torch).values() if isinstance(value, torch.dtype)
}
"""torch's dtypes by the IR's names; they spell all standard ones alike, and quantized ones keep torch's name."""


def dtype_name(dtype: torch.dtype) -> str:
    return DTYPES.get(dtype) or str(dtype).removeprefix("torch.")


Rename = Callable[[str], str]
"""How a symbolic expression is spelt: from torch's symbols to the names the caller gave."""


def as_is(expr: str) -> str:
    return expr


class Types:
    """Value types of what ``node.meta["val"]`` holds; equal ones are one object."""

    def __init__(self, rename: Rename = as_is) -> None:
        self.rename = rename
        self._known: dict[Any, TensorType] = {}
        self._none = OpaqueType("None")

    def dim(self, size: Any) -> Dim:
        """A symbolic size that torch has found to be one number is that number."""
        if type(size) is int:
            return size
        text = str(size)
        return int(text) if text.isdecimal() else SymDim(self.rename(text))

    def of(self, value: Any) -> ValueType:
        """A tensor's type; a tuple's or list's of its elements; for anything else the name of its Python type."""
        if isinstance(value, torch.Tensor):
            return self.tensor(value)
        if isinstance(value, (tuple, list)):
            return TupleType(tuple(self.of(v) for v in value))
        if value is None:
            return self._none
        if isinstance(value, (torch.SymInt, torch.SymFloat, torch.SymBool)):
            return OpaqueType(_SYM_NAMES[type(value)])
        return OpaqueType(class_name(type(value)))

    def tensor(self, value: torch.Tensor) -> TensorType:
        shape = tuple(value.shape)
        layout = value.layout
        key = (value.dtype, shape, layout)
        try:
            known = self._known.get(key)
        except TypeError:  # a symbolic size does not hash
            known, key = None, None  # type: ignore[assignment]
        if known is None:
            dims = tuple(self.dim(d) for d in shape)
            spelt = None if layout is torch.strided else str(layout).removeprefix("torch.")
            known = TensorType(dtype_name(value.dtype), dims, layout=spelt)
            if key is not None and all(type(d) is int for d in shape):
                self._known[key] = known
        return known


_SYM_NAMES: dict[type, str] = {torch.SymInt: "int", torch.SymFloat: "float", torch.SymBool: "bool"}


def class_name(cls: type) -> str:
    """``int``, ``torch.nn.modules.linear.Linear``."""
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def constant(tensor: torch.Tensor, type: TensorType | None = None) -> Constant:
    """The tensor as a constant whose bytes are copied when first asked for.

    They are those the tensor has then: a parameter that is trained on in the meantime shows its new value.
    """
    if type is None:
        type = Types().tensor(tensor)
    reason = _no_bytes(tensor)
    if reason:
        return Constant(type, None, reason=reason)
    return Constant(type, lambda: _tensor_bytes(tensor))


def _no_bytes(tensor: torch.Tensor) -> str:
    if tensor.is_meta or builtin_class_name(tensor) == "FakeTensor":
        return "the tensor has no data: it is on the meta device or a fake one"
    if tensor.layout is not torch.strided:
        return f"its layout is {tensor.layout}, not dense"
    if tensor.is_quantized:
        return "it is quantized"
    return ""


class Ties:
    """Tells which names of one model are one tensor: those of the same memory, shape and element type."""

    def __init__(self) -> None:
        self._first: dict[Any, tuple[str, torch.Tensor]] = {}

    def of(self, name: str, tensor: torch.Tensor) -> str | None:
        """The name that this tensor was first met by, if that is another one."""
        address = 0 if _no_bytes(tensor) else tensor.data_ptr()
        # Without memory of its own a tensor is only itself; it is kept, so that its id stays its own.
        key = (address, tuple(tensor.shape), tensor.stride(), tensor.dtype) if address else id(tensor)
        first = self._first.setdefault(key, (name, tensor))[0]
        return None if first == name else first

    def meta(self, name: str, tensor: torch.Tensor) -> FrozenDict[str, Any] | None:
        """``tied_to``, for a node's ``meta``."""
        first = self.of(name, tensor)
        return None if first is None else FrozenDict(tied_to=first)


def builtin_class_name(value: object) -> str:
    return type(value).__name__


def _tensor_bytes(tensor: torch.Tensor) -> bytes:
    dense = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
    data: bytes = dense.view(torch.uint8).numpy().tobytes()
    return data


def text_constant(type: ValueType, text: str) -> Constant:
    """A constant that is no tensor, kept as its text."""
    return Constant(type, text.encode())


def literal(value: Any, rename: Rename = as_is) -> Any:
    """An argument as an attribute value: numbers and texts as they are, torch's own enumerations by name."""
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        return value
    if isinstance(value, (tuple, list)):
        return tuple(literal(v, rename) for v in value)
    if isinstance(value, Mapping):
        return FrozenDict({str(k): literal(v, rename) for k, v in value.items()})
    if isinstance(value, torch.dtype):
        return dtype_name(value)
    if isinstance(value, (torch.layout, torch.memory_format)):
        return str(value).removeprefix("torch.")
    if isinstance(value, torch.device):
        return str(value)
    if isinstance(value, (torch.SymInt, torch.SymFloat, torch.SymBool)):
        return SymDim(rename(str(value)))
    if isinstance(value, slice):
        return FrozenDict(slice=tuple(literal(v, rename) for v in (value.start, value.stop, value.step)))
    if value is Ellipsis:
        return "..."
    if isinstance(value, (set, frozenset)):
        return tuple(sorted((literal(v, rename) for v in value), key=repr))
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, torch.Tensor):
        return constant(value)
    name = getattr(value, "__qualname__", None)
    return f"{value.__module__}.{name}" if name else f"<{class_name(type(value))}>"
