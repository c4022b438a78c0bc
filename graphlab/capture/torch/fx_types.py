"""The annotations of fx's code texts: ``f32[2, s0][s0, 1]cuda:0``, ``Sym(2*s0)``."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from graphlab.ir.frozen import EMPTY, FrozenDict
from graphlab.ir.values import Dim, OpaqueType, SymDim, TensorType, ValueType

# torch/utils/_dtype_abbrs.py of torch 2.13
DTYPES: dict[str, str] = {
    "bf16": "bfloat16", "f64": "float64", "f32": "float32", "f16": "float16",
    "f8e4m3fn": "float8_e4m3fn", "f8e5m2": "float8_e5m2", "f8e4m3fnuz": "float8_e4m3fnuz", "f8e5m2fnuz": "float8_e5m2fnuz",
    "f8e8m0fnu": "float8_e8m0fnu", "f4e2m1fnx2": "float4_e2m1fn_x2",
    "c32": "complex32", "c64": "complex64", "c128": "complex128",
    "i8": "int8", "i16": "int16", "i32": "int32", "i64": "int64", "b8": "bool",
    "u8": "uint8", "u16": "uint16", "u32": "uint32", "u64": "uint64", "b16": "bits16", "b1x8": "bits1x8",
}  # fmt: skip

_TENSOR = re.compile(r"(?:(?P<cls>\w+)\()?(?P<dtype>[a-z][a-z0-9]*)\[")
_SYM = re.compile(r"Sym\((?P<expr>.*)\)", re.DOTALL)
_FLOAT = re.compile(r"\bz?u?zf\d+|\bzf\d+|ToFloat|TrueDiv|TruncToFloat|FloatPow|\d\.\d")
_BOOL = re.compile(r"[<>]|==|!=|\b(?:Eq|Ne|And|Or|Not|True|False)\b|[&|~]")

Annotation = tuple[ValueType | None, FrozenDict[str, Any]]


@lru_cache(maxsize=65536)
def annotation(text: str) -> Annotation:
    """The type an annotation tells, ``None`` where it tells none, and what does not belong to a type: strides, device."""
    if found := _SYM.fullmatch(text):
        kind = "bool" if _BOOL.search(found["expr"]) else "float" if _FLOAT.search(found["expr"]) else "int"
        return OpaqueType(kind), FrozenDict(expr=found["expr"])
    found = _TENSOR.match(text)
    if found is None:
        return None, EMPTY
    dims, end = _bracketed(text, found.end())
    if dims is None:
        return None, EMPTY
    meta: dict[str, Any] = {}
    if end < len(text) and text[end] == "[":
        strides, end = _bracketed(text, end + 1)
        if strides is not None:
            meta["strides"] = tuple(int(s) if s.lstrip("-").isdecimal() else s for s in strides)
    rest = text[end:]
    if found["cls"]:
        meta["class"] = found["cls"]
        rest = rest.rpartition(")")[0]
        rest, _, placed = rest.partition(", ")
        if placed:
            meta["placement"] = placed
    if rest:
        meta["device"] = rest
    return TensorType(DTYPES.get(found["dtype"], found["dtype"]), tuple(map(_dim, dims))), FrozenDict(meta)


def _dim(text: str) -> Dim:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else SymDim(text)


def _bracketed(text: str, at: int) -> tuple[list[str] | None, int]:
    """The parts between commas up to the closing bracket, and the place behind it; ``at`` is behind the opening one."""
    parts, depth, start = list[str](), 0, at
    for i in range(at, len(text)):
        char = text[i]
        if char in "([":
            depth += 1
        elif char == "]" and depth == 0:
            last = text[start:i].strip()
            return [*parts, last] if last else parts, i + 1
        elif char in ")]":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    return None, at
