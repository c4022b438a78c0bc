"""What a framework's own constant folding really did, seen from the programs before and after it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from graphlab.analyzers.constant_folding import Foldable, Options, analyze
from graphlab.findings import Finding
from graphlab.ir.frozen import frozen
from graphlab.ir.program import NodeRef, Program
from graphlab.ir.values import TensorType

_DEFAULT = Options()
_STABLE = 0.5
"""Ids tell something where at least this share of the nodes after folding carry an id from before."""


@dataclass(frozen=True, slots=True)
class FoldingDone:
    """What is gone and what came.

    Attributes:
        ids_kept: whether node ids mean the same before and after; where they do not, only the counts below hold.
        folded: operations before that are constants after, by id.
        vanished: operations before that are not there after, by id.
        done: foldable subgraphs of which no operation is left, by id.
        left: foldable subgraphs of which at least one operation is left, by id.
        removed: operations that folding computed, by name: of the foldable subgraphs by id, else all that are fewer.
        fewer: per operation name, how many fewer there are after.
        more: per operation name, how many more.
        constants_before, constants_after: number of constant tensors (parameters among them), and their bytes where known.
    """

    ids_kept: bool
    folded: tuple[NodeRef, ...]
    vanished: tuple[NodeRef, ...]
    done: tuple[Foldable, ...]
    left: tuple[Foldable, ...]
    removed: Counter[str]
    fewer: Counter[str]
    more: Counter[str]
    constants_before: tuple[int, int]
    constants_after: tuple[int, int]
    findings: tuple[Finding, ...]

    @property
    def matched_by(self) -> str:
        """``id`` where nodes could be told one by one, ``count`` where only sums could."""
        return "id" if self.ids_kept else "count"

    def to_json(self) -> dict[str, Any]:
        """Plain data: dicts, lists, strings, numbers."""
        return {
            "matched_by": self.matched_by,
            "folded": [str(n) for n in self.folded],
            "vanished": [str(n) for n in self.vanished],
            "done": [[str(n) for n in part.nodes] for part in self.done],
            "left": [[str(n) for n in part.nodes] for part in self.left],
            "removed": dict(self.removed),
            "fewer": dict(self.fewer),
            "more": dict(self.more),
            "constants_before": {"count": self.constants_before[0], "bytes": self.constants_before[1]},
            "constants_after": {"count": self.constants_after[0], "bytes": self.constants_after[1]},
        }


def compare(before: Program, after: Program, options: Options = _DEFAULT) -> FoldingDone:
    """Tell what folding did to ``before`` to make it ``after``.

    Nodes are matched by id where ids live on (Grappler and XLA keep names); TorchScript numbers its
    values anew, and then the sums are all that can be said honestly.
    """
    kept = _ids_kept(before, after)
    folded: list[NodeRef] = []
    vanished: list[NodeRef] = []
    done: list[Foldable] = []
    left: list[Foldable] = []
    removed: Counter[str] = Counter()
    if kept:
        for ref, node in before.each_node():
            if node.kind != "op" or ref.graph not in after.graphs:
                continue
            counterpart = after.graphs[ref.graph].nodes.get(ref.node)
            if counterpart is None:
                vanished.append(ref)
            elif counterpart["kind"] == "constant":
                folded.append(ref)
        for part in analyze(before, options).foldable:
            gone = [ref for ref in part.nodes if not _still_an_op(after, ref)]
            removed.update(before.node(ref).op for ref in gone)
            (done if len(gone) == len(part.nodes) else left).append(part)
    ops_before, ops_after = before.op_counts(), after.op_counts()
    held, holds = _constants(before), _constants(after)
    return FoldingDone(
        ids_kept=kept,
        folded=tuple(folded),
        vanished=tuple(vanished),
        done=tuple(done),
        left=tuple(left),
        removed=removed if kept else ops_before - ops_after,
        fewer=ops_before - ops_after,
        more=ops_after - ops_before,
        constants_before=held,
        constants_after=holds,
        findings=_grown(held[1], holds[1], options.growth),
    )


def _ids_kept(before: Program, after: Program) -> bool:
    """Whether enough of the nodes of ``after`` carry an id that ``before`` has, for the same kind of node or a folded one."""
    same = total = 0
    for ref, node in after.each_node():
        if node.kind == "output" or node.synthetic:
            continue
        total += 1
        origin = before.graphs[ref.graph].nodes.get(ref.node) if ref.graph in before.graphs else None
        if origin is None:
            continue
        folded = node.kind == "constant" and origin.get("outputs", ())[:1] == node.outputs[:1]
        same += folded or origin.get("op", origin["kind"]) == node.op
    return total > 0 and same / total >= _STABLE


def _still_an_op(program: Program, ref: NodeRef) -> bool:
    graph = program.graphs.get(ref.graph)
    return graph is not None and ref.node in graph and graph.nodes[ref.node]["kind"] == "op"


def _constants(program: Program) -> tuple[int, int]:
    """How many tensors the program holds, and their bytes. Parameters among them: freezing makes constants of them."""
    held = [
        node.value.nbytes if node.value is not None else type.nbytes
        for _, node in program.each_node()
        if node.kind in ("constant", "parameter")
        for type in node.outputs[:1]
        if isinstance(type, TensorType)
    ]
    return len(held), sum(size or 0 for size in held)


def _grown(before: int, after: int, growth: int) -> tuple[Finding, ...]:
    if after - before <= growth:
        return ()
    message = f"folding grew the constants from {before:,} to {after:,} bytes"
    do = "see which result is larger than what it was made of, and keep that one unfolded"
    return (Finding("GL303", message, do=do, data=frozen(bytes_before=before, bytes_after=after)),)
