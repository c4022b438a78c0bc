"""JAX: jitted functions and what they turn into, as jaxpr, StableHLO or HLO.

Light: deciding whether a target is JAX's imports no JAX.
"""

from __future__ import annotations

from typing import Any

from graphlab.capture.file import File
from graphlab.capture.inputs import Inputs
from graphlab.errors import CompileError
from graphlab.ir.program import Program

METHODS = ("jaxpr", "stablehlo", "hlo")

# class name (with its package) -> the methods that it can be captured by
_TARGETS: dict[tuple[str, str], tuple[str, ...]] = {
    ("jaxlib", "PjitFunction"): METHODS,
    ("jax", "Wrapped"): METHODS,
    ("flax", "JitWrapped"): METHODS,
    ("jax", "Traced"): METHODS,
    ("jax", "ClosedJaxpr"): METHODS,
    ("jax", "Lowered"): ("stablehlo", "hlo"),
    ("jax", "Exported"): ("stablehlo",),
    ("jax", "Compiled"): ("hlo",),
}
# What is no function yet: it is taken, so that the error can say how to make one of it.
_MODELS = (("flax", "Module"), ("haiku", "Transformed"), ("haiku", "TransformedWithState"), ("equinox", "Module"))


def matches(target: object) -> bool:
    """Whether ``target`` is a jitted function, a stage of one, a jaxpr, an exported program, or a model of a JAX library."""
    return not isinstance(target, File) and (_kind(target) is not None or _is_model(target))


def is_part(target: object) -> bool:
    """A model of a JAX library: not looked at of its own accord where a jitted function stands beside it."""
    return _kind(target) is None


def methods_for(target: object) -> tuple[str, ...]:
    """The methods that can work on ``target``, best first."""
    kind = _kind(target)
    return METHODS[:1] if kind is None else _TARGETS[kind]


def capture(model: Any, inputs: Inputs | None, *, method: str) -> Program:
    """Capture by one method.

    Raises:
        InputsNeeded: the function's arguments are not given.
        CaptureError: JAX cannot trace or lower it; the error has the user's line.
    """
    if _kind(model) is None:
        from graphlab.capture.jax.errors import not_a_function

        raise not_a_function(model)
    from graphlab.capture.jax.live import capture_live

    return capture_live(model, inputs, method=method)


def stablehlo_of(program: Program, *, platform: str = "cpu") -> str:
    """StableHLO text, with locations, of a program captured from JAX by any method. Lowers it when first asked.

    Args:
        platform: ``cpu``, ``tpu`` or ``cuda``, whether or not this machine has one.

    Raises:
        CompileError: the program has no live JAX object (it was read from a file, or is another framework's),
            or holds only compiled HLO.
        CaptureError: JAX cannot lower it.
    """
    from graphlab.capture.jax.native import JaxNative

    if not isinstance(program.native, JaxNative):
        raise CompileError(
            f"lower the {program.source.format} program to StableHLO",
            found="it holds no live JAX function",
            do="capture the jitted function itself",
        )
    return program.native.stablehlo(platform)


def _kind(target: object) -> tuple[str, str] | None:
    for base in type(target).__mro__:
        key = (base.__module__.partition(".")[0], base.__name__)
        if key in _TARGETS:
            return key
    return None


def _is_model(target: object) -> bool:
    kind = target if isinstance(target, type) else type(target)
    return any((base.__module__.partition(".")[0], base.__name__) in _MODELS for base in kind.__mro__)
