"""Reader of XLA's HLO text: a module dump, a compiler's test input, several modules in one file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from graphlab.capture.collection import no_collection
from graphlab.capture.file import File
from graphlab.capture.xla.hlo_computation import ComputationReader
from graphlab.capture.xla.hlo_lexer import HloText
from graphlab.capture.xla.hlo_metadata import Metadata
from graphlab.capture.xla.hlo_module import Module, read_module
from graphlab.capture.xla.hlo_program import numbered, program_of
from graphlab.errors import FormatError, SelectError
from graphlab.ir.constants import digest
from graphlab.ir.frames import FrameTable
from graphlab.ir.program import Program, Source

READS = "HLO modules as text (.hlo, .txt)"
_SNIFF_BYTES = 1 << 20
_SPLIT = re.compile(r"// -----[ \t\r]*(?:\n|$)")  # the line between two inputs of one file (LLVM's split-input-file)
_HEADER = re.compile(r"HloModule\s+([\w.\-]+)", re.ASCII)
_START = re.compile(
    r"HloModule\s+[\w.\-]+"
    r"|ENTRY\s+%?[\w.\-]+\s*[({]"
    r"|%?[\w.\-]+\s*\((?:[\w.\-]+:\s*(?:\(|[a-z]\w*\[)|\)\s*->)"
    r"|%?[\w.\-]+\s*\{\s*+(?:ROOT\s+)?%?[\w.\-]+\s*=\s*(?:\(|[a-z]\w*\[|[a-z][a-z\d\-]*\()",
    re.ASCII,
)


def matches(target: object) -> bool:
    """Whether it is a file whose text, after comments, starts as an HLO module or computation does."""
    if not isinstance(target, File) or not target.head or b"\0" in target.head:
        return False
    head = HloText(_decoded(target.head), None)
    pos = head.skip(0)
    if pos >= head.end - 200 and target.size > len(target.head):  # long comments: the start lies further on
        head = HloText(_decoded(bytes(target.view()[:_SNIFF_BYTES])), None)
        pos = head.skip(0)
    return _START.match(head.text, pos) is not None


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "replace").removeprefix("\ufeff")


def read(file: File, *, select: str | None = None) -> Program:
    """Read a file of one or more HLO modules; see :func:`parse_hlo`. Raises FormatError where it is not sound."""
    data = file.read()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(
            f"read {file.path} as HLO text",
            found=f"byte {error.start} is no UTF-8",
            do="check that the file is whole",
            where=f"{file.path}:{error.start}",
        ) from error
    return parse_hlo(text, path=file.name, select=select).replace_source(digest=digest(data))


def parse_hlo(text: str, *, path: str | None = None, select: str | None = None) -> Program:
    """Read HLO text. ``native`` is the module's text, as XLA's own parser takes it.

    Of a text with several modules, all are read: the graphs are called ``module/computation``,
    each module is a signature, the first is the entry.

    Args:
        path: the file it came from, for messages.
        select: one module of several, by name or by number from 1; modules of one name are
            called ``name``, ``name#2`` and so on.

    Raises:
        FormatError: the text is not sound (``where`` is ``path:line:column``), or has no such module.
    """
    source = HloText(text.removeprefix("\ufeff"), path)
    parts = _parts(source)
    if select is not None and (len(parts) > 1 or select not in (parts[0].name, "1")):
        parts = [_selected(parts, select, source)]
    with no_collection():
        return _program(source, parts)


def parse_modules(text: str, *, path: str | None = None) -> list[Program]:
    """Read each module of a text as a program of its own. Raises FormatError where one is not sound."""
    source = HloText(text.removeprefix("\ufeff"), path)
    with no_collection():
        return [_program(source, [part]) for part in _parts(source)]


def module_texts(text: str) -> list[str]:
    """The text of each module, as :func:`parse_modules` parts them."""
    source = HloText(text.removeprefix("\ufeff"), None)
    return [source.text[part.start : part.end] for part in _parts(source)]


@dataclass(frozen=True, slots=True)
class _Part:
    """One module's place in the text, and its name made unique."""

    name: str
    start: int
    end: int


def _parts(source: HloText) -> list[_Part]:
    """The modules of a text. Without a second header or a split line there is one."""
    cuts, content = [0], source.skip(0)
    for at, is_header in sorted([*_line_starts(source, "// -----", _SPLIT, False), *_line_starts(source, "HloModule", _HEADER, True)]):
        # A header opens a part unless only comments stand before it in its own.
        if not is_header or content < at:
            cuts.append(at)
            content = source.skip(at) if at >= content else content
    found: list[tuple[str, int, int]] = []
    for start, end in zip(cuts, [*cuts[1:], source.end], strict=True):
        begin = source.until(end).skip(start)
        if begin >= end and (found or end < source.end):
            continue
        header = _HEADER.match(source.text, begin, end)
        found.append((header[1] if header else "module", begin, end))
    names = numbered([name for name, _, _ in found])
    return [_Part(name, begin, end) for name, (_, begin, end) in zip(names, found, strict=True)]


def _line_starts(source: HloText, word: str, pattern: re.Pattern[str], is_header: bool) -> Iterator[tuple[int, bool]]:
    """Where a line starts with ``word`` and fits the pattern; ``str.find`` passes over a big text faster than a pattern does."""
    at = 0 if source.text.startswith(word) else source.text.find("\n" + word) + 1
    while source.text.startswith(word, at):
        if pattern.match(source.text, at):
            yield at, is_header
        found = source.text.find("\n" + word, at)
        if found < 0:
            return
        at = found + 1


def _selected(parts: list[_Part], select: str, source: HloText) -> _Part:
    for part in parts:
        if part.name == select:
            return part
    if select.isdecimal() and len(select) < 10 and 1 <= int(select) <= len(parts):
        return parts[int(select) - 1]
    listed = ", ".join(part.name for part in parts[:20]) + (f" and {len(parts) - 20} more" if len(parts) > 20 else "")
    raise SelectError(
        f"read the module '{select}' of {source.path}",
        found=f"it holds {len(parts)}: {listed}",
        do=f"select a name, or a number from 1 to {len(parts)}",
        names=tuple(part.name for part in parts),
    )


def _program(source: HloText, parts: list[_Part]) -> Program:
    frames = FrameTable()
    modules: list[tuple[str, Module]] = []
    for part in parts:
        prefix = f"{part.name}/" if len(parts) > 1 else ""
        inside = source.until(part.end)
        reader = ComputationReader(inside, Metadata(inside, frames))
        modules.append((part.name, read_module(reader, part.start, prefix.__add__, part.name)))
    path = None if source.path == "<text>" else source.path
    return program_of(
        modules, frames=frames, source=Source("xla", "hlo text", path=path), native=source.text[parts[0].start : parts[0].end]
    )
