"""What a compile log tells of a model: where Dynamo broke its graph, what was compiled again and why, what failed.

It takes a :class:`~graphlab.compilers.results.Compiled` read from such a log, several of them by compile id, or a
Program out of one: the facts are the notes that the reader made.
"""

from __future__ import annotations

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
    "recompile": "GL502",
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
        breaks, recompiles, failures: how many of each.
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
    functions: dict[str, str] = {}
    seconds = 0.0
    for id, compiled in compiles.items():
        frame = next((note for note in compiled.notes if note["kind"] == "frame"), FrozenDict[str, Any]())
        functions[id] = str(frame.get("function", ""))
        findings.extend(_findings(id, frame, compiled.notes))
        spent = getattr(compiled, "metrics", {}).get("compile_seconds")
        seconds += getattr(spent, "value", 0.0)
    codes = [finding.code for finding in findings]
    return Result(
        functions, codes.count("GL501"), codes.count("GL502"), codes.count("GL503"), seconds, tuple(_folded(findings, options.each))
    )


def _findings(id: str, frame: FrozenDict[str, Any], notes: tuple[FrozenDict[str, Any], ...]) -> Iterator[Finding]:
    for note in notes:
        kind = note["kind"]
        code = _CODES.get(kind)
        if code is None:
            continue
        where = note if "file" in note else frame if kind in ("recompile", "compile-failed", "restart") else FrozenDict[str, Any]()
        place = Frame(where["file"], where.get("line", 0), 0, where.get("function", "")) if "file" in where else None
        hints = note.get("hints", ())
        yield Finding(
            code,
            _message(kind, id, note, str(frame.get("function", ""))),
            where=place,
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
        case "recompile":
            return f"{subject} is compiled again{at}: {text}"
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
            last = next(f for f in reversed(findings) if (f.code, str(f.where)) == (code, where))
            yield Finding(
                code,
                f"{count - each:,} more of the same kind on that line",
                where=last.where,
                do=last.do,
                data=FrozenDict(count=count - each),
            )
