"""What an OpDef says of a node's outputs: how many, of what types, under which names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphlab.errors import FormatError
from graphlab.ir.frozen import EMPTY

MAX_PORTS = 1 << 16
"""Outputs of one node: no graph has nearly as many, and a number in a damaged file may say anything."""


@dataclass(frozen=True, slots=True)
class OutputArg:
    """One output argument. It stands for several ports where it has a ``number_attr`` or ``type_list_attr``."""

    name: str
    type: int
    type_attr: str
    number_attr: str
    type_list_attr: str


@dataclass(frozen=True, slots=True)
class OpSpec:
    """An operation as its OpDef (or, for a library function, its signature) describes it."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[OutputArg, ...]
    stateful: bool
    functions: tuple[str, ...]
    """Attributes that name functions."""
    defaults: Mapping[str, int | tuple[int, ...]] = EMPTY
    """Of the attributes that outputs depend on: DataType numbers, or how many."""

    @classmethod
    def of(cls, op_def: Any) -> OpSpec:
        outputs = tuple(OutputArg(a.name, a.type, a.type_attr, a.number_attr, a.type_list_attr) for a in op_def.output_arg)
        functions = tuple(a.name for a in op_def.attr if a.type in ("func", "list(func)"))
        needed = {name for a in outputs for name in (a.type_attr, a.number_attr, a.type_list_attr) if name}
        defaults = {a.name: _default(a) for a in op_def.attr if a.name in needed and a.HasField("default_value")}
        return cls(op_def.name, tuple(a.name for a in op_def.input_arg), outputs, op_def.is_stateful, functions, defaults)

    def output_dtypes(self, attr: Mapping[str, Any]) -> list[int]:
        """DataType numbers of the node's output ports, in order.

        Raises:
            FormatError: more than :data:`MAX_PORTS`.
        """
        return [dtype for arg in self.outputs for dtype in self._expand(arg, attr)]

    def port(self, argument: str, index: int, attr: Mapping[str, Any]) -> int | None:
        """The flat port of ``argument:index``; ``None`` where there is no such output."""
        start = 0
        for arg in self.outputs:
            width = len(self._expand(arg, attr))
            if arg.name == argument:
                return start + index if 0 <= index < width else None
            start += width
        return None

    def _expand(self, arg: OutputArg, attr: Mapping[str, Any]) -> Sequence[int]:
        if arg.type_list_attr:
            listed = attr[arg.type_list_attr].list.type if arg.type_list_attr in attr else self.defaults.get(arg.type_list_attr, ())
            return listed if isinstance(listed, Sequence) else ()
        dtype = self._number(arg.type_attr, "type", attr) if arg.type_attr else arg.type
        if not arg.number_attr:
            return (dtype,)
        count = self._number(arg.number_attr, "i", attr)
        if not 0 <= count <= MAX_PORTS:
            raise FormatError(
                f"read a node of the operation '{self.name}'",
                found=f"its attribute '{arg.number_attr}' says that it has {count:,} outputs; {MAX_PORTS:,} is the most that is read",
                do="check that the file is whole",
            )
        return (dtype,) * count

    def _number(self, key: str, field: str, attr: Mapping[str, Any]) -> int:
        found = getattr(attr[key], field) if key in attr else self.defaults.get(key, 0)
        return found if isinstance(found, int) else 0


def _default(attr: Any) -> int | tuple[int, ...]:
    value = attr.default_value
    found: int | tuple[int, ...] = tuple(value.list.type) if attr.type == "list(type)" else value.type if attr.type == "type" else value.i
    return found


class OpSpecs:
    """Looks operations up by name, as TensorFlow does: the graph's own function library first, then the registry."""

    def __init__(self, op_def: Callable[[str], Any | None], functions: Mapping[str, Any]) -> None:
        self._op_def = op_def
        self._functions = functions
        self._known: dict[str, OpSpec | None] = {}

    def find(self, name: str) -> OpSpec | None:
        """``None`` where nobody defines the operation."""
        if name not in self._known:
            found = self._functions[name].signature if name in self._functions else self._op_def(name)
            self._known[name] = found if found is None or isinstance(found, OpSpec) else OpSpec.of(found)
        return self._known[name]
