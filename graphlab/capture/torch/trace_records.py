"""The envelope of compile logs: of ``TORCH_TRACE``'s, one record a line, its payload in the tab-indented lines below it.

``V1122 19:57:34.907000 1894 torch/_dynamo/utils.py:2350] {"dynamo_start": {…}, "frame_id": 0, …}``: glog's prefix, after it
JSON (``trace_structured`` in ``torch/_logging/_internal.py``, torch 2.3 to 2.13). Several ranks may share a file, each line
with ``[rank0]:`` before it. Payloads are not read here: a record knows where its own lies.

What ``TORCH_LOGS=graph_code,aot_graphs,recompiles,graph_breaks,…`` prints has the same prefix before every line, then
``[0/0_1] [__graph_code]`` (compile id, attempt, artifact) and a line of the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphlab.capture.file import File

_PREFIX = rb"(?:\[rank\d{1,6}\]:)*[VIWECF]\d{4} \d\d:\d\d:\d\d\.\d+ \d+ [^\s\]]*:\d+\] "
_RECORD = re.compile(rb"^" + _PREFIX + rb"(\{[^\n]*)(?:\n|\Z)((?:\t[^\n]*(?:\n|\Z))*)", re.MULTILINE)
_MESSAGE = re.compile(rb"^(" + _PREFIX + rb")\[(!?\d+(?:/\d+)*)(?:_(\d+))?\] \[__(\w+)\][^\n]*(?:\n|\Z)", re.MULTILINE)
_MESSAGE_PREFIX = re.compile(r"^(?:\[rank\d+\]:)*[VIWECF]\d{4} [^\]\n]*\] \[[^\]\n]*\] \[__\w+\] ?", re.MULTILINE)
_START = re.compile(_PREFIX + rb"(?:\{\"|\[!?\d+/\d+(?:_\d+)?\] )")
_RANK = re.compile(rb"\[rank(\d{1,6})\]:")
_MAX_HEADER = 16 << 20

# TORCH_LOGS' artifacts by the names that TORCH_TRACE gives the same
_ARTIFACTS = {
    "graph_code": "dynamo_output_graph", "aot_joint_graph": "aot_joint_graph", "pre_grad_graphs": "inductor_pre_grad_graph",
    "post_grad_graphs": "inductor_post_grad_graph", "graph_breaks": "dynamo_graph_break_reason", "recompiles": "recompile_reasons",
    "recompiles_verbose": "recompile_reasons", "guards": "dynamo_guards", "output_code": "inductor_output_code",
}  # fmt: skip
_TITLES = {b"Forward graph": "aot_forward_graph", b"Backward graph": "aot_backward_graph", b"Joint graph": "aot_joint_graph"}

# Fields of a record that say where it belongs, not what it is (``trace_structured``'s own).
_PLACE = frozenset((
    "rank", "compiled_autograd_id", "frame_id", "frame_compile_id", "attempt", "has_payload", "process", "stack", "process_start",
    "pathname", "lineno", "thread", "timestamp",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Record:
    """One record.

    Attributes:
        kind: ``dynamo_output_graph``, ``artifact`` …
        fields: what the record itself says under its kind.
        compile_id: ``0/0``; ``!1/0/0`` within compiled autograd; ``""`` where it belongs to no compile.
        stack: of an event that has no compile: (line, function, file's number) from outside in.
        offset, length: of the payload in the file, tabs or prefixes included.
        printed: whether each of its lines has TORCH_LOGS' prefix.
    """

    kind: str
    fields: Any
    compile_id: str
    attempt: int
    stack: Any
    rank: str
    offset: int
    length: int
    printed: bool = False

    @property
    def name(self) -> str:
        """Its kind; for an artifact or a dump, the name it is stored under."""
        if self.kind in ("artifact", "graph_dump") and isinstance(self.fields, Mapping) and isinstance(self.fields.get("name"), str):
            return str(self.fields["name"])
        return self.kind


def begins(head: bytes) -> bool:
    """Whether a file starts as such a log does; lines before the first record are passed over."""
    return any(_START.match(line) for line in head.split(b"\n")[:20])


def records(file: File) -> Iterator[Record | int]:
    """The records in order; for a line that looks like one and is not sound JSON, its offset."""
    for found in _RECORD.finditer(file.view()):
        start, end = found.span(1)
        if end - start > _MAX_HEADER:
            yield found.start()
            continue
        try:
            held = json.loads(found[1])
        except (ValueError, RecursionError):
            yield found.start()
            continue
        kind = next((key for key in held if key not in _PLACE), None)
        if kind is None:
            yield found.start()
            continue
        rank = _RANK.match(found[0])
        offset, after = found.span(2)
        attempt = held.get("attempt")
        yield Record(
            kind=kind,
            fields=held[kind],
            compile_id=_compile_id(held),
            attempt=attempt if type(attempt) is int else 0,
            stack=held.get("stack"),
            rank=rank[1].decode() if rank else str(held["rank"]) if type(held.get("rank")) is int else "",
            offset=offset,
            length=after - offset,
        )


def messages(file: File) -> Iterator[Record]:
    """The artifacts that TORCH_LOGS prints, in order: each is a run of lines of one place, and a graph begins anew."""
    view = file.view()
    start = end = 0
    known: tuple[bytes, ...] = ()
    for found in _MESSAGE.finditer(view):
        key = found.groups(b"")
        begins_graph = b"TRACED GRAPH" in found[0]
        if known and (key != known or found.start() != end or begins_graph):
            yield _printed(known, start, bytes(view[start : min(end, start + 2000)]), end - start)
            known = ()
        if not known:
            known, start = key, found.start()
        end = found.end()
    if known:
        yield _printed(known, start, bytes(view[start : min(end, start + 2000)]), end - start)


def _printed(key: tuple[bytes, ...], offset: int, head: bytes, length: int) -> Record:
    place, id, attempt, name = (each.decode("ascii", "replace") for each in key)
    kind = _ARTIFACTS.get(name, name)
    if name == "aot_graphs" and b"TRACED GRAPH" in head:
        kind = next((kind for title, kind in _TITLES.items() if title in head), "aot_inference_graph")
    rank = _RANK.match(place.encode())
    number = int(attempt) if attempt and len(attempt) < 7 else 0
    return Record(kind, {}, id, number, None, rank[1].decode() if rank else "", offset, length, printed=True)


def payload(data: bytes, *, printed: bool = False) -> str:
    """A payload's text without what stands before each line; a printed graph's from its class on."""
    text = data.decode("utf-8", "replace")
    if printed:
        text = _MESSAGE_PREFIX.sub("", text)
        if text.startswith("TRACED GRAPH"):
            at = re.search(r"class \S+\(torch\.nn\.Module\):", text)
            text = text[at.start() :] if at else text
        return text
    return text.removeprefix("\t").replace("\n\t", "\n").removesuffix("\n")


def _compile_id(held: Mapping[str, Any]) -> str:
    autograd, frame, compiled = (held.get(key) for key in ("compiled_autograd_id", "frame_id", "frame_compile_id"))
    parts = [] if type(autograd) is not int else [f"!{autograd}"]
    if type(frame) is int:
        parts += [str(frame), str(compiled) if type(compiled) is int else "0"]
    return "/".join(parts)
