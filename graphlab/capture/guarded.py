"""Runs a native parser that strangers' bytes may crash in a child process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphlab.capture.file import File
from graphlab.child import Folder, run as run_child
from graphlab.errors import CompileError, FormatError

TIME_LIMIT = 120.0
MEMORY_LIMIT = 4 << 30


def run(worker: str, request: Mapping[str, Any], *, asked: str, file: File, give: Mapping[str, bytes] | None = None) -> dict[str, Any]:
    """Run a worker module (it ends in ``child.serve``) on a request; what it answers.

    Args:
        asked: the task as a verb phrase, for the error: ``read the HDF5 data of model.h5``.
        give: files to lay in the worker's working directory first, by name.

    Raises:
        FormatError: the parser refused the bytes, crashed on them, or ran out of its limits.
    """
    folder = Folder()
    for name, data in (give or {}).items():
        (folder.path / name).write_bytes(data)
    try:
        outcome = run_child(worker, request, folder=folder.path, asked=asked, time_limit=TIME_LIMIT, memory_limit=MEMORY_LIMIT)
    except CompileError as error:
        if error.reason == "failed":
            raise
        raise FormatError(asked, found=error.brief, do="check the file: fetch or write it again", where=file.name) from error
    return dict(outcome.result)
