"""TorchScript's own optimizer: freeze, frozen optimizations, optimize_for_inference, in a child process.

Takes scripted and traced modules. The child loads a copy, so that neither eval mode nor the passes,
which change a module in place, touch the caller's.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from graphlab.compilers import child
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


def takes(program: Program) -> bool:
    """Scripted and traced modules captured live. (A scripted function has nothing to freeze.)"""
    return any((base.__module__, base.__name__) == ("torch.jit._script", "ScriptModule") for base in type(program.native).__mro__)


def targets() -> tuple[str, ...]:
    return ("cpu",)


def compile(program: Program, *, target: str = "cpu", options: Options | None = None) -> Compiled:
    """Compile a program; see :func:`graphlab.compilers.compile`. Stages: input, then one after each pass.

    Raises:
        CompileError: torch refused the module (it cannot be saved or frozen), crashed, or hit a limit.
    """
    import torch

    options = Options() if options is None else options
    asked = f"compile {program.source.path or program.entry} with TorchScript for {target}"
    if target not in targets():
        raise CompileError(asked, found=f"this compiler has the targets {', '.join(targets())}", do="choose one of them", reason="failed")
    folder = child.Folder()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torch's, of all of TorchScript
            torch.jit.save(program.native, str(folder.path / "module.pt"))
    except RuntimeError as error:
        raise CompileError(
            asked, found=f"the module cannot be saved: {str(error).strip()}", do="keep Python-only values and ops out of it", step="save"
        ) from error
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
        stages=(Stage("input", lambda: program), *_stages(folder, answer["stages"])),
        metrics={
            **_metrics(answer),
            "child_seconds": Measured(outcome.seconds, "seconds", "timed"),
            "child_bytes": Measured(outcome.peak_bytes, "bytes", "/proc") if outcome.peak_bytes else Absent("this system has no /proc"),
        },
        log=_notes(answer) + outcome.log,
    )


def _stages(folder: child.Folder, stages: list[dict[str, Any]]) -> Iterator[Stage]:
    for stage in stages:
        yield Stage(stage["name"], _loader(folder, stage["file"]), stage["pass"], stage["seconds"])


def _loader(folder: child.Folder, file: str) -> Callable[[], Program]:
    @cache
    def load() -> Program:
        from graphlab.capture.dispatch import load as read

        return read(folder.path / file)  # holding the folder keeps the files

    return load


def _notes(answer: Mapping[str, Any]) -> str:
    return "graphlab: the module is in training mode; a copy in eval mode was compiled.\n" if answer["training"] else ""


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
