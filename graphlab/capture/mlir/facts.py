"""What MLIR modules say of functions, arguments and values beside their operations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from graphlab.capture.mlir.module import FunctionType, Module, Operation
from graphlab.ir.frozen import EMPTY, FrozenDict, freeze
from graphlab.ir.graph import Graph
from graphlab.ir.program import DimRange, Signature, Slot
from graphlab.ir.values import SymDim, TensorType, TupleType, ValueType


def sharded(kind: ValueType, text: str | None) -> ValueType:
    """The type with the sharding that stands beside it, where there is one."""
    return replace(kind, sharding=text) if text is not None and isinstance(kind, TensorType) else kind


def rows_of(told: Any, count: int) -> list[dict[str, Any]]:
    """Attributes of each argument or result, ``count`` of them."""
    rows = [of if isinstance(of, dict) else {} for of in told] if isinstance(told, tuple) else []
    return [rows[i] if i < len(rows) else {} for i in range(count)]


def told_name(facts: Mapping[str, Any]) -> str:
    """What an argument is called by its attributes; empty where they do not say."""
    return str(facts.get("jax.arg_info") or index_path(facts) or facts.get("ml_program.identifier") or "")


def index_path(facts: Mapping[str, Any]) -> str:
    """TensorFlow's name of an argument or result: ``inputs.x``."""
    path = facts.get("tf_saved_model.index_path")
    return ".".join(map(str, path)) if isinstance(path, tuple) else ""


def is_jax(module: Module) -> bool:
    """Whether JAX made it: it leaves attributes of its own on the module or its functions."""
    if any(key.startswith("jax.") for key in module.attributes) or (module.name or "").startswith(("jit_", "pmap_")):
        return True
    for op in module.body:
        for side in ("arg_attrs", "res_attrs"):
            told = op.attributes.get(side)
            if isinstance(told, tuple) and any(isinstance(of, dict) and any(str(k).startswith("jax.") for k in of) for of in told):
                return True
    return False


def is_declaration(op: Operation) -> bool:
    """Whether an operation outside of functions makes nothing and holds nothing."""
    return not op.results and not op.operands and not any(region.blocks for region in op.regions)


def as_fact(op: Operation) -> FrozenDict[str, Any]:
    """What stands beside the functions, as data."""
    attrs = {k: v for k, v in op.attributes.items() if k != "function_type"}
    kind = op.attributes.get("function_type")
    if isinstance(kind, FunctionType):
        attrs["type"] = FrozenDict(inputs=kind.inputs, results=kind.results)
    return FrozenDict(op=op.name, attrs=freeze(attrs) if attrs else EMPTY)


def bare_signature(name: str, graph: Graph) -> Signature:
    """The signature of a graph whose module states none."""
    nodes = graph.nodes
    inputs = tuple(Slot(nodes[i].get("name", i), nodes[i]["outputs"][0]) for i in graph.inputs)
    uses = graph.operands(graph.output)
    return Signature(name, inputs, tuple(Slot(f"out{i}", nodes[use.src]["outputs"][use.src_port]) for i, use in enumerate(uses)))


def ranges(signatures: Mapping[str, Signature]) -> dict[str, DimRange]:
    """The ranges of the bounded dynamic dimensions of the entries' values."""
    found: dict[str, DimRange] = {}
    work: list[ValueType] = [slot.type for signature in signatures.values() for slot in (*signature.inputs, *signature.outputs)]
    while work:
        kind = work.pop()
        if isinstance(kind, TupleType):
            work.extend(kind.elements)
        elif isinstance(kind, TensorType):
            for dim in kind.dims or ():
                if isinstance(dim, SymDim) and dim.expr.startswith("<="):
                    found[dim.expr] = DimRange(0, int(dim.expr.removeprefix("<=")))
    return dict(sorted(found.items()))
