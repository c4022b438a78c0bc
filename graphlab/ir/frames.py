"""Source frames: which line of whose code made a node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Frame:
    """One call frame. ``line`` and ``column`` count from 1; 0 where the source does not say.

    ``caller`` is the index of the calling frame in the same table, so frames form stacks that
    share their outer part.
    """

    file: str
    line: int = 0
    column: int = 0
    function: str = ""
    caller: int | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class FrameTable:
    """Interns frames while a Program is being built; a node keeps the index of its innermost user frame."""

    def __init__(self, frames: Iterable[Frame] = ()) -> None:
        self._frames: list[Frame] = list(frames)
        self._index: dict[Frame, int] = {frame: i for i, frame in enumerate(self._frames)}

    def add(self, frame: Frame) -> int:
        """The index of ``frame``, which is added where it is new."""
        index = self._index.get(frame)
        if index is None:
            index = self._index[frame] = len(self._frames)
            self._frames.append(frame)
        return index

    def add_stack(self, frames: Sequence[Frame]) -> int | None:
        """Add a whole stack, innermost frame first; returns the innermost one's index, None for no frames."""
        caller: int | None = None
        for frame in reversed(frames):
            caller = self.add(replace(frame, caller=caller))
        return caller

    def done(self) -> tuple[Frame, ...]:
        return tuple(self._frames)


def stack(frames: Sequence[Frame], index: int | None) -> Iterator[Frame]:
    """The frames from ``index`` outward, innermost first."""
    while index is not None:
        frame = frames[index]
        yield frame
        index = frame.caller
