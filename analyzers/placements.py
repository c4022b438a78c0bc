"""Who runs what, and what crosses between them: TFF's placements, devices named in the graph, collectives.

A node runs where its values are held (``TensorType.placement``), where the operation that uses its graph runs that
(``attrs["runs"]``), or where the device is that the source names. Values cross where an operation takes those of one place
and gives those of another, and where a device takes another's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphlab.findings import Finding
from graphlab.ir.frames import Frame
from graphlab.ir.graph import Node
from graphlab.ir.ops import forwards
from graphlab.ir.program import NodeRef, Program
from graphlab.ir.values import OpaqueType, TensorType, TupleType, ValueType

DEVICES = "devices"
"""Both ends of a collective among devices that the program does not name."""
_PACKS = frozenset({"tff.struct", "tff.select", "tff.call", "tff.function"})
"""Operations that nobody runs: they put values together, take them apart, or stand for the graph they use."""


@dataclass(frozen=True, slots=True)
class Options:
    """Nothing can be chosen."""


@dataclass(frozen=True, slots=True)
class Place:
    """A party or device.

    Attributes:
        name: ``CLIENTS``, ``SERVER``, ``/device:GPU:0``.
        ops: operations that it runs, each graph counted once.
        graphs: the graphs that run there as a whole.
        parameters, parameter_bytes: parameters that it holds, and their bytes where known.
        inputs: bytes of the entry's inputs that it holds; ``None`` where a size is not known.
    """

    name: str
    ops: int
    graphs: tuple[str, ...]
    parameters: int
    parameter_bytes: int
    inputs: int | None


@dataclass(frozen=True, slots=True)
class Crossing:
    """Values that go from one place to another.

    Attributes:
        node: the operation that moves them; for devices, the one that takes them.
        op: its name.
        source, target: the places.
        values: the types of what moves.
        nbytes: bytes of it: for each party of the source, or of the target where the source is one; ``None`` where not known.
        reason: why the bytes are not known.
        where: the operation's source line.
    """

    node: NodeRef
    op: str
    source: str
    target: str
    values: tuple[str, ...]
    nbytes: int | None
    reason: str = ""
    where: Frame | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """Places by name, crossings in the program's order. Both are empty where the source says nothing of places."""

    places: tuple[Place, ...]
    crossings: tuple[Crossing, ...]
    findings: tuple[Finding, ...] = field(default=())

    def total(self, source: str, target: str) -> tuple[int, int]:
        """Bytes of all crossings from one place to another, each counted once, and how many of them are of unknown size."""
        found = [c.nbytes for c in self.crossings if (c.source, c.target) == (source, target)]
        return sum(n for n in found if n is not None), found.count(None)

    def to_json(self) -> dict[str, Any]:
        """Plain data: dicts, lists, strings, numbers."""
        return {
            "places": [
                {
                    "name": p.name,
                    "ops": p.ops,
                    "graphs": list(p.graphs),
                    "parameters": {"count": p.parameters, "bytes": p.parameter_bytes},
                    "input_bytes": p.inputs,
                }
                for p in self.places
            ],
            "crossings": [
                {
                    "node": str(c.node),
                    "op": c.op,
                    "source": c.source,
                    "target": c.target,
                    "values": list(c.values),
                    "bytes": c.nbytes,
                    "reason": c.reason,
                    "where": None if c.where is None else str(c.where),
                }
                for c in self.crossings
            ],
        }


def analyze(program: Program, options: Options = Options()) -> Result:
    """Find where a program's operations run and what crosses between those places."""
    runs = _runs(program)
    places: dict[str, _Place] = {}
    for name, graph in program.graphs.items():
        for place in sorted(runs.get(name, ())):
            places.setdefault(place, _Place()).graphs.append(name)
        for node in graph.each_node():
            for place in _held_by(node) or sorted(runs.get(name, ())) or filter(None, [_device(node)]):
                _count(places.setdefault(place, _Place()), node)
    crossings = tuple(_crossings(program, runs))
    for crossing in crossings:
        for place in (crossing.source, crossing.target):
            if place != DEVICES:
                places.setdefault(place, _Place())
    inputs = _inputs(program)
    moving = {place for crossing in crossings for place in (crossing.source, crossing.target)}
    found = tuple(
        Place(name, p.ops, tuple(p.graphs), p.parameters, p.parameter_bytes, inputs.get(name, 0))
        for name, p in sorted(places.items())
        if p.ops or p.parameters or name in moving or name in inputs
    )
    return Result(found, crossings)


class _Place:
    def __init__(self) -> None:
        self.ops = self.parameters = self.parameter_bytes = 0
        self.graphs: list[str] = []


def _count(place: _Place, node: Node) -> None:
    if node.kind == "parameter":
        place.parameters += 1
        held = node.value.type if node.value is not None else next(iter(node.outputs), None)
        place.parameter_bytes += (held.nbytes or 0) if isinstance(held, TensorType) else 0
    elif node.kind == "op" and not node.synthetic and node.op not in _PACKS and not forwards(node.op):
        place.ops += 1


def _runs(program: Program) -> dict[str, set[str]]:
    """Where whole graphs run: the operations that use them say, and the graphs that those use run there too."""
    found: dict[str, set[str]] = {}
    pending: list[str] = []
    for _, node in _nodes(program):
        told = node.attrs.get("runs")
        for role, call in node.calls.items():
            place = told.get(role) if isinstance(told, Mapping) else _device(node)
            if isinstance(place, str) and place and place not in found.setdefault(call.graph, set()):
                found[call.graph].add(place)
                pending.append(call.graph)
    while pending:
        name = pending.pop()
        for node in program.graphs[name].each_node():
            for call in node.calls.values():
                new = found[name] - found.setdefault(call.graph, set())
                if new and not isinstance(node.attrs.get("runs"), Mapping):
                    found[call.graph] |= new
                    pending.append(call.graph)
    return {name: places for name, places in found.items() if places}


def _nodes(program: Program) -> Iterator[tuple[str, Node]]:
    for name, graph in program.graphs.items():
        for node in graph.each_node():
            yield name, node


def _crossings(program: Program, runs: Mapping[str, set[str]]) -> Iterator[Crossing]:
    for name, node in _nodes(program):
        if node.kind != "op":
            continue
        ref, where = NodeRef(name, node.id), program.frame(node)
        taken = {use.dst_port: node.graph.node(use.src).outputs[use.src_port] for use in node.operands}
        moves = node.attrs.get("moves")
        if isinstance(moves, tuple):
            for source, target, slots in moves:
                types = [taken[slot] for slot in slots if slot in taken]
                yield _crossing(ref, node, source, target, types, where)
        elif "collective" in node.effects or (node.op not in _PACKS and not forwards(node.op)):
            yield from _by_types(ref, node, list(taken.values()), where)
        here = _device(node)
        if here:
            yield from _between_devices(ref, node, here, runs.get(name, set()), where)


def _by_types(ref: NodeRef, node: Node, taken: list[ValueType], where: Frame | None) -> Iterator[Crossing]:
    targets = dict.fromkeys(place for type in node.outputs for place, _ in _leaves(type) if place)
    sources: dict[str, list[ValueType]] = {}
    for type in taken:
        for place, leaf in _leaves(type):
            if place and place not in targets:
                sources.setdefault(place, []).append(leaf)
    for source, leaves in sources.items():
        for target in targets:
            yield _crossing(ref, node, source, target, leaves, where)
    if not sources and not targets and "collective" in node.effects:
        yield _crossing(ref, node, DEVICES, DEVICES, [leaf for type in taken for _, leaf in _leaves(type)], where)


def _between_devices(ref: NodeRef, node: Node, here: str, around: Iterable[str], where: Frame | None) -> Iterator[Crossing]:
    """Operands that come from another device."""
    from_there: dict[str, list[ValueType]] = {}
    for src, port in dict.fromkeys((use.src, use.src_port) for use in node.operands):
        maker = node.graph.node(src)
        there = _device(maker)
        if there and there != here:
            from_there.setdefault(there, []).append(maker.outputs[port])
    for there, types in from_there.items():
        yield _crossing(ref, node, there, here, types, where)


def _crossing(ref: NodeRef, node: Node, source: str, target: str, types: list[ValueType], where: Frame | None) -> Crossing:
    leaves = [leaf for type in types for _, leaf in _leaves(type)]
    total, reason = 0, "" if leaves else "the operation makes what crosses"
    for leaf in leaves:
        size = leaf.nbytes if isinstance(leaf, TensorType) else None
        if size is None:
            reason = reason or f"{leaf} has no known size"
        total += size or 0
    return Crossing(ref, node.op, source, target, tuple(map(str, types)), None if reason else total, reason, where)


def _held_by(node: Node) -> list[str]:
    """Who holds a node's results."""
    return list(dict.fromkeys(place for type in node.outputs for place, _ in _leaves(type) if place))


def _device(node: Node) -> str:
    device = node.meta.get("device")
    return device if isinstance(device, str) else ""


def _leaves(type: ValueType) -> Iterator[tuple[str, ValueType]]:
    """The leaves of a type, each with who holds it; an opaque type says so at its end (``T*@CLIENTS``)."""
    pending = [type]
    while pending:
        at = pending.pop()
        if isinstance(at, TupleType):
            pending += reversed(at.elements)
        elif isinstance(at, TensorType):
            yield at.placement or "", at
        elif isinstance(at, OpaqueType):
            name = at.name.rpartition("@")[2] if "@" in at.name else ""
            yield (name if name.isidentifier() and name.isupper() else ""), at


def _inputs(program: Program) -> dict[str, int | None]:
    """Bytes of the entry's inputs by who holds them."""
    found: dict[str, int | None] = {}
    for id in program.main.inputs:
        for type in program.main.node(id).outputs:
            for place, leaf in _leaves(type):
                size = leaf.nbytes if isinstance(leaf, TensorType) else None
                before = found.get(place, 0)
                found[place] = None if size is None or before is None else before + size
    return found
