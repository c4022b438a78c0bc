"""Reads PyTorch's mobile modules in flatbuffers (``PTMF``: ``.ptl``, ``.ff``) by the TorchScript code that they carry.

The format: ``torch/csrc/jit/serialization/mobile_bytecode.fbs``, bytecode version 9. Beside the bytecode of the mobile
interpreter a file has its TorchScript sources and the module's state; a file without sources is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct, unpack_from
from typing import Any, NoReturn

from graphlab.capture.collection import no_collection
from graphlab.capture.file import File
from graphlab.capture.torch import script_state
from graphlab.capture.torch.restricted_pickle import Call, Global, Persistent, TensorRecord
from graphlab.capture.torch.script_archive import program
from graphlab.capture.torch.script_program import Reader
from graphlab.capture.torch.script_source import CodeFile, Library
from graphlab.errors import FormatError
from graphlab.ir.program import Program

READS = "PyTorch mobile modules (.ptl, .ff)"

_MAGIC = b"PTMF"
_DO = "the file is damaged: fetch or write it again"
_DEPTH = 200
_MAX_VALUES = 2_000_000
_I32, _U32, _U16, _I64, _F64 = Struct("<i"), Struct("<I"), Struct("<H"), Struct("<q"), Struct("<d")
# c10::ScalarType by number
_SCALARS = ("uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "complex32", "complex64", "complex128",
            "bool", "qint8", "quint8", "qint32", "bfloat16")  # fmt: skip


def matches(target: object) -> bool:
    """Whether it is a flatbuffer with the mobile module's mark."""
    return isinstance(target, File) and target.head[4:8] == _MAGIC


def read(file: File, *, select: str | None = None) -> Program:
    """The module: its ``forward``, other methods it offers, and all they call.

    Args:
        select: one of its methods, where another than ``forward`` is to be the entry.
    """
    with no_collection():
        return _Module(file).read(select)


class _Module:
    """One file. Tables are known by their offset; fields by the order they have in the schema."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.data = file.view()
        self.size = len(self.data)
        self.known: dict[int, Any] = {}

    def refuse(self, found: str, at: int) -> NoReturn:
        raise FormatError(f"read {self.file.name}", found=found, do=_DO, where=f"offset {at}")

    # -- flatbuffers

    def number(self, packed: Struct, at: int) -> Any:
        if not 0 <= at <= self.size - packed.size:
            self.refuse("an offset leads outside the file", at)
        return packed.unpack_from(self.data, at)[0]

    def field(self, table: int, index: int) -> int:
        """Where a field stands; 0 where it is not stored."""
        vtable = table - self.number(_I32, table)
        slot = vtable + 4 + 2 * index
        if slot + 2 > vtable + self.number(_U16, vtable):
            return 0
        distance = self.number(_U16, slot)
        return table + distance if distance else 0

    def uint(self, table: int, index: int) -> int:
        at = self.field(table, index)
        found: int = self.number(_U32, at) if at else 0
        return found

    def byte(self, table: int, index: int) -> int:
        at = self.field(table, index)
        if at >= self.size:
            self.refuse("an offset leads outside the file", at)
        return self.data[at] if at else 0

    def follow(self, at: int) -> int:
        """The table, vector or text that an offset at this place leads to."""
        target: int = at + self.number(_U32, at)
        return target

    def vector(self, table: int, index: int, width: int) -> tuple[int, int]:
        """First element and length; nothing where the field is not stored."""
        at = self.field(table, index)
        if not at:
            return 0, 0
        start = self.follow(at)
        length = self.number(_U32, start)
        if length * width > self.size - start - 4:
            self.refuse(f"a vector of {length:,} elements reaches beyond the end", start)
        return start + 4, length

    def numbers(self, table: int, index: int, code: str, width: int) -> tuple[Any, ...]:
        start, length = self.vector(table, index, width)
        return unpack_from(f"<{length}{code}", self.data, start) if length else ()

    def text(self, table: int, index: int) -> str:
        start, length = self.vector(table, index, 1)
        return str(self.data[start : start + length], "utf-8", "backslashreplace")

    def tables(self, table: int, index: int) -> list[int]:
        start, length = self.vector(table, index, 4)
        return [self.follow(at) for at in range(start, start + 4 * length, 4)]

    # -- the module

    def read(self, select: str | None) -> Program:
        root = self.follow(0)
        self.values = self.tables(root, 4)
        if len(self.values) > _MAX_VALUES:
            self.refuse(f"it holds {len(self.values):,} values", root)
        self.storages = self.tables(root, 6)
        self.types = self.tables(root, 7)
        version = self.uint(root, 0)
        sources = {self.text(each, 0): each for each in self.tables(root, 8)}
        if not sources:
            raise FormatError(
                f"read {self.file.name}",
                found=f"a mobile module (bytecode version {version}) whose TorchScript sources were left out: only bytecode is there",
                do="read the module it was made from, saved by torch.jit.save",
                where=f"offset {root}",
            )
        constants = tuple(self.value(index, 0) for index in self.numbers(root, 9, "I", 4))
        reader = Reader(
            Library(lambda name: self._code(sources, name), self.uint(root, 10) or 1 << 31),
            constants,
            self._tensors(),
            self._tensors(),
            self.file.name,
        )
        held = self.value(self.uint(root, 3), 0)
        module = reader.module("", held)
        if module is None:
            what = held.name if isinstance(held, Call) else f"a {type(held).__name__}"
            self.refuse(f"its sources define no module '{what}', which it holds", root)
        return program(self.file, reader, module, str(version), select, format="torchscript mobile")

    def _code(self, sources: dict[str, int], qualifier: str) -> CodeFile | None:
        table = sources.get(qualifier)
        if table is None:
            return None
        start, length = self.vector(table, 1, 1)
        data = bytes(self.data[start : start + length])
        return CodeFile(self.file.name, qualifier, f"{qualifier.replace('.', '/')}.py", data, lambda: script_state.NO_RANGES)

    def _tensors(self) -> _Storages:
        return _Storages(self)

    def value(self, index: int, depth: int) -> Any:
        """One of the file's values, as the records that pickles are read into."""
        if index in self.known:
            return self.known[index]
        if not 0 <= index < len(self.values):
            self.refuse(f"value {index:,} of {len(self.values):,} is asked for", 0)
        table = self.values[index]
        if depth > _DEPTH:
            self.refuse(f"its values nest more than {_DEPTH} deep", table)
        kind, at = self.byte(table, 0), self.field(table, 1)
        made = None if not kind or not at else self._made(kind, self.follow(at), depth + 1)
        self.known[index] = made
        return made

    def _made(self, kind: int, at: int, depth: int) -> Any:
        """A value of a kind of the schema's ``IValueUnion``; structs stand where the offset leads, the others are tables."""
        match kind:
            case 1:
                return self.number(_I64, at)
            case 2:
                return self.number(Struct("<?"), at)
            case 3:
                return self.number(_F64, at)
            case 4:
                return complex(self.number(_F64, at), self.number(_F64, at + 8))
            case 5:
                return self._tensor(at)
            case 6:
                return self.text(at, 0)
            case 7:
                return self._all(at, depth)
            case 8:
                return tuple(self._all(at, depth))
            case 9:
                keys = [self.value(i, depth) for i in self.numbers(at, 0, "I", 4)]
                values = [self.value(i, depth) for i in self.numbers(at, 1, "I", 4)]
                return {k: v for k, v in zip(keys, values, strict=False) if isinstance(k, (str, int, float))}
            case 10:
                return self._object(at, depth)
            case 11:
                return list(self.numbers(at, 0, "q", 8))
            case 12:
                return list(self.numbers(at, 0, "d", 8))
            case 13:
                return list(self.numbers(at, 0, "?", 1))
            case 14:
                return Call(Global("torch", "device"), (self.text(at, 0),))
            case 15:
                name = self.text(at, 0)
                return Call(Global(name.rpartition(".")[0], name.rpartition(".")[2]), (self.value(self.uint(at, 1), depth),))
        return None  # a function of the bytecode

    def _all(self, at: int, depth: int) -> list[Any]:
        return [self.value(i, depth) for i in self.numbers(at, 0, "I", 4)]

    def _object(self, at: int, depth: int) -> Call:
        index = self.uint(at, 0)
        if index >= len(self.types):
            self.refuse(f"an object is of type {index:,} of {len(self.types):,}", at)
        table = self.types[index]
        name = self.text(table, 0)
        made = Call(Global(name.rpartition(".")[0], name.rpartition(".")[2]), ())
        start, length = self.vector(table, 2, 4)
        names = [self._text_at(each) for each in range(start, start + 4 * length, 4)]
        if names:
            values = [self.value(i, depth) for i in self.numbers(at, 2, "I", 4)]
            made.state = dict(zip(names, values, strict=False))
        else:
            made.state = self.value(self.uint(at, 1), depth)
        return made

    def _text_at(self, at: int) -> str:
        start = self.follow(at)
        length = self.number(_U32, start)
        if length > self.size - start - 4:
            self.refuse(f"a text of {length:,} bytes reaches beyond the end", start)
        return str(self.data[start + 4 : start + 4 + length], "utf-8", "backslashreplace")

    def _tensor(self, at: int) -> TensorRecord:
        scalar = self.byte(at, 1)
        sizes, strides = self.numbers(at, 3, "i", 4), self.numbers(at, 4, "i", 4)
        offset = self.field(at, 2)
        start = self.number(_I32, offset) if offset else 0
        if scalar >= len(_SCALARS) or min((*sizes, *strides, start, 0)) < 0:
            self.refuse("a tensor has sizes below zero, or elements of an unknown type", at)
        storage = Persistent(("storage", Global("torch", "UntypedStorage"), str(self.uint(at, 0)), "cpu", 0))
        return TensorRecord(storage, start, sizes, strides, bool(self.byte(at, 5)), dtype=_SCALARS[scalar])


class _Storages:
    """The tensors' bytes, which lie in the file itself."""

    big_endian = False

    def __init__(self, module: _Module) -> None:
        self.module = module
        self.name = module.file.name

    def size(self, key: str) -> int | None:
        index = int(key)
        return self.module.vector(self.module.storages[index], 0, 1)[1] if index < len(self.module.storages) else None

    def loader(self, key: str, offset: int, length: int) -> Callable[[], bytes] | bytes:
        start, _ = self.module.vector(self.module.storages[int(key)], 0, 1)
        return self.module.file.slice(start + offset, length)
