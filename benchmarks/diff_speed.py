"""Time and memory of a diff against the time XLA's C++ parser takes to parse both sides.

    python benchmarks/diff_speed.py [--sizes 32000 100000] [--edits 0.002]

The pair is the text of ``benchmarks/hlo_text.py`` and itself with unary nodes taken out at that rate, all names
gone and everything in another order. Each size has a process of its own.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace

SIZES = (32_000, 100_000)


def one(size: int, edits: float) -> None:
    """Measure one size in this process and print a line."""
    from jaxlib._hlo import hlo_module_from_text

    import graphlab
    from benchmarks.diff_quality.disguise import disguise
    from benchmarks.diff_quality.plant import bypass, bypassable
    from benchmarks.hlo_text import module_text
    from graphlab.capture.xla.hlo_text import parse_hlo
    from graphlab.diff.changes import GraphDiff

    text = module_text(size)
    parsing = min(_seconds(lambda: hlo_module_from_text(text)) for _ in range(3))
    a = parse_hlo(text)
    rng = random.Random(0)
    graphs = {name: graph.copy() for name, graph in a.graphs.items()}
    for graph in graphs.values():
        for id in list(graph):
            if rng.random() < edits and bypassable(graph, id):
                bypass(graph, id)
    b, _ = disguise(replace(a, graphs=graphs), "both", 1)
    found: list[GraphDiff] = []
    took = min(_seconds(lambda: found.append(graphlab.diff(a, b))) for _ in range(2 if size < 500_000 else 1))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    nodes = sum(map(len, a.graphs.values()))
    ratio = f"diff {took:7.2f} s, XLA parses both in {2 * parsing:6.2f} s: {took / (2 * parsing):5.2f} times"
    print(f"{nodes:>9,} nodes: {ratio}; peak {peak:.2f} GB; {found[-1].summary()}")


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", nargs="*", type=int, default=list(SIZES))
    parser.add_argument("--edits", type=float, default=0.002)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        one(args.one, args.edits)
        return 0
    for size in args.sizes:
        subprocess.run([sys.executable, "-m", "benchmarks.diff_speed", "--one", str(size), "--edits", str(args.edits)], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
