"""A region of several blocks: what each block takes from the others, so that every block can stand as a graph of its own."""

from __future__ import annotations

from graphlab.capture.mlir import rules
from graphlab.capture.mlir.module import Block, Operation, Region, Value
from graphlab.ir.values import ValueType


class Blocks:
    """The blocks of one region.

    Attributes:
        needs: values that a block, or any that it leads to, takes from outside of itself, its arguments left out.
        returned: types of what the region gives: the operands of the first terminator that leaves it.
    """

    def __init__(self, region: Region) -> None:
        self.returned: tuple[ValueType, ...] = ()
        for block in region.blocks:
            last = block.operations[-1] if block.operations else None
            if last is not None and rules.ends_region(last):
                self.returned = tuple(value.type for value in last.operands)
                break
        self.needs: dict[Block, dict[Value, None]] = {}
        if len(region.blocks) > 1:
            self._find_needs(region)

    def _find_needs(self, region: Region) -> None:
        made = {block: {*block.arguments, *(r for op in block.operations for r in op.results)} for block in region.blocks}
        leads_to = {block: block.operations[-1].successors if block.operations else () for block in region.blocks}
        for block in region.blocks:
            self.needs[block] = {v: None for v in _taken(block) if v not in made[block]}
        comes_from: dict[Block, list[Block]] = {block: [] for block in region.blocks}
        for block, targets in leads_to.items():
            for target in targets:
                comes_from[target].append(block)
        work = list(region.blocks)
        while work:
            block = work.pop()
            for before in comes_from[block]:
                more = [v for v in self.needs[block] if v not in made[before] and v not in self.needs[before]]
                if more:
                    self.needs[before].update(dict.fromkeys(more))
                    work.append(before)


def _taken(block: Block) -> dict[Value, None]:
    """Values that a block's operations use, those of their regions too, in order; made within their regions or not."""
    found: dict[Value, None] = {}
    inside: set[Value] = set()
    work: list[tuple[Operation, bool]] = [(op, False) for op in reversed(block.operations)]
    while work:
        op, nested = work.pop()
        found.update(dict.fromkeys(op.operands))
        if nested:
            inside.update(op.results)
        for region in op.regions:
            for inner in region.blocks:
                inside.update(inner.arguments)
                work.extend((o, True) for o in reversed(inner.operations))
    return {value: None for value in found if value not in inside}
