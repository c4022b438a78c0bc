"""Which values are changed in place: a list appended to, a tensor added into."""

from __future__ import annotations

from graphlab.ir.frozen import EMPTY
from graphlab.ir.program import Program


def written_values(program: Program) -> dict[str, dict[str, set[int]]]:
    """Per graph and node, the output ports that some operation writes to, there or in a region it goes into.

    An operation with the effect ``writes_state`` writes to its first operand: so do TorchScript's
    in-place operators and list methods, TensorFlow's assignments, and dynamic-update ops on buffers.
    """
    written: dict[str, dict[str, set[int]]] = {}
    slots: dict[tuple[str, str, int], tuple[str, int]] = {}
    fed: dict[tuple[str, int], list[tuple[str, str, int]]] = {}
    pending: list[tuple[str, str, int]] = []
    for name, graph in program.graphs.items():
        for id, data in graph.nodes(data=True):
            calls = data.get("calls", EMPTY)
            writes = "writes_state" in data.get("effects", ()) and not calls
            if not writes and not calls:
                continue
            for use in graph.operands(id):
                slots[name, id, use.dst_port] = (use.src, use.src_port)
            if writes and (name, id, 0) in slots:
                pending.append((name, *slots[name, id, 0]))
            for call in calls.values():
                for i, slot in enumerate(call.operands):
                    if slot is not None:
                        fed.setdefault((call.graph, i), []).append((name, id, slot))
    while pending:
        name, id, port = pending.pop()
        ports = written.setdefault(name, {}).setdefault(id, set())
        if port in ports:
            continue
        ports.add(port)
        data = program.graphs[name].nodes[id]
        if data["kind"] != "input":
            continue
        for caller, node, slot in fed.get((name, data.get("index", 0)), ()):
            if (caller, node, slot) in slots:
                pending.append((caller, *slots[caller, node, slot]))
    return written
