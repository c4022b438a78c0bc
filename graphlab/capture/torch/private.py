"""The parts of torch used here that it does not promise to keep (seen in torch 2.13.0), all in one place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from graphlab.errors import GraphlabError

try:
    from torch._ops import HigherOrderOperator, OpOverload, OpOverloadPacket
    from torch.export.pt2_archive._package import load_pt2
    from torch.jit._recursive import wrap_cpp_module as _wrapped
    from torch.jit._state import _python_cu
    from torch.jit._trace import TracingCheckError
    from torch.utils._pytree import tree_leaves, tree_map

    _parse_schema = torch._C.parse_schema
    _all_schemas, _schemas_for = torch._C._jit_get_all_schemas, torch._C._jit_get_schemas_for_operator
    _parameters, _buffers = torch._C.ParameterDict, torch._C.BufferDict
except (ImportError, AttributeError) as error:
    raise GraphlabError(
        "work with this torch",
        found=f"torch {torch.__version__} moved something graphlab needs: {error}",
        do="install torch 2.13, or a graphlab that knows this torch",
    ) from error


def argument_names(of: OpOverload) -> tuple[str, ...]:
    """Names of an operator's arguments, in the order of its schema."""
    return tuple(argument.name for argument in of._schema.arguments)


def defaults(of: OpOverload) -> dict[str, Any]:
    """Defaults of an operator's arguments."""
    return {argument.name: argument.default_value for argument in of._schema.arguments if argument.has_default_value()}


def is_mutable(of: OpOverload) -> bool:
    """Whether the schema says that the operator writes to an argument."""
    mutable: bool = of._schema.is_mutable
    return mutable


def gives_nothing(of: OpOverload) -> bool:
    """Whether the schema lists no result."""
    return not of._schema.returns


class Schema:
    """A TorchScript node's schema, from its text.

    Attributes:
        overload: the overload's name, ``""`` for the only one.
        arguments: their names.
        mutable: whether it writes to an argument.
    """

    __slots__ = ("arguments", "mutable", "overload")

    def __init__(self, text: str) -> None:
        schema = _parse_schema(text)
        self.overload: str = schema.overload_name
        self.arguments: tuple[str, ...] = tuple(argument.name for argument in schema.arguments)
        self.mutable: bool = schema.is_mutable


def slot_role(module: Any, name: str) -> str:
    """What a scripted module's tensor attribute is: ``parameter``, ``buffer`` or plain ``attribute``. ``module`` is torch's own object."""
    if name in dict(_parameters(module).items()):
        return "parameter"
    return "buffer" if name in dict(_buffers(module).items()) else "attribute"


def schema_names() -> set[str]:
    """Names of all operators TorchScript knows, without their overloads."""
    return {schema.name for schema in _all_schemas()}


def schemas_of(name: str) -> list[str]:
    """An operator's schemas as text, in the order in which torch tries them."""
    return [str(schema) for schema in _schemas_for(name)]


def load_script(path: str | None, data: bytes) -> tuple[Any, Callable[[str], Any | None]]:
    """A saved TorchScript module, and its own functions by qualified name. ``path`` is ``None`` for one in memory."""
    unit = torch._C.CompilationUnit()
    where = torch.device("cpu")
    if path is None:
        loaded = torch._C.import_ir_module_from_buffer(unit, data, where, {}, False)
    else:
        loaded = torch._C.import_ir_module(unit, path, where, {}, False)
    return _wrapped(loaded), unit.find_function


def script_function(qualified_name: str) -> Any | None:
    """The compiled function or method of that name (``__torch__.my.module.fn``) in this process; ``None`` for none."""
    return _python_cu.find_function(qualified_name)


__all__ = [
    "HigherOrderOperator",
    "OpOverload",
    "OpOverloadPacket",
    "Schema",
    "TracingCheckError",
    "argument_names",
    "defaults",
    "gives_nothing",
    "is_mutable",
    "load_pt2",
    "load_script",
    "schema_names",
    "schemas_of",
    "script_function",
    "slot_role",
    "tree_leaves",
    "tree_map",
]
