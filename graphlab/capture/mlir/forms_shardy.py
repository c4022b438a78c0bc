"""Own syntax of Shardy's ``sdy`` and ``mpmd`` operations: https://github.com/openxla/shardy (``sdy/ir/ops.td``, ``mpmd/ir/ops.td``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from graphlab.capture.mlir.assembly import attributes, forms, functional, results
from graphlab.capture.mlir.forms_builtin import terminator
from graphlab.capture.mlir.lexer import spaced
from graphlab.capture.mlir.module import FunctionType, Operation
from graphlab.capture.mlir.structures import sdy_text
from graphlab.ir.values import ValueType

if TYPE_CHECKING:
    from graphlab.capture.mlir.text import Form, ModuleReader


def _text(reader: ModuleReader) -> str:
    start, end = reader.balanced()
    return sdy_text(spaced(reader.text[start:end]))


def _axes(mnemonic: str) -> Form:
    """``[{"x"}, {}] %operand out_sharding=<...> : type``: what is exchanged stands before the operand."""

    def read(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
        name, kind = mnemonic.split("=")
        op.attributes[name] = f"#sdy.{kind}<{_text(reader)}>"
        op.operands.append(reader.operand())
        _out_sharding(reader, op)
        attributes(reader, op)
        return results(reader, op)

    return read


def _out_sharding(reader: ModuleReader, op: Operation) -> None:
    if reader.take_word("out_sharding"):
        reader.need("=")
        op.attributes["out_sharding"] = reader.attribute("#sdy.sharding")


def _all_to_all(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``[{"x"}: 0->1] %operand out_sharding=<...> : type``."""
    op.attributes["params"] = f"#sdy.all_to_all_param_list<{_text(reader)}>"
    op.operands.append(reader.operand())
    _out_sharding(reader, op)
    attributes(reader, op)
    return results(reader, op)


def _permute(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    op.operands.append(reader.operand())
    _out_sharding(reader, op)
    attributes(reader, op)
    return results(reader, op)


def _mesh(reader: ModuleReader, op: Operation) -> tuple[()]:
    op.attributes["sym_name"] = reader.symbol()
    reader.need("=")
    op.attributes["mesh"] = reader.attribute("#sdy.mesh")
    attributes(reader, op)
    return ()


def _manual(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``(operands) in_shardings=[...] out_shardings=[...] manual_axes={...} (arguments) { } : (types) -> types``."""
    reader.need("(")
    op.operands += reader.operands()
    reader.need(")")
    _shardings(reader, op)
    reader.need_word("manual_axes")
    reader.need("=")
    op.attributes["manual_axes"] = f"#sdy.manual_axes<{_text(reader)}>"
    return _body(reader, op)


def _named_computation(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``<"name">(operands) in_shardings=[...] out_shardings=[...] (arguments) { } : (types) -> types``."""
    reader.need("<")
    op.attributes["name"] = reader.string()
    reader.need(">")
    reader.need("(")
    op.operands += reader.operands()
    reader.need(")")
    _shardings(reader, op)
    return _body(reader, op)


def _shardings(reader: ModuleReader, op: Operation) -> None:
    for name in ("in_shardings", "out_shardings"):
        if reader.take_word(name):
            reader.need("=")
            op.attributes[name] = f"#sdy.sharding_per_value<{_text(reader)}>"


def _body(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    arguments = [(name, kind, location) for name, kind, location, _ in reader.typed_arguments()]
    op.regions.append(reader.region(arguments))
    attributes(reader, op)
    return functional(reader, op)


def _edge(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``%x sharding=<...> original_sharding="..." : type``."""
    op.operands.append(reader.operand())
    while reader.at_word("sharding") or reader.at_word("original_sharding"):
        name = reader.need_word()
        reader.need("=")
        op.attributes[name] = reader.attribute("#sdy.sharding")
    attributes(reader, op)
    return results(reader, op)


def _constant(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    attributes(reader, op)
    reader.told = None
    op.attributes["value"] = reader.elements()
    if reader.told is None:
        raise reader.wrong("a constant without a type", op.where)
    return (reader.told,)


def _region_op(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``<what it is> (operands) {attributes} (arguments) { body } : (types) -> types``."""
    if reader.at("<"):
        op.attributes["assembly"] = _text(reader)
    reader.need("(")
    op.operands += reader.operands()
    reader.need(")")
    attributes(reader, op)
    arguments = [(name, kind, location) for name, kind, location, _ in reader.typed_arguments()]
    op.regions.append(reader.region(arguments))
    reader.need(":")
    kind = reader.any_type()
    return kind.results if isinstance(kind, FunctionType) else (kind,)


def _call(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``<what it is> @callee(operands) {attributes} : (types) -> types``."""
    if reader.at("<"):
        op.attributes["assembly"] = _text(reader)
    op.attributes["callee"] = reader.symbol()
    reader.need("(")
    op.operands += reader.operands()
    reader.need(")")
    attributes(reader, op)
    return functional(reader, op)


def _single(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``[<what it is>] %x : (type) -> type``, or one type of both."""
    attributes(reader, op)
    if reader.at("<"):
        op.attributes["assembly"] = _text(reader)
    op.operands += reader.operands()
    attributes(reader, op)
    reader.need(":")
    kind = reader.any_type()
    if isinstance(kind, FunctionType):
        return kind.results
    return (kind,)


FORMS: dict[str, Form] = {
    "sdy.mesh": _mesh,
    "sdy.manual_computation": _manual,
    "sdy.named_computation": _named_computation,
    "sdy.data_flow_edge": _edge,
    "sdy.func_data_flow_edge": _edge,
    "sdy.constant": _constant,
    "sdy.return": terminator,
    "sdy.all_gather": _axes("gathering_axes=list_of_axis_ref_lists"),
    "sdy.all_slice": _axes("slicing_axes=list_of_axis_ref_lists"),
    "sdy.reduce_scatter": _axes("reduce_scatter_axes=list_of_axis_ref_lists"),
    "sdy.all_reduce": _axes("reduction_axes=axis_ref_list"),
    "sdy.sharded_to_unreduced": _axes("axes=list_of_axis_ref_lists"),
    "sdy.replicated_to_unreduced": _axes("axes=axis_ref_list"),
    "sdy.all_to_all": _all_to_all,
    "sdy.collective_permute": _permute,
    **forms(
        {
            "% sharding=#sdy.sharding {} :results": "sharding_constraint reshard",
            "% allowed_direction = allowed_direction=word {} :results": "propagation_barrier",
            "% group_id = group_id=int {} :none": "sharding_group",
        },
        "sdy",
    ),
    "mpmd.return": terminator,
    "mpmd.fragment": _region_op,
    "mpmd.named_computation": _region_op,
    "mpmd.fragment_call": _call,
    "mpmd.call": _call,
    **dict.fromkeys(("mpmd.transfer", "mpmd.assign", "mpmd.unassign", "mpmd.reduce", "mpmd.broadcast", "mpmd.named_tensor"), _single),
}
