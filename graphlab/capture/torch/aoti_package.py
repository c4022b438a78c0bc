"""AOTInductor's models in a ``.pt2`` package: sources, libraries and metadata as a Compiled, nothing unpacked."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from graphlab.capture.archive import Archive
from graphlab.capture.file import File
from graphlab.capture.select import chosen
from graphlab.capture.torch.aoti_wrapper import kernels
from graphlab.capture.torch.pt2_schema import parsed
from graphlab.compilers.results import Absent, Artifact, Compiled, Measured, Metric, Stage
from graphlab.errors import FormatError
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.program import Program, Source

METRICS: Mapping[str, tuple[str, str]] = {
    "kernels": ("kernels", "calls of kernels and of library functions that one run makes"),
    "library_bytes": ("bytes", "the compiled libraries and device code, weights within them included"),
    "source_bytes": ("bytes", "the C++ sources"),
    "constant_bytes": ("bytes", "parameters, buffers and folded constants"),
}
"""Every metric's name → its unit and meaning."""

_MEMBER = re.compile(r"(?:[^/]+/)?data/aotinductor/([^/]+)/(.+)")
_COMPILED = (".so", ".dylib", ".dll", ".pyd", ".cubin", ".spv", ".hsaco", ".fatbin", ".o", ".a")
_SOURCES = (".cpp", ".cu", ".h", ".hpp", ".py")


def packages(archive: Archive) -> tuple[str, ...]:
    """Names of the compiled models of an archive, in order."""
    return tuple(dict.fromkeys(found[1] for name in archive.names if (found := _MEMBER.fullmatch(name))))


def read_package(file: File, archive: Archive, *, select: str | None, models: tuple[str, ...], load: Callable[[str], Program]) -> Compiled:
    """One compiled model.

    Args:
        select: its name, where there are several.
        models: names of the exported programs in the archive; one of the same name is the compile's input.
        load: reads an exported program.

    Raises:
        SelectError: there are several, and ``select`` names none.
        FormatError: its metadata is broken.
    """
    names = packages(archive)
    name = names[chosen(names, select, file=file, what="compiled models")]
    members = _members(archive, name)
    facts = _metadata(archive, members, file)
    artifacts = {each: Artifact(each, archive.size(member), partial(_fetch, archive, member)) for each, member in members.items()}
    stages: list[Stage] = []
    if name in models:
        stages.append(Stage("input", partial(load, name)))
    program = _kernels(file, archive, members)
    metrics: dict[str, Metric] = {
        "library_bytes": _bytes(archive, members, _COMPILED),
        "source_bytes": _bytes(archive, members, _SOURCES),
        "kernels": Absent("the package holds no wrapper source"),
        "constant_bytes": Absent("the package holds no wrapper source"),
    }
    notes: list[FrozenDict[str, Any]] = [FrozenDict(kind="device", text=", ".join(f"{k} {v}" for k, v in facts.items()))] if facts else []
    if program is not None:
        stages.append(Stage("kernels", lambda: program, "inductor"))
        metrics |= _counted(program)
        notes.extend(_kernel_notes(program))
    return Compiled(
        compiler="aotinductor",
        target=_target(facts),
        version="",
        stages=tuple(stages),
        metrics=metrics,
        artifacts=artifacts,
        notes=tuple(notes),
    )


def read_kernels(file: File, archive: Archive, select: str | None) -> Program:
    """The kernels that one compiled model runs, from its wrapper's source.

    Raises:
        SelectError: there are several models, and ``select`` names none.
        FormatError: the package holds no wrapper source.
    """
    names = packages(archive)
    name = names[chosen(names, select, file=file, what="compiled models")]
    program = _kernels(file, archive, _members(archive, name))
    if program is None:
        raise FormatError(
            f"read {file.name}",
            found=f"it holds the compiled model '{name}' alone, without a program or the source of its wrapper",
            do="ask for the compile that it records: its files are listed there",
            where=next(iter(_members(archive, name).values())),
        )
    return program


def _members(archive: Archive, name: str) -> dict[str, str]:
    """The files of one compiled model by their names in its folder."""
    return {found[2]: member for member in archive.names if (found := _MEMBER.fullmatch(member)) and found[1] == name}


def _kernels(file: File, archive: Archive, members: Mapping[str, str]) -> Program | None:
    wrapper = _wrapper(members)
    if wrapper is None:
        return None
    source = Source("torch", "AOTInductor package", producer="AOTInductor", path=file.name)
    return kernels(archive.read(members[wrapper]).decode("utf-8", "replace"), source)


def _counted(program: Program) -> dict[str, Metric]:
    ops = sum(1 for node in program.main.each_node() if node.kind == "op")
    held = [node.value.nbytes for node in program.main.each_node() if node.value is not None]
    known = [size for size in held if size is not None]
    constants: Metric = (
        Measured(sum(known), "bytes", "wrapper source") if len(known) == len(held) else Absent("a constant's type is not known")
    )
    return {"kernels": Measured(ops, "kernels", "wrapper source"), "constant_bytes": constants}


def _kernel_notes(program: Program) -> list[FrozenDict[str, Any]]:
    """One for every kernel that says what it came from, calls counted."""
    calls = Counter(node.op for node in program.main.each_node() if node.kind == "op")
    notes = []
    for node in program.main.each_node():
        if node.kind == "op" and calls[node.op]:
            count, calls[node.op] = calls[node.op], 0
            nodes, aten = (node.meta.get(key, ()) for key in ("source_nodes", "original_aten"))
            text = f"{node.op.removeprefix('inductor.')} from {', '.join(aten)}" if aten else node.op.removeprefix("inductor.")
            notes.append(FrozenDict(kind="kernel", text=text, calls=count, source_nodes=nodes, original_aten=aten))
    return notes


def _wrapper(members: Mapping[str, str]) -> str | None:
    """The member that holds ``run_impl``: named so since torch 2.6, before the only C++ source."""
    named = [each for each in members if each.endswith(".wrapper.cpp")]
    sources = named or [each for each in members if each.endswith(".cpp") and not each.endswith(".kernel.cpp")]
    return min(sources) if sources else None


def _metadata(archive: Archive, members: Mapping[str, str], file: File) -> dict[str, str]:
    facts: dict[str, str] = {}
    for each, member in members.items():
        if not each.endswith("metadata.json"):
            continue
        asked = f"read '{member}' of {file.name}"
        held = parsed(archive.read(member, limit=1 << 20), asked, member)
        if not isinstance(held, dict):
            raise FormatError(asked, found="it is no JSON object", do="fetch or write the file again", where=member)
        facts |= {key: str(value) for key, value in held.items() if isinstance(value, (str, int)) and value != ""}
    return facts


def _target(facts: Mapping[str, str]) -> str:
    device = facts.get("AOTI_DEVICE_KEY", "")
    chip = facts.get("AOTI_COMPUTE_CAPABILITY") or facts.get("AOTI_CPU_ISA", "")
    return f"{device} {chip}".strip()


def _bytes(archive: Archive, members: Mapping[str, str], endings: tuple[str, ...]) -> Measured:
    return Measured(sum(archive.size(member) for each, member in members.items() if each.endswith(endings)), "bytes", "archive")


def _fetch(archive: Archive, member: str) -> bytes:
    held = archive.loader(member)
    return held if isinstance(held, bytes) else held()
