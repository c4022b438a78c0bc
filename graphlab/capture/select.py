"""Chooses one of the several programs that a file or directory holds."""

from __future__ import annotations

from collections.abc import Sequence

from graphlab.capture.file import File
from graphlab.errors import SelectError

LISTED = 20
"""Names that the error message lists; ``SelectError.names`` has them all."""


def chosen(names: Sequence[str], select: str | None, *, file: File, what: str) -> int:
    """The index of the one that was selected, by its name or its number from 1; a name goes first.

    Args:
        names: all there are.
        select: what the user said; ``None`` is enough where there is but one.
        what: what they are, in the plural: ``modules``, ``versions``.

    Raises:
        SelectError: several are there and none was selected, or none is of that name.
    """
    if select is None and len(names) == 1:
        return 0
    if select in names:
        return names.index(select)
    if select is not None and select.isascii() and select.isdigit() and len(select) < 10 and 1 <= int(select) <= len(names):
        return int(select) - 1
    listed = ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED:,} more" if len(names) > LISTED else "")
    raise SelectError(
        f"read {file.name}" if select is None else f"read '{select}' of {file.name}",
        found=f"it holds {len(names):,} {what}: {listed}" if names else f"it holds no {what}",
        do=f"select one: {file.name}@{names[0]}, or select={names[0]!r} in Python" if names else "check the file",
        names=tuple(names),
    )
