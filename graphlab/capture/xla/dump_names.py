"""What the files in an XLA dump (``--xla_dump_to``) are called: modules, stages, passes. Imports nothing heavy.

Names: xla/service/dump.cc of https://github.com/openxla/xla. ``module_0016.jit_f.before_optimizations.txt``,
``module_0016.jit_f.0012.simplification.after_algsimp.before_dce.hlo.pb``, ``module_0016.jit_f.sm_8.0_gpu_after_optimizations.txt``;
a time may stand before all of it (``xla_dump_include_timestamp``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

FORMS = (".hlo.pb", ".hlo.pb.gz", ".pb", ".pb.gz", ".txt", ".txt.gz", ".hlo", ".hlo.gz", ".hlo.pbtxt", ".pbtxt")
"""Endings of a module's file, those that hold all of it first: text leaves out the values of large constants."""

_FORM = "|".join(re.escape(form) for form in sorted(FORMS, key=len, reverse=True))
_TIME = r"(?:\d{10,}\.)?"
SNAPSHOT = re.compile(
    rf"{_TIME}(?P<module>.+)\.(?P<order>\d{{4}})\.(?P<pipeline>.+?)\.after_(?P<pass>.+?)(?:\.before_(?P<next>.+?))?(?P<form>{_FORM})"
)
"""A module dumped after a pass: ``module_0003.f.0011.dot-library-passes.after_dot_decomposer.before_fusion.txt``."""
_BEFORE = re.compile(rf"{_TIME}(?P<module>.+)\.(?P<kind>before_optimizations)(?P<form>{_FORM})")
_AFTER = re.compile(
    rf"{_TIME}(?P<module>.+?)\.(?P<kind>(?:sm_\d+\.\d+[a-z]?_)?(?:[\w:+\-]+?_)?(?:after_optimizations\w*|after_codegen))(?P<form>{_FORM})"
)
_RUN = re.compile(rf"{_TIME}(?P<module>.+)\.(?P<kind>snapshot\.-?\d+|snapshot|[\w.]*unoptimized_hlo_snapshot[\w.\-]*)(?P<form>{_FORM})")
_TPU = re.compile(r"\.cl_\d+$")  # libtpu puts the version it was built at behind the name
_NUMBER = re.compile(r"module_(\d+)\.(.+)")

START = "pipeline-start"
"""What a dump before a pipeline's first pass stands after: no pass at all."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A module around one pass.

    Attributes:
        file: its name.
        order: its number in the dump, four digits.
        pass_name: the pass it stands after.
        next: the pass it stands before, empty where the name does not say.
    """

    file: str
    order: str
    pipeline: str
    pass_name: str
    next: str

    @property
    def stage(self) -> str:
        """``0012.simplification.algsimp``; ``0012.simplification.before_dce`` where no pass made it."""
        return f"{self.order}.{self.pipeline}.{self.pass_name or 'before_' + self.next}"


@dataclass(frozen=True, slots=True)
class Dumped:
    """One module's files.

    Attributes:
        prefix: what all their names begin with, a time apart: ``module_0016.jit_f``.
        before: the file of the module as XLA was given it, empty where it was not dumped.
        after: that of the module as XLA made it.
        finals: what else was dumped at the end, by name: ``after_codegen``, ``after_optimizations_before_buffer_assignment``.
        platform: what ``after``'s name says: ``cpu``, ``sm_8.0_gpu``, ``tpu``; empty where it says nothing.
        shots: the module around passes, in order.
        runs: the module with the arguments of a run, each time it ran.
        others: files that hold no module of HLO.
    """

    prefix: str
    before: str
    after: str
    platform: str
    finals: tuple[tuple[str, str], ...]
    shots: tuple[Shot, ...]
    runs: tuple[str, ...]
    others: tuple[str, ...]

    @property
    def name(self) -> str:
        """``jit_f``."""
        match = _NUMBER.fullmatch(self.prefix)
        return _TPU.sub("", match[2] if match else self.prefix)

    @property
    def number(self) -> int | None:
        """XLA's number for it within the process that dumped it."""
        match = _NUMBER.fullmatch(self.prefix)
        return int(match[1]) if match and len(match[1]) < 19 else None


def is_dumped(name: str) -> bool:
    """Whether a file is called as a module in a dump is."""
    return any(pattern.fullmatch(name) for pattern in (_BEFORE, SNAPSHOT, _AFTER, _RUN))


def dumped(names: Iterable[str]) -> list[Dumped]:
    """The modules in a dump, in the order of their numbers."""
    befores: dict[str, list[re.Match[str]]] = {}
    afters: dict[str, list[re.Match[str]]] = {}
    runs: dict[str, list[re.Match[str]]] = {}
    shots: dict[str, list[re.Match[str]]] = {}
    rest: list[str] = []
    for name in names:
        for pattern, found in ((_BEFORE, befores), (SNAPSHOT, shots), (_AFTER, afters), (_RUN, runs)):
            match = pattern.fullmatch(name)
            if match is not None:
                found.setdefault(match["module"], []).append(match)
                break
        else:
            rest.append(name)
    prefixes = sorted({*befores, *afters, *shots, *runs}, key=_order)
    others = _owners(rest, prefixes)
    return [
        Dumped(
            prefix,
            before=_first(befores.get(prefix, [])),
            after=_first(_optimized(afters.get(prefix, []))),
            platform=_platform(prefix, afters.get(prefix, [])),
            finals=_finals(afters.get(prefix, [])),
            shots=tuple(_shots(shots.get(prefix, []))),
            runs=tuple(match[0] for match in runs.get(prefix, [])),
            others=tuple(others.get(prefix, ())),
        )
        for prefix in prefixes
    ]


def _order(prefix: str) -> tuple[int, str]:
    match = _NUMBER.fullmatch(prefix)
    return (int(match[1]) if match and len(match[1]) < 19 else -1, prefix)


def _first(found: list[re.Match[str]]) -> str:
    """Of one stage in several forms, the one that holds most; of several times, the last."""
    best = min((FORMS.index(match["form"]) for match in found), default=0)
    return max((match[0] for match in found if FORMS.index(match["form"]) == best), default="")


def _optimized(found: list[re.Match[str]]) -> list[re.Match[str]]:
    """Where XLA dumped the optimized module more than once (``after_optimizations_before_buffer_assignment``), the plain one."""
    optimized = [match for match in found if "after_optimizations" in match["kind"]]
    shortest = min((len(match["kind"]) for match in optimized), default=0)
    return [match for match in optimized if len(match["kind"]) == shortest]


def _platform(prefix: str, found: list[re.Match[str]]) -> str:
    kinds = [match["kind"] for match in found if "after_optimizations" in match["kind"]]
    said = min(kinds, key=len, default="").partition("after_optimizations")[0].rstrip("_")
    return said or ("tpu" if _TPU.search(prefix) else "")


def _finals(found: list[re.Match[str]]) -> tuple[tuple[str, str], ...]:
    kinds: dict[str, list[re.Match[str]]] = {}
    for match in found:
        kinds.setdefault(match["kind"], []).append(match)
    plain = {match["kind"] for match in _optimized(found)}
    return tuple((kind, _first(matches)) for kind, matches in sorted(kinds.items()) if kind not in plain)


def _shots(found: list[re.Match[str]]) -> list[Shot]:
    """In order; of several forms of one, the one that holds most."""
    best: dict[tuple[str, str, str, str], re.Match[str]] = {}
    for match in sorted(found, key=lambda match: FORMS.index(match["form"])):
        best.setdefault((match["order"], match["pipeline"], match["pass"], match["next"] or ""), match)
    return [Shot(match[0], *key) for key, match in sorted(best.items())]


def _owners(names: list[str], prefixes: list[str]) -> dict[str, list[str]]:
    """Whose the other files are: of the module with the longest prefix that theirs begins with."""
    known, owners = set(prefixes), dict[str, list[str]]()
    for name in names:
        parts = re.sub(rf"^{_TIME}", "", name).split(".")
        for end in range(len(parts) - 1, 0, -1):
            prefix = ".".join(parts[:end])
            if prefix in known:
                owners.setdefault(prefix, []).append(name)
                break
    return owners


def changed(module: Dumped, passes: str, same: Callable[[str, str], bool]) -> list[Shot]:
    """The module around passes, without those equal to the one before (the start of a pipeline).

    XLA dumps around a pass: a module that stands before one of ``passes`` and after another has no pass of its
    own (``pass_name`` is empty): all since the last dump changed it.

    Args:
        passes: the regular expression of passes that the dump was asked for.
        same: whether two files hold the same.
    """
    kept: list[Shot] = []
    last = module.before
    for shot in module.shots:
        if not last or not same(last, shot.file):
            own = shot.pass_name if shot.pass_name != START and re.search(passes, shot.pass_name) else ""
            kept.append(Shot(shot.file, shot.order, shot.pipeline, own, shot.next))
        last = shot.file
    return kept
