"""One HLO module: its header, its frame tables, its computations."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graphlab.capture.xla.hlo_attributes import AttributeReader
from graphlab.capture.xla.hlo_build import Computation
from graphlab.capture.xla.hlo_calls import resolve
from graphlab.capture.xla.hlo_computation import ComputationReader
from graphlab.ir.frozen import FrozenDict

_HEADER = re.compile(r"HloModule\s+", re.ASCII)
_ENTRY = re.compile(r"ENTRY\s+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Module:
    """A module that has been read; ``computations`` by name, in the text's order."""

    name: str
    meta: FrozenDict[str, Any]
    computations: dict[str, Computation]
    entry: Computation


def read_module(reader: ComputationReader, pos: int, key: Callable[[str], str], fallback: str) -> Module:
    """Read the module that starts at ``pos`` and goes on to the end of the reader's source.

    Args:
        key: a computation's name → its graph's name in the Program.
        fallback: the module's name where it has no header.

    Raises:
        FormatError: it is not sound.
    """
    source = reader.source
    reader.metadata.start_module()
    pos = source.skip(pos)
    name, meta, headed = fallback, {}, False
    header = _HEADER.match(source.text, pos, source.end)
    if header is not None:
        headed = True
        name, pos = source.name(header.end(), "the module's name")
        pos += source.at(pos) == ":"
        attributes, _, pos = AttributeReader(source).read(pos)
        meta = dict(attributes.values)
    pos = reader.metadata.read_tables(source, pos)
    computations: dict[str, Computation] = {}
    pos = source.skip(pos)
    while pos < source.end:
        computation, pos = _computation(reader, pos, key, "a computation" if headed or computations else "'HloModule' or a computation")
        if computation.name in computations:
            raise source.wrong(f"a second computation '{computation.name}' in one module", computation.pos)
        if computation.is_entry and any(other.is_entry for other in computations.values()):
            raise source.wrong("a second ENTRY in one module", computation.pos)
        computations[computation.name] = computation
        pos = source.skip(pos)
    if not computations:
        raise source.expected("a computation" if headed else "'HloModule' or a computation", pos)
    resolve(computations, source)
    # XLA takes the last computation where none is marked ENTRY.
    marked = [computation for computation in computations.values() if computation.is_entry]
    entry = marked[0] if marked else list(computations.values())[-1]
    threads = {c.name: c.thread for c in computations.values() if c.thread is not None}
    if threads:
        meta["execution_threads"] = FrozenDict(threads)
    return Module(name, FrozenDict({"module": name, **meta}), computations, entry)


def _computation(reader: ComputationReader, pos: int, key: Callable[[str], str], what: str) -> tuple[Computation, int]:
    source = reader.source
    entry = _ENTRY.match(source.text, pos, source.end)
    if entry is not None:
        pos = entry.end()
    at = pos
    name, pos = source.name(pos, what)
    pos = source.skip(pos)
    if source.at(pos) == "(":
        pos = source.skip(source.sign("->", source.balanced(pos)))
        _, pos = reader.shapes.read(pos)
        pos = source.skip(pos)
    if source.at(pos) != "{":
        raise source.expected(what if entry is None and source.at(pos) != "" else "'{'", at if entry is None else pos)
    computation, pos = reader.read(name, key(name), pos + 1)
    attributes, _, pos = reader.attributes.read(pos)
    computation.pos = at
    computation.is_entry = entry is not None
    thread = attributes.values.get("execution_thread")
    computation.thread = thread if isinstance(thread, str) else None
    return computation, pos
