"""What XLA is given: a program's native artifact as StableHLO or HLO."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from graphlab.errors import CaptureError, CompileError

if TYPE_CHECKING:
    from graphlab.ir.program import Program

Form: TypeAlias = Literal["stablehlo", "hlo text", "hlo proto"]


_MLIR = ("mlir text", "mlir bytecode", "jax.export")


@dataclass(frozen=True, slots=True)
class Given:
    """A module for XLA, and the seconds its framework took to lower the program to it (0 for a file)."""

    form: Form
    data: bytes
    lowering_seconds: float = 0.0


def takes(program: Program) -> bool:
    """Whether :func:`module_of` knows such programs. Imports nothing."""
    if program.native is None:
        return False
    return program.source.framework in ("jax", "tensorflow") or program.source.format in ("hlo text", "hlo proto", *_MLIR)


def module_of(program: Program, asked: str, *, platform: str = "cpu") -> Given:
    """Lower a program to what XLA reads.

    Raises:
        CompileError: its framework cannot lower it; ``ops`` has the operations it names.
    """
    if program.source.format == "hlo text":
        return Given("hlo text", str(program.native).encode())
    if program.source.format == "hlo proto":
        return Given("hlo proto", bytes(program.native() if callable(program.native) else program.native))
    if program.source.format in _MLIR:
        return Given("stablehlo", program.native.module())
    start = time.perf_counter()
    if program.source.framework == "jax":
        from graphlab.capture.jax import stablehlo_of

        try:
            text = stablehlo_of(program, platform=platform)
        except CaptureError as error:
            raise CompileError(asked, found=f"JAX cannot lower it: {error.found}", do=error.do, step="lower") from error
        return Given("stablehlo", text.encode(), time.perf_counter() - start)
    data = _from_tensorflow(program.native, asked)
    return Given("hlo proto", data, time.perf_counter() - start)


def _from_tensorflow(function: Any, asked: str) -> bytes:
    """A ConcreteFunction → serialized HloModuleProto, by tf2xla.

    ``experimental_get_compiler_ir`` is there only for functions made with ``jit_compile=True``, so the
    function is called from one. Variables and captured tensors become arguments after the inputs.
    """
    import tensorflow as tf

    for tensor in function.inputs:
        if tensor.dtype != tf.resource and not tensor.shape.is_fully_defined():
            raise CompileError(
                asked,
                found=f"XLA wants fixed shapes, and the input '{tensor.name.partition(':')[0]}' is {tensor.dtype.name}{tensor.shape}",
                do="capture the function with inputs of fixed sizes",
            )

    def entry(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    entry.__name__ = tf.compat.as_str(function.name).removeprefix("__inference_")
    args, kwargs = function.structured_input_signature
    compiled = tf.function(entry, jit_compile=True, autograph=False)
    try:
        data: bytes = compiled.experimental_get_compiler_ir(*args, **kwargs)(stage="hlo_serialized")
    # All four are TensorFlow's own ways to say that tf2xla does not take a graph; the call is TensorFlow's alone.
    except (tf.errors.OpError, ValueError, TypeError, NotImplementedError) as error:
        text = str(error).strip()
        ops = tuple(dict.fromkeys(re.findall(r"No registered '(\w+)' OpKernel", text)))
        said = f"XLA has no kernel for {', '.join(ops)}" if ops else "TensorFlow could not lower it to XLA"
        raise CompileError(
            asked, found=f"{said}: {text[:600]}", do="keep those operations out of the function", step="tf2xla", log=text, ops=ops
        ) from error
    return data
