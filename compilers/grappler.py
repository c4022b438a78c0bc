"""Grappler, TensorFlow's graph optimizer, one optimizer at a time: what the framework's own folding really did.

The function is frozen first (variables become constants), as TensorFlow does before inference. The
optimizers run in a child process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from graphlab import child
from graphlab.compilers.results import Absent, Compiled, Measured, Metric, Stage
from graphlab.errors import CompileError

if TYPE_CHECKING:
    from graphlab.ir.program import Program

NAME = "grappler"
EXTRA = "tensorflow"

OPTIMIZERS = ("constfold", "shape", "arithmetic", "remap", "loop", "dependency")
"""TensorFlow's names, in the order its meta optimizer runs them (tensorflow/core/grappler/optimizers/meta_optimizer.cc)."""

KNOWN = (
    *OPTIMIZERS, "pruning", "function", "common_subgraph_elimination", "debug_stripper", "layout", "memory", "pin_to_host",
    "implementation_selector", "scoped_allocator", "auto_mixed_precision", "auto_mixed_precision_cpu",
)  # fmt: skip
"""All names that may be asked for. TensorFlow passes over a name it does not know without a word."""

METRICS: Mapping[str, tuple[str, str]] = {
    "ops_before": ("ops", "nodes of the function as traced and of all functions it reaches"),
    "ops_frozen": ("ops", "the same after freezing: calls are inlined, variable reads are gone"),
    "ops_after": ("ops", "the same after all optimizers"),
    "folded_ops": ("ops", "operations of the frozen graph that constfold made constants, or removed"),
    "constant_bytes_before": ("bytes", "constants of the frozen graph: the variables, and what the graph held already"),
    "constant_bytes_after": ("bytes", "constants after all optimizers"),
    "compile_seconds": ("seconds", "all optimizers, in the child"),
    "child_seconds": ("seconds", "the whole child process, its start and imports included"),
    "child_bytes": ("bytes", "largest memory of the child seen"),
}
"""Every metric's name → its unit and meaning."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to compile.

    Attributes:
        optimizers: TensorFlow's names of Grappler optimizers, each run once on the outcome of the one before.
        time_limit: seconds.
        memory_limit: bytes; ``None`` for 80 % of what is free.
    """

    optimizers: tuple[str, ...] = OPTIMIZERS
    time_limit: float = 600.0
    memory_limit: int | None = None


def takes(program: Program) -> bool:
    """Functions captured live from TensorFlow or Keras."""
    return any(
        base.__module__.startswith("tensorflow.python.") and base.__name__ == "ConcreteFunction" for base in type(program.native).__mro__
    )


def targets() -> tuple[str, ...]:
    return ("cpu",)


def missing(platform: str) -> str | None:
    """The command that installs what compiling needs; ``None`` where it is here."""
    return None if find_spec("tensorflow") else f"pip install 'graphlab[{EXTRA}]'"


def compile(program: Program, *, target: str = "cpu", options: Options | None = None) -> Compiled:
    """Compile a program; see :func:`graphlab.compilers.compile`.

    Stages: ``input``, ``frozen``, then one after each optimizer, named as it is.

    Raises:
        CompileError: the function cannot be frozen, an optimizer is unknown, crashed, or hit a limit.
    """
    from graphlab.compilers import grappler_freeze

    options = Options() if options is None else options
    asked = f"optimize {program.entry} with Grappler for {target}"
    if target not in targets():
        raise CompileError(asked, found=f"this compiler has the targets {', '.join(targets())}", do="choose one of them", reason="failed")
    unknown = [name for name in options.optimizers if name not in KNOWN]
    if unknown:
        raise CompileError(asked, found=f"Grappler has no optimizer '{unknown[0]}'", do=f"choose from {', '.join(KNOWN)}", reason="failed")
    folder = child.Folder()
    frozen = grappler_freeze.freeze(program.native, folder.path / "frozen.pb", asked=asked)
    outcome = child.run(
        "graphlab.compilers.grappler_worker",
        {"file": "frozen.pb", "inputs": frozen.inputs, "outputs": frozen.outputs, "optimizers": options.optimizers},
        folder=folder.path,
        asked=asked,
        time_limit=options.time_limit,
        memory_limit=options.memory_limit,
    )
    stages = [Stage("input", lambda: program)]
    for made in outcome.result["stages"]:
        load = _loader(folder, made["file"], program, frozen)
        stages.append(Stage(made["name"], load, made["pass"], made["seconds"]))
    return Compiled(
        compiler=NAME,
        target=target,
        version=program.source.producer,
        stages=tuple(stages),
        metrics={
            **_metrics({stage.name: stage.load for stage in stages}, stages[-1].load()),
            "compile_seconds": Measured(sum(stage.seconds or 0.0 for stage in stages), "seconds", "timed"),
            "child_seconds": Measured(outcome.seconds, "seconds", "timed"),
            "child_bytes": Measured(outcome.peak_bytes, "bytes", "/proc") if outcome.peak_bytes else Absent("this system has no /proc"),
        },
        log=outcome.log,
    )


def _loader(folder: child.Folder, file: str, program: Program, frozen: Any) -> Callable[[], Program]:
    @cache
    def load() -> Program:
        from graphlab.compilers import grappler_freeze

        return grappler_freeze.read_stage(folder.path / file, program, frozen)  # holding the folder keeps the files

    return load


def _metrics(load: Mapping[str, Callable[[], Program]], after: Program) -> dict[str, Metric]:
    before, frozen = load["input"](), load["frozen"]()
    counted = "counted on TensorFlow's GraphDef"
    folded: Metric = Absent("constfold was not among the optimizers")
    if "constfold" in load:
        gone = _operations(frozen) - _operations(load["constfold"]())
        folded = Measured(gone.total(), "ops", counted)
    return {
        "ops_before": Measured(before.count(), "ops", counted),
        "ops_frozen": Measured(frozen.count(), "ops", counted),
        "ops_after": Measured(after.count(), "ops", counted),
        "folded_ops": folded,
        "constant_bytes_before": Measured(_constant_bytes(frozen), "bytes", counted),
        "constant_bytes_after": Measured(_constant_bytes(after), "bytes", counted),
    }


def _operations(program: Program) -> Counter[str]:
    """Names of the operations. Grappler keeps them, but gives a function that it copies another name."""
    return Counter(node.id for _, node in program.each_node() if node.kind == "op")


def _constant_bytes(program: Program) -> int:
    """Bytes of all constants whose type has a size (strings and handles have none)."""
    return sum(node.value.nbytes or 0 for _, node in program.each_node() if node.kind == "constant" and node.value is not None)
