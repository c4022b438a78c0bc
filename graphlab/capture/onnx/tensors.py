"""TensorProtos as constants: the bytes stay where they are, in the model or in a file beside it, until they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from graphlab.capture.file import File
from graphlab.capture.onnx.types import SPARSE, dtype
from graphlab.capture.proto import Parsed, Schema, varint
from graphlab.errors import FormatError, GraphlabError, ValueUnavailable
from graphlab.ir.constants import INLINE_BYTES, Constant
from graphlab.ir.frozen import FrozenDict, frozen
from graphlab.ir.values import DTYPE_BITS, TensorType

Data = bytes | Callable[[], bytes]

# Which field holds the elements of a type that is not in raw_data: comments at TensorProto in onnx.proto.
_FIELDS: dict[str, str] = {
    "float32": "float_data", "complex64": "float_data", "float64": "double_data", "complex128": "double_data",
    "int64": "int64_data", "uint64": "uint64_data", "uint32": "uint64_data",
}  # fmt: skip
PACKED_FIELDS: dict[str, str] = {
    "repeated float float_data": "repeated bytes float_data",
    "repeated double double_data": "repeated bytes double_data",
    "repeated int32 int32_data": "repeated bytes int32_data",
    "repeated int64 int64_data": "repeated bytes int64_data",
    "repeated uint64 uint64_data": "repeated bytes uint64_data",
}
"""How the schema of a binary file reads: numbers packed into one stretch of bytes are left there, like ``raw_data``."""


class Tensors:
    """Makes constants of a model's tensors.

    Args:
        parsed: the model.
        plain: the schema with numbers as numbers.
        packed: whether the model was parsed with :data:`PACKED_FIELDS`.
    """

    def __init__(self, parsed: Parsed, file: File, plain: Schema, *, packed: bool) -> None:
        self._parsed = parsed
        self._plain = plain
        self._packed = packed
        self.file = file
        self._beside = _Beside(file)
        self._types: dict[tuple[int, tuple[int, ...]], TensorType] = {}

    @property
    def missing(self) -> dict[str, tuple[int, str]]:
        """Files beside the model that tensors lie in and that cannot be read: name → how many tensors, and why."""
        return self._beside.missing

    def constant(self, tensor: Any) -> Constant:
        """A tensor's value.

        Raises:
            FormatError: its shape is none, or its data lie in a file outside the model's directory.
        """
        dims = tuple(tensor.dims)
        key = tensor.data_type, dims
        type = self._types.get(key)
        if type is None:
            if dims and min(dims) < 0:
                raise self._wrong(tensor, f"it has the shape {list(dims)}")
            type = self._types[key] = TensorType(dtype(tensor.data_type), dims)
        if tensor.data_location == 1:
            return self._external(tensor, type)
        if tensor.HasField("segment"):
            return Constant(type, None, reason="the file holds a segment of it only")
        if type.dtype == "string":
            return self._strings(tensor, type)
        if tensor.HasField("raw_data"):
            return _checked(type, self._parsed.data(tensor.raw_data), self._parsed.nbytes(tensor.raw_data))
        return self._typed(tensor, type)

    def sparse(self, tensor: Any) -> FrozenDict[str, Any]:
        """A sparse tensor: its values, their indices, and the dense shape."""
        return frozen(dims=tuple(tensor.dims), values=self.constant(tensor.values), indices=self.constant(tensor.indices))

    def sparse_type(self, tensor: Any) -> TensorType:
        return TensorType(dtype(tensor.values.data_type), tuple(tensor.dims), SPARSE)

    def _strings(self, tensor: Any, type: TensorType) -> Constant:
        texts = [self._parsed.read(text).decode("utf-8", "backslashreplace") for text in tensor.string_data]
        if type.elements != len(texts):
            return Constant(type, None, reason=f"the file holds {len(texts):,} of its elements")
        text = repr(texts[0] if type.dims == () else texts).encode()
        return Constant(type, text, nbytes=len(text))

    def _typed(self, tensor: Any, type: TensorType) -> Constant:
        name = _FIELDS.get(type.dtype, "int32_data")
        field = getattr(tensor, name)
        if not len(field):
            if type.elements == 0:
                return Constant(type, b"")
            if self._packed and _has_unknown(tensor):  # numbers one by one, as few writers do
                again = _reparsed(self._plain, tensor.SerializeToString())
                if again is None:
                    raise self._wrong(tensor, "its numbers cannot be told apart")
                return Tensors(self._parsed, self.file, self._plain, packed=False).constant(again)
            return Constant(type, None, reason="its data were left out of the file")
        if not self._packed:
            numbers = field
            return _checked_numbers(type, lambda: _elements(type, numbers), len(field))
        chunks = [self._parsed.data(chunk) for chunk in field]
        if name in ("float_data", "double_data"):  # packed, these are the elements' own bytes
            data = chunks[0] if len(chunks) == 1 else _Joined(tuple(chunks))
            return _checked(type, data, sum(self._parsed.nbytes(chunk) for chunk in field))
        load = _Varints(self._plain, name, tuple(chunks), type)
        small = sum(self._parsed.nbytes(chunk) for chunk in field) <= INLINE_BYTES
        return _inline(type, load) if small else Constant(type, load)

    def _external(self, tensor: Any, type: TensorType) -> Constant:
        told = {entry.key: entry.value for entry in tensor.external_data}
        location = told.get("location", "")
        bounds = [told.get("offset", "0"), told.get("length", "")]
        if not location or not all(b.isascii() and (b.isdecimal() or not b) and len(b) < 20 for b in bounds):
            raise self._wrong(tensor, f"its data lie in '{location}' from '{bounds[0]}' for '{bounds[1]}' bytes")
        packed = type.nbytes
        if type.dtype == "string" or (packed is None and not bounds[1]):
            return Constant(type, None, reason="the file does not say how long its data are")
        length = int(bounds[1]) if bounds[1] else packed or 0
        found = self._beside.slice(location, int(bounds[0] or 0), length, lambda found: self._wrong(tensor, found))
        return Constant(type, None, reason=found) if isinstance(found, str) else _checked(type, found, length)

    def _wrong(self, tensor: Any, found: str) -> FormatError:
        return FormatError(f"read {self.file.name}", found=found, do="check that the file is whole", where=f"tensor '{tensor.name}'")


class _Beside:
    """The files in the model's directory that hold tensors."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._known: dict[str, File | str] = {}
        self.missing: dict[str, tuple[int, str]] = {}

    def slice(self, location: str, offset: int, length: int, wrong: Callable[[str], FormatError]) -> Data | str:
        """The loader of a tensor's bytes, or why they cannot be had."""
        known = self._known.get(location)
        if known is None:
            known = self._known[location] = self._find(location, wrong)
        if isinstance(known, str):
            return self._lost(location, known)
        if offset + length > known.size:
            short = f"'{location}' has {known.size:,} bytes, and the tensor's end at {offset + length:,}"
            return self._lost(location, short)
        return known.slice(offset, length)

    def _lost(self, location: str, why: str) -> str:
        count, first = self.missing.get(location, (0, why))
        self.missing[location] = count + 1, first
        return why

    def _find(self, location: str, wrong: Callable[[str], FormatError]) -> File | str:
        parts = location.replace("\\", "/").split("/")
        if location.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or "\0" in location:
            raise wrong(f"its data lie in '{location}', which leads out of the model's directory")
        if self._file.name != str(self._file.path):
            return f"'{location}' lies in an archive with the model: unpack it"
        try:
            beside = File.open(self._file.path.parent)
            if not beside.has(location):
                return f"there is no '{location}' within the model's directory"
            found = beside.entry(location)
        except GraphlabError as error:
            return f"'{location}' cannot be read: {error.found}"
        return f"'{location}' is a directory" if found.is_dir else found


class _Joined:
    """Stretches of bytes, one after another."""

    def __init__(self, parts: tuple[Data, ...]) -> None:
        self._parts = parts

    def __call__(self) -> bytes:
        return b"".join(part if isinstance(part, bytes) else part() for part in self._parts)


class _Varints:
    """Numbers packed as varints: parsed by protobuf when they are asked for."""

    def __init__(self, plain: Schema, field: str, chunks: tuple[Data, ...], type: TensorType) -> None:
        self._plain = plain
        self._field = field
        self._chunks = _Joined(chunks)
        self._type = type

    def __call__(self) -> bytes:
        payload = self._chunks()
        number = self._plain.new("TensorProto").DESCRIPTOR.fields_by_name[self._field].number
        tensor = _reparsed(self._plain, bytes([number << 3 | 2]) + varint(len(payload)) + payload)
        if tensor is None:
            raise ValueUnavailable(f"fetch a constant of type {self._type}", found="its numbers are not sound", do="check the file")
        return _elements(self._type, getattr(tensor, self._field))


class _Unpacked:
    """Elements of less than a byte, given a byte each."""

    def __init__(self, data: Data, bits: int, count: int) -> None:
        self._data = data
        self._bits = bits
        self._count = count

    def __call__(self) -> bytes:
        data = self._data if isinstance(self._data, bytes) else self._data()
        return unpack(data, self._bits, self._count)


def unpack(data: bytes, bits: int, count: int) -> bytes:
    """Elements of 2, 4 or 6 bits, lowest bits first, as a byte each; the sign is in the lower bits, as ml_dtypes has it."""
    stream = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[: count * bits].reshape(count, bits)
    return (stream @ (1 << np.arange(bits, dtype=np.uint8))).astype(np.uint8).tobytes()


def _checked(type: TensorType, data: Data, nbytes: int) -> Constant:
    """A constant of bytes as the file has them, where they are as many as the type asks for."""
    bits = DTYPE_BITS.get(type.dtype)
    wanted = type.nbytes
    if wanted is not None and wanted != nbytes:
        held = f"the file holds {nbytes:,} bytes where its type asks for {wanted:,}"
        return Constant(type, None, reason=held if nbytes else "its data were left out of the file")
    if bits is None or bits >= 8 or type.elements is None:
        return Constant(type, data, nbytes=nbytes)
    spread = _Unpacked(data, bits, type.elements)
    return Constant(type, spread() if isinstance(data, bytes) else spread, nbytes=type.elements)


def _checked_numbers(type: TensorType, load: Callable[[], bytes], count: int) -> Constant:
    return _inline(type, load) if count <= INLINE_BYTES else Constant(type, load)


def _inline(type: TensorType, load: Callable[[], bytes]) -> Constant:
    try:
        data = load()
    except ValueUnavailable as error:
        return Constant(type, None, reason=error.found)
    wanted = prod(d for d in type.dims or () if isinstance(d, int)) * max(1, DTYPE_BITS.get(type.dtype, 8) // 8)
    if len(data) != wanted:
        return Constant(type, None, reason=f"the file holds {len(data):,} bytes where its type asks for {wanted:,}")
    return Constant(type, data)


def _elements(type: TensorType, numbers: Sequence[Any]) -> bytes:
    """The dense bytes of elements that stand in a field of numbers."""
    bits = DTYPE_BITS.get(type.dtype, 32)
    if type.dtype in ("float32", "complex64"):
        return np.array(numbers, "<f4").tobytes()
    if type.dtype in ("float64", "complex128"):
        return np.array(numbers, "<f8").tobytes()
    if type.dtype in ("uint64", "uint32"):
        return np.array(numbers, np.uint64).astype(f"<u{bits // 8}").tobytes()
    wide = np.array(numbers, np.int64)
    if bits >= 8:  # half and quarter floats too: their bits stand as a number
        return wide.astype(f"<u{bits // 8}").tobytes()
    if bits == 6:
        return (wide & 0x3F).astype(np.uint8).tobytes()
    count = type.elements or 0
    packed = wide.astype(np.uint8).tobytes()
    return unpack(packed, bits, count) if count * bits <= len(packed) * 8 else b""


def _has_unknown(message: Any) -> bool:
    from google.protobuf.unknown_fields import UnknownFieldSet

    return any(True for _ in UnknownFieldSet(message))


def _reparsed(plain: Schema, data: bytes) -> Any | None:
    """A tensor with its numbers as numbers; ``None`` where the bytes are no tensor's."""
    tensor = plain.new("TensorProto")
    try:
        tensor.ParseFromString(data)
    except DecodeError:
        return None
    return tensor
