"""Source lines that TensorFlow saved beside a graph: GraphDebugInfo, in a GraphDef or in ``debug/saved_model_debug_info.pb``.

A trace is found by ``node@function`` (``node@`` in the graph itself), outermost frame first. Format:
tensorflow/core/framework/graph_debug_info.proto.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from graphlab.ir.frames import Frame, FrameTable

# The paths are the author's machine's.
_FRAMEWORK = re.compile(
    r"(site|dist)-packages[/\\](tensorflow\w*|keras|tf_keras)[/\\]|[/\\]tensorflow[/\\](python|core|compiler)[/\\]|[/\\]keras[/\\]src[/\\]"
    r"|__autograph_generated_file"
)
_MOST_FRAMES = 128  # of one stack


class SavedTraces:
    """Gives each graph its nodes' places in a frame table."""

    def __init__(self, info: Any, table: FrameTable) -> None:
        self._info = info
        self._table = table
        self._known: dict[object, int | None] = {}
        self._by_function: dict[str, dict[str, Any]] = {}
        for key in sorted(info.traces):
            self._add(key, info.traces[key], key)
        for key in sorted(info.name_to_trace_id):
            id = info.name_to_trace_id[key]
            if id in info.traces_by_id:
                self._add(key, info.traces_by_id[id], id)

    def _add(self, key: str, trace: Any, identity: object) -> None:
        node, _, function = key.partition("@")
        self._by_function.setdefault(function, {})[node] = (trace, identity)

    def __call__(self, function: str | None) -> Mapping[str, int]:
        """Node → index of its innermost user frame, for those that have one."""
        found = {}
        for node, (trace, identity) in self._by_function.get(function or "", {}).items():
            if identity not in self._known:
                self._known[identity] = self._table.add_stack(list(self._frames(trace))[-_MOST_FRAMES:][::-1])
            index = self._known[identity]
            if index is not None:
                found[node] = index
        return found

    def _frames(self, trace: Any) -> Iterator[Frame]:
        """The user's frames, outermost first."""
        known = self._info.frames_by_id
        files = self._info.files
        for place in (*trace.file_line_cols, *(known[id] for id in trace.frame_id if id in known)):
            file = files[place.file_index] if 0 <= place.file_index < len(files) else ""
            if file and not _FRAMEWORK.search(file):
                yield Frame(file, max(place.line, 0), max(place.col, 0), place.func)
