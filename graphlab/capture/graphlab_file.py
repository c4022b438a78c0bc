"""Reader of graphlab's own ``.graphlab`` files."""

from __future__ import annotations

from dataclasses import replace

from graphlab.capture.file import File
from graphlab.ir import format as graphlab_format
from graphlab.ir.program import Program


def matches(target: object) -> bool:
    return isinstance(target, File) and target.head.startswith(graphlab_format.MAGIC)


def read(file: File, *, select: str | None = None) -> Program:
    """The program as it was saved; ``source`` is the original's."""
    program = graphlab_format.loads(file.read(), name=str(file.path))
    return program if select is None else replace(program, entry=select)
