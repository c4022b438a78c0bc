"""A model's tensors as value types with their quantization, and its buffers as lazy constants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

from graphlab.capture.file import File
from graphlab.capture.tflite.flatbuffer import Buffer, Span, Table
from graphlab.capture.tflite.schema import schema
from graphlab.errors import ValueUnavailable
from graphlab.ir.constants import Constant
from graphlab.ir.frozen import FrozenDict, frozen
from graphlab.ir.values import OpaqueType, Quantization, TensorType, ValueType

_NO_TENSORS = ("resource", "variant")
_PACKED = {"int4": (4, True), "uint4": (4, False), "int2": (2, True)}  # width in bits, signed; the lowest bits come first
_MOST_STRINGS = 1 << 20


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a subgraph.

    Attributes:
        variable: whether the operators that take it change it, and it keeps its value between runs.
        value: what the file holds for it; ``None`` for a value that is computed.
        facts: sparsity, block-wise quantization and what else no type tells.
    """

    index: int
    name: str
    type: ValueType
    variable: bool
    value: Constant | None
    facts: FrozenDict[str, Any]


class Tensors:
    """Decodes the tensors of all subgraphs of a model."""

    def __init__(self, file: File, buffer: Buffer, model: Table) -> None:
        self._file = file
        self._buffer = buffer
        self._buffers = model.tables("buffers")
        self._external = {table["id"]: table for table in model.tables("external_buffers")}
        self._groups = [table["name"] or "" for table in model.tables("external_buffer_groups")]
        self._types: dict[ValueType, ValueType] = {}

    def read(self, index: int, table: Table) -> Tensor:
        """Raises FormatError where it names a buffer that is not there, or one that lies outside the file."""
        facts: dict[str, Any] = {}
        number = table["type"]
        dtype = dtype_name(number)
        stored = self.stored(table["buffer"], table.at)
        dims = _dims(table, stored, dtype)
        type: ValueType
        if dtype in _NO_TENSORS:
            type = OpaqueType(_variant(table) if dtype == "variant" else dtype)
        else:
            type = TensorType(dtype, dims, quantization=_quantization(table, facts))
        type = self._types.setdefault(type, type)
        sparsity = table["sparsity"]
        if sparsity is not None:
            facts["sparsity"] = _sparsity(sparsity)
        external = table["external_buffer"]
        if external:
            value: Constant | None = self._elsewhere(type, external, table)
        elif stored is not None:
            value = self._constant(type, stored, sparse=sparsity is not None)
        else:
            value = None
        return Tensor(index, table["name"] or "", type, table["is_variable"], value, frozen(facts))

    def stored(self, number: int, at: int) -> Span | None:
        """Where a buffer's bytes stand in the file; ``None`` where it has none.

        Raises:
            FormatError: there is no such buffer, or it lies outside the file.
        """
        if number == 0:
            return None  # the schema's buffer without bytes, even where a model lists none
        if number >= len(self._buffers):
            self._buffer.fail(f"buffer {number:,} is named of {len(self._buffers):,}", at)
        table = self._buffers[number]
        if table["offset"] > 1:
            return self.outside(table["offset"], table["size"])
        span: Span | None = table["data"]
        return span if span is not None and span.length else None

    def outside(self, offset: int, length: int) -> Span | None:
        """Bytes behind the flatbuffer: how models above 2 GB keep them. Raises FormatError where the file ends before."""
        if offset + length > self._file.size:
            self._buffer.fail(f"a buffer of {length:,} bytes at {offset:,} lies beyond the end", offset)
        return Span(offset, length) if length else None

    def load(self, span: Span) -> Callable[[], bytes] | bytes:
        return self._file.slice(span.offset, span.length)

    def _constant(self, type: ValueType, span: Span, *, sparse: bool) -> Constant:
        if sparse:
            return Constant(type, None, nbytes=span.length, reason="the file stores it sparse: only its nonzero elements")
        load = self.load(span)
        dtype = type.dtype if isinstance(type, TensorType) else ""
        if dtype in _PACKED and isinstance(type, TensorType):
            return Constant(type, partial(_unpack, load, *_PACKED[dtype], type.elements))
        if dtype == "string":
            return Constant(type, partial(_strings, load), nbytes=span.length)
        return Constant(type, load, nbytes=span.length)

    def _elsewhere(self, type: ValueType, number: int, table: Table) -> Constant:
        found = self._external.get(number)
        if found is None:
            self._buffer.fail(f"the external buffer {number:,} is named, which is not listed", table.at)
        group = found["group"]
        where = self._groups[group] if group < len(self._groups) else f"group {group}"
        return Constant(type, None, nbytes=found["length"], reason=f"it stands in another file: '{where}' at {found['offset']:,}")


def dtype_name(number: int) -> str:
    """``0`` → ``float32``; ``type_40`` for one that a later version has added."""
    name = schema().name("TensorType", number)
    return name.lower() if isinstance(name, str) else f"type_{number}"


def _dims(table: Table, stored: Span | None, dtype: str) -> tuple[int | None, ...] | None:
    """The signature's dims where a converter left one (-1: not known), else the shape.

    An empty shape is a scalar's where ``has_rank`` says so, or the bytes of one element prove it; older
    converters wrote it for unknown ranks as well.
    """
    shape: tuple[int, ...] = table["shape"] or ()
    signature: tuple[int, ...] = table["shape_signature"] or ()
    if signature and len(signature) == len(shape):
        shape = signature
    if shape or table["has_rank"]:
        return tuple([dim if dim >= 0 else None for dim in shape])
    if stored is not None and TensorType(dtype).nbytes == stored.length:
        return ()
    return None


def _quantization(table: Table, facts: dict[str, Any]) -> Quantization | None:
    quantized = table["quantization"]
    if quantized is None:
        return None
    details = quantized["details"]
    if details is not None:
        number = quantized["details_type"]
        kind = schema().name("QuantizationDetails", number)
        if details.type == "BlockwiseQuantization":
            facts["quantization"] = {"kind": kind, **{name: details[name] for name in details.fields()}}
        else:
            facts["quantization"] = {"kind": kind}
        return None
    low, high = quantized["min"], quantized["max"]
    if low or high:
        facts["range"] = (low or (), high or ())
    scales: tuple[float, ...] = quantized["scale"] or ()
    if not scales:
        return None
    zero_points: tuple[int, ...] = quantized["zero_point"] or ()
    if len(zero_points) < len(scales):  # none: zero; one: that of all
        zero_points = (zero_points[0] if len(zero_points) == 1 else 0,) * len(scales)
    return Quantization(scales, zero_points[: len(scales)], axis=quantized["quantized_dimension"] if len(scales) > 1 else None)


def _variant(table: Table) -> str:
    """``variant<float32[2,3]>``: what a list or dataset holds, where the file says."""
    held = []
    for sub in table.tables("variant_tensors"):
        shape = sub["shape"] or ()
        held.append(str(TensorType(dtype_name(sub["type"]), tuple(d if d >= 0 else None for d in shape) if sub["has_rank"] else None)))
    return f"variant<{', '.join(held)}>" if held else "variant"


def _sparsity(table: Table) -> Mapping[str, Any]:
    dims = [(d.named("format"), d["dense_size"]) for d in table.tables("dim_metadata")]
    return {
        "traversal_order": table["traversal_order"] or (),
        "block_map": table["block_map"] or (),
        "dims": tuple(f"{kind} {size}" if kind == "DENSE" else str(kind) for kind, size in dims),
    }


def _unpack(load: Callable[[], bytes] | bytes, bits: int, signed: bool, elements: int | None) -> bytes:
    """Elements of less than a byte, each in a byte of its own."""
    import numpy as np

    packed = np.frombuffer(load() if callable(load) else load, np.uint8)
    parts = [(packed >> shift) & ((1 << bits) - 1) for shift in range(0, 8, bits)]
    values = np.stack(parts, axis=-1).ravel()
    if elements is not None:
        values = values[:elements]
    if signed:
        values = np.where(values >= 1 << (bits - 1), values.astype(np.int16) - (1 << bits), values).astype(np.int8)
    return values.tobytes()


def _strings(load: Callable[[], bytes] | bytes) -> bytes:
    """A string tensor's text. Its buffer: the number of strings, an offset for each and for the end, the strings (all int32)."""
    import numpy as np

    data = load() if callable(load) else load
    asked, do = "read a string constant", "check that the file is whole"
    count = int.from_bytes(data[:4], "little")
    if count > _MOST_STRINGS or 4 + 4 * (count + 1) > len(data):
        raise ValueUnavailable(asked, found=f"its {len(data):,} bytes are too few for {count:,} strings", do=do)
    ends = np.frombuffer(data, "<u4", count + 1, 4).tolist()
    if any(not 0 <= a <= b <= len(data) for a, b in pairwise(ends)):
        raise ValueUnavailable(asked, found="its offsets lead outside it", do=do)
    texts = [repr(data[a:b].decode("utf-8", "backslashreplace")) for a, b in pairwise(ends)]
    return f"[{', '.join(texts)}]".encode()
