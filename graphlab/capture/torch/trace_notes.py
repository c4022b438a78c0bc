"""What a compile log says besides graphs: breaks, recompiles, failures, caches passed by, guesses; as notes.

Each note is a mapping with ``kind`` and ``text``, where known ``file``, ``line``, ``function`` of the user's code, and
``data`` of its own kind. Sources: the ``trace_structured`` calls of torch 2.3 to 2.13.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from graphlab.capture.torch.source_text import is_user_file, parse_stack
from graphlab.capture.torch.trace_records import Record
from graphlab.ir.frozen import FrozenDict, frozen

Note = FrozenDict[str, Any]

NOTED = frozenset((
    "dynamo_graph_break_reason", "dynamo_graph_break", "recompile_reasons", "recompile_reason", "dynamo_error", "aotautograd_cache_bypass",
    "fx_graph_cache_bypass", "propagate_real_tensors_provenance", "mismatched_fake_kernel", "missing_fake_kernel",
))  # fmt: skip
"""Records whose payload or fields make a note."""

_WHERE = re.compile(r"Graph break(?: \([^)\n]*\))? in user code at (?P<file>[^\n]+?):(?P<line>\d{1,9})\n")
_HINT = re.compile(r"^\s*Hint: (.+)$", re.MULTILINE)
_EXPLANATION = re.compile(r"^\s*Explanation: (.+)$", re.MULTILINE)
_ERROR = re.compile(r"^(?!\s|File )([\w.]+(?:Error|Exception|Unsupported|Failed|Exit|Warning)\w*): (.*)$", re.MULTILINE)
_RECOMPILED = re.compile(r"Recompiling function (?P<function>\S+) in (?P<file>[^\n]+?):(?P<line>\d{1,9})\n")
_CAUSE = re.compile(r"^[\s-]*\[?(?P<after>!?\d+(?:/\d+)*)\]?: (?P<reason>.+)$", re.MULTILINE)
_MAX_TEXT = 2000


class Files:
    """The log's own table of file names: ``{"str": ["model.py", 3]}``."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}

    def add(self, fields: Any) -> None:
        if isinstance(fields, list) and len(fields) == 2 and isinstance(fields[0], str) and type(fields[1]) is int:
            self._names[fields[1]] = fields[0]

    def innermost(self, stack: Any) -> dict[str, Any]:
        """``file``, ``line`` and ``function`` of a stack's innermost user frame; the log writes the innermost last."""
        for frame in reversed(stack if isinstance(stack, list) else []):
            if not isinstance(frame, Mapping):
                continue
            file = frame.get("filename")
            name = self._names.get(file) if type(file) is int else file
            if isinstance(name, str) and is_user_file(name) and type(frame.get("line")) is int:
                return {"file": name, "line": frame["line"], "function": str(frame.get("name", ""))}
        return {}


def notes(record: Record, text: str, files: Files) -> Iterator[Note]:
    """The notes that one record makes.

    Args:
        text: its payload.
    """
    match record.name:
        case "dynamo_graph_break_reason" | "dynamo_graph_break":
            yield graph_break(text)
        case "recompile_reasons" | "recompile_reason":
            yield from _recompiles(text, record)
        case "dynamo_error":
            yield _failure(text)
        case "aotautograd_cache_bypass" | "fx_graph_cache_bypass":
            reason = _json(text).get("cache_bypass_reason")
            if isinstance(reason, str):
                yield _note("cache-bypass", _line(reason), cache=record.name.removesuffix("_cache_bypass"))
        case "propagate_real_tensors_provenance":
            held = record.fields if isinstance(record.fields, Mapping) else {}
            text = f"{held.get('expr')} was taken to be {held.get('result')}, as it is for the example inputs"
            yield _note("data-dependent-guess", text, **files.innermost(held.get("user_stack")), expr=str(held.get("expr")))
        case "mismatched_fake_kernel" | "missing_fake_kernel":
            held = record.fields if isinstance(record.fields, Mapping) else {}
            yield _note("fake-kernel", f"{held.get('op')}: {held.get('reason') or 'it has no fake kernel'}", op=str(held.get("op")))
        case "compilation_metrics":
            yield from _of_metrics(record.fields)


def graph_break(text: str) -> Note:
    """A break, from the text Dynamo writes of it."""
    where = _WHERE.search(text)
    reason = text.partition("Graph Break Reason:")[2] or text
    reason = re.split(r"\n(?:User code traceback|Traceback \(most)", reason, maxsplit=1)[0]
    told = [line for line in map(str.strip, reason.splitlines()) if line and not line.startswith("Encountered graph break")]
    explanation = _EXPLANATION.search(reason)
    place: dict[str, Any] = {}
    stack = parse_stack(text.partition("User code traceback:")[2].partition("Traceback (most")[0])
    if stack:
        place = {"file": stack[0].file, "line": stack[0].line, "function": stack[0].function}
    elif where:
        place = {"file": where["file"], "line": int(where["line"])}
    return _note(
        "graph-break",
        _line(told[0] if told else "Dynamo stopped here"),
        **place,
        explanation=_line(explanation[1]) if explanation else "",
        hints=tuple(_HINT.findall(reason)[:4]),
    )


def _recompiles(text: str, record: Record) -> Iterator[Note]:
    """One for every guard that failed: ``0/0: tensor 'x' size mismatch at index 0. expected 3, actual 5``."""
    held = _parsed(text)
    if isinstance(held, list):
        text = "\n".join(str(each) for each in held)
    place: dict[str, Any] = {}
    if told := _RECOMPILED.search(text):
        place = {"file": told["file"], "line": int(told["line"]), "function": told["function"]}
    found = list(_CAUSE.finditer(text))
    for each in found[:50]:
        yield _note("recompile", _line(each["reason"]), **place, after=each["after"], of=record.compile_id)
    if not found and text.strip():
        yield _note("recompile", _line(text.strip()), of=record.compile_id)


def _failure(text: str) -> Note:
    errors = list(_ERROR.finditer(text))
    user = parse_stack(text.partition("from user code:")[2])
    place = {"file": user[0].file, "line": user[0].line, "function": user[0].function} if user else {}
    last = errors[-1] if errors else None
    explanation = _EXPLANATION.search(text)
    return _note(
        "compile-failed",
        _line(f"{last[1].rpartition('.')[2]}: {last[2]}" if last else text.strip().rpartition("\n")[2]),
        **place,
        explanation=_line(explanation[1]) if explanation else "",
        hints=tuple(_HINT.findall(text)[:4]),
    )


def _of_metrics(fields: Any) -> Iterator[Note]:
    """Restarts and failures, which older logs tell nowhere else."""
    if not isinstance(fields, Mapping):
        return
    if isinstance(fields.get("fail_type"), str):
        place: dict[str, Any] = {"file": str(fields["fail_user_frame_filename"])} if fields.get("fail_user_frame_filename") else {}
        line = fields.get("fail_user_frame_lineno")
        if place and type(line) is int:
            place["line"] = line
        reason = str(fields.get("fail_reason") or "").strip()
        name = str(fields["fail_type"]).rpartition(".")[2].rstrip("'>")
        yield _note("compile-failed", _line(f"{name}: {reason}" if reason else name), **place)
    for reason in fields.get("restart_reasons") or () if isinstance(fields.get("restart_reasons"), list) else ():
        if isinstance(reason, str):
            yield _note("restart", _line(reason))


def _note(kind: str, text: str, /, **facts: Any) -> Note:
    place = {key: facts.pop(key) for key in ("file", "line", "function") if facts.get(key)}
    return frozen({"kind": kind, "text": text, **place, **{key: value for key, value in facts.items() if value}})


def _line(text: str) -> str:
    """Its first line, or the first two where the first only announces the second; not endless."""
    first, _, rest = text.strip().partition("\n")
    if first.endswith(":") and rest.strip():
        first = f"{first} {rest.strip().partition(chr(10))[0]}"
    return first.strip()[:_MAX_TEXT]


def _json(text: str) -> Mapping[str, Any]:
    held = _parsed(text)
    return held if isinstance(held, dict) else {}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # a text
        return None
