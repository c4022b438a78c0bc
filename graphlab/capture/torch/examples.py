"""Example inputs for torch: tensors made for types, and the dynamic dimensions they name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch

from graphlab.capture.inputs import Inputs, example_shape, input_options
from graphlab.capture.torch.failures import reason
from graphlab.capture.torch.frames import error_frame
from graphlab.capture.torch.private import tree_map
from graphlab.capture.torch.values import DTYPES
from graphlab.errors import GraphlabError, InputsNeeded
from graphlab.ir.values import SymDim, TensorType

SEED = 0
TRIES = 3
"""Seeds that a model is run with before its failure is laid to its inputs."""

_BY_NAME = {name: dtype for dtype, name in DTYPES.items()}


def make(inputs: Inputs) -> Inputs:
    """The inputs with an example tensor for every type, the same ones each time."""
    generator = torch.Generator().manual_seed(SEED)
    return inputs.map(lambda type: example(type, generator))


def example(type: TensorType, generator: torch.Generator) -> torch.Tensor:
    """A tensor of a type: normal for floating types, 0 or 1 for whole numbers, False for bool.

    Raises:
        GraphlabError: torch has no such element type, or a dim is unknown.
    """
    dtype = _BY_NAME.get(type.dtype)
    if dtype is None:
        raise GraphlabError(f"make an example of type {type}", found=f"torch has no element type {type.dtype}", do="choose another one")
    shape = example_shape(type)
    if dtype is torch.bool:
        return torch.zeros(shape, dtype=dtype)
    if dtype.is_floating_point or dtype.is_complex:
        wide = torch.complex64 if dtype.is_complex else torch.float32
        return torch.randn(shape, generator=generator, dtype=wide).to(dtype)
    return torch.randint(0, 2, shape, generator=generator).to(dtype)


def dynamic_shapes(inputs: Inputs) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """For positional and named inputs, which dimensions are symbolic, as ``torch.export`` wants it; ``None`` for none.

    Raises:
        GraphlabError: a symbolic dim is a formula, which torch takes only from the model.
    """
    dims: dict[str, Any] = {}
    args = tuple(_shapes(arg, dims) for arg in inputs.args)
    kwargs = {key: _shapes(arg, dims) for key, arg in inputs.kwargs.items()}
    return (args, kwargs) if dims else None


def _shapes(value: Any, dims: dict[str, Any]) -> Any:
    if isinstance(value, TensorType):
        found = {at: _dim(d, dims) for at, d in enumerate(value.dims or ()) if isinstance(d, SymDim)}
        return found or None
    if isinstance(value, (tuple, list)):
        return type(value)(_shapes(v, dims) for v in value)
    if isinstance(value, Mapping):
        return {k: _shapes(v, dims) for k, v in value.items()}
    return None


def _dim(dim: SymDim, dims: dict[str, Any]) -> Any:
    if not dim.expr.isidentifier():
        raise GraphlabError(f"export with the dim '{dim}'", found="it is a formula", do="name it with one word, as in f32[batch,8]")
    if dim.expr not in dims:
        dims[dim.expr] = torch.export.Dim(dim.expr)
    return dims[dim.expr]


def needed(model: Any, method: str) -> InputsNeeded:
    """The error for a method that runs the model and was given nothing to run it on."""
    parameters = _parameters(model)
    required = [p.name for p in parameters if p.default is inspect.Parameter.empty] or [p.name for p in parameters][:1]
    name = type(model).__qualname__
    if not parameters:
        found, do = f"{method} runs the model, and its inputs are not known", "pass inputs=(); its forward takes none by name"
    else:
        found = f"{method} runs {_signature(model)}, and its inputs are not known"
        do = f"say their types: {input_options(required)}, with the true types and sizes, "
        do += "or set example_inputs in the file (in Python: inputs=)"
    return InputsNeeded(f"capture {name} by {method}", found=found, do=do)


def ensure_fit(model: Any, inputs: Inputs) -> None:
    """Check that a module's ``forward`` takes as many inputs, of these names. Runs nothing.

    Raises:
        InputsNeeded: it does not.
    """
    try:
        inspect.signature(model.forward).bind(*inputs.args, **inputs.kwargs)
    except TypeError as error:
        open_ended = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(model.forward).parameters.values())
        unknown = [] if open_ended else [repr(n) for n in inputs.kwargs if n not in {p.name for p in _parameters(model)}]
        why = f"it has no {', '.join(unknown)}" if unknown else str(error)
        raise InputsNeeded(
            f"capture {type(model).__qualname__}",
            found=f"the inputs do not fit {_signature(model)}: {why}",
            do="give every parameter without a default one input, by position or by its name",
        ) from error


def ensure_runs(model: Any, inputs: Inputs) -> None:
    """Run the model as it is on the inputs, to know whether they are at fault that a method failed.

    A model that draws random numbers may fail by its draw, so it has to fail for each of several seeds.

    Raises:
        InputsNeeded: the model itself fails on them; ``frame`` is the line.
    """
    failure: Exception | None = None
    for seed in range(TRIES):
        torch.manual_seed(seed)
        made = make(inputs)
        args, kwargs = tree_map(_copied, (made.args, dict(made.kwargs)))
        try:
            model(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - a model may raise anything
            failure = error
        else:
            return
    if failure is not None:
        raise InputsNeeded(
            f"capture {type(model).__qualname__}",
            found=f"the model itself fails on these inputs: {reason(failure)}",
            do=f"give inputs that {_signature(model)} can run on",
            frame=error_frame(failure),
        ) from failure


def _copied(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, torch.Tensor) else value


def _parameters(model: Any) -> list[inspect.Parameter]:
    call = model.forward if isinstance(model, torch.nn.Module) else model
    return [
        p
        for p in inspect.signature(call).parameters.values()
        if p.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    ]


def _signature(model: Any) -> str:
    takes = ", ".join(str(p.replace(annotation=inspect.Parameter.empty)) for p in _parameters(model))
    return f"{type(model).__qualname__}.forward({takes})"


def suits(model: Any) -> bool:
    """Whether the model can be called without inputs."""
    call = model.forward if isinstance(model, torch.nn.Module) else model
    return not inspect.signature(call).parameters


__all__ = ["SEED", "GraphlabError", "dynamic_shapes", "ensure_fit", "ensure_runs", "example", "make", "needed", "suits"]
