"""``torch.export.load`` for a file the user trusts: it runs what the file's pickles say."""

from __future__ import annotations

import io

import torch.export

from graphlab.capture.file import File
from graphlab.capture.torch.export import read
from graphlab.capture.torch.private import load_pt2
from graphlab.capture.torch.state import quiet
from graphlab.errors import FormatError
from graphlab.ir.program import Program


def load_exported(file: File, name: str) -> Program:
    """The exported program of that name, with the ExportedProgram itself as ``native``.

    Raises:
        FormatError: torch refuses it.
    """
    try:
        with quiet():
            if name == "model":
                exported = torch.export.load(io.BytesIO(file.read()))
            else:
                exported = load_pt2(io.BytesIO(file.read())).exported_programs[name]
    except Exception as error:  # what torch's readers and a stranger's pickle raise has no end
        raise FormatError(f"read {file.name} by torch", found=f"torch refuses it: {error}", do="read it without trust") from error
    program = read(exported)
    return program.replace_source(path=file.name)
