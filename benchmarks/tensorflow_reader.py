"""TensorFlow files to IR: time and memory against TensorFlow's own loading.

    python benchmarks/tensorflow_reader.py [--rounds N] [--json]

A SavedModel: graphlab's reader (with ``verify``) against ``tf.saved_model.load``. A GraphDef: against
``GraphDef.ParseFromString`` and ``tf.import_graph_def``. The models are made here once, by Keras (random weights):
EfficientNetB0 exported, and the same frozen. Each measurement has a process of its own. Imports are not counted in
the time, and are in the memory, which is the process's peak: without TensorFlow there is none of it to import.
The sides alternate, the best of N counts.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from side import Measured, alternated, fastest, in_process, measured_here, peak

TIME_LIMIT = 1.0  # times the other side
MEMORY_LIMIT = 0.5


def make(folder: Path) -> None:
    """An exported Keras model, and the same frozen into one GraphDef."""
    import keras
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    model = keras.applications.EfficientNetB0(weights=None)
    model.export(str(folder / "saved"), verbose=False)
    function = tf.function(lambda x: model(x, training=False)).get_concrete_function(tf.TensorSpec([None, 224, 224, 3]))
    frozen = convert_variables_to_constants_v2(function)
    (folder / "frozen.pb").write_bytes(frozen.graph.as_graph_def(add_shapes=True).SerializeToString())


def measure_graphlab(path: Path) -> Measured:
    import graphlab
    import graphlab.capture.tensorflow.saved_model
    import graphlab.capture.tensorflow.tfjs

    start = time.perf_counter()
    program = graphlab.load(path)
    return {"seconds": time.perf_counter() - start, "nodes": program.count(), "peak": peak()}


def measure_tensorflow(path: Path) -> Measured:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    start = time.perf_counter()
    if path.is_dir():
        loaded = tf.saved_model.load(str(path))
        done = time.perf_counter()
        assert loaded.signatures
        return {"seconds": done - start, "peak": peak()}
    definition = tf.compat.v1.GraphDef()
    definition.ParseFromString(path.read_bytes())
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
    done = time.perf_counter()
    return {"seconds": done - start, "nodes": len(graph.get_operations()), "peak": peak()}


def run(path: Path, rounds: int) -> dict[str, float]:
    """The best of ``rounds`` alternated measurements of both sides, and their ratios."""
    theirs, ours = alternated(__file__, ("tensorflow", "graphlab"), path, rounds)
    best, other = fastest(ours), fastest(theirs)
    peak, other_peak = min(r["peak"] for r in ours), min(r["peak"] for r in theirs)
    return {
        "nodes": best["nodes"], "graphlab_s": best["seconds"], "tensorflow_s": other["seconds"],
        "ratio": best["seconds"] / other["seconds"],
        "graphlab_peak": peak, "tensorflow_peak": other_peak, "memory_ratio": peak / other_peak,
    }  # fmt: skip


def main() -> int:
    if measured_here({"make": make, "graphlab": measure_graphlab, "tensorflow": measure_tensorflow}):
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        in_process(__file__, "make", made)
        results = {name: run(folder / name, options.rounds) for name in ("saved", "frozen.pb")}
    if options.json:
        print(json.dumps(results, indent=2))
    else:
        print(f"{'':>10} {'nodes':>7} {'graphlab s':>10} {'tensorflow s':>12} {'ratio':>6} {'peak MB':>8} {'theirs':>7} {'ratio':>6}")
        for name, r in results.items():
            print(
                f"{name:>10} {r['nodes']:7.0f} {r['graphlab_s']:10.3f} {r['tensorflow_s']:12.3f} {r['ratio']:6.2f} "
                f"{r['graphlab_peak'] / 2**20:8.0f} {r['tensorflow_peak'] / 2**20:7.0f} {r['memory_ratio']:6.2f}"
            )
        print(f"limits: time {TIME_LIMIT}, memory {MEMORY_LIMIT}")
    return 0 if all(r["ratio"] <= TIME_LIMIT and r["memory_ratio"] <= MEMORY_LIMIT for r in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
