"""HLO text to IR: time against XLA's own parser, and memory a node.

    python benchmarks/hlo_text.py [--rounds N] [--json]

One side is graphlab: text → Program with types, attributes, frames and calls (and, apart, ``verify``).
The other is jaxlib's C++ parser, a walk over ``computations()``, ``instructions()`` and ``operands()``,
and a bare ``MultiDiGraph`` filled from it by ``add_nodes_from`` and ``add_edges_from``: names and edges alone.
Each measurement has a process of its own, imports are not counted, the sides alternate, the best of N counts.
The text is made here: a stack of transformer layers as XLA prints an optimized module, with fusions,
layouts, op names and a stack frame table.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

SIZES = (10_000, 100_000)
TIME_LIMIT = 1.5  # times the other side
MEMORY_LIMIT = 3 * 1024  # bytes a node

_D = "bf16[8,128,768]{2,1,0}"
_ROW = "f32[8,128]{1,0}"


def module_text(instructions: int) -> str:
    """A module of about that many instructions, the same text for the same number."""
    layers = max(1, round(instructions / _LAYER_INSTRUCTIONS))
    computations: list[str] = [_REGION_ADD, _REGION_MAX]
    entry: list[str] = [f'  %p0 = {_D} parameter(0), metadata={{op_name="x"}}']
    value = "p0"
    parameters = ["p0: bf16[8,128,768]"]
    for layer in range(layers):
        for kind in ("ln1", "softmax", "ln2", "gelu"):
            computations.append(_fused(layer, kind))
        parameters.append(f"w{layer}: bf16[768,768]")
        entry.extend(_layer(layer, value))
        value = f"out.{layer}"
    entry.append(f"  ROOT %result = ({_D}) tuple(%{value})")
    header = "HloModule jit_stack, is_scheduled=true, entry_computation_layout={(" + ", ".join(
        ["bf16[8,128,768]{2,1,0}"] + ["bf16[768,768]{1,0}"] * layers
    )
    header += ")->(bf16[8,128,768]{2,1,0})}, num_partitions=8"
    body = f"ENTRY %main ({', '.join(parameters)}) -> (bf16[8,128,768]) {{\n" + "\n".join(entry) + "\n}\n"
    return "\n\n".join([header, _tables(layers), *computations, body])


def _meta(layer: int, name: str) -> str:
    return f'metadata={{op_name="jit(stack)/jit(main)/encoder/layer_{layer}/{name}" stack_frame_id={layer % 200 + 2}}}'


_REGION_ADD = """%region_add (a.1: f32[], b.1: f32[]) -> f32[] {
  %a.1 = f32[] parameter(0), metadata={op_name="reduce_sum"}
  %b.1 = f32[] parameter(1), metadata={op_name="reduce_sum"}
  ROOT %add.1 = f32[] add(%a.1, %b.1), metadata={op_name="jit(stack)/reduce_sum" stack_frame_id=1}
}"""
_REGION_MAX = _REGION_ADD.replace("region_add", "region_max").replace(" add(", " maximum(").replace("reduce_sum", "reduce_max")


def _fused(layer: int, kind: str) -> str:
    at = f"{kind}.{layer}"
    meta = [_meta(layer, f"{kind}/{op}") for op in ("convert", "mul", "reduce_sum", "rsqrt", "sub", "add")]
    return f"""%fused_computation.{at} (param_0.{at}: bf16[8,128,768], param_1.{at}: f32[8,128]) -> bf16[8,128,768] {{
  %param_0.{at} = {_D} parameter(0)
  %param_1.{at} = {_ROW} parameter(1)
  %convert.{at} = f32[8,128,768]{{2,1,0}} convert(%param_0.{at}), {meta[0]}
  %constant.{at} = f32[] constant(0.0013020834)
  %broadcast.{at} = f32[8,128]{{1,0}} broadcast(%constant.{at}), dimensions={{}}, {meta[1]}
  %multiply.{at} = {_ROW} multiply(%param_1.{at}, %broadcast.{at}), {meta[1]}
  %rsqrt.{at} = {_ROW} rsqrt(%multiply.{at}), {meta[3]}
  %broadcast_in_dim.{at} = f32[8,128,768]{{2,1,0}} broadcast(%rsqrt.{at}), dimensions={{0,1}}, {meta[3]}
  %subtract.{at} = f32[8,128,768]{{2,1,0}} subtract(%convert.{at}, %broadcast_in_dim.{at}), {meta[4]}
  %add.{at} = f32[8,128,768]{{2,1,0}} add(%subtract.{at}, %convert.{at}), {meta[5]}
  ROOT %out.{at} = {_D} convert(%add.{at}), {meta[0]}
}}"""


def _layer(layer: int, value: str) -> Iterator[str]:
    dims = "lhs_contracting_dims={2}, rhs_contracting_dims={0}"
    reduced = _meta(layer, "reduce_sum")
    named = f"metadata={{op_name=\"params['layer_{layer}']['w']\"}}"
    yield f"  %w.{layer} = bf16[768,768]{{1,0}} parameter({layer + 1}), sharding={{replicated}}, {named}"
    yield f"  %zero.{layer} = f32[] constant(0)"
    yield f"  %wide.{layer} = f32[8,128,768]{{2,1,0}} convert(%{value}), {_meta(layer, 'convert')}"
    yield f"  %sum.{layer} = {_ROW} reduce(%wide.{layer}, %zero.{layer}), dimensions={{2}}, to_apply=%region_add, {reduced}"
    for i, kind in enumerate(("ln1", "softmax", "ln2", "gelu")):
        source = value if i == 0 else f"dot.{layer}.{i - 1}"
        yield (
            f"  %fusion.{layer}.{i} = {_D} fusion(%{source}, %sum.{layer}), kind=kLoop, calls=%fused_computation.{kind}.{layer}, "
            f'{_meta(layer, kind)}, backend_config={{"outer_dimension_partitions":["8"]}}'
        )
        yield f"  %dot.{layer}.{i} = {_D} dot(%fusion.{layer}.{i}, %w.{layer}), {dims}, {_meta(layer, 'attention/dot_general')}"
    groups = f"channel_id={layer + 1}, replica_groups=[2,4]<=[8]"
    yield f"  %gather.{layer} = {_D} all-reduce(%dot.{layer}.3), {groups}, to_apply=%region_max.bf16"
    yield f"  %out.{layer} = {_D} add(%{value}, %gather.{layer}), {_meta(layer, 'residual/add')}"


_REGION_MAX = _REGION_MAX + "\n\n" + _REGION_MAX.replace("region_max", "region_max.bf16").replace("f32[]", "bf16[]")
_LAYER_INSTRUCTIONS = 4 * 11 + 14


def _tables(layers: int) -> str:
    lines = [
        "FileNames",
        '1 "/home/user/model/encoder.py"',
        "",
        "FunctionNames",
        '1 "<module>"',
        '2 "Encoder.__call__"',
        "",
        "FileLocations",
    ]
    frames = min(layers, 200) + 1
    lines += [
        f"{i} {{file_name_id=1 function_name_id={min(i, 2)} line={10 + i} end_line={10 + i} column=4 end_column=40}}"
        for i in range(1, frames + 1)
    ]
    lines += ["", "StackFrames", "1 {file_location_id=1 parent_frame_id=1}"]
    lines += [f"{i} {{file_location_id={i} parent_frame_id=2}}" for i in range(2, frames + 1)]
    return "\n".join(lines)


def measure_graphlab(text: str) -> dict[str, float]:
    from graphlab.capture.xla.hlo_text import parse_hlo
    from graphlab.ir.verify import verify

    before = _resident()
    start = time.perf_counter()
    program = parse_hlo(text)
    parsed = time.perf_counter()
    memory = _resident() - before
    findings = verify(program)
    verified = time.perf_counter()
    if findings:
        raise SystemExit(f"the program is not sound: {findings[0].message}")
    return {"seconds": parsed - start, "verify": verified - parsed, "nodes": program.count(), "bytes": memory}


def measure_jaxlib(text: str) -> dict[str, float]:
    import networkx as nx
    from jaxlib import _hlo

    start = time.perf_counter()
    module = _hlo.hlo_module_from_text(text)
    parsed = time.perf_counter()
    computations = [(c.name, [(i.name, [o.name for o in i.operands()]) for i in c.instructions()]) for c in module.computations()]
    walked = time.perf_counter()
    graphs = {}
    for name, instructions in computations:
        graph = graphs[name] = nx.MultiDiGraph(name=name)
        graph.add_nodes_from(id for id, _ in instructions)
        graph.add_edges_from((operand, id) for id, operands in instructions for operand in operands)
    filled = time.perf_counter()
    return {
        "seconds": filled - start, "parse": parsed - start, "walk": walked - parsed, "fill": filled - walked,
        "nodes": sum(map(len, graphs.values())),
    }  # fmt: skip


def _resident() -> int:
    """Bytes resident now, from /proc where there is one; else the peak so far."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _in_process(side: str, size: int) -> dict[str, float]:
    done = subprocess.run([sys.executable, __file__, "--side", side, "--size", str(size)], check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def run(size: int, rounds: int) -> dict[str, float]:
    """The best of ``rounds`` alternated measurements of both sides, and their ratios."""
    ours, theirs = [], []
    for _ in range(rounds):
        theirs.append(_in_process("jaxlib", size))
        ours.append(_in_process("graphlab", size))
    best, other = min(ours, key=lambda r: r["seconds"]), min(theirs, key=lambda r: r["seconds"])
    if best["nodes"] != other["nodes"]:
        raise SystemExit(f"graphlab has {best['nodes']} nodes, jaxlib {other['nodes']}")
    verify = min(r["verify"] for r in ours)
    return {
        "instructions": best["nodes"],
        "graphlab_s": best["seconds"], "verify_s": verify,
        "jaxlib_s": other["seconds"], "jaxlib_parse_s": other["parse"], "jaxlib_walk_s": other["walk"], "networkx_s": other["fill"],
        "ratio": best["seconds"] / other["seconds"], "ratio_verified": (best["seconds"] + verify) / other["seconds"],
        "bytes_per_node": min(r["bytes"] for r in ours) / best["nodes"],
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", choices=("graphlab", "jaxlib"), help="measure one side once, in this process")
    parser.add_argument("--size", type=int, default=SIZES[0])
    options = parser.parse_args()
    if options.side:
        measure = measure_graphlab if options.side == "graphlab" else measure_jaxlib
        print(json.dumps(measure(module_text(options.size))))
        return 0
    results = [run(size, options.rounds) for size in SIZES]
    if options.json:
        print(json.dumps(results, indent=2))
    else:
        print(
            f"{'instructions':>12} {'graphlab s':>10} {'verify s':>9} {'jaxlib+nx s':>11} {'(parse walk fill)':>20} "
            f"{'ratio':>6} {'verified':>8} {'B/node':>7}"
        )
        for r in results:
            parts = f"{r['jaxlib_parse_s']:.2f} {r['jaxlib_walk_s']:.2f} {r['networkx_s']:.2f}"
            print(
                f"{r['instructions']:12.0f} {r['graphlab_s']:10.3f} {r['verify_s']:9.3f} {r['jaxlib_s']:11.3f} {parts:>20} "
                f"{r['ratio']:6.2f} {r['ratio_verified']:8.2f} {r['bytes_per_node']:7.0f}"
            )
        print(f"limits: ratio {TIME_LIMIT}, {MEMORY_LIMIT} B/node")
    return 0 if all(r["ratio"] <= TIME_LIMIT and r["bytes_per_node"] <= MEMORY_LIMIT for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())
