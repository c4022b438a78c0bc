"""``torch.export``: an ``ExportedProgram`` read into a Program."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import torch
import torch.fx
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, InputKind, InputSpec, OutputKind

from graphlab.capture.inputs import Inputs
from graphlab.capture.torch import examples
from graphlab.capture.torch.failures import failed
from graphlab.capture.torch.fx_graph import Walk
from graphlab.capture.torch.private import tree_leaves
from graphlab.capture.torch.state import quiet, unchanged
from graphlab.capture.torch.values import Ties, as_is, constant, literal, text_constant
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.program import DimRange, Program, Role, Signature, Slot, Source
from graphlab.ir.values import OpaqueType, SymDim, TensorType, TokenType, ValueType

ENTRY = "main"


def capture(model: Any, inputs: Inputs | None) -> Program:
    """Export a module, or read a program exported already.

    Raises:
        InputsNeeded, CaptureError: see :func:`graphlab.capture.torch.capture`.
    """
    if isinstance(model, ExportedProgram):
        return read(model)
    if inputs is None:
        if not examples.suits(model):
            raise examples.needed(model, "export")
        inputs = Inputs()
    made = examples.make(inputs)
    shapes = examples.dynamic_shapes(inputs)
    try:
        with unchanged(model), quiet():
            program = torch.export.export(model, made.args, dict(made.kwargs), dynamic_shapes=_by_argument(model, shapes))
    except Exception as error:
        with unchanged(model), quiet():
            examples.ensure_runs(model, inputs)
        raise failed(model, "export", error, do="change that line, or capture with method='jit.script'") from error
    return read(program, names=_given_names(program, inputs))


def _by_argument(model: torch.nn.Module, shapes: tuple[tuple[Any, ...], dict[str, Any]] | None) -> Any:
    """``dynamic_shapes`` as export takes it: by the names of forward's parameters."""
    if shapes is None:
        return None
    args, kwargs = shapes
    bound = inspect.signature(model.forward).bind(*args, **kwargs)
    return dict(bound.arguments)


def _given_names(program: ExportedProgram, inputs: Inputs) -> dict[str, str]:
    """torch's symbol → the name that the caller gave that dimension."""
    asked = tree_leaves((inputs.args, dict(inputs.kwargs)))
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    given = [nodes[name] for name in program.graph_signature.user_inputs if isinstance(name, str) and name in nodes]
    names: dict[str, str] = {}
    for type, node in zip(asked, given, strict=False):
        if isinstance(type, TensorType):
            for dim, size in zip(type.dims or (), node.meta["val"].shape, strict=True):
                if isinstance(dim, SymDim):
                    names[str(size)] = dim.expr
    return names


def read(program: ExportedProgram, *, names: dict[str, str] | None = None) -> Program:
    """An exported program as a Program: ``native`` is the exported program itself.

    Parameters, buffers and constants that torch lifted to placeholders become nodes of kind
    ``parameter`` and ``constant`` with their values; only what the caller passes is an input.
    ``Program.count()`` equals the number of nodes of the graph module and of all graph modules
    used in it. Effects and mutations: outputs that update a buffer or an input say so by role
    and target; an operation in place has the effect ``writes_state``.

    Args:
        names: torch's dimension symbol → the name to use instead.
    """
    rename = _renamer(names or {})
    walk = Walk(rename=rename)
    by_name = {_argument_name(spec.arg): spec for spec in program.graph_signature.input_specs}

    def placeholder(node: torch.fx.Node, index: int) -> dict[str, Any]:
        return _placeholder(node, index, by_name[node.name], program, walk.types(node.meta.get("val")), walk.ties)

    graph = walk.entry(ENTRY, program.graph_module, program.graph, placeholder)
    inputs = tuple(_input_slot(by_name[name], graph.node(name).outputs[0]) for name in graph.inputs)
    values = {use.dst_port: graph.node(use.src).outputs[use.src_port] for use in graph.operands(graph.output)}
    outputs = _outputs(program, values)
    return Program(
        graphs=walk.graphs,
        entry=ENTRY,
        source=Source("torch", "torch.export", method="export", producer=f"torch {torch.__version__}", notes=_baked(program)),
        signatures={"forward": Signature(ENTRY, inputs, outputs)},
        dims={rename(str(symbol)): _range(found) for symbol, found in program.range_constraints.items()},
        frames=walk.frames.done(),
        native=program,
    )


def _baked(program: ExportedProgram) -> tuple[FrozenDict[str, Any], ...]:
    """A note for every argument that is no tensor: export takes the value given for the only one."""
    specs = [s for s in program.graph_signature.input_specs if s.kind is InputKind.USER_INPUT and isinstance(s.arg, ConstantArgument)]
    return tuple(
        FrozenDict(kind="baked-argument", text=f"argument '{s.arg.name}' is {s.arg.value!r} at every run of this graph", name=s.arg.name)
        for s in specs
    )


def _renamer(names: dict[str, str]) -> Callable[[str], str]:
    if not names:
        return as_is
    pattern = re.compile(rf"\b({'|'.join(map(re.escape, names))})\b")
    return lambda expr: pattern.sub(lambda found: names[found[0]], expr)


def _range(found: Any) -> DimRange:
    """From torch's ValueRanges, whose bounds are sympy numbers; infinite ones are no bounds."""
    low, high = found.lower, found.upper
    return DimRange(int(low) if low.is_Integer else 0, int(high) if high.is_Integer else None)


_INPUT_ROLES: dict[InputKind, Role] = {
    InputKind.USER_INPUT: "user",
    InputKind.PARAMETER: "parameter",
    InputKind.BUFFER: "buffer",
    InputKind.CONSTANT_TENSOR: "constant",
    InputKind.CUSTOM_OBJ: "constant",
    InputKind.TOKEN: "token",
}

_OUTPUT_ROLES: dict[OutputKind, Role] = {
    OutputKind.USER_OUTPUT: "user",
    OutputKind.LOSS_OUTPUT: "user",
    OutputKind.BUFFER_MUTATION: "buffer",
    OutputKind.PARAMETER_MUTATION: "parameter",
    OutputKind.USER_INPUT_MUTATION: "state",
    OutputKind.GRADIENT_TO_PARAMETER: "parameter",
    OutputKind.GRADIENT_TO_USER_INPUT: "state",
    OutputKind.TOKEN: "token",
}


def _placeholder(node: torch.fx.Node, index: int, spec: InputSpec, program: ExportedProgram, type: ValueType, ties: Ties) -> dict[str, Any]:
    kind, target = spec.kind, spec.target
    if kind is InputKind.TOKEN:
        return {"kind": "input", "index": index, "outputs": (TokenType(),)}
    if kind is InputKind.USER_INPUT or target is None:
        data: dict[str, Any] = {"kind": "input", "index": index, "outputs": (type,)}
        if isinstance(spec.arg, ConstantArgument):  # export took the value given as the only one
            data["attrs"] = FrozenDict(value=literal(spec.arg.value))
        return data
    held = program.constants.get(target, program.state_dict.get(target))
    attrs = FrozenDict(role=_INPUT_ROLES[kind])
    if kind is InputKind.CUSTOM_OBJ:
        name: str = spec.arg.class_fqn
        opaque = OpaqueType(name)
        return {"kind": "constant", "outputs": (opaque,), "name": target, "attrs": attrs, "value": text_constant(opaque, name)}
    data = {"kind": "constant" if kind is InputKind.CONSTANT_TENSOR else "parameter", "outputs": (type,), "name": target, "attrs": attrs}
    if isinstance(held, torch.Tensor) and isinstance(type, TensorType):
        data["value"] = constant(held, type)
        if kind is not InputKind.CONSTANT_TENSOR and (tied := ties.meta(target, held)) is not None:
            data["meta"] = tied
    return data


def _input_slot(spec: InputSpec, type: ValueType) -> Slot:
    return Slot(_argument_name(spec.arg), type, _INPUT_ROLES[spec.kind], spec.target)


def _outputs(program: ExportedProgram, values: dict[int, ValueType]) -> tuple[Slot, ...]:
    """One slot for every output that is a value of the graph; a plain ``None`` or number is none."""
    leaves = tree_leaves(program.graph.output_node().args[0], is_leaf=lambda leaf: leaf is None)
    slots: list[Slot] = []
    for leaf, spec in zip(leaves, program.graph_signature.output_specs, strict=True):
        if isinstance(leaf, torch.fx.Node):
            slots.append(Slot(_argument_name(spec.arg) or leaf.name, values[len(slots)], _OUTPUT_ROLES[spec.kind], spec.target))
    return tuple(slots)


def _argument_name(argument: Any) -> str:
    """The name of a TensorArgument, SymIntArgument …; a ConstantArgument of an output has none."""
    return getattr(argument, "name", "") or ""
