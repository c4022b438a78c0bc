"""HLO modules that have been read, from text or messages, to a Program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphlab.capture.xla.hlo_module import Module
from graphlab.ir.frames import FrameTable
from graphlab.ir.frozen import EMPTY, FrozenDict
from graphlab.ir.program import DimRange, Program, Signature, Slot, Source
from graphlab.ir.values import SymDim, TensorType, TupleType, ValueType


def numbered(names: Sequence[str]) -> list[str]:
    """Names made unique: the second ``jit_f`` is ``jit_f#2``."""
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return unique


def program_of(modules: Sequence[tuple[str, Module]], *, frames: FrameTable, source: Source, native: Any = None) -> Program:
    """One Program of all modules, each a signature, the first the entry.

    Args:
        modules: unique name and module.
        native: the module as XLA takes it, where there is one.
    """
    signatures = {name: _signature(module) for name, module in modules}
    metas = {name: module.meta for name, module in modules}
    only = modules[0][1] if len(modules) == 1 else None
    return Program(
        graphs={computation.key: computation.graph for _, module in modules for computation in module.computations.values()},
        entry=modules[0][1].entry.key,
        source=source,
        signatures=signatures,
        dims=_dims(signatures),
        frames=frames.done(),
        meta=only.meta if only else FrozenDict(modules=FrozenDict(metas)) if metas else EMPTY,
        native=native if only else None,
    )


def _signature(module: Module) -> Signature:
    entry = module.entry
    nodes = entry.graph.nodes
    inputs = tuple(Slot(id, nodes[id]["outputs"][0]) for id in entry.parameters)
    return Signature(entry.key, inputs, (Slot(entry.root, nodes[entry.root]["outputs"][0]),))


def _dims(signatures: dict[str, Signature]) -> dict[str, DimRange]:
    """The ranges of the bounded dynamic dimensions of the entries' values."""
    found: dict[str, DimRange] = {}
    work: list[ValueType] = [slot.type for signature in signatures.values() for slot in (*signature.inputs, *signature.outputs)]
    while work:
        type = work.pop()
        if isinstance(type, TupleType):
            work.extend(type.elements)
        elif isinstance(type, TensorType):
            for dim in type.dims or ():
                if isinstance(dim, SymDim):
                    found[dim.expr] = DimRange(0, int(dim.expr.removeprefix("<=")))
    return dict(sorted(found.items()))


__all__ = ["numbered", "program_of"]
