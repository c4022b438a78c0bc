"""Where an HLO instruction came from: ``metadata={op_name="..." stack_frame_id=7}`` and the header's frame tables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from graphlab.capture.xla.hlo_attributes import decode, pairs_of
from graphlab.capture.xla.hlo_lexer import Faults, HloText, unquote
from graphlab.ir.frames import Frame, FrameTable
from graphlab.ir.frozen import EMPTY, FrozenDict

TABLES = ("FileNames", "FunctionNames", "FileLocations", "StackFrames")
"""Sections between a module's header and its computations (xla/hlo/ir/hlo_module.cc)."""

_ENTRY = re.compile(r'\s*(\d{1,18})\s+("(?:[^"\\\n]++|\\.)*+"|\{[^{}"\n]*\})', re.ASCII)
_USUAL = re.compile(r'\{op_name="([^"\\\n]*)"(?: stack_frame_id=(\d{1,18}))?\}', re.ASCII)
_FRAMEWORK = re.compile(r"[\\/](?:site|dist)-packages[\\/](?:jax|jaxlib|torch|torch_xla|tensorflow|keras)[\\/]")

_UNKNOWN = Frame("")

Origin = tuple[int | None, str, FrozenDict[str, Any]]
"""Frame index, scope, and what else the metadata says."""


class Metadata:
    """Decodes metadata; a module's stack frames must be added before the instructions that name them."""

    __slots__ = ("_known", "_scopes", "_stacks", "faults", "frames")

    def __init__(self, faults: Faults, frames: FrameTable) -> None:
        self.faults = faults
        self.frames = frames
        self._known: dict[str, Origin] = {}
        self._scopes: dict[str, str] = {"": ""}
        self._stacks: dict[int, int | None] = {}

    def start_module(self) -> None:
        """Forget the last module's stack frames: each module numbers its own."""
        self._known.clear()
        self._stacks.clear()

    def read_tables(self, source: HloText, pos: int) -> int:
        """Read the frame tables that start at ``pos``, if any; the position after them."""
        tables: dict[str, dict[int, str]] = {}
        start = pos = source.skip(pos)
        while title := next((t for t in TABLES if source.text.startswith(t, pos, source.end)), None):
            rows = tables.setdefault(title, {})
            pos += len(title)
            while row := _ENTRY.match(source.text, pos, source.end):
                rows[int(row[1])] = row[2]
                pos = row.end()
            pos = source.skip(pos)
        if tables.get("StackFrames"):
            self._stack_frames(tables, start)
        return pos

    def _stack_frames(self, tables: dict[str, dict[int, str]], pos: int) -> None:
        rows = {id: _ints(text) for id, text in tables["StackFrames"].items()}
        locations = {id: _ints(text) for id, text in tables.get("FileLocations", {}).items()}
        files, functions = tables.get("FileNames", {}), tables.get("FunctionNames", {})
        places = {
            id: Frame(
                _text(files, at.get("file_name_id", 0)), max(0, at.get("line", 0)), max(0, at.get("column", 0)),
                _text(functions, at.get("function_name_id", 0)),
            )
            for id, at in locations.items()
        }  # fmt: skip
        # XLA prints a parent as its id plus one, one meaning none; a table with a zero in it is not printed so.
        shift = 0 if any(row.get("parent_frame_id") == 0 for row in rows.values()) else 1
        stacks = {id: (row.get("file_location_id", 0), row.get("parent_frame_id", shift) - shift) for id, row in rows.items()}
        self.add_stacks(places, stacks, pos)

    def add_stacks(self, places: Mapping[int, Frame], stacks: Mapping[int, tuple[int, int]], pos: int) -> None:
        """Add a module's stack frames.

        Args:
            places: id → a place, without its caller.
            stacks: id → the ids of its place and of its caller's frame, 0 where it has none.
            pos: where they stand, for the error.

        Raises:
            FormatError: a frame is its own caller.
        """
        index: dict[int, int] = {}
        for id in stacks:
            chain: list[int] = []
            at = id
            while at in stacks and at not in index:
                chain.append(at)
                index[at] = -1
                at = stacks[at][1]
            if index.get(at) == -1:
                raise self.faults.wrong(f"stack frame {at} calls itself", pos)
            caller = index.get(at)
            for one in reversed(chain):
                place = places.get(stacks[one][0], _UNKNOWN)
                caller = index[one] = self.frames.add(Frame(place.file, place.line, place.column, place.function, caller))
        done = self.frames.done()
        self._stacks = {id: _user_frame(done, at) for id, at in index.items()}

    def read(self, text: str) -> Origin:
        """Decode ``{op_name="..." ...}``; what follows no known grammar is kept whole as ``metadata``."""
        known = self._known.get(text)
        if known is None:
            known = self._known[text] = self._read(text)
        return known

    def _read(self, text: str) -> Origin:
        usual = _USUAL.fullmatch(text)
        if usual is not None:
            name, frame = usual.groups()
            return self.usual(name, int(frame or 0))
        pairs = pairs_of(text)
        if pairs is None:
            return None, "", FrozenDict(metadata=text)
        return self.origin({key: decode(key, value) for key, value in pairs.items()})

    def usual(self, name: str, frame: int) -> Origin:
        """The origin of an instruction that says no more than its op_name and perhaps its stack frame, 0 for none."""
        return self._stacks.get(frame) if frame else None, self._scope(name), FrozenDict(op_name=name)

    def origin(self, values: dict[str, Any]) -> Origin:
        """What metadata says, by name; takes what it understands out of ``values``."""
        name = values.get("op_name", "")
        scope = self._scope(name) if isinstance(name, str) else ""
        return self._loc(values), scope, FrozenDict(values) if values else EMPTY

    def _loc(self, values: dict[str, Any]) -> int | None:
        frame = values.pop("stack_frame_id", None)
        if isinstance(frame, int) and frame in self._stacks:
            return self._stacks[frame]
        file, line, column = values.get("source_file"), values.get("source_line", 0), values.get("source_column", 0)
        if not isinstance(file, str) or not isinstance(line, int) or not isinstance(column, int) or line < 0 or column < 0:
            return None
        for key in ("source_file", "source_line", "source_column"):
            values.pop(key, None)
        return self.frames.add(Frame(file, line, column))

    def _scope(self, name: str) -> str:
        """The op_name's path without its last component; a ``/`` within brackets does not part."""
        cut = name.rfind("/")
        if "[" in name or "(" in name[cut + 1 :] or ")" in name[cut + 1 :]:
            cut = _outer_slash(name)
        scope = name[:cut] if cut > 0 else ""
        return self._scopes.setdefault(scope, scope)


def _outer_slash(name: str) -> int:
    """Position of the last ``/`` outside of brackets, -1 where there is none."""
    depth, found = 0, -1
    for i, char in enumerate(name):
        if char in "([{":
            depth += 1
        elif char in ")]}":
            depth = max(0, depth - 1)
        elif char == "/" and depth == 0:
            found = i
    return found


def _user_frame(frames: tuple[Frame, ...], index: int) -> int:
    """The innermost frame at or above ``index`` that is not the framework's own; itself where all are."""
    at: int | None = index
    while at is not None and _FRAMEWORK.search(frames[at].file):
        at = frames[at].caller
    return index if at is None else at


def _ints(text: str) -> dict[str, int]:
    values = {key: decode(key, value) for key, value in (pairs_of(text) or {}).items()}
    return {key: value for key, value in values.items() if type(value) is int}


def _text(table: dict[int, str], id: int) -> str:
    return unquote(table[id]) if id in table else ""
