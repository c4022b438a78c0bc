"""TensorFlow's side of the Grappler compiler in our own process: freezing the live function, reading what came back.

Beyond TensorFlow's public API: ``convert_variables_to_constants_v2`` of
tensorflow.python.framework.convert_to_constants, seen in tensorflow 2.21.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphlab.capture.tensorflow import private
from graphlab.capture.tensorflow.graph_def import Origin, read_graphs
from graphlab.errors import CompileError
from graphlab.ir.program import Program, Signature, Slot, Source


@dataclass(frozen=True, slots=True)
class Frozen:
    """Tensor names of the frozen graph's inputs and outputs, in the function's order."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def freeze(concrete: Any, path: Path, *, asked: str) -> Frozen:
    """Write the function with its variables as constants to a GraphDef file.

    Raises:
        CompileError: it cannot be frozen (it writes its variables, or is larger than a message can be).
    """
    try:
        from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
    except ImportError as error:
        raise private.gone("convert_variables_to_constants_v2") from error
    try:
        frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
        definition = frozen.graph.as_graph_def()
    except Exception as error:  # TensorFlow raises whatever its passes meet
        reason = next((line for line in str(error).splitlines() if line.strip()), "no reason given")
        raise CompileError(
            asked,
            found=f"TensorFlow cannot freeze it: {type(error).__name__}: {reason}",
            do="compile a function that only reads its variables",
            step="freeze",
        ) from error
    path.write_bytes(definition.SerializeToString())
    # The placeholders of captured variables are gone or stay as unused inputs; those that stay are in the graph.
    present = {node.name for node in definition.node}
    inputs = tuple(tensor.name for tensor in frozen.inputs if tensor.op.name in present)
    return Frozen(inputs, tuple(tensor.name for tensor in frozen.outputs))


def read_stage(path: Path, program: Program, frozen: Frozen) -> Program:
    """A stage's GraphDef as a Program. Source lines are those of the traced nodes of the same name."""
    from tensorflow.core.framework import graph_pb2

    definition = graph_pb2.GraphDef()
    definition.ParseFromString(path.read_bytes())
    traced = program.signatures[program.entry]
    origins = _origins(frozen, {node.id: node.name for node in map(program.main.node, program.main.inputs)})
    locations = _locations(program)
    graphs = read_graphs(
        definition,
        entry=program.entry,
        origins=origins,
        outputs=frozen.outputs,
        op_def=private.op_def,
        locations=lambda function: locations,
    )
    entry = next(iter(graphs))
    graph = graphs[entry]
    slots = {slot.name: slot for slot in traced.inputs}
    inputs = tuple(_slot(slots, graph.node(id).name, graph.node(id).outputs[0]) for id in graph.inputs)
    return Program(
        graphs=graphs,
        entry=entry,
        source=Source("tensorflow", "GraphDef", method="grappler", producer=program.source.producer),
        signatures={entry: Signature(entry, inputs, traced.outputs)},
        frames=program.frames,
    )


def _slot(slots: Mapping[str, Slot], name: str, type: Any) -> Slot:
    return slots.get(name) or Slot(name, type, "state", name)


def _origins(frozen: Frozen, names: Mapping[str, str]) -> dict[str, Origin]:
    nodes = [name.partition(":")[0] for name in frozen.inputs]
    return {node: Origin("input", index, names.get(node, node)) for index, node in enumerate(nodes)}


def _locations(program: Program) -> dict[str, int]:
    """Node name → loc in the traced graphs, where all nodes of that name agree.

    Freezing and Grappler keep nodes' names, but copy functions under new ones.
    """
    found: dict[str, set[int]] = {}
    for _, node in program.each_node():
        if node.loc is not None:
            found.setdefault(node.id, set()).add(node.loc)
    return {id: next(iter(locs)) for id, locs in found.items() if len(locs) == 1}
