"""Devices that XLA compiles for, present or not: ``cpu``, ``tpu:v5e``, ``tpu:v5e:2x4``, ``cuda:h100``, ``cuda:h100:8``.

A TPU is described by libtpu itself; its name and topology are enough. A GPU is described here, in the words of XLA's
``GpuTargetConfigProto`` (xla/stream_executor/device_description.proto); the numbers are those of the cards' own
descriptions in xla/backends/gpu/target_config/specs, peaks and memory of NVIDIA's and Google's data sheets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from math import prod

from graphlab.errors import CompileError, MissingExtra


@dataclass(frozen=True, slots=True)
class Target:
    """One kind of device and how many of it.

    Attributes:
        name: as the user wrote it.
        platform: ``cpu``, ``tpu`` or ``cuda``.
        topology: what the platform's plugin calls it: ``v5e:2x4``, ``1x1x8``; empty for the CPU.
        devices: how many devices, in XLA's sense, it has (0: as many as the program asks for).
        config: a GPU's description, a ``GpuTargetConfigProto`` as text.
        memory_bytes: one device's memory; ``None`` for the CPU, whose is the machine's.
        bandwidth: of that memory, bytes a second.
        peak_flops: one device's dense peak, by the type of a matrix product's operands: ``bfloat16``, ``float32``.
        source: where the peaks are from.
    """

    name: str
    platform: str
    topology: str = ""
    devices: int = 0
    config: str = ""
    memory_bytes: int | None = None
    bandwidth: float | None = None
    peak_flops: Mapping[str, float] | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class _Tpu:
    """One chip: https://cloud.google.com/tpu/docs/system-architecture-tpu-vm. ``cores`` are devices in XLA's sense."""

    libtpu_name: str
    smallest: str
    cores: int
    memory_gib: int
    bandwidth: float
    bf16: float


_TPUS = {
    "v2": _Tpu("v2", "1x1", 2, 16, 700e9, 45e12),
    "v3": _Tpu("v3", "1x1", 2, 32, 900e9, 123e12),
    "v4": _Tpu("v4", "1x1x1", 2, 32, 1228e9, 275e12),
    "v5e": _Tpu("v5e", "1x1", 1, 16, 819e9, 197e12),
    "v5p": _Tpu("v5p", "1x1x1", 1, 95, 2765e9, 459e12),
    "v6e": _Tpu("v6e", "1x1", 1, 32, 1640e9, 918e12),
    "v7x": _Tpu("tpu7x", "1x1x1", 2, 192, 7380e9, 2307e12),
}


@dataclass(frozen=True, slots=True)
class _Gpu:
    """One card. ``tensor`` is its dense peak for 16-bit operands; TF32, which float32 products take, has ``tf32``."""

    description: str
    capability: tuple[int, int]
    cores: int
    fpus: int
    clock_ghz: float
    memory: int
    bandwidth: int
    l2: int
    shared: int
    shared_optin: int
    threads: int
    tensor: float
    tf32: float | None
    accelerated: bool = False


_GPUS = {
    "v100": _Gpu("Tesla V100-SXM2-16GB", (7, 0), 80, 64, 1.53, 16935682048, 898048000000, 6291456, 98304, 98304, 2048, 125e12, None),
    "a100": _Gpu("NVIDIA A100-SXM4-80GB", (8, 0), 108, 64, 1.41, 85100068864, 2039040000000, 41943040, 167936, 166912, 2048, 312e12,
                 156e12),
    "a100-40gb": _Gpu("NVIDIA A100-SXM4-40GB", (8, 0), 108, 64, 1.41, 42331013120, 1555200000000, 41943040, 167936, 166912, 2048, 312e12,
                      156e12),
    "a6000": _Gpu("NVIDIA RTX A6000", (8, 6), 84, 128, 1.8, 51041271808, 768096000000, 6291456, 102400, 101376, 1536, 154.8e12, 77.4e12),
    "h100": _Gpu("NVIDIA H100 80GB HBM3", (9, 0), 132, 128, 1.98, 84942979072, 3352320000000, 52428800, 233472, 232448, 2048, 989.4e12,
                 494.7e12, True),
    "h200": _Gpu("NVIDIA H200 141GB HBM3e", (9, 0), 132, 128, 1.98, 151397597184, 4800000000000, 52428800, 233472, 232448, 2048, 989.4e12,
                 494.7e12, True),
    "b200": _Gpu("NVIDIA B200", (10, 0), 148, 128, 1.965, 191514411008, 7672320000000, 132644864, 233472, 232448, 2048, 2250e12, 1125e12,
                 True),
    "gb200": _Gpu("NVIDIA GB200", (10, 0), 152, 128, 2.062, 197897748480, 7928064000000, 135528448, 233472, 232448, 2048, 2500e12, 1250e12,
                  True),
    "rtx-pro-6000": _Gpu("NVIDIA RTX PRO 6000 Blackwell", (12, 0), 188, 128, 2.6, 103079215104, 1792000000000, 134217728, 131072, 101376,
                         1536, 503.8e12, 251.9e12),
}  # fmt: skip

EXTRAS = {"cpu": ("jaxlib", "jax"), "tpu": ("libtpu", "xla-tpu"), "cuda": ("jax_plugins.xla_cuda12", "xla-cuda")}
"""Platform → the module that has its compiler, and the extra that installs it."""


def names() -> tuple[str, ...]:
    """Every target by its shortest name; topologies and numbers of cards come on top."""
    return ("cpu", *(f"tpu:{name}" for name in _TPUS), *(f"cuda:{name}" for name in _GPUS))


def missing(platform: str) -> str | None:
    """The command that installs the platform's compiler; ``None`` where it is here. Imports nothing of it."""
    extras = [EXTRAS[name][1] for name in dict.fromkeys(("cpu", platform)) if not _found(EXTRAS[name][0])]
    return f"pip install 'graphlab[{','.join(extras)}]'" if extras else None


def _found(module: str) -> bool:
    parent = module.partition(".")[0]
    return find_spec(parent) is not None and (parent == module or find_spec(module) is not None)


def require_installed(target: Target, asked: str) -> None:
    """Raises MissingExtra where the target's compiler is not installed."""
    command = missing(target.platform)
    if command is not None:
        raise MissingExtra(asked, found=f"the XLA compiler for {target.platform} is not installed", do=command)


def parse(name: str) -> Target:
    """A target by name.

    Raises:
        CompileError: there is none of that name; the message lists them.
    """
    platform, _, rest = name.lower().partition(":")
    kind, _, size = rest.partition(":")
    if platform == "cpu" and not rest:
        return Target(name, "cpu")
    if platform == "tpu" and kind in _TPUS:
        return _tpu(name, _TPUS[kind], size)
    if platform == "cuda" and kind in _GPUS:
        return _gpu(name, _GPUS[kind], size)
    raise CompileError(
        f"compile for '{name}'",
        found="there is no such target",
        do=f"choose from {', '.join(names())}; a TPU may have a topology (tpu:v5e:2x4), a GPU a number of cards (cuda:h100:8)",
        reason="failed",
    )


def _tpu(name: str, tpu: _Tpu, size: str) -> Target:
    size = size or tpu.smallest
    dims = tpu.smallest.count("x")
    if not re.fullmatch(rf"[1-9]\d{{0,2}}(x[1-9]\d{{0,2}}){{{dims}}}", size):
        form = "x".join("2" * (dims + 1))
        raise CompileError(
            f"compile for '{name}'",
            found=f"'{size}' is no topology of that TPU",
            do=f"write it as {form}, its chips along each axis",
            reason="failed",
        )
    chips = prod(map(int, size.split("x")))
    return Target(
        name, "tpu", f"{tpu.libtpu_name}:{size}", chips * tpu.cores, "",
        tpu.memory_gib * 2**30 // tpu.cores, tpu.bandwidth / tpu.cores, {"bfloat16": tpu.bf16 / tpu.cores}, "Google's data sheet",
    )  # fmt: skip


def _gpu(name: str, gpu: _Gpu, size: str) -> Target:
    if not re.fullmatch(r"[1-9]\d{0,3}|", size):
        raise CompileError(
            f"compile for '{name}'", found=f"'{size}' is no number of cards", do="write for instance cuda:h100:8", reason="failed"
        )
    cards = int(size or 1)
    plain = gpu.cores * gpu.fpus * 2 * gpu.clock_ghz * 1e9  # a multiply-add a lane and clock
    return Target(
        name, "cuda", f"1x1x{cards}", cards, _config(gpu), gpu.memory, gpu.bandwidth,
        {"bfloat16": gpu.tensor, "float32": gpu.tf32 or plain}, "NVIDIA's data sheet",
    )  # fmt: skip


def _config(gpu: _Gpu) -> str:
    major, minor = gpu.capability
    extension = "ACCELERATED_FEATURES" if gpu.accelerated else "NONE"
    return f"""gpu_device_info {{
  threads_per_block_limit: 1024 threads_per_warp: 32 threads_per_core_limit: {gpu.threads}
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  thread_dim_limit_x: 1024 thread_dim_limit_y: 1024 thread_dim_limit_z: 64
  shared_memory_per_block: 49152 shared_memory_per_core: {gpu.shared} shared_memory_per_block_optin: {gpu.shared_optin}
  core_count: {gpu.cores} fpus_per_core: {gpu.fpus} clock_rate_ghz: {gpu.clock_ghz}
  memory_bandwidth: {gpu.bandwidth} l2_cache_size: {gpu.l2} device_memory_size: {gpu.memory}
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  cuda_compute_capability {{ major: {major} minor: {minor} feature_extension: {extension} }}
  runtime_version: "12.8.0" driver_version: "13.0.0" compile_time_toolkit_version: "12.8.0" dnn_version: "9.10.0"
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 10 patch: 0 }}
device_description_str: "{gpu.description}"
"""
