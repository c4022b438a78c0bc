"""MLIR's element types and builtin types as the IR's value types, and back as text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from graphlab.capture.mlir.module import FunctionType
from graphlab.errors import GraphlabError
from graphlab.ir.values import Dim, OpaqueType, Quantization, SymDim, TensorType, TokenType, TupleType, ValueType, dtype_name

MLIR_NAMES: dict[str, str] = {
    "bool": "i1", "complex64": "complex<f32>", "complex128": "complex<f64>", "bfloat16": "bf16",
    **{f"float{n}": f"f{n}" for n in (16, 32, 64)},
    **{f"int{n}": f"i{n}" for n in (2, 4, 8, 16, 32, 64)},
    **{f"uint{n}": f"ui{n}" for n in (2, 4, 8, 16, 32, 64)},
    "float4_e2m1fn": "f4E2M1FN", "float6_e2m3fn": "f6E2M3FN", "float6_e3m2fn": "f6E3M2FN",
    "float8_e3m4": "f8E3M4", "float8_e4m3": "f8E4M3", "float8_e4m3b11fnuz": "f8E4M3B11FNUZ", "float8_e4m3fn": "f8E4M3FN",
    "float8_e4m3fnuz": "f8E4M3FNUZ", "float8_e5m2": "f8E5M2", "float8_e5m2fnuz": "f8E5M2FNUZ", "float8_e8m0fnu": "f8E8M0FNU",
}  # fmt: skip
"""Element types by NumPy's or ml_dtypes' name, as MLIR writes them. What it has no name for keeps MLIR's own."""

_DTYPES = {text: name for name, text in MLIR_NAMES.items()}
_BOUND = re.compile(r"\d{1,18}")


def dtype_of(text: str) -> str:
    """The NumPy name of an element type; MLIR's own text where there is none (``index``, ``tf32``)."""
    known = _DTYPES.get(text)
    if known is None:
        known = "string" if text == "!tf_type.string" else text
        if re.fullmatch(r"si\d+", text):
            known = f"int{text[2:]}"
        elif re.fullmatch(r"[a-z]+\d\w*", text, re.ASCII):
            try:
                known = dtype_name(re.sub(r"^ui(\d+)$", r"u\1", text))
            except GraphlabError:
                known = text
        _DTYPES[text] = known
    return known


def tensor(
    element: str, dims: tuple[Dim, ...] | None, *, bounds: Sequence[int | None] = (), encoding: str | None = None,
    quantization: Quantization | None = None, quantized: str | None = None,
) -> TensorType:  # fmt: skip
    """A tensor type.

    Args:
        element: MLIR's element type; of quantized elements the stored one.
        bounds: the largest size of each dynamic dim, where the module states it.
        encoding: the type's encoding as text, where it has one that is no bounds.
        quantized: a quantized element type that :class:`Quantization` has no form for.
    """
    if dims is not None and any(bound is not None for bound in bounds):
        sizes = list(dims)
        for i, bound in enumerate(bounds[: len(sizes)]):
            if bound is not None and sizes[i] is None:
                sizes[i] = SymDim(f"<={bound}")
        dims = tuple(sizes)
    layout = ", ".join(filter(None, (quantized, encoding))) or None
    return TensorType(dtype_of(element), dims, layout=layout, quantization=quantization)


def quantization(
    storage: str, expressed: str, scales: Sequence[float], zero_points: Sequence[int], axis: int | None, low: int | None, high: int | None
) -> Quantization:
    """A uniform quantization; the range of the stored integers is kept where it is not all that the type holds."""
    bits = re.fullmatch(r"(u|ui|i|si)(\d{1,3})", storage)
    if bits is not None:
        width, unsigned = int(bits[2]), bits[1].startswith("u")
        whole = (0, 2**width - 1) if unsigned else (-(2 ** (width - 1)), 2 ** (width - 1) - 1)
        if (low, high) == whole:
            low = high = None
    return Quantization(tuple(scales), tuple(zero_points), axis, dtype_of(expressed), low, high)


def value_type(kind: ValueType | FunctionType) -> ValueType:
    """A type that a value may have: a function's is opaque."""
    return OpaqueType(type_text(kind)) if isinstance(kind, FunctionType) else kind


def type_text(kind: ValueType | FunctionType) -> str:
    """A type as MLIR prints it."""
    if isinstance(kind, TensorType):
        dims = "*x" if kind.dims is None else "".join(f"{d}x" if isinstance(d, int) else "?x" for d in kind.dims)
        bounds = [d.expr.removeprefix("<=") if isinstance(d, SymDim) else "?" for d in kind.dims or ()]
        encoding = f", #stablehlo.bounds<{', '.join(bounds)}>" if any(isinstance(d, SymDim) for d in kind.dims or ()) else ""
        if kind.quantization is None and kind.layout:
            encoding += f", {kind.layout}"
        return f"tensor<{dims}{_element_text(kind)}{encoding}>"
    if isinstance(kind, TupleType):
        return f"tuple<{', '.join(map(type_text, kind.elements))}>"
    if isinstance(kind, FunctionType):
        results = [type_text(r) for r in kind.results]
        plain = len(results) == 1 and not results[0].startswith("(")
        return f"({', '.join(map(type_text, kind.inputs))}) -> {results[0] if plain else '(' + ', '.join(results) + ')'}"
    return "!stablehlo.token" if isinstance(kind, TokenType) else kind.name


def _element_text(kind: TensorType) -> str:
    stored = MLIR_NAMES.get(kind.dtype, kind.dtype)
    q = kind.quantization
    if q is None:
        return stored
    span = "" if q.storage_min is None else f"<{q.storage_min}:{q.storage_max}>"
    pairs = [f"{scale!r}{f':{zero}' if zero else ''}" for scale, zero in zip(q.scales, q.zero_points, strict=False)]
    head = f"{stored.replace('ui', 'u')}{span}:{MLIR_NAMES.get(q.expressed or '', q.expressed)}"
    return f"!quant.uniform<{head}, {pairs[0]}>" if q.axis is None else f"!quant.uniform<{head}:{q.axis}, {{{','.join(pairs)}}}>"


def bounds_of(text: str) -> list[int | None] | None:
    """The sizes in ``#stablehlo.bounds<4, ?>`` and its older spellings; ``None`` for any other encoding."""
    found = re.fullmatch(r"#\w+\.(?:bounds<([^<>]*)>|(?:type_extensions|type_extensions_v1)<bounds = \[([^\]]*)\]>)", text.strip())
    if found is None:
        return None
    parts = [part.strip() for part in (found[1] if found[1] is not None else found[2]).split(",")]
    return [int(part) if _BOUND.fullmatch(part) and part != str(-(2**63)) else None for part in parts]
