"""TensorFlow's tensor bundle: the values of variables, found by name and left in their files.

An index (``variables.index``) names every tensor with type, shape and place; shards
(``variables.data-00000-of-00001``) hold the bytes. The index is a LevelDB table. Formats:
tensorflow/core/util/tensor_bundle, tensorflow/core/protobuf/tensor_bundle.proto,
https://github.com/google/leveldb/blob/main/doc/table_format.md, and for the keys of slices
tensorflow/core/util/saved_tensor_slice_util.cc.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

from graphlab.capture.file import File, Slice
from graphlab.capture.tensorflow import snappy
from graphlab.capture.tensorflow.schema import SCHEMA
from graphlab.capture.tensorflow.values import NUMPY_ITEM, shape_dims, value_type
from graphlab.errors import FormatError, ValueUnavailable
from graphlab.ir.constants import Constant
from graphlab.ir.values import TensorType, ValueType

_MAGIC = 0xDB4775248B80FB57
_FOOTER = 48
_TRAILER = 5  # a block's type and checksum
_PLAIN, _SNAPPY = 0, 1
_MOST_INDEX = 256 << 20
_MOST_SHARDS = 1 << 16

Shard = Callable[[str], File | None]


@dataclass(frozen=True, slots=True)
class Bundle:
    """Tensors by key. Nothing of them is read before it is asked for.

    Attributes:
        entries: key → BundleEntryProto.
        shards: the data files, by number; ``None`` for one that is not there.
        little: whether the bytes are little-endian.
    """

    entries: Mapping[str, Any]
    shards: tuple[File | None, ...]
    little: bool
    _slices: Mapping[bytes, Any] = field(default_factory=dict, repr=False)
    _prefix: str = ""

    def type(self, key: str) -> ValueType:
        entry = self.entries[key]
        return value_type(entry.dtype, shape_dims(entry.shape))

    def lost(self, key: str) -> str | None:
        """The data file that holds a part of the tensor and is not there."""
        entry = self.entries[key]
        for part in [held for _, held in self._parts(key)] if entry.slices else [entry]:
            if 0 <= part.shard_id < len(self.shards) and self.shards[part.shard_id] is None:
                return f"{self._prefix}.{_shard_name(part.shard_id, len(self.shards))}"
        return None

    def constant(self, key: str, spec: str = "") -> Constant:
        """The tensor of a key, behind a loader.

        Args:
            spec: ``full shape start,length:…``, where a variable is a slice of the tensor (a partitioned one).

        Raises:
            FormatError: its place lies outside its shard, or its size is not that of its type and shape.
        """
        entry, kind = self.entries[key], self.type(key)
        parts = list(self._parts(key))
        if spec:
            wanted = _extent(spec)
            parts = [part for part in parts if part[0] == wanted]
            if len(parts) != 1:
                return Constant(kind, None, reason=f"the checkpoint does not hold the slice '{spec}' of '{key}'")
            entry = parts[0][1]
            return self._whole(key, entry, value_type(entry.dtype, shape_dims(entry.shape)))
        return self._joined(key, kind, parts) if entry.slices else self._whole(key, entry, kind)

    def _whole(self, key: str, entry: Any, kind: ValueType) -> Constant:
        shard = self.shards[entry.shard_id] if 0 <= entry.shard_id < len(self.shards) else None
        if shard is None:
            return Constant(kind, None, reason=f"the file of shard {entry.shard_id} of the checkpoint is not there")
        if not isinstance(kind, TensorType) or kind.elements is None:
            return Constant(kind, None, reason="the checkpoint holds no dense tensor for it")
        data = shard.slice(entry.offset, entry.size)
        if kind.dtype == "string":
            return Constant(kind, lambda: _strings(_bytes(data), kind), nbytes=None)
        item = NUMPY_ITEM.get(kind.dtype)
        if item is None or kind.elements * item != entry.size:
            raise FormatError(
                f"read the checkpoint's entry '{key}' in {shard.name}",
                found=f"it has {entry.size:,} bytes for the type {kind}",
                do="the checkpoint is damaged: write the model again",
            )
        if self.little or item == 1:
            return Constant(kind, data, nbytes=entry.size)
        return Constant(kind, lambda: _swapped(_bytes(data), kind.dtype), nbytes=entry.size)

    def _parts(self, key: str) -> Iterator[tuple[tuple[tuple[int, int], ...], Any]]:
        """The slices of a tensor that is kept in several: (start, length) in each dim, and the entry."""
        entry = self.entries[key]
        prefix = b"\x00" + key.encode().replace(b"\x00", b"\x00\xff").replace(b"\xff", b"\xff\x00") + b"\x00\x01"
        held = [value for name, value in sorted(self._slices.items()) if name.startswith(prefix)]
        dims = [dim.size for dim in entry.shape.dim]
        extents = sorted(
            tuple((e.start, e.length if e.WhichOneof("has_length") else dim) for e, dim in zip(s.extent, dims, strict=False))
            for s in entry.slices
        )
        if len(extents) == len(held):  # keys are in the order of what they encode
            yield from zip(extents, held, strict=True)

    def _joined(self, key: str, kind: ValueType, parts: list[tuple[tuple[tuple[int, int], ...], Any]]) -> Constant:
        """A tensor whose slices lie side by side, put together when asked for."""
        if not parts or not isinstance(kind, TensorType) or kind.elements is None or NUMPY_ITEM.get(kind.dtype) is None:
            return Constant(kind, None, reason="the checkpoint keeps it in slices that cannot be told apart")
        loaders = [(extent, self._whole(key, entry, value_type(entry.dtype, shape_dims(entry.shape)))) for extent, entry in parts]
        if sum(prod(length for _, length in extent) for extent, _ in parts) != kind.elements:
            return Constant(kind, None, reason="the slices in the checkpoint do not make up all of it")

        def load() -> bytes:
            import numpy as np

            whole = np.empty([d for d in kind.dims or () if isinstance(d, int)], loaders[0][1].array().dtype)
            for extent, part in loaders:
                whole[tuple(slice(start, start + length) for start, length in extent)] = part.array()
            return whole.tobytes()

        return Constant(kind, load)


def read_bundle(index: File, shard: Shard) -> Bundle:
    """The bundle of an index file.

    Args:
        shard: opens a data file by the end of its name (``data-00000-of-00001``); ``None`` where it is not there.

    Raises:
        FormatError: the index is no table of a bundle, is damaged or compressed.
    """
    entries: dict[str, Any] = {}
    slices: dict[bytes, Any] = {}
    header: Any = None
    for key, value in _table(index):
        if not key:
            header = SCHEMA.parse_bytes("BundleHeaderProto", value, index)
            continue
        entry = SCHEMA.parse_bytes("BundleEntryProto", value, index)
        if key[0] == 0:
            slices[key] = entry
            continue
        try:
            entries[key.decode()] = entry
        except UnicodeDecodeError as error:
            raise _damaged(index, "a key in it is not UTF-8") from error
    if header is None or not 0 < header.num_shards <= _MOST_SHARDS:
        raise _damaged(index, "it has no header, or one without a sound number of shards")
    count = header.num_shards
    shards = tuple(shard(_shard_name(number, count)) for number in range(count))
    return Bundle(entries, shards, header.endianness == 0, slices, index.path.name.removesuffix(".index"))


def _shard_name(number: int, count: int) -> str:
    return f"data-{number:05d}-of-{count:05d}"


def _damaged(index: File, found: str, at: int = 0) -> FormatError:
    return FormatError(f"read {index.name}", found=found, do="the checkpoint is damaged: write it again", where=f"offset {at}")


# ---- the table


def _table(index: File) -> Iterator[tuple[bytes, bytes]]:
    data = index.read(_MOST_INDEX)
    if len(data) < _FOOTER or int.from_bytes(data[-8:], "little") != _MAGIC:
        raise _damaged(index, "it does not end as a LevelDB table does", len(data))
    at = len(data) - _FOOTER
    handle = _handle(data, at, len(data) - 8)  # the metaindex, which a bundle leaves empty
    handle = _handle(data, handle[2], len(data) - 8) if handle else None
    if handle is None:
        raise _damaged(index, "its footer does not say where the index is", at)
    seen = 0
    for _, where in _block(index, data, handle[0], handle[1]):
        block = _handle(where, 0, len(where))
        if block is None:
            raise _damaged(index, "its index names a block by no place", handle[0])
        seen += block[1]
        if seen > len(data):
            raise _damaged(index, "its index names blocks that overlap", handle[0])
        yield from _block(index, data, block[0], block[1])


def _block(index: File, data: bytes, start: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    end = start + size
    if size < 4 or end + _TRAILER > len(data):
        raise _damaged(index, f"a block of {size:,} bytes does not lie in it", start)
    if _masked(_crc32c(data[start : end + 1])) != int.from_bytes(data[end + 1 : end + _TRAILER], "little"):
        raise _damaged(index, "the checksum of a block is not that of its bytes", start)
    kind, block = data[end], data[start:end]
    plain = block if kind == _PLAIN else snappy.decompress(block) if kind == _SNAPPY else None
    if plain is None or len(plain) < 4:
        raise _damaged(index, f"a block cannot be decompressed (type {kind})", start)
    data = plain
    restarts = int.from_bytes(data[-4:], "little")
    stop = len(data) - 4 - 4 * restarts
    if stop < 0:
        raise _damaged(index, "a block has more restarts than bytes", start)
    at, key = 0, b""
    while at < stop:
        shared, at = _varint(data, at, stop)
        fresh, at = _varint(data, at, stop)
        length, at = _varint(data, at, stop)
        if at < 0 or shared > len(key) or at + fresh + length > stop:
            raise _damaged(index, "an entry does not lie in its block", start)
        key = key[:shared] + data[at : at + fresh]
        at += fresh
        yield key, data[at : at + length]
        at += length


def _handle(data: bytes, at: int, end: int) -> tuple[int, int, int] | None:
    """Offset and size of a block, and where they end."""
    offset, at = _varint(data, at, end)
    size, at = _varint(data, at, end)
    return None if at < 0 else (offset, size, at)


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """A number and where it ends; that is -1 where there is none."""
    value = shift = 0
    while 0 <= at < end and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    return 0, -1


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)  # noqa: PLW2901
        table.append(byte)
    return tuple(table)


_CRC = _crc_table()


def _crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli), RFC 3720 appendix B.4."""
    crc, table = 0xFFFFFFFF, _CRC
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _masked(crc: int) -> int:
    """As LevelDB stores a checksum: rotated right by 15 bits, plus a constant."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


# ---- values


def _bytes(data: Slice | bytes) -> bytes:
    return data if isinstance(data, bytes) else data()


def _swapped(data: bytes, dtype: str) -> bytes:
    import ml_dtypes
    import numpy as np

    kind = np.dtype(getattr(ml_dtypes, dtype, None) or dtype)
    part = kind.itemsize // (2 if dtype.startswith("complex") else 1)
    return np.frombuffer(data, np.dtype(f"u{part}") if part <= 8 else kind).byteswap().tobytes()


def _strings(data: bytes, kind: TensorType) -> bytes:
    """A string tensor: the lengths as varints, their checksum in four bytes, the strings."""
    lengths, at = [], 0
    for _ in range(min(kind.elements or 0, len(data))):
        length, at = _varint(data, at, len(data))
        lengths.append(length)
    if len(lengths) != kind.elements or at < 0 or at + 4 + sum(lengths) != len(data):
        raise ValueUnavailable(f"read a value of type {kind}", found="its lengths do not fit its bytes", do="the checkpoint is damaged")
    at += 4
    texts = []
    for length in lengths:
        texts.append(repr(data[at : at + length].decode("utf-8", "backslashreplace")))
        at += length
    text = texts[0] if kind.dims == () and texts else f"[{', '.join(texts)}]"
    return text.encode()


def _extent(spec: str) -> tuple[tuple[int, int], ...] | None:
    """``4 3 0,2:0,3`` → ((0, 2), (0, 3)). A dim of ``-`` is whole."""
    *shape, slices = spec.split(" ")
    found = []
    for size, part in zip(shape, slices.split(":"), strict=False):
        start, _, length = ("0", ",", size) if part == "-" else part.partition(",")
        if not (start.isdecimal() and length.isdecimal()) or max(len(start), len(length)) > 18:
            return None
        found.append((int(start), int(length)))
    return tuple(found)


__all__ = ["Bundle", "read_bundle"]
