"""Each rule of the IR, broken once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from graphlab.errors import VerifyError
from graphlab.findings import RULES
from graphlab.ir.frames import Frame
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.graph import Call, Graph
from graphlab.ir.program import Program, Signature
from graphlab.ir.verify import ensure_verified, verify

Break = Callable[[Graph], Any]


def test_sound_programs_have_no_findings(loop: Program, chain: Graph, program_of: Callable[[Graph], Program]) -> None:
    assert verify(loop) == ()
    assert ensure_verified(program_of(chain)).main is chain


@pytest.mark.parametrize(("code", "breach"), [
    ("GL001", lambda g: g.connect("x", "sum", 0, 0)),
    ("GL002", lambda g: g.connect("x", "exp", 0, 2)),
    ("GL002", lambda g: g.nodes["sum"].update(absent=(1,))),
    ("GL003", lambda g: g.connect("x", "exp", 1, 1)),
    ("GL004", lambda g: g.nodes["sum"].update(calls=FrozenDict(body=Call("nowhere")))),
    ("GL006", lambda g: g.remove_node("out")),
    ("GL006", lambda g: g.add("out2", kind="output")),
    ("GL007", lambda g: g.nodes["sum"].update(kind="thing")),
    ("GL007", lambda g: g.nodes["sum"].update(op=3)),
    ("GL007", lambda g: g.nodes["sum"].update(colour="red")),
    ("GL007", lambda g: g.nodes["sum"].update(loc=True)),
    ("GL007", lambda g: g.nodes["sum"].update(attrs=FrozenDict(axes=[1]))),
    ("GL007", lambda g: g.nodes["sum"].update(outputs=("f32",))),
    ("GL007", lambda g: g.nodes["sum"].update(effects=(1,))),
    ("GL007", lambda g: g.nodes["sum"].update(absent=("a",))),
    ("GL008", lambda g: g.nodes["sum"].update(loc=1)),
    ("GL009", lambda g: g.nodes["x"].update(index=1)),
    ("GL010", lambda g: g.add_edge("x", "sum", key=(0, 2), kind="data", src_port=0, dst_port=3)),
    ("GL010", lambda g: g.connect("x", "one")),
    ("GL010", lambda g: g.add_edge("x", "sum", key=(0, 0), kind="control", src_port=0, dst_port=0)),
])  # fmt: skip
def test_a_breach_is_found(chain: Graph, program_of: Callable[[Graph], Program], code: str, breach: Break) -> None:
    breach(chain)
    assert code in {finding.code for finding in verify(program_of(chain))}


@pytest.mark.parametrize(
    "call",
    [
        Call("body", (), (0,)),
        Call("body", (0,), ()),
        Call("body", (1,), (0,)),
        Call("body", (0,), (1,)),
        Call("body", (0,), (0,), ((0, 1),)),
        Call("body", (0,), (0,), ((1, 0),)),
    ],
)
def test_a_call_that_does_not_fit_its_callee_is_found(loop: Program, call: Call) -> None:
    loop.main.nodes["while"]["calls"] = FrozenDict(body=call)
    assert {finding.code for finding in verify(loop)} == {"GL005"}


def test_a_missing_entry_is_found(loop: Program) -> None:
    assert {finding.code for finding in verify(replace(loop, entry="nowhere"))} == {"GL004"}


@pytest.mark.parametrize(("code", "signature"), [("GL004", Signature("nowhere")), ("GL009", Signature("main"))])
def test_a_signature_that_fits_no_graph_is_found(loop: Program, code: str, signature: Signature) -> None:
    assert {finding.code for finding in verify(replace(loop, signatures={"s": signature}))} == {code}


def test_a_frame_that_names_a_later_caller_is_found(loop: Program) -> None:
    frames = (Frame("model.py", 1, caller=1), loop.frames[1])
    assert {finding.code for finding in verify(replace(loop, frames=frames))} == {"GL008"}


def test_ensure_verified_raises_with_the_findings(chain: Graph, program_of: Callable[[Graph], Program]) -> None:
    chain.remove_node("out")
    with pytest.raises(VerifyError, match="GL006") as caught:
        ensure_verified(program_of(chain))
    assert caught.value.findings == verify(program_of(chain))


def test_every_rule_of_the_ir_has_a_breach_above() -> None:
    tested = {"GL001", "GL002", "GL003", "GL004", "GL005", "GL006", "GL007", "GL008", "GL009", "GL010"}
    assert {code for code in RULES if code.startswith("GL0")} == tested
