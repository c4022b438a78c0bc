"""The checks, each a function of a file's path; ``select`` names the program where it holds several."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from graphlab.capture.dispatch import load
from graphlab.errors import FormatError, GraphlabError, SelectError, UnknownFormat
from graphlab.ir.constants import digest
from graphlab.ir.format import dumps, loads
from graphlab.ir.graph import Graph
from graphlab.ir.verify import verify
from graphlab.testing.mutate import mutated

Check: TypeAlias = Callable[..., None]

DAMAGED = 24
"""Mutated copies that :func:`check_damage` tries; ``graphlab.testing.fuzz`` tries as many as one likes."""
MEMORY_FLOOR = 100 << 20
MEMORY_FACTOR = 50
"""A reader may use this many bytes for each of the file's, above the floor: a node takes some 2 KB however few bytes name it."""
DAMAGE_SECONDS = 20.0


def check_verified(path: str | Path, *, select: str | None = None) -> None:
    """It reads, and the Program keeps the rules of the IR."""
    found = list(verify(load(path, select=select)))
    assert not found, f"{path}: {found[0].message}"


def check_ports(path: str | Path, *, select: str | None = None) -> None:
    """Every operand slot is fed once or told absent, and every value used is one its maker has."""
    program = load(path, select=select)
    for name, graph in program.graphs.items():
        for id in graph.nodes:
            _check_slots(graph, id, f"{path}: {name}/{id}")


def _check_slots(graph: Graph, id: str, at: str) -> None:
    absent = graph.nodes[id].get("absent", ())
    slots = sorted([data["dst_port"] for *_, data in graph.in_edges(id, data=True) if data["kind"] == "data"] + list(absent))
    assert slots == list(range(len(slots))), f"{at} has operand slots {slots[:20]}"
    for src, _, data in graph.in_edges(id, data=True):
        if data["kind"] == "data":
            have = len(graph.nodes[src].get("outputs", ()))
            assert 0 <= data["src_port"] < have, f"{at} takes result {data['src_port']} of {src}, which has {have}"


def check_deterministic(path: str | Path, *, select: str | None = None) -> None:
    """Read again, here and in a process that hashes strings another way, it is the same to the byte."""
    first = dumps(load(path, select=select))
    assert first == dumps(load(path, select=select)), f"{path}: a second reading differs"
    other = _elsewhere(str(path), select)["digest"]
    assert digest(first) == other, f"{path}: a reading under another PYTHONHASHSEED differs"


def check_round_trip(path: str | Path, *, select: str | None = None) -> None:
    """Saved as ``.graphlab`` and loaded, it is the same: to the byte when saved again, and to the diff."""
    import graphlab

    program = load(path, select=select)
    saved = dumps(program)
    again = loads(saved, name=f"{path} saved")
    assert dumps(again) == saved, f"{path}: saved again it differs"
    if program.count() <= 2000:
        found = graphlab.diff(program, again)
        assert not found.changes, f"{path}: differs from itself saved: {found.changes[0]}"


def check_memory(path: str | Path, *, select: str | None = None) -> None:
    """Reading takes memory in proportion to the file, its weights left out."""
    size = sum(p.stat().st_size for p in _files(Path(path)))
    grown = _elsewhere(str(path), select)["grown_bytes"]
    limit = MEMORY_FLOOR + MEMORY_FACTOR * size
    assert grown <= limit, f"{path}: reading {size:,} bytes took {grown / 2**20:,.0f} MiB; {limit / 2**20:,.0f} MiB is allowed"


def check_runs_nothing(path: str | Path, *, select: str | None = None) -> None:
    """Reading runs no code from the file, starts no program, opens no connection, writes no file, imports no framework."""
    told = _elsewhere(str(path), select)
    assert not told["events"], f"{path}: reading it did {told['events'][:5]}"
    assert not told["frameworks"], f"{path}: reading it imported {', '.join(told['frameworks'])}"


def check_damage(path: str | Path, *, select: str | None = None, seed: int = 0) -> None:
    """Cut short or changed, it is refused by an error of graphlab's that names file and place, or read and verified."""
    path = Path(path)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(DAMAGED):
            copy = mutated(path, random.Random(f"{seed} {number}"), Path(folder) / str(number))
            start = time.perf_counter()
            broken = _refusal(copy, select)
            assert not broken, f"{path}, mutation {number} of seed {seed}: {broken}"
            took = time.perf_counter() - start
            assert took < DAMAGE_SECONDS, f"{path}, mutation {number} of seed {seed}: took {took:.1f} s"


def _refusal(copy: Path, select: str | None) -> str:
    """What is wrong with how a damaged file was refused; empty where nothing is, or where it was read."""
    try:
        load(copy, select=select)
    except (UnknownFormat, SelectError):
        return ""
    except FormatError as error:
        if str(copy) not in str(error):
            return f"the error does not name the file: {error}"
        return "" if error.where else f"the error does not say where in the file: {error}"
    except GraphlabError as error:
        return f"{type(error).__name__}, which is no FormatError: {error}"
    return ""


CHECKS: tuple[Check, ...] = (
    check_verified,
    check_ports,
    check_deterministic,
    check_round_trip,
    check_memory,
    check_runs_nothing,
    check_damage,
)


def check_reader(path: str | Path, *, select: str | None = None) -> None:
    """All checks on one file. Raises AssertionError that says what was broken."""
    for check in CHECKS:
        check(path, select=select)


def reader_checks(*paths: str | Path, checks: Iterable[Check] = CHECKS) -> list[Any]:
    """Every check with every file, for ``pytest.mark.parametrize(("check", "path"), ...)``."""
    import pytest

    return [
        pytest.param(check, path, id=f"{Path(path).name}-{check.__name__.removeprefix('check_')}") for path in paths for check in checks
    ]


def _files(path: Path) -> Iterator[Path]:
    yield from (p for p in path.rglob("*") if p.is_file()) if path.is_dir() else (path,)


@cache
def _elsewhere(path: str, select: str | None) -> dict[str, Any]:
    """What :mod:`graphlab.testing.worker` tells of a reading in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "graphlab.testing.worker", json.dumps([path, select])],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )
    assert done.returncode == 0, f"{path}: a reading in a process of its own failed:\n{done.stderr[-2000:]}"
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


__all__ = ["CHECKS", "Check", "check_reader", "reader_checks"]
