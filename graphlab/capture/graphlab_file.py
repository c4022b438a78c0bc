"""Reader of graphlab's own ``.graphlab`` files."""

from __future__ import annotations

from dataclasses import replace

from graphlab.capture.file import File
from graphlab.capture.select import chosen
from graphlab.ir import format as graphlab_format
from graphlab.ir.program import Program

READS = "graphlab's own files (.graphlab)"


def matches(target: object) -> bool:
    return isinstance(target, File) and target.head.startswith(graphlab_format.MAGIC)


def read(file: File, *, select: str | None = None) -> Program:
    """The program as it was saved; ``source`` is the original's."""
    program = graphlab_format.loads(file.read(), name=file.name)
    if select is None:
        return program
    graphs = list(program.graphs)
    return replace(program, entry=graphs[chosen(graphs, select, file=file, what="graphs")])
