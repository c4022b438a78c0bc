"""Damage below the container: JSON whose structure is wrong, graph texts that are cut and mixed.

``graphlab.testing.fuzz`` flips bytes of a file, which an archive's checksums catch; these go past them. As many as
GRAPHLAB_FUZZ says (300 without it): ``GRAPHLAB_FUZZ=10000 pytest tests/capture/torch/test_damage.py``.
"""

from __future__ import annotations

import copy
import io
import json
import os
import random
import zipfile
from typing import Any

import pytest

from graphlab.capture.file import File
from graphlab.capture.torch import trace_log
from graphlab.capture.torch.pt2_graph import Payloads, program
from graphlab.capture.torch.pt2_schema import Decoder
from graphlab.errors import GraphlabError
from graphlab.ir.program import Source
from graphlab.ir.verify import verify

COUNT = int(os.environ.get("GRAPHLAB_FUZZ", "300"))
JUNK: tuple[Any, ...] = (
    None, True, -1, 1 << 70, 1.5, "", "x", [], {}, [[]], {"as_tensor": {"name": "x"}}, {"as_graph": {"name": "g", "graph": {}}},
    "torch.ops.higher_order.cond", {"as_tensors": [{"name": "x"}]}, {"as_expr": {"expr_str": "Add("}}, {"as_none": True},
)  # fmt: skip


@pytest.fixture(scope="module")
def exported() -> str:
    torch = pytest.importorskip("torch")

    class Model(torch.nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(3, 3)

        def forward(self, x: Any, k: int = 2) -> Any:
            parts = torch.cond(x.sum() > 0, lambda x: self.layer(x).sin(), lambda x: x.cos(), (x,)).split(1, dim=1)
            return parts[0] * k, x.reshape(x.shape[0] * 3)

    shapes = {"x": {0: torch.export.Dim("n", min=2, max=9)}, "k": None}
    buffer = io.BytesIO()
    torch.export.save(torch.export.export(Model(), (torch.ones(3, 3),), {"k": 3}, dynamic_shapes=shapes), buffer)
    with zipfile.ZipFile(buffer) as archive:
        return archive.read(next(name for name in archive.namelist() if name.endswith("models/model.json"))).decode()


def _places(held: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    waiting = [held]
    while waiting:
        value = waiting.pop()
        keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
        found.extend((value, key) for key in keys)
        waiting.extend(value[key] for key in keys)
    return found


def _damage(held: Any, draw: random.Random) -> None:
    places = _places(held)
    for _ in range(draw.choice([1, 1, 2, 5])):
        owner, key = draw.choice(places)
        if (isinstance(owner, dict) and key not in owner) or (isinstance(owner, list) and key >= len(owner)):
            continue
        match draw.randrange(4):
            case 0:
                owner[key] = copy.deepcopy(draw.choice(JUNK))
            case 1:
                del owner[key]
            case 2:
                owner[key] = copy.deepcopy(draw.choice(places)[0])
            case _ if isinstance(owner, dict):
                owner[draw.choice(["as_int", "as_sym_int", "as_graph", "later"])] = owner.pop(key)


@pytest.mark.torch
def test_json_of_any_structure_is_read_or_refused(exported: str) -> None:
    draw = random.Random(7)
    outcomes = {True: 0, False: 0}
    for number in range(COUNT):
        held = json.loads(exported)
        _damage(held, draw)
        try:
            made = program(held, Decoder("read x"), Payloads(), Source("torch", "torch.export"))
        except GraphlabError:
            outcomes[False] += 1
        else:
            assert verify(made) == (), number
            outcomes[True] += 1
    assert all(outcomes.values())


GRAPH = """class GraphModule(torch.nn.Module):
    def forward(self, p: "b8[][]cpu", x: "f32[s0, 3][3, 1]cpu", s0: "Sym(s0)"):
        # File: /home/me/model.py:7 in f, code: return x.sin()
        sin: "f32[s0, 3][3, 1]cpu" = x.sin()
        add: "f32[s0, 3][3, 1]cpu" = sin + 1;  sin = None
        view: "f32[3*s0][1]cpu" = torch.ops.aten.view.default(add, [3*s0]);  add = None
        cond_true_0 = self.cond_true_0
        cond = torch.ops.higher_order.cond(p, cond_true_0, cond_true_0, (x, view));  p = cond_true_0 = x = None
        getitem: "f32[3][1]cpu" = cond[0];  cond = None
        return (getitem, view)

    class cond_true_0(torch.nn.Module):
        def forward(self, x, view):
            full = torch.ops.aten.full.default([2, 2], -inf, dtype = torch.float32, device = device(type='cpu'))
            return (full,)
"""
PIECES = ("(", "[", '"', "\n", "\n\t", "{", ")", "#", ":", " = None", "lambda:", "*", "self.", "class a(torch.nn.Module):\n", "    ", "0x")


def test_graph_texts_cut_and_mixed_are_read_or_refused() -> None:
    draw = random.Random(5)
    line = 'V1122 19:57:34.907000 1894 torch/x.py:1] {"dynamo_output_graph": {}, "frame_id": 0, "frame_compile_id": 0}\n'
    for number in range(COUNT):
        text = GRAPH.replace("[3*s0]", "[-1]")
        for _ in range(draw.choice([1, 2, 4])):
            at, end = sorted(draw.randrange(len(text)) for _ in range(2))
            pieces = [text[:at] + text[end:], text[:at] + draw.choice(PIECES) * draw.choice([1, 1, 200]) + text[at:]]
            text = draw.choice([*pieces, text[:at] + text[at:end] + text[at:end] + text[end:]])
            text = text or GRAPH
        data = line + "".join(f"\t{each}\n" for each in text.split("\n"))
        try:
            made = trace_log.read(File.of("x.log", data.encode()))
        except GraphlabError:
            continue
        assert verify(made) == (), number
