"""The table: every graph, rate, tier and seed; medians, and the worst.

    python -m benchmarks.diff_quality [--graphs NAME …] [--rates 0.005 …] [--tiers both …] [--seeds 20] [--json FILE]

Graphs whose framework or corpus (``GRAPHLAB_CORPUS``) is not there are said to be left out.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from statistics import median

from benchmarks.diff_quality import baselines
from benchmarks.diff_quality.disguise import TIERS, disguise
from benchmarks.diff_quality.graphs import BY_DEFAULT, load
from benchmarks.diff_quality.plant import Truth, plant
from benchmarks.diff_quality.score import Pairs, Score, equal, orbits, score
from graphlab.diff import diff
from graphlab.ir.program import NodeRef, Program
from graphlab.ir.verify import ensure_verified

Group = tuple[frozenset[NodeRef], frozenset[NodeRef]]
RATES = (0.005, 0.02, 0.05)
BASELINES: dict[str, Callable[[Program, Program], dict[NodeRef, NodeRef]]] = {"name": baselines.by_name, "sequence": baselines.by_sequence}


def engine(a: Program, b: Program) -> tuple[Pairs, list[Group], bool, float]:
    """The engine's matches, whether its script makes B of A by the scorer's own check, and the seconds it took."""
    began = time.perf_counter()
    found = diff(a, b)
    took = time.perf_counter() - began
    patched = ensure_verified(found.apply(a))
    groups = [(frozenset(r.a), frozenset(r.b)) for r in found.rewrites if r.a and r.b]
    return {m.a: m.b for m in found.matches}, groups, equal(patched, b, found.placed, found.regions), took


def renamed(truth: Truth, who: dict[NodeRef, NodeRef]) -> Truth:
    """The truth in the names of B's disguise."""
    return replace(
        truth,
        pairs={who[y]: x for y, x in truth.pairs.items()},
        groups=[(xs, frozenset(who[y] for y in ys)) for xs, ys in truth.groups],
        same_b={who[y]: who[x] for y, x in truth.same_b.items()},
        free=(truth.free[0], {who[y] for y in truth.free[1] if y in who}),
    )


def trial(a: Program, rate: float, tier: str, seed: int, same: dict[NodeRef, int], rivals: bool) -> dict[str, tuple[Score, float]]:
    """One planted script, scored for the engine and, where asked for, the baselines."""
    edited, truth = plant(a, rate, seed)
    b, who = disguise(ensure_verified(edited), tier, seed)
    truth, other = renamed(truth, who), orbits(b)
    pairs, groups, applied, took = engine(a, b)
    found = {"engine": (score(a, b, truth, pairs, same=(same, other), groups=groups, applied=applied), took)}
    for name, match in BASELINES.items() if rivals else ():
        began = time.perf_counter()
        guess = match(a, b)
        found[name] = (score(a, b, truth, guess, same=(same, other)), time.perf_counter() - began)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.diff_quality")
    parser.add_argument("--graphs", nargs="*", default=list(BY_DEFAULT))
    parser.add_argument("--rates", nargs="*", type=float, default=list(RATES))
    parser.add_argument("--tiers", nargs="*", choices=TIERS, default=list(TIERS))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--rivals", action="store_true", help="the baselines too")
    parser.add_argument("--json", metavar="FILE", help="every figure of every trial")
    args = parser.parse_args()
    records = []
    print("| graph | nodes | rate | tier | by | F1 orbit | worst | F1 strict | groups | edges | cost ÷ planted | p95 | applied | s |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    for name in args.graphs:
        a = load(name)
        if a is None:
            print(f"left out: {name}: its framework or the corpus is not there", file=sys.stderr)
            continue
        same = orbits(a)
        nodes = sum(map(len, a.graphs.values()))
        for rate in args.rates:
            for tier in args.tiers:
                by: dict[str, list[tuple[Score, float]]] = defaultdict(list)
                for seed in range(args.seeds):
                    for who, result in trial(a, rate, tier, seed, same, args.rivals).items():
                        by[who].append(result)
                        fields = {f: getattr(result[0], f) for f in Score.__dataclass_fields__}
                        records.append({"graph": name, "rate": rate, "tier": tier, "seed": seed, "by": who, "seconds": result[1], **fields})
                for who, results in by.items():
                    print(row(name, nodes, rate, tier, who, results), flush=True)
    if args.json:
        with open(args.json, "w") as out:
            json.dump(records, out)
    return 0


def row(name: str, nodes: int, rate: float, tier: str, who: str, results: list[tuple[Score, float]]) -> str:
    scores = [s for s, _ in results]
    ratios = sorted(s.ratio for s in scores)
    grouped = [s.groups for s in scores if s.groups is not None]
    applied = [s.applied for s in scores if s.applied is not None]
    cells = [
        name,
        f"{nodes:,}",
        f"{rate:.1%}",
        tier,
        who,
        f"{median(s.orbit for s in scores):.4f}",
        f"{min(s.orbit for s in scores):.4f}",
        f"{median(s.strict for s in scores):.4f}",
        f"{median(grouped):.3f}" if grouped else "-",
        f"{median(s.edges for s in scores):.4f}",
        f"{median(ratios):.3f}",
        f"{ratios[int(0.95 * (len(ratios) - 1))]:.3f}",
        f"{sum(applied)}/{len(applied)}" if applied else "-",
        f"{median(t for _, t in results):.2f}",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
