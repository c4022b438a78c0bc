"""Source lines in torch's own words: ``stack_trace`` texts, and the line of the user's that an exception came from."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator
from types import TracebackType

import torch

import graphlab
from graphlab.capture.torch import source_text
from graphlab.capture.torch.source_text import FILE_LINE
from graphlab.ir.frames import Frame, FrameTable

_FRAMEWORK = os.path.dirname(os.path.abspath(torch.__file__)) + os.sep
_OWN = os.path.dirname(os.path.abspath(graphlab.__file__)) + os.sep
_STDLIB = sysconfig.get_paths()["stdlib"] + os.sep
_PACKAGES = tuple({sysconfig.get_paths()[key] + os.sep for key in ("purelib", "platlib")})


def is_user_file(file: str) -> bool:
    """Whether a line of this file is the user's: not torch's own and not made up (``<eval_with_key>.0``)."""
    return not file.startswith(_FRAMEWORK) and source_text.is_user_file(file)


def is_own_file(file: str) -> bool:
    """Whether a line of this file is graphlab's."""
    return file.startswith(_OWN)


def parse_stack(text: str) -> list[Frame]:
    """The user frames of a ``stack_trace`` or an error's text, innermost first (torch writes the innermost last)."""
    found = [Frame(m["file"], int(m["line"]), 0, m["function"] or "") for m in FILE_LINE.finditer(text)]
    inner: list[Frame] = []
    for frame in reversed(found):
        if is_own_file(frame.file):  # from here outward it is who asked for the capture
            break
        if is_user_file(frame.file):
            inner.append(frame)
    return inner


class Stacks:
    """Turns ``stack_trace`` texts into frame indices; each distinct text is parsed once."""

    def __init__(self, table: FrameTable) -> None:
        self._table = table
        self._index: dict[str, int | None] = {}

    def loc(self, text: str | None) -> int | None:
        """Index of the innermost user frame; ``None`` where there is none."""
        if text is None:
            return None
        if text in self._index:
            return self._index[text]
        index = self._index[text] = self._table.add_stack(parse_stack(text))
        return index


def error_frame(error: BaseException) -> Frame | None:
    """The innermost line of the user's that an exception, or what caused it, passed through.

    Where torch traced the code itself the line stands in the message (``from user code:``), and is
    more exact than the Python stack, which ends at the call into torch.
    """
    for each in _causes(error):
        text = str(each)
        if "from user code" in text.lower() or "user stack" in text.lower():
            told = [f for f in parse_stack(text) if is_model_code(f.file)]
            if told:
                return told[0]
    innermost: Frame | None = None
    for each in _causes(error):
        for frame in _frames(each.__traceback__):
            if is_model_code(frame.file):
                innermost = frame
        if innermost is not None:
            return innermost
    return None


def is_model_code(file: str) -> bool:
    own = is_user_file(file) and not is_own_file(file)
    return own and (file.startswith(_PACKAGES) or not file.startswith(_STDLIB))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _frames(traceback: TracebackType | None) -> Iterator[Frame]:
    while traceback is not None:
        code = traceback.tb_frame.f_code
        yield Frame(code.co_filename, traceback.tb_lineno, 0, code.co_name)
        traceback = traceback.tb_next
