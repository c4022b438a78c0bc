"""How builtin, StableHLO, CHLO, VHLO and quant encode their attributes and types in bytecode.

Facts: BuiltinDialectBytecode.td and QuantDialectBytecode.td of LLVM; StablehloBytecode.cpp, ChloBytecode.cpp and
VhloBytecode.cpp of https://github.com/openxla/stablehlo, whose codes never change.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any, TypeAlias

from graphlab.capture.mlir import dialect_sdy
from graphlab.capture.mlir.entries import Entries, Text, floating
from graphlab.capture.mlir.module import AliasLoc, CallLoc, FileLoc, FunctionType, FusedLoc, NameLoc
from graphlab.capture.mlir.stream import Stream
from graphlab.capture.mlir.types import bounds_of, quantization, tensor, type_text
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.values import Dim, OpaqueType, TensorType, TokenType, TupleType, ValueType

_Decode: TypeAlias = Callable[[Entries, Stream], Any]
_DYNAMIC = -(2**63)


def _by_code(table: dict[int, _Decode], what: str) -> _Decode:
    def decode(entries: Entries, stream: Stream) -> Any:
        at = stream.pos
        code = stream.varint()
        found = table.get(code)
        if found is None:
            return Text(f"{what}<{code}: {bytes(stream.data[at : stream.end]).hex()}>")
        return found(entries, stream)

    return decode


# Helpers


def _type(entries: Entries, stream: Stream) -> ValueType | FunctionType:
    return entries.any_type(stream.varint())


def _value_type(entries: Entries, stream: Stream) -> ValueType:
    return entries.type(stream.varint())


def _attribute(entries: Entries, stream: Stream) -> Any:
    return entries.attribute(stream.varint())


def _types(entries: Entries, stream: Stream) -> tuple[ValueType, ...]:
    return tuple(_value_type(entries, stream) for _ in range(stream.count()))


def _location(stream: Stream) -> AliasLoc:
    return AliasLoc(str(stream.varint()))


def _string_attribute(entries: Entries, stream: Stream) -> str:
    return str(_attribute(entries, stream))


def _constantly(value: Any) -> _Decode:
    return lambda entries, stream: value


def _dims(shape: tuple[int, ...]) -> tuple[Dim, ...]:
    return tuple(None if size == _DYNAMIC or size < 0 else size for size in shape)


def _enum(*names: str) -> _Decode:
    def decode(entries: Entries, stream: Stream) -> str:
        at = stream.varint()
        return names[at] if at < len(names) else str(at)

    return decode


def _fields(**kinds: str) -> _Decode:
    """A structure: numbers (``i``), lists of them (``l``), types (``t``), truth values (``b``), float64s (``d``), attributes (``a``)."""

    def decode(entries: Entries, stream: Stream) -> FrozenDict[str, Any]:
        found: dict[str, Any] = {}
        for name, kind in kinds.items():
            if kind == "i":
                found[name] = stream.signed()
            elif kind == "l":
                found[name] = stream.signed_list()
            elif kind == "t":
                found[name] = type_text(_type(entries, stream))
            elif kind == "b":
                found[name] = bool(stream.byte())
            elif kind == "d":
                found[name] = stream.double()
            else:
                found[name] = _attribute(entries, stream)
        return FrozenDict(found)

    return decode


# Builtin attributes


def _array(entries: Entries, stream: Stream) -> tuple[Any, ...]:
    return tuple(_attribute(entries, stream) for _ in range(stream.count()))


def _dictionary(entries: Entries, stream: Stream) -> FrozenDict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(stream.count()):
        name = _string_attribute(entries, stream)
        index = stream.varint()
        found[name] = entries.named(name, index)
    return FrozenDict(found)


def _string(entries: Entries, stream: Stream) -> str:
    return entries.string(stream)


def _nested_symbol(entries: Entries, stream: Stream) -> str:
    names = [_string_attribute(entries, stream), *map(str, _array(entries, stream))]
    return "::".join(f"@{name}" for name in names)


def _width(text: str) -> int:
    found = re.fullmatch(r"[su]?i(\d{1,8})", text)
    return int(found[1]) if found else 64


def _integer(entries: Entries, stream: Stream) -> int | bool:
    kind = type_text(_type(entries, stream))
    bits = _width(kind)
    value = stream.integer(bits)
    if bits == 1:
        return bool(value)
    return value - (1 << bits) if bits and not kind.startswith("u") and value >> (bits - 1) else value


def _float(entries: Entries, stream: Stream) -> float:
    kind = type_text(_type(entries, stream))
    bits = {"bf16": 16, "tf32": 19}.get(kind)
    if bits is None:
        found = re.match(r"f(\d{1,3})", kind)
        bits = int(found[1]) if found else 64
    return floating(stream.integer(bits), kind)


def _call_location(entries: Entries, stream: Stream) -> CallLoc:
    return CallLoc(_location(stream), _location(stream))


def _file_location(entries: Entries, stream: Stream) -> FileLoc:
    return FileLoc(_string_attribute(entries, stream), stream.varint(), stream.varint())


def _range_location(entries: Entries, stream: Stream) -> FileLoc:
    """A range: one line, its column, and where it ends, as far as they are known."""
    file = _string_attribute(entries, stream)
    numbers = [stream.varint() for _ in range(min(4, stream.count()))]
    return FileLoc(file, numbers[0] if numbers else 0, numbers[1] if len(numbers) > 1 else 0)


def _fused(entries: Entries, stream: Stream) -> FusedLoc:
    return FusedLoc(tuple(_location(stream) for _ in range(stream.count())))


def _name_location(entries: Entries, stream: Stream) -> NameLoc:
    return NameLoc(_string_attribute(entries, stream), _location(stream))


def _resource(entries: Entries, stream: Stream) -> Any:
    return entries.resource(_value_type(entries, stream), stream)


def _dense_array(entries: Entries, stream: Stream) -> tuple[Any, ...]:
    kind = type_text(_type(entries, stream))
    count = stream.varint()
    data = stream.take(stream.varint())
    code = {"i1": "?", "i8": "b", "i16": "h", "i32": "i", "i64": "q", "f32": "f", "f64": "d"}.get(kind)
    if code is None or struct.calcsize(code) * count != len(data):
        raise stream.wrong(f"an array of {count:,} {kind} in {len(data):,} bytes")
    return struct.unpack(f"<{count}{code}", data)


def _dense(entries: Entries, stream: Stream) -> Any:
    kind = _value_type(entries, stream)
    if isinstance(kind, OpaqueType) and kind.name.startswith("vector<"):
        found = re.fullmatch(r"vector<((?:\d{1,18}x)*)(\w+)>", kind.name)
        if found is not None:
            kind = tensor(found[2], tuple(int(size) for size in found[1].split("x")[:-1]))
    return entries.dense(kind, stream)


def _dense_strings(entries: Entries, stream: Stream) -> Any:
    from graphlab.ir.constants import Constant

    kind = _value_type(entries, stream)
    splat = stream.varint()
    count = 1 if splat else (kind.elements or 0) if isinstance(kind, TensorType) else 0
    if count > stream.end - stream.pos:
        raise stream.wrong(f"{count:,} strings, and {stream.end - stream.pos:,} bytes left")
    return Constant(kind, "\n".join(entries.string(stream) for _ in range(count)).encode("utf-8", "replace"))


def _sparse(entries: Entries, stream: Stream) -> Any:
    from graphlab.ir.constants import Constant

    return Constant(_value_type(entries, stream), None, reason="it is a sparse constant")


_BUILTIN_ATTRIBUTES: dict[int, _Decode] = {
    0: _array,
    1: _dictionary,
    2: _string,
    3: _string,
    4: _string_attribute,
    5: _nested_symbol,
    6: _type,
    7: _constantly(True),
    8: _integer,
    9: _float,
    10: _call_location,
    11: _file_location,
    12: _fused,
    13: _fused,
    14: _name_location,
    15: _constantly(None),
    16: _resource,
    17: _dense_array,
    18: _dense,
    19: _dense_strings,
    20: _sparse,
    21: _attribute,
    22: _range_location,
}


# Builtin types


def _integer_type(entries: Entries, stream: Stream) -> OpaqueType:
    packed = stream.varint()
    return OpaqueType(f"{('i', 'si', 'ui', 'i')[packed & 3]}{packed >> 2}")


def _function_type(entries: Entries, stream: Stream) -> FunctionType:
    return FunctionType(_types(entries, stream), _types(entries, stream))


def _complex(entries: Entries, stream: Stream) -> OpaqueType:
    return OpaqueType(f"complex<{type_text(_type(entries, stream))}>")


def _shaped(entries: Entries, stream: Stream, encoding: Any) -> TensorType:
    shape = _dims(stream.signed_list())
    element = _type(entries, stream)
    bounds: list[int | None] | None = None
    text: str | None = None
    if isinstance(encoding, Bounds):
        bounds = list(encoding.sizes)
    elif encoding is not None:
        text = str(encoding)
        bounds = bounds_of(text)
        text = None if bounds is not None else text
    if isinstance(element, TensorType) and element.dims == ():  # quantized
        return tensor(element.dtype, shape, bounds=bounds or (), encoding=text, quantization=element.quantization, quantized=element.layout)
    return tensor(type_text(element), shape, bounds=bounds or (), encoding=text)


def _ranked(entries: Entries, stream: Stream) -> TensorType:
    return _shaped(entries, stream, None)


def _ranked_encoded(entries: Entries, stream: Stream) -> TensorType:
    return _shaped(entries, stream, _attribute(entries, stream))


def _unranked(entries: Entries, stream: Stream) -> TensorType:
    element = _type(entries, stream)
    if isinstance(element, TensorType) and element.dims == ():
        return tensor(element.dtype, None, quantization=element.quantization, quantized=element.layout)
    return tensor(type_text(element), None)


def _tuple(entries: Entries, stream: Stream) -> TupleType:
    return TupleType(_types(entries, stream))


def _sizes(stream: Stream) -> str:
    return "".join("?x" if size < 0 else f"{size}x" for size in stream.signed_list())


def _memref(entries: Entries, stream: Stream) -> OpaqueType:
    return _buffer(entries, stream, "")


def _memref_space(entries: Entries, stream: Stream) -> OpaqueType:
    return _buffer(entries, stream, f", {_attribute(entries, stream)}")


def _buffer(entries: Entries, stream: Stream, space: str) -> OpaqueType:
    sizes = _sizes(stream)
    element = type_text(_type(entries, stream))
    layout = str(_attribute(entries, stream))
    identity = re.fullmatch(r"affine_map<\(([^)]*)\) -> \(([^)]*)\)>", layout)
    shown = "" if identity is not None and identity[1] == identity[2] else f", {layout}"
    return OpaqueType(f"memref<{sizes}{element}{shown}{space}>")


def _unranked_memref(entries: Entries, stream: Stream) -> OpaqueType:
    return OpaqueType(f"memref<*x{type_text(_type(entries, stream))}>")


def _unranked_memref_space(entries: Entries, stream: Stream) -> OpaqueType:
    space = _attribute(entries, stream)
    return OpaqueType(f"memref<*x{type_text(_type(entries, stream))}, {space}>")


def _vector(entries: Entries, stream: Stream) -> OpaqueType:
    return OpaqueType(f"vector<{_sizes(stream)}{type_text(_type(entries, stream))}>")


_BUILTIN_TYPES: dict[int, _Decode] = {
    0: _integer_type,
    1: _constantly(OpaqueType("index")),
    2: _function_type,
    3: _constantly(OpaqueType("bf16")),
    4: _constantly(OpaqueType("f16")),
    5: _constantly(OpaqueType("f32")),
    6: _constantly(OpaqueType("f64")),
    7: _constantly(OpaqueType("f80")),
    8: _constantly(OpaqueType("f128")),
    9: _complex,
    10: _memref,
    11: _memref_space,
    12: _constantly(OpaqueType("none")),
    13: _ranked,
    14: _ranked_encoded,
    15: _tuple,
    16: _unranked_memref,
    17: _unranked_memref_space,
    18: _unranked,
    19: _vector,
    20: _vector,
    **{
        code: _constantly(OpaqueType(name))
        for code, name in enumerate(
            ("tf32", "f8E5M2", "f8E4M3", "f8E4M3FN", "f8E5M2FNUZ", "f8E4M3FNUZ", "f8E4M3B11FNUZ", "f8E3M4", "f4E2M1FN", "f6E2M3FN",
             "f6E3M2FN", "f8E8M0FNU"),
            21,
        )
    },
}  # fmt: skip


# Enumerations, the same in StableHLO and VHLO

_DIRECTION = _enum("EQ", "NE", "GE", "GT", "LE", "LT")
_COMPARE_TYPE = _enum("NOTYPE", "FLOAT", "TOTALORDER", "SIGNED", "UNSIGNED")
_FFT = _enum("FFT", "IFFT", "RFFT", "IRFFT")
_PRECISION = _enum("DEFAULT", "HIGH", "HIGHEST")
_RNG_ALGORITHM = _enum("DEFAULT", "THREE_FRY", "PHILOX")
_RNG_DISTRIBUTION = _enum("?", "UNIFORM", "NORMAL")
_TRANSPOSE = _enum("TRANSPOSE_INVALID", "NO_TRANSPOSE", "TRANSPOSE", "ADJOINT")
_ACCURACY_MODE = _enum("DEFAULT", "HIGHEST", "TOLERANCE")


class Bounds(tuple[int, ...]):
    """The largest sizes of a type's dynamic dims, as an attribute."""

    @property
    def sizes(self) -> tuple[int | None, ...]:
        return tuple(None if size < 0 else size for size in self)

    def __str__(self) -> str:
        return f"#stablehlo.bounds<{', '.join('?' if size is None else str(size) for size in self.sizes)}>"


def _bounds(entries: Entries, stream: Stream) -> Bounds:
    return Bounds(stream.signed_list())


def _future(entries: Entries, stream: Stream) -> OpaqueType:
    return OpaqueType(f"!stablehlo.future<{', '.join(map(type_text, _types(entries, stream)))}>")


_ALIAS = _fields(output_tuple_indices="l", operand_index="i", operand_tuple_indices="l")
_ACCURACY = _fields(atol="d", rtol="d", ulps="i", mode="a")


def _sub_axis(entries: Entries, stream: Stream) -> str:
    return f"({stream.signed()}){stream.signed()}"


def _axis_ref(entries: Entries, stream: Stream) -> str:
    name = entries.string(stream)
    return f'#stablehlo.axis_ref<name = "{name}"' + (f", sub_axis_info = {_attribute(entries, stream)}>" if stream.byte() else ">")


def _mesh_axis(entries: Entries, stream: Stream) -> str:
    return f'#stablehlo.mesh_axis<name = "{entries.string(stream)}", size = {stream.signed()}>'


def _mesh(entries: Entries, stream: Stream) -> FrozenDict[str, Any]:
    found = {"axes": _attribute(entries, stream)}
    if stream.pos < stream.end and stream.byte():
        found["device_ids"] = _attribute(entries, stream)
    return FrozenDict(found)


def _mesh_axes(entries: Entries, stream: Stream) -> FrozenDict[str, Any]:
    return FrozenDict(mesh=_attribute(entries, stream), axes=_array(entries, stream))


_STABLEHLO_ATTRIBUTES: dict[int, _Decode] = {
    1: _fields(handle="i", type="i"),
    2: _DIRECTION,
    3: _COMPARE_TYPE,
    4: _fields(
        input_batch_dimension="i", input_feature_dimension="i", input_spatial_dimensions="l",
        kernel_input_feature_dimension="i", kernel_output_feature_dimension="i", kernel_spatial_dimensions="l",
        output_batch_dimension="i", output_feature_dimension="i", output_spatial_dimensions="l",
    ),
    5: _fields(lhs_batching_dimensions="l", rhs_batching_dimensions="l", lhs_contracting_dimensions="l", rhs_contracting_dimensions="l"),
    6: _FFT,
    7: _fields(
        offset_dims="l", collapsed_slice_dims="l", operand_batching_dims="l", start_indices_batching_dims="l", start_index_map="l",
        index_vector_dim="i",
    ),
    8: _PRECISION,
    9: _RNG_ALGORITHM,
    10: _RNG_DISTRIBUTION,
    11: _fields(
        update_window_dims="l", inserted_window_dims="l", input_batching_dims="l", scatter_indices_batching_dims="l",
        scatter_dims_to_operand_dims="l", index_vector_dim="i",
    ),
    12: _TRANSPOSE,
    13: _bounds,
    14: _ALIAS,
    15: _fields(
        lhs_precision_type="t", rhs_precision_type="t", accumulation_type="t", lhs_component_count="i", rhs_component_count="i",
        num_primitive_operations="i", allow_imprecise_accumulation="b",
    ),
    16: _ACCURACY_MODE,
    17: _ACCURACY,
    18: _mesh_axes,
    19: _sub_axis,
    20: _axis_ref,
    21: _mesh_axis,
    22: _mesh,
}  # fmt: skip


# MHLO: the codes are StableHLO's up to 13


def _result_alias(entries: Entries, stream: Stream) -> FrozenDict[str, Any]:
    tuples, index, inner = stream.signed_list(), stream.signed(), stream.signed_list()
    return FrozenDict(tuple_indices=tuples, result_index=(index, *inner), must_alias=bool(stream.varint()))


def _async_bundle(entries: Entries, stream: Stream) -> OpaqueType:
    return OpaqueType(f"!mhlo.async_bundle<{', '.join(map(type_text, _types(entries, stream)))}>")


_MHLO_ATTRIBUTES: dict[int, _Decode] = {
    **{code: decode for code, decode in _STABLEHLO_ATTRIBUTES.items() if code <= 13},
    0: _result_alias,
    14: _enum("sharding"),
    15: _enum("kLoop", "kInput", "kOutput", "kCustom"),
    16: _ALIAS,
    17: _ACCURACY_MODE,
    18: _ACCURACY,
    19: _mesh_axes,
    20: _sub_axis,
    21: _axis_ref,
    22: _mesh_axis,
    23: _mesh,
}


# VHLO


def _vhlo_boolean(entries: Entries, stream: Stream) -> bool:
    return bool(stream.varint())


def _vhlo_dictionary(entries: Entries, stream: Stream) -> FrozenDict[str, Any]:
    return FrozenDict({str(_attribute(entries, stream)): _attribute(entries, stream) for _ in range(stream.count())})


def _uniform(entries: Entries, stream: Stream) -> TensorType:
    """Stored and expressed type, scale, zero point, range. What a tensor has as element type is a tensor type without dims."""
    stream.varint()  # whether the stored integers are signed: the stored type says so too, but in VHLO's and quant's older files
    storage, expressed = type_text(_type(entries, stream)), type_text(_type(entries, stream))
    scale, zero, low, high = stream.double(), stream.signed(), stream.signed(), stream.signed()
    storage = _signedness(storage, low)
    return tensor(storage, (), quantization=quantization(storage, expressed, [scale], [zero], None, low, high))


def _per_axis(entries: Entries, stream: Stream) -> TensorType:
    stream.varint()
    storage, expressed = type_text(_type(entries, stream)), type_text(_type(entries, stream))
    axis, low, high = stream.varint(), stream.signed(), stream.signed()
    scales = [stream.double() for _ in range(stream.count())]
    zeros = [stream.signed() for _ in range(stream.count())]
    storage = _signedness(storage, low)
    return tensor(storage, (), quantization=quantization(storage, expressed, scales, zeros, axis, low, high))


def _signedness(storage: str, low: int) -> str:
    """MLIR's quantized types store signless integers; those that start at 0 are unsigned."""
    return f"u{storage}" if low >= 0 and re.fullmatch(r"i\d+", storage) else storage


def _vhlo_axis_ref(entries: Entries, stream: Stream) -> str:
    name = _string_attribute(entries, stream)
    return f'#stablehlo.axis_ref<name = "{name}"' + (f", sub_axis_info = {_attribute(entries, stream)}>" if stream.varint() else ">")


def _vhlo_buffer(entries: Entries, stream: Stream) -> OpaqueType:
    return OpaqueType(f"memref<{_sizes(stream)}{type_text(_type(entries, stream))}>")


_VHLO_ATTRIBUTES: dict[int, _Decode] = {
    1: _array,
    2: _vhlo_boolean,
    3: _DIRECTION,
    4: _COMPARE_TYPE,
    5: _enum("API_VERSION_UNSPECIFIED", "API_VERSION_ORIGINAL", "API_VERSION_STATUS_RETURNING", "API_VERSION_STATUS_RETURNING_UNIFIED",
             "API_VERSION_TYPED_FFI"),
    6: _vhlo_dictionary,
    7: _FFT,
    8: _float,
    9: _integer,
    10: _ALIAS,
    11: _PRECISION,
    12: _RNG_ALGORITHM,
    13: _RNG_DISTRIBUTION,
    14: _string,
    15: _dense,
    16: _TRANSPOSE,
    17: _type,
    18: _bounds,
    19: _ACCURACY_MODE,
    20: _ACCURACY,
    21: _sub_axis,
    22: _vhlo_axis_ref,
    23: _fields(mesh="a", axes="a"),
}  # fmt: skip

_VHLO_SCALARS = {
    0: "i1", 2: "bf16", 3: "f16", 4: "f32", 5: "f64", 36: "f8E3M4", 35: "f8E4M3", 6: "f8E4M3FN", 7: "f8E5M2", 34: "tf32", 9: "index",
    31: "i2", 10: "i4", 11: "i8", 12: "i16", 13: "i32", 14: "i64", 32: "ui2", 15: "ui4", 16: "ui8", 17: "ui16", 18: "ui32", 19: "ui64",
    26: "!shape.witness", 37: "f4E2M1FN", 38: "f6E2M3FN", 39: "f6E3M2FN", 27: "f8E4M3FNUZ", 28: "f8E5M2FNUZ", 29: "f8E4M3B11FNUZ",
    40: "f8E8M0FNU", 33: "none",
}  # fmt: skip
_VHLO_TYPES: dict[int, _Decode] = {
    **{code: _constantly(OpaqueType(name)) for code, name in _VHLO_SCALARS.items()},
    1: _complex,
    8: _function_type,
    20: _ranked,
    21: _ranked_encoded,
    22: _constantly(TokenType()),
    23: _tuple,
    24: _uniform,
    25: _unranked,
    30: _per_axis,
    41: _vhlo_buffer,
    42: _future,
}


# Quant: codes from 1


def _any_quantized(entries: Entries, stream: Stream) -> TensorType:
    stream.varint()
    storage = type_text(_type(entries, stream))
    low, high = stream.signed(), stream.signed()
    return tensor(_signedness(storage, low), (), quantized=f"!quant.any<{storage}<{low}:{high}>>")


def _any_expressed(entries: Entries, stream: Stream) -> TensorType:
    stream.varint()
    storage, expressed = type_text(_type(entries, stream)), type_text(_type(entries, stream))
    low, high = stream.signed(), stream.signed()
    return tensor(_signedness(storage, low), (), quantized=f"!quant.any<{storage}<{low}:{high}>:{expressed}>")


def _calibrated(entries: Entries, stream: Stream) -> TensorType:
    expressed = type_text(_type(entries, stream))
    return tensor(expressed, (), quantized=f"!quant.calibrated<{expressed}<{stream.double()!r}:{stream.double()!r}>>")


DECODERS: dict[tuple[str, str], _Decode] = {
    ("builtin", "attribute"): _by_code(_BUILTIN_ATTRIBUTES, "#builtin"),
    ("builtin", "type"): _by_code(_BUILTIN_TYPES, "!builtin"),
    ("stablehlo", "attribute"): _by_code(_STABLEHLO_ATTRIBUTES, "#stablehlo"),
    ("stablehlo", "type"): _by_code({0: _constantly(TokenType()), 1: _future}, "!stablehlo"),
    ("chlo", "attribute"): _by_code({0: _DIRECTION, 1: _COMPARE_TYPE}, "#chlo"),
    ("mhlo", "attribute"): _by_code(_MHLO_ATTRIBUTES, "#mhlo"),
    ("mhlo", "type"): _by_code({0: _constantly(TokenType()), 1: _async_bundle}, "!mhlo"),
    ("sdy", "attribute"): _by_code({**dialect_sdy.ATTRIBUTES}, "#sdy"),
    ("vhlo", "attribute"): _by_code(_VHLO_ATTRIBUTES, "#vhlo"),
    ("vhlo", "type"): _by_code(_VHLO_TYPES, "!vhlo"),
    ("quant", "type"): _by_code({1: _any_quantized, 2: _any_expressed, 3: _calibrated, 4: _uniform, 5: _per_axis}, "!quant"),
}
