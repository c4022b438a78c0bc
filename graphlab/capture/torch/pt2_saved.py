"""Tensors in a ``torch.save`` archive within a ``.pt2``: read off the pickle's opcodes, none of which is run.

Older writers keep a program's weights so. What the pickle names is never imported: a class or function is its name,
a call is its name and arguments, and only torch's own way to rebuild a tensor from a storage is understood
(``torch._utils._rebuild_tensor_v2`` and ``_rebuild_parameter``; storages by ``torch/serialization.py``).
"""

from __future__ import annotations

import pickletools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphlab.capture.archive import Archive
from graphlab.capture.torch.pt2_payloads import Stored
from graphlab.errors import FormatError

_STORAGES: Mapping[str, str] = {
    "FloatStorage": "float32", "DoubleStorage": "float64", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8", "ByteStorage": "uint8",
    "BoolStorage": "bool", "ComplexFloatStorage": "complex64", "ComplexDoubleStorage": "complex128",
}  # fmt: skip
_MAX_OPCODES = 4_000_000


@dataclass(frozen=True, slots=True)
class _Named:
    """A class or function that the pickle names."""

    name: str


@dataclass(frozen=True, slots=True)
class _Called:
    """A call that the pickle asks for."""

    of: Any
    args: Any


@dataclass(frozen=True, slots=True)
class _Storage:
    key: str
    dtype: str


class _Mark:
    pass


def saved_tensors(archive: Archive, member: str) -> dict[str, Stored | str]:
    """Tensors by name; a text where one is stored in a way that is not understood.

    Raises:
        FormatError: the member is no such archive, or its pickle is broken.
    """
    if not archive.size(member):
        return {}
    file = archive.file(member)
    if not file.head.startswith(b"PK\x03\x04"):  # torch 2.1 wrote its own way
        return {}
    inner = Archive.open(file)
    name = next((each for each in inner.names if each.rpartition("/")[2] == "data.pkl"), None)
    if name is None:
        raise FormatError(
            f"read {file.name}", found="it holds no 'data.pkl'", do="fetch or write the file again", where="its zip directory"
        )
    held = _Machine(inner.read(name), f"read '{name}' of {file.name}").run()
    if not isinstance(held, dict):
        return {}
    folder = name.removesuffix("data.pkl") + "data/"
    return {key: _tensor(value, inner, folder) for key, value in held.items() if isinstance(key, str)}


def _tensor(value: Any, inner: Archive, folder: str) -> Stored | str:
    for _ in range(4):  # a parameter wraps its tensor
        if not (isinstance(value, _Called) and isinstance(value.of, _Named) and isinstance(value.args, tuple) and value.args):
            break
        if value.of.name in ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"):
            value = value.args[0]
            continue
        if value.of.name in ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor_v3") and len(value.args) >= 4:
            storage, offset, sizes, strides = value.args[:4]
            numbers = (offset, *sizes, *strides) if isinstance(sizes, tuple) and isinstance(strides, tuple) else ("",)
            known = isinstance(storage, _Storage) and all(type(n) is int for n in numbers) and len(sizes) == len(strides) <= 32
            if not known or any(size < 0 for size in sizes):
                break
            dtype = storage.dtype
            if value.of.name.endswith("v3") and len(value.args) > 6 and isinstance(value.args[6], _Named):
                dtype = value.args[6].name.removeprefix("torch.")
            if folder + storage.key not in inner:
                return f"the archive holds no storage '{storage.key}'"
            return Stored(folder + storage.key, dtype, sizes, strides, offset, inner)
        break
    return "it is pickled in a way that only torch can read"


class _Machine:
    """Builds what a pickle describes out of plain containers and names."""

    def __init__(self, data: bytes, asked: str) -> None:
        self._data = data
        self._asked = asked
        self._at = 0
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        """The object at the end. Raises FormatError where the opcodes make no sense."""
        try:
            for count, (opcode, argument, at) in enumerate(pickletools.genops(self._data)):
                self._at = at or 0
                if count > _MAX_OPCODES:
                    self._refuse(f"its pickle has more than {_MAX_OPCODES:,} opcodes")
                if opcode.name == "STOP":
                    return self._stack[-1] if self._stack else None
                self._step(opcode.name, argument)
        except (ValueError, IndexError, KeyError, TypeError, OverflowError, UnicodeDecodeError) as error:  # of opcodes out of order
            self._refuse(f"its pickle is broken: {error}")
        self._refuse("its pickle does not end")

    def _refuse(self, found: str) -> Any:
        raise FormatError(self._asked, found=found, do="fetch or write the file again", where=f"offset {self._at:,}")

    def _marked(self) -> list[Any]:
        at = max(i for i, each in enumerate(self._stack) if isinstance(each, _Mark))
        found = self._stack[at + 1 :]
        del self._stack[at:]
        return found

    def _step(self, name: str, argument: Any) -> None:
        stack = self._stack
        match name:
            case "PROTO" | "FRAME":
                pass
            case "MARK":
                stack.append(_Mark())
            case "GLOBAL":
                stack.append(_Named(str(argument).replace(" ", ".")))
            case "STACK_GLOBAL":
                last, module = stack.pop(), stack.pop()
                stack.append(_Named(f"{module}.{last}"))
            case "BINPUT" | "LONG_BINPUT" | "PUT":
                self._memo[int(argument)] = stack[-1]
            case "MEMOIZE":
                self._memo[len(self._memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET" | "GET":
                stack.append(self._memo[int(argument)])
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(name == "NEWTRUE")
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE":
                stack.append(tuple(self._marked()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                size = int(name[-1])
                if len(stack) < size:
                    raise IndexError("a tuple of values that are not there")
                found = tuple(stack[-size:])
                del stack[-size:]
                stack.append(found)
            case "LIST" | "DICT":
                found_list = self._marked()
                stack.append(found_list if name == "LIST" else dict(zip(found_list[::2], found_list[1::2], strict=True)))
            case "APPEND" | "APPENDS":
                more = self._marked() if name == "APPENDS" else [stack.pop()]
                if isinstance(stack[-1], list):
                    stack[-1].extend(more)
            case "SETITEM" | "SETITEMS":
                pairs = self._marked() if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
                if isinstance(stack[-1], dict):
                    stack[-1].update((k, v) for k, v in zip(pairs[::2], pairs[1::2], strict=True) if isinstance(k, (str, int)))
            case "BINPERSID":
                stack.append(self._storage(stack.pop()))
            case "REDUCE" | "NEWOBJ":
                args, of = stack.pop(), stack.pop()
                plain = isinstance(of, _Named) and of.name in ("collections.OrderedDict", "builtins.dict")
                stack.append({} if plain else _Called(of, args))
            case "BUILD" | "POP":
                stack.pop()
            case _ if isinstance(argument, (int, float, str, bytes)):
                stack.append(argument)
            case _:
                raise ValueError(f"the opcode {name} is not expected here")

    def _storage(self, held: Any) -> Any:
        if not (isinstance(held, tuple) and len(held) >= 3 and held[0] == "storage" and isinstance(held[1], _Named)):
            return None
        kind = held[1].name.rpartition(".")[2]
        return _Storage(str(held[2]), _STORAGES.get(kind, "uint8"))
