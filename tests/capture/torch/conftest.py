"""What torch itself says of its graphs, counted without graphlab."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest


def _fx_uses(node: Any) -> int:
    import torch.fx

    found: list[Any] = []
    torch.fx.node.map_arg((node.args, node.kwargs), found.append)
    return len(found)


@pytest.fixture(scope="session")
def fx_count() -> Callable[[Any], tuple[int, int]]:
    """Nodes, and uses of node values, of a graph module and all graph modules in it, by torch's own walk."""

    def count(module: Any) -> tuple[int, int]:
        import torch.fx

        nodes = [n for m in module.modules() if isinstance(m, torch.fx.GraphModule) for n in m.graph.nodes]
        return len(nodes), sum(_fx_uses(n) for n in nodes)

    return count


@pytest.fixture(scope="session")
def transformers() -> Any:
    return pytest.importorskip("transformers")


def _nodes(block: Any) -> Iterator[Any]:
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from _nodes(inner)


@pytest.fixture(scope="session")
def jit_nodes() -> Callable[[Any], list[Any]]:
    """All nodes of a TorchScript graph and its blocks, by torch's own walk."""
    return lambda graph: list(_nodes(graph))


@pytest.fixture(scope="session")
def inlined_ops() -> Callable[[Any], Counter[str]]:
    """How often each aten op stands in torch's own inlined graph of a scripted module."""
    return lambda model: Counter(node.kind() for node in _nodes(model.inlined_graph) if node.kind().startswith("aten::"))
