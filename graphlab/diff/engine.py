"""The diff engine: align, write the edit script, prove it. The one function that another engine would replace."""

from __future__ import annotations

import gc
from dataclasses import replace
from itertools import islice

from graphlab.diff.alignment import align
from graphlab.diff.apply import apply
from graphlab.diff.changes import GraphDiff
from graphlab.diff.check import differences
from graphlab.diff.script import edit_script
from graphlab.errors import DiffError
from graphlab.ir.program import Program


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
        diff = replace(edit_script(a, b, align(a, b)), names=names)
        breaches = list(islice(differences(apply(a, diff), b, diff.placed, diff.regions), 3))
    finally:
        if collecting:
            gc.enable()
    if breaches:
        raise DiffError(
            f"compare '{names[0]}' with '{names[1]}'",
            found=f"applying the diff does not give the second program: {'; '.join(breaches)}",
            do="this is a defect of graphlab's diff, not of your files; please report it with both of them",
        )
    return diff
