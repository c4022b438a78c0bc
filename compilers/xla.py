"""XLA through jaxlib, in a child process: for the CPU of this machine, and for TPUs and NVIDIA GPUs that need not be here.

For a TPU libtpu compiles, for a GPU JAX's CUDA plugin; each is given a topology instead of devices. The program that comes
out cannot be run here, but it is the one that would run: its instructions, its memory and, on a TPU, its estimated time.

Takes JAX programs (as StableHLO), TensorFlow functions (as tf2xla's HLO), and files of HLO and StableHLO. XLA's own
front door is StableHLO, so HLO goes in by ``hlo_to_stablehlo``: a module that is already optimized for
some device (fusions, custom calls of another backend) is refused there or later, in XLA's words.

XLA's import of StableHLO folds constants before its first pass. For HLO and TensorFlow that is the stage
``imported``; a JAX program's first stage, which is XLA's unoptimized HLO, comes after it.
"""

from __future__ import annotations

import filecmp
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphlab import child
from graphlab.capture.xla.dump_names import SNAPSHOT, Dumped, changed, dumped
from graphlab.compilers import xla_inputs, xla_targets
from graphlab.compilers.results import Absent, Compiled, Measured, Metric, Stage
from graphlab.compilers.xla_jaxlib import CONTROL_OPCODES, FREE_OPCODES, version

if TYPE_CHECKING:
    from graphlab.ir.program import Program

NAME = "xla"

METRICS: Mapping[str, tuple[str, str]] = {
    "ops_before": ("ops", "instructions of the unoptimized module, all computations, parameters and constants included"),
    "ops_after": ("ops", "instructions of the optimized module, the inside of fusions included"),
    "kernels": ("kernels", "instructions of the optimized module that run as steps of their own: fusions, and what was not fused, "
                           "in the entry and in what loops, branches and calls run; without those that only name or group values"),
    "fusions": ("kernels", "kernels that are fusions; `fusions.<kind>` (loop, output, input, custom) splits them"),
    "library_calls": ("kernels", "on the CPU fusions of kind custom, handed whole to a library that XLA links (YNNPACK, oneDNN); on a "
                                 "GPU custom calls to NVIDIA's libraries (cuBLAS, cuDNN …)"),
    "custom_calls": ("kernels", "kernels that are custom calls (LAPACK, callbacks, user code)"),
    "collectives": ("kernels", "kernels that exchange data with other devices"),
    "flops": ("flops", "floating-point operations but transcendentals; 2 for a multiply-add"),
    "transcendentals": ("ops", "exp, tanh, log … of one element"),
    "bytes_accessed": ("bytes", "read and written by all kernels together"),
    "optimal_seconds": ("seconds", "time of one run: XLA's own estimate for a TPU; for a GPU a bound from below, by its peaks"),
    "intensity": ("flops/byte", "flops for each byte accessed"),
    "argument_bytes": ("bytes", "buffers of the arguments"),
    "output_bytes": ("bytes", "buffers of the results"),
    "alias_bytes": ("bytes", "outputs that share an argument's buffer"),
    "temp_bytes": ("bytes", "buffers needed while it runs"),
    "peak_bytes": ("bytes", "most memory alive at once, as XLA tells it; absent where it is less than the temporaries alone"),
    "device_bytes": ("bytes", "memory of one device of the target, by its data sheet"),
    "code_bytes": ("bytes", "machine code"),
    "lowering_seconds": ("seconds", "the framework's time from the captured program to StableHLO or HLO, in this process"),
    "read_seconds": ("seconds", "XLA's time to read the module, in the child"),
    "compile_seconds": ("seconds", "XLA's time to compile it, in the child"),
    "child_seconds": ("seconds", "the whole child process, its start and imports included"),
    "child_bytes": ("bytes", "largest memory of the child seen"),
}  # fmt: skip
"""Every metric's name → its unit and meaning."""

_COLLECTIVES = (
    "all-reduce",
    "all-gather",
    "all-to-all",
    "reduce-scatter",
    "collective-permute",
    "collective-broadcast",
    "ragged-all-to-all",
)


ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    "TF_CPP_MIN_LOG_LEVEL": "1",
    # libtpu on a machine without a TPU: ask no metadata server, and take these for an answer.
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}


@dataclass(frozen=True, slots=True)
class Options:
    """How to compile.

    Attributes:
        passes: regular expression of XLA's pass names: the module before and after each such pass that changed
            something is a stage, and XLA's other dumps are artifacts. ``.*`` for all, empty for none.
        time_limit: seconds.
        memory_limit: bytes; ``None`` for 80 % of what is free.
    """

    passes: str = ""
    time_limit: float = 600.0
    memory_limit: int | None = None


def takes(program: Program) -> bool:
    """JAX and TensorFlow programs captured live, and files of HLO and StableHLO."""
    return xla_inputs.takes(program)


def targets() -> tuple[str, ...]:
    """All there are by their shortest names, installed or not."""
    return xla_targets.names()


def check_target(target: str) -> None:
    """Raises CompileError where there is no such target; it lists them."""
    xla_targets.parse(target)


def missing(platform: str) -> str | None:
    """The command that installs what compiling for the platform needs; ``None`` where it is here."""
    return xla_targets.missing(platform)


def compile(program: Program, *, target: str = "cpu", options: Options | None = None) -> Compiled:
    """Compile a program; see :func:`graphlab.compilers.compile`.

    Raises:
        CompileError: XLA refused it (``reason`` ``refused``; the words are XLA's: a program too large for the device is one),
            crashed, or hit a limit; or there is no such target.
        MissingExtra: jaxlib or the target's own compiler is not installed.
    """
    options = Options() if options is None else options
    asked = f"compile {program.source.path or program.entry} with XLA for {target}"
    device = xla_targets.parse(target)
    xla_targets.require_installed(device, asked)
    given = xla_inputs.module_of(program, asked, platform=device.platform)
    folder = child.Folder()
    (folder.path / "module").write_bytes(given.data)
    outcome = child.run(
        "graphlab.compilers.xla_worker",
        {
            "file": "module",
            "form": given.form,
            "dump": "dump",
            "passes": options.passes,
            "platform": device.platform,
            "topology": device.topology,
            "config": device.config,
        },
        folder=folder.path,
        asked=asked,
        time_limit=options.time_limit,
        memory_limit=options.memory_limit,
        env=ENVIRONMENT,
        progress=lambda: _reached(folder.path),
    )
    answer = outcome.result
    own = program if program.source.format in ("hlo text", "hlo proto") else None  # a file's, read already
    imported = given.form != "stablehlo"
    return Compiled(
        compiler=NAME,
        target=target,
        version=version(),
        stages=tuple(_stages(folder, options.passes, own, imported)),
        metrics={
            **_metrics(answer, device),
            "lowering_seconds": Absent("the file is XLA's own language") if own else Measured(given.lowering_seconds, "seconds", "timed"),
            "child_seconds": Measured(outcome.seconds, "seconds", "timed"),
            "child_bytes": Measured(outcome.peak_bytes, "bytes", "/proc") if outcome.peak_bytes else Absent("this system has no /proc"),
        },
        artifacts=_artifacts(folder.path / "dump") if options.passes else {},
        log=_notes(given) + outcome.log,
    )


def _stages(folder: child.Folder, passes: str, own: Program | None, imported: bool) -> Iterator[Stage]:
    yield Stage("input", _loader(folder, "input.hlo") if own is None else lambda: own)
    if imported:
        yield Stage("imported", _loader(folder, "imported.hlo"), "import")
    dump = folder.path / "dump"
    module = _dumped(dump) if passes else None
    for shot in changed(module, passes, lambda a, b: filecmp.cmp(dump / a, dump / b, shallow=False)) if module else ():
        yield Stage(shot.stage, _loader(folder, f"dump/{shot.file}"), shot.pass_name)
    yield Stage("optimized", _loader(folder, "optimized.hlo"), "XLA")


def _dumped(dump: Path) -> Dumped | None:
    """The module that was compiled, among those XLA dumped on the way."""
    modules = [module for module in dumped(path.name for path in dump.iterdir()) if module.after] if dump.is_dir() else []
    return modules[-1] if modules else None


def _loader(folder: child.Folder, file: str) -> Callable[[], Program]:
    @cache
    def load() -> Program:
        from graphlab.capture.xla.hlo_text import parse_hlo

        path = folder.path / file  # holding the folder keeps the files
        return parse_hlo(path.read_text(), path=str(path))

    return load


def _artifacts(dump: Path) -> dict[str, Path]:
    """XLA's other dumps (buffer assignment, memory report, LLVM IR, object code), by file name."""
    return {path.name: path for path in sorted(dump.iterdir()) if SNAPSHOT.fullmatch(path.name) is None}


def _notes(given: xla_inputs.Given) -> str:
    if given.form == "hlo text" and b"constant({...})" in given.data:
        return "graphlab: constants are elided in this text; XLA's parser makes up their values.\n"
    return ""


def _metrics(answer: Mapping[str, Any], device: xla_targets.Target) -> dict[str, Metric]:
    before, after, cost, memory = answer["before"], answer["after"], answer["cost"], answer["memory"]
    executed: dict[str, int] = after["executed"]
    # The end of what runs beside others (all-reduce-done) is a wait, and no step of its own.
    ends = {opcode for opcode in executed if opcode.endswith("-done")}
    work = {opcode: n for opcode, n in executed.items() if opcode not in FREE_OPCODES | CONTROL_OPCODES | ends}
    counted = "counted on XLA's own module"
    numbers: dict[str, Metric] = {
        "ops_before": Measured(sum(before["instructions"].values()), "ops", counted),
        "ops_after": Measured(sum(after["instructions"].values()), "ops", counted),
        "kernels": Measured(sum(work.values()), "kernels", counted),
        "fusions": Measured(work.get("fusion", 0), "kernels", counted),
        **{f"fusions.{kind.lower()}": Measured(n, "kernels", counted) for kind, n in sorted(after["fusions"].items())},
        "library_calls": _library_calls(after, device, counted),
        "custom_calls": Measured(work.get("custom-call", 0), "kernels", counted),
        "collectives": Measured(sum(n for opcode, n in work.items() if opcode.startswith(_COLLECTIVES)), "kernels", counted),
    }
    origin = "XLA's cost analysis of the optimized program"
    if device.platform == "cuda":
        origin = "XLA's generic cost analysis: flops of the program as given, bytes of the optimized one"
    if "custom-call" in executed:
        origin += "; custom calls count as nothing"
    if "while" in executed:
        origin += "; a loop's body counts once"
    for name, key, unit in (
        ("flops", "flops", "flops"),
        ("transcendentals", "transcendentals", "ops"),
        ("bytes_accessed", "bytes accessed", "bytes"),
    ):
        # XLA leaves out what is 0, and marks what it does not know by -1.
        value = cost.get(key, 0.0)
        numbers[name] = Measured(value, unit, origin) if value >= 0 else Absent("XLA's cost analysis does not know it")
    numbers["optimal_seconds"] = _seconds(cost, device, answer["product_type"], origin)
    numbers["intensity"] = _intensity(numbers["flops"], numbers["bytes_accessed"])
    numbers["device_bytes"] = (
        Absent("the CPU's memory is the machine's")
        if device.memory_bytes is None
        else Measured(device.memory_bytes, "bytes", device.source)
    )
    for name in ("argument", "output", "alias", "temp", "peak"):
        numbers[f"{name}_bytes"] = Measured(memory[name], "bytes", "XLA's memory analysis")
    if memory["peak"] < memory["temp"]:  # jaxlib 0.10.2 on the CPU; on a TPU temporaries of other memories than the HBM count too
        numbers["peak_bytes"] = Absent(f"XLA tells {memory['peak']:,} bytes, less than the temporaries alone")
    code = memory["code"]
    numbers["code_bytes"] = (
        Measured(code, "bytes", "XLA's memory analysis") if code > 0 else Absent(f"XLA does not tell it for {device.platform}")
    )
    for name in ("read_seconds", "compile_seconds"):
        numbers[name] = Measured(answer[name], "seconds", "timed")
    return numbers


_NVIDIA_LIBRARIES = ("__cublas", "__cudnn", "cublas", "cudnn", "cusolver", "cufft", "cusparse", "cub")


def _library_calls(after: Mapping[str, Any], device: xla_targets.Target, counted: str) -> Metric:
    if device.platform == "cpu":
        return Measured(after["fusions"].get("Custom", 0), "kernels", counted)
    if device.platform == "tpu":
        return Absent("a TPU program calls no library")
    return Measured(sum(n for call, n in after["custom_calls"].items() if call.startswith(_NVIDIA_LIBRARIES)), "kernels", counted)


def _seconds(cost: Mapping[str, float], device: xla_targets.Target, product_type: str, origin: str) -> Metric:
    """XLA's estimate where it has one, else the roofline: no run is faster than its flops and its bytes at the device's peaks.

    Williams, Waterman, Patterson: Roofline, CACM 52 (2009).
    """
    seconds = cost.get("optimal_seconds", 0.0)
    if seconds > 0:
        return Measured(seconds, "seconds", origin)
    if device.peak_flops is None or device.bandwidth is None:
        return Absent("XLA has no performance model for the CPU")
    peak = device.peak_flops.get(product_type, min(device.peak_flops.values()))
    bound = max(cost.get("flops", 0.0) / peak, cost.get("bytes accessed", 0.0) / device.bandwidth)
    peaks = f"{peak / 1e12:.0f} Tflops for products of {product_type or 'float32'}, {device.bandwidth / 1e12:.2f} TB/s"
    return (
        Measured(bound, "seconds", f"roofline of {device.source}: {peaks}; a bound from below")
        if bound > 0
        else Absent("it computes and moves nothing")
    )


def _intensity(flops: Metric, moved: Metric) -> Metric:
    if isinstance(flops, Measured) and isinstance(moved, Measured) and moved.value > 0:
        return Measured(flops.value / moved.value, "flops/byte", flops.origin)
    return Absent("flops or bytes are not known")


def _reached(folder: Path) -> str:
    """How far a compile got that did not end: the pass in the crash's stack, or the last one that left its dump."""
    log = (folder / "log.txt").read_text(errors="replace")
    crashed = re.search(r"xla::(?:\w+::)*(?!HloPassPipeline)(\w+)::RunImpl\(", log)
    if crashed is not None:
        return f"in pass {crashed[1]}"
    dump = folder / "dump"
    shots = [match for path in dump.iterdir() if (match := SNAPSHOT.fullmatch(path.name))] if dump.is_dir() else []
    if not shots:
        return ""
    last = max(shots, key=lambda match: match["order"])
    return f"the last pass to finish was {last['pass']} of {last['pipeline']}"
