"""The messages of TensorFlow's graph files, as graphlab knows them: ``tensorflow.proto``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from graphlab.capture import proto
from graphlab.capture.file import File
from graphlab.errors import FormatError

SCHEMA = proto.load(Path(__file__).parent / "tensorflow.proto")


@contextmanager
def naming(file: File) -> Iterator[None]:
    """Gives an error that knows its place in a graph alone the name of the file that the graph is in."""
    try:
        yield
    except FormatError as error:
        if not error.asked.startswith(("read the ", "read a ")):
            raise
        raise FormatError(
            f"read {file.name}", found=error.found, do=error.do, where=error.where or error.asked.removeprefix("read ")
        ) from error
