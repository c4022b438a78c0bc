"""The parts of torch that ``compilers.torchscript`` uses and torch does not promise to keep (seen in torch 2.13.0)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from graphlab.errors import CompileError

SEEN_IN = "2.13"
"""The torch these were seen in."""

try:
    from torch._ops import HigherOrderOperator, OpOverload
    from torch.export._tree_utils import reorder_kwargs
    from torch.utils._pytree import tree_leaves

    _inline = torch._C._jit_pass_inline
    _FUNCTIONS: tuple[Any, ...] = (torch._C.TensorBase, torch._C._VariableFunctions, torch._C._nn)
except (ImportError, AttributeError) as error:
    raise CompileError(
        "compile with this torch's TorchScript",
        found=f"torch {torch.__version__} moved something graphlab needs: {error}",
        do=f"install torch {SEEN_IN}, or a graphlab that knows this torch",
        reason="failed",
    ) from error


def inline(graph: Any) -> None:
    """Replace the calls in a TorchScript graph by the bodies of what they call, in place."""
    _inline(graph)


def function_of(op: OpOverload) -> Any | None:
    """The function or method of Python's by which an operator is called, written in C++; ``None`` where there is none.

    Unlike the operator itself it takes a traced size for a number, and the tracer keeps it.
    """
    if op.namespace != "aten":
        return None
    name = op._schema.name.partition("::")[2]
    return next((found for owner in _FUNCTIONS if (found := getattr(owner, name, None)) is not None), None)


def makes_number(node: Any) -> bool:
    """Whether an operation makes a number or size of a tensor's data."""
    return bool(node.meta.get("unbacked_bindings"))


def flat_inputs(program: torch.export.ExportedProgram) -> list[Any]:
    """The example inputs, in the order of the graph's placeholders."""
    args, kwargs = program.example_inputs
    spec = program.call_spec.in_spec
    return list(tree_leaves((args, reorder_kwargs(kwargs, spec) if kwargs else {}), is_leaf=lambda leaf: leaf is None))


def size_at(size: Any, step: int) -> int:
    """A size of the exported graph when every symbol in it is ``step`` above the example's, or below where that is out of range."""
    if not isinstance(size, torch.SymInt):
        return int(size)
    expr, shapes = size.node.expr, size.node.shape_env
    return int(expr.subs({symbol: _value(symbol, shapes, step) for symbol in expr.free_symbols}))


def _value(symbol: Any, shapes: Any, step: int) -> int:
    value = int(shapes.backed_var_to_val[symbol])
    return value + step if value + step <= shapes.var_to_range[symbol].upper else value - step


def nodes(block: Any) -> Iterator[Any]:
    """The nodes of a TorchScript graph and of all blocks within them."""
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from nodes(inner)


__all__ = ["SEEN_IN", "HigherOrderOperator", "OpOverload", "flat_inputs", "function_of", "inline", "makes_number", "nodes", "size_at"]
