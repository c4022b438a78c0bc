"""One side of a benchmark in a process of its own: what it took there, its peak of memory among that."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

Measured: TypeAlias = dict[str, float]


def peak() -> int:
    """Most bytes resident so far in this process. On Linux from /proc: ``ru_maxrss`` keeps the parent's peak."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def in_process(script: str, side: str, path: str | Path, environment: Mapping[str, str] | None = None) -> Measured:
    """Run ``script --side SIDE PATH`` and take the JSON of its last line; empty where it prints none."""
    words = [sys.executable, script, "--side", side, str(path)]
    done = subprocess.run(words, check=False, capture_output=True, text=True, env={**os.environ, **(environment or {})})
    if done.returncode:
        sys.exit(f"{' '.join(words)} exited {done.returncode}:\n{done.stderr}")
    lines = done.stdout.splitlines()
    found: Measured = json.loads(lines[-1]) if lines else {}
    return found


def measured_here(sides: Mapping[str, Callable[[Path], Measured | None]]) -> bool:
    """Whether this process is one that :func:`in_process` started: then the side is run and its figures are printed."""
    if len(sys.argv) != 4 or sys.argv[1] != "--side":
        return False
    found = sides[sys.argv[2]](Path(sys.argv[3]))
    if found is not None:
        print(json.dumps(found))
    return True


def alternated(script: str, sides: Sequence[str], path: str | Path, rounds: int) -> list[list[Measured]]:
    """What each side measured: the sides in turn, A B A B …"""
    pairs = [[in_process(script, side, path) for side in sides] for _ in range(rounds)]
    return [list(each) for each in zip(*pairs, strict=True)]


def fastest(measured: Sequence[Measured]) -> Measured:
    return min(measured, key=lambda each: each["seconds"])
