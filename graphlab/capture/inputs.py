"""Example inputs, whoever gave them: arrays of a framework, or types as text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphlab.errors import GraphlabError
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.values import SymDim, TensorType, parse_type

SYMBOLIC_EXAMPLE = 3
"""Size of the example for a symbolic dim: above 1, which frameworks specialise on, and odd."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Positional and named inputs. A leaf is the framework's own value, or a TensorType to make one of."""

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def map(self, make: Callable[[TensorType], Any]) -> Inputs:
        """The same with every TensorType replaced by ``make(type)``, within tuples, lists and dicts too."""
        return Inputs(tuple(_map(a, make) for a in self.args), {k: _map(v, make) for k, v in self.kwargs.items()})


def _map(value: Any, make: Callable[[TensorType], Any]) -> Any:
    if isinstance(value, TensorType):
        return make(value)
    if type(value) in (tuple, list):
        return type(value)(_map(v, make) for v in value)
    if type(value) in (dict, FrozenDict):
        return {k: _map(v, make) for k, v in value.items()}
    return value


def as_inputs(given: Any) -> Inputs | None:
    """Inputs from what a caller passed: None, Inputs, a tuple or list, a dict, one value; text is read as a type."""
    if given is None or isinstance(given, Inputs):
        return given
    if isinstance(given, Mapping):
        return Inputs(kwargs={k: _leaf(v) for k, v in given.items()})
    if isinstance(given, (tuple, list)):
        return Inputs(tuple(_leaf(v) for v in given))
    return Inputs((_leaf(given),))


def _leaf(value: Any) -> Any:
    return parse_type(value)[1] if isinstance(value, str) else value


def parse_inputs(texts: Sequence[str]) -> Inputs | None:
    """Inputs from the command line's ``--input`` texts: ``f32[2,5,8]`` by position, ``mask=bool[2,5]`` by name."""
    if not texts:
        return None
    args: list[TensorType] = []
    kwargs: dict[str, TensorType] = {}
    for text in texts:
        _check_input(text)
        name, type = parse_type(text)
        if name is None:
            args.append(type)
        elif name in kwargs:
            raise GraphlabError(f"read the inputs {' '.join(texts)}", found=f"'{name}' is given twice", do="give each name once")
        else:
            kwargs[name] = type
    return Inputs(tuple(args), kwargs)


_NESTED = re.compile(r"\s*(\w+)[.\[][^=]*=.*")
_DIM = re.compile(r"\s*(\?|[\w(][\w\s+*/()-]*)\s*")


def _check_input(text: str) -> None:
    nested = _NESTED.fullmatch(text)
    if nested is not None:
        raise GraphlabError(
            f"read the input type '{text}'",
            found="--input gives a whole argument, not a part of one",
            do=f"define NAME_inputs in the file, NAME being the model's: NAME_inputs = {{'{nested[1]}': {{...}}, ...}}, with arrays within",
        )
    dims = text.partition("[")[2].rpartition("]")[0]
    wrong = [dim for dim in dims.split(",") if dim.strip() and _DIM.fullmatch(dim) is None]
    if wrong:
        raise GraphlabError(
            f"read the input type '{text}'",
            found=f"the dim '{wrong[0].strip()}' is neither a size nor a name",
            do="put the true sizes, or names for those that vary: 'x=f32[2,8]', 'x=f32[batch,8]'",
        )


def input_options(names: Sequence[str]) -> str:
    """The command line's options for inputs of these names, to be copied and given the true types and sizes."""
    return " ".join(f"--input '{name}=f32[2,8]'" for name in names) or "--input 'f32[2,8]'"


def example_shape(type: TensorType) -> tuple[int, ...]:
    """A concrete shape for an example value. Symbolic dims get SYMBOLIC_EXAMPLE.

    Raises:
        GraphlabError: the rank or a dim is unknown.
    """
    if type.dims is None or None in type.dims:
        raise GraphlabError(
            f"make an example of type {type}", found="it has a dim that is neither a size nor a name", do="name it: f32[batch,8]"
        )
    return tuple(SYMBOLIC_EXAMPLE if isinstance(d, SymDim) else d for d in type.dims if d is not None)
