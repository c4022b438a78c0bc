"""Captures a live JAX object: traces or lowers it and hands what JAX made to the reader of that form."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import jax
import jax.export
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from graphlab.capture.collection import no_collection
from graphlab.capture.inputs import Inputs
from graphlab.capture.jax.arguments import arguments, dim_ranges
from graphlab.capture.jax.errors import trace_error
from graphlab.capture.jax.frames import UserFrames
from graphlab.capture.jax.jaxpr import read_jaxpr
from graphlab.capture.jax.native import JaxNative
from graphlab.capture.jax.types import value_type
from graphlab.capture.mlir.build import build
from graphlab.capture.mlir.mlir_bytecode import module_of
from graphlab.errors import CaptureError, GraphlabError
from graphlab.ir.frames import FrameTable
from graphlab.ir.program import Program, Signature, Source
from graphlab.ir.values import TensorType
from graphlab.ir.vocabulary.jax import EFFECTS

_DRAWS = frozenset(op.removeprefix("jax.") for op, effects in EFFECTS.items() if "random" in effects)
_FIRST_COLUMN = 0  # of a line, as JAX's locations count


def capture_live(model: Any, inputs: Inputs | None, *, method: str) -> Program:
    """See :func:`graphlab.capture.jax.capture`."""
    asked = f"capture {_describe(model)} by {method}"
    if isinstance(model, jax.stages.Compiled):
        return _read_hlo(str(model.as_text()), JaxNative(model))
    if isinstance(model, jax.stages.Lowered):
        return _read_lowered(asked, model, method)
    if isinstance(model, jax.export.Exported):
        return _read_exported(model)
    if isinstance(model, ClosedJaxpr) and method == "jaxpr":
        return read_jaxpr(
            model, dims=dim_ranges(model.in_avals), native=JaxNative(model, lambda platform: _text(asked, _from_jaxpr(model), platform))
        )
    traced, exportable = _trace(asked, model, inputs)
    dims = dim_ranges(traced.jaxpr.in_avals)
    if method == "jaxpr":
        native = JaxNative(traced, lambda platform: _text(asked, (traced, exportable), platform))
        return read_jaxpr(traced.jaxpr, name=traced.fun_name, dims=dims, native=native)
    if not dims:
        with _said(asked):
            lowered = traced.lower()
        return _read_lowered(asked, lowered, method)
    if method == "hlo":
        raise CaptureError(asked, found=f"HLO has no symbolic sizes, and the inputs have {', '.join(dims)}", do="give each dim a size")
    with _said(asked):
        exported = exportable()
    return _read_exported(exported)


_Traced = tuple[Any, Callable[..., Any]]
"""A ``jax.stages.Traced``, and what makes the ``jax.export.Exported`` of the same function and arguments (``platforms=[…]``)."""


def _trace(asked: str, model: Any, inputs: Inputs | None) -> _Traced:
    if isinstance(model, ClosedJaxpr):
        return _from_jaxpr(model)
    if isinstance(model, jax.stages.Traced):
        return model, _from_jaxpr(model.jaxpr)[1]
    args, kwargs = arguments(asked, model, inputs)
    with _said(asked):
        traced = model.trace(*args, **kwargs)
    if hasattr(traced, "traced"):  # flax.nnx wraps JAX's own, whose arguments are the module's leaves
        return traced.traced, _from_jaxpr(traced.traced.jaxpr)[1]
    return traced, lambda **options: jax.export.export(model, **options)(*args, **kwargs)


def _from_jaxpr(closed: ClosedJaxpr) -> _Traced:
    types = [jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in closed.in_avals]
    function = jax.jit(jaxpr_as_fun(closed))
    return function.trace(*types), lambda **options: jax.export.export(function, **options)(*types)


def _text(asked: str, traced: _Traced, platform: str) -> str:
    """StableHLO with locations. Symbolic sizes need jax.export, which turns them into reads of the inputs' sizes."""
    stage, exportable = traced
    with _said(asked):
        if dim_ranges(stage.jaxpr.in_avals):
            return str(exportable(platforms=[platform]).mlir_module())
        return str(stage.lower(lowering_platforms=(platform,)).as_text(debug_info=True))


def _read_lowered(asked: str, lowered: Any, method: str) -> Program:
    native = JaxNative(lowered, lambda platform: str(lowered.as_text(debug_info=True)))
    with _said(asked):
        module = lowered.compiler_ir("hlo" if method == "hlo" else "stablehlo")
    if method == "hlo":
        return _read_hlo(module.as_hlo_module().to_string(), native)
    stream = io.BytesIO()
    module.operation.write_bytecode(stream)
    return _read_stablehlo(stream.getvalue(), native)


def _read_exported(exported: Any) -> Program:
    """The exported module. Its entry's types get the symbolic sizes that MLIR writes as ``?``."""
    native = JaxNative(exported, lambda platform: str(exported.mlir_module()))
    program = _read_stablehlo(bytes(exported.mlir_module_serialized), native)
    signature = program.signatures[program.entry]
    taken = [exported.in_avals[i] for i in exported.module_kept_var_idx]
    if len(taken) != len(signature.inputs) or len(exported.out_avals) != len(signature.outputs):
        return program  # tokens of ordered effects go in and out as well
    graph = program.main
    types = [_named(slot.type, aval) for slot, aval in zip(signature.inputs, taken, strict=True)]
    for id, kind in zip(graph.inputs, types, strict=True):
        graph.nodes[id]["outputs"] = (kind,)
    named = Signature(
        signature.graph,
        tuple(replace(slot, type=kind) for slot, kind in zip(signature.inputs, types, strict=True)),
        tuple(replace(slot, type=_named(slot.type, aval)) for slot, aval in zip(signature.outputs, exported.out_avals, strict=True)),
    )
    return replace(program, signatures={**program.signatures, program.entry: named}, dims=dim_ranges(exported.in_avals))


def _named(kind: Any, aval: Any) -> Any:
    told = value_type(aval)
    return replace(kind, dims=told.dims) if isinstance(kind, TensorType) and isinstance(told, TensorType) else kind


def _read_stablehlo(bytecode: bytes, native: JaxNative) -> Program:
    """What JAX lowered to, as MLIR's bytecode: the one form of it that stays the same from version to version."""
    users = UserFrames(FrameTable())
    module, _ = module_of(bytecode, "the module that JAX made", None)
    module.producer = ""  # MLIR's own version, which no other program of the same function need have
    with no_collection():
        return build(
            [module],
            source=Source("jax", "stablehlo", "stablehlo", f"jax {jax.__version__}"),
            native=native,
            first_column=_FIRST_COLUMN,
            users=users.users,
            frames=users.table,
            draws=_DRAWS,
        )


def _read_hlo(text: str, native: JaxNative) -> Program:
    from graphlab.capture.xla.hlo_text import parse_hlo

    program = parse_hlo(text)
    source = replace(program.source, framework="jax", method="hlo", producer=f"jax {jax.__version__}")
    return replace(program, source=source, native=native)


@contextmanager
def _said(asked: str) -> Iterator[None]:
    """Turns whatever the user's function or JAX raises into a CaptureError with the user's line."""
    try:
        yield
    except GraphlabError:
        raise
    except Exception as error:  # tracing runs the user's function: it may raise anything
        raise trace_error(asked, error) from error


def _describe(model: Any) -> str:
    if isinstance(model, ClosedJaxpr):
        return "the jaxpr"
    name = getattr(model, "__name__", None) or getattr(model, "fun_name", None)
    return f"the function '{name}'" if name else f"the {type(model).__name__}"
