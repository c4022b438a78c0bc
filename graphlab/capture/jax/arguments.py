"""A function's arguments from what the user gave: arrays as they are, types as abstract values that hold no memory."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.export

from graphlab.capture.inputs import Inputs, input_options
from graphlab.errors import CaptureError, InputsNeeded
from graphlab.ir.program import DimRange
from graphlab.ir.values import SymDim, TensorType

_NAME = re.compile(r"[A-Za-z_]\w*")
_FUNCTIONS = ("floordiv", "mod", "max", "min", "non_negative")  # of jax.export's dimension formulas


def arguments(asked: str, function: Any, inputs: Inputs | None) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and named arguments to trace ``function`` with.

    Raises:
        InputsNeeded: none are given and the function needs some, or they do not fit its parameters.
        CaptureError: a type has a dim that is neither size nor formula.
    """
    signature = _signature(function)
    given = Inputs() if inputs is None else inputs
    if signature is not None:
        try:
            bound = signature.bind(*given.args, **given.kwargs)
        except TypeError as error:
            raise _misfit(asked, function, signature, inputs, error) from None
        given = Inputs(bound.args, bound.kwargs)
    made = given.map(_abstract(asked, given))
    return made.args, dict(made.kwargs)


def dim_ranges(avals: Any) -> dict[str, DimRange]:
    """The names in symbolic dimensions. JAX takes each to be at least 1."""
    found: dict[str, DimRange] = {}
    for aval in avals:
        for size in getattr(aval, "shape", ()):
            if jax.export.is_symbolic_dim(size):
                names = [n for n in _NAME.findall(str(size)) if n not in _FUNCTIONS]
                found.update(dict.fromkeys(names, DimRange(1)))
    return found


def _abstract(asked: str, inputs: Inputs) -> Callable[[TensorType], jax.ShapeDtypeStruct]:
    """Makes a ShapeDtypeStruct of a type. All formulas are of one scope: equal names are equal sizes."""
    scope = jax.export.SymbolicScope()

    def make(kind: TensorType) -> jax.ShapeDtypeStruct:
        if kind.dims is None or None in kind.dims:
            raise CaptureError(asked, found=f"the input type {kind} has an unknown dim", do="give its size or a name: f32[batch,8]")
        text = ", ".join(str(d) for d in kind.dims)
        shape: tuple[Any, ...] = tuple(d for d in kind.dims if isinstance(d, int))
        try:
            if any(isinstance(d, SymDim) for d in kind.dims):
                shape = jax.export.symbolic_shape(text, scope=scope)
            return jax.ShapeDtypeStruct(shape, jax.numpy.dtype(kind.dtype))
        except (ValueError, TypeError) as error:
            raise CaptureError(asked, found=f"JAX cannot take the input type {kind}: {error}", do="give another type") from error

    return make


def _signature(function: Any) -> inspect.Signature | None:
    """The Python signature; ``None`` for what does not tell (a C function)."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def _misfit(asked: str, function: Any, signature: inspect.Signature, inputs: Inputs | None, error: TypeError) -> InputsNeeded:
    names = ", ".join(str(p.replace(annotation=inspect.Parameter.empty)) for p in signature.parameters.values())
    name = getattr(function, "__name__", "f")
    required = list(_required(signature.parameters))
    example = ", ".join(f"{n!r}: 'f32[2,8]'" for n in required)
    do = (
        f"give a type for each, with the true sizes: {input_options(required)}; or define {name}_inputs = {{{example}}} in the file, "
        f"which is the way for arguments that hold several arrays (dicts, lists); in Python, graphlab.capture({name}, {{{example}}})"
    )
    told = "no inputs are given" if inputs is None else str(error)
    return InputsNeeded(asked, found=f"it takes ({names}): {told}", do=do)


def _required(parameters: Mapping[str, inspect.Parameter]) -> Iterator[str]:
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            yield name
