"""Small programs written by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from graphlab.ir.constants import Constant
from graphlab.ir.frames import Frame
from graphlab.ir.frozen import FrozenDict, frozen
from graphlab.ir.graph import Call, Control, Graph
from graphlab.ir.program import DimRange, Program, Signature, Slot, Source
from graphlab.ir.values import OpaqueType, SymDim, TensorType

F32 = TensorType("float32", (2, SymDim("n")))
BOOL = TensorType("bool", ())


@pytest.fixture
def chain() -> Graph:
    """x -> square = mul(x, x) -> exp -> out; a constant is added on the way."""
    graph = Graph(name="main")
    graph.add("x", kind="input", index=0, outputs=(F32,))
    graph.add("one", kind="constant", outputs=(F32,), value=Constant(TensorType("float32", (1,)), b"\0\0\x80\x3f"))
    graph.add("square", kind="op", op="hlo.multiply", outputs=(F32,), attrs=frozen(k=1), scope="a/b", loc=0)
    graph.add("sum", kind="op", op="hlo.add", outputs=(F32,))
    graph.add("exp", kind="op", op="hlo.exponential", outputs=(F32,))
    graph.add("out", kind="output", synthetic=True)
    graph.connect("x", "square", 0, 0)
    graph.connect("x", "square", 0, 1)
    graph.connect("square", "sum")
    graph.connect("one", "sum", 0, 1)
    graph.connect("sum", "exp")
    graph.connect("exp", "out")
    graph.connect_control("one", "exp")
    return graph


@pytest.fixture
def loop() -> Program:
    """main: while(cond, body) over x; the body's result goes round."""
    main = Graph(name="main")
    main.add("x", kind="input", index=0, outputs=(F32,))
    calls = FrozenDict({"cond": Call("cond", (0,), (None,)), "body": Call("body", (0,), (0,), ((0, 0),))})
    main.add("while", kind="op", op="hlo.while", outputs=(F32,), calls=calls, control=Control("loop", condition=("cond", 0)))
    main.add("out", kind="output", synthetic=True)
    main.connect("x", "while")
    main.connect("while", "out")
    cond = Graph(name="cond")
    cond.add("p", kind="input", index=0, outputs=(F32,))
    cond.add("any", kind="op", op="hlo.any", outputs=(BOOL,))
    cond.add("out", kind="output", synthetic=True)
    cond.connect("p", "any")
    cond.connect("any", "out")
    body = Graph(name="body")
    body.add("p", kind="input", index=0, outputs=(F32,))
    body.add("half", kind="op", op="hlo.half", outputs=(F32,), loc=1)
    body.add("out", kind="output", synthetic=True)
    body.connect("p", "half")
    body.connect("half", "out")
    return Program(
        graphs={"main": main, "cond": cond, "body": body},
        entry="main",
        source=Source("xla", "by hand"),
        signatures={"main": Signature("main", (Slot("x", F32),), (Slot("y", F32),))},
        dims={"n": DimRange(1, None)},
        frames=(Frame("model.py", 1, 1, "<module>"), Frame("model.py", 7, 9, "step", 0)),
        meta=frozen(note=("é", OpaqueType("thing"))),
    )


@pytest.fixture
def program_of() -> Callable[[Graph], Program]:
    """A program of one graph."""

    def make(graph: Graph) -> Program:
        return Program({graph.name: graph}, graph.name, Source("xla", "by hand"), frames=(Frame("model.py", 3),))

    return make
