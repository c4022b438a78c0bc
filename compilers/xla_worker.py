"""Child process of ``compilers.xla``: compiles one module for one target and says what XLA made of it."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from graphlab import child
from graphlab.compilers import xla_jaxlib
from graphlab.errors import FormatError


def handle(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Compile ``request["file"]``, of ``request["form"]`` (``stablehlo``, ``hlo text`` or ``hlo proto``), for the target
    that ``platform``, ``topology`` and ``config`` describe.

    Writes ``input.hlo``, for HLO ``imported.hlo``, and ``optimized.hlo``; with ``request["passes"]`` XLA writes
    the modules around those passes, and its own other files, into the folder ``request["dump"]``.
    """
    xla_jaxlib.require()
    try:
        return _compile(request, folder)
    except xla_jaxlib.refusals() as error:
        raise child.Refused(str(error).strip()) from error
    except FormatError as error:  # jaxlib's MLIR parser
        raise child.Refused(error.found) from error


def _compile(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    data = (folder / request["file"]).read_bytes()
    child.step("read")
    start = time.perf_counter()
    stablehlo: str | bytes
    match request["form"]:
        case "stablehlo":
            stablehlo = xla_jaxlib.stablehlo_from_bytecode(data) if data.startswith(b"ML\xefR") else data.decode()
            given = xla_jaxlib.hlo_from_stablehlo(stablehlo)
        case "hlo text":
            given = xla_jaxlib.hlo_from_text(data.decode())
            stablehlo = xla_jaxlib.stablehlo_from_hlo(given)
        case "hlo proto":
            given = xla_jaxlib.hlo_from_proto(data)
            stablehlo = xla_jaxlib.stablehlo_from_hlo(given)
        case form:
            raise AssertionError(form)
    read_seconds = time.perf_counter() - start

    text = given.to_string()
    (folder / "input.hlo").write_text(text)
    if request["form"] != "stablehlo":  # HLO goes in by StableHLO; the way back from there folds constants
        (folder / "imported.hlo").write_text(xla_jaxlib.hlo_from_stablehlo(stablehlo).to_string())
    before = xla_jaxlib.count(given)
    header = text.partition("\n")[0]
    dump, passes, platform = folder / request["dump"], request["passes"], request["platform"]
    options: dict[str, Any] = {"xla_dump_to": str(dump), "xla_dump_hlo_pass_re": passes} if passes else {}
    many = {"replicas": _header(header, "replica_count"), "partitions": _header(header, "num_partitions")}

    if platform == "cpu":
        child.step("compile")
        start = time.perf_counter()
        executable = xla_jaxlib.compile_for_cpu(stablehlo, options=options, **many)
    else:
        child.step("describe the target")
        devices = xla_jaxlib.absent_devices(platform, request["topology"], request["config"])
        if platform == "cuda":
            options["xla_gpu_autotune_level"] = 0  # autotuning runs kernels on the card, which is not here
        child.step("compile")
        start = time.perf_counter()
        executable = xla_jaxlib.compile_for_absent(stablehlo, devices, options=options, **many)
    compile_seconds = time.perf_counter() - start

    child.step("report")
    (optimized,) = executable.hlo_modules()
    (folder / "optimized.hlo").write_text(optimized.to_string())
    memory = executable.get_compiled_memory_stats()
    return {
        "before": before,
        "after": xla_jaxlib.count(optimized),
        "cost": _cost_of_parts(given, optimized) if platform == "cuda" else executable.cost_analysis(),
        "memory": {
            "argument": memory.argument_size_in_bytes,
            "output": memory.output_size_in_bytes,
            "alias": memory.alias_size_in_bytes,
            "temp": memory.temp_size_in_bytes,
            "peak": memory.peak_memory_in_bytes,
            "code": memory.generated_code_size_in_bytes,
        },
        "product_type": xla_jaxlib.product_type(given),
        "read_seconds": read_seconds,
        "compile_seconds": compile_seconds,
    }


def _cost_of_parts(given: Any, optimized: Any) -> dict[str, float]:
    """The cost analysis of a GPU program, whose executable does not tell one: what is computed by the module as it was given
    (library calls count as nothing in the optimized one), what is moved by the optimized one (its fusions move less)."""
    cost = xla_jaxlib.cost_of(given)
    cost["bytes accessed"] = xla_jaxlib.cost_of(optimized).get("bytes accessed", 0.0)
    cost.pop("optimal_seconds", None)
    return cost


def _header(line: str, name: str) -> int:
    found = re.search(rf"\b{name}=(\d+)", line)
    return int(found[1]) if found else 1


if __name__ == "__main__":
    child.serve(handle)
