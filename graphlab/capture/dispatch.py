"""Chooses the adapter for a target and the method within it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from graphlab import registry
from graphlab.capture.file import File
from graphlab.capture.inputs import Inputs, as_inputs
from graphlab.capture.looks import describe
from graphlab.errors import CaptureError, GraphlabError, UnknownFormat
from graphlab.ir.program import Attempt, Program
from graphlab.ir.verify import ensure_verified

if TYPE_CHECKING:
    from graphlab.compilers.results import Compiled


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


def load(path: str | Path, *, select: str | None = None, trust: bool = False) -> Program:
    """Read a graph file of any format a reader takes, by content, whatever its name.

    Args:
        path: the file or directory.
        select: which program, where the file holds several (a name the error message lists).
        trust: let the framework itself read it, where the format has such a way (TorchScript, ``torch.export``): that may
            run code from the file. Without it nothing from the file is run.

    Raises:
        UnknownFormat: no reader takes it.
        SelectError: it holds several programs, and ``select`` names none of them.
        FormatError: it is of a known format, but not sound; the message has the place.
        GraphlabError: it is not there or cannot be read, or there is no trusted way.
    """
    file = File.open(path)
    module = reader_of(file)
    if not trust:
        return ensure_verified(module.read(file, select=select))
    if not hasattr(module, "read_trusted"):
        raise GraphlabError(
            f"read {path} by its framework", found=f"{module.READS} are read without one", do="read it without trust: nothing is lost"
        )
    return ensure_verified(module.read_trusted(file, select=select))


def load_compiled(path: str | Path, *, select: str | None = None) -> Compiled | None:
    """The compile that a file records, its stages in order: an XLA dump directory, a ``TORCH_TRACE`` log, an AOTInductor package.

    ``None`` for a file of a format that records none.

    Args:
        select: which compile, where there are several.

    Raises:
        As :func:`load`.
    """
    file = File.open(path)
    module = reader_of(file)
    if not hasattr(module, "read_compiled"):
        return None
    compiled: Compiled = module.read_compiled(file, select=select)
    return compiled


def load_compiles(path: str | Path) -> Mapping[str, Compiled]:
    """All compiles that a file records, by the names that select them; none for a file of a format that records none.

    Raises:
        As :func:`load`.
    """
    file = File.open(path)
    module = reader_of(file)
    if hasattr(module, "read_compiles"):
        compiles: Mapping[str, Compiled] = module.read_compiles(file)
        return compiles
    return {"": module.read_compiled(file)} if hasattr(module, "read_compiled") else {}


def reader_of(file: File) -> ModuleType:
    """The reader that takes a file. Raises UnknownFormat where none does."""
    module = adapter_for(file)
    if module is None:
        raise UnknownFormat(
            f"read {file.name}",
            found=f"it is not a format graphlab reads: {describe(file)}",
            do="if it is of a format that docs/formats.md lists, it is damaged or cut short: fetch it again; models in Python files are "
            "captured live",
        )
    return module


def _describe(model: object) -> str:
    kind = model if isinstance(model, type) else type(model)
    return f"a {kind.__module__}.{kind.__qualname__}"


__all__ = ["Tried", "adapter_for", "attempts", "capture_live", "load", "load_compiled", "load_compiles", "reader_of"]
