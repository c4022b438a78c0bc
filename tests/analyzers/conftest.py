"""Programs built by hand, so that the truth about them is known by counting."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphlab.ir.constants import Constant
from graphlab.ir.frames import Frame, FrameTable
from graphlab.ir.frozen import freeze
from graphlab.ir.graph import Graph
from graphlab.ir.program import Program, Signature, Slot, Source
from graphlab.ir.values import SymDim, TensorType, ValueType
from graphlab.ir.verify import ensure_verified

FLOAT = TensorType("float32", (4,))
DYNAMIC = TensorType("float32", (None, None))
BOOL = TensorType("bool", ())
INT = TensorType("int64", ())


class Builder:
    """Writes a Program node by node. Operands are ``"id"`` or ``("id", port)``."""

    FLOAT, DYNAMIC, BOOL, INT = FLOAT, DYNAMIC, BOOL, INT
    SYMBOLIC = TensorType("float32", (SymDim("batch"), 4))

    def __init__(self) -> None:
        self.graphs: dict[str, Graph] = {}
        self.frames = FrameTable()

    def graph(self, name: str) -> Graph:
        if name not in self.graphs:
            self.graphs[name] = Graph(name=name)
        return self.graphs[name]

    def input(self, graph: str, id: str, type: ValueType = FLOAT) -> None:
        g = self.graph(graph)
        g.add(id, kind="input", index=0)
        g.nodes[id].update(outputs=(type,), index=sum(1 for n in g.each_node() if n.kind == "input") - 1)

    def constant(self, graph: str, id: str, value: Any = 1.0, dtype: str = "float32") -> None:
        array = np.asarray(value, dtype)
        type = TensorType(dtype, array.shape)
        self.graph(graph).add(id, kind="constant", outputs=(type,), value=Constant(type, array.tobytes()))

    def parameter(self, graph: str, id: str, type: TensorType = FLOAT) -> None:
        self.graph(graph).add(id, kind="parameter", outputs=(type,))

    def op(
        self,
        graph: str,
        id: str,
        op: str,
        *operands: Any,
        type: ValueType | tuple[ValueType, ...] = FLOAT,
        line: int | None = None,
        **more: Any,
    ) -> None:
        g = self.graph(graph)
        outputs = type if isinstance(type, tuple) else (type,)
        loc = None if line is None else self.frames.add(Frame("model.py", line))
        g.add(id, kind="op", op=op, outputs=outputs, **{k: freeze(v) for k, v in more.items()})
        if loc is not None:
            g.nodes[id]["loc"] = loc
        self._connect(g, id, operands)

    def output(self, graph: str, *operands: Any) -> None:
        g = self.graph(graph)
        g.add("output", kind="output")
        self._connect(g, "output", operands)

    @staticmethod
    def _connect(g: Graph, id: str, operands: tuple[Any, ...]) -> None:
        for slot, operand in enumerate(operands):
            src, port = operand if isinstance(operand, tuple) else (operand, 0)
            g.connect(src, id, port, slot)

    def done(self, entry: str = "main", *, roles: dict[str, Any] | None = None, verified: bool = True, **source: Any) -> Program:
        g = self.graphs[entry]
        slots = tuple(Slot(i, g.node(i).outputs[0], (roles or {}).get(i, "user")) for i in g.inputs)
        results = tuple(Slot(f"result{i}", FLOAT) for i, _ in enumerate(g.operands("output")))
        program = Program(
            graphs=self.graphs,
            entry=entry,
            source=Source(**{"framework": "test", "format": "by hand", **source}),
            signatures={"default": Signature(entry, slots, results)},
            frames=self.frames.done(),
        )
        return ensure_verified(program) if verified else program


@pytest.fixture
def build() -> Builder:
    return Builder()
