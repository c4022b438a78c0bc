"""Reader of HLO modules as protobuf messages: HloProto, HloModuleProto, snapshots, compiled programs; binary and text."""

from __future__ import annotations

from typing import Any

from graphlab.capture.collection import no_collection
from graphlab.capture.file import File
from graphlab.capture.select import chosen
from graphlab.capture.xla.hlo_messages import Held, binary_message, held_in, text_message
from graphlab.capture.xla.hlo_module import Module
from graphlab.capture.xla.hlo_program import numbered, program_of
from graphlab.capture.xla.hlo_proto_module import ModuleReader
from graphlab.capture.xla.hlo_proto_shapes import shape_text
from graphlab.ir.constants import digest
from graphlab.ir.frames import FrameTable
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.program import Program, Source

READS = "XLA HLO modules as messages (HloProto, HloModuleProto, snapshots and compiled programs; .pb, .pbtxt)"

_DIGESTED = 4 << 20  # larger files are not read whole for the sake of their digest: what is large in them stays where it is


def matches(target: object) -> bool:
    """Whether it is a file in which an HLO module lies as a message, in its binary or its text form."""
    return isinstance(target, File) and bool(target.head) and (text_message(target) or binary_message(target)) is not None


def read(file: File, *, select: str | None = None) -> Program:
    """Read a file of one or more HLO modules.

    Equal to what the text reader makes of the module that XLA prints for it, but for what a message holds
    beyond the text: values that the text elides, buffer sizes, a snapshot's arguments (in ``meta``).

    Args:
        select: one module of several, by name or by number from 1.

    Raises:
        FormatError: the file is not sound.
        SelectError: it has no such module.
    """
    found = held_in(file)
    names = numbered([held.message.name or "module" for held in found])
    if select is not None:
        index = chosen(names, select, file=file, what="modules")
        found, names = [found[index]], [names[index]]
    native = found[0].data or found[0].message.SerializeToString()  # before the message is taken apart
    with no_collection():
        frames = FrameTable()
        modules = [(name, _module(held, name, file, frames, several=len(found) > 1)) for name, held in zip(names, found, strict=True)]
        return program_of(
            modules,
            frames=frames,
            source=Source(
                "xla",
                "hlo proto",
                producer=_producer(found[0]),
                path=file.name,
                digest=digest(file.read()) if file.size <= _DIGESTED else None,
            ),
            native=native,
        )


def _module(held: Held, name: str, file: File, frames: FrameTable, *, several: bool) -> Module:
    prefix = f"{name}/" if several else ""
    reader = ModuleReader(held.message, held.parsed, file.name, frames)
    module = reader.read(prefix.__add__, held.config)
    more = _facts(held)
    if not more:
        return module
    return Module(module.name, FrozenDict({**module.meta, **more}), module.computations, module.entry)


def _producer(held: Held) -> str:
    return f"PJRT {held.facts['pjrt_client_name']}" if "pjrt_client_name" in held.facts else ""


def _facts(held: Held) -> dict[str, Any]:
    """What the file says around the module."""
    found: dict[str, Any] = {}
    if held.kind not in ("HloModuleProto", "HloProto"):
        found["message"] = held.kind
    if held.buffers is not None:
        found["buffer_assignment"] = buffer_sizes(held.buffers)
    for name in ("execution_platform", "fingerprint"):
        if name in held.facts:
            found[name] = held.facts[name]
    if "arguments" in held.facts:
        found["arguments"] = tuple(shape_text(literal.shape) for literal in held.facts["arguments"])
    if "result" in held.facts:
        found["result"] = shape_text(held.facts["result"].shape)
    if "partitions" in held.facts:
        found["partitions"] = tuple(tuple(shape_text(one.shape) for one in part.arguments) for part in held.facts["partitions"])
    return found


SIZES = (
    "allocations", "bytes", "parameter_bytes", "constant_bytes", "output_bytes", "thread_local_bytes", "temporary_bytes",
    "other_memory_bytes",
)  # fmt: skip
"""What :func:`buffer_sizes` tells; the last are those of other memories than the main one (a TPU's VMEM), whatever they are for."""


def buffer_sizes(buffers: Any) -> FrozenDict[str, int]:
    """A BufferAssignmentProto's allocations in numbers: how many, and bytes by what they are for."""
    sizes = dict.fromkeys(SIZES, 0)
    for one in buffers.buffer_allocations:
        sizes["allocations"] += 1
        sizes["bytes"] += one.size
        if one.color:
            sizes["other_memory_bytes"] += one.size
        elif one.is_entry_computation_parameter:
            sizes["parameter_bytes"] += one.size
        elif one.is_constant:
            sizes["constant_bytes"] += one.size
        elif one.maybe_live_out:
            sizes["output_bytes"] += one.size
        elif one.is_thread_local:
            sizes["thread_local_bytes"] += one.size
        else:
            sizes["temporary_bytes"] += one.size
    return FrozenDict(sizes)
