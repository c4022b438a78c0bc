"""What flows along an edge: tensors, tuples, tokens and opaque values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from math import isnan, nan, prod
from typing import TypeAlias

from graphlab.errors import GraphlabError


@dataclass(frozen=True, slots=True)
class SymDim:
    """A dimension known only by name or formula: ``batch``, ``s0``, ``2*s0 + 1``.

    The range of each free name stands in ``Program.dims``.
    """

    expr: str

    def __str__(self) -> str:
        return self.expr


Dim: TypeAlias = int | SymDim | None
"""A known size, a symbolic one, or ``None``: the source does not say."""


@dataclass(frozen=True, slots=True)
class Quantization:
    """How stored integers stand for real numbers: ``real = scale * (stored - zero_point)``.

    Attributes:
        scales: one for the whole tensor, or one for each index of ``axis``.
        zero_points: as many as ``scales``.
        axis: the dimension that has a scale an index; ``None`` where one scale holds for all.
        expressed: the element type of the real numbers, where the source says.
        storage_min, storage_max: the stored integers' range, where the source narrows it.
    """

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int | None = None
    expressed: str | None = None
    storage_min: int | None = None
    storage_max: int | None = None

    def __post_init__(self) -> None:
        if any(map(isnan, self.scales)):  # one NaN object, so that a type with one equals itself
            object.__setattr__(self, "scales", tuple(nan if isnan(scale) else scale for scale in self.scales))

    def __str__(self) -> str:
        if self.axis is None and len(self.scales) == 1:
            zero = self.zero_points[0] if self.zero_points else 0
            return f"q({self.scales[0]:.6g}{f':{zero}' if zero else ''})"
        return f"q({len(self.scales)} scales{'' if self.axis is None else f' along {self.axis}'})"


@dataclass(frozen=True)
class TensorType:
    """An array of ``dtype`` (a NumPy or ml_dtypes name, or ``string``) with ``dims``.

    ``dims`` is ``None`` where even the rank is unknown. ``layout`` and ``sharding`` keep the
    source's own spelling (XLA's ``{1,0:T(8,128)}``, Shardy's or HLO's sharding text).
    ``dtype`` is the stored one: ``quantization`` says what its integers stand for. ``placement``
    is who holds the value, where the source has several parties (TFF's ``CLIENTS`` and ``SERVER``).
    """

    dtype: str
    dims: tuple[Dim, ...] | None = ()
    layout: str | None = None
    sharding: str | None = None
    quantization: Quantization | None = None
    placement: str | None = None

    @property
    def rank(self) -> int | None:
        return None if self.dims is None else len(self.dims)

    @cached_property
    def elements(self) -> int | None:
        """Number of elements, or ``None`` where a dim is not a known int."""
        if self.dims is None:
            return None
        known = [d for d in self.dims if isinstance(d, int)]
        return prod(known) if len(known) == len(self.dims) else None

    @cached_property
    def nbytes(self) -> int | None:
        """Bytes of the dense array, sub-byte types packed; ``None`` where not known."""
        bits = DTYPE_BITS.get(self.dtype)
        if bits is None or self.elements is None:
            return None
        return (self.elements * bits + 7) // 8

    def __str__(self) -> str:
        dims = "*" if self.dims is None else ",".join("?" if d is None else str(d) for d in self.dims)
        quantized = "" if self.quantization is None else f" {self.quantization}"
        placed = "" if self.placement is None else f"@{self.placement}"
        return f"{SHORT_DTYPES.get(self.dtype, self.dtype)}[{dims}]{self.layout or ''}{quantized}{placed}"


@dataclass(frozen=True, slots=True)
class TupleType:
    """Several values travelling as one (an HLO tuple, a torch op that returns several tensors)."""

    elements: tuple[ValueType, ...]

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.elements))})"


@dataclass(frozen=True, slots=True)
class TokenType:
    """An ordering token: carries no data."""

    def __str__(self) -> str:
        return "token"


@dataclass(frozen=True, slots=True)
class OpaqueType:
    """A value that is no tensor, by the source's own type name: ``int``, ``List[Tensor]``, ``resource``."""

    name: str

    def __str__(self) -> str:
        return self.name


ValueType: TypeAlias = TensorType | TupleType | TokenType | OpaqueType

# Widths in bits. Names: numpy, and https://github.com/jax-ml/ml_dtypes for the rest.
DTYPE_BITS: dict[str, int] = {
    "bool": 8,
    **{f"{s}int{n}": n for s in ("", "u") for n in (1, 2, 4, 8, 16, 32, 64)},
    "float16": 16, "bfloat16": 16, "float32": 32, "float64": 64,
    "complex64": 64, "complex128": 128,
    "float4_e2m1fn": 4, "float6_e2m3fn": 6, "float6_e3m2fn": 6,
    **dict.fromkeys(
        ("float8_e3m4", "float8_e4m3", "float8_e4m3b11fnuz", "float8_e4m3fn", "float8_e4m3fnuz",
         "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"), 8),
}  # fmt: skip

SHORT_DTYPES: dict[str, str] = {
    **{f"float{n}": f"f{n}" for n in (16, 32, 64)},
    **{f"int{n}": f"i{n}" for n in (1, 2, 4, 8, 16, 32, 64)},
    **{f"uint{n}": f"u{n}" for n in (1, 2, 4, 8, 16, 32, 64)},
    "bfloat16": "bf16", "complex64": "c64", "complex128": "c128",
    **{n: "f" + n.removeprefix("float").replace("_", "") for n in DTYPE_BITS if n.startswith(("float4_", "float6_", "float8_"))},
}  # fmt: skip

_LONG_DTYPES: dict[str, str] = {
    **{n: n for n in DTYPE_BITS},
    **{short: long for long, short in SHORT_DTYPES.items()},
    **{f"s{n}": f"int{n}" for n in (1, 2, 4, 8, 16, 32, 64)},
    "pred": "bool", "i1": "bool", "half": "float16", "float": "float32", "double": "float64", "long": "int64",
}  # fmt: skip


def dtype_name(short: str) -> str:
    """The NumPy/ml_dtypes name of a dtype spelt the XLA, MLIR, torch or NumPy way.

    Raises:
        GraphlabError: the spelling is none of those.
    """
    name = _LONG_DTYPES.get(short.lower().removeprefix("torch."))
    if name is None:
        raise GraphlabError(
            f"read the element type '{short}'",
            found="no such type is known",
            do="use names such as f32, bf16, i64, u8, bool, c64, f8e4m3fn",
        )
    return name


_TYPE_TEXT = re.compile(r"\s*(?:(?P<name>[A-Za-z_]\w*)\s*=\s*)?(?P<dtype>[A-Za-z]\w*)\s*\[(?P<dims>[^\]]*)\]\s*")


def parse_type(text: str) -> tuple[str | None, TensorType]:
    """Read ``f32[2,5,8]``, ``f32[batch,5]`` or ``x=i64[?,3]`` into a name (or ``None``) and a type.

    Raises:
        GraphlabError: the text is not of that form.
    """
    match = _TYPE_TEXT.fullmatch(text)
    if match is None:
        raise GraphlabError(
            f"read the input type '{text}'",
            found="it is not of the form dtype[dims]",
            do="write for instance 'f32[2,5,8]', 'f32[batch,5]' or 'x=i64[1,128]'",
        )
    dims = tuple(parse_dim(d) for d in match["dims"].split(",") if d.strip())
    return match["name"], TensorType(dtype_name(match["dtype"]), dims)


def parse_dim(text: str) -> Dim:
    """``'5'`` → 5, ``'?'`` → None, anything else → :class:`SymDim`."""
    text = text.strip()
    if text == "?":
        return None
    return int(text) if text.isascii() and text.isdigit() else SymDim(text)
