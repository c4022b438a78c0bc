"""Tells the three text forms of an ONNX model by the beginning of the file."""

from __future__ import annotations

import re

from graphlab.capture.file import File

_SNIFF_BYTES = 64 << 10
_SKIP = re.compile(r"(?:\s+|//[^\n]*|#[^\n]*)*+")
_HEADER = re.compile(
    r"<\s*(?:ir_version|opset_import|producer_name|producer_version|domain|model_version|doc_string|metadata_props)\s*:", re.ASCII
)
_NAME = r'(?:[A-Za-z_]\w*|"[^"\n]*")'
_BARE_GRAPH = re.compile(_NAME + r"\s*\([^(){};]*+(?:\([^(){};]*+\)[^(){};]*+)*+\)\s*=>\s*\(", re.ASCII)
_MODEL_FIELDS = frozenset({
    "ir_version", "opset_import", "producer_name", "producer_version", "domain", "model_version", "doc_string", "graph",
    "metadata_props", "training_info", "functions", "configuration",
})  # fmt: skip
_TOKEN = re.compile(r"""#[^\n]*|"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?|[{}<>\[\]]|(?<!\w)[A-Za-z_]\w*+(?=\s*+[:{<])""", re.ASCII)
_JSON_KEY = re.compile(r'"(?:irVersion|ir_version|opsetImport|opset_import)"\s*:')


def text_form(file: File) -> str | None:
    """``text``, ``protobuf text`` or ``json``; ``None`` for any other file."""
    text = _beginning(file)
    if text is None:
        return None
    if text.lstrip()[:1] == "{":
        return "json" if _is_json(text, file) else None
    at = _skipped(text)
    if _HEADER.match(text, at) or _BARE_GRAPH.match(text, at):
        return "text"
    return "protobuf text" if _is_protobuf_text(text) else None


def _beginning(file: File) -> str | None:
    """The first of its text; ``None`` where it is none."""
    if b"\0" in file.head:
        return None
    data = bytes(file.view()[:_SNIFF_BYTES])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        cut = len(data) == _SNIFF_BYTES and error.start > len(data) - 4
        return data[: error.start].decode("utf-8-sig") if cut else None


def _skipped(text: str) -> int:
    match = _SKIP.match(text)
    return match.end() if match else 0


def _is_json(text: str, file: File) -> bool:
    if _JSON_KEY.search(text) and '"graph"' in text:
        return True
    if file.size <= len(text):
        return False
    view = bytes(file.view()[-_SNIFF_BYTES:])  # protobuf writes a message's fields by number: the operators' versions stand last
    return b'"node"' in text.encode("utf-8", "replace") and _JSON_KEY.search(view.decode("utf-8", "replace")) is not None


def _is_protobuf_text(text: str) -> bool:
    """Whether the fields at the top are a ModelProto's, an ``ir_version`` or ``opset_import`` and a graph's beginning among them."""
    depth, seen = 0, set()
    for match in _TOKEN.finditer(text):
        word = match[0]
        if word in "{<[":
            depth += 1
        elif word in "}>]":
            depth -= 1
        elif depth == 0 and word[0] not in "#\"'":
            if word not in _MODEL_FIELDS:
                return False
            seen.add(word)
    return "ir_version" in seen or {"graph", "opset_import"} <= seen
