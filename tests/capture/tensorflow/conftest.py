"""Models traced once a session: TensorFlow takes seconds to import and to build a large model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import graphlab
from graphlab import Program


@pytest.fixture(scope="session")
def tf() -> Any:
    return pytest.importorskip("tensorflow")


@pytest.fixture(scope="session")
def keras(tf: Any) -> Any:
    return pytest.importorskip("keras")


@pytest.fixture(scope="session")
def resnet(keras: Any) -> Any:
    return keras.applications.ResNet50(weights=None)


@pytest.fixture(scope="session")
def resnet_program(resnet: Any) -> Program:
    return graphlab.capture(resnet)


@pytest.fixture(scope="session")
def definition_count() -> Callable[[Program], int]:
    """Counts nodes on TensorFlow's own GraphDef: the graph's, and those of all functions it reaches."""

    def count(program: Program) -> int:
        definition = program.native.graph.as_graph_def()
        library = {function.signature.name: function.node_def for function in definition.library.function}
        seen: set[str] = set()
        waiting = [definition.node]
        total = 0
        while waiting:
            nodes = waiting.pop()
            total += len(nodes)
            for node in nodes:
                named = {f.name for value in node.attr.values() for f in [value.func, *value.list.func] if f.name}
                for name in (named & set(library)) - seen:
                    seen.add(name)
                    waiting.append(library[name])
        return total

    return count
