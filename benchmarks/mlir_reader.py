"""MLIR text and bytecode to IR: time against jaxlib's own parser with a walk over its objects, and peak memory.

    python benchmarks/mlir_reader.py [--operations N] [--rounds N] [--json]

One side is graphlab: file → Program with types, attributes, regions and frames. The other is jaxlib's C++
parser and a walk that takes each operation's name, operands, result types and attributes, as any viewer must. Each
measurement has a process of its own, imports are not counted, the sides alternate, the best of N counts.
The module is made here: a stack of layers as JAX prints it, with locations.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tempfile
import time
from pathlib import Path

from side import Measured, alternated, fastest, measured_here, peak

OPERATIONS = 95_000
TIME_LIMIT = 3.0  # times the other side
_LAYER = 16


def module_text(operations: int) -> str:
    """A module of about that many operations, as JAX prints one with ``debug_info=True``."""
    layers = max(1, operations // _LAYER)
    body: list[str] = []
    value = "%arg0"
    for i in range(layers):
        n = i * _LAYER
        loc = f"loc(#loc{i % 50 + 3})"
        kind = "tensor<8x128xf32>"
        body += [
            f"    %{n} = stablehlo.dot_general {value}, %arg1, contracting_dims = [1] x [0], precision = [DEFAULT, DEFAULT] : "
            f"({kind}, tensor<128x128xf32>) -> {kind} {loc}",
            f"    %{n + 1} = stablehlo.broadcast_in_dim %arg2, dims = [1] : (tensor<128xf32>) -> {kind} {loc}",
            f"    %{n + 2} = stablehlo.add %{n}, %{n + 1} : {kind} {loc}",
            f"    %{n + 3} = stablehlo.constant dense<0.000000e+00> : tensor<f32> {loc}",
            f"    %{n + 4} = stablehlo.reduce(%{n + 2} init: %{n + 3}) applies stablehlo.add across dimensions = [1] : "
            f"({kind}, tensor<f32>) -> tensor<8xf32> {loc}",
            f"    %{n + 5} = stablehlo.broadcast_in_dim %{n + 4}, dims = [0] : (tensor<8xf32>) -> {kind} {loc}",
            f"    %{n + 6} = stablehlo.subtract %{n + 2}, %{n + 5} : {kind} {loc}",
            f"    %{n + 7} = stablehlo.exponential %{n + 6} : {kind} {loc}",
            f"    %{n + 8} = stablehlo.compare  GT, %{n + 7}, %{n + 6},  FLOAT : ({kind}, {kind}) -> tensor<8x128xi1> {loc}",
            f"    %{n + 9} = stablehlo.select %{n + 8}, %{n + 7}, %{n + 6} : tensor<8x128xi1>, {kind} {loc}",
            f"    %{n + 10} = stablehlo.reshape %{n + 9} : ({kind}) -> tensor<1024xf32> {loc}",
            f"    %{n + 11} = stablehlo.reshape %{n + 10} : (tensor<1024xf32>) -> {kind} {loc}",
            f"    %{n + 12} = stablehlo.transpose %{n + 11}, dims = [1, 0] : ({kind}) -> tensor<128x8xf32> {loc}",
            f"    %{n + 13} = stablehlo.transpose %{n + 12}, dims = [1, 0] : (tensor<128x8xf32>) -> {kind} {loc}",
        ]
        value = f"%{n + 13}"
    locations = ["#loc = loc(unknown)", '#loc1 = loc("/home/user/model.py":10:4)', '#loc2 = loc("layer"(#loc1))']
    locations += [f'#loc{i + 3} = loc("jit(f)/layer_{i}/op"(callsite(#loc2 at "/home/user/train.py":{i + 1}:0)))' for i in range(50)]
    arguments = "%arg0: tensor<8x128xf32> loc(#loc), %arg1: tensor<128x128xf32> loc(#loc), %arg2: tensor<128xf32> loc(#loc)"
    return "\n".join([
        "module @jit_f attributes {mhlo.num_partitions = 1 : i32} {",
        f"  func.func public @main({arguments}) -> tensor<8x128xf32> {{", *body,
        f"    return {value} : tensor<8x128xf32> loc(#loc)", "  } loc(#loc)", "} loc(#loc)", *locations, "",
    ])  # fmt: skip


def measure_graphlab(path: Path) -> Measured:
    from graphlab.capture.dispatch import adapter_for
    from graphlab.capture.file import File
    from graphlab.ir.verify import verify

    file = File.open(path)
    reader = adapter_for(file)
    assert reader is not None
    start = time.perf_counter()
    program = reader.read(file)
    seconds = time.perf_counter() - start
    memory = peak()
    if findings := verify(program):
        raise SystemExit(f"the program is not sound: {findings[0].message}")
    return {"seconds": seconds, "operations": program.count(), "bytes": memory}


def measure_jaxlib(path: Path) -> Measured:
    from graphlab.capture.xla.mlir import parse_module

    data = path.read_bytes()
    parse_module("module {}")  # the dialects' own loading
    start = time.perf_counter()
    module = parse_module(data if data[:4] == b"ML\xefR" else data.decode())
    parsed = time.perf_counter()
    count = 0
    kept = []
    work = [module.operation]
    while work:
        for region in work.pop().regions:
            for block in region.blocks:
                for op in block.operations:
                    operation = op.operation
                    count += operation.name not in ("builtin.module", "func.func")
                    kept.append((
                        operation.name, [value.get_name for value in operation.operands], [str(r.type) for r in operation.results],
                        [(name, operation.attributes[name]) for name in operation.attributes], operation.location,
                    ))  # fmt: skip
                    work.append(operation)
    memory = peak()
    return {"seconds": time.perf_counter() - start, "parse": parsed - start, "operations": count, "bytes": memory}


def run(path: str, rounds: int) -> dict[str, float]:
    """The best of ``rounds`` alternated measurements of both sides, and their ratio."""
    theirs, ours = alternated(__file__, ("jaxlib", "graphlab"), path, rounds)
    best, other = fastest(ours), fastest(theirs)
    if best["operations"] != other["operations"]:
        raise SystemExit(f"graphlab has {best['operations']} operations, jaxlib {other['operations']}")
    return {
        "operations": best["operations"], "graphlab_s": best["seconds"], "jaxlib_s": other["seconds"], "jaxlib_parse_s": other["parse"],
        "ratio": best["seconds"] / other["seconds"], "graphlab_mb": best["bytes"] / 2**20, "jaxlib_mb": other["bytes"] / 2**20,
    }  # fmt: skip


def _bytecode(text: str) -> bytes:
    from graphlab.capture.xla.mlir import parse_module

    stream = io.BytesIO()
    parse_module(text).operation.write_bytecode(stream)
    return stream.getvalue()


def main() -> int:
    if measured_here({"graphlab": measure_graphlab, "jaxlib": measure_jaxlib}):
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--operations", type=int, default=OPERATIONS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text = module_text(options.operations)
        made = {"text": Path(folder) / "m.mlir", "bytecode": Path(folder) / "m.mlirbc"}
        made["text"].write_text(text)
        made["bytecode"].write_bytes(_bytecode(text))
        results = {form: run(str(path), options.rounds) for form, path in made.items()}
    if options.json:
        print(json.dumps(results, indent=2))
    else:
        for form, r in results.items():
            print(f"{form:9} " + "  ".join(f"{key} {value:,.2f}" for key, value in r.items()))
        print(f"limit: ratio {TIME_LIMIT}")
    return 0 if all(r["ratio"] <= TIME_LIMIT for r in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
