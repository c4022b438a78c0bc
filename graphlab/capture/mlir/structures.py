"""Attributes of the StableHLO family that have a form of their own: enumerations, dimension numbers, what VHLO wraps."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from graphlab.ir.frozen import FrozenDict
from graphlab.ir.values import OpaqueType, ValueType

if TYPE_CHECKING:
    from graphlab.capture.mlir.attributes import AttributeReader

FAMILY = ("stablehlo", "mhlo", "chlo", "vhlo")

_DIMS = {
    "dot": ("lhs_batching_dimensions", "rhs_batching_dimensions", "lhs_contracting_dimensions", "rhs_contracting_dimensions"),
    "gather": ("offset_dims", "collapsed_slice_dims", "operand_batching_dims", "start_indices_batching_dims", "start_index_map"),
    "scatter": (
        "update_window_dims", "inserted_window_dims", "input_batching_dims", "scatter_indices_batching_dims",
        "scatter_dims_to_operand_dims",
    ),
    "output_operand_alias": ("output_tuple_indices", "operand_tuple_indices"),
    "ragged_dot": ("lhs_ragged_dimensions", "rhs_group_dimensions"),
}  # fmt: skip
# What the text leaves out where it is empty or zero.
DEFAULTS: dict[str, dict[str, Any]] = {
    **{name: dict.fromkeys(fields, ()) for name, fields in _DIMS.items()},
    "gather": {**dict.fromkeys(_DIMS["gather"], ()), "index_vector_dim": 0},
    "scatter": {**dict.fromkeys(_DIMS["scatter"], ()), "index_vector_dim": 0},
    "channel_handle": {"handle": 0, "type": 0},
    "output_operand_alias": {"output_tuple_indices": (), "operand_index": 0, "operand_tuple_indices": ()},
    "dot_algorithm": {},
    "result_accuracy": {"atol": 0.0, "rtol": 0.0, "ulps": 0, "mode": "DEFAULT"},
    "replica_group_mesh_axes": {},
    "mesh": {},
    "result_alias": {"tuple_indices": (), "result_index": (), "must_alias": False},
}
_ENUM = re.compile(r"(?:(\w+) )?(\w+)", re.ASCII)
_COMMA = re.compile(r"\s*,\s*")
_VERSION = re.compile(r"_v\d+$")
_TYPES = ("lhs_precision_type", "rhs_precision_type", "accumulation_type")


def decode(reader: AttributeReader, name: str, start: int, end: int, text: str, kind: ValueType | None = None) -> Any:
    """The value of a dialect's attribute ``#dialect.mnemonic<...>``.

    Args:
        name: ``#dialect.mnemonic``, or ``#dialect`` where the mnemonic stands within the brackets.
        start, end: what the brackets hold in the reader's text.
        text: the same with blanks made one space and aliases spelt out, brackets included; the whole where it names the dialect.
        kind: the type that follows it.
    """
    dialect, _, mnemonic = name.removeprefix("#").partition(".")
    whole = text if text.startswith("#") else name + text
    if kind is not None:
        whole += f" : {kind.name if isinstance(kind, OpaqueType) else kind}"
    if dialect in FAMILY:
        decoded = _family(reader, _VERSION.sub("", mnemonic), start, end)
        if decoded is not None:
            return decoded
    if dialect == "sdy":
        return sdy_text(whole)
    enum = re.fullmatch(r"#\w+<(?:\w+ )?(\w+)>", whole, re.ASCII)
    return enum[1] if enum else whole


def sdy_text(text: str) -> str:
    """A Shardy attribute spaced as Shardy prints it, without the names that it leaves out within lists."""
    head, opening, rest = _COMMA.sub(", ", text).partition("<")
    return head + opening + rest.replace("#sdy.sharding<", "<")


def _family(reader: AttributeReader, mnemonic: str, start: int, end: int) -> Any:
    back = reader.pos, reader.end
    reader.pos, reader.end = start, end
    try:
        if mnemonic == "conv":
            return convolution(reader)
        if mnemonic in _WRAPPED:
            return _wrapped(reader, mnemonic)
        if mnemonic in DEFAULTS:
            return _fields(reader, mnemonic)
        enum = _ENUM.fullmatch(reader.text[start:end].strip())
        if enum is not None and (mnemonic == "" or enum[1] is None):
            return enum[2]
        return None
    finally:
        reader.pos, reader.end = back


# What VHLO wraps, each in an attribute of its own: https://github.com/openxla/stablehlo/blob/main/stablehlo/dialect/VhloAttrs.td
_WRAPPED = ("array", "bool", "dict", "flat_symbol_ref", "float", "integer", "string", "tensor", "type", "unit", "sym", "symbol")


def _wrapped(reader: AttributeReader, mnemonic: str) -> Any:
    if mnemonic == "unit" or not reader.peek():
        return True
    if mnemonic == "dict" and reader.at("{"):
        found: dict[str, Any] = {}
        reader.need("{")
        while not reader.take("}"):
            if found:
                reader.need(",")
            key = reader.attribute()
            reader.need("=")
            found[str(key)] = reader.attribute()
        return FrozenDict(found)
    return reader.attribute()


def _fields(reader: AttributeReader, mnemonic: str) -> FrozenDict[str, Any]:
    found = dict(DEFAULTS[mnemonic])
    while reader.peek():
        name = reader.need_word()
        if reader.take("="):
            if name == "mode":
                found[name] = reader.attribute("mode")
            elif name in _TYPES:
                kind = reader.any_type()
                found[name] = kind.name if isinstance(kind, OpaqueType) else str(kind)
            else:
                found[name] = reader.attribute(f"#stablehlo.{'dot' if name == 'dot_dimension_numbers' else name}")
        else:
            found[name] = True
        if not reader.take(","):
            break
    if reader.peek():
        raise reader.expected("',' or '>'")
    return FrozenDict(found)


_LETTERS = {
    "input": {"b": "input_batch_dimension", "f": "input_feature_dimension"},
    "kernel": {"o": "kernel_output_feature_dimension", "i": "kernel_input_feature_dimension"},
    "output": {"b": "output_batch_dimension", "f": "output_feature_dimension"},
}


def convolution(reader: AttributeReader) -> FrozenDict[str, Any]:
    """``[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]``, or the same field by field."""
    if reader.at("raw"):
        reader.need_word("raw")
        found: dict[str, Any] = {}
        while reader.peek():
            name = reader.need_word()
            reader.need("=")
            found[name] = reader.attribute()
            if not reader.take(","):
                break
        return FrozenDict(found)
    found = {}
    for part, sign in (("input", "x"), ("kernel", "->"), ("output", "")):
        reader.need("[")
        spatial: dict[int, int] = {}
        at = 0
        while not reader.take("]"):
            if at:
                reader.need(",")
            word = reader.word()
            if word is not None and word in _LETTERS[part]:
                found[_LETTERS[part][word]] = at
            elif word is None and not reader.take("?"):
                spatial[reader.integer()] = at
            at += 1
        found[f"{part}_spatial_dimensions"] = tuple(spatial[key] for key in sorted(spatial))
        if sign:
            reader.need(sign)
    for letters in _LETTERS.values():
        for name in letters.values():
            found.setdefault(name, -1)
    return FrozenDict(found)
