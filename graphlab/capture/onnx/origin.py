"""Where nodes come from: the source lines and module scopes that exporters write into a model.

PyTorch's exporters, as seen: since 2.5 ``metadata_props`` (``pkg.torch.onnx.stack_trace``, ``pkg.torch.onnx.name_scopes``,
``namespace``); before, a stack in ``doc_string`` (``file(line): function``, innermost first) and the scope in the node's name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from graphlab.ir.frames import Frame, FrameTable

STACK = "pkg.torch.onnx.stack_trace"
_SCOPES = "pkg.torch.onnx.name_scopes"
_NAMESPACE = "namespace"
READ = frozenset({STACK, _SCOPES, _NAMESPACE})
"""Keys of ``metadata_props`` whose content ends in a node's location and scope."""

_PYTHON = re.compile(r'File "(?P<file>[^"\n]+)", line (?P<line>\d{1,9})(?:, in (?P<function>[^\n]+))?')
_SCRIPT = re.compile(r"^[^\S\n]*(?P<file>[^\n()]+?)\((?P<line>\d{1,9})\): (?P<function>[^\n]+)$", re.MULTILINE)
_FRAMEWORK = re.compile(
    r"^<(eval_with_key|frozen|string)|[\\/](site|dist)-packages[\\/](torch|onnx|onnxscript|functorch|tensorflow|keras|tf2onnx|jax|jaxlib)[\\/]"
    r"|[\\/]torch[\\/](nn|_|jit|onnx|fx|autograd|utils|export)"
)
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"")


class Stacks:
    """Turns an exporter's texts into frame indices; each distinct text is read once."""

    def __init__(self, table: FrameTable) -> None:
        self._table = table
        self._index: dict[str, int | None] = {}

    def loc(self, text: str, *, innermost_last: bool) -> int | None:
        """Index of the innermost user frame; ``None`` where the text has none."""
        if text not in self._index:
            found = [
                Frame(m["file"], int(m["line"]), 0, m["function"] or "") for m in (_PYTHON if innermost_last else _SCRIPT).finditer(text)
            ]
            user = [frame for frame in found if not _FRAMEWORK.search(frame.file)]
            self._index[text] = self._table.add_stack(user[::-1] if innermost_last else user)
        return self._index[text]


def noted_scope(properties: Mapping[str, str]) -> str | None:
    """The module path that the exporter noted of a node; ``None`` where it noted none."""
    noted = properties.get(_SCOPES)
    if noted is not None:
        return _module_path([a or b for a, b in _QUOTED.findall(noted)][:-1])
    noted = properties.get(_NAMESPACE)
    if noted is not None:
        return _module_path([part.partition(":")[0].strip() for part in noted.split("/")][1:-1])
    return None


def scope_of_name(above: str) -> str:
    """The module path in what stands before the last slash of a node's name."""
    parts = [part for part in above.split("/") if part]
    return _module_path(parts) if above.startswith("/") else "/".join(parts)


def _module_path(names: Sequence[str]) -> str:
    """``layer1``, ``layer1.0``, ``layer1.0.conv1`` (each the whole path so far, or all below the last) → ``layer1/0/conv1``."""
    path: list[str] = []
    above = ""
    for name in names:
        if not name:
            continue
        own = name[len(above) + 1 :] if above and name.startswith(above + ".") else name
        path += [part for part in own.split(".") if part]
        above = name
    return "/".join(path)
