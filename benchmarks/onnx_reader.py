"""ONNX to IR: time and memory against ``onnx.load`` and a walk over it.

    python benchmarks/onnx_reader.py [--rounds N] [--json]

One side is graphlab: file → Program with types, attributes, regions, constants behind loaders (and, apart, ``verify``).
The other is ``onnx.load`` (which reads the weights, in the file or beside it) and a walk that asks each node for its
operator, operands, results and attributes, each initializer for its shape and each value for its type, and follows graphs
within nodes. Each measurement has a process of its own,
imports are not counted, the sides alternate, the best of N counts. The models are made here: transformer layers as
exporters write them, once with small weights (all graph), once with large ones in the file, once with those beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from side import Measured, alternated, fastest, measured_here, peak

TIME_LIMIT = 3.0  # times the other side: a bare parser
MODELS = {"graph": (2000, 4, False), "weights": (12, 1024, False), "beside": (12, 1024, True)}
"""Layers, width, and whether weights lie in a file of their own."""


def write_model(path: Path, layers: int, width: int, beside: bool) -> int:
    """Write a model; returns its number of nodes."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, held, infos = [], [], []
    value = "x"

    def weight(name: str, *dims: int) -> str:
        held.append(numpy_helper.from_array(np.zeros(dims, np.float32), name))
        return name

    def add(op: str, name: str, *operands: str, **attributes: object) -> str:
        node = helper.make_node(op, operands, [f"{name}_output_0"], name=f"/encoder/{name}", **attributes)
        nodes.append(node)
        infos.append(helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, ["batch", 128, width]))
        return str(node.output[0])

    for i in range(layers):
        at = f"layer.{i}"
        norm = add("LayerNormalization", f"{at}/ln", value, weight(f"{at}.ln.weight", width), weight(f"{at}.ln.bias", width), axis=-1)
        query, key, content = (
            add("MatMul", f"{at}/{part}", norm, weight(f"{at}.{part}.weight", width, width)) for part in ("query", "key", "value")
        )
        turned = add("Transpose", f"{at}/transpose", key, perm=[0, 2, 1])
        scores = add("Softmax", f"{at}/softmax", add("MatMul", f"{at}/scores", query, turned), axis=-1)
        mixed = add("MatMul", f"{at}/mixed", scores, content)
        inner = add("Gemm", f"{at}/up", mixed, weight(f"{at}.up.weight", width, 4 * width), weight(f"{at}.up.bias", 4 * width), transB=0)
        active = add("Mul", f"{at}/gelu", inner, add("Sigmoid", f"{at}/gate", inner))
        value = add("Add", f"{at}/residual", value, add("MatMul", f"{at}/down", active, weight(f"{at}.down.weight", 4 * width, width)))
    shape = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", 128, width]) for n in ("x", value)]
    graph = helper.make_graph(nodes, "main_graph", shape[:1], shape[1:], held, value_info=infos)
    onnx.save(helper.make_model(graph), path, save_as_external_data=beside, location="weights.bin" if beside else None)
    return len(nodes)


def measure_graphlab(path: Path) -> Measured:
    import graphlab.capture.collection
    import graphlab.capture.onnx.model  # noqa: F401
    from graphlab.capture import onnx as reader
    from graphlab.capture.file import File
    from graphlab.ir.verify import verify

    reader._packed()  # the schema is compiled once a process, like an import
    before = peak()
    start = time.perf_counter()
    file = File.open(path)
    if not reader.matches(file):
        raise SystemExit("the reader does not take the model")
    sniffed = time.perf_counter()
    program = reader.read(file)
    done = time.perf_counter()
    memory = peak() - before
    findings = verify(program)
    if findings:
        raise SystemExit(f"the program is not sound: {findings[0].message}")
    return {
        "seconds": done - start, "sniff": sniffed - start, "verify": time.perf_counter() - done, "nodes": program.count(), "bytes": memory,
    }  # fmt: skip


def measure_onnx(path: Path) -> Measured:
    import onnx
    from onnx import helper

    def walk(nodes: Any) -> int:
        count = 0
        for node in nodes:
            facts = (node.name, node.op_type, node.domain, list(node.input), list(node.output))
            attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            count += 1 + sum(walk(value.node) for value in attributes.values() if isinstance(value, onnx.GraphProto))
            assert facts
        return count

    def values(graph: Any) -> int:
        held = [(tensor.name, tensor.data_type, tuple(tensor.dims)) for tensor in graph.initializer]
        told = [
            (value.name, value.type.tensor_type.elem_type, [d.dim_value or d.dim_param for d in value.type.tensor_type.shape.dim])
            for value in graph.value_info
        ]
        return len(held) + len(told)

    before = peak()
    start = time.perf_counter()
    model = onnx.load(path)
    loaded = time.perf_counter()
    nodes = walk(model.graph.node) + sum(walk(function.node) for function in model.functions)
    values(model.graph)
    done = time.perf_counter()
    return {"seconds": done - start, "load": loaded - start, "walk": done - loaded, "nodes": nodes, "bytes": peak() - before}


def run(name: str, rounds: int, folder: Path) -> dict[str, float | str]:
    """The best of ``rounds`` alternated measurements of both sides, and their ratios."""
    path = folder / f"{name}.onnx"
    nodes = write_model(path, *MODELS[name])
    theirs, ours = alternated(__file__, ("onnx", "graphlab"), path, rounds)
    best, other = fastest(ours), fastest(theirs)
    if not best["nodes"] == other["nodes"] == nodes:
        raise SystemExit(f"graphlab has {best['nodes']} nodes, onnx {other['nodes']}, written were {nodes}")
    return {
        "model": name, "nodes": nodes, "file_bytes": sum(p.stat().st_size for p in {path, *path.parent.glob("weights.bin")}),
        "graphlab_s": best["seconds"], "sniff_s": best["sniff"], "verify_s": min(r["verify"] for r in ours),
        "onnx_s": other["seconds"], "onnx_load_s": other["load"], "onnx_walk_s": other["walk"],
        "ratio": best["seconds"] / other["seconds"],
        "graphlab_bytes": min(r["bytes"] for r in ours), "onnx_bytes": min(r["bytes"] for r in theirs),
        "memory_ratio": min(r["bytes"] for r in ours) / max(1, min(r["bytes"] for r in theirs)),
    }  # fmt: skip


def main() -> int:
    if measured_here({"graphlab": measure_graphlab, "onnx": measure_onnx}):
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = []
    for name in MODELS:
        with tempfile.TemporaryDirectory() as folder:
            results.append(run(name, options.rounds, Path(folder)))
    if options.json:
        print(json.dumps(results, indent=2))
    else:
        print("   model   nodes  file MB graphlab s verify s   onnx s  ratio     MB  onnx MB")
        for r in results:
            print(
                f"{r['model']:>8} {r['nodes']:7} {float(r['file_bytes']) / 1e6:8.1f} {r['graphlab_s']:10.3f} {r['verify_s']:8.3f} "
                f"{r['onnx_s']:8.3f} {r['ratio']:6.2f} {float(r['graphlab_bytes']) / 1e6:6.1f} {float(r['onnx_bytes']) / 1e6:8.1f}"
            )
        print(f"limit: ratio {TIME_LIMIT}")
    return 0 if all(float(r["ratio"]) <= TIME_LIMIT for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())
