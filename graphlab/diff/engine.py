"""The diff engine: align, write the edit script, prove it."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice

from graphlab.diff.align import Alignment
from graphlab.diff.alignment import align, empty
from graphlab.diff.apply import apply
from graphlab.diff.changes import GraphDiff
from graphlab.diff.check import differences
from graphlab.diff.script import edit_script
from graphlab.errors import DiffError
from graphlab.ir.program import NodeRef, Program


def diff_programs(a: Program, b: Program, *, names: tuple[str, str] | None = None) -> GraphDiff:
    """What changed from ``a`` to ``b``; the script has been applied to ``a`` and the outcome compared with ``b``.

    Args:
        names: what to call the two; without it each one's file, else its entry's name.

    Raises:
        DiffError: the patched program is not ``b``. That is a defect of this engine.
    """
    names = names or (a.source.path or a.entry, b.source.path or b.entry)
    collecting = gc.isenabled()
    gc.disable()  # no cycles are made, and each full collection would walk both programs
    try:
        return _proved(a, b, align(a, b), names)
    finally:
        if collecting:
            gc.enable()


def from_matches(a: Program, b: Program, matches: Iterable[tuple[NodeRef, NodeRef, float, str]], *, names: tuple[str, str]) -> GraphDiff:
    """The diff that given matches stand for: (node of A, node of B, confidence, reason).

    Graphs correspond where their output nodes do.

    Raises:
        DiffError: the patched program is not ``b``.
    """
    found = empty(a, b)
    one, two = found.tables
    index = [{table.ref(i): i for i in range(len(table))} for table in found.tables]
    pairs = [(index[0][x], index[1][y], confidence, reason) for x, y, confidence, reason in matches]
    for i, j, confidence, reason in pairs:
        found.accept(i, j, confidence, reason)
        if one.data[i]["kind"] == two.data[j]["kind"] == "output":
            found.graphs[one.where[i]], found.back[two.where[j]] = two.where[j], one.where[i]
    return _proved(a, b, found, names)


def composed(first: GraphDiff, second: GraphDiff) -> GraphDiff:
    """Two diffs, the second of which begins where the first ends, as one."""
    if first.b is not second.a:
        raise DiffError("join two diffs", found="the second does not begin with the program the first ends with", do="diff the same object")
    onward = {match.a: match for match in second.matches}
    matches = [
        (m.a, onward[m.b].b, min(m.confidence, onward[m.b].confidence), f"{m.reason}; then {onward[m.b].reason}")
        for m in first.matches
        if m.b in onward
    ]
    return from_matches(first.a, second.b, matches, names=(first.names[0], second.names[1]))


def _proved(a: Program, b: Program, found: Alignment, names: tuple[str, str]) -> GraphDiff:
    diff = replace(edit_script(a, b, found), names=names)
    breaches = list(islice(differences(apply(a, diff), b, diff.placed, diff.regions), 3))
    if breaches:
        raise DiffError(
            f"compare '{names[0]}' with '{names[1]}'",
            found=f"applying the diff does not give the second program: {'; '.join(breaches)}",
            do="this is a defect of graphlab's diff, not of your files; please report it with both of them",
        )
    return diff
