"""What commands share on their way out: files written, and a sign of life while something takes long."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from graphlab.errors import GraphlabError

TRUST = "let the framework read a file that it alone reads fully (TorchScript, torch.export); that may run code from the file"


def write(path: Path, data: bytes) -> None:
    """Write a file, making its folder. Raises GraphlabError where that cannot be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise GraphlabError(f"write {path}", found=error.strerror or str(error), do="choose a path that can be written") from error


@contextlib.contextmanager
def busy(what: str) -> Iterator[Callable[[str], None]]:
    """A spinner on a terminal's stderr; yields a function that says more of what is going on. Silent when piped.

    What is printed within goes to stderr: user code may run (a function is traced), and stdout is the answer's alone.
    """
    if not sys.stderr.isatty():
        with contextlib.redirect_stdout(sys.stderr):
            yield lambda detail: None
        return
    from rich.console import Console
    from rich.markup import escape

    # Inside, rich has put a stderr of its own in place, which prints above the spinner.
    with Console(stderr=True).status(escape(what)) as status, contextlib.redirect_stdout(sys.stderr):
        yield lambda detail: status.update(escape(f"{what} {detail}"))


def check_svg(path: Path | None) -> None:
    """Raises GraphlabError where a drawing is asked for under a name that is another format's."""
    if path is not None and path.suffix.lower() != ".svg":
        raise GraphlabError(f"draw {path}", found="graphlab draws SVG only", do=f"name it {path.with_suffix('.svg')}")


def check_save(path: Path | None) -> None:
    """Raises GraphlabError where a program is to be saved under a name that is another format's: it may be the input's own."""
    if path is not None and path.suffix.lower() != ".graphlab":
        raise GraphlabError(f"save {path}", found="graphlab saves its own format only", do=f"name it {path.with_suffix('.graphlab')}")
