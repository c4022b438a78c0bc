"""What commands share on their way out: files written, and a sign of life while something takes long."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from graphlab.errors import GraphlabError


def write(path: Path, data: bytes) -> None:
    """Write a file, making its folder. Raises GraphlabError where that cannot be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise GraphlabError(f"write {path}", found=error.strerror or str(error), do="choose a path that can be written") from error


@contextmanager
def busy(what: str) -> Iterator[Callable[[str], None]]:
    """A spinner on a terminal's stderr; yields a function that says more of what is going on. Silent when piped."""
    if not sys.stderr.isatty():
        yield lambda detail: None
        return
    from rich.console import Console

    with Console(stderr=True).status(what) as status:
        yield lambda detail: status.update(f"{what} {detail}")
