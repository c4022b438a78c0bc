"""``.pt2`` archives to IR against ``torch.export.load``; TORCH_TRACE logs, in time a megabyte.

    python benchmarks/torch_export_reader.py [--rounds N]

One side is graphlab: archive → Program, without torch. The other is ``torch.export.load`` of the same file. Each
measurement has a process of its own, the sides alternate, the median of N counts; memory is the peak that the reading
adds to the process, imports apart: those are told beside it, for a reader that needs no torch does not wait for it. The
models are made here: a transformer encoder of 24 layers, and one of few nodes and much weight.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TIME_LIMIT = 1.0  # times torch's load
MEMORY_LIMIT = 0.5  # times torch's, its import included

MODELS = ("encoder", "weights")


def write_models(folder: Path) -> None:
    """Write the archives, and a log of compiling an encoder of 6 layers with its backward."""
    import warnings

    import torch
    from torch import nn

    warnings.simplefilter("ignore")
    layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True)
    made = {
        "encoder": (nn.TransformerEncoder(layer, 24, enable_nested_tensor=False), torch.ones(1, 8, 64)),
        "weights": (nn.Sequential(*(nn.Linear(2048, 2048) for _ in range(16))), torch.ones(1, 2048)),
    }
    for name, (model, example) in made.items():
        torch.export.save(torch.export.export(model.eval(), (example,)), folder / f"{name}.pt2")
    small = nn.TransformerEncoder(layer, 6, enable_nested_tensor=False)
    torch.compile(small, backend="aot_eager")(torch.ones(2, 8, 64)).sum().backward()


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure_graphlab(path: Path) -> dict[str, float]:
    base = _peak()
    start = time.perf_counter()
    from graphlab.capture.file import File
    from graphlab.capture.torch import pt2

    imported = time.perf_counter()
    program = pt2.read(File.open(path))
    return {"load": time.perf_counter() - imported, "import": imported - start, "bytes": _peak() - base, "nodes": program.count()}


def measure_torch(path: Path) -> dict[str, float]:
    base = _peak()
    start = time.perf_counter()
    import torch.export

    imported = time.perf_counter()
    program = torch.export.load(path)
    return {"load": time.perf_counter() - imported, "import": imported - start, "bytes": _peak() - base, "nodes": len(program.graph.nodes)}


def measure_log(path: Path) -> dict[str, float]:
    from graphlab.capture.file import File
    from graphlab.capture.torch import trace_log

    [each] = path.iterdir()
    start = time.perf_counter()
    log = trace_log.read_log(File.open(path))
    listed = time.perf_counter()
    graphs = [stage.load().count() for compiled in log.compiles.values() for stage in compiled.stages]
    done = time.perf_counter()
    return {"list": listed - start, "graphs": done - listed, "bytes": each.stat().st_size, "nodes": sum(graphs)}


MEASURES = {"graphlab": measure_graphlab, "torch": measure_torch, "log": measure_log}


def _measured(side: str, path: Path) -> dict[str, float]:
    done = subprocess.run([sys.executable, __file__, "--side", side, str(path)], capture_output=True, text=True, check=True)
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        side, path = options.side
        if side == "write":
            write_models(Path(path))
        else:
            print(json.dumps(MEASURES[side](Path(path))))
        return 0
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        logs = Path(folder) / "logs"
        environment = {**os.environ, "TORCH_TRACE": str(logs)}
        subprocess.run([sys.executable, __file__, "--side", "write", folder], env=environment, check=True, capture_output=True)
        for name in MODELS:
            path = Path(folder) / f"{name}.pt2"
            pairs = [(_measured("graphlab", path), _measured("torch", path)) for _ in range(options.rounds)]
            ours, theirs = ({key: statistics.median(each[i][key] for each in pairs) for key in pairs[0][i]} for i in (0, 1))
            ratios = {"time": ours["load"] / theirs["load"], "memory": ours["bytes"] / theirs["bytes"]}
            missed += ratios["time"] > TIME_LIMIT or ratios["memory"] > MEMORY_LIMIT
            print(
                f"{name:<8} {ours['nodes']:6,.0f} nodes, {path.stat().st_size / 1e6:6.1f} MB: "
                f"load {ours['load'] * 1e3:7.1f} / {theirs['load'] * 1e3:7.1f} ms = {ratios['time']:.3f} (at most {TIME_LIMIT:g}), "
                f"memory {ours['bytes'] / 1e6:6.1f} / {theirs['bytes'] / 1e6:6.1f} MB = {ratios['memory']:.3f} (at most {MEMORY_LIMIT:g}); "
                f"import {ours['import'] * 1e3:.0f} / {theirs['import'] * 1e3:.0f} ms",
                flush=True,
            )
        told = [_measured("log", logs) for _ in range(options.rounds)]
        log = {key: statistics.median(each[key] for each in told) for key in told[0]}
        print(
            f"log      {log['nodes']:6,.0f} nodes, {log['bytes'] / 1e6:6.1f} MB: listed in {log['list'] / log['bytes'] * 1e9:.0f} ms a MB, "
            f"graphs read in {log['graphs'] * 1e6 / log['nodes']:.0f} us a node"
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
