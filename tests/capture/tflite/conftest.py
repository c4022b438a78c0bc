"""TensorFlow's own flatbuffer classes, loaded without TensorFlow: what the tests write models with and compare with."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

Write = Callable[[Any], bytes]


@pytest.fixture(scope="session")
def fb() -> ModuleType:
    """``tensorflow.lite.python.schema_py_generated`` (seen in TensorFlow 2.21)."""
    pytest.importorskip("flatbuffers")
    found = importlib.util.find_spec("tensorflow")
    if found is None or found.origin is None:
        pytest.skip("tensorflow is not installed")
    path = Path(found.origin).parent / "lite" / "python" / "schema_py_generated.py"
    spec = importlib.util.spec_from_file_location("schema_py_generated", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def write(fb: ModuleType) -> Write:
    """ModelT → the bytes of a model."""
    flatbuffers = pytest.importorskip("flatbuffers")

    def pack(model: Any) -> bytes:
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    return pack


class Model:
    """A model under construction: tensors and operators of subgraphs by short calls."""

    def __init__(self, fb: ModuleType) -> None:
        self.fb = fb
        self.it = fb.ModelT()
        self.it.version = 3
        self.it.description = "made by a test"
        self.it.operatorCodes, self.it.subgraphs, self.it.buffers = [], [], [fb.BufferT()]
        self.it.metadata, self.it.signatureDefs = [], []

    def subgraph(self, name: str, inputs: list[int], outputs: list[int]) -> Any:
        graph = self.fb.SubGraphT()
        graph.name, graph.inputs, graph.outputs, graph.tensors, graph.operators = name, inputs, outputs, [], []
        self.it.subgraphs.append(graph)
        return graph

    def tensor(self, graph: Any, name: str, shape: list[int], type: str = "FLOAT32", data: bytes | None = None, **fields: Any) -> int:
        tensor = self.fb.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.hasRank = name, shape, getattr(self.fb.TensorType, type), True
        tensor.buffer = 0 if data is None else self.buffer(data)
        for key, value in fields.items():
            setattr(tensor, key, value)
        graph.tensors.append(tensor)
        return len(graph.tensors) - 1

    def buffer(self, data: bytes) -> int:
        buffer = self.fb.BufferT()
        buffer.data = list(data)
        self.it.buffers.append(buffer)
        return len(self.it.buffers) - 1

    def operator(self, graph: Any, code: str, inputs: list[int], outputs: list[int], options: str = "", **fields: Any) -> Any:
        """``code``: a builtin's name, or that of a custom operator; ``options``: the name of its table, with ``fields`` in it."""
        made = self.fb.OperatorCodeT()
        number = getattr(self.fb.BuiltinOperator, code, self.fb.BuiltinOperator.CUSTOM)
        made.builtinCode, made.deprecatedBuiltinCode = number, min(number, 127)
        made.customCode = None if hasattr(self.fb.BuiltinOperator, code) else code
        made.version = 1
        self.it.operatorCodes.append(made)
        operator = self.fb.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = len(self.it.operatorCodes) - 1, inputs, outputs
        if options:
            table = getattr(self.fb, options + "T")()
            for key, value in fields.items():
                setattr(table, key, value)
            if hasattr(self.fb.BuiltinOptions, options):
                operator.builtinOptionsType, operator.builtinOptions = getattr(self.fb.BuiltinOptions, options), table
            else:
                operator.builtinOptions2Type, operator.builtinOptions2 = getattr(self.fb.BuiltinOptions2, options), table
        graph.operators.append(operator)
        return operator

    def signature(self, key: str, subgraph: int, inputs: dict[str, int], outputs: dict[str, int]) -> None:
        made = self.fb.SignatureDefT()
        made.signatureKey, made.subgraphIndex = key, subgraph
        made.inputs, made.outputs = self._map(inputs), self._map(outputs)
        self.it.signatureDefs.append(made)

    def _map(self, names: dict[str, int]) -> list[Any]:
        found = []
        for name, index in names.items():
            entry = self.fb.TensorMapT()
            entry.name, entry.tensorIndex = name, index
            found.append(entry)
        return found


@pytest.fixture
def model(fb: ModuleType) -> Model:
    return Model(fb)
