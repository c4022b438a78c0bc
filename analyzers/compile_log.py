"""What a compile log tells of a model: where Dynamo broke its graph, what was compiled again and why, what failed.

It takes a :class:`~graphlab.compilers.results.Compiled` read from such a log, several of them by compile id, or a
Program out of one: the facts are the notes that the reader made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphlab.compilers.results import Compiled
from graphlab.findings import Finding
from graphlab.ir.frames import Frame
from graphlab.ir.frozen import FrozenDict, frozen
from graphlab.ir.program import Program

_CODES = {
    "graph-break": "GL501",
    "compile-failed": "GL503",
    "cache-bypass": "GL504",
    "data-dependent-guess": "GL505",
    "fake-kernel": "GL506",
    "restart": "GL507",
    "damaged-line": "GL508",
}
_DO = {
    "recompile": "make what changes dynamic (torch._dynamo.mark_dynamic), or keep it fixed",
    "cache-bypass": "keep that operation out of what must start fast",
    "data-dependent-guess": "state what holds with torch._check, or write the branch with torch.cond",
    "fake-kernel": "register one with torch.library.register_fake",
}
_AGAIN = re.compile(r"(?:^|/)\d+/(\d+)$")
"""The end of a compile id: which frame, and its how-manieth compile counted from 0 (``torch._guards.CompileId``)."""
_REASONS = 3  # of one recompile, told in its message; the data have all
_LATER = 4  # recompiles of the same function that the first one's message goes on to tell


@dataclass(frozen=True, slots=True)
class Options:
    """What to report.

    Attributes:
        each: findings of one kind on one line of code that are listed each; further ones are counted in the last.
    """

    each: int = 8


@dataclass(frozen=True, slots=True)
class Result:
    """What the log tells.

    Attributes:
        compiles: compile id → the function compiled (``f``), ``""`` where the log does not say.
        breaks, failures: how many of each.
        recompiles: compiles of what was compiled before, however many guards failed.
        seconds: the compiles' own times together, where the log has them.
    """

    compiles: Mapping[str, str]
    breaks: int
    recompiles: int
    failures: int
    seconds: float
    findings: tuple[Finding, ...]


def analyze(target: Compiled | Mapping[str, Compiled] | Program, options: Options = Options()) -> Result:
    """Findings GL501 to GL508 from a log's notes.

    Args:
        target: a compile, the compiles of a log by id, or one graph of it.
    """
    if isinstance(target, Program):
        compiles: Mapping[str, Any] = {"": target.source}
    elif isinstance(target, Compiled):
        compiles = {"": target}
    else:
        compiles = target
    findings: list[Finding] = []
    again: list[_Recompile] = []
    functions: dict[str, str] = {}
    seconds = 0.0
    for id, compiled in compiles.items():
        frame = next((note for note in compiled.notes if note["kind"] == "frame"), FrozenDict[str, Any]())
        functions[id] = str(frame.get("function", ""))
        findings.extend(_findings(id, frame, compiled.notes))
        if (recompile := _recompile(id, functions[id], frame, compiled.notes)) is not None:
            again.append(recompile)
        spent = getattr(compiled, "metrics", {}).get("compile_seconds")
        seconds += getattr(spent, "value", 0.0)
    findings.extend(_recompiles(again))
    codes = [finding.code for finding in findings]
    return Result(functions, codes.count("GL501"), len(again), codes.count("GL503"), seconds, tuple(_folded(findings, options.each)))


@dataclass(frozen=True, slots=True)
class _Recompile:
    """One compile of what was compiled before. ``reasons``: what its guards say, each once → the compiles whose guards say so."""

    id: str
    function: str
    where: Frame | None
    reasons: Mapping[str, tuple[str, ...]]


def _recompile(id: str, function: str, frame: FrozenDict[str, Any], notes: tuple[FrozenDict[str, Any], ...]) -> _Recompile | None:
    """The recompile that a compile is by its id or by its notes."""
    told = [note for note in notes if note["kind"] == "recompile"]
    number = _AGAIN.search(id)
    if not told and (number is None or number[1] == "0"):
        return None
    reasons: dict[str, tuple[str, ...]] = {}
    for note in told:
        text = note["text"].rstrip(".")
        after = note.get("after", "")
        known = reasons.setdefault(text, ())
        if after and after not in known:
            reasons[text] = (*known, after)
    placed = next((note for note in told if "file" in note), frame)
    return _Recompile(id or next((note["of"] for note in told if note.get("of")), ""), function, _place(placed), reasons)


def _recompiles(again: list[_Recompile]) -> Iterator[Finding]:
    """One finding a recompile; the first one of a function names what else its later ones were made for."""
    functions: dict[str, list[_Recompile]] = {}
    for recompile in again:
        functions.setdefault(recompile.id.rpartition("/")[0], []).append(recompile)
    for recompile in again:
        same = functions[recompile.id.rpartition("/")[0]]
        subject = f"'{recompile.function}'" if recompile.function else "the function"
        message = f"{subject} is compiled again{f' ({recompile.id})' if recompile.id else ''}: {_joined(list(recompile.reasons))}"
        yield Finding(
            "GL502",
            message + (_later(same) if recompile is same[0] else ""),
            where=recompile.where,
            do=_DO["recompile"],
            data=frozen(
                {
                    "compile_id": recompile.id,
                    "function": recompile.function,
                    "reasons": [{"text": text, "after": after} for text, after in recompile.reasons.items()],
                }
            ),
        )


def _later(same: list[_Recompile]) -> str:
    """The reasons of a function's later recompiles that no earlier one had."""
    known = set(same[0].reasons)
    told: list[str] = []
    for recompile in same[1:]:
        new = [text for text in recompile.reasons if text not in known]
        known.update(new)
        if new:
            told.append(f"; ({recompile.id}): {_joined(new)}")
    more = len(told) - _LATER
    return "".join(told[:_LATER]) + (f"; {more} more recompile{'s' if more > 1 else ''} for other reasons" if more > 0 else "")


def _joined(reasons: list[str]) -> str:
    if not reasons:
        return "the log does not say why"
    more = len(reasons) - _REASONS
    return ", ".join(reasons[:_REASONS]) + (f" and {more} more" if more > 0 else "")


def _place(where: Mapping[str, Any]) -> Frame | None:
    return Frame(where["file"], where.get("line", 0), 0, where.get("function", "")) if "file" in where else None


def _findings(id: str, frame: FrozenDict[str, Any], notes: tuple[FrozenDict[str, Any], ...]) -> Iterator[Finding]:
    for note in notes:
        kind = note["kind"]
        code = _CODES.get(kind)
        if code is None:
            continue
        where = note if "file" in note else frame if kind in ("compile-failed", "restart") else FrozenDict[str, Any]()
        hints = note.get("hints", ())
        yield Finding(
            code,
            _message(kind, id, note, str(frame.get("function", ""))),
            where=_place(where),
            do=hints[0] if hints else _DO.get(kind, ""),
            data=frozen({"compile_id": id, **{key: value for key, value in note.items() if key not in ("kind", "file", "line")}}),
        )


def _message(kind: str, id: str, note: FrozenDict[str, Any], function: str) -> str:
    text = note["text"].rstrip(".")
    subject = f"'{function}'" if function else "the function"
    at = f" ({id})" if id else ""
    match kind:
        case "graph-break":
            return f"the graph of {subject} breaks here{at}: {text}"
        case "compile-failed":
            return f"{subject} could not be compiled{at}: {text}"
        case "cache-bypass":
            return f"the compile of {subject} is not cached{at}: {text}"
        case "restart":
            return f"{subject} was traced anew{at}: {text}"
        case _:
            return f"{text}{at}"


def _folded(findings: list[Finding], each: int) -> Iterator[Finding]:
    """All but those beyond ``each`` of one code on one line."""
    seen: dict[tuple[str, str], int] = {}
    for finding in findings:
        key = finding.code, str(finding.where)
        seen[key] = seen.get(key, 0) + 1
        if seen[key] <= each:
            yield finding
    for (code, where), count in seen.items():
        if count > each:
            alike = [f for f in findings if (f.code, str(f.where)) == (code, where)]
            last = alike[-1]
            yield Finding(
                code,
                f"{count - each:,} more of the same kind on that line",
                where=last.where,
                do=last.do,
                data=frozen(count=count - each, messages=[f.message for f in alike[each:]]),
            )
