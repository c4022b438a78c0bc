"""Reader of MLIR text: StableHLO, MHLO, CHLO, VHLO, Shardy and what travels with them; one module, or several parted by ``// -----``."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from graphlab.capture.collection import no_collection
from graphlab.capture.file import File
from graphlab.capture.mlir.build import build
from graphlab.capture.mlir.forms import FORMS
from graphlab.capture.mlir.lexer import BLANK
from graphlab.capture.mlir.module import Module
from graphlab.capture.mlir.native import MlirNative
from graphlab.capture.mlir.text import ModuleReader
from graphlab.capture.mlir.vhlo import to_stablehlo
from graphlab.capture.select import chosen
from graphlab.capture.xla.hlo_program import numbered
from graphlab.errors import FormatError
from graphlab.ir.constants import digest
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.program import Program, Source

READS = "MLIR text (StableHLO, MHLO, CHLO, VHLO, Shardy)"

_SNIFF_BYTES = 1 << 20
_DIGEST_BYTES = 64 << 20
_SPLIT = re.compile(r"^[ \t]*// -----[^\n]*\n?", re.MULTILINE)  # the line between two inputs of one file (LLVM's split-input-file)
_REFUSED = "expected-error"  # LLVM's mark on a part that its parser or verifier is to refuse
_START = re.compile(
    r"(?:builtin\.)?module\b\s*(?:@|attributes\b|\{)"
    r"|(?:[a-z_]\w*\.)?func\w*\s+(?:(?:private|public|nested|internal)\s+)?@"
    r"|[a-z_]\w*\.[a-z_][\w.]*\s+(?:(?:private|public|nested)\s+)?@"
    r'|"[a-z_]\w*\.[\w.]+"\s*\('
    r"|%[\w$.-]+(?::\d+)?(?:\s*,\s*%[\w$.-]+(?::\d+)?)*\s*=\s*\"?[a-z_]\w*\.[\w.]+"
    r'|#[A-Za-z_][\w$.-]*\s*=\s*(?:loc\s*\(|#|affine_map\b|dense\b|\{|"|\d|@)'
    r"|![A-Za-z_][\w$.-]*\s*=\s*[!(a-z]"
    r"|\{-#",
    re.ASCII,
)


def matches(target: object) -> bool:
    """Whether it is a file whose text, after comments, starts as an MLIR module, operation or alias does."""
    if not isinstance(target, File) or not target.head or b"\0" in target.head:
        return False
    head = target.head.decode("latin-1")
    at = _after_blanks(head)
    if at >= len(head) - 200 and target.size > len(target.head):  # long comments: the start lies further on
        head = bytes(target.view()[:_SNIFF_BYTES]).decode("latin-1")
        at = _after_blanks(head)
    return _START.match(head, at) is not None


def _after_blanks(text: str) -> int:
    start = 3 if text.startswith("\xef\xbb\xbf") else 0
    match = BLANK.match(text, start)
    return start if match is None else match.end()


def read(file: File, *, select: str | None = None) -> Program:
    """Read a file of one or more modules; see :func:`parse_mlir`. Raises FormatError where it is not sound."""
    data = file.read()
    return _program(
        data.decode("latin-1"), file.name, select, str(file.path), file,
        digest(data) if len(data) < _DIGEST_BYTES else None,
    )  # fmt: skip


def parse_mlir(text: str, *, path: str | None = None, select: str | None = None) -> Program:
    """Read MLIR text. ``native`` gives the module's text again.

    Of a text with several modules, all are read: the graphs are called ``module/function``, the first module's entry is the entry.
    A part that LLVM's tests mark as one to be refused, and whose syntax is in fact broken, is left out and noted in ``meta``.

    Args:
        path: the file it came from, for messages.
        select: one module of several, by name or by number from 1.

    Raises:
        FormatError: the text is not sound (``where`` is ``path:line:column``).
        SelectError: it has no such module.
    """
    return _program(text.encode("utf-8", "surrogateescape").decode("latin-1"), path or "<text>", select, path, None, None)


def parse_modules(text: str, path: str | None = None) -> list[Module]:
    """The modules of a text as plain objects. Raises FormatError where one is not sound."""
    return [part.module for part in _parts(text.encode("utf-8").decode("latin-1"), path or "<text>", None)[0]]


@dataclass(frozen=True, slots=True)
class _Part:
    """A module that has been read, and its place in the text."""

    module: Module
    start: int
    end: int
    reader: ModuleReader


def _parts(text: str, path: str, slice_of: Callable[[int, int], Callable[[], bytes]] | None) -> tuple[list[_Part], list[FormatError]]:
    """The modules of a text, and the errors of parts that are meant to be refused."""
    begin = 3 if text.startswith("\xef\xbb\xbf") else 0
    cuts = [(begin, begin), *((m.start(), m.end()) for m in _SPLIT.finditer(text, begin))]
    found: list[_Part] = []
    refused: list[FormatError] = []
    for i, (_, start) in enumerate(cuts):
        end = cuts[i + 1][0] if i + 1 < len(cuts) else len(text)
        blank = BLANK.match(text, start, end)
        if blank is not None and blank.end() >= end and len(cuts) > 1:
            continue
        reader = ModuleReader(text, path, start, end, forms=FORMS, slice_of=slice_of)
        try:
            module = reader.module()
        except FormatError as error:
            if len(cuts) == 1 or text.find(_REFUSED, start, end) < 0:
                raise
            refused.append(error)
            continue
        module.where = start
        found.append(_Part(module, start, end, reader))
    if not found and refused:
        raise refused[0]
    return found, refused


def _program(text: str, path: str, select: str | None, told: str | None, file: File | None, checksum: str | None) -> Program:
    with no_collection():
        parts, refused = _parts(text, path, None if file is None else lambda at, length: _loader(file, at, length))
        labels = numbered([part.module.name or "module" for part in parts])
        if select is not None and not (len(parts) == 1 and select in (labels[0], "1")):
            parts = [parts[chosen(labels, select, file=file or File.of(path, b""), what="modules")]]
        if not any(part.module.body or part.module.name is not None or part.module.explicit for part in parts):
            raise FormatError(f"read {path} as MLIR", found="it holds no operation", do="check that the text is whole", where=f"{path}:1:1")
        modules = [part.module for part in parts]
        for module in modules:
            to_stablehlo(module)
        where = parts[0].reader.where if parts else str
        only = parts[0] if len(parts) == 1 else None
        native = None
        if only is not None:
            native = MlirNative(
                text[only.start : only.end].encode("latin-1") if file is None else _loader(file, only.start, only.end - only.start)
            )
        program = build(modules, source=Source("xla", "mlir text", path=told, digest=checksum), native=native, where=where, file=path)
    if refused:
        notes = tuple(f"{error.where}: {error.found}" for error in refused)
        program = replace(program, meta=FrozenDict({**program.meta, "refused": notes}))
    return program


def _loader(file: File, at: int, length: int) -> Callable[[], bytes]:
    load = file.slice(at, length)
    return load if callable(load) else lambda: load
