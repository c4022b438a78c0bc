"""The user's own frames among those that JAX records.

``Traceback.raw_frames`` of jaxlib, used here, is not documented. Seen in jaxlib 0.10.2.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Sequence
from types import CodeType
from typing import Any

from graphlab.errors import GraphlabError
from graphlab.ir.frames import Frame, FrameTable

# JAX itself, and the libraries users write their models in: the line that calls them is the user's.
FRAMEWORK = ("jax", "jaxlib")
LIBRARIES = ("flax", "haiku", "equinox", "optax", "chex")


class UserFrames:
    """Filters and interns stacks. Paths are compared, not looked up: it is called for every equation."""

    def __init__(self, table: FrameTable) -> None:
        self.table = table
        self._own = _folder("graphlab")
        self._framework = tuple(filter(None, map(_folder, FRAMEWORK)))
        self._libraries = tuple(filter(None, map(_folder, LIBRARIES)))
        self._stdlib = sysconfig.get_paths()["stdlib"] + os.sep
        self._frames: dict[tuple[CodeType, int], Frame] = {}
        self._stacks: dict[Any, int | None] = {}

    def of_traceback(self, traceback: Any) -> int | None:
        """Index of the innermost user frame of a ``jaxlib`` Traceback (``None`` is one with no frames)."""
        if traceback is None:
            return None
        if not hasattr(traceback, "raw_frames"):
            raise GraphlabError("read source lines from a jaxpr", found="jaxlib's Traceback has no raw_frames", do="install jax>=0.8")
        codes, instructions = traceback.raw_frames()
        key = tuple(zip(codes, instructions, strict=True))
        if key not in self._stacks:
            self._stacks[key] = self.add([self._frame(code, at) for code, at in key])
        return self._stacks[key]

    def add(self, frames: Sequence[Frame]) -> int | None:
        """Intern the user's part of a stack, innermost frame first; its innermost frame's index."""
        return self.table.add_stack(self.users(frames))

    def users(self, frames: Sequence[Frame]) -> list[Frame]:
        """The stack without the framework's frames, and without those that only led to the capture.

        Frames of model libraries are left out too, unless nothing else is left.
        """
        known: list[Frame] = []
        for frame in frames:
            if self._own and frame.file.startswith(self._own):
                break
            if not frame.file.startswith(self._framework) and not self._is_stdlib(frame.file):
                known.append(frame)
        return [f for f in known if not f.file.startswith(self._libraries)] or known

    def _is_stdlib(self, path: str) -> bool:
        return path.startswith("<frozen") or (path.startswith(self._stdlib) and "-packages" not in path)

    def _frame(self, code: CodeType, at: int) -> Frame:
        frame = self._frames.get((code, at))
        if frame is None:
            position = next((p for i, p in enumerate(code.co_positions()) if i == at // 2), (None, None, None, None))
            line, _, column, _ = position  # CPython counts columns from 0, a Frame from 1
            frame = Frame(code.co_filename, line or code.co_firstlineno, 0 if column is None else column + 1, code.co_qualname)
            self._frames[code, at] = frame
        return frame


def _folder(package: str) -> str:
    """Where a package that is already imported lies, with a closing separator; empty for one that is not."""
    file = getattr(sys.modules.get(package), "__file__", None)
    return os.path.dirname(file) + os.sep if file else ""
