"""One region of a program as a networkx graph: nodes are operations and values' origins, edges are uses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import networkx as nx

from graphlab.ir.constants import Constant
from graphlab.ir.frozen import EMPTY, FrozenDict
from graphlab.ir.values import ValueType

Kind: TypeAlias = Literal["input", "constant", "parameter", "op", "output"]
KINDS: tuple[Kind, ...] = ("input", "constant", "parameter", "op", "output")

CONTROL_PORT = -1
"""Both ports of a control edge (TensorFlow's own number for the control slot)."""


@dataclass(frozen=True, slots=True)
class Call:
    """How a node uses another graph: which of its operands go in, where the graph's results go.

    Attributes:
        graph: the callee's name in the Program.
        operands: for each input of the callee, the caller's operand slot that feeds it (first),
            or ``None`` where the operation itself makes the value (a reduction's elements, a
            loop's index, one slice of a scanned array).
        results: for each output of the callee, the caller's output port it ends in, or ``None``.
        carried: for a loop body, pairs (callee output, callee input): the value goes round.
    """

    graph: str
    operands: tuple[int | None, ...] = ()
    results: tuple[int | None, ...] = ()
    carried: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Control:
    """What a node with regions decides, in words every framework shares.

    Attributes:
        form: ``conditional`` (roles ``then``/``else`` or ``branch_0`` …) or ``loop`` (``cond``, ``body``).
        predicate: the operand slot a conditional decides on; for a loop, the slot of its first
            condition where it has one (TorchScript).
        condition: for a loop, (role, output) of the value that says whether it goes on.
        trip_slot: the operand slot that holds the largest trip count, or that the loop takes an element of each time (a dataset).
        trip_count: the trip count where the source itself states it (the analyzers prove others); a string is a symbolic expression.
    """

    form: Literal["conditional", "loop"]
    predicate: int | None = None
    condition: tuple[str, int] | None = None
    trip_slot: int | None = None
    trip_count: int | str | None = None


@dataclass(frozen=True, slots=True)
class Operand:
    """Stands in an attribute for the value of an operand slot: ``cat((x, y), 1)`` keeps
    ``args = ((Operand(0), Operand(1)), 1)``."""

    slot: int


@dataclass(frozen=True, slots=True)
class Use:
    """One edge, seen from either end."""

    src: str
    src_port: int
    dst: str
    dst_port: int
    kind: Literal["data", "control"] = "data"


class Node:
    """A read-only view of one node. Attributes that a node does not carry have the defaults below."""

    __slots__ = ("_data", "graph", "id")

    def __init__(self, graph: Graph, id: str) -> None:
        self.graph = graph
        self.id = id
        self._data: dict[str, Any] = graph.nodes[id]

    @property
    def kind(self) -> Kind:
        kind: Kind = self._data["kind"]
        return kind

    @property
    def op(self) -> str:
        """The framework's own name, dialect-qualified: ``aten.addmm.default``, ``tf.MatMul``, ``hlo.dot``."""
        op: str = self._data.get("op", self.kind)
        return op

    @property
    def canonical(self) -> str | None:
        """The ONNX operator of the same meaning, where there is one."""
        return self._data.get("canonical")

    @property
    def outputs(self) -> tuple[ValueType, ...]:
        return self._data.get("outputs", ())

    @property
    def attrs(self) -> FrozenDict[str, Any]:
        """What the operation means beyond its operands; compared by diffs."""
        return self._data.get("attrs", EMPTY)

    @property
    def meta(self) -> FrozenDict[str, Any]:
        """What is worth knowing but changes no meaning; not compared."""
        return self._data.get("meta", EMPTY)

    @property
    def loc(self) -> int | None:
        """Index of the innermost user frame in ``Program.frames``."""
        return self._data.get("loc")

    @property
    def scope(self) -> str:
        """Module path or name scope, parts joined by ``/``: ``encoder/layer/0/attention``."""
        return self._data.get("scope", "")

    @property
    def name(self) -> str:
        """The source's own name where the id is another (a parameter's ``encoder.layer.0.weight``)."""
        return self._data.get("name", self.id)

    @property
    def index(self) -> int | None:
        """An input's position in its graph's signature."""
        return self._data.get("index")

    @property
    def value(self) -> Constant | None:
        """A constant's or parameter's value."""
        return self._data.get("value")

    @property
    def calls(self) -> FrozenDict[str, Call]:
        """Role (``then``, ``else``, ``cond``, ``body``, ``branch_0``, ``call``, ``to_apply`` …) → :class:`Call`."""
        return self._data.get("calls", EMPTY)

    @property
    def control(self) -> Control | None:
        return self._data.get("control")

    @property
    def effects(self) -> tuple[str, ...]:
        """Why the node is not a pure function of its operands; see ``ir.ops.EFFECTS``. Empty for a pure one."""
        return self._data.get("effects", ())

    @property
    def synthetic(self) -> bool:
        """Made by graphlab so that the graph stands alone; not in the source's own list of nodes."""
        return self._data.get("synthetic", False)

    @property
    def absent(self) -> tuple[int, ...]:
        """Operand slots the source leaves empty (an optional input not given)."""
        return self._data.get("absent", ())

    @property
    def operands(self) -> list[Use]:
        return self.graph.operands(self.id)

    @property
    def users(self) -> list[Use]:
        return self.graph.users(self.id)

    def __repr__(self) -> str:
        types = ", ".join(map(str, self.outputs))
        return f"<{self.kind} {self.id}: {self.op}{' -> ' + types if types else ''}>"


# Edge keys are shared between edges: two small ints make nearly all of them.
_KEYS: dict[tuple[int, int], tuple[int, int]] = {}


class Graph(nx.MultiDiGraph):
    """A region: every value used in it is made in it or comes in by an input node.

    Nodes are strings with the flat attributes that :class:`Node` lists; an edge is one use of a
    value, with attributes ``kind``, ``src_port``, ``dst_port`` and the key ``(src_port, dst_port)``.
    There is one node of kind ``output``; its operands are the region's results, in order.
    Cycles are legal (TF1 loops). All networkx algorithms work on it; attribute values are
    immutable, so networkx's shallow copies are safe.
    """

    def __repr__(self) -> str:
        named = f" {self.name}" if self.name else ""
        return f"<{type(self).__name__}{named}: {len(self):,} node{'' if len(self) == 1 else 's'}>"

    @property
    def inputs(self) -> list[str]:
        """Ids of the input nodes in signature order. Walks all nodes: keep the answer in a loop."""
        found = [(data.get("index", 0), n) for n, data in self._node.items() if data["kind"] == "input"]
        return [n for _, n in sorted(found, key=lambda pair: pair[0])]

    @property
    def output(self) -> str:
        """Id of the output node. Raises KeyError where there is none (``verify`` reports that)."""
        for n in reversed(self._node):
            if self._node[n]["kind"] == "output":
                return str(n)
        raise KeyError(f"graph {self.name!r} has no output node")

    def node(self, id: str) -> Node:
        """View of one node. Raises KeyError where there is none of that id."""
        return Node(self, id)

    def each_node(self) -> Iterator[Node]:
        """Views of all nodes, in the source's order."""
        return (Node(self, n) for n in self._node)

    def operands(self, id: str) -> list[Use]:
        """The node's data operands in slot order."""
        uses = [
            Use(src, data["src_port"], id, data["dst_port"])
            for src, keyed in self._pred[id].items()
            for data in keyed.values()
            if data["kind"] == "data"
        ]
        uses.sort(key=lambda use: use.dst_port)
        return uses

    def users(self, id: str) -> list[Use]:
        """Uses of the node's values, in the order they were made."""
        return [
            Use(id, data["src_port"], dst, data["dst_port"])
            for dst, keyed in self._succ[id].items()
            for data in keyed.values()
            if data["kind"] == "data"
        ]

    def add(self, id: str, *, kind: Kind, **attributes: Any) -> str:
        """Add a node; attributes that are ``None``, empty or False are left out. Returns the id.

        Raises:
            ValueError: the id is taken.
        """
        if id in self._node:
            raise ValueError(f"graph {self.name!r} has a node {id!r} already")
        self.add_node(id, kind=kind, **{k: v for k, v in attributes.items() if _worth_keeping(v)})
        return id

    def connect(self, src: str, dst: str, src_port: int = 0, dst_port: int = 0) -> None:
        """Add one use: output ``src_port`` of ``src`` goes into operand slot ``dst_port`` of ``dst``."""
        key = _KEYS.setdefault((src_port, dst_port), (src_port, dst_port))
        self.add_edge(src, dst, key, kind="data", src_port=src_port, dst_port=dst_port)

    def connect_control(self, src: str, dst: str) -> None:
        """Add an ordering edge that carries no value."""
        self.add_edge(src, dst, (CONTROL_PORT, CONTROL_PORT), kind="control", src_port=-1, dst_port=-1)

    def fill(
        self,
        nodes: Iterable[tuple[str, dict[str, Any]]],
        edges: Iterable[tuple[str, str, int, int]],
        control: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Add many nodes and data edges ``(src, dst, src_port, dst_port)`` at once.

        Same outcome as :meth:`add` and :meth:`connect` in order, several times faster: it writes
        networkx's dictionaries as ``MultiDiGraph.add_edge`` does. The node dictionaries become the
        graph's own. Ids must be new and unique, and every edge's ends among the nodes.

        Raises:
            ValueError: an id is taken.
            KeyError: an edge names a node that is not there.
        """
        own, succ, pred = self._node, self._succ, self._pred
        before, count = len(own), 0
        for id, data in nodes:
            own[id] = data
            succ[id] = {}
            pred[id] = {}
            count += 1
        if len(own) != before + count:
            raise ValueError(f"graph {self.name!r}: node ids repeat")
        for src, dst, src_port, dst_port in edges:
            key = (src_port, dst_port)
            key = _KEYS.setdefault(key, key)
            out = succ[src]
            data = {"kind": "data", "src_port": src_port, "dst_port": dst_port}
            if dst in out:
                out[dst][key] = data
            else:
                out[dst] = pred[dst][src] = {key: data}
        for src, dst in control:
            self.connect_control(src, dst)
        nx._clear_cache(self)

    def simple(self) -> nx.DiGraph[str]:
        """A plain DiGraph for algorithms that refuse multigraphs.

        Nodes keep their attributes; each edge carries ``uses``, the tuple of :class:`Use` it stands for.
        """
        plain: nx.DiGraph[str] = nx.DiGraph(**self.graph)
        plain.add_nodes_from((n, dict(data)) for n, data in self._node.items())
        for src, targets in self._succ.items():
            for dst, keyed in targets.items():
                uses = tuple(Use(src, d["src_port"], dst, d["dst_port"], d["kind"]) for d in keyed.values())
                plain.add_edge(src, dst, uses=uses)
        return plain

    def count(self) -> int:
        """Nodes the source itself counts: all but the synthetic ones."""
        return sum(1 for data in self._node.values() if not data.get("synthetic"))


def _worth_keeping(value: Any) -> bool:
    return value is not None and value is not False and value not in ((), "", EMPTY)
