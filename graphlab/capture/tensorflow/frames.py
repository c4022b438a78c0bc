"""Source lines of TensorFlow operations: the user's frames out of the stack each operation was made under."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from graphlab.capture.tensorflow import private
from graphlab.ir.frames import Frame, FrameTable

_FRAMEWORKS = ("tensorflow", "keras", "tf_keras")
_OURS = str(Path(__file__).parent)


def framework_folders(modules: dict[str, ModuleType]) -> tuple[str, ...]:
    """Folders whose frames are the framework's own, of those frameworks that are loaded."""
    return tuple(str(Path(folder)) + "/" for name in _FRAMEWORKS if name in modules for folder in getattr(modules[name], "__path__", ()))


def verdict(file: str, folders: tuple[str, ...]) -> str:
    """Whose code a file is: ``framework``, ``ours`` or ``user``."""
    if file.startswith(_OURS):
        return "ours"
    return "framework" if file.startswith(folders) or "__autograph_generated_file" in file else "user"


def user_frames(stack: Sequence[tuple[str, int, str]], folders: tuple[str, ...]) -> list[Frame]:
    """The user's frames of a stack (file, line, function), innermost first, up to graphlab's own."""
    found = []
    for file, line, name in stack:
        whose = verdict(file, folders)
        if whose == "ours":
            break
        if whose == "user":
            found.append(Frame(file, line, function=name))
    return found


class Locator:
    """Finds the ``loc`` of each operation of a FuncGraph, filling a frame table.

    A stack is cut at graphlab's own frame: who called ``graphlab.capture`` wrote none of the model
    from there on.
    """

    def __init__(self, table: FrameTable, folders: tuple[str, ...]) -> None:
        self._table = table
        self._folders = folders
        self._known: dict[Any, int | None] = {None: None}  # by trace: a model has few that differ

    def locations(self, graph: Any) -> dict[str, int]:
        """Operation name → ``loc``, for those that have a user frame."""
        found: dict[str, int] = {}
        for operation in graph.get_operations():
            trace = private.user_trace(operation)
            if trace is not None and trace not in self._known:
                stack = [(frame.filename, frame.lineno, frame.name) for frame in reversed(list(trace))]
                self._known[trace] = self._table.add_stack(user_frames(stack, self._folders))
            loc = self._known[trace]
            if loc is not None:
                found[operation.name] = loc
        return found
