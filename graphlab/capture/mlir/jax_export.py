"""Reader of ``jax.export`` blobs: what ``Exported.serialize()`` writes.

A flatbuffer around a portable artifact; versions 1 to 11 of the schema
(https://github.com/jax-ml/jax/blob/main/jax/_src/export/serialization.fbs). No JAX is needed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from graphlab.capture.collection import no_collection
from graphlab.capture.file import File
from graphlab.capture.mlir.build import build
from graphlab.capture.mlir.bytecode import MAGIC
from graphlab.capture.mlir.mlir_bytecode import module_of
from graphlab.capture.mlir.native import MlirNative
from graphlab.capture.select import chosen
from graphlab.capture.tflite.flatbuffer import Buffer
from graphlab.errors import FormatError
from graphlab.ir.constants import digest
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.program import DimRange, Program, Signature, Slot, Source
from graphlab.ir.values import TensorType, parse_dim

READS = "jax.export blobs (Exported.serialize())"

_DIGEST_BYTES = 64 << 20
_MAX_ORDER = 16  # gradients of gradients
_MAX_DEPTH = 60  # containers within containers
_FIRST_COLUMN = 0  # of a line, as JAX's locations count

# Fields of the table Exported, by their number.
_VERSION, _NAME, _IN_TREE, _IN_AVALS, _OUT_TREE, _OUT_AVALS, _DEVICES_SHORT = range(7)
_PLATFORMS, _ORDERED, _UNORDERED, _DISABLED, _MODULE, _CONVENTION, _KEPT, _GLOBAL, _VJP, _DEVICES, _AVALS = range(9, 20)
_IN_AVAL_AT, _OUT_AVAL_AT = 22, 23
_DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64", "complex64",
    "complex128", "bfloat16", "int4", "uint4", "float8_e4m3b11fnuz", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2",
    "float8_e5m2fnuz", "float0", "float8_e4m3", "float8_e3m4", "float8_e8m0fnu", "float4_e2m1fn", "key<fry>", "key<rbg>",
    "key<unsafe_rbg>",
)  # fmt: skip
_LEAF, _NONE, _TUPLE, _LIST, _DICT = range(5)
_CHECKS = ("platform", "custom_call", "shape_assertions")
_DIM_NAME = re.compile(r"[A-Za-z_]\w*")
_DIM_FUNCTIONS = ("floordiv", "mod", "max", "min", "non_negative")


class _Table:
    """A table of the flatbuffer, its fields by number. Offsets are checked before they are followed."""

    __slots__ = ("_end", "_vtable", "at", "buffer")

    def __init__(self, buffer: Buffer, at: int) -> None:
        self.buffer = buffer
        self.at = at
        back = buffer.u32(at)
        self._vtable = at - (back if back < 1 << 31 else back - (1 << 32))
        length = self._short(self._vtable)
        self._end = self._vtable + length
        if length < 4 or self._end > buffer.size:
            buffer.fail(f"a table's vtable has {length} bytes", at)
        buffer.spend(48, at)

    def _short(self, at: int) -> int:
        if not 0 <= at <= self.buffer.size - 2:
            self.buffer.fail("an offset leads outside the file", at)
        return int.from_bytes(self.buffer.data[at : at + 2], "little")

    def where(self, field: int) -> int:
        """The position of a field, 0 where it is not stored."""
        slot = self._vtable + 4 + 2 * field
        distance = self._short(slot) if slot + 2 <= self._end else 0
        return self.at + distance if distance else 0

    def number(self, field: int, width: int) -> int:
        """An unsigned number of that many bytes; 0 where it is not stored."""
        at = self.where(field)
        if at + width > self.buffer.size:
            self.buffer.fail("a number reaches beyond the end", at)
        return int.from_bytes(self.buffer.data[at : at + width], "little") if at else 0

    def span(self, field: int) -> tuple[int, int] | None:
        """Offset and length of a vector of bytes."""
        at = self.where(field)
        return self.buffer.vector(at, 1) if at else None

    def text(self, field: int) -> str:
        """A string; empty where it is not stored."""
        return self._text(self.where(field))

    def _text(self, at: int) -> str:
        if not at:
            return ""
        start, length = self.buffer.vector(at, 1)
        self.buffer.spend(length, at)
        return str(self.buffer.data[start : start + length], "utf-8", "backslashreplace")

    def texts(self, field: int) -> list[str]:
        """A vector of strings."""
        return [self._text(at) for at in self._offsets(field)]

    def numbers(self, field: int, width: int) -> list[int]:
        """A vector of unsigned numbers of that many bytes."""
        at = self.where(field)
        if not at:
            return []
        start, length = self.buffer.vector(at, width)
        self.buffer.spend(length * width, at)
        data = self.buffer.data
        return [int.from_bytes(data[p : p + width], "little") for p in range(start, start + length * width, width)]

    def table(self, field: int) -> _Table | None:
        """Another table; ``None`` where it is not stored."""
        at = self.where(field)
        return _Table(self.buffer, at + self.buffer.u32(at)) if at else None

    def tables(self, field: int) -> list[_Table]:
        """A vector of tables."""
        return [_Table(self.buffer, at + self.buffer.u32(at)) for at in self._offsets(field)]

    def _offsets(self, field: int) -> range:
        at = self.where(field)
        if not at:
            return range(0)
        start, length = self.buffer.vector(at, 4)
        self.buffer.spend(4 * length, at)
        return range(start, start + 4 * length, 4)


def matches(target: object) -> bool:
    """Whether it is a flatbuffer whose root holds MLIR bytecode where jax.export keeps it."""
    if not isinstance(target, File) or len(target.head) < 32 or target.head[:4] == MAGIC:
        return False
    root = int.from_bytes(target.head[:4], "little")
    if not 4 <= root <= target.size - 8:
        return False
    try:
        table = _root(target)
        span = table.span(_MODULE)
        return span is not None and bytes(table.buffer.data[span[0] : span[0] + 4]) == MAGIC
    except FormatError:
        return False


def _root(file: File) -> _Table:
    buffer = Buffer(file)
    return _Table(buffer, buffer.u32(0))


@dataclass(frozen=True, slots=True)
class _Order:
    """One exported function: the primal one, or a gradient."""

    name: str
    table: _Table


def read(file: File, *, select: str | None = None) -> Program:
    """Read a blob: the function itself, or with ``select`` ``vjp``, ``vjp.vjp`` … a gradient stored with it.

    Inputs and outputs have the symbolic sizes they were exported with.

    Raises:
        FormatError: it is not sound.
        SelectError: it stores no such gradient.
    """
    orders = [_Order("primal", _root(file))]
    while len(orders) <= _MAX_ORDER and (inner := orders[-1].table.table(_VJP)) is not None:
        orders.append(_Order("vjp" if len(orders) == 1 else f"{orders[-1].name}.vjp", inner))
    names = [order.name for order in orders]
    order = orders[0] if select is None else orders[chosen(names, select, file=file, what="functions")]
    table = order.table
    span = table.span(_MODULE)
    if span is None:
        raise FormatError(f"read {file.name}", found="it holds no module", do="export the function again", where=f"offset {table.at}")
    blob = file.part(f"{file.name}!{order.name}", *span)
    module, version = module_of(blob.view(), blob.name, blob.slice)
    whole = blob.slice(0, blob.size)
    with no_collection():
        program = build(
            [module],
            source=Source(
                "xla", "jax.export", producer=module.producer, path=str(file.path),
                digest=digest(bytes(file.view())) if file.size < _DIGEST_BYTES else None,
            ),
            native=MlirNative(whole),
            first_column=_FIRST_COLUMN,
            where=lambda at: f"offset {span[0] + at}",
            file=file.name,
        )  # fmt: skip
    meta = {**program.meta, "bytecode_version": version, **_facts(table, names)}
    return _with_types(replace(program, meta=FrozenDict(meta)), table)


def _facts(table: _Table, names: list[str]) -> dict[str, Any]:
    """What the blob says beside the module."""
    checks = tuple(
        f"{_name(_CHECKS, check.number(0, 1))} {check.text(1)}".strip() for check in table.tables(_DISABLED)
    )  # fmt: skip
    found: dict[str, Any] = {
        "function": table.text(_NAME),
        "serialization_version": table.number(_VERSION, 2),
        "calling_convention_version": table.number(_CONVENTION, 2),
        "platforms": tuple(table.texts(_PLATFORMS)),
        "devices": table.number(_DEVICES, 4) or table.number(_DEVICES_SHORT, 2),
        "ordered_effects": tuple(effect.text(0) for effect in table.tables(_ORDERED)),
        "unordered_effects": tuple(effect.text(0) for effect in table.tables(_UNORDERED)),
        "disabled_checks": checks,
        "uses_symbolic_sizes_or_platforms": bool(table.number(_GLOBAL, 1)),
        "gradients": tuple(names[1:]),
    }
    return {key: value for key, value in found.items() if value not in ((), "", False)}


def _name(names: tuple[str, ...], at: int) -> str:
    return names[at] if at < len(names) else str(at)


def _with_types(program: Program, table: _Table) -> Program:
    """The program with the blob's symbolic sizes, and names for inputs that the module has none for."""
    told = _types(table, _IN_AVALS, _IN_AVAL_AT)
    gives = _types(table, _OUT_AVALS, _OUT_AVAL_AT)
    kept = table.numbers(_KEPT, 2) or list(range(len(told)))
    dims: dict[str, DimRange] = {}
    for kind in told:
        for size in kind.dims or ():
            for name in _DIM_NAME.findall(getattr(size, "expr", "")):
                if name not in _DIM_FUNCTIONS:
                    dims[name] = DimRange(1)
    program = replace(program, dims=dims)
    signature = program.signatures.get(program.entry)
    paths = _paths(table.table(_IN_TREE), "args", "kwargs")
    if signature is None or any(at >= len(told) for at in kept):
        return program
    takes = [told[at] for at in kept]
    names = [paths[at] if at < len(paths) else "" for at in kept]
    if len(table.texts(_PLATFORMS)) > 1 and len(signature.inputs) == len(takes) + 1:
        takes.insert(0, TensorType("int32", ()))
        names.insert(0, "platform_index")
    if len(takes) != len(signature.inputs) or len(gives) != len(signature.outputs):
        return program  # tokens of ordered effects go in and out as well
    graph = program.main
    inputs: list[Slot] = []
    for i, id in enumerate(graph.inputs):
        slot, data = signature.inputs[i], graph.nodes[id]
        kind = _sized(slot.type, takes[i])
        data["outputs"] = (kind,)
        if "name" not in data and names[i]:
            data["name"] = names[i]
        inputs.append(replace(slot, type=kind, name=str(data.get("name", slot.name))))
    results = _paths(table.table(_OUT_TREE), "result", "result")
    outputs = [
        replace(slot, type=_sized(slot.type, kind), name=results[i] if slot.name == f"out{i}" and i < len(results) else slot.name)
        for i, (slot, kind) in enumerate(zip(signature.outputs, gives, strict=True))
    ]
    named = Signature(signature.graph, tuple(inputs), tuple(outputs))
    return replace(program, signatures={**program.signatures, program.entry: named})


def _sized(kind: Any, told: TensorType) -> Any:
    fits = isinstance(kind, TensorType) and (kind.rank or 0) == (told.rank or 0)
    return replace(kind, dims=told.dims) if fits else kind


def _types(table: _Table, own: int, numbers: int) -> list[TensorType]:
    """Types of inputs or outputs: each stored by itself, or since version 10 by its number among those that differ."""
    unique = [_type(aval) for aval in table.tables(_AVALS)]
    at = table.numbers(numbers, 4)
    if at and all(number < len(unique) for number in at):
        return [unique[number] for number in at]
    return [_type(aval) for aval in table.tables(own)]


def _type(aval: _Table) -> TensorType:
    return TensorType(_name(_DTYPES, aval.number(2, 1)), tuple(parse_dim(size[:1000]) for size in aval.texts(1)))


def _paths(tree: _Table | None, first: str, second: str) -> list[str]:
    """The path of every leaf of a tree: ``args[0]['w']``. A function's own is a pair of arguments and of those given by name."""
    found: list[str] = []
    work: list[tuple[_Table, str, int]] = [(tree, "", 0)] if tree is not None else []
    while work:
        node, path, depth = work.pop()
        kind = node.number(0, 1)
        children = node.tables(1)
        if kind == _LEAF:
            found.append(path or first)
        elif kind != _NONE and depth < _MAX_DEPTH:
            names = node.texts(2)
            steps: list[str] = []
            for i in range(len(children)):
                key = f"['{names[i]}']" if kind == _DICT and i < len(names) else f"[{i}]"
                steps.append(path + key if depth or first == second else (first, second)[min(i, 1)])
            work += [(child, step, depth + 1) for child, step in zip(reversed(children), reversed(steps), strict=True)]
    return found


__all__ = ["READS", "matches", "read"]
