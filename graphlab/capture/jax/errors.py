"""JAX's errors, said in one sentence with the user's line."""

from __future__ import annotations

import re
import traceback

from graphlab.capture.jax.frames import UserFrames
from graphlab.errors import CaptureError
from graphlab.ir.frames import Frame, FrameTable

# Class of error (or one of its bases) -> what happened, what to do. The first in the class's own order counts.
_SAID: dict[str, tuple[str, str]] = {
    "TracerBoolConversionError": (
        "Python asks for the truth of a traced value (an 'if', 'while', 'and' ...), which is not known while tracing",
        "use jax.lax.cond, jax.lax.while_loop or jnp.where there, or mark the argument it depends on as static",
    ),
    "TracerIntegerConversionError": (
        "Python asks for a traced value as an integer (a 'range', a shape, an index), which is not known while tracing",
        "use jax.lax.fori_loop or jnp.take there, or mark the argument it depends on as static",
    ),
    "TracerArrayConversionError": (
        "NumPy asks for the array behind a traced value, which is not known while tracing",
        "call jax.numpy there instead of numpy",
    ),
    "NonConcreteBooleanIndexError": (
        "a boolean mask makes an array whose size depends on the data",
        "use jnp.where with three arguments there, or give nonzero its size=",
    ),
    "ConcretizationTypeError": (
        "Python asks for the value of a traced array, which is not known while tracing",
        "use jax.numpy and jax.lax there, or mark the argument it depends on as static",
    ),
    "UnexpectedTracerError": (
        "a traced value of one call is used in another: a function keeps it in a global, an attribute or a closure",
        "return the value instead of storing it",
    ),
    "InconclusiveDimensionOperation": (
        "a comparison of symbolic sizes has no answer that holds for all of them",
        "give that dimension a size",
    ),
}  # fmt: skip

_SENTENCE = re.compile(r"(.+?[.!?])(?:\s|$)", re.DOTALL)


def trace_error(asked: str, error: BaseException) -> CaptureError:
    """The CaptureError for what was raised while a user's function was traced or lowered."""
    frame = user_frame(error)
    for base in type(error).__mro__:
        if base.__name__ in _SAID:
            found, do = _SAID[base.__name__]
            return CaptureError(asked, found=found, do=do, frame=frame)
    text = str(error).strip()
    sentence = _SENTENCE.match(text)
    said = " ".join((sentence[1] if sentence and len(sentence[1]) < 300 else text.split("\n", 1)[0][:300]).split())
    do = "change that line, or the inputs that lead there" if frame else "call the function on the same inputs to see JAX's whole error"
    return CaptureError(asked, found=f"{type(error).__name__}: {said}" if said else type(error).__name__, do=do, frame=frame)


def user_frame(error: BaseException) -> Frame | None:
    """The innermost frame of the traceback that is the user's own."""
    frames = [Frame(at.f_code.co_filename, line, 0, at.f_code.co_qualname) for at, line in traceback.walk_tb(error.__traceback__)]
    own = UserFrames(FrameTable())
    frames.reverse()
    found = own.users(frames)
    return found[0] if found else None


def not_a_function(model: object) -> CaptureError:
    """The error for a module of a JAX library: parameters and method are the caller's choice."""
    kind = model if isinstance(model, type) else type(model)
    package = kind.__module__.partition(".")[0]
    is_nnx = any(base.__module__.startswith("flax.nnx") for base in kind.__mro__)
    if is_nnx:
        do = "capture a function of it: graphlab.capture(nnx.jit(lambda model, x: model(x)), (model, x))"
    elif package == "equinox" or any(b.__module__.startswith("equinox") for b in kind.__mro__):
        do = "capture a function of it: graphlab.capture(jax.jit(lambda x: model(x)), x)"
    else:
        do = "capture a function of it: graphlab.capture(jax.jit(lambda params, x: model.apply(params, x)), (params, x))"
    return CaptureError(f"capture the {kind.__module__}.{kind.__qualname__}", found="it is a model, not a jitted function", do=do)
