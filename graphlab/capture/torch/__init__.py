"""Capture from PyTorch: ``torch.export``, ``torch.jit.script``, ``torch.fx`` and ``torch.jit.trace``."""

from __future__ import annotations

from typing import Any

from graphlab.capture.inputs import Inputs
from graphlab.errors import CaptureError, missing_extra
from graphlab.ir.program import Program

METHODS = ("export", "jit.script", "fx", "jit.trace")

# What takes an object, by a class it derives from. Named, so that asking imports no torch; the first that is in
# the object's MRO counts, so a subclass stands before its base.
_METHODS_BY_CLASS: dict[tuple[str, str], tuple[str, ...]] = {
    ("torch.export.exported_program", "ExportedProgram"): ("export",),
    ("torch.jit._script", "RecursiveScriptModule"): ("jit.script",),
    ("torch.jit._script", "ScriptModule"): ("jit.script",),
    ("torch.jit", "ScriptFunction"): ("jit.script",),
    ("torch._C", "ScriptFunction"): ("jit.script",),
    ("torch.fx.graph_module", "GraphModule"): ("fx", "export", "jit.script", "jit.trace"),
    ("torch.nn.modules.module", "Module"): METHODS,
}


def matches(target: object) -> bool:
    """Whether this is a module, an exported program, or a scripted function or module. Imports nothing."""
    return bool(_methods(type(target)))


def is_part(target: object) -> bool:
    """Never: any module may be the one that is asked about."""
    return False


def methods_for(model: object) -> tuple[str, ...]:
    """The methods of capture that apply to the object, best first."""
    return _methods(type(model))


def _methods(cls: type) -> tuple[str, ...]:
    for base in cls.__mro__:
        methods = _METHODS_BY_CLASS.get((base.__module__, base.__name__))
        if methods:
            return methods
    return ()


def capture(model: Any, inputs: Inputs | None, *, method: str) -> Program:
    """Capture a torch object by one method.

    Args:
        inputs: what ``forward`` is called with; ``export`` and ``jit.trace`` need them, but for an
            ``ExportedProgram``. A ``TensorType`` leaf stands for an example tensor of that type.
        method: one of ``methods_for(model)``.

    Raises:
        InputsNeeded: the method needs inputs, or ``forward`` does not take those given, or the model
            itself fails on them; the message says which it takes.
        CaptureError: torch could not capture it; ``frame`` is the user's line, ``__cause__`` torch's error.
        MissingExtra: torch is not installed.
    """
    if method not in methods_for(model):
        raise CaptureError(
            f"capture a {type(model).__qualname__} by '{method}'",
            found="that method does not apply to it",
            do=f"choose from {', '.join(methods_for(model))}",
        )
    try:
        import torch
    except ImportError as error:
        raise missing_extra(f"capture a {type(model).__qualname__}", "torch", "torch") from error
    if inputs is not None and isinstance(model, torch.nn.Module) and not isinstance(model, torch.jit.ScriptModule):
        from graphlab.capture.torch import examples

        examples.ensure_fit(model, inputs)
    if method == "export":
        from graphlab.capture.torch import export

        return export.capture(model, inputs)
    if method == "fx":
        from graphlab.capture.torch import fx

        return fx.capture(model, inputs)
    from graphlab.capture.torch import torchscript

    return torchscript.script(model) if method == "jit.script" else torchscript.trace(model, inputs)
