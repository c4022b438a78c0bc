"""Writes ``graphlab/ir/vocabulary/torch_operators.txt`` from the operators of the torch that is installed.

python -m graphlab.capture.torch.operator_facts > graphlab/ir/vocabulary/torch_operators.txt
"""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Iterator
from typing import Any

import torch
import torch._inductor.compile_fx  # each registers operators of its own
import torch.ao.quantization.fx._decomposed
import torch.distributed._functional_collectives

from graphlab.capture.torch import ops
from graphlab.capture.torch.operators import writes_out
from graphlab.capture.torch.private import argument_names, defaults, is_mutable, operator_names
from graphlab.ir.vocabulary.torch import EFFECT_IF

NAMESPACES = ("aten", "prims", "_c10d_functional", "c10d", "quantized", "quantized_decomposed", "inductor")


def lines() -> Iterator[str]:
    """``aten.dropout_.default! input p train``: name, ``!`` where it writes to an argument, ``~`` where it draws
    random numbers, its arguments; with its default an argument that an effect depends on.

    Overloads that write their results to ``out`` are left out: they say so by name, and their arguments are of no use.
    """
    for name in sorted(operator_names(NAMESPACES)):
        namespace, _, rest = name.partition("::")
        packet, _, overload = rest.partition(".")
        of = getattr(getattr(getattr(torch.ops, namespace), packet), overload or "default")
        flags = ("!" if is_mutable(of) else "") + ("~" if torch.Tag.nondeterministic_seeded in of.tags else "")
        if writes_out(overload) and flags == "!":
            continue
        yield _line(f"{of}{flags}", argument_names(of), _kept(f"{namespace}.{packet}", defaults(of)))
    for name, of in sorted(_functions()):
        known = ops.target(of)
        if known.arguments is not None:
            parameters = inspect.signature(of).parameters
            yield _line(name, known.arguments, _kept(name, {k: p.default for k, p in parameters.items() if p.default is not p.empty}))


def _kept(name: str, values: dict[str, Any]) -> dict[str, Any]:
    condition = EFFECT_IF.get(name)
    return {} if condition is None or condition[0] not in values else {condition[0]: values[condition[0]]}


def _line(name: str, arguments: tuple[str, ...], values: dict[str, Any]) -> str:
    return " ".join((name, *(f"{each}={values[each]!r}" if each in values else each for each in arguments)))


def _functions() -> set[tuple[str, Any]]:
    """Functions in Python that graphs call by name."""
    found = {}
    for holder in (operator, math, torch, torch.functional, torch.nn.functional):
        for each in vars(holder).values():
            name = ops.name(each) if inspect.isroutine(each) else ""
            dialect, _, called = name.removeprefix("torch.nn.functional.").rpartition(".")
            if dialect in ("", "operator", "math", "torch") and called and not called.startswith("_"):
                found[name] = each
    return set(found.items())


if __name__ == "__main__":
    print(f"# torch {torch.__version__.partition('+')[0]}")
    print("\n".join(lines()))
