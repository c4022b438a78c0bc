"""Standard output as the renderers write it."""

from __future__ import annotations

from typing import NoReturn

from rich.console import Console


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError("nobody reads standard output")  # rich would end the process with 1, which says "findings"


def console() -> Console:
    """Standard output: no wrapping (lines are whole facts), no guessing of highlights.

    Printing on it raises BrokenPipeError where its reader has gone.
    """
    return _Console(soft_wrap=True, highlight=False)
