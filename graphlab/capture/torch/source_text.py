"""Where a node came from, in the words torch's files use: stack traces and module paths. Imports no torch."""

from __future__ import annotations

import re

from graphlab.ir.frames import Frame, FrameTable

FILE_LINE = re.compile(r'File "(?P<file>[^"\n]+)", line (?P<line>\d{1,9})(?:, in (?P<function>[^\n]+))?')

# Installed, or in a checkout or a build's link tree: there its own packages tell it from a folder of the user's.
_TORCH = re.compile(
    r"(^|[/\\])(site|dist)-packages[/\\]torch[/\\]"
    r"|(^|[/\\])torch[/\\](_dynamo|_inductor|_functorch|_export|_higher_order_ops|_subclasses|_library|_logging|_decomp|_refs|_prims"
    r"|nn|fx|export|autograd|utils|testing|distributed|jit|ao|amp|optim|onnx)[/\\]"
    r"|(^|[/\\])torch[/\\](_ops|_tensor|functional|_utils_internal|_compile|overrides)\.py$"
)


def is_user_file(file: str) -> bool:
    """Whether a line of this file is the user's: not torch's own, wherever that is installed, and not made up."""
    return not file.startswith("<") and not _TORCH.search(file)


def parse_stack(text: str) -> list[Frame]:
    """The user frames of a ``stack_trace``, innermost first (torch writes the innermost last)."""
    found = [Frame(m["file"], int(m["line"]), 0, m["function"] or "") for m in FILE_LINE.finditer(text)]
    return [frame for frame in reversed(found) if is_user_file(frame.file)]


class StackTexts:
    """Turns ``stack_trace`` texts into frame indices; each distinct text is parsed once."""

    def __init__(self, table: FrameTable) -> None:
        self.table = table
        self._index: dict[str, int | None] = {}

    def loc(self, text: str | None) -> int | None:
        """Index of the innermost user frame; ``None`` where there is none."""
        if not text:
            return None
        if text not in self._index:
            self._index[text] = self.table.add_stack(parse_stack(text))
        return self._index[text]


def scope(path: str) -> str:
    """``L['self'].encoder.layers.0@1`` → ``encoder/layers/0``: the module, whichever call of it."""
    plain = path.removeprefix("L['self']").lstrip(".").partition("@")[0]
    plain = plain.removeprefix("_export_root").lstrip(".")  # what strict export calls the model within regions
    return "" if plain.startswith("_empty_nn_module_stack") else plain.replace(".", "/")


def innermost_module(text: str) -> str:
    """The path of the last module in ``key,path,type;key,path,type``; commas within brackets are a path's own."""
    depth, start, parts = 0, 0, list[str]()
    last = text.rpartition(";")[2]
    for at, char in enumerate(last):
        if char in "[(":
            depth += 1
        elif char in ")]":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(last[start:at])
            start = at + 1
    return parts[1] if len(parts) == 2 else ""
