"""How every benchmark here measures: two things in turn, A B A B …, and the ratio of their medians.

Machines drift; a ratio within one run holds where seconds do not.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def command(words: Sequence[str]) -> Callable[[], object]:
    """A whole process, its output thrown away; it must exit 0 or 1 (findings, differences)."""

    def run() -> None:
        done = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
        if done.returncode not in (0, 1):
            sys.exit(f"{' '.join(words)} exited {done.returncode}:\n{done.stderr.decode()}")

    return run


def compare(what: str, ours: Callable[[], object], peer: Callable[[], object], *, target: float, runs: int = 7) -> float:
    """Print and return the ratio of medians ours / peer, beside the figure to reach. One warm-up run each is not counted."""
    ours()
    peer()
    pairs = [(seconds(ours), seconds(peer)) for _ in range(runs)]
    return report(what, [a for a, _ in pairs], [b for _, b in pairs], target=target)


def report(what: str, ours: Sequence[float], peer: Sequence[float], *, target: float) -> float:
    a, b = statistics.median(ours), statistics.median(peer)
    verdict = "reached" if a / b <= target else "MISSED"
    print(f"{what:<68} {a * 1e3:9.1f} ms / {b * 1e3:9.1f} ms = {a / b:6.3f}   at most {target:g}: {verdict}", flush=True)
    return a / b
