"""Captures a live JAX object: traces or lowers it and hands what JAX made to the reader of that form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import jax
import jax.export
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from graphlab.capture.inputs import Inputs
from graphlab.capture.jax.arguments import arguments, dim_ranges, is_symbolic
from graphlab.capture.jax.errors import trace_error
from graphlab.capture.jax.jaxpr import read_jaxpr
from graphlab.capture.jax.module import parse_module, read_stablehlo
from graphlab.capture.jax.native import JaxNative
from graphlab.errors import CaptureError, GraphlabError
from graphlab.ir.program import DimRange, Program


def capture(model: Any, inputs: Inputs | None, *, method: str) -> Program:
    """See :func:`graphlab.capture.jax.capture`."""
    asked = f"capture {_name(model)} by {method}"
    if isinstance(model, jax.stages.Compiled):
        return _read_hlo(asked, model.as_text(), model)
    if isinstance(model, jax.export.Exported):
        return _read_exported(model, {})
    if isinstance(model, jax.stages.Lowered):
        return _read_lowered(asked, model, method)
    if isinstance(model, ClosedJaxpr) and method == "jaxpr":
        return _read_traced(model, lambda: _lowered_text(asked, _trace(asked, model, None)))
    traced = _trace(asked, model, inputs)
    if method == "jaxpr":
        return _read_traced(traced, lambda: _lowered_text(asked, traced))
    dims = dim_ranges(traced.jaxpr.in_avals)
    if not dims:
        with _said(asked):
            lowered = traced.lower()
        return _read_lowered(asked, lowered, method)
    if method == "hlo":
        raise CaptureError(asked, found=f"HLO has no symbolic sizes, and the inputs have {', '.join(dims)}", do="give each dim a size")
    with _said(asked):
        return _read_exported(_export(traced), dims)


def _trace(asked: str, model: Any, inputs: Inputs | None) -> Any:
    """A ``jax.stages.Traced``. Anything may be raised in it: it runs the user's function."""
    if isinstance(model, jax.stages.Traced):
        return model
    if isinstance(model, ClosedJaxpr):
        types = [jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in model.in_avals]
        return jax.jit(jaxpr_as_fun(model)).trace(*types)
    args, kwargs = arguments(asked, model, inputs)
    with _said(asked):
        traced = model.trace(*args, **kwargs)
    return getattr(traced, "traced", traced)  # flax.nnx wraps JAX's own


@contextmanager
def _said(asked: str) -> Iterator[None]:
    """Turns whatever the user's function or JAX raises into a CaptureError with the user's line."""
    try:
        yield
    except GraphlabError:
        raise
    except Exception as error:
        raise trace_error(asked, error) from error
