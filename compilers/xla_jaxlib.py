"""jaxlib's unpublished interface to XLA, all of it that graphlab compiles with. Imported in a child process only.

Seen working in jaxlib 0.10.2 (``tests/compilers/test_xla_jaxlib.py`` names each call). A version
in which one is gone gives a CompileError that says which.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from graphlab.errors import CompileError

VERSION_SEEN = "0.10.2"

# module -> names in it that are used here
NEEDED: Mapping[str, tuple[str, ...]] = {
    "jaxlib._jax": (
        "mlir.hlo_to_stablehlo",
        "mlir.mlir_module_to_xla_computation",
        "hlo_module_cost_analysis",
        "JaxRuntimeError",
    ),
    "jaxlib._hlo": ("hlo_module_from_text", "HloModule.from_serialized_hlo_module_proto", "HloModule.computations"),
    "jaxlib.xla_client": ("make_cpu_client", "CompileOptions", "DeviceList", "DeviceAssignment.create"),
}

FREE_OPCODES = frozenset(
    ("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "add-dependency", "opt-barrier",
     "partition-id", "replica-id")
)  # fmt: skip
"""Instructions that only name, group or order values: no kernel runs for them."""
CONTROL_OPCODES = frozenset(("while", "conditional", "call", "async-start", "async-update", "async-done"))
"""Instructions that run other computations and do no work of their own."""
_SPELT: dict[Any, str] = {}
_CALLEES = re.compile(
    r"(?:body|condition|to_apply|calls|true_computation|false_computation)=%?([\w.-]+)|(?:branch_computations|called_computations|calls)=\{([^}]*)\}"
)


def version() -> str:
    """``jaxlib 0.10.2``, without importing it."""
    from importlib.metadata import version

    return f"jaxlib {version('jaxlib')}"


def require() -> tuple[Any, Any, Any]:
    """The modules of ``NEEDED``, in order.

    Raises:
        CompileError: this jaxlib lacks a name.
    """
    modules = []
    for name, needed in NEEDED.items():
        try:
            module = import_module(name)
            for path in needed:
                value = module
                for part in path.split("."):
                    value = getattr(value, part)
        except (ImportError, AttributeError) as error:
            raise CompileError(
                "compile with XLA",
                found=f"{version()} lacks a call that graphlab uses: {error}",
                do=f"install jaxlib {VERSION_SEEN}, or a newer graphlab",
                reason="failed",
            ) from error
        modules.append(module)
    return modules[0], modules[1], modules[2]


def hlo_from_text(text: str) -> Any:
    """HLO text → ``HloModule``, by XLA's parser. Raises what :func:`refusals` catches."""
    _, hlo, _ = require()
    return hlo.hlo_module_from_text(text)


def hlo_from_proto(data: bytes) -> Any:
    """A serialized ``HloModuleProto`` → ``HloModule``."""
    _, hlo, _ = require()
    return hlo.HloModule.from_serialized_hlo_module_proto(data)


def hlo_from_stablehlo(module: str | bytes) -> Any:
    """StableHLO, as text or bytecode → ``HloModule``."""
    jax, _, _ = require()
    return jax.mlir.mlir_module_to_xla_computation(module, use_tuple_args=False, return_tuple=False).as_hlo_module()


def stablehlo_from_bytecode(bytecode: bytes) -> str | bytes:
    """StableHLO bytecode as XLA's calls take it: a portable artifact (VHLO) as text, other bytecode as it is."""
    from graphlab.capture.xla.mlir import from_portable

    return from_portable(bytecode) if b"StableHLO_v" in bytecode[:64] else bytecode


def stablehlo_from_hlo(module: Any) -> bytes:
    """``HloModule`` → StableHLO bytecode, the only form the client compiles."""
    jax, _, _ = require()
    bytecode: bytes = jax.mlir.hlo_to_stablehlo(module.as_serialized_hlo_module_proto())
    return bytecode


def refusals() -> tuple[type[Exception], ...]:
    """What XLA raises when it will not have a program: its own status error, and ValueError from the parsers."""
    jax, _, _ = require()
    return (jax.JaxRuntimeError, ValueError)


def compile_for_cpu(module: str | bytes, *, options: Mapping[str, str], replicas: int = 1, partitions: int = 1) -> Any:
    """Compile a StableHLO module for this machine's CPU; returns jaxlib's LoadedExecutable.

    Args:
        options: XLA debug options by name, ``xla_dump_to`` …
        replicas: with ``partitions``: the module is compiled for replicas · partitions virtual devices.
    """
    import numpy as np

    _, _, xc = require()
    devices = replicas * partitions
    client = xc.make_cpu_client(num_devices=devices)
    text = module if isinstance(module, str) else ""
    if b"lapack_" in (module if isinstance(module, bytes) else b"") or "lapack_" in text:
        _register_lapack(xc)
    compile_options = _options(xc, module, options, replicas, partitions)
    compile_options.device_assignment = xc.DeviceAssignment.create(np.arange(devices).reshape(replicas, partitions))
    return client.compile_and_load(module, xc.DeviceList(tuple(client.local_devices()[:devices])), compile_options)


def absent_devices(platform: str, topology: str, config: str) -> Sequence[Any]:
    """The devices of a TPU or GPU topology that need not be here; they compile and run nothing.

    Args:
        platform: ``tpu`` or ``cuda``.
        topology: ``v5e:2x4`` for a TPU, ``1x1x8`` for GPUs.
        config: a GPU's ``GpuTargetConfigProto`` as text.
    """
    from jax.experimental import topologies

    if platform == "tpu":
        devices = topologies.get_topology_desc(platform="tpu", topology_name=topology).devices
    else:
        devices = topologies.get_topology_desc(platform="cuda", topology_name="", target_config=config, topology=topology).devices
    return list(devices)


def compile_for_absent(
    module: str | bytes, devices: Sequence[Any], *, options: Mapping[str, Any], replicas: int = 1, partitions: int = 1
) -> Any:
    """Compile a StableHLO module for devices of :func:`absent_devices`; returns jaxlib's Executable.

    Raises:
        CompileError: the module wants more devices than there are.
    """
    import numpy as np

    from graphlab.capture.xla.mlir import parse_module

    _, _, xc = require()
    wanted = replicas * partitions
    if wanted > len(devices):
        raise CompileError(
            "compile with XLA",
            found=f"the module is made for {wanted} devices, and the target has {len(devices)}",
            do="choose a larger topology (tpu:v5e:2x4) or more cards (cuda:h100:8)",
            reason="refused",
        )
    compile_options = _options(xc, module, options, replicas, partitions)
    # Logical numbers: which of the topology's devices they are says the list.
    compile_options.device_assignment = xc.DeviceAssignment.create(np.arange(wanted).reshape(replicas, partitions))
    return devices[0].client.compile(parse_module(module), xc.DeviceList(tuple(devices[:wanted])), compile_options)


def cost_of(module: Any) -> dict[str, float]:
    """XLA's generic cost analysis of an ``HloModule``, for a platform whose executables do not tell their own."""
    jax, _, xc = require()
    return dict(jax.hlo_module_cost_analysis(xc.make_cpu_client(), module))


def _options(xc: Any, module: str | bytes, options: Mapping[str, Any], replicas: int, partitions: int) -> Any:
    compile_options = xc.CompileOptions()
    compile_options.num_replicas = replicas
    compile_options.num_partitions = partitions
    compile_options.env_option_overrides = list(options.items())
    build = compile_options.executable_build_options
    build.num_replicas = replicas
    build.num_partitions = partitions
    build.use_spmd_partitioning = partitions > 1
    build.use_shardy_partitioner = "sdy." in module if isinstance(module, str) else b"sdy" in module
    return compile_options


def _register_lapack(xc: Any) -> None:
    from jaxlib import lapack

    for platform, targets in lapack.registrations().items():
        for name, value, api_version in targets:
            xc.register_custom_call_target(name, value, platform=platform, api_version=api_version)


def count(module: Any) -> dict[str, Any]:
    """What an ``HloModule`` is made of, by XLA's own objects.

    Returns:
        ``instructions``: opcode → how many, in all computations. ``executed``: opcode → how many that
        run as steps of their own: those of the entry and of what control flow and calls run, without
        the bodies of fusions and the functions of reductions, sorts and the like.
        ``fusions``: kind → executed fusions. ``custom_calls``: target → executed custom calls.
    """
    computations = {c.name: list(c.instructions()) for c in module.computations()}
    entry = re.search(r"^ENTRY %?([\w.-]+)", module.to_string(), re.MULTILINE)
    assert entry is not None, "XLA's printer marks the entry"
    instructions: Counter[str] = Counter()
    for body in computations.values():
        instructions.update(_spelt(i) for i in body)
    executed: Counter[str] = Counter()
    fusions: Counter[str] = Counter()
    targets: Counter[str] = Counter()
    todo, seen = [entry[1]], {entry[1]}
    while todo:
        for instruction in computations[todo.pop()]:
            opcode = _spelt(instruction)
            executed[opcode] += 1
            if opcode == "fusion":
                fusions[_attribute(instruction, r"kind=k(\w+)")] += 1
            elif opcode == "custom-call":
                targets[_attribute(instruction, r'custom_call_target="([^"]*)"')] += 1
            elif opcode in CONTROL_OPCODES:
                for one, several in _CALLEES.findall(instruction.to_string()):
                    for name in (one, *re.split(r"[\s,%]+", several)):
                        if name and name not in seen and name in computations:
                            seen.add(name)
                            todo.append(name)
    return {"instructions": dict(instructions), "executed": dict(executed), "fusions": dict(fusions), "custom_calls": dict(targets)}


def product_type(module: Any) -> str:
    """The element type that most matrix products and convolutions take: ``bfloat16`` for any of 16 bits; empty without any."""
    found: Counter[str] = Counter()
    for computation in module.computations():
        types: dict[str, str] = {}
        for instruction in computation.instructions():
            text = instruction.to_string()
            types[instruction.name] = text.partition(" = ")[2].partition("[")[0]
            if _spelt(instruction) in ("dot", "convolution"):
                found.update(types.get(operand.name, "") for operand in instruction.operands()[:1])
    common = found.most_common(1)
    return {"f16": "bfloat16", "bf16": "bfloat16"}.get(common[0][0], "float32") if common else ""


def _spelt(instruction: Any) -> str:
    """The opcode as HLO text spells it; jaxlib's enum has C++ names, which do not follow from it."""
    opcode = instruction.opcode
    name = _SPELT.get(opcode)
    if name is None:
        found = re.search(r"\s([a-z][\w-]*)\(", instruction.to_string().partition(" = ")[2])
        assert found is not None, "HLO text is: name = type opcode(operands)"
        name = _SPELT[opcode] = found[1]
    return name


def _attribute(instruction: Any, pattern: str) -> str:
    found = re.search(pattern, instruction.to_string())
    return found[1] if found else "unknown"
