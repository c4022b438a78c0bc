"""TorchScript's own optimizer: freeze, frozen optimizations, optimize_for_inference, in a child process.

Takes scripted and traced modules; exported programs, by a trace of their graph (see ``torchscript_export``);
and fx graph modules, by scripting their code. The child loads a copy, so that neither eval mode nor the
passes, which change a module in place, touch the caller's.
"""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from graphlab import child
from graphlab.compilers.results import Absent, Compiled, Measured, Metric, Stage
from graphlab.errors import CompileError

if TYPE_CHECKING:
    from graphlab.ir.program import Program

NAME = "torchscript"
EXTRA = "torch"

METRICS: Mapping[str, tuple[str, str]] = {
    "ops_before": ("ops", "nodes of forward with all it calls inlined, nested blocks included; without constants and attribute reads"),
    "ops_frozen": ("ops", "the same after torch.jit.freeze: attributes become constants, what depends on constants alone is folded"),
    "ops_after": ("ops", "the same after all passes"),
    "folded_ops": ("ops", "operations that freeze removed: computed from constants alone, or never used"),
    "constant_bytes_before": ("bytes", "parameters, buffers and constants of the module"),
    "constant_bytes_after": ("bytes", "tensors that are constants of the final graph"),
    "lowering_seconds": ("seconds", "torch's time to make TorchScript of an exported program or a graph module, in this process"),
    "compile_seconds": ("seconds", "all passes, in the child"),
    "child_seconds": ("seconds", "the whole child process, its start and imports included"),
    "child_bytes": ("bytes", "largest memory of the child seen"),
}
"""Every metric's name → its unit and meaning."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to compile.

    Attributes:
        time_limit: seconds.
        memory_limit: bytes; ``None`` for 80 % of what is free.
    """

    time_limit: float = 600.0
    memory_limit: int | None = None


_TAKEN: Mapping[tuple[str, str], str] = {
    ("torch.jit._script", "ScriptModule"): "",
    ("torch.export.exported_program", "ExportedProgram"): "traced from the exported graph",
    ("torch.fx.graph_module", "GraphModule"): "scripted from the graph module's code",
}
"""Classes of what this compiler takes → how it becomes TorchScript first; empty for what is that already."""


def takes(program: Program) -> bool:
    """Modules scripted or traced, exported programs, and fx graph modules. (A scripted function has nothing to freeze.)"""
    return _way(program.native) is not None


def _way(native: object) -> str | None:
    return next((_TAKEN[name] for base in type(native).__mro__ if (name := (base.__module__, base.__name__)) in _TAKEN), None)


def targets() -> tuple[str, ...]:
    return ("cpu",)


def missing(platform: str) -> str | None:
    """The command that installs what compiling needs; ``None`` where it is here."""
    return None if find_spec("torch") else f"pip install 'graphlab[{EXTRA}]'"


def compile(program: Program, *, target: str = "cpu", options: Options | None = None) -> Compiled:
    """Compile a program; see :func:`graphlab.compilers.compile`. Stages: input, then one after each pass.

    The input is in TorchScript too: for an exported program or a graph module what was made of it, not the program captured.

    Raises:
        CompileError: torch refused the module (it cannot be traced, scripted, saved or frozen), crashed, or hit a limit.
    """
    options = Options() if options is None else options
    asked = f"compile {program.source.path or program.entry} with TorchScript for {target}"
    if target not in targets():
        raise CompileError(asked, found=f"this compiler has the targets {', '.join(targets())}", do="choose one of them", reason="failed")
    from graphlab.compilers import torchscript_torch  # noqa: F401 (what the child will need of torch is there, or it says so here)

    way = _way(program.native)
    if way is None:
        raise CompileError(
            asked, found=f"it was captured by {program.source.method}", do="capture the live model from PyTorch", reason="failed"
        )
    start = time.perf_counter()
    module = _torchscript(program.native, way, asked)
    lowering = Measured(time.perf_counter() - start, "seconds", "timed") if way else Absent("the program is TorchScript already")
    folder = child.Folder()
    _save(module, folder, asked)
    outcome = child.run(
        "graphlab.compilers.torchscript_worker",
        {"file": "module.pt"},
        folder=folder.path,
        asked=asked,
        time_limit=options.time_limit,
        memory_limit=options.memory_limit,
    )
    answer = outcome.result
    return Compiled(
        compiler=NAME,
        target=target,
        version=f"torch {version('torch')}",
        stages=(Stage("input", _reader(module) if way else lambda: program), *_stages(folder, answer["stages"])),
        metrics={
            **_metrics(answer),
            "lowering_seconds": lowering,
            "child_seconds": Measured(outcome.seconds, "seconds", "timed"),
            "child_bytes": Measured(outcome.peak_bytes, "bytes", "/proc") if outcome.peak_bytes else Absent("this system has no /proc"),
        },
        log=_notes(way, answer) + outcome.log,
    )


def _torchscript(native: Any, way: str, asked: str) -> Any:
    """The native object as a TorchScript module."""
    import torch

    if not way:
        return native
    if isinstance(native, torch.export.ExportedProgram):
        from graphlab.compilers import torchscript_export

        return torchscript_export.trace(native, asked=asked)
    from graphlab.capture.torch.state import quiet, unchanged

    graph = copy.deepcopy(native.graph)
    for node in graph.nodes:
        if isinstance(node.type, str):  # the text of an annotation, which fx writes into its code in a way that TorchScript does not know
            node.type = None
    try:
        with unchanged(native), quiet():
            return torch.jit.script(torch.fx.GraphModule(native, graph, type(native).__name__))
    except Exception as error:
        found = f"TorchScript does not take the graph module's code: {str(error).strip()}"
        raise CompileError(asked, found=found, do="capture by another method", step="script") from error


def _save(module: Any, folder: child.Folder, asked: str) -> None:
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torch's, of all of TorchScript
            torch.jit.save(module, str(folder.path / "module.pt"))
    except RuntimeError as error:
        raise CompileError(
            asked, found=f"the module cannot be saved: {str(error).strip()}", do="keep Python-only values and ops out of it", step="save"
        ) from error


def _stages(folder: child.Folder, stages: list[dict[str, Any]]) -> Iterator[Stage]:
    for stage in stages:
        yield Stage(stage["name"], _loader(folder, stage["file"]), stage["pass"], stage["seconds"])


def _reader(module: Any) -> Callable[[], Program]:
    @cache
    def load() -> Program:
        from graphlab.capture.torch import torchscript

        return torchscript.script(module)

    return load


def _loader(folder: child.Folder, file: str) -> Callable[[], Program]:
    @cache
    def load() -> Program:
        from graphlab.capture.dispatch import load as read

        return read(folder.path / file)  # holding the folder keeps the files

    return load


def _notes(way: str, answer: Mapping[str, Any]) -> str:
    notes = [f"graphlab: the TorchScript is {way}.\n"] if way else []
    if answer["training"]:
        notes.append("graphlab: the module is in training mode; a copy in eval mode was compiled.\n")
    return "".join(notes)


def _metrics(answer: Mapping[str, Any]) -> dict[str, Metric]:
    before, after = answer["before"], answer["stages"][-1]
    frozen = next(stage for stage in answer["stages"] if stage["name"] == "freeze")
    counted = "counted on torch's own graph"
    return {
        "ops_before": Measured(before["ops"], "ops", counted),
        "ops_frozen": Measured(frozen["ops"], "ops", counted),
        "ops_after": Measured(after["ops"], "ops", counted),
        "folded_ops": Measured(before["ops"] - frozen["ops"], "ops", counted),
        "constant_bytes_before": Measured(before["constant_bytes"], "bytes", counted),
        "constant_bytes_after": Measured(after["constant_bytes"], "bytes", counted),
        "compile_seconds": Measured(sum(stage["seconds"] for stage in answer["stages"]), "seconds", "timed"),
    }
