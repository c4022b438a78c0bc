"""Whether two programs are equal under a claimed correspondence. Shares no code with the alignment or the script.

It compares what a diff compares, node by node and edge by edge, and believes nothing: the
correspondence must be one to one and leave nothing out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from graphlab.ir.constants import Constant
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.graph import Graph, Node
from graphlab.ir.program import NodeRef, Program


def differences(left: Program, right: Program, nodes: Mapping[NodeRef, NodeRef], graphs: Mapping[str, str]) -> Iterator[str]:
    """What speaks against ``left`` and ``right`` being equal; nothing where they are.

    Args:
        nodes: each node of ``right`` → its node of ``left``.
        graphs: each graph of ``right`` → its graph of ``left``.

    Not compared: names, ids, order, scopes, source lines, ``meta``, ``canonical``, and the values of
    constants whose digest would take fetching a large value.
    """
    if set(graphs) != set(right.graphs) or sorted(graphs.values()) != sorted(left.graphs):
        yield f"graphs do not correspond one to one: {sorted(left.graphs)} and {sorted(right.graphs)}"
        return
    if graphs[right.entry] != left.entry:
        yield f"the entries are '{left.entry}' and '{right.entry}'"
    if dict(left.dims) != dict(right.dims):
        yield f"the dims' ranges are {dict(left.dims)} and {dict(right.dims)}"
    for name, graph in right.graphs.items():
        to = {id: nodes.get(NodeRef(name, id)) for id in graph}
        known = {id: ref.node for id, ref in to.items() if ref is not None and ref.graph == graphs[name]}
        if len(known) != len(graph) or sorted(known.values()) != sorted(left.graphs[graphs[name]]):
            yield f"the nodes of '{name}' do not correspond one to one"
            continue
        yield from _graph(left.graphs[graphs[name]], graph, known, graphs)
    yield from _signatures(left, right, graphs)


def _graph(left: Graph, right: Graph, known: Mapping[str, str], graphs: Mapping[str, str]) -> Iterator[str]:
    for node in right.each_node():
        for what in _node(left.node(known[node.id]), node, graphs):
            yield f"'{known[node.id]}' in '{left.name}': {what} differ"
    edges = Counter((d["kind"], known[s], d["src_port"], known[t], d["dst_port"]) for s, t, d in right.edges(data=True))
    have = Counter((d["kind"], s, d["src_port"], t, d["dst_port"]) for s, t, d in left.edges(data=True))
    for edge in (edges - have) + (have - edges):
        yield f"edge {edge} of '{left.name}' is on one side only"


def _node(left: Node, right: Node, graphs: Mapping[str, str]) -> Iterator[str]:
    if left.kind != right.kind or left.op != right.op:
        yield f"ops {left.op} and {right.op}"
    if left.outputs != right.outputs:
        yield f"types {left.outputs} and {right.outputs}"
    if not same(left.attrs, right.attrs):
        yield f"attributes {left.attrs} and {right.attrs}"
    if (left.control, left.effects, left.absent, left.index) != (right.control, right.effects, right.absent, right.index):
        yield "control, effects, absent slots or positions"
    if not same(left.value, right.value):
        yield "constants"
    if left.calls.keys() != right.calls.keys():
        yield f"roles {sorted(left.calls)} and {sorted(right.calls)}"
        return
    for role, call in right.calls.items():
        own = left.calls[role]
        if own.graph != graphs[call.graph]:
            yield f"callees '{own.graph}' and '{call.graph}'"
        if (own.operands, own.results, own.carried) != (call.operands, call.results, call.carried):
            yield f"calls as {role}"


def same(left: object, right: object) -> bool:
    """Whether two attribute values are the same: of the same type, NaN being itself."""
    pending = [(left, right)]
    while pending:
        x, y = pending.pop()
        if type(x) is not type(y):
            return False
        if isinstance(x, tuple) and isinstance(y, tuple):
            if len(x) != len(y):
                return False
            pending.extend(zip(x, y, strict=True))
        elif isinstance(x, FrozenDict) and isinstance(y, FrozenDict):
            if x.keys() != y.keys():
                return False
            pending.extend((x[key], y[key]) for key in x)
        elif isinstance(x, Constant) and isinstance(y, Constant):
            if x.type != y.type or x.nbytes != y.nbytes:
                return False
            digests = {x.digest, y.digest}
            if len(digests) > 1 and None not in digests:
                return False
        elif isinstance(x, (float, complex)):
            if repr(x) != repr(y):
                return False
        elif x != y:
            return False
    return True


def _signatures(left: Program, right: Program, graphs: Mapping[str, str]) -> Iterator[str]:
    """Signatures of one graph correspond by order; names are not compared."""
    for name in right.graphs:
        sides = [
            [
                [[(slot.type, slot.role) for slot in slots] for slots in (signature.inputs, signature.outputs)]
                for signature in program.signatures.values()
                if signature.graph == graph
            ]
            for program, graph in ((left, graphs[name]), (right, name))
        ]
        if sides[0] != sides[1]:
            yield f"signatures of '{name}'"
