"""A whole program as flat lists and arrays: what colouring and alignment walk many times over.

Nodes of all regions are numbered in one row, region after region; edges never leave their region.
"""

from __future__ import annotations

from collections import deque
from typing import Any, TypeAlias

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from graphlab.ir.graph import CONTROL_PORT
from graphlab.ir.program import NodeRef, Program

Ints: TypeAlias = NDArray[np.int64]
In: TypeAlias = tuple[int, int, int, int]
"""(control, slot, source node, source port) of an operand; ``control`` is 1 for an ordering edge, else 0."""
Out: TypeAlias = tuple[int, int, int, int]
"""(control, source port, slot, user) of a use."""


class Table:
    """A program's nodes and edges by number.

    Attributes:
        calls: the program's call graph.
        names: graph names by region number; ``number`` is the way back.
        start: first node of each region, and the number of all nodes at the end.
        region: node → region number.
        output: region → its output node, or -1; ``inputs``: region → its input nodes by position.
        src, dst, src_port, dst_port, control: edges, in order of user, control and slot.
        order: nodes, every operand before its users but for those within one cycle.
        component: node → number of its strongly connected component; nodes on no cycle have their own.
        depth: longest path from a node without operands, cycles counted as one step.
        height: longest path to a node without users.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.calls = program.call_graph()
        self.names = list(program.graphs)
        self.number = {name: at for at, name in enumerate(self.names)}
        self.ids: list[str] = []
        self.data: list[dict[str, Any]] = []
        self.start = [0]
        self.output: list[int] = []
        self.inputs: list[list[int]] = []
        flat: list[int] = []
        for graph in program.graphs.values():
            first = len(self.ids)
            self.ids.extend(graph)
            self.data.extend(graph._node.values())
            index = dict(zip(graph, range(first, len(self.ids)), strict=True))
            for src, users in graph._succ.items():
                i = index[src]
                for dst, keyed in users.items():
                    j = index[dst]
                    for port, slot in keyed:
                        flat += (i, j, port, slot)
            self.start.append(len(self.ids))
            found = [i for i in range(first, len(self.ids)) if self.data[i]["kind"] == "output"]
            self.output.append(found[0] if found else -1)
            self.inputs.append(
                sorted(
                    (i for i in range(first, len(self.ids)) if self.data[i]["kind"] == "input"), key=lambda i: self.data[i].get("index", 0)
                )
            )
        self.region = np.repeat(np.arange(len(self.names)), np.diff(self.start))
        self.where: list[int] = self.region.tolist()
        edges = np.array(flat, np.int64).reshape(-1, 4)
        control = (edges[:, 3] == CONTROL_PORT).astype(np.int64)
        edges = np.column_stack((edges, control))[np.lexsort((edges[:, 2], edges[:, 0], edges[:, 3], control, edges[:, 1]))]
        self.src, self.dst, self.src_port, self.dst_port, self.control = (np.ascontiguousarray(edges[:, k]) for k in range(5))
        size = len(self.ids)
        columns = [column.tolist() for column in (self.control, self.dst_port, self.src, self.src_port)]
        self._ins: list[In] = list(zip(*columns, strict=True))
        self._in_at: list[int] = np.searchsorted(self.dst, np.arange(size + 1)).tolist()
        by_src = np.lexsort((self.dst, self.dst_port, self.src_port, self.control, self.src))
        columns = [column[by_src].tolist() for column in (self.control, self.src_port, self.dst_port, self.dst)]
        self._outs: list[Out] = list(zip(*columns, strict=True))
        self._out_at: list[int] = np.searchsorted(self.src[by_src], np.arange(size + 1)).tolist()
        self.component = list(range(size))
        self.order = self._sorted()
        if len(self.order) < size:
            self._condense(set(range(size)) - set(self.order))
            self.order = self._sorted()
        self.depth, self.height = [0] * size, [0] * size
        for i in self.order:
            for _, _, src, _ in self.ins(i):
                if self.component[src] != self.component[i]:
                    self.depth[i] = max(self.depth[i], self.depth[src] + 1)
        for i in reversed(self.order):
            for _, _, _, dst in self.outs(i):
                if self.component[dst] != self.component[i]:
                    self.height[i] = max(self.height[i], self.height[dst] + 1)

    def __len__(self) -> int:
        return len(self.ids)

    def ins(self, i: int) -> list[In]:
        """The node's operands, data before ordering edges, in slot order."""
        return self._ins[self._in_at[i] : self._in_at[i + 1]]

    def outs(self, i: int) -> list[Out]:
        """The node's uses by port and slot."""
        return self._outs[self._out_at[i] : self._out_at[i + 1]]

    def degree(self, i: int) -> int:
        return self._in_at[i + 1] - self._in_at[i] + self._out_at[i + 1] - self._out_at[i]

    def ref(self, i: int) -> NodeRef:
        return NodeRef(self.names[self.where[i]], self.ids[i])

    def members(self, region: int) -> range:
        """The region's nodes."""
        return range(self.start[region], self.start[region + 1])

    def _condense(self, left: set[int]) -> None:
        """Numbers the components of what no order could be found for."""
        cyclic: nx.DiGraph[int] = nx.DiGraph()
        cyclic.add_nodes_from(left)
        cyclic.add_edges_from((i, j) for i in left for _, _, _, j in self.outs(i) if j in left)
        for members in nx.strongly_connected_components(cyclic):
            number = min(members)
            for i in members:
                self.component[i] = number

    def _sorted(self) -> list[int]:
        """Kahn's order of the components; stops short where a component feeds itself through another."""
        component = self.component
        members: dict[int, list[int]] = {}
        for i, number in enumerate(component):
            members.setdefault(number, []).append(i)
        names = np.array(component, np.int64)
        across = names[self.src] != names[self.dst]
        waiting: list[int] = np.bincount(names[self.dst[across]], minlength=len(component)).tolist()
        ready = deque(number for number in members if not waiting[number])
        order: list[int] = []
        while ready:
            number = ready.popleft()
            order.extend(members[number])
            for i in members[number]:
                for _, _, _, dst in self.outs(i):
                    other = component[dst]
                    if other != number:
                        waiting[other] -= 1
                        if not waiting[other]:
                            ready.append(other)
        return order
