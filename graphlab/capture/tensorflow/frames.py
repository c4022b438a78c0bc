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
        self._verdicts: dict[str, str] = {}
        self._known: dict[tuple[tuple[str, int, str], ...], int | None] = {}

    def locations(self, graph: Any) -> dict[str, int]:
        """Operation name → ``loc``, for those that have a user frame."""
        found: dict[str, int] = {}
        for operation in graph.get_operations():
            loc = self._loc(private.user_frames(operation))
            if loc is not None:
                found[operation.name] = loc
        return found

    def _loc(self, frames: list[Any]) -> int | None:
        kept = []
        for frame in reversed(frames):
            file = frame.filename
            whose = self._verdicts.get(file)
            if whose is None:
                whose = self._verdicts[file] = verdict(file, self._folders)
            if whose == "ours":
                break
            if whose == "user":
                kept.append((file, frame.lineno, frame.name))
        key = tuple(kept)
        if key not in self._known:
            self._known[key] = self._table.add_stack([Frame(file, line, function=name) for file, line, name in kept])
        return self._known[key]
