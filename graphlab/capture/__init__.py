"""Capture: one adapter a source, from live model or file to Program.

Light on purpose: ``import graphlab`` imports it, so that ``graphlab.capture`` is this function and
``from graphlab.capture.torch import ...`` still reaches the adapters.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing's, without importing typing
if TYPE_CHECKING:
    from typing import Any

    from graphlab.ir.program import Program


def capture(model: Any, inputs: Any = None, *, method: str | None = None) -> Program:
    """Capture a live model: a torch module, a ``tf.function`` or Keras model, a jitted JAX function.

    Args:
        model: the framework's own object.
        inputs: example inputs: a tuple of positional ones, a dict of named ones, an ``Inputs``, or
            a single value. Instead of a framework's array, a type as text (``"f32[batch,5,8]"``)
            or a ``TensorType`` will do.
        method: one of the framework's methods (torch: ``export``, ``jit.script``, ``fx``,
            ``jit.trace``; tensorflow: ``tf.function``; jax: ``jaxpr``, ``stablehlo``, ``hlo``).
            Without it they are tried in that order; ``program.source`` says which was used and
            why the ones before it failed.

    Raises:
        InputsNeeded: the inputs are not given and cannot be known.
        CaptureError: no method works; the message has each one's reason and line.
        MissingExtra: the model's framework cannot be imported.
    """
    from graphlab.capture.dispatch import capture_live

    return capture_live(model, inputs, method=method)
