"""TensorFlow Lite reader: time and peak memory against a walk over TensorFlow's own flatbuffer classes.

    python benchmarks/tflite_reader.py [FILE...] [--rounds N] [--json]

One side is graphlab: file → verified Program with options, types, quantization, constants and edges. The other reads the
same fields through ``schema_py_generated`` (``ModelT.InitFromObj``, which fills an object for every table) and fills a bare
``MultiDiGraph``. Each measurement has a process of its own, imports are not counted, the sides alternate, the best of N counts.
Without files a model of 4,000 quantized convolutions is written here.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from side import Measured, alternated, fastest, measured_here, peak

TIME_LIMIT = 3.0  # times the other side
OPERATORS = 4000


def _classes() -> Any:
    found = importlib.util.find_spec("tensorflow")
    if found is None or found.origin is None:
        raise SystemExit("tensorflow is not installed")
    path = Path(found.origin).parent / "lite" / "python" / "schema_py_generated.py"
    spec = importlib.util.spec_from_file_location("schema_py_generated", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_model(path: Path) -> None:
    """A chain of convolutions with per-channel scales."""
    import flatbuffers

    fb = _classes()
    model, graph = fb.ModelT(), fb.SubGraphT()
    model.version, model.subgraphs, model.buffers, model.operatorCodes = 3, [graph], [fb.BufferT()], [fb.OperatorCodeT()]
    model.operatorCodes[0].builtinCode = model.operatorCodes[0].deprecatedBuiltinCode = fb.BuiltinOperator.CONV_2D
    graph.inputs, graph.outputs, graph.tensors, graph.operators = [0], [2 * OPERATORS], [_tensor(fb, "x", 0)], []
    for i in range(OPERATORS):
        buffer = fb.BufferT()
        buffer.data = bytes(16 * 16)
        model.buffers.append(buffer)
        graph.tensors += [_tensor(fb, f"model/block_{i}/conv/kernel", i + 1), _tensor(fb, f"model/block_{i}/conv/Conv2D", 0)]
        operator, options = fb.OperatorT(), fb.Conv2DOptionsT()
        options.strideW = options.strideH = 1
        operator.inputs, operator.outputs = [2 * i, 2 * i + 1, -1], [2 * i + 2]
        operator.builtinOptionsType, operator.builtinOptions = fb.BuiltinOptions.Conv2DOptions, options
        graph.operators.append(operator)
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))


def _tensor(fb: Any, name: str, buffer: int) -> Any:
    tensor, quantized = fb.TensorT(), fb.QuantizationParametersT()
    quantized.scale, quantized.zeroPoint, quantized.quantizedDimension = [0.5 + i for i in range(16)], [0] * 16, 0
    tensor.name, tensor.shape, tensor.type, tensor.buffer, tensor.quantization = name, [16, 1, 1, 16], fb.TensorType.INT8, buffer, quantized
    return tensor


def measure_graphlab(path: Path) -> Measured:
    from graphlab.capture import tflite
    from graphlab.capture.file import File
    from graphlab.ir.verify import verify

    before, start = peak(), time.perf_counter()
    program = tflite.read(File.open(path))
    if verify(program):
        raise SystemExit("the program is not sound")
    return {"seconds": time.perf_counter() - start, "nodes": program.count(), "bytes": peak() - before}


def measure_classes(path: Path) -> Measured:
    import networkx as nx

    fb = _classes()
    before, start = peak(), time.perf_counter()
    model = fb.ModelT.InitFromObj(fb.Model.GetRootAs(path.read_bytes(), 0))
    nodes = 0
    for subgraph in model.subgraphs:
        graph: Any = nx.MultiDiGraph()
        made: dict[int, int] = {}
        for i, operator in enumerate(subgraph.operators):
            graph.add_node(i)
            graph.add_edges_from((made[t], i) for t in (() if operator.inputs is None else operator.inputs) if t in made)
            made.update((t, i) for t in (() if operator.outputs is None else operator.outputs))
        nodes += len(subgraph.operators)
    return {"seconds": time.perf_counter() - start, "nodes": nodes, "bytes": peak() - before}


def run(path: str, rounds: int) -> dict[str, float]:
    """The best of ``rounds`` alternated measurements of both sides, and their ratios."""
    theirs, ours = alternated(__file__, ("classes", "graphlab"), path, rounds)
    best, other = fastest(ours), fastest(theirs)
    if best["nodes"] != other["nodes"]:
        raise SystemExit(f"graphlab has {best['nodes']} nodes, the classes {other['nodes']}")
    return {
        "operators": best["nodes"], "file_bytes": Path(path).stat().st_size,
        "graphlab_s": best["seconds"], "classes_s": other["seconds"], "ratio": best["seconds"] / other["seconds"],
        "graphlab_bytes": min(r["bytes"] for r in ours), "classes_bytes": min(r["bytes"] for r in theirs),
    }  # fmt: skip


def main() -> int:
    if measured_here({"graphlab": measure_graphlab, "classes": measure_classes}):
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "convolutions.tflite"
        if not options.files:
            write_model(made)
        results = [run(path, options.rounds) for path in options.files or [str(made)]]
    if options.json:
        print(json.dumps(results, indent=2))
    else:
        print(f"{'operators':>9} {'file KiB':>9} {'graphlab s':>10} {'classes s':>9} {'ratio':>6} {'graphlab MiB':>12} {'classes MiB':>11}")
        for r in results:
            print(
                f"{r['operators']:9.0f} {r['file_bytes'] / 1024:9.0f} {r['graphlab_s']:10.3f} {r['classes_s']:9.3f} {r['ratio']:6.2f} "
                f"{r['graphlab_bytes'] / 2**20:12.1f} {r['classes_bytes'] / 2**20:11.1f}"
            )
        print(f"limit: ratio {TIME_LIMIT}")
    return 0 if all(r["ratio"] <= TIME_LIMIT for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())
