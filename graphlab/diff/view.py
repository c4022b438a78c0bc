"""One region as integer-indexed lists: what alignment walks many times over."""

from __future__ import annotations

from collections import deque
from typing import Any, TypeAlias

import networkx as nx

from graphlab.ir.graph import Graph

In: TypeAlias = tuple[int, int, int, int]
"""(control, slot, source index, source port) of an operand; ``control`` is 1 for an ordering edge, else 0."""
Out: TypeAlias = tuple[int, int, int, int]
"""(control, source port, slot, user index) of a use."""


class View:
    """A graph's nodes by index, with their operands in slot order, users, and topological facts.

    Attributes:
        order: indices, every operand before its users but for those within one cycle.
        component: index → number of its strongly connected component; nodes on no cycle have their own.
        depth: longest path from a node without operands, cycles counted as one step.
        height: longest path to a node without users.
        output: index of the output node, or -1.
    """

    __slots__ = ("component", "data", "depth", "height", "ids", "index", "ins", "name", "order", "output", "outs")

    def __init__(self, name: str, graph: Graph) -> None:
        self.name = name
        self.ids: list[str] = list(graph)
        self.index: dict[str, int] = {id: i for i, id in enumerate(self.ids)}
        self.data: list[dict[str, Any]] = [data for _, data in graph.nodes(data=True)]
        size = len(self.ids)
        self.ins: list[list[In]] = [[] for _ in range(size)]
        self.outs: list[list[Out]] = [[] for _ in range(size)]
        for src, dst, edge in graph.edges(data=True):
            i, j = self.index[src], self.index[dst]
            control = int(edge["kind"] == "control")
            self.ins[j].append((control, edge["dst_port"], i, edge["src_port"]))
            self.outs[i].append((control, edge["src_port"], edge["dst_port"], j))
        for operands in self.ins:
            operands.sort()
        self.output = next((i for i, data in enumerate(self.data) if data["kind"] == "output"), -1)
        self.component = list(range(size))
        self.order = self._sorted(self.component)
        if len(self.order) < size:
            for number, members in enumerate(nx.strongly_connected_components(graph)):
                for id in members:
                    self.component[self.index[id]] = number
            self.order = self._sorted(self.component)
        self.depth, self.height = [0] * size, [0] * size
        for i in self.order:
            for _, _, src, _ in self.ins[i]:
                if self.component[src] != self.component[i]:
                    self.depth[i] = max(self.depth[i], self.depth[src] + 1)
        for i in reversed(self.order):
            for _, _, _, dst in self.outs[i]:
                if self.component[dst] != self.component[i]:
                    self.height[i] = max(self.height[i], self.height[dst] + 1)

    def __len__(self) -> int:
        return len(self.ids)

    def degree(self, i: int) -> int:
        return len(self.ins[i]) + len(self.outs[i])

    def _sorted(self, component: list[int]) -> list[int]:
        """Kahn's order of the components; stops short where a component feeds itself through another."""
        members: dict[int, list[int]] = {}
        waiting: dict[int, int] = {}
        for i, number in enumerate(component):
            members.setdefault(number, []).append(i)
            waiting[number] = waiting.get(number, 0) + sum(1 for _, _, src, _ in self.ins[i] if component[src] != number)
        ready = deque(number for number, count in waiting.items() if count == 0)
        order: list[int] = []
        while ready:
            number = ready.popleft()
            order.extend(members[number])
            for i in members[number]:
                for _, _, _, dst in self.outs[i]:
                    other = component[dst]
                    if other != number:
                        waiting[other] -= 1
                        if waiting[other] == 0:
                            ready.append(other)
        return order
