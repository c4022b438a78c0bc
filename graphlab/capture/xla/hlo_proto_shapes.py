"""Shapes and layouts of HLO messages, spelt as HLO text spells them (xla/shape_util.cc, xla/layout.cc)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from graphlab.capture.xla.hlo_lexer import Faults
from graphlab.capture.xla.hlo_shapes import DTYPES
from graphlab.ir.values import Dim, OpaqueType, SymDim, TensorType, TokenType, TupleType, ValueType

MAX_NESTING = 64

# Numbers of xla_data.proto's PrimitiveType that are no arrays.
TUPLE, OPAQUE, TOKEN, BUFFER = 13, 14, 17, 34
PRIMITIVES: dict[int, str] = {
    1: "pred", 30: "s1", 26: "s2", 21: "s4", 2: "s8", 3: "s16", 4: "s32", 5: "s64",
    31: "u1", 27: "u2", 22: "u4", 6: "u8", 7: "u16", 8: "u32", 9: "u64",
    10: "f16", 11: "f32", 16: "bf16", 12: "f64", 15: "c64", 18: "c128",
    19: "f8e5m2", 28: "f8e4m3", 20: "f8e4m3fn", 23: "f8e4m3b11fnuz", 29: "f8e3m4", 24: "f8e5m2fnuz", 25: "f8e4m3fnuz",
    32: "f4e2m1fn", 33: "f8e8m0fnu", 35: "f6e3m2fn", 36: "f6e2m3fn", OPAQUE: "opaque", TOKEN: "token",
}  # fmt: skip
"""PrimitiveType's numbers as HLO text names them."""

_UNBOUNDED = -(1 << 63)  # a dimension without bound, and a tile's dimension that is combined with the next
_LEVELS = {0: "D", 1: "C", 2: "S", 3: "H"}  # DimLevelType


class ShapeTexts:
    """Turns ShapeProtos into types, each distinct one once."""

    __slots__ = ("_faults", "_types")

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._types: dict[bytes, tuple[ValueType]] = {}

    def outputs(self, shape: Any, pos: int) -> tuple[ValueType]:
        """A shape's type as a node's ``outputs``.

        Raises:
            FormatError: its parts do not fit together, or nest too deep.
        """
        key = shape.SerializeToString()
        known = self._types.get(key)
        if known is None:
            known = self._types[key] = (self._type(shape, pos, 0),)
        return known

    def _type(self, shape: Any, pos: int, depth: int) -> ValueType:
        if depth > MAX_NESTING:
            raise self._faults.wrong(f"a shape nested more than {MAX_NESTING} deep", pos)
        kind = shape.element_type
        if kind == TUPLE:
            return TupleType(tuple(self._type(inner, pos, depth + 1) for inner in shape.tuple_shapes))
        if kind == TOKEN:
            return TokenType()
        dtype = DTYPES.get(PRIMITIVES.get(kind, ""))
        if dtype is None:
            return OpaqueType("opaque" if kind == OPAQUE else shape_text(shape))
        dynamic = shape.is_dynamic_dimension
        if len(dynamic) not in (0, len(shape.dimensions)):
            raise self._faults.wrong(
                f"a shape of {len(shape.dimensions)} dimensions, {len(dynamic)} of them said to be dynamic or not", pos
            )
        dims: list[Dim] = []
        for i, size in enumerate(shape.dimensions):
            if size < 0 and size != _UNBOUNDED:
                raise self._faults.wrong(f"a dimension of size {size}", pos)
            bounded = bool(dynamic) and dynamic[i]
            dims.append(None if size < 0 else SymDim(f"<={size}") if bounded else size)
        return TensorType(dtype, tuple(dims), layout_text(shape) or None)


def shape_text(shape: Any, depth: int = 0) -> str:
    """``(f32[2,<=5]{1,0:T(8,128)}, token[])``; what nests deeper than :data:`MAX_NESTING` is left out."""
    kind = shape.element_type
    if kind == TUPLE:
        inner = shape.tuple_shapes if depth < MAX_NESTING else ()
        return f"({', '.join(shape_text(one, depth + 1) for one in inner)})"
    if kind == BUFFER and depth < MAX_NESTING:
        return f"b({shape_text(shape.tuple_shapes[0], depth + 1) if shape.tuple_shapes else ''})"
    name = PRIMITIVES.get(kind, f"type{kind}")
    if kind in (OPAQUE, TOKEN):
        return f"{name}[]"
    dynamic = shape.is_dynamic_dimension
    dims = ("?" if size == _UNBOUNDED else f"<={size}" if i < len(dynamic) and dynamic[i] else str(size)
            for i, size in enumerate(shape.dimensions))  # fmt: skip
    return f"{name}[{','.join(dims)}]{layout_text(shape, depth)}"


def layout_text(shape: Any, depth: int = 0) -> str:
    """``{1,0:T(8,128)(2,1)S(1)}``; empty where there is none, or for a scalar where it says nothing."""
    if not shape.HasField("layout"):
        return ""
    layout = shape.layout
    parts: list[str] = []
    levels, unique, ordered = layout.dim_level_types, layout.dim_unique, layout.dim_ordered
    if levels:
        marks = (
            _LEVELS.get(level, str(level))
            + ("+" if i < len(unique) and not unique[i] else "")
            + ("~" if i < len(ordered) and not ordered[i] else "")
            for i, level in enumerate(levels)
        )
        parts.append(f"D({','.join(marks)})")
    if layout.tiles:
        parts.append("T" + "".join(f"({','.join('*' if d == _UNBOUNDED else str(d) for d in tile.dimensions)})" for tile in layout.tiles))
    if layout.tail_padding_alignment_in_elements not in (0, 1):
        parts.append(f"L({layout.tail_padding_alignment_in_elements})")
    if layout.index_primitive_type:
        parts.append(f"#({_primitive(layout.index_primitive_type)})")
    if layout.pointer_primitive_type:
        parts.append(f"*({_primitive(layout.pointer_primitive_type)})")
    if layout.element_size_in_bits:
        parts.append(f"E({layout.element_size_in_bits})")
    if layout.memory_space:
        parts.append(f"S({layout.memory_space})")
    if layout.split_configs:
        parts.append("SC" + "".join(f"({c.dimension}:{join(c.split_indices)})" for c in layout.split_configs))
    if layout.HasField("physical_shape") and depth < MAX_NESTING:
        parts.append(f"P({shape_text(layout.physical_shape, depth + 1)})")
    if layout.dynamic_shape_metadata_prefix_bytes:
        parts.append(f"M({layout.dynamic_shape_metadata_prefix_bytes})")
    text = join(layout.minor_to_major) + (":" + "".join(parts) if parts else "")
    return f"{{{text}}}" if text or shape.dimensions else ""


def _primitive(number: int) -> str:
    return PRIMITIVES.get(number, f"type{number}")


def join(values: Iterable[Any]) -> str:
    """``1,2,3``."""
    return ",".join(map(str, values))
