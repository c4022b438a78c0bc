"""Programs built by hand, shuffled and edited: what the diff's tests compare."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import pytest

from graphlab.ir.frozen import FrozenDict, frozen
from graphlab.ir.graph import Call, Graph
from graphlab.ir.program import NodeRef, Program, Signature, Slot, Source
from graphlab.ir.values import TensorType
from graphlab.ir.verify import ensure_verified

F32 = TensorType("float32", (4, 4))
Line: TypeAlias = tuple[str, str, Sequence[str], Mapping[str, Any]]


@dataclass(frozen=True)
class Maker:
    """Builds programs from lines ``(id, op, operands, extra node attributes)``; ``in`` is an input's op."""

    def graph(self, name: str, lines: Sequence[Line], results: Sequence[str]) -> Graph:
        graph = Graph(name=name)
        index = 0
        for id, op, operands, more in lines:
            extra = dict(more)
            if op == "in":
                graph.add(id, kind="input", outputs=extra.pop("outputs", (F32,)), index=index, **extra)
                index += 1
                continue
            kind = extra.pop("kind", "op")
            graph.add(id, kind=kind, op=op if kind == "op" else None, outputs=extra.pop("outputs", (F32,)), **extra)
            for slot, operand in enumerate(operands):
                src, _, port = operand.partition(":")
                graph.connect(src, id, int(port or 0), slot)
        graph.add("result", kind="output", synthetic=True)
        for slot, operand in enumerate(results):
            src, _, port = operand.partition(":")
            graph.connect(src, "result", int(port or 0), slot)
        return graph

    def program(self, *graphs: Graph, **more: Any) -> Program:
        """The first graph is the entry."""
        return ensure_verified(Program({str(g.name): g for g in graphs}, str(graphs[0].name), Source("test", "by hand"), **more))

    def single(self, lines: Sequence[Line], results: Sequence[str], *used: Graph, **more: Any) -> Program:
        graph = self.graph("main", lines, results)
        types = [graph.node(u.src).outputs[u.src_port] for u in graph.operands("result")]
        signature = Signature(
            "main",
            tuple(Slot(i, graph.node(i).outputs[0]) for i in graph.inputs),
            tuple(Slot(f"out{k}", t) for k, t in enumerate(types)),
        )
        return self.program(graph, *used, signatures={"main": signature}, **more)

    def random(self, seed: int, size: int) -> Program:
        """A random acyclic graph: few op names, so that many nodes look alike; some loops' worth of repeated blocks."""
        rng = random.Random(seed)
        lines: list[Line] = [(f"in{k}", "in", (), {}) for k in range(rng.randint(1, 3))]
        for k in range(size):
            known = [line[0] for line in lines]
            near = known[-6:] if rng.random() < 0.8 else known
            op, arity = rng.choice([("x.add", 2), ("x.sub", 2), ("x.relu", 1), ("x.exp", 1), ("x.where", 3)])
            attrs = {"attrs": frozen(axis=rng.randint(0, 2))} if rng.random() < 0.3 else {}
            lines.append((f"op{k}", op, [rng.choice(near) for _ in range(arity)], attrs))
        return self.single(lines, [lines[-1][0], rng.choice(lines)[0]])

    def layers(self, count: int, *, drop: int | None = None) -> Program:
        """Equal layers ``x + relu(x @ w_k)``; ``drop`` leaves the relu of one layer out."""
        lines: list[Line] = [("x", "in", (), {}), *((f"w{k}", "in", (), {}) for k in range(count))]
        last = "x"
        for k in range(count):
            scope = {"scope": f"model/layer_{k}"}
            lines.append((f"mm{k}", "x.matmul", (last, f"w{k}"), scope))
            if k != drop:
                lines.append((f"relu{k}", "x.relu", (f"mm{k}",), scope))
            lines.append((f"add{k}", "x.add", (last, f"mm{k}" if k == drop else f"relu{k}"), scope))
            last = f"add{k}"
        return self.single(lines, [last])


@pytest.fixture(scope="session")
def make() -> Maker:
    return Maker()


Shuffle: TypeAlias = Callable[[Program, int], tuple[Program, dict[NodeRef, NodeRef]]]


@pytest.fixture(scope="session")
def shuffle() -> Shuffle:
    """A program with all names changed, metadata dropped and nodes, edges and graphs in random order; and who is who."""

    def shuffled(program: Program, seed: int) -> tuple[Program, dict[NodeRef, NodeRef]]:
        rng = random.Random(seed)
        names = list(program.graphs)
        rng.shuffle(names)
        renamed = {name: f"g{k}" for k, name in enumerate(names)}
        graphs: dict[str, Graph] = {}
        who: dict[NodeRef, NodeRef] = {}
        for name in names:
            graph = program.graphs[name]
            order = list(graph)
            rng.shuffle(order)
            ids = {id: f"n{k}" for k, id in enumerate(order)}
            nodes = []
            for id in order:
                data = {k: v for k, v in graph.nodes[id].items() if k not in ("name", "scope", "loc", "meta")}
                if "calls" in data:
                    data["calls"] = FrozenDict({r: replace(c, graph=renamed[c.graph]) for r, c in data["calls"].items()})
                nodes.append((ids[id], data))
                who[NodeRef(name, id)] = NodeRef(renamed[name], ids[id])
            uses = list(graph.edges(data=True))
            rng.shuffle(uses)
            new = Graph(name=renamed[name])
            new.fill(
                nodes,
                ((ids[s], ids[t], d["src_port"], d["dst_port"]) for s, t, d in uses if d["kind"] == "data"),
                ((ids[s], ids[t]) for s, t, d in uses if d["kind"] == "control"),
            )
            graphs[renamed[name]] = new
        signatures = {f"s{k}": replace(s, graph=renamed[s.graph]) for k, s in enumerate(program.signatures.values())}
        done = replace(program, graphs=graphs, entry=renamed[program.entry], signatures=signatures, frames=(), native=None)
        return ensure_verified(done), who

    return shuffled


@pytest.fixture(scope="session")
def loop(make: Maker) -> Callable[..., Program]:
    """A while loop over (x): body ``x * scale`` with a constant, condition ``x < limit``."""

    def build(*, body_op: str = "x.mul", scale: Any = None, extra: bool = False) -> Program:
        from graphlab.ir.constants import Constant

        scalar = TensorType("float32", ())
        value = Constant(scalar, scale if scale is not None else b"\x00\x00\x80?")
        body_lines: list[Line] = [
            ("x", "in", (), {}),
            ("k", "", (), {"kind": "constant", "outputs": (scalar,), "value": value}),
            ("y", body_op, ("x", "k"), {}),
        ]
        if extra:
            body_lines.append(("z", "x.exp", ("y",), {}))
        body = make.graph("body", body_lines, ["z" if extra else "y"])
        cond = make.graph("cond", [("x", "in", (), {}), ("go", "x.small", ("x",), {"outputs": (TensorType("bool", ()),)})], ["go"])
        calls = FrozenDict({"cond": Call("cond", (0,), (None,)), "body": Call("body", (0,), (0,), ((0, 0),))})
        main = make.graph("main", [("a", "in", (), {}), ("while", "x.while", ("a",), {"calls": calls})], ["while"])
        return make.program(main, cond, body)

    return build


@pytest.fixture(scope="session")
def edit() -> Callable[[Program, str, Callable[[Graph], None]], Program]:
    """A program with one graph copied and changed in place."""

    def edited(program: Program, name: str, change: Callable[[Graph], None]) -> Program:
        graph: Graph = program.graphs[name].copy()
        change(graph)
        return ensure_verified(replace(program, graphs={**program.graphs, name: graph}))

    return edited
