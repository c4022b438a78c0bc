"""The diff as data."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import jsonschema
import pytest

import graphlab
from graphlab.diff.changes import KINDS
from graphlab.ir.constants import Constant
from graphlab.ir.frozen import FrozenDict, frozen
from graphlab.ir.graph import Call
from graphlab.ir.program import DimRange, Program
from graphlab.ir.values import SymDim, TensorType


@pytest.fixture(scope="module")
def schema() -> Any:
    return json.loads(resources.files("graphlab.diff").joinpath("diff.schema.json").read_text())


def _program(make: Any, *, second: bool) -> Program:
    """Two programs that differ in nearly everything a diff has a word for."""
    kind = TensorType("float32", (SymDim("n"), 4))
    small = TensorType("float32", ())
    inner = make.graph("other" if second else "one", [("x", "in", (), {}), ("e", "x.exp" if second else "x.log", ("x",), {})], ["e"])
    calls = FrozenDict({"then" if second else "else": Call(str(inner.name), (0,), (0,))})
    lines: list[Any] = [
        ("x", "in", (), {"outputs": (TensorType("bfloat16", (SymDim("n"), 4)) if second else kind,)}),
        ("k", "", (), {"kind": "constant", "outputs": (small,), "value": Constant(small, bytes(3) + (b"?" if second else b"@"))}),
        ("s", "x.sub", ("k", "x") if second else ("x", "k"), {"attrs": frozen(axis=(1, 2.5, float("inf")) if second else 0)}),
        ("r", "x.gelu" if second else "x.relu", ("s",), {"attrs": frozen(limit=1)}),
        ("c", "x.cond", ("r",), {"calls": calls}),
        ("t", "x.tanh", ("s" if second else "c",), {}),
    ]
    lines += [("new", "x.new", ("t", "c"), {})] if second else [("old", "x.old", ("t", "c"), {})]
    last = str(lines[-1][0])
    dims = {"n": DimRange(1, 8 if second else None)}
    program: Program = make.single(lines, [last, last] if second else [last], inner, dims=dims)
    return program


def _replaced(make: Any, *, second: bool) -> Program:
    """Two programs that differ in an operation in its place, in a role, and in the region a dead node stands in."""
    body: list[Any] = [("x", "in", (), {}), ("s", "x.sin", ("x",), {}), ("e", "x.exp", ("s",), {})]
    dead: Any = ("dead", "x.rare", ("s",), {})
    inner = make.graph("inner", [*body, dead] if second else body, ["e"])
    calls = FrozenDict({"then" if second else "else": Call("inner", (0,), (0,))})
    lines: list[Any] = [*body, ("r", "x.gelu" if second else "x.relu", ("e",), {}), ("c", "x.cond", ("r",), {"calls": calls})]
    program: Program = make.single(lines if second else [*lines, dead], ["c"], inner)
    return program


def test_every_kind_of_change_follows_the_published_schema(make: Any, schema: Any) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    seen: set[str] = set()
    for build in (_program, _replaced):
        data = graphlab.diff(build(make, second=False), build(make, second=True)).to_json()
        jsonschema.Draft202012Validator(schema).validate(json.loads(json.dumps(data, allow_nan=False)))
        seen |= set(data["counts"])
    assert seen == set(KINDS.values())


def test_an_empty_diff_follows_the_schema(make: Any, schema: Any) -> None:
    data = graphlab.diff(make.layers(2), make.layers(2)).to_json()
    jsonschema.Draft202012Validator(schema).validate(data)
    assert data["equal"] is True


def test_the_schema_refuses_what_it_does_not_know(make: Any, schema: Any) -> None:
    data = graphlab.diff(make.layers(2), make.layers(2, drop=0)).to_json()
    data["changes"][0]["surprise"] = 1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(data)
