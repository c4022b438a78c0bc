"""TorchScript archives to IR: time and memory against ``torch.jit.load`` and a walk over what it loads.

    python benchmarks/torchscript_reader.py [--rounds N] [--json]

One side is graphlab: archive → Program, its code lowered without torch. The other is ``torch.jit.load``, alone, and
with a walk that asks every node of every method that ``forward`` reaches for its operands, results, types and place.
Each measurement has a process of its own, the sides alternate, the best of N counts; imports are not counted, but told
apart, for a reader of files that needs no torch does not wait for it. The models are made here: transformer encoders,
scripted and traced, and one of few nodes and much weight.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from side import Measured, alternated, in_process, measured_here, peak

TIME_LIMIT = 1.0  # times torch's load and walk
MEMORY_LIMIT = 0.5  # times torch's, its import included


MODELS = ("scripted", "traced", "weights")


def write_models(folder: Path) -> None:
    """Write the models. In a process of its own: what one has loaded counts as its children's memory too."""
    import warnings

    import torch
    from torch import nn

    warnings.simplefilter("ignore")
    layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 12, enable_nested_tensor=False)
    made: dict[str, Any] = {
        "scripted": torch.jit.script(encoder),
        "traced": torch.jit.trace(encoder, torch.ones(1, 8, 64), check_trace=False),
        "weights": torch.jit.script(nn.Sequential(*(nn.Linear(2048, 2048) for _ in range(16)))),
    }
    for name in MODELS:
        made[name].save(str(folder / f"{name}.pt"))


def measure_graphlab(path: Path) -> Measured:
    base = peak()
    start = time.perf_counter()
    from graphlab.capture.file import File
    from graphlab.capture.torch import script_archive as reader

    imported = time.perf_counter()
    program = reader.read(File.open(path))
    done = time.perf_counter()
    return {"load": done - imported, "walk": done - imported, "import": imported - start, "bytes": peak() - base, "nodes": program.count()}


def measure_torch(path: Path) -> Measured:
    base = peak()
    start = time.perf_counter()
    import torch

    imported = time.perf_counter()
    model = torch.jit.load(str(path))
    loaded = time.perf_counter()
    count = sum(_walk(module._c._get_method("forward").graph) for module in model.modules() if "forward" in module._c._method_names())
    done = time.perf_counter()
    return {"load": loaded - imported, "walk": done - imported, "import": imported - start, "bytes": peak() - base, "nodes": count}


def _walk(block: Any) -> int:
    count = 0
    for node in block.nodes():
        facts = [value.unique() for value in node.inputs()], [(v.unique(), v.type().annotation_str) for v in node.outputs()]
        assert (facts, node.kind(), node.sourceRange(), node.attributeNames()) is not None
        count += 1 + sum(_walk(inner) for inner in node.blocks())
    return count


def main() -> int:
    """Exit code 1 where a limit is missed."""
    if measured_here({"write": write_models, "graphlab": measure_graphlab, "torch": measure_torch}):
        return 0
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    missed = False
    told = []
    with tempfile.TemporaryDirectory() as folder:
        in_process(__file__, "write", folder)
        for name in MODELS:
            path = Path(folder) / f"{name}.pt"
            measured = alternated(__file__, ("graphlab", "torch"), path, given.rounds)
            ours, peer = ({key: min(each[key] for each in side) for key in side[0]} for side in measured)
            row: dict[str, Any] = {
                "model": name, "nodes": ours["nodes"], "load": ours["load"] / peer["load"], "walk": ours["walk"] / peer["walk"],
                "from_nothing": (ours["load"] + ours["import"]) / (peer["load"] + peer["import"]), "memory": ours["bytes"] / peer["bytes"],
            }  # fmt: skip
            told.append(row)
            missed = missed or row["walk"] > TIME_LIMIT or row["memory"] > MEMORY_LIMIT
            if not given.json:
                print(
                    f"{name:<10} {row['nodes']:>7,.0f} nodes  {ours['load'] * 1e3:7.0f} ms: {row['load']:.2f} of torch.jit.load, "
                    f"{row['walk']:.2f} of it and a walk, {row['from_nothing']:.2f} with imports; memory {ours['bytes'] / 1e6:.0f} MB, "
                    f"{row['memory']:.2f} of torch's"
                )
    if given.json:
        print(json.dumps(told, indent=2))
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
