"""Chooses the adapter for a target and the method within it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from graphlab import registry
from graphlab.capture.file import File
from graphlab.capture.inputs import Inputs, as_inputs
from graphlab.errors import CaptureError, UnknownFormat
from graphlab.ir.program import Attempt, Program
from graphlab.ir.verify import ensure_verified


@dataclass(frozen=True, slots=True)
class Tried:
    """An attempt at capture with what came of it: the program, or the error."""

    attempt: Attempt
    program: Program | None
    error: CaptureError | None


def adapter_for(target: object) -> ModuleType | None:
    """The first registered adapter that takes the target; imports no framework."""
    for name in registry.table("capture"):
        module = registry.get("capture", name)
        if module.matches(target):
            return module
    return None


def capture_live(model: Any, inputs: Any = None, *, method: str | None = None) -> Program:
    """See :func:`graphlab.capture`."""
    given = as_inputs(inputs)
    tries: list[Tried] = []
    for tried in attempts(model, given, methods=None if method is None else (method,)):
        tries.append(tried)
        if tried.program is not None:
            return tried.program.replace_source(attempts=tuple(t.attempt for t in tries))
    if len(tries) == 1 and tries[0].error is not None:
        raise tries[0].error
    reasons = "".join(f"\n    {t.attempt.method}: {t.attempt.error}" + (f" ({t.attempt.frame})" if t.attempt.frame else "") for t in tries)
    raise CaptureError(
        f"capture {_describe(model)}", found=f"no method works on it:{reasons}", do="change the first line named that you can"
    )


def attempts(
    model: Any,
    inputs: Inputs | None,
    *,
    methods: tuple[str, ...] | None = None,
    announce: Callable[[str], None] = lambda method: None,
) -> Iterator[Tried]:
    """Try a framework's methods of capture one by one, best first; the caller stops when content.

    ``announce`` is told each method before it is tried.

    Raises:
        CaptureError: no adapter takes the model, or it has no such method.
        InputsNeeded: the adapter cannot know the inputs.
    """
    module = adapter_for(model)
    if module is None:
        raise CaptureError(
            f"capture {_describe(model)}",
            found="it is no model of a framework graphlab knows",
            do="pass a torch.nn.Module, a tf.function, a Keras model or a jitted JAX function",
        )
    known: tuple[str, ...] = module.METHODS
    for method in methods if methods is not None else module.methods_for(model):
        if method not in known:
            raise CaptureError(
                f"capture by '{method}'", found=f"{module.__name__} has no such method", do=f"choose from {', '.join(known)}"
            )
        announce(method)
        start = time.perf_counter()
        try:
            program = ensure_verified(module.capture(model, inputs, method=method))
        except CaptureError as error:
            if type(error) is not CaptureError:  # InputsNeeded: no other method would fare better
                raise
            yield Tried(Attempt(method, False, time.perf_counter() - start, error.found, error.frame), None, error)
        else:
            yield Tried(Attempt(method, True, time.perf_counter() - start), program, None)


def load(path: str | Path, *, select: str | None = None) -> Program:
    """Read a graph file of any format a reader takes, by content, whatever its name.

    Args:
        path: the file or directory.
        select: which program, where the file holds several (a name the error message lists).

    Raises:
        UnknownFormat: no reader takes it.
        FormatError: it is of a known format, but not sound; the message has the place.
        GraphlabError: it is not there or cannot be read.
    """
    file = File.open(path)
    module = adapter_for(file)
    if module is None:
        raise UnknownFormat(
            f"read {path}",
            found=f"its content is of no format graphlab reads ({file.describe()})",
            do="graphlab reads HLO text and .graphlab files so far (docs/formats.md); capture other models live, from a Python file",
        )
    program: Program = module.read(file, select=select)
    return ensure_verified(program)


def _describe(model: object) -> str:
    kind = model if isinstance(model, type) else type(model)
    return f"a {kind.__module__}.{kind.__qualname__}"


__all__ = ["Tried", "adapter_for", "attempts", "capture_live", "load"]
