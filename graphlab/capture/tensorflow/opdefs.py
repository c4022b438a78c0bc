"""What an OpDef says of a node's outputs: how many, of what types, under which names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphlab.errors import FormatError


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

    @classmethod
    def of(cls, op_def: Any) -> OpSpec:
        outputs = tuple(OutputArg(a.name, a.type, a.type_attr, a.number_attr, a.type_list_attr) for a in op_def.output_arg)
        functions = tuple(a.name for a in op_def.attr if a.type in ("func", "list(func)"))
        return cls(op_def.name, tuple(a.name for a in op_def.input_arg), outputs, op_def.is_stateful, functions)

    def output_dtypes(self, attr: Mapping[str, Any]) -> list[int]:
        """DataType numbers of the node's output ports, in order."""
        return [dtype for arg in self.outputs for dtype in _expand(arg, attr)]

    def port(self, argument: str, index: int, attr: Mapping[str, Any]) -> int | None:
        """The flat port of ``argument:index``; ``None`` where there is no such output."""
        start = 0
        for arg in self.outputs:
            width = sum(1 for _ in _expand(arg, attr))
            if arg.name == argument:
                return start + index if 0 <= index < width else None
            start += width
        return None


def _expand(arg: OutputArg, attr: Mapping[str, Any]) -> Iterator[int]:
    if arg.type_list_attr:
        yield from attr[arg.type_list_attr].list.type
        return
    dtype = attr[arg.type_attr].type if arg.type_attr else arg.type
    for _ in range(attr[arg.number_attr].i if arg.number_attr else 1):
        yield dtype


class OpSpecs:
    """Looks operations up by name: the framework's registry first, then the graph's own function library."""

    def __init__(self, op_def: Callable[[str], Any | None], functions: Mapping[str, Any]) -> None:
        self._op_def = op_def
        self._functions = functions
        self._known: dict[str, OpSpec] = {}

    def __getitem__(self, name: str) -> OpSpec:
        """Raises FormatError where nobody defines the operation."""
        spec = self._known.get(name)
        if spec is None:
            found = self._op_def(name)
            if found is None and name in self._functions:
                found = self._functions[name].signature
            if found is None:
                raise FormatError(
                    f"read a node of the operation '{name}'",
                    found="neither TensorFlow nor the graph's function library defines it",
                    do="load the library that registers it (tf.load_op_library) before",
                )
            spec = self._known[name] = OpSpec.of(found)
        return spec
