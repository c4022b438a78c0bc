"""HLO shapes to value types: ``(f32[2,<=5]{1,0:T(8,128)S(1)}, token[])``."""

from __future__ import annotations

import re
from collections.abc import Iterator

from graphlab.capture.xla.hlo_lexer import HloText
from graphlab.ir.values import Dim, OpaqueType, SymDim, TensorType, TokenType, TupleType, ValueType

# XLA's primitive types (xla/primitive_util.cc) by their NumPy or ml_dtypes names.
DTYPES: dict[str, str] = {
    "pred": "bool",
    **{f"s{n}": f"int{n}" for n in (1, 2, 4, 8, 16, 32, 64)},
    **{f"u{n}": f"uint{n}" for n in (1, 2, 4, 8, 16, 32, 64)},
    "f16": "float16", "bf16": "bfloat16", "f32": "float32", "f64": "float64", "c64": "complex64", "c128": "complex128",
    "f4e2m1fn": "float4_e2m1fn", "f8e3m4": "float8_e3m4", "f8e4m3": "float8_e4m3", "f8e4m3b11fnuz": "float8_e4m3b11fnuz",
    "f8e4m3fn": "float8_e4m3fn", "f8e4m3fnuz": "float8_e4m3fnuz", "f8e5m2": "float8_e5m2", "f8e5m2fnuz": "float8_e5m2fnuz",
    "f8e8m0fnu": "float8_e8m0fnu", "f6e3m2fn": "float6_e3m2fn", "f6e2m3fn": "float6_e2m3fn",
}  # fmt: skip

_MAX_NESTING = 64
_ARRAY = re.compile(r"([a-z]\w*)\s*\[([^\[\]{}()]*)\]", re.ASCII)
_START = re.compile(r"[a-z]\w*\s*\[|b\(", re.ASCII)
_DIM = re.compile(r"(<=)?(\d{1,18}|\?)", re.ASCII)


class Shapes:
    """Reads shapes, each distinct text once."""

    __slots__ = ("_arrays", "by_text", "source")

    def __init__(self, source: HloText) -> None:
        self.source = source
        self.by_text: dict[str, tuple[ValueType]] = {}
        """Shape text → its type as a node's ``outputs``."""
        self._arrays: dict[str, ValueType] = {}

    def at(self, pos: int) -> bool:
        """Whether a shape may start at ``pos`` (a name or an opcode otherwise)."""
        return self.source.at(pos) == "(" or _START.match(self.source.text, pos, self.source.end) is not None

    def read(self, pos: int, depth: int = 0) -> tuple[ValueType, int]:
        """The type whose text starts at ``pos``, and the position after it.

        Raises:
            FormatError: there is no sound shape.
        """
        source = self.source
        if source.at(pos) == "(":
            if depth > _MAX_NESTING:
                raise source.wrong(f"a shape nested more than {_MAX_NESTING} deep", pos)
            return self._tuple(pos + 1, depth)
        if source.text.startswith("b(", pos, source.end):  # a buffer: an array by reference
            end = source.balanced(pos + 1)
            return OpaqueType(source.text[pos:end]), end
        match = _ARRAY.match(source.text, pos, source.end)
        if match is None:
            raise source.expected("a shape", pos)
        end = match.end()
        if source.at(end) == "{" and match[1] in DTYPES:
            end = source.balanced(end)
        text = source.text[pos:end]
        type = self._arrays.get(text)
        if type is None:
            type = self._arrays[text] = self._array(match, end)
        return type, end

    def _tuple(self, pos: int, depth: int) -> tuple[ValueType, int]:
        source = self.source
        elements: list[ValueType] = []
        pos = source.skip(pos)
        while source.at(pos) != ")":
            if elements:
                pos = source.skip(source.sign(",", pos))
            type, pos = self.read(pos, depth + 1)
            elements.append(type)
            pos = source.skip(pos)
        return TupleType(tuple(elements)), pos + 1

    def _array(self, match: re.Match[str], end: int) -> ValueType:
        source, (name, inside) = self.source, match.groups()
        if name in ("token", "opaque"):
            return TokenType() if name == "token" else OpaqueType("opaque")
        dtype = DTYPES.get(name)
        if dtype is None:
            raise source.expected("an element type", match.start())
        dims: list[Dim] = []
        if inside.strip():
            for part in inside.split(","):
                dim = _DIM.fullmatch(part.strip())
                if dim is None:
                    raise source.wrong(f"a dimension expected, '{part.strip()}' found", match.start(2))
                # A bounded dynamic dimension has no name in HLO: its bound stands for one.
                bounded, size = dim.groups()
                dims.append(None if size == "?" else SymDim(f"<={int(size)}") if bounded else int(size))
        return TensorType(dtype, tuple(dims), source.text[match.end() : end] or None)


def with_sharding(type: ValueType, sharding: str) -> ValueType:
    """The type with HLO's sharding text on its arrays: one for all, or one for each leaf of a tuple."""
    if isinstance(type, TensorType):
        return TensorType(type.dtype, type.dims, type.layout, sharding)
    if not isinstance(type, TupleType):
        return type
    parts = _parts(sharding)
    texts = parts if parts is not None else [sharding] * _leaves(type)
    return _spread(type, iter(texts)) if len(texts) == _leaves(type) else type


def _spread(type: ValueType, texts: Iterator[str]) -> ValueType:
    if isinstance(type, TupleType):
        return TupleType(tuple(_spread(element, texts) for element in type.elements))
    return with_sharding(type, next(texts))


def _leaves(type: ValueType) -> int:
    return sum(map(_leaves, type.elements)) if isinstance(type, TupleType) else 1


def _parts(sharding: str) -> list[str] | None:
    """The elements of ``{{replicated}, {maximal device=0}}``; None for a sharding of one array."""
    inner = sharding[1:-1].strip()
    if not inner.startswith("{"):
        return None
    parts, depth, start = [], 0, 0
    for i, char in enumerate(inner):
        if char == "{":
            start = i if depth == 0 else start
            depth += 1
        elif char == "}":
            depth -= 1
            if depth == 0:
                parts.append(inner[start : i + 1])
    return parts
