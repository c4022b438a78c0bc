"""A Program from one printed fx graph."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from graphlab.capture.torch.fx_print import parse
from graphlab.capture.torch.plain_graph import PlainWalk
from graphlab.ir.constants import Constant
from graphlab.ir.frames import FrameTable
from graphlab.ir.graph import Graph
from graphlab.ir.program import DimRange, Program, Role, Signature, Slot, Source
from graphlab.ir.values import OpaqueType, SymDim, TensorType

ENTRY = "main"

_NAME = re.compile(r"[A-Za-z_]\w*")
_TARGET = re.compile(r"(Param|Buffer)AOTInput\(target='([^']*)'\)")
_RANGE = re.compile(r"(?:VR)?\[(-?\w+), *(-?\w+)\]")
# dynamo's names of what it lifted to an input: L_self_modules_linear_parameters_weight_
_LIFTED = re.compile(r"L_\w*?_(parameters|buffers)_\w+_", re.IGNORECASE)


def program(text: str, *, asked: str, source: Source, ranges: Mapping[str, str] | None = None) -> Program:
    """The Program that a code text prints.

    Args:
        asked: the task, for errors.
        ranges: symbols' ranges as a log tells them: ``{"s0": "[2, int_oo]"}``.

    Raises:
        FormatError: see ``fx_print.parse``; or the graph is not sound.
    """
    frames = FrameTable()
    printed, tail = parse(text, asked=asked, frames=frames)
    walk = PlainWalk(asked)
    graph = walk.entry(ENTRY, printed.graph)
    for each in walk.graphs.values():
        _without_values(each)
    inputs = tuple(_input(graph, name, printed.inputs) for name in graph.inputs)
    types = {use.dst_port: (use.src, graph.node(use.src).outputs[use.src_port]) for use in graph.operands(graph.output)}
    outputs = tuple(
        Slot(name, type, *_output_role(printed.outputs.get(name, "")))
        for _, (name, type) in sorted(types.items(), key=lambda pair: pair[0])
    )
    told = dict(ranges or {}) | _constraints(tail)
    symbols = _symbols(walk.graphs)
    return Program(
        graphs=walk.graphs,
        entry=ENTRY,
        source=source,
        signatures={"forward": Signature(ENTRY, inputs, outputs)},
        dims={name: dim_range(told.get(name, "")) for name in sorted(symbols)},
        frames=frames.done(),
    )


def _without_values(graph: Graph) -> None:
    """A text names the module's tensors and does not hold them."""
    for _, data in graph.nodes(data=True):
        if data.get("op") == "get_attr" and "value" not in data and data["outputs"] != (OpaqueType("graph"),):
            data["value"] = Constant(data["outputs"][0], None, reason="a compile log keeps no values")


def _input(graph: Graph, name: str, told: Mapping[str, str]) -> Slot:
    node = graph.node(name)
    role: Role = "user"
    target = None
    if found := _TARGET.search(told.get(name, "")):
        role, target = ("parameter" if found[1] == "Param" else "buffer"), found[2]
    elif found := _LIFTED.fullmatch(node.name or name):
        role = "parameter" if found[1].lower() == "parameters" else "buffer"
    return Slot(node.name or name, node.outputs[0], role, target)


def _output_role(told: str) -> tuple[Role, str | None]:
    """What a comment says of an output: ``GradAOTOutput(grad_of=ParamAOTInput(target='w'))``."""
    found = _TARGET.search(told)
    if told.startswith(("GradAOTOutput", "InputMutationAOTOutput")):
        if found is None:
            return "state", None
        return ("parameter" if found[1] == "Param" else "buffer"), found[2]
    return "user", None


def _constraints(tail: str) -> dict[str, str]:
    """``Range constraints: {s0: VR[2, 10], u0: VR[0, int_oo]}`` behind an ExportedProgram's graph."""
    _, _, found = tail.partition("Range constraints: {")
    return {name: f"[{low}, {high}]" for name, low, high in re.findall(r"(\w+): VR\[([-\w]+), ([-\w]+)\]", found[:100_000])}


def dim_range(text: str) -> DimRange:
    """``[2, int_oo]`` → from 2 without bound."""
    found = _RANGE.fullmatch(text)
    if found is None:
        return DimRange()
    low, high = (int(each) if re.fullmatch(r"-?\d{1,30}", each) else None for each in found.groups())
    return DimRange(max(low or 0, 0), high if high is not None and high < (1 << 62) else None)


def _symbols(graphs: Mapping[str, Graph]) -> set[str]:
    """Names of symbols in types' dims; functions' names within expressions are none."""
    found: set[str] = set()
    seen: set[Any] = set()
    for graph in graphs.values():
        for _, data in graph.nodes(data=True):
            for type in data.get("outputs", ()):
                if isinstance(type, TensorType) and type not in seen:
                    seen.add(type)
                    for dim in type.dims or ():
                        if isinstance(dim, SymDim):
                            found.update(m[0] for m in _NAME.finditer(dim.expr) if not dim.expr[m.end() :].startswith("("))
    return found
