"""TorchScript: scripting and tracing, and reading what came of it into a Program."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable
from typing import Any

import torch

from graphlab.capture.inputs import Inputs
from graphlab.capture.torch import examples
from graphlab.capture.torch.failures import failed, reason, script_failed
from graphlab.capture.torch.frames import is_user_file
from graphlab.capture.torch.jit_graph import Reader
from graphlab.capture.torch.private import TracingCheckError, load_script, script_function
from graphlab.capture.torch.state import quiet, unchanged
from graphlab.errors import CaptureError, FormatError
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.program import Program, Signature, Slot, Source

Note = FrozenDict[str, Any]


def script(model: Any) -> Program:
    """Compile a module's ``forward`` by ``torch.jit.script``, or read what is scripted or traced already.

    Raises:
        CaptureError: TorchScript does not take the code; ``frame`` is the user's line.
    """
    if isinstance(model, (torch.jit.ScriptModule, torch.jit.ScriptFunction)):
        return read(model, method="jit.trace" if isinstance(model, torch.jit.TopLevelTracedModule) else "jit.script")
    try:
        with quiet():
            scripted = torch.jit.script(model)
    except Exception as error:
        raise script_failed(model, error) from error
    return read(scripted)


def trace(model: Any, inputs: Inputs | None) -> Program:
    """Run a module by ``torch.jit.trace`` and keep what it did.

    ``source.notes`` has what torch had to say: ``tracer-warning`` (a value of the example became a
    constant), ``trace-check`` (running or tracing it again gave something else) and ``trace-mode``
    (only because torch checked it without gradients).

    Raises:
        InputsNeeded: no inputs were given.
        CaptureError: torch could not trace it; ``frame`` is the user's line.
    """
    if inputs is None:
        raise examples.needed(model, "jit.trace")
    made = examples.make(inputs)
    notes: dict[Note, None] = {}
    do = "check that the inputs fit the model and are tensors"
    with unchanged(model):
        try:
            traced = _trace(model, made, notes, check=True)
        except TracingCheckError as error:
            warned = any(is_user_file(note["file"]) for note in notes if "file" in note)  # torch's own files warn of what is safe
            if not warned and _traces_alike_without_gradients(model, made):
                notes[FrozenDict(kind="trace-mode", text=_MODE)] = None
            else:
                told = [line.removeprefix("ERROR: ") for line in str(error).splitlines() if line.startswith("ERROR: ")]
                notes |= {FrozenDict(kind="trace-check", text=line.rstrip("!:")): None for line in told}
            try:
                traced = _trace(model, made, notes, check=False)
            except Exception as again:
                raise failed(model, "jit.trace", again, do=do) from again
        except Exception as error:
            raise failed(model, "jit.trace", error, do=do) from error
    return read(traced, method="jit.trace", notes=tuple(notes))


_MODE = "The model takes another path without gradients, where torch checks its traces; the trace is of the path with them"


def _traces_alike_without_gradients(model: Any, made: Inputs) -> bool:
    """Whether only torch's own switch of mode made a second trace differ.

    torch traces with gradients as they are and checks without; ``nn.TransformerEncoder`` in eval
    mode, for one, then takes its fused path.
    """
    notes: dict[Note, None] = {}
    try:
        with torch.no_grad():
            _trace(model, made, notes, check=True)
    except TracingCheckError:
        return False
    return all(note["kind"] != "trace-check" for note in notes)


def _trace(model: Any, made: Inputs, notes: dict[Note, None], *, check: bool) -> Any:
    if made.kwargs and made.args:
        given: dict[str, Any] = {"example_inputs": inspect.signature(model.forward).bind(*made.args, **made.kwargs).args}
    elif made.kwargs:
        given = {"example_kwarg_inputs": dict(made.kwargs)}
    else:
        given = {"example_inputs": made.args}
    with quiet(), warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            return torch.jit.trace(model, **given, check_trace=check)
        finally:
            for each in told:
                if issubclass(each.category, torch.jit.TracerWarning):
                    notes[_note(str(each.message), each.filename, each.lineno)] = None


_CHECKS = ("Trace had nondeterministic nodes", "Output nr ")
_NONDETERMINISTIC = re.compile(r"= (?P<op>\w+::\w+)\(.*# (?P<file>[^\n]+?):(?P<line>\d+):\d+")


def _note(message: str, file: str, line: int) -> Note:
    if not message.startswith(_CHECKS):
        return FrozenDict(kind="tracer-warning", text=_sentence(message), file=file, line=line)
    found = [m.groupdict() for m in _NONDETERMINISTIC.finditer(message)]
    if not found:
        return FrozenDict(kind="trace-check", text=_sentence(message))
    ops = ", ".join(dict.fromkeys(each["op"] for each in found))
    text = f"Trace had nondeterministic nodes: {ops}"
    return FrozenDict(kind="trace-check", text=text, file=found[0]["file"], line=int(found[0]["line"]))


def _sentence(message: str) -> str:
    return " ".join(message.split()).partition(" Detailed error:")[0].rstrip(".")


def read(
    model: Any, *, method: str = "jit.script", notes: tuple[Note, ...] = (), find: Callable[[str], Any | None] = script_function
) -> Program:
    """A scripted or traced module or function as a Program; ``native`` is the object itself.

    Each method of each module instance is a graph of its own, named by its path
    (``encoder.layers.0.forward``), and each block of an ``If`` or ``Loop`` one that takes what it
    uses from outside as inputs. ``Program.count()`` equals the number of nodes of torch's graphs
    and all their blocks, each method's graph counted once per instance that is called.
    """
    reader = Reader(find)
    entry = reader.module(model) if isinstance(model, torch.nn.Module) else reader.function(model)
    graph = reader.graphs[entry]
    inputs = tuple(Slot(graph.node(name).name, graph.node(name).outputs[0]) for name in graph.inputs)
    uses = graph.operands(graph.output)
    outputs = tuple(Slot(use.src, graph.node(use.src).outputs[use.src_port]) for use in uses)
    return Program(
        graphs={entry: graph, **reader.graphs},
        entry=entry,
        source=Source("torch", "torchscript", method=method, producer=f"torch {torch.__version__}", notes=notes),
        signatures={entry: Signature(entry, inputs, outputs)},
        frames=reader.frames.done(),
        native=model,
    )


def load(path: str | None, data: bytes) -> Program:
    """A saved module, loaded by torch: what its classes do when they are loaded is run.

    Args:
        path: the file; ``None`` for one that is only in memory, as ``data``.

    Raises:
        FormatError: torch does not load it.
    """
    try:
        with quiet():
            model, find = load_script(path, data)
    except Exception as error:  # torch raises anything on files it does not like
        raise FormatError(f"load {path or 'an archive'} by torch", found=reason(error), do="read it without trust") from error
    return read(model, method="jit.load", find=find)


__all__ = ["CaptureError", "load", "read", "reason", "script", "trace"]
