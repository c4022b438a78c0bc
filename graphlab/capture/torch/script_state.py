"""A TorchScript archive's values: tensors as lazy constants, attributes as text, source ranges as frames."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol

from graphlab.capture.torch.restricted_pickle import Call, Global, Persistent, TensorRecord
from graphlab.capture.torch.source_text import is_user_file
from graphlab.errors import FormatError, ValueUnavailable
from graphlab.ir.constants import Constant
from graphlab.ir.frames import Frame
from graphlab.ir.values import DTYPE_BITS, OpaqueType, Quantization, TensorType, ValueType

# torch's storage classes by the IR's element types
_STORAGES = {
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8", "ByteStorage": "uint8",
    "BoolStorage": "bool", "ComplexFloatStorage": "complex64", "ComplexDoubleStorage": "complex128", "QInt8Storage": "qint8",
    "QUInt8Storage": "quint8", "QInt32Storage": "qint32", "QUInt4x2Storage": "quint4x2", "QUInt2x4Storage": "quint2x4",
    "UntypedStorage": "uint8",
}  # fmt: skip
_SHORT = {"long": "int64", "int": "int32", "short": "int16", "half": "float16", "float": "float32", "double": "float64"}
_WIDTHS = {"qint8": 1, "quint8": 1, "qint32": 4}
_MAX_GATHERED = 1 << 32


class Storages(Protocol):
    """Where tensors' elements lie."""

    @property
    def name(self) -> str:
        """What messages call the archive."""

    def size(self, key: str) -> int | None:
        """Bytes of a storage; ``None`` where the archive does not hold it."""

    def loader(self, key: str, offset: int, length: int) -> Callable[[], bytes] | bytes:
        """Some of a storage's bytes, when asked for."""

    @property
    def big_endian(self) -> bool:
        """Whether numbers are stored with their highest byte first."""


def dtype_of(held: TensorRecord) -> str:
    """The element type's name; ``""`` where the pickle names none that torch has."""
    if held.dtype:
        return _SHORT.get(held.dtype, held.dtype)
    match held.storage:
        case Persistent(id=("storage", Global() as cls, *_)):
            return _STORAGES.get(cls.name, "")
    return ""


def storage_key(held: TensorRecord) -> str:
    match held.storage:
        case Persistent(id=("storage", _, str(key), *_)):
            return key
    return ""


def tensor(held: TensorRecord, storages: Storages, *, where: str) -> Constant:
    """A tensor whose bytes are read when they are asked for.

    Raises:
        FormatError: its elements do not lie in its storage.
    """
    dtype = dtype_of(held)
    if held.layout:
        return Constant(
            TensorType(dtype or "float32", held.sizes, layout=held.layout), None, reason=f"its layout is {held.layout}, not dense"
        )
    if not dtype or len(held.sizes) != len(held.strides):
        raise FormatError(
            f"read a tensor of {storages.name}", found="it has no element type or strides that fit its sizes", do=_DO, where=where
        )
    type = TensorType(dtype, held.sizes, quantization=_quantization(held))
    width = _WIDTHS.get(dtype) or DTYPE_BITS.get(dtype, 0) // 8
    key = storage_key(held)
    size = storages.size(key)
    if size is None:
        return Constant(type, None, reason=f"the archive does not hold its storage '{key}'")
    if not width:
        return Constant(type, None, reason=f"elements of the type {dtype} are packed")
    count = prod(held.sizes)
    last = held.offset + sum((n - 1) * step for n, step in zip(held.sizes, held.strides, strict=True)) if count else held.offset - 1
    ends = (last + 1) * width
    if ends > size:
        raise FormatError(
            f"read a tensor of {storages.name}",
            found=f"its elements end at byte {ends:,} of storage '{key}', which has {size:,}",
            do=_DO,
            where=where,
        )
    if _is_dense(held) and not storages.big_endian:
        return Constant(type, storages.loader(key, held.offset * width, count * width), nbytes=count * width)
    whole = storages.loader(key, held.offset * width, (last + 1 - held.offset) * width)
    return Constant(type, _Gather(whole, held.sizes, held.strides, width, storages.big_endian), nbytes=count * width)


_DO = "the archive is damaged: fetch or write it again"


def _is_dense(held: TensorRecord) -> bool:
    expected = 1
    for size, stride in zip(reversed(held.sizes), reversed(held.strides), strict=True):
        if size != 1 and stride != expected:
            return prod(held.sizes) == 0
        expected *= size
    return True


@dataclass(frozen=True, slots=True)
class _Gather:
    """The loader of a tensor whose elements lie scattered (a transposed or expanded one), or with their bytes turned round."""

    whole: Callable[[], bytes] | bytes
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    width: int
    big_endian: bool

    def __call__(self) -> bytes:
        import numpy as np

        if prod(self.sizes) * self.width > _MAX_GATHERED:
            raise ValueUnavailable(
                "fetch a tensor's bytes", found=f"it unfolds to more than {_MAX_GATHERED:,} bytes", do="use a part of it"
            )
        data = self.whole() if callable(self.whole) else self.whole
        raw = np.frombuffer(data, np.dtype((np.void, self.width)))
        strides = tuple(step * self.width for step in self.strides)
        found = np.lib.stride_tricks.as_strided(raw, self.sizes, strides, writeable=False)
        dense = np.ascontiguousarray(found).tobytes()
        if not self.big_endian:
            return dense
        return np.frombuffer(dense, np.uint8).reshape(-1, self.width)[:, ::-1].tobytes()


def _quantization(held: TensorRecord) -> Quantization | None:
    match held.quantizer:
        case (Global(), float(scale), int(zero)):
            return Quantization((scale,), (zero,), expressed="float32")
    return None


def plain(held: Any) -> Any:
    """A value out of what torch's pickles wrap it in: typed lists and dicts, ``build_intlist`` and its like."""
    while isinstance(held, Call) and held.callee.__class__ is Global and held.callee.module in ("torch.jit._pickle", "torch._utils"):
        if not held.args:
            return held
        held = held.args[0]
    if isinstance(held, Call) and held.name == "collections.OrderedDict":
        return dict(held.pairs) if all(isinstance(key, (str, int)) for key, _ in held.pairs) else held
    return held


_BUDGET = 4096


def attribute(held: Any, type: ValueType, storages: Storages, *, where: str) -> dict[str, Any]:
    """``outputs`` and ``value`` of a node that stands for a value of the archive."""
    held = plain(held)
    if isinstance(held, TensorRecord):
        value = tensor(held, storages, where=where)
        return {"outputs": (value.type,), "value": value}
    text = text_of(held)
    if text is None:
        return {"outputs": (type,), "value": Constant(type, None, reason=f"a {type} is no tensor, number or text")}
    opaque = type if isinstance(type, OpaqueType) else OpaqueType(str(type))
    return {"outputs": (type,), "value": Constant(opaque, text.encode("utf-8", "replace"))}


def text_of(held: Any) -> str | None:
    """A number's, text's or device's text, or that of a container of them; ``None`` for anything else, and for huge ones."""
    if isinstance(held, str):
        return held
    if isinstance(held, Call) and held.name == "torch.device" and all(isinstance(a, (str, int)) for a in held.args):
        return ":".join(map(str, held.args))
    left = [_BUDGET]
    unwrapped = _unwrapped(held, left, 0)
    return repr(unwrapped) if left[0] >= 0 else None


def _unwrapped(held: Any, left: list[int], depth: int) -> Any:
    """The value in plain containers; ``left`` goes below zero where it is not plain or too much."""
    held = plain(held)
    left[0] -= 1
    if left[0] < 0 or depth > 20:
        left[0] = -1
        return None
    if held is None or isinstance(held, (bool, int, float, complex)):
        return held
    if isinstance(held, str):
        left[0] -= len(held) // 64
        return held
    if isinstance(held, (list, tuple)):
        found = [_unwrapped(each, left, depth + 1) for each in held[: _BUDGET + 1]]
        return found if isinstance(held, list) else tuple(found)
    if isinstance(held, dict):
        return {_unwrapped(k, left, depth + 1): _unwrapped(v, left, depth + 1) for k, v in list(held.items())[: _BUDGET + 1]
                if isinstance(k, (str, int, float, bool))}  # fmt: skip
    left[0] = -1
    return None


def counted(held: Any) -> int:
    """How many tensors a pickled value holds, at any depth."""
    seen: set[int] = set()
    pending, found = [held], 0
    while pending:
        each = pending.pop()
        if isinstance(each, TensorRecord):
            found += 1
        elif isinstance(each, (list, tuple, dict, Call)) and id(each) not in seen:
            seen.add(id(each))
            pending += _parts(each)
    return found


def _parts(held: Any) -> Iterator[Any]:
    if isinstance(held, dict):
        yield from held.keys()
        yield from held.values()
    elif isinstance(held, Call):
        yield from held.args
        yield held.state
        yield from held.items
        for pair in held.pairs:
            yield from pair
    else:
        yield from held


# -- source ranges

_MAX_SOURCE = 4 << 20
_TRACED = re.compile(r"^(?P<file>[^\n]+)\((?P<line>\d{1,9})\): (?P<function>[^\n]+)$", re.MULTILINE)
_TRACER = re.compile(r"torch[/\\]jit[/\\]_trace\.py$")
_OWN = re.compile(r"[/\\]graphlab[/\\]capture[/\\]")


@dataclass(frozen=True, slots=True)
class SourceRange:
    """Where the user wrote it: the source's text (of a trace: its Python stack), file, first line, and offset in the text."""

    text: str
    file: str
    line: int
    start: int

    def frames(self, function: str) -> list[Frame]:
        """User frames, innermost first. ``function`` is whose body it is where the range does not say."""
        if self.file and not _TRACED.match(self.text):
            if not is_user_file(self.file):
                return []
            return [Frame(self.file, self.line + self.text.count("\n", 0, self.start), 0, function)]
        found: list[Frame] = []
        for m in _TRACED.finditer(self.text):
            file = m["file"]
            if _TRACER.search(file) or (found and _OWN.search(file)):  # from here outward it is who called the tracer
                break
            if is_user_file(file) and not _OWN.search(file):
                found.append(Frame(file, int(m["line"]), 0, m["function"]))
        return found


@dataclass(frozen=True, slots=True)
class Ranges:
    """A code file's ranges: ``found[i]`` holds from byte ``offsets[i]`` to the next."""

    offsets: list[int]
    found: list[SourceRange | None]


NO_RANGES = Ranges([], [])


def source_ranges(held: Any) -> Ranges:
    """A ``.debug_pkl``: for rising byte offsets in the code, the range it was made from. What is malformed is left out.

    Source: ``source_range_serialization.cpp``; newer ones keep the lines in a table of texts.
    """
    table: tuple[Any, ...] | None = None
    match held:
        case ("FORMAT_WITH_STRING_TABLE", tuple() | list() as texts, tuple() | list() as records):
            table, held = tuple(texts), records
    found: list[tuple[int, SourceRange | None]] = []
    known: dict[int, tuple[str, str, int] | None] = {}
    for record in held if isinstance(held, (tuple, list)) else ():
        match record:
            case (int(at), (tuple() as source, int(start), int())) | (int(at), (tuple() as source, int(start), int()), int()):
                pass
            case (int(at), int(), (tuple() as source, int(start), int())):
                pass
            case _:
                continue
        if id(source) not in known:
            known[id(source)] = _source(source, table)
        made = known[id(source)]
        found.append((at, None if made is None else SourceRange(*made, start)))
    found.sort(key=lambda pair: pair[0])
    return Ranges([at for at, _ in found], [made for _, made in found])


def _source(held: tuple[Any, ...], table: tuple[Any, ...] | None) -> tuple[str, str, int] | None:
    if len(held) < 3:
        return None
    text, file, line = plain(held[0]), held[1], held[2]
    if table is not None:
        indices = text if isinstance(text, list) else []
        if not all(type(i) is int and 0 <= i < len(table) and isinstance(table[i], str) for i in indices):
            return None
        if sum(len(table[i]) for i in indices) > _MAX_SOURCE:
            return None
        text = "".join(table[i] for i in indices)
        file = table[file] if type(file) is int and 0 <= file < len(table) else None
    if not isinstance(text, str) or type(line) is not int or not 0 <= line < 1 << 31 or not (file is None or isinstance(file, str)):
        return None
    return (text, file or "", line) if text else None


def range_at(ranges: Ranges, offset: int) -> SourceRange | None:
    """The range that the code at a byte offset was made from."""
    i = bisect_right(ranges.offsets, offset)
    return ranges.found[i - 1] if i else None
