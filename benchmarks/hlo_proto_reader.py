"""HLO messages to IR: time and memory against TensorFlow's generated classes and jaxlib's C++.

    python benchmarks/hlo_proto_reader.py [--rounds N] [--json]

One side is graphlab: file → Program with types, attributes, frames and calls, constants behind loaders (and, apart, ``verify``).
The others: ``hlo_pb2.HloModuleProto.FromString``, a walk that takes each instruction's name, opcode, shape, op name and operands,
and a bare ``MultiDiGraph`` of names and edges; and jaxlib's ``from_serialized_hlo_module_proto`` and ``to_string`` with
graphlab's reading of that text, the way without a reader of messages. Each measurement has a process of its own, imports are not
counted, the sides alternate, the best of N processor times counts. The messages are XLA's own of the text that
``benchmarks/hlo_text.py`` makes, and one of few instructions with large constants.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import hlo_text as made
from side import Measured, alternated, fastest, measured_here, peak

SIZES = (100_000,)
CONSTANTS = 32  # MiB in the message of large constants
TIME_LIMIT = 3.0  # times the bare parser
MEMORY_LIMIT = 0.5  # times the bare parser's, where constants are most of the message


def write(path: Path, instructions: int) -> None:
    """A message of about so many instructions; of 0, one of large constants."""
    from jaxlib import _hlo

    # XLA's parser makes up the values of a constant that is elided.
    constants = "\n".join(f"  c{i} = f32[{1 << 20}]{{0}} constant({{...}})" for i in range(CONSTANTS // 4))
    text = made.module_text(instructions) if instructions else f"HloModule m\n\nENTRY main {{\n{constants}\n}}\n"
    path.write_bytes(_hlo.hlo_module_from_text(text).as_serialized_hlo_module_proto())


def measure_graphlab(path: Path) -> Measured:
    import google.protobuf.text_format  # noqa: F401

    from graphlab.capture.file import File
    from graphlab.capture.xla import hlo_proto
    from graphlab.capture.xla.hlo_messages import binary_schema
    from graphlab.ir.verify import verify

    binary_schema()  # compiled once a process, like an import
    before, start = peak(), time.process_time()
    file = File.open(path)
    if not hlo_proto.matches(file):
        raise SystemExit("the reader does not take the message")
    program = hlo_proto.read(file)
    read = time.process_time()
    memory = peak() - before
    findings = verify(program)
    verified = time.process_time()
    if findings:
        raise SystemExit(f"the program is not sound: {findings[0].message}")
    return {"seconds": read - start, "verify": verified - read, "nodes": program.count(), "bytes": memory}


def measure_protobuf(path: Path) -> Measured:
    import networkx as nx
    from tensorflow.compiler.xla.service import hlo_pb2

    before, start = peak(), time.process_time()
    module = hlo_pb2.HloModuleProto.FromString(path.read_bytes())
    found = []
    for computation in module.computations:
        names: dict[int, str] = {}
        nodes, edges = [], []
        for one in computation.instructions:
            names[one.id] = one.name
            nodes.append((one.name, one.opcode, one.shape.element_type, tuple(one.shape.dimensions), one.metadata.op_name))
            edges += [(names[id], one.name) for id in one.operand_ids]
        found.append((computation.name, nodes, edges))
    graphs = []
    for name, nodes, edges in found:
        graph = nx.MultiDiGraph(name=name)
        graph.add_nodes_from(node[0] for node in nodes)
        graph.add_edges_from(edges)
        graphs.append(graph)
    return {"seconds": time.process_time() - start, "nodes": sum(map(len, graphs)), "bytes": peak() - before}


def measure_jaxlib(path: Path) -> Measured:
    from jaxlib import _hlo

    from graphlab.capture.xla.hlo_text import parse_hlo

    before, start = peak(), time.process_time()
    text = _hlo.HloModule.from_serialized_hlo_module_proto(path.read_bytes()).to_string()
    printed = time.process_time()
    program = parse_hlo(text)
    return {"seconds": time.process_time() - start, "print": printed - start, "nodes": program.count(), "bytes": peak() - before}


MEASURES = {"graphlab": measure_graphlab, "protobuf": measure_protobuf, "jaxlib": measure_jaxlib}


def run(path: Path, rounds: int) -> dict[str, float]:
    """The best of ``rounds`` alternated measurements of each side, and graphlab's ratios to the others."""
    found = alternated(__file__, tuple(MEASURES), path, rounds)
    best = {side: fastest(measured) for side, measured in zip(MEASURES, found, strict=True)}
    ours, bare = best["graphlab"], best["protobuf"]
    if {one["nodes"] for one in best.values()} != {ours["nodes"]}:
        raise SystemExit(f"not the same number of nodes: {best}")
    return {
        "instructions": ours["nodes"], "file_bytes": path.stat().st_size,
        "graphlab_s": ours["seconds"], "verify_s": ours["verify"], "protobuf_s": bare["seconds"], "jaxlib_s": best["jaxlib"]["seconds"],
        "ratio_protobuf": ours["seconds"] / bare["seconds"], "ratio_jaxlib": ours["seconds"] / best["jaxlib"]["seconds"],
        "graphlab_bytes": ours["bytes"], "memory_ratio_protobuf": ours["bytes"] / max(1, bare["bytes"]),
    }  # fmt: skip


def main() -> int:
    if measured_here(MEASURES):
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for size in (*SIZES, 0):
            path = Path(folder) / f"{size}.pb"
            write(path, size)
            results.append(run(path, options.rounds))
    if options.json:
        print(json.dumps(results, indent=2))
    else:
        titles = ("instructions", "file MB", "graphlab s", "hlo_pb2 s", "jaxlib s", "to hlo_pb2", "to jaxlib", "memory to hlo_pb2")
        print(" ".join(f"{title:>12}" for title in titles))
        for r in results:
            row = (
                f"{r['instructions']:.0f}", f"{r['file_bytes'] / 1e6:.1f}", f"{r['graphlab_s']:.3f}", f"{r['protobuf_s']:.3f}",
                f"{r['jaxlib_s']:.3f}", f"{r['ratio_protobuf']:.2f}", f"{r['ratio_jaxlib']:.2f}", f"{r['memory_ratio_protobuf']:.2f}",
            )  # fmt: skip
            print(" ".join(f"{value:>12}" for value in row))
        print(f"limit: {TIME_LIMIT} times hlo_pb2")
    # The message of constants has too few instructions for its time to mean anything: its memory does.
    return 0 if all(r["ratio_protobuf"] <= TIME_LIMIT for r in results[:-1]) and results[-1]["memory_ratio_protobuf"] <= MEMORY_LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
