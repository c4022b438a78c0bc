"""Reads pickles as data: a small interpreter of the opcodes that makes plain records and imports, calls and runs nothing.

A class becomes a :class:`Global` (two texts), what a pickle would call becomes a :class:`Call` of it, and what
it would fetch from outside a :class:`Persistent`. So the worst a pickle can do is to be refused. Opcodes:
CPython's ``pickletools``; what torch writes with them: ``torch/csrc/jit/serialization/pickler.cpp``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from graphlab.errors import FormatError

MAX_OPCODES = 20_000_000
"""Of one pickle; a model of ten thousand tensors takes some hundred thousand."""


@dataclass(frozen=True, slots=True)
class Global:
    """A name a pickle would import."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Call:
    """What a pickle would call, or make an object of: function or class, arguments, and the state set on the result.

    ``items`` and ``pairs`` are what it would append to or set on the result (an OrderedDict's).
    """

    __slots__ = ("args", "callee", "items", "pairs", "state")

    def __init__(self, callee: Any, args: tuple[Any, ...]) -> None:
        self.callee = callee
        self.args = args
        self.state: Any = None
        self.items: list[Any] = []
        self.pairs: list[tuple[Any, Any]] = []

    @property
    def name(self) -> str:
        """The callee's qualified name; ``""`` where it has none."""
        callee = self.callee
        if isinstance(callee, Persistent) and isinstance(callee.id, tuple):  # torch's old format: ("module", class, file, source)
            callee = next((each for each in callee.id if isinstance(each, Global)), None)
        return str(callee) if isinstance(callee, Global) else ""


@dataclass(frozen=True, slots=True, eq=False)
class Persistent:
    """What stands outside the pickle, by its id: torch's ``("storage", class, key, device, elements)``."""

    id: Any


@dataclass(frozen=True, slots=True, eq=False)
class TensorRecord:
    """A tensor as the pickle describes it; no byte of it is here.

    Attributes:
        storage: what holds its elements.
        offset: its first element there; ``sizes`` and ``strides`` count elements too.
        quantizer: for a quantized one, its quantizer's arguments.
        parameter: whether it was written as ``torch.nn.Parameter``.
        layout: ``sparse``, ``meta`` or another kind that is no dense view of a storage.
        dtype: the element type's class, where it is not the storage's.
    """

    storage: Any
    offset: int = 0
    sizes: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    requires_grad: bool = False
    quantizer: tuple[Any, ...] = ()
    parameter: bool = False
    layout: str = ""
    dtype: str = ""


class _Mark:
    pass


_MARK = _Mark()


def loads(data: bytes, *, name: str) -> Any:
    """The value a pickle describes, made of Python's own containers, numbers, texts and the records above.

    Args:
        name: what messages call it.

    Raises:
        FormatError: it is no sound pickle, or uses what plain data never does.
    """
    return _Reader(data, name).run()


def loads_many(data: bytes, *, name: str, limit: int) -> tuple[list[Any], int]:
    """Pickles that stand one behind the other (``torch.save``'s old format), ``limit`` at most, and where the last ends."""
    found: list[Any] = []
    reader = _Reader(data, name)
    while len(found) < limit and reader.at < len(data):
        found.append(reader.run())
    return found, reader.at


class _Reader:
    """One pickle's stack and memo."""

    def __init__(self, data: bytes, name: str) -> None:
        self.data = data
        self.name = name
        self.at = 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def refuse(self, found: str) -> NoReturn:
        raise FormatError(
            f"read the pickle {self.name}", found=found, do="the file is damaged: fetch or write it again", where=f"offset {self.at}"
        )

    def run(self) -> Any:
        self.stack, self.memo = [], {}
        data, length, stack = self.data, len(self.data), self.stack
        count = 0
        memo = self.memo
        while self.at < length:
            code = data[self.at]
            self.at += 1
            count += 1
            # The opcodes that nearly all of torch's pickles are made of come first, and take no call.
            if code == 0x68 and self.at < length:  # BINGET
                if (key := data[self.at]) not in memo:
                    self.recall(key)
                stack.append(memo[key])
                self.at += 1
            elif code == 0x71 and self.at < length and stack:  # BINPUT
                memo[data[self.at]] = stack[-1]
                self.at += 1
            elif code == 0x4B and self.at < length:  # BININT1
                stack.append(data[self.at])
                self.at += 1
            elif code == 0x28:  # MARK
                stack.append(_MARK)
            elif code == 0x4D and self.at + 1 < length:  # BININT2
                stack.append(data[self.at] | data[self.at + 1] << 8)
                self.at += 2
            elif code == 0x2E:  # STOP
                if len(stack) != 1 or stack[0] is _MARK:
                    self.refuse(f"it ends with {len(stack)} values where it has to leave one")
                return stack[0]
            else:
                action = _ACTIONS.get(code)
                if action is None:
                    self.refuse(f"the opcode {bytes([code])!r} is not one that data are written with")
                action(self)
            if count > MAX_OPCODES:
                self.refuse(f"it has more than {MAX_OPCODES:,} opcodes")
        self.refuse("it ends before its end mark")

    def take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.data):
            self.refuse(f"{size:,} bytes are announced and {len(self.data) - self.at:,} left")
        found = self.data[self.at : end]
        self.at = end
        return found

    def number(self, format: struct.Struct) -> Any:
        return format.unpack(self.take(format.size))[0]

    def line(self) -> str:
        end = self.data.find(b"\n", self.at)
        if end < 0 or end - self.at > 100_000:
            self.refuse("a line of text does not end")
        raw = self.data[self.at : end]
        self.at = end + 1
        return self.text(raw)

    def text(self, raw: bytes) -> str:
        try:
            return raw.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return raw.decode("latin-1")  # Python 2's texts of bytes

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            self.refuse("a value is taken from an empty stack")
        return self.stack.pop()

    def top(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            self.refuse("a value is asked of an empty stack")
        return self.stack[-1]

    def to_mark(self) -> list[Any]:
        stack = self.stack
        for i in range(len(stack) - 1, -1, -1):
            if stack[i] is _MARK:
                found = stack[i + 1 :]
                del stack[i:]
                return found
        self.refuse("a mark is missing")

    def set_items(self, flat: list[Any]) -> None:
        if len(flat) % 2:
            self.refuse("a key has no value")
        target = self.top()
        pairs = list(zip(flat[::2], flat[1::2], strict=True))
        if isinstance(target, dict):
            for key, value in pairs:
                if not _is_key(key):
                    self.refuse("a dict has a key that is no number, text or tuple of them")
                target[key] = value
        elif isinstance(target, Call):
            target.pairs += pairs
        else:
            self.refuse("items are set on something that is no dict")

    def append(self, values: list[Any]) -> None:
        target = self.top()
        if isinstance(target, list):
            target += values
        elif isinstance(target, Call):
            target.items += values
        else:
            self.refuse("values are appended to something that is no list")

    def recall(self, key: int) -> None:
        if key not in self.memo:
            self.refuse(f"it recalls {key}, which it never kept")
        self.stack.append(self.memo[key])

    def made(self, callee: Any, args: Any) -> None:
        if not isinstance(args, tuple):  # torch writes an enumeration's member so
            args = (args,)
        self.stack.append(_tensor(self, callee, args) or Call(callee, args))


def _is_key(value: Any, depth: int = 0) -> bool:
    """Whether it may be a dict's key. A tuple nested without end must not be hashed: that is done in C without a limit."""
    if isinstance(value, tuple):
        return depth < 4 and len(value) <= 1000 and all(_is_key(each, depth + 1) for each in value)
    return isinstance(value, (str, int, float, bytes, bool, TensorRecord, Call, Persistent, Global)) or value is None


# What the functions that torch's pickles name for tensors take (torch/_utils.py).
def _tensor(reader: _Reader, callee: Any, args: tuple[Any, ...]) -> TensorRecord | None:
    if not isinstance(callee, Global) or callee.module != "torch._utils":
        return None
    match callee.name, args:
        case (("_rebuild_tensor" | "_rebuild_tensor_v2" | "_rebuild_tensor_v3"), (storage, int(offset), sizes, strides, *rest)):
            grad = bool(rest) and rest[0] is True
            dtype = next((each.name for each in rest[2:3] if isinstance(each, Global)), "")
            return TensorRecord(storage, offset, _ints(reader, sizes), _ints(reader, strides), grad, dtype=dtype)
        case "_rebuild_qtensor", (storage, int(offset), sizes, strides, tuple(quantizer), grad, *_):
            return TensorRecord(storage, offset, _ints(reader, sizes), _ints(reader, strides), grad is True, quantizer)
        case (("_rebuild_parameter" | "_rebuild_parameter_with_state"), (TensorRecord() as held, *_)):
            return replace(held, parameter=True)
        case "_rebuild_sparse_tensor" | "_rebuild_sparse_csr_tensor", _:
            return TensorRecord(None, layout="sparse")
        case "_rebuild_meta_tensor_no_storage", (_, sizes, strides, *_):
            return TensorRecord(None, 0, _ints(reader, sizes), _ints(reader, strides), layout="meta")
    return None


def _ints(reader: _Reader, values: Any) -> tuple[int, ...]:
    if not isinstance(values, (tuple, list)) or len(values) > 1000 or not all(type(v) is int and v >= 0 for v in values):
        reader.refuse("a tensor's sizes are no whole numbers")
    return tuple(values)


_U1, _U2, _U4, _U8 = struct.Struct("<B"), struct.Struct("<H"), struct.Struct("<I"), struct.Struct("<Q")
_I4, _F8 = struct.Struct("<i"), struct.Struct(">d")


def _push(value: Any) -> Callable[[_Reader], None]:
    return lambda r: r.stack.append(value)


def _new(make: Callable[[], Any]) -> Callable[[_Reader], None]:
    return lambda r: r.stack.append(make())


def _read(make: Callable[[_Reader], Any]) -> Callable[[_Reader], None]:
    return lambda r: r.stack.append(make(r))


def _sized(size: struct.Struct, make: Callable[[_Reader, bytes], Any]) -> Callable[[_Reader], None]:
    return lambda r: r.stack.append(make(r, r.take(r.number(size))))


def _int_line(r: _Reader) -> Any:
    text = r.line()
    if text in ("00", "01"):  # protocol 0 writes truth values so
        return text == "01"
    return _integer(r, text)


def _integer(r: _Reader, text: str) -> int:
    text = text.strip().rstrip("L")
    if len(text) > 4000 or not text.lstrip("-").isdecimal() or not text.isascii():
        r.refuse("a number is none")
    return int(text)


def _float_line(r: _Reader) -> float:
    text = r.line()
    try:
        return float(text)
    except ValueError:
        r.refuse("a number is none")


def _escaped_line(r: _Reader) -> str:
    raw = r.line()
    try:
        return raw.encode("latin-1").decode("raw-unicode-escape")
    except UnicodeError:
        return raw


def _quoted(r: _Reader) -> str:
    text = r.line().strip()
    if len(text) < 2 or text[0] not in "'\"" or text[-1] != text[0]:
        r.refuse("a text has no quotes")
    return text[1:-1]


def _tuple(size: int) -> Callable[[_Reader], None]:
    def act(r: _Reader) -> None:
        stack = r.stack
        found = tuple(stack[-size:])
        if len(found) < size or _MARK in found:
            r.refuse("a value is taken from an empty stack")
        stack[-size:] = [found]

    return act


def _dict(r: _Reader) -> None:
    flat = r.to_mark()
    r.stack.append({})
    r.set_items(flat)


def _set_item(r: _Reader) -> None:
    value, key = r.pop(), r.pop()
    r.set_items([key, value])


def _append(r: _Reader) -> None:
    value = r.pop()
    r.append([value])


def _append_many(r: _Reader) -> None:
    values = r.to_mark()
    r.append(values)


def _set_many(r: _Reader) -> None:
    flat = r.to_mark()
    r.set_items(flat)


def _global(r: _Reader) -> Any:
    module = r.line()
    return Global(module, r.line())


def _stack_global(r: _Reader) -> None:
    name, module = r.pop(), r.pop()
    if not isinstance(name, str) or not isinstance(module, str):
        r.refuse("a class's name is no text")
    r.stack.append(Global(module, name))


def _reduce(r: _Reader) -> None:
    args, callee = r.pop(), r.pop()
    r.made(callee, args)


def _new_object_ex(r: _Reader) -> None:
    kwargs, args, callee = r.pop(), r.pop(), r.pop()
    if not isinstance(args, tuple) or not isinstance(kwargs, dict):
        r.refuse("what it makes is given something that is no tuple")
    r.made(callee, (*args, kwargs))


def _build(r: _Reader) -> None:
    state, target = r.pop(), r.top()
    if isinstance(target, Call):
        target.state = state
    elif not isinstance(target, TensorRecord):
        r.refuse("a state is set on something that is no object")


def _inst(r: _Reader) -> None:
    callee = _global(r)
    r.made(callee, tuple(r.to_mark()))


def _obj(r: _Reader) -> None:
    found = r.to_mark()
    if not found:
        r.refuse("an object has no class")
    r.made(found[0], tuple(found[1:]))


def _put(key: Callable[[_Reader], int]) -> Callable[[_Reader], None]:
    def act(r: _Reader) -> None:
        r.memo[key(r)] = r.top()

    return act


def _memoize(r: _Reader) -> None:
    r.memo[len(r.memo)] = r.top()


def _pop_mark(r: _Reader) -> None:
    r.to_mark()


def _pop(r: _Reader) -> None:
    if not r.stack:
        r.refuse("a value is taken from an empty stack")
    r.stack.pop()


def _skip(size: int) -> Callable[[_Reader], None]:
    return lambda r: (r.take(size), None)[1]


def _long(r: _Reader, raw: bytes) -> int:
    if len(raw) > 4096:
        r.refuse("a number is absurdly long")
    return int.from_bytes(raw, "little", signed=True)


def _as_list(r: _Reader) -> None:
    r.stack.append(r.to_mark())


def _as_set(r: _Reader) -> None:
    r.stack.append(r.to_mark())  # its elements in order: nothing here asks for more


_ACTIONS: dict[int, Callable[[_Reader], None]] = {
    ord(code): action
    for code, action in {
        "\x80": _skip(1), "\x95": _skip(8), "(": _push(_MARK), "0": _pop, "1": _pop_mark, "2": _read(_Reader.top),
        "N": _push(None), "\x88": _push(True), "\x89": _push(False), "I": _read(_int_line), "L": _read(lambda r: _integer(r, r.line())),
        "J": _read(lambda r: r.number(_I4)), "K": _read(lambda r: r.number(_U1)), "M": _read(lambda r: r.number(_U2)),
        "\x8a": _sized(_U1, _long), "\x8b": _sized(_U4, _long), "F": _read(_float_line), "G": _read(lambda r: r.number(_F8)),
        "S": _read(_quoted), "T": _sized(_U4, _Reader.text), "U": _sized(_U1, _Reader.text), "V": _read(_escaped_line),
        "X": _sized(_U4, _Reader.text), "\x8c": _sized(_U1, _Reader.text), "\x8d": _sized(_U8, _Reader.text),
        "B": _sized(_U4, lambda r, b: b), "C": _sized(_U1, lambda r, b: b), "\x8e": _sized(_U8, lambda r, b: b),
        "\x96": _sized(_U8, lambda r, b: b), "]": _new(list), "}": _new(dict), ")": _push(()), "\x8f": _new(list),
        "t": lambda r: r.stack.append(tuple(r.to_mark())), "\x85": _tuple(1), "\x86": _tuple(2), "\x87": _tuple(3),
        "l": _as_list, "d": _dict, "\x91": _as_set, "a": _append, "e": _append_many, "s": _set_item, "u": _set_many,
        "\x90": _append_many, "c": _read(_global), "\x93": _stack_global, "R": _reduce, "\x81": _reduce, "\x92": _new_object_ex,
        "b": _build, "i": _inst, "o": _obj, "Q": lambda r: r.stack.append(Persistent(r.pop())),
        "P": lambda r: r.stack.append(Persistent(r.line())), "q": _put(lambda r: r.number(_U1)), "r": _put(lambda r: r.number(_U4)),
        "p": _put(lambda r: _integer(r, r.line())), "\x94": _memoize, "h": lambda r: r.recall(r.number(_U1)),
        "j": lambda r: r.recall(r.number(_U4)), "g": lambda r: r.recall(_integer(r, r.line())),
    }.items()
}  # fmt: skip
