"""MLIR types, attributes and locations as the IR's plain values."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from graphlab.capture.xla.mlir import bindings
from graphlab.errors import GraphlabError, ValueUnavailable
from graphlab.ir.constants import Constant
from graphlab.ir.frames import Frame
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.values import Dim, OpaqueType, SymDim, TensorType, TokenType, TupleType, ValueType, dtype_name

INLINE_ELEMENTS = 64
"""Dense attributes up to this size become tuples, larger ones constants."""

_ENUM = re.compile(r"#\w+<(?:\w+ )?(\w+)>")
_BOUNDS = re.compile(r"bounds<([^>]*)>")
_HEX = re.compile(r'"0x([0-9A-Fa-f]*)">')
_NUMBER = re.compile(r"-?0x[0-9A-Fa-f]+|-?\d+\.?\d*(?:[eE][+-]?\d+)?|true|false|-?nan|-?inf")

# StableHLO's structured attributes: class → the fields that mean something.
_STRUCTURES: dict[str, tuple[str, ...]] = {
    "DotDimensionNumbers": (
        "lhs_batching_dimensions", "rhs_batching_dimensions", "lhs_contracting_dimensions", "rhs_contracting_dimensions",
    ),
    "ConvDimensionNumbers": (
        "input_batch_dimension", "input_feature_dimension", "input_spatial_dimensions",
        "kernel_input_feature_dimension", "kernel_output_feature_dimension", "kernel_spatial_dimensions",
        "output_batch_dimension", "output_feature_dimension", "output_spatial_dimensions",
    ),
    "GatherDimensionNumbers": (
        "offset_dims", "collapsed_slice_dims", "operand_batching_dims", "start_indices_batching_dims", "start_index_map",
        "index_vector_dim",
    ),
    "ScatterDimensionNumbers": (
        "update_window_dims", "inserted_window_dims", "input_batching_dims", "scatter_indices_batching_dims",
        "scattered_dims_to_operand_dims", "index_vector_dim",
    ),
    "ChannelHandle": ("handle", "channel_type"),
    "OutputOperandAlias": ("output_tuple_indices", "operand_index", "operand_tuple_indices"),
    "DotAlgorithm": (
        "lhs_precision_type", "rhs_precision_type", "accumulation_type", "lhs_component_count", "rhs_component_count",
        "num_primitive_operations", "allow_imprecise_accumulation",
    ),
    "ResultAccuracyAttr": ("atol", "rtol", "ulps", "mode"),
}  # fmt: skip


class Decoder:
    """Decodes; remembers types and attributes, of which a module has few different ones."""

    def __init__(self) -> None:
        self._ir, self._stablehlo = bindings()
        self._types: dict[Any, ValueType] = {}
        self._attributes: dict[Any, Any] = {}
        ir = self._ir
        simple: dict[str, Callable[[Any], Any]] = {
            "BoolAttr": lambda a: bool(a.value),
            "IntegerAttr": lambda a: int(a.value),
            "FloatAttr": lambda a: float(a.value),
            "StringAttr": _string,
            "FlatSymbolRefAttr": lambda a: str(a.value),
            "TypeAttr": lambda a: self.type(a.value),
            "UnitAttr": lambda a: True,
            "ArrayAttr": lambda a: tuple(self.attribute(x) for x in a),
            "DictAttr": lambda a: FrozenDict(self._mapping(a)),
            **dict.fromkeys(
                ("DenseBoolArrayAttr", "DenseI8ArrayAttr", "DenseI16ArrayAttr", "DenseI32ArrayAttr", "DenseI64ArrayAttr",
                 "DenseF32ArrayAttr", "DenseF64ArrayAttr"),
                tuple,
            ),
            **dict.fromkeys(
                ("DenseElementsAttr", "DenseIntElementsAttr", "DenseFPElementsAttr", "DenseResourceElementsAttr"), self._dense
            ),
        }  # fmt: skip
        self._by_class = {getattr(ir, name): decode for name, decode in simple.items() if hasattr(ir, name)}

    def type(self, kind: Any) -> ValueType:
        """A tensor type keeps dynamic dims as unknown, bounded ones as ``<=n``; anything not of XLA is opaque by its text."""
        found = self._types.get(kind)
        if found is None:
            found = self._types[kind] = self._type(kind)
        return found

    def attribute(self, value: Any) -> Any:
        """Numbers, texts, tuples, FrozenDicts, types and constants; what has no such form, as MLIR prints it."""
        decode = self._by_class.get(type(value))
        if decode is not None:
            return decode(value)
        found = self._attributes.get(value)
        if found is None:
            found = self._attributes[value] = self._structured(value)
        return found

    def constant(self, value: Any) -> Constant:
        """A dense elements attribute as a constant; its bytes are taken from MLIR when first asked for."""
        kind = self.type(value.type)
        if not isinstance(kind, TensorType) or kind.elements is None:
            return Constant(kind, None, reason="it is no dense array of known shape")
        if type(value).__name__ == "DenseResourceElementsAttr":
            return Constant(kind, None, reason="its bytes stand in a resource section of the module")
        return Constant(kind, lambda: dense_bytes(value, kind))

    def constant_op(self, op: Any) -> Constant:
        """The value of a ``stablehlo.constant``."""
        try:
            return self.constant(op.attributes["value"])
        except TypeError:  # jaxlib's bindings do not show dense complex attributes; the operation's text does
            kind = self.type(op.results[0].type)
            if not isinstance(kind, TensorType):
                return Constant(kind, None, reason="it is no dense array")
            return Constant(kind, lambda: _text_bytes(op.get_asm(enable_debug_info=False).partition("dense<")[2], kind))

    def attributes(self, op: Any) -> dict[str, Any]:
        """All attributes of an operation, decoded."""
        return self._mapping(op.attributes)

    def _mapping(self, attributes: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for entry in attributes:
            name = entry if isinstance(entry, str) else entry.name  # bindings before 2026 give pairs
            try:
                found[name] = self.attribute(attributes[name])
            except TypeError:  # as above; no operation but a constant holds large ones
                found[name] = Constant(OpaqueType("dense elements"), None, reason="jaxlib's MLIR bindings do not show it")
        return found

    def _dense(self, value: Any) -> Any:
        constant = self.constant(value)
        kind = constant.type
        if not constant.available or not isinstance(kind, TensorType) or (kind.elements or 0) > INLINE_ELEMENTS:
            return constant
        try:
            return _tuples(constant.array().tolist())
        except (ValueUnavailable, TypeError):  # an element type NumPy has no word for (quantized)
            return str(value)

    def _structured(self, value: Any) -> Any:
        for name, fields in _STRUCTURES.items():
            kind = getattr(self._stablehlo, name, None)
            if kind is not None and kind.isinstance(value):
                whole = kind(value)
                return FrozenDict({field: self._field(getattr(whole, field)) for field in fields if hasattr(whole, field)})
        text = str(value)
        enum = _ENUM.fullmatch(text)
        return enum[1] if enum else text

    def _field(self, value: Any) -> Any:
        if isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, self._ir.Attribute):
            return self.attribute(value.maybe_downcast() if hasattr(value, "maybe_downcast") else value)
        return str(self.type(value)) if isinstance(value, self._ir.Type) else tuple(value)

    def _type(self, kind: Any) -> ValueType:
        ir = self._ir
        if isinstance(kind, ir.RankedTensorType):
            shape: list[Dim] = [None if kind.is_dynamic_dim(i) else kind.get_dim_size(i) for i in range(kind.rank)]
            encoding = "" if kind.encoding is None else str(kind.encoding)
            bounds = _BOUNDS.search(encoding)
            if bounds:
                for i, bound in enumerate(bounds[1].split(",")):
                    shape[i] = SymDim(f"<={bound.strip()}") if bound.strip().isdigit() else shape[i]
            return TensorType(_dtype(kind.element_type), tuple(shape), layout=encoding if encoding and not bounds else None)
        if isinstance(kind, ir.UnrankedTensorType):
            return TensorType(_dtype(kind.element_type), None)
        if isinstance(kind, ir.TupleType):
            return TupleType(tuple(self.type(kind.get_type(i)) for i in range(kind.num_types)))
        return TokenType() if str(kind) in ("!stablehlo.token", "!mhlo.token") else OpaqueType(str(kind))


def dense_bytes(value: Any, kind: TensorType) -> bytes:
    """Bytes of a dense elements attribute, in C order.

    Raises:
        ValueUnavailable: NumPy and ml_dtypes have no such element type.
    """
    dtype = _numpy_dtype(kind)
    if not value.is_splat and kind.dtype in _BUFFERS:
        return np.ascontiguousarray(np.array(value), dtype).tobytes()
    return _text_bytes(str(value).removeprefix("dense<"), kind)


# Element types that jaxlib's bindings give as a Python buffer.
_BUFFERS = ("bool", "float16", "float32", "float64", *(f"{s}int{n}" for s in ("", "u") for n in (8, 16, 32, 64)))


def _text_bytes(text: str, kind: TensorType) -> bytes:
    """Bytes of what stands in ``dense<...>``: a list, one value for all elements, or hexadecimal bytes."""
    dtype = _numpy_dtype(kind)
    shape = tuple(d for d in kind.dims or () if isinstance(d, int))
    packed = _HEX.match(text)
    if packed:
        values = np.frombuffer(bytes.fromhex(packed[1]), dtype)
    else:
        numbers = [_number(match, dtype) for match in _NUMBER.findall(text.partition(">")[0])]
        if dtype.kind == "c":
            numbers = [complex(a, b) for a, b in zip(numbers[::2], numbers[1::2], strict=True)]
        values = np.array(numbers, dtype=dtype)
    return np.ascontiguousarray(np.broadcast_to(values[0] if len(values) == 1 else values.reshape(shape), shape)).tobytes()


def _numpy_dtype(kind: TensorType) -> np.dtype[Any]:
    import ml_dtypes

    try:
        return np.dtype(getattr(ml_dtypes, kind.dtype, None) or kind.dtype)
    except TypeError as error:
        raise ValueUnavailable(f"fetch a constant of type {kind}", found="NumPy has no such element type", do="use its text") from error


def _number(text: str, dtype: np.dtype[Any]) -> Any:
    if text in ("true", "false"):
        return text == "true"
    if "0x" in text:  # MLIR prints what has no decimal form (NaN, infinity) by its bits
        bits = int(text, 16)
        size = dtype.itemsize if dtype.kind != "c" else dtype.itemsize // 2
        part = dtype if dtype.kind != "c" else np.dtype(f"f{size}")
        return np.frombuffer(bits.to_bytes(size, "little"), part)[0] if dtype.kind not in "iu" else bits
    return int(text) if dtype.kind in "iu" else float(text)


def _dtype(element: Any) -> str:
    """The NumPy name; MLIR's own text where there is none (quantized types, ``index``)."""
    text = str(element)
    inner = {"complex<f32>": "complex64", "complex<f64>": "complex128"}.get(text, text)
    try:
        return dtype_name(re.sub(r"^ui(\d+)$", r"u\1", inner))
    except GraphlabError:
        return text


def _string(value: Any) -> str:
    try:
        return str(value.value)
    except UnicodeDecodeError:  # bytes of a backend config
        return bytes(value.value_bytes).decode("latin-1")


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


class Locations:
    """Decodes locations; remembers the stacks, which share their outer parts.

    Args:
        first_column: the number that the module's producer gives a line's first column: 0 (JAX) or 1 (MLIR).
    """

    def __init__(self, first_column: int) -> None:
        self._ir, _ = bindings()
        self._first_column = first_column
        self._stacks: dict[Any, tuple[Frame, ...]] = {}

    def decode(self, loc: Any) -> tuple[str, tuple[Frame, ...]]:
        """A location's operation name, and its frames, innermost first.

        An outer name is the operation's (JAX: name stack and primitive), a name right around a file
        position the function's. A name that ends in ``:`` is only a kind (``jit:``, TensorFlow's ``MatMul:``).
        """
        ir = self._ir
        name = ""
        while isinstance(loc, ir.NameLoc):
            child = loc.child_loc
            if not name or name.endswith(":"):
                name = loc.name_str
            elif isinstance(child, ir.FileLineColLoc):
                break  # a function's name
            loc = child
        if isinstance(loc, ir.FusedLoc):
            parts = [self.decode(part) for part in loc.locations]
            names = [n for n, _ in parts if n and not n.endswith(":")]
            return name or next(iter(names), ""), next((frames for _, frames in parts if frames), ())
        return name.rstrip(":"), self._frames(loc)

    def _frames(self, loc: Any) -> tuple[Frame, ...]:
        key = loc.attr  # a Location hashes by its Python object, its attribute by what it says
        found = self._stacks.get(key)
        if found is None:
            found = self._stacks[key] = self._decoded(loc, "")
        return found

    def _decoded(self, loc: Any, function: str) -> tuple[Frame, ...]:
        ir = self._ir
        if isinstance(loc, ir.FileLineColLoc):
            return (Frame(loc.filename, loc.start_line, loc.start_col + 1 - self._first_column, function),)
        if isinstance(loc, ir.NameLoc):
            return self._decoded(loc.child_loc, loc.name_str)
        if isinstance(loc, ir.CallSiteLoc):
            return self._frames(loc.callee) + self._frames(loc.caller)
        if isinstance(loc, ir.FusedLoc):
            return next(filter(None, (self._decoded(part, function) for part in loc.locations)), ())
        return ()
