"""``.pt2`` archives to IR against ``torch.export.load``; TORCH_TRACE logs, in time a megabyte.

    python benchmarks/torch_export_reader.py [--rounds N]

One side is graphlab: archive → Program, without torch. The other is ``torch.export.load`` of the same file. Each
measurement has a process of its own, the sides alternate, the median of N counts; memory is the peak that the reading
adds to the process, imports apart: those are told beside it, for a reader that needs no torch does not wait for it. The
models are made here: a transformer encoder of 24 layers, and one of few nodes and much weight.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from side import Measured, alternated, in_process, measured_here, peak

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


def measure_graphlab(path: Path) -> Measured:
    base = peak()
    start = time.perf_counter()
    from graphlab.capture.file import File
    from graphlab.capture.torch import pt2

    imported = time.perf_counter()
    program = pt2.read(File.open(path))
    return {"load": time.perf_counter() - imported, "import": imported - start, "bytes": peak() - base, "nodes": program.count()}


def measure_torch(path: Path) -> Measured:
    base = peak()
    start = time.perf_counter()
    import torch.export

    imported = time.perf_counter()
    program = torch.export.load(path)
    return {"load": time.perf_counter() - imported, "import": imported - start, "bytes": peak() - base, "nodes": len(program.graph.nodes)}


def measure_log(path: Path) -> Measured:
    from graphlab.capture.file import File
    from graphlab.capture.torch import trace_log

    [each] = path.iterdir()
    start = time.perf_counter()
    log = trace_log.read_log(File.open(path))
    listed = time.perf_counter()
    graphs = [stage.load().count() for compiled in log.compiles.values() for stage in compiled.stages]
    done = time.perf_counter()
    return {"list": listed - start, "graphs": done - listed, "bytes": each.stat().st_size, "nodes": sum(graphs)}


MEASURES = {"write": write_models, "graphlab": measure_graphlab, "torch": measure_torch, "log": measure_log}


def main() -> int:
    if measured_here(MEASURES):
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        logs = Path(folder) / "logs"
        in_process(__file__, "write", folder, {"TORCH_TRACE": str(logs)})
        for name in MODELS:
            path = Path(folder) / f"{name}.pt2"
            measured = alternated(__file__, ("graphlab", "torch"), path, options.rounds)
            ours, theirs = ({key: statistics.median(each[key] for each in side) for key in side[0]} for side in measured)
            ratios = {"time": ours["load"] / theirs["load"], "memory": ours["bytes"] / theirs["bytes"]}
            missed += ratios["time"] > TIME_LIMIT or ratios["memory"] > MEMORY_LIMIT
            print(
                f"{name:<8} {ours['nodes']:6,.0f} nodes, {path.stat().st_size / 1e6:6.1f} MB: "
                f"load {ours['load'] * 1e3:7.1f} / {theirs['load'] * 1e3:7.1f} ms = {ratios['time']:.3f} (at most {TIME_LIMIT:g}), "
                f"memory {ours['bytes'] / 1e6:6.1f} / {theirs['bytes'] / 1e6:6.1f} MB = {ratios['memory']:.3f} (at most {MEMORY_LIMIT:g}); "
                f"import {ours['import'] * 1e3:.0f} / {theirs['import'] * 1e3:.0f} ms",
                flush=True,
            )
        [told] = alternated(__file__, ("log",), logs, options.rounds)
        log = {key: statistics.median(each[key] for each in told) for key in told[0]}
        print(
            f"log      {log['nodes']:6,.0f} nodes, {log['bytes'] / 1e6:6.1f} MB: listed in {log['list'] / log['bytes'] * 1e9:.0f} ms a MB, "
            f"graphs read in {log['graphs'] * 1e6 / log['nodes']:.0f} us a node"
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
