"""The rules every Program keeps, checked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from graphlab.errors import VerifyError
from graphlab.findings import Finding
from graphlab.ir.constants import Constant
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.graph import CONTROL_PORT, KINDS, Call, Control, Graph
from graphlab.ir.program import NodeRef, Program
from graphlab.ir.values import OpaqueType, TensorType, TokenType, TupleType

_TYPES: dict[str, tuple[type, ...]] = {
    "op": (str,), "canonical": (str,), "outputs": (tuple,), "attrs": (FrozenDict,), "meta": (FrozenDict,),
    "loc": (int,), "scope": (str,), "name": (str,), "index": (int,), "value": (Constant,), "calls": (FrozenDict,),
    "control": (Control,), "effects": (tuple,), "synthetic": (bool,), "absent": (tuple,),
}  # fmt: skip
_ELEMENTS: dict[str, type] = {"effects": str, "absent": int}
_EXACT = {key: types[0] for key, types in _TYPES.items() if key not in _ELEMENTS}
_identity = id  # the loops below use the name for a node's id
_VALUES = (TensorType, TupleType, TokenType, OpaqueType)


def verify(program: Program) -> tuple[Finding, ...]:
    """All breaches of the IR's rules, as findings GL001 to GL010; empty for a sound program.

    Checked: node kinds and attribute types; every operand slot fed exactly once (but for the
    slots listed in ``absent``); ports within range; inputs numbered from 0; one output node a
    graph; callees present and their arity met; frames present; signatures fitting their graphs.
    """
    return tuple(_program(program))


def ensure_verified(program: Program) -> Program:
    """The program itself, where it is sound.

    Raises:
        VerifyError: it is not; the error carries the findings.
    """
    findings = verify(program)
    if findings:
        first = findings[0]
        raise VerifyError(
            f"verify the program from {program.source.path or program.source.format}",
            found=f"{len(findings)} breach(es) of the IR's rules, the first: {first.code} {first.message}",
            do="this is a defect of the reader that made it; please report it with the input",
            findings=findings,
        )
    return program


def _program(program: Program) -> Iterator[Finding]:
    if program.entry not in program.graphs:
        yield Finding("GL004", f"the entry '{program.entry}' is not among the graphs")
    arity: dict[str, tuple[int, int]] = {}
    seen = _Seen()
    for name, graph in program.graphs.items():
        yield from _graph(name, graph, len(program.frames), seen)
        arity[name] = (seen.inputs, seen.results)
    for ref, graph, calls in seen.calls:
        yield from _calls(ref, graph, calls, arity)
    for name, signature in program.signatures.items():
        if signature.graph not in arity:
            yield Finding("GL004", f"signature '{name}' names the graph '{signature.graph}', which is not there")
        elif (len(signature.inputs), len(signature.outputs)) != arity[signature.graph]:
            takes, gives = arity[signature.graph]
            yield Finding(
                "GL009",
                f"signature '{name}' lists {len(signature.inputs)} inputs and {len(signature.outputs)} outputs, "
                f"its graph '{signature.graph}' has {takes} and {gives}",
            )
    for i, frame in enumerate(program.frames):
        if frame.caller is not None and not 0 <= frame.caller < i:
            yield Finding("GL008", f"frame {i} names the caller {frame.caller}, which does not stand before it")


class _Seen:
    """What a pass over the graphs leaves for later ones. ``sound`` holds ids of shared immutable values already looked at."""

    def __init__(self) -> None:
        self.inputs = 0
        self.results = 0
        self.calls: list[tuple[NodeRef, Graph, FrozenDict[str, Call]]] = []
        self.sound: set[int] = set()


def _graph(name: str, graph: Graph, frames: int, seen: _Seen) -> Iterator[Finding]:
    indices: list[int] = []
    outputs = results = 0
    nodes, pred, sound = graph._node, graph._pred, seen.sound
    for id, data in nodes.items():
        kind = data.get("kind")
        if not isinstance(id, str) or kind not in KINDS:
            yield Finding("GL007", f"'{id}' has the kind {kind!r}", (NodeRef(name, id),))
            continue
        for key, value in data.items():
            if type(value) is not _EXACT.get(key) and key != "kind" and not _fits(key, value):
                yield Finding(
                    "GL007", f"'{id}' has the attribute {key} = {value!r:.60}, which the IR does not know so", (NodeRef(name, id),)
                )
        types = data.get("outputs", ())
        if _identity(types) not in sound and isinstance(types, tuple):
            if all(isinstance(t, _VALUES) for t in types):
                sound.add(_identity(types))
            else:
                yield Finding("GL007", f"'{id}' has an output that is no value type", (NodeRef(name, id),))
        for bag in ("attrs", "meta"):
            values = data.get(bag)
            if values is None or _identity(values) in sound:
                continue
            if _immutable(values):
                sound.add(_identity(values))
            else:
                yield Finding("GL007", f"'{id}' has a mutable value in {bag}", (NodeRef(name, id),))
        loc = data.get("loc")
        if isinstance(loc, int) and not 0 <= loc < frames:
            yield Finding("GL008", f"'{id}' has the frame {loc} of {frames}", (NodeRef(name, id),))
        if kind == "input":
            indices.append(data.get("index", -1))
        elif kind == "output":
            outputs += 1
            results = max(results, 1 + max((use.dst_port for use in graph.operands(id)), default=-1))
        calls = data.get("calls")
        if isinstance(calls, FrozenDict):
            seen.calls.append((NodeRef(name, id), graph, calls))
        if not _slots_sound(nodes, pred[id], data):
            yield from _slots(name, graph, id, data)
    seen.inputs, seen.results = len(indices), results
    if outputs != 1:
        yield Finding("GL006", f"graph '{name}' has {outputs} output nodes")
    if sorted(indices) != list(range(len(indices))):
        yield Finding("GL009", f"graph '{name}' numbers its inputs {sorted(indices)}")


def _fits(key: str, value: object) -> bool:
    """Whether the IR knows the attribute, with a value of that type; a truth value is no number here."""
    wanted = _TYPES.get(key)
    if wanted is None or not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        return False
    element = _ELEMENTS.get(key)
    return element is None or (isinstance(value, tuple) and all(type(v) is element for v in value))


def _slots_sound(nodes: dict[str, dict[str, Any]], sources: dict[str, Any], data: dict[str, Any]) -> bool:
    """The usual node at one glance: data edges alone, each slot fed once, none absent. False says: look closer with :func:`_slots`."""
    if not sources:
        return "absent" not in data
    fed: list[int] = []
    for src, keyed in sources.items():
        made = nodes[src].get("outputs", ())
        arity = len(made) if isinstance(made, tuple) else 0
        for key, edge in keyed.items():
            src_port, dst_port = edge.get("src_port"), edge.get("dst_port")
            if edge.get("kind") != "data" or type(src_port) is not int or type(dst_port) is not int:
                return False
            if key != (src_port, dst_port) or not 0 <= src_port < arity:
                return False
            fed.append(dst_port)
    fed.sort()
    return fed == list(range(len(fed))) and "absent" not in data and data["kind"] in ("op", "output")


def _slots(name: str, graph: Graph, id: str, data: dict[str, Any]) -> Iterator[Finding]:
    at = (NodeRef(name, id),)
    fed: list[int] = []
    for src, keyed in graph.pred[id].items():
        arity = len(graph.nodes[src].get("outputs", ()))
        for key, edge in keyed.items():
            kind, src_port, dst_port = edge.get("kind"), edge.get("src_port"), edge.get("dst_port")
            if key != (src_port, dst_port) or kind not in ("data", "control"):
                yield Finding("GL010", f"edge {src} -> {id} has the key {key!r} and attributes {edge!r}", at)
            elif kind == "control":
                if src_port != CONTROL_PORT or dst_port != CONTROL_PORT:
                    yield Finding("GL010", f"control edge {src} -> {id} has the ports {key!r}", at)
            else:
                fed.append(dst_port)
                if not 0 <= src_port < arity:
                    yield Finding("GL003", f"'{id}' takes output {src_port} of '{src}', which has {arity}", at)
    if fed and data["kind"] in ("input", "constant", "parameter"):
        yield Finding("GL010", f"'{id}' is a {data['kind']} and has operands", at)
    absent = data.get("absent", ())
    if not isinstance(absent, tuple) or not all(isinstance(slot, int) for slot in absent):
        return  # said above
    if len(set(fed)) != len(fed):
        yield Finding("GL001", f"'{id}' has a slot that is fed twice: {sorted(fed)}", at)
    elif fed or absent:
        slots = sorted((*fed, *absent))
        if slots != list(range(len(slots))):
            yield Finding("GL002", f"'{id}' is fed in the slots {sorted(fed)}, absent {absent}", at)


def _calls(at: NodeRef, graph: Graph, calls: FrozenDict[str, Call], arity: dict[str, tuple[int, int]]) -> Iterator[Finding]:
    slots = {use.dst_port for use in graph.operands(at.node)} | set(graph.nodes[at.node].get("absent", ()))
    ports = len(graph.nodes[at.node].get("outputs", ()))
    for role, call in calls.items():
        if call.graph not in arity:
            yield Finding("GL004", f"'{at.node}' uses '{call.graph}' as {role}, which is not there", (at,))
            continue
        takes, gives = arity[call.graph]
        if len(call.operands) != takes or len(call.results) != gives:
            yield Finding(
                "GL005",
                f"'{at.node}' gives '{call.graph}' ({role}) {len(call.operands)} inputs and takes "
                f"{len(call.results)} results; it has {takes} and {gives}",
                (at,),
            )
            continue
        if any(slot is not None and slot not in slots for slot in call.operands):
            yield Finding("GL005", f"'{at.node}' feeds '{call.graph}' ({role}) from a slot it does not have", (at,))
        if any(port is not None and not 0 <= port < ports for port in call.results):
            yield Finding("GL005", f"'{at.node}' puts a result of '{call.graph}' ({role}) in a port it does not have", (at,))
        if any(not (0 <= out < gives and 0 <= back < takes) for out, back in call.carried):
            yield Finding("GL005", f"'{at.node}' carries values of '{call.graph}' ({role}) that it does not have", (at,))


def _immutable(value: object) -> bool:
    if isinstance(value, FrozenDict):
        return all(_immutable(v) for v in value.values())
    if isinstance(value, tuple):
        return all(_immutable(v) for v in value)
    return not isinstance(value, (list, dict, set, bytearray))
