"""TorchScript archives of 2018 and 2019: a ``model.json`` that describes the modules, and a code file a module.

Source: ``torch/csrc/jit/serialization/import_legacy.cpp`` and ``caffe2/proto/torch.proto`` (field names as protobuf's JSON has
them). torch itself stopped reading the oldest of them.
"""

from __future__ import annotations

import ast
import json
from typing import TYPE_CHECKING, Any, NoReturn

from graphlab.capture.torch import script_state
from graphlab.capture.torch.restricted_pickle import Call as Pickled, Global, Persistent, TensorRecord
from graphlab.capture.torch.script_program import Instance, Reader
from graphlab.capture.torch.script_source import CodeFile, Library, ScriptClass
from graphlab.capture.torch.script_types import TENSOR, Type
from graphlab.errors import FormatError

if TYPE_CHECKING:
    from graphlab.capture.torch.script_archive import Layout

_MAX_MODULES = 20_000
_MAX_DEPTH = 100
_STORAGES = {
    "FLOAT": "FloatStorage", "DOUBLE": "DoubleStorage", "FLOAT16": "HalfStorage", "INT64": "LongStorage", "INT32": "IntStorage",
    "INT16": "ShortStorage", "INT8": "CharStorage", "UINT8": "ByteStorage", "BYTE": "ByteStorage", "BOOL": "BoolStorage",
}  # fmt: skip


def module(layout: Layout) -> tuple[Reader, Instance]:
    """The archive's module, and the reader that its methods are read with.

    Raises:
        FormatError: the description is not sound.
    """
    return _Legacy(layout).read()


class _Legacy:
    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.library = Library(lambda qualifier: layout.code(qualifier, "libs") or layout.code(qualifier), 0)
        self.count = 0
        self.tensors: tuple[TensorRecord, ...] = ()
        self.pickled: Any = ()

    def refuse(self, found: str) -> NoReturn:
        raise FormatError(f"read {self.layout.name}", found=found, do="the archive is damaged: fetch or write it again", where="model.json")

    def read(self) -> tuple[Reader, Instance]:
        try:
            model = json.loads(self.layout.read("model.json"))
        except (ValueError, RecursionError) as error:  # ValueError: neither JSON nor text
            self.refuse(f"its model.json is no JSON: {error}")
        if not isinstance(model, dict) or not isinstance(model.get("mainModule"), dict):
            self.refuse("its model.json has no main module")
        self.tensors = tuple(self._tensor(each) for each in self._list(model, "tensors"))
        if "attributes.pkl" in self.layout:
            held = script_state.plain(self.layout.unpickle("attributes.pkl"))
            self.pickled = held if isinstance(held, (tuple, list)) else ()
        storages = self.layout.storages("")
        reader = Reader(self.library, self.tensors, storages, storages, self.layout.name)
        held, type = self._module(model["mainModule"], "__torch__", 0)
        return reader, Instance("", held, type)

    def _list(self, held: dict[str, Any], name: str) -> list[dict[str, Any]]:
        found = held.get(name, [])
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            self.refuse(f"'{name}' is no list of records")
        return found

    def _int(self, value: Any) -> int:
        """A number; JSON of protobuf writes 64-bit ones as text and leaves out zeros."""
        if value is None:
            return 0
        if isinstance(value, str) and value.lstrip("-").isascii() and value.lstrip("-").isdigit() and len(value) < 20:
            return int(value)
        if type(value) is int:
            return value
        self.refuse("a number is none")

    def _tensor(self, held: dict[str, Any]) -> TensorRecord:
        sizes = tuple(self._int(each) for each in held.get("dims") or ())
        strides = tuple(self._int(each) for each in held.get("strides") or ())
        data = held.get("data")
        key = data.get("key") if isinstance(data, dict) else None
        storage = _STORAGES.get(held.get("dataType", "FLOAT"))
        if not isinstance(key, str) or storage is None or min((*sizes, *strides, 0)) < 0:
            self.refuse("a tensor has no data, or elements of an unknown type")
        id = ("storage", Global("torch", storage), key, "cpu", 0)
        return TensorRecord(Persistent(id), self._int(held.get("offset")), sizes, strides, bool(held.get("requiresGrad")))

    def _module(self, held: dict[str, Any], prefix: str, depth: int) -> tuple[Pickled, Type]:
        self.count += 1
        if self.count > _MAX_MODULES or depth > _MAX_DEPTH:
            self.refuse("its modules do not end")
        own = held.get("name") if isinstance(held.get("name"), str) else ""
        name = f"{prefix}.{own or 'module'}"
        file = self._code(held, name)
        made = ScriptClass(Type("class", name=name), file, is_module=True)
        state: dict[str, Any] = {}
        for each in self._list(held, "submodules"):
            inner = self._module(each, name, depth + 1)
            state[str(each.get("name"))], made.attributes[str(each.get("name"))] = inner
        parameters: dict[bool, list[str]] = {True: [], False: []}
        for each in self._list(held, "parameters"):
            index = self._int(each.get("tensorId"))
            if not 0 <= index < len(self.tensors):
                self.refuse(f"a parameter is tensor {index} of {len(self.tensors)}")
            label = str(each.get("name"))
            parameters[each.get("isBuffer") is True].append(label)
            state[label], made.attributes[label] = self.tensors[index], TENSOR
        made.parameters, made.buffers = frozenset(parameters[False]), frozenset(parameters[True])
        for each in self._list(held, "attributes"):
            label = str(each.get("name"))
            if label in state:
                continue
            made.attributes[label] = self._type(str(each.get("type")), file)
            index = self._int(each.get("id"))
            if 0 <= index < len(self.pickled):
                state[label] = self._attribute(self.pickled[index])
        made.methods = {n: d for n, d in file.definitions.items() if isinstance(d, ast.FunctionDef)}
        self.library.add(made)
        pickled = Pickled(Global(prefix, own or "module"), ())
        pickled.state = state
        return pickled, made.type

    def _attribute(self, held: Any) -> Any:
        """A tensor is written as a call that fetches it by its number."""
        if isinstance(held, Pickled) and held.name == "torch.jit._pickle.build_tensor_from_id":
            index = held.args[0] if held.args else None
            if type(index) is int and 0 <= index < len(self.tensors):
                return self.tensors[index]
        return held

    def _type(self, text: str, file: CodeFile) -> Type:
        try:
            parsed = ast.parse(text[:2000], mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            self.refuse(f"an attribute has the type '{text[:80]}'")
        return self.library.annotation(parsed, file)

    def _code(self, held: dict[str, Any], qualifier: str) -> CodeFile:
        arena, debug = held.get("torchscriptArena"), held.get("torchscriptDebugArena")
        key = arena.get("key") if isinstance(arena, dict) else None
        if not isinstance(key, str) or key not in self.layout:
            return CodeFile(self.layout.name, qualifier, key if isinstance(key, str) else "model.json", b"", lambda: script_state.NO_RANGES)
        ranges = debug.get("key") if isinstance(debug, dict) else None
        return self.layout.code_file(qualifier, key, ranges if isinstance(ranges, str) else "")
