"""Keras reader: time and peak memory against ``keras.models.load_model``.

    python benchmarks/keras_reader.py [FILE...] [--rounds N] [--json]

One side is graphlab: file → verified Program with every layer's config, shapes and weights by name. The other is Keras, with
TensorFlow below it, loading the same file. Each measurement has a process of its own, imports are not counted in the times (both
sides' memory is what is added after them), the sides alternate, the best of N counts. Without files ResNet50 is saved here with
random weights, as ``.keras`` and as ``.h5``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from side import Measured, alternated, fastest, measured_here, peak

TIME_LIMIT = 1.0  # times Keras
MEMORY_LIMIT = 0.5


def measure_graphlab(path: Path) -> Measured:
    from graphlab.capture import keras
    from graphlab.capture.file import File
    from graphlab.ir.values import TensorType
    from graphlab.ir.verify import verify

    before, start = peak(), time.perf_counter()
    program = keras.read(File.open(path))
    if verify(program):
        raise SystemExit("the program is not sound")
    seconds, memory = time.perf_counter() - start, peak() - before
    types = [node.outputs[0] for _, node in program.each_node() if node.kind == "parameter"]
    return {"seconds": seconds, "bytes": memory, "parameters": sum(t.elements or 0 for t in types if isinstance(t, TensorType))}


def measure_keras(path: Path) -> Measured:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras

    before, start = peak(), time.perf_counter()
    model = keras.models.load_model(path, compile=False)
    seconds, memory = time.perf_counter() - start, peak() - before
    return {"seconds": seconds, "bytes": memory, "parameters": model.count_params()}


def save_models(folder: Path) -> list[str]:
    """ResNet50 with random weights in both formats, saved in a process of its own."""
    code = (
        "import sys, keras; m = keras.applications.ResNet50(weights=None)\n"
        "for end in ('.keras', '.h5'): m.save(sys.argv[1] + '/resnet50' + end)"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, capture_output=True)
    return [str(folder / f"resnet50{end}") for end in (".keras", ".h5")]


def run(path: str, rounds: int) -> dict[str, float]:
    """The best of ``rounds`` alternated measurements of both sides, and their ratios."""
    theirs, ours = alternated(__file__, ("keras", "graphlab"), path, rounds)
    best, other = fastest(ours), fastest(theirs)
    if best["parameters"] != other["parameters"]:
        raise SystemExit(f"graphlab has {best['parameters']} parameters, Keras {other['parameters']}")
    return {
        "file_bytes": Path(path).stat().st_size, "parameters": best["parameters"],
        "graphlab_s": best["seconds"], "keras_s": other["seconds"], "ratio": best["seconds"] / other["seconds"],
        "graphlab_bytes": best["bytes"], "keras_bytes": other["bytes"], "memory_ratio": best["bytes"] / max(1, other["bytes"]),
    }  # fmt: skip


def main() -> int:
    if measured_here({"graphlab": measure_graphlab, "keras": measure_keras}):
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = options.files or save_models(Path(folder))
        results = {Path(path).name: run(path, options.rounds) for path in files}
    if options.json:
        print(json.dumps(results, indent=2))
    else:
        print(f"{'file':24} {'MiB':>6} {'graphlab s':>10} {'keras s':>8} {'ratio':>6} {'graphlab MiB':>12} {'keras MiB':>9} {'ratio':>6}")
        for name, r in results.items():
            print(
                f"{name:24} {r['file_bytes'] / 2**20:6.1f} {r['graphlab_s']:10.3f} {r['keras_s']:8.3f} {r['ratio']:6.2f} "
                f"{r['graphlab_bytes'] / 2**20:12.1f} {r['keras_bytes'] / 2**20:9.1f} {r['memory_ratio']:6.2f}"
            )
        print(f"limits: time {TIME_LIMIT}, memory {MEMORY_LIMIT}")
    return 0 if all(r["ratio"] <= TIME_LIMIT and r["memory_ratio"] <= MEMORY_LIMIT for r in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
