"""Which subgraphs an operator uses, and how its operands and results map to theirs.

What each operator means: tensorflow/lite/kernels/{if,while,call_once}.cc, and the StableHLO specification for those of that name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from graphlab.ir.frozen import FrozenDict
from graphlab.ir.graph import Call, Control

# How operands and results map. "all": one by one; "branch": the operands behind the first; "condition": in, but nothing out;
# "loop": all, and each result goes round; "own": the operator makes what goes in and uses what comes out.
_Mapping = Literal["all", "branch", "condition", "loop", "own"]

_FORMS: Mapping[str, Mapping[str, tuple[str, _Mapping]]] = {
    "IF": {"then_subgraph_index": ("then", "branch"), "else_subgraph_index": ("else", "branch")},
    "WHILE": {"cond_subgraph_index": ("cond", "condition"), "body_subgraph_index": ("body", "loop")},
    "CALL": {"subgraph": ("call", "all")},
    "CALL_ONCE": {"init_subgraph_index": ("call", "own")},
    "STABLEHLO_WHILE": {"cond_subgraph_index": ("cond", "condition"), "body_subgraph_index": ("body", "loop")},
    "STABLEHLO_CASE": {"branch_subgraph_indices": ("branch", "branch")},
    "STABLEHLO_REDUCE": {"body_subgraph_index": ("body", "own")},
    "STABLEHLO_REDUCE_WINDOW": {"body_subgraph_index": ("body", "own")},
    "STABLEHLO_SORT": {"comparator_subgraph_index": ("comparator", "own")},
    "STABLEHLO_SCATTER": {"update_computation_subgraph_index": ("update_computation", "own")},
    "STABLEHLO_COMPOSITE": {"decomposition_subgraph_index": ("decomposition", "all")},
    "STABLEHLO_CUSTOM_CALL": {"called_computations": ("called_computations", "own")},
}
_CONTROL: Mapping[str, Control] = {
    "IF": Control("conditional", predicate=0),
    "STABLEHLO_CASE": Control("conditional", predicate=0),
    "WHILE": Control("loop", condition=("cond", 0)),
    "STABLEHLO_WHILE": Control("loop", condition=("cond", 0)),
}


@dataclass(frozen=True, slots=True)
class Callee:
    """A subgraph as its callers see it."""

    graph: str
    inputs: int
    outputs: int


def control(op: str) -> Control | None:
    """What an operator with regions decides; ``None`` for a plain one."""
    return _CONTROL.get(op)


def calls(op: str, options: dict[str, Any], operands: int, results: int, callee: Callable[[int], Callee]) -> FrozenDict[str, Call] | None:
    """Role → Call of an operator; the options that name subgraphs are taken out of ``options``.

    Args:
        callee: number of a subgraph → what it is; raises FormatError where there is none.
    """
    form = _FORMS.get(op)
    if form is None:
        return None
    found: dict[str, Call] = {}
    for option, (role, mapping) in form.items():
        given = options.pop(option, None)
        if given is None or (op == "STABLEHLO_COMPOSITE" and given < 0):  # a composite need not bring its decomposition
            continue
        if isinstance(given, tuple):
            found.update({f"{role}_{i}": _call(callee(number), mapping, operands, results) for i, number in enumerate(given)})
        else:
            found[role] = _call(callee(given), mapping, operands, results)
    return FrozenDict(found)


def _call(callee: Callee, mapping: _Mapping, operands: int, results: int) -> Call:
    if mapping == "own":
        return Call(callee.graph, (None,) * callee.inputs, (None,) * callee.outputs)
    first = 1 if mapping == "branch" else 0
    taken = tuple([i + first if i + first < operands else None for i in range(callee.inputs)])
    if mapping == "condition":
        return Call(callee.graph, taken, (None,) * callee.outputs)
    given = tuple([i if i < results else None for i in range(callee.outputs)])
    carried = tuple([(i, i) for i in range(min(callee.inputs, callee.outputs))]) if mapping == "loop" else ()
    return Call(callee.graph, taken, given, carried)
