"""Reader of torch.export's ``.pt2`` archives, current and older, and of AOTInductor packages; no torch, nothing unpacked.

Layouts, by the program that wrote them: since torch 2.8 ``<root>/archive_format`` (``pt2``), ``models/<name>.json``, weights
one file each beside ``data/weights/<name>_weights_config.json``; in 2.7 weights in ``data/weights/<name>.pt``; before,
``serialized_exported_program.json`` and ``serialized_state_dict.pt`` at the top. Sources: ``torch/export/pt2_archive`` of torch
2.13 and ``torch/export/__init__.py`` of 2.1 to 2.7.
"""

from __future__ import annotations

import re
from typing import Any

from graphlab.capture.archive import Archive
from graphlab.capture.file import File
from graphlab.capture.select import chosen
from graphlab.capture.torch.aoti_package import packages, read_kernels, read_package
from graphlab.capture.torch.pt2_graph import Payloads, program
from graphlab.capture.torch.pt2_payloads import ArchivePayloads, json_limit
from graphlab.capture.torch.pt2_schema import Decoder, parsed
from graphlab.compilers.results import Compiled
from graphlab.errors import FormatError, GraphlabError, missing_extra
from graphlab.ir.constants import digest
from graphlab.ir.program import Program, Source

READS = "torch.export archives and AOTInductor packages (.pt2)"

_DIGESTED = 64 << 20
_MODEL = re.compile(r"(?:[^/]+/)?models/(.+)\.json")
_OLD = "serialized_exported_program.json"


def matches(target: object) -> bool:
    """Whether it is a zip archive with an exported program or an AOTInductor model in it."""
    if not isinstance(target, File) or not target.head.startswith(b"PK\x03\x04"):
        return False
    try:
        archive = Archive.open(target)
    except GraphlabError:
        return False
    return is_exported(archive)


def is_exported(archive: Archive) -> bool:
    """Whether an exported program or an AOTInductor model is in it."""
    return _OLD in archive or _format(archive) == "pt2" or bool(packages(archive))


def read(file: File, *, select: str | None = None) -> Program:
    """One exported program of the archive; of a package of compiled code alone, the kernels that it runs.

    Args:
        select: its name, where there are several (``package_pt2`` takes any number).

    Raises:
        SelectError: there are several, and ``select`` names none of them.
        FormatError: the archive or its JSON is not sound, or it holds binaries alone.
    """
    archive = Archive.open(file)
    names = models(archive)
    if not names:
        if packages(archive):
            return read_kernels(file, archive, select)
        raise FormatError(f"read {file.name}", found="it holds no exported program", do="fetch or write the file again", where="models/")
    name = names[chosen(names, select, file=file, what="exported programs")]
    return read_model(file, archive, name)


def read_compiled(file: File, *, select: str | None = None) -> Compiled | None:
    """One compiled model of an AOTInductor package: its exported program, where the package has it, and its kernels as stages.

    ``None`` where the archive holds exported programs alone.

    Raises:
        SelectError: there are several, and ``select`` names none of them.
        FormatError: the archive is not sound.
    """
    archive = Archive.open(file)
    if not packages(archive):
        return None
    return read_package(file, archive, select=select, models=models(archive), load=lambda name: read_model(file, archive, name))


def read_model(file: File, archive: Archive, name: str) -> Program:
    """The exported program of that name; see :func:`models`."""
    member = next(each for each in archive.names if each == _OLD or ((found := _MODEL.fullmatch(each)) and found[1] == name))
    asked = f"read {file.name}" if member == _OLD else f"read '{member}' of {file.name}"
    payloads: Payloads = ArchivePayloads(archive, member.removesuffix(f"models/{name}.json") if member != _OLD else "", name)
    known = digest(bytes(file.view())) if file.size < _DIGESTED else None
    source = Source("torch", "torch.export", path=file.name, digest=known)
    return program(load_json(archive, member, asked), Decoder(asked), payloads, source)


def models(archive: Archive) -> tuple[str, ...]:
    """Names of the exported programs; the older layout holds one, ``model``."""
    if _OLD in archive:
        return ("model",)
    return tuple(found[1] for name in archive.names if (found := _MODEL.fullmatch(name)))


def read_trusted(file: File, *, select: str | None = None) -> Program:
    """The program as ``torch.export.load`` reads it: its pickles are run. ``native`` is the ExportedProgram.

    Raises:
        FormatError, SelectError: see :func:`read`, or torch refuses the file.
        MissingExtra: torch is not installed.
    """
    names = models(Archive.open(file))
    name = names[chosen(names, select, file=file, what="exported programs")] if names else "model"
    try:
        import torch.export  # noqa: F401 (asks whether it is there)
    except ModuleNotFoundError as error:
        raise missing_extra(f"read {file.name} by torch", "torch", "torch") from error
    from graphlab.capture.torch.trusted import load_exported

    return load_exported(file, name)


def load_json(archive: Archive, member: str, asked: str) -> Any:
    """A member's JSON.

    Raises:
        FormatError: it is no JSON, nests too deep for Python's parser, or unpacks to far more than the archive's size.
    """
    data = archive.read(member, limit=json_limit(archive))
    return parsed(data, asked, member)


def _format(archive: Archive) -> str:
    """What ``archive_format`` says, at the top or in the archive's one folder."""
    for name in archive.names:
        if name == "archive_format" or (name.count("/") == 1 and name.endswith("/archive_format")):
            if archive.size(name) > 64:
                return ""
            try:
                return archive.read(name).decode("ascii", "replace").strip()
            except FormatError:
                return ""
    return ""
