"""ONNX models made by the ``onnx`` package, and read back by graphlab."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from graphlab.capture import onnx as reader
from graphlab.capture.file import File
from graphlab.ir.program import Program
from graphlab.ir.verify import ensure_verified

Read = Callable[[Any], Program]


@pytest.fixture(scope="session")
def onnx() -> ModuleType:
    module: ModuleType = pytest.importorskip("onnx")
    pytest.importorskip("onnx.parser")
    return module


@pytest.fixture(scope="session")
def text(onnx: ModuleType) -> Callable[[str], Any]:
    """ONNX's text syntax → a ModelProto of onnx's own."""

    def parse(source: str) -> Any:
        return onnx.parser.parse_model(source)

    return parse


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """A ModelProto, or its bytes → the Program that the reader makes of the file."""

    def write_and_read(model: Any) -> Program:
        path = tmp_path / "model.onnx"
        path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
        file = File.open(path)
        assert reader.matches(file)
        return ensure_verified(reader.read(file))

    return write_and_read


def count_nodes(nodes: Any) -> int:
    """Nodes and those in the graphs within them."""
    total = 0
    for node in nodes:
        total += 1
        for attribute in node.attribute:
            total += count_nodes(attribute.g.node) + sum(count_nodes(graph.node) for graph in attribute.graphs)
    return total


@pytest.fixture(scope="session")
def count() -> Callable[[Any], int]:
    """How many nodes a ModelProto has, subgraphs and functions included."""

    def of(model: Any) -> int:
        return count_nodes(model.graph.node) + sum(count_nodes(function.node) for function in model.functions)

    return of
