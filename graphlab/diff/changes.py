"""What a diff says: typed changes, and the matches they stand on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from graphlab.ir.constants import Constant
from graphlab.ir.frames import Frame
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.graph import Call, Kind
from graphlab.ir.program import DimRange, NodeRef, Program, Signature
from graphlab.ir.values import ValueType
from graphlab.render.units import count

if TYPE_CHECKING:
    import networkx as nx

    from graphlab.diff.rewrites import Rewrite


class Missing(Enum):
    """Stands for an attribute that one side does not have (``None`` is a value)."""

    MISSING = "missing"

    def __repr__(self) -> str:
        return "absent"


MISSING = Missing.MISSING


@dataclass(frozen=True, slots=True)
class Site:
    """The node a change is about.

    Attributes:
        to: where the node is in the patched program; for a removed node, where it was.
        a: the node in A, ``None`` where only B has it.
        b: the node in B, ``None`` where only A has it.
        op: its operation (B's, where both have it).
        scope: its module path (A's, where A has one).
        frame_a: the user's line in A.
        frame_b: the user's line in B.
    """

    to: NodeRef
    a: NodeRef | None
    b: NodeRef | None
    op: str
    scope: str = ""
    frame_a: Frame | None = None
    frame_b: Frame | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A value by the node of the patched program that makes it (or of A, where it is gone), and the port."""

    node: NodeRef
    port: int
    op: str


@dataclass(frozen=True, slots=True)
class Feed:
    """One incoming edge. An ordering edge has ``kind`` ``control`` and the slot -1."""

    slot: int
    source: Source
    kind: Literal["data", "control"] = "data"


@dataclass(frozen=True, slots=True)
class Added:
    """Only B has the node. ``data`` holds its attributes, callees by their patched names; ``loc`` is in ``frames``."""

    at: Site
    data: FrozenDict[str, Any]
    feeds: tuple[Feed, ...]
    frames: tuple[Frame, ...]


@dataclass(frozen=True, slots=True)
class Removed:
    """Only A has the node; its edges go with it."""

    at: Site
    outputs: tuple[ValueType, ...]
    feeds: tuple[Feed, ...]


@dataclass(frozen=True, slots=True)
class OpChanged:
    """Another operation in the same place. ``kinds`` are the node kinds, before and after."""

    at: Site
    old: str
    new: str
    kinds: tuple[Kind, Kind]
    canonical: str | None


@dataclass(frozen=True, slots=True)
class AttributeChanged:
    """One attribute. ``field`` says of what: ``attrs`` (``key`` names it), or the node's ``control``, ``effects``,
    ``absent`` slots or ``index`` (then ``key`` is empty). :data:`MISSING` where a side has none."""

    at: Site
    field: Literal["attrs", "control", "effects", "absent", "index"]
    key: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class TypeChanged:
    """The type of one output. ``aspects``: which of ``dtype``, ``dims``, ``layout``, ``sharding``,
    ``quantization``, ``placement`` differ, or ``kind`` (tensor against tuple), or ``arity`` (one side has no such output)."""

    at: Site
    port: int
    aspects: tuple[str, ...]
    old: ValueType | None
    new: ValueType | None


@dataclass(frozen=True, slots=True)
class ConstantChanged:
    """The value of a constant or parameter, by type, size and digest."""

    at: Site
    old: Constant | None
    new: Constant | None


@dataclass(frozen=True, slots=True)
class CallChanged:
    """Which region a node uses in a role, or how values go in and out of it. Graph names are the patched program's."""

    at: Site
    role: str
    old: Call | None
    new: Call | None


@dataclass(frozen=True, slots=True)
class Rewired:
    """One edge: operand ``slot`` of the node comes from ``new`` instead of ``old``. ``None``: no such operand."""

    at: Site
    slot: int
    old: Source | None
    new: Source | None
    kind: Literal["data", "control"] = "data"


@dataclass(frozen=True, slots=True)
class OperandsReordered:
    """The same operands in another order: the k-th slot now has what slot ``order[k]`` had.

    ``commutative``: the operation is known not to care.
    """

    at: Site
    order: tuple[int, ...]
    commutative: bool


@dataclass(frozen=True, slots=True)
class Moved:
    """The node is in another region; ``feeds`` are its edges there."""

    at: Site
    feeds: tuple[Feed, ...]


@dataclass(frozen=True, slots=True)
class GraphAdded:
    """Only B has the region. ``name`` is its name in the patched program, ``b`` its name in B."""

    name: str
    b: str
    nodes: tuple[Added, ...]


@dataclass(frozen=True, slots=True)
class GraphRemoved:
    """Only A has the region, of ``nodes`` nodes."""

    name: str
    nodes: int


@dataclass(frozen=True, slots=True)
class SignatureChanged:
    """An entry's slots: their number, types or roles. ``None`` where a side has no such entry."""

    name: str
    old: Signature | None
    new: Signature | None


@dataclass(frozen=True, slots=True)
class DimChanged:
    """The range of a symbolic dimension."""

    name: str
    old: DimRange | None
    new: DimRange | None


NodeChange: TypeAlias = (
    Added | Removed | OpChanged | AttributeChanged | TypeChanged | ConstantChanged | CallChanged | Rewired | OperandsReordered | Moved
)
Change: TypeAlias = NodeChange | GraphAdded | GraphRemoved | SignatureChanged | DimChanged

KINDS: dict[type[Any], str] = {
    Added: "added", Removed: "removed", OpChanged: "op", AttributeChanged: "attribute", TypeChanged: "type",
    ConstantChanged: "constant", CallChanged: "call", Rewired: "rewired", OperandsReordered: "reordered", Moved: "moved",
    GraphAdded: "graph added", GraphRemoved: "graph removed", SignatureChanged: "signature", DimChanged: "dim range",
}  # fmt: skip
"""Change type → the word for it in summaries and JSON."""


@dataclass(frozen=True, slots=True)
class Match:
    """Two nodes that are one. ``confidence`` is 0 to 1; ``reason`` says what the match rests on."""

    a: NodeRef
    b: NodeRef
    confidence: float
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class GraphDiff:
    """What changed from ``a`` to ``b``.

    Attributes:
        matches: every pair of corresponding nodes.
        graphs: corresponding graphs, A's name → B's.
        changes: in order of region, depth and kind.
        placed: where each node of B is in the patched program.
        regions: where each graph of B is in the patched program.
        unchecked: matched constants whose values were not compared, because one of the two is not
            to be had (elided by a dump); their types and sizes are equal.
        names: what ``a`` and ``b`` are called: their files, ``model.py:net``, or their entries' names.
    """

    a: Program
    b: Program
    matches: tuple[Match, ...]
    graphs: Mapping[str, str]
    changes: tuple[Change, ...]
    placed: Mapping[NodeRef, NodeRef]
    regions: Mapping[str, str]
    unchecked: tuple[tuple[NodeRef, NodeRef], ...] = ()
    names: tuple[str, str] = ("a", "b")

    def __repr__(self) -> str:
        return f"<GraphDiff {self.names[0]} -> {self.names[1]}: {self.summary()}>"

    @property
    def equal(self) -> bool:
        """No change: the programs differ in names, order and other metadata at most."""
        return not self.changes

    def counts(self) -> Counter[str]:
        """Changes by kind."""
        return Counter(KINDS[type(change)] for change in self.changes)

    def summary(self) -> str:
        """One line: how many changes of each kind, or that there are none."""
        matched = f"{count(self._matched(), 'node')} matched"
        if self.equal:
            return f"no changes{' in what can be compared' if self.unchecked else ''}; {matched}"
        kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(self.counts().items(), key=lambda c: (-c[1], c[0])))
        return f"{count(len(self.changes), 'change')} ({kinds}); {matched}"

    def _matched(self) -> int:
        """Pairs of nodes that the source itself counts, as :meth:`Program.count` does."""
        return sum(not self.a.node(match.a).synthetic for match in self.matches)

    def apply(self, a: Program) -> Program:
        """The program that the changes make of ``a``.

        Raises:
            DiffError: ``a`` is not the program the diff starts from.
        """
        from graphlab.diff.apply import apply

        return apply(a, self)

    def invert(self) -> GraphDiff:
        """The way back, by the same matches: what makes ``a`` of ``b``."""
        from graphlab.diff.engine import from_matches

        return from_matches(self.b, self.a, [(m.b, m.a, m.confidence, m.reason) for m in self.matches], names=self.names[::-1])

    def then(self, other: GraphDiff) -> GraphDiff:
        """This diff and, from its ``b`` on, another, as one: by the matches of both.

        Raises:
            DiffError: the other does not begin where this one ends.
        """
        from graphlab.diff.engine import composed

        return composed(self, other)

    @property
    def rewrites(self) -> tuple[Rewrite, ...]:
        """What was removed and added between the same matched neighbours, N nodes for M, as one each."""
        from graphlab.diff.rewrites import rewrites

        return rewrites(self)

    def to_json(self) -> dict[str, Any]:
        """Plain data that follows ``graphlab/diff/diff.schema.json``."""
        from graphlab.diff.as_json import diff_json

        return diff_json(self)

    def to_networkx(self) -> nx.MultiDiGraph[NodeRef]:
        """Both sides as one graph; see :func:`graphlab.diff.union.union`."""
        from graphlab.diff.union import union

        return union(self)
