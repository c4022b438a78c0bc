"""The .graphlab format: round trips of random programs, its schema, and bytes that are no such file."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from jsonschema import Draft202012Validator

import graphlab
from graphlab.errors import FormatError, GraphlabError, ValueUnavailable, VerifyError
from graphlab.ir.constants import INLINE_BYTES, Constant
from graphlab.ir.format import dumps, load, loads, save
from graphlab.ir.frames import Frame, FrameTable
from graphlab.ir.frozen import FrozenDict, frozen
from graphlab.ir.graph import Call, Control, Graph, Kind, Operand
from graphlab.ir.program import Attempt, DimRange, Program, Signature, Slot, Source
from graphlab.ir.values import OpaqueType, SymDim, TensorType, TokenType, TupleType, ValueType
from graphlab.ir.verify import verify

SCHEMA = Draft202012Validator(json.loads(files("graphlab.ir").joinpath("graphlab.schema.json").read_text()))
NODE_KINDS: tuple[Kind, ...] = ("op", "op", "constant", "parameter")
BITS = [b"", b"0", b"-1", b"null", b'"', b"[", b"]", b"{}", b"true", b"1e9", b"\\ud800", b"\xff"]

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
DIMS = st.one_of(
    st.none(), st.lists(st.one_of(st.integers(0, 9), st.sampled_from(["n", "2*n"]).map(SymDim), st.none()), max_size=3).map(tuple)
)
TENSORS = st.builds(
    TensorType, st.sampled_from(["float32", "bfloat16", "int4", "bool", "string"]), DIMS, st.none() | TEXT, st.none() | TEXT
)
TYPES: st.SearchStrategy[ValueType] = st.recursive(
    st.one_of(TENSORS, st.just(TokenType()), st.builds(OpaqueType, TEXT)),
    lambda inner: st.lists(inner, max_size=3).map(lambda e: TupleType(tuple(e))),
    max_leaves=4,
)
CONSTANTS = st.builds(Constant, TENSORS, st.one_of(st.none(), st.binary(max_size=8), st.just(b"\1" * (INLINE_BYTES + 1))), reason=TEXT)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.complex_numbers(), TEXT, st.binary(max_size=4),
    st.just(SymDim("n")), TYPES, CONSTANTS, st.integers(0, 3).map(Operand),
)  # fmt: skip
BAGS = st.dictionaries(
    TEXT,
    st.recursive(
        SCALARS, lambda v: st.lists(v, max_size=3).map(tuple) | st.dictionaries(TEXT, v, max_size=2).map(FrozenDict), max_leaves=5
    ),
    max_size=3,
).map(FrozenDict)


@st.composite
def regions(draw: st.DrawFn, name: str, callees: dict[str, tuple[int, int]], frames: int) -> Graph:
    """A region that keeps the IR's rules, using any of ``callees`` (name -> inputs, results)."""
    graph = Graph(name=name)
    graph.graph.update({k: v for k, v in draw(BAGS).items() if k != "name"})
    made: list[tuple[str, int]] = []
    for i in range(draw(st.integers(0, 3))):
        graph.add(f"in{i}", kind="input", index=i, outputs=(draw(TYPES),), name=draw(TEXT))
        made.append((f"in{i}", 0))
    for i in range(draw(st.integers(0, 6))):
        id = f"n{draw(TEXT)}{i}"
        outputs = tuple(draw(st.lists(TYPES, max_size=3)))
        kind: Kind = draw(st.sampled_from(NODE_KINDS))
        fed = draw(st.lists(st.sampled_from(made), max_size=3)) if made and kind == "op" else []
        data: dict[str, Any] = {"op": "t." + draw(TEXT), "outputs": outputs, "attrs": draw(BAGS), "meta": draw(BAGS), "scope": draw(TEXT)}
        if frames:
            data["loc"] = draw(st.none() | st.integers(0, frames - 1))
        if kind != "op":
            data["value"] = draw(CONSTANTS)
        elif callees:
            callee = draw(st.sampled_from(sorted(callees)))
            takes, gives = callees[callee]
            slots = st.none() if not fed else st.none() | st.integers(0, len(fed) - 1)
            ports = st.none() if not outputs else st.none() | st.integers(0, len(outputs) - 1)
            carried = ((0, 0),) if takes and gives else ()
            data["calls"] = FrozenDict(
                body=Call(callee, tuple(draw(slots) for _ in range(takes)), tuple(draw(ports) for _ in range(gives)), carried)
            )
            data["control"] = draw(st.sampled_from([None, Control("loop", None, ("body", 0), 0, "n"), Control("conditional", 0)]))
        absent = kind == "op" and draw(st.booleans())
        graph.add(id, kind=kind, effects=draw(st.sampled_from([(), ("random", "io")])), absent=(len(fed),) if absent else (),
                  synthetic=draw(st.booleans()), **data)  # fmt: skip
        for slot, (src, port) in enumerate(fed):
            graph.connect(src, id, port, slot)
        ordered = draw(st.booleans())
        if made and ordered:
            graph.connect_control(made[0][0], id)
        made.extend((id, port) for port in range(len(outputs)))
    graph.add("out", kind="output", synthetic=True)
    for slot, (src, port) in enumerate(draw(st.lists(st.sampled_from(made), max_size=3)) if made else []):
        graph.connect(src, "out", port, slot)
    return graph


@st.composite
def programs(draw: st.DrawFn) -> Program:
    table = FrameTable()
    for _ in range(draw(st.integers(0, 2))):
        table.add_stack(draw(st.lists(st.builds(Frame, TEXT, st.integers(0, 9)), max_size=3)))
    frames = table.done()
    graphs: dict[str, Graph] = {}
    arity: dict[str, tuple[int, int]] = {}
    for i in range(draw(st.integers(1, 3))):
        name = f"{draw(TEXT)}{i}"
        graphs[name] = draw(regions(name, arity, len(frames)))
        arity[name] = (len(graphs[name].inputs), len(graphs[name].operands("out")))
    takes, gives = arity[name]
    slots = st.builds(Slot, TEXT, TYPES, st.sampled_from(["user", "buffer"]), st.none() | TEXT)
    signature = Signature(name, tuple(draw(slots) for _ in range(takes)), tuple(draw(slots) for _ in range(gives)))
    tried = Attempt("a", False, 0.0, "no", frames[0] if frames else None)
    source = Source("t", "t", producer=draw(TEXT), path=draw(st.none() | TEXT), attempts=(tried,), notes=(draw(BAGS),))
    return Program(graphs, name, source, {"main": signature}, {"n": DimRange(1, draw(st.none() | st.integers(1, 9)))}, frames, draw(BAGS))


def content(program: Program) -> object:
    """Everything compared, as text: NaN is equal to itself there, and a constant without bytes has no other equality."""
    graphs = [
        (
            name,
            graph.graph,
            [(id, sorted(data.items())) for id, data in graph.nodes(data=True)],
            sorted(graph.edges(keys=True, data=True), key=repr),
        )
        for name, graph in program.graphs.items()
    ]
    rest = (program.entry, program.signatures, program.dims, program.frames, program.meta, program.source)
    return repr((graphs, rest))


@settings(max_examples=60, deadline=None)
@given(programs())
def test_any_sound_program_comes_back_equal_and_with_the_same_bytes(program: Program) -> None:
    assert verify(program) == ()
    data = dumps(program)
    back = loads(data)
    assert dumps(back) == data
    assert content(back) == content(program)


@settings(max_examples=25, deadline=None)
@given(programs())
def test_what_is_written_follows_the_schema(program: Program) -> None:
    SCHEMA.validate(json.loads(dumps(program)))


def test_the_schema_is_one_itself_and_documents_every_field() -> None:
    Draft202012Validator.check_schema(SCHEMA.schema)
    node = SCHEMA.schema["$defs"]["node"]["properties"]
    assert all("description" in field or "$ref" in field for key, field in node.items() if key not in ("id", "kind", "outputs"))


@settings(max_examples=60, deadline=None)
@given(programs(), st.data())
def test_mutated_bytes_give_one_of_our_errors_or_a_sound_program(program: Program, data: st.DataObject) -> None:
    original = bytearray(dumps(program))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(original) - 1))
        original[at : at + data.draw(st.integers(0, 3))] = data.draw(
            st.sampled_from([b"", b"0", b"-1", b"null", b'"', b"[", b"]", b"{}", b"true", b"1e9", b"\\ud800", b"\xff"])
        )
    check(bytes(original))


@settings(max_examples=100, deadline=None)
@given(programs(), st.data())
def test_well_formed_json_of_another_structure_gives_one_of_our_errors_or_a_sound_program(program: Program, data: st.DataObject) -> None:
    raw = json.loads(dumps(program))
    junk: st.SearchStrategy[Any] = st.sampled_from(
        [None, True, -1, 10**30, 0.5, "", "x", [], {}, [[]], {"x": 1}, {"type": 0}, ["x"], [None], {"map": {}}]
    )
    for _ in range(data.draw(st.integers(1, 3))):
        at: Any = raw
        while True:
            keys = list(at) if isinstance(at, dict) else list(range(len(at)))
            key = data.draw(st.sampled_from(keys))
            if not isinstance(at[key], (dict, list)) or not at[key] or data.draw(st.integers(0, 4)) == 0:
                break
            at = at[key]
        at[key] = copy.deepcopy(data.draw(junk))  # sampled values are shared: one must not end up within itself
        if not isinstance(raw, dict) or not raw:
            break
    check(json.dumps(raw).encode())


def check(data: bytes) -> None:
    try:
        program = loads(data)
    except (FormatError, VerifyError):
        return
    assert verify(program) == ()
    assert dumps(loads(dumps(program))) == dumps(program)


def test_equal_programs_have_equal_bytes(loop: Program) -> None:
    assert dumps(loop) == dumps(replace(loop, graphs={name: graph.copy() for name, graph in loop.graphs.items()}))


def test_the_native_object_and_times_are_left_out(loop: Program) -> None:
    timed = replace(loop, native=object()).replace_source(attempts=(Attempt("read", True, 1.5),))
    back = loads(dumps(timed))
    assert back.native is None
    assert back.source.attempts[0].seconds == 0.0


def test_a_large_constant_is_kept_by_digest_alone(chain: Graph, program_of: Callable[[Graph], Program]) -> None:
    big = Constant(TensorType("uint8", (INLINE_BYTES + 1,)), b"\7" * (INLINE_BYTES + 1))
    chain.nodes["one"]["value"] = big
    back = loads(dumps(program_of(chain))).main.node("one").value
    assert back is not None
    assert (back.digest, back.nbytes) == (big.digest, INLINE_BYTES + 1)
    with pytest.raises(ValueUnavailable, match="only its digest"):
        back.bytes()


def test_an_attribute_without_a_word_in_the_format_is_named(chain: Graph, program_of: Callable[[Graph], Program]) -> None:
    chain.nodes["sum"]["attrs"] = FrozenDict(f=object())
    with pytest.raises(GraphlabError, match="graph 'main', node 'sum': an attribute holds a object"):
        dumps(program_of(chain))


def test_a_file_comes_back_as_it_was_saved(loop: Program, tmp_path: Path) -> None:
    save(loop, tmp_path / "a.graphlab")
    assert dumps(load(tmp_path / "a.graphlab")) == dumps(loop)


def test_a_path_that_is_not_there_or_cannot_be_written_is_said_so(loop: Program, tmp_path: Path) -> None:
    with pytest.raises(GraphlabError, match="No such file"):
        load(tmp_path / "none.graphlab")
    with pytest.raises(GraphlabError, match="No such file"):
        save(loop, tmp_path / "none" / "a.graphlab")


@pytest.mark.parametrize(("data", "said"), [
    (b"", "not JSON"),
    (b"{", "not JSON"),
    (b"\xff\xfe", "not JSON"),
    (b"[1]", "no 'graphlab' version field"),
    (b'{"graphlab":2}', "version 2"),
    (b'{"graphlab":true}', "version True"),
    (b'{"graphlab":1}', "KeyError: 'types'"),
    (b"[" * 100_000, "not JSON"),
])  # fmt: skip
def test_bytes_that_are_no_such_file_are_refused(data: bytes, said: str) -> None:
    with pytest.raises(FormatError, match=said):
        loads(data)


def edited(program: Program, edit: Callable[[dict[str, Any]], Any]) -> bytes:
    raw = json.loads(dumps(program))
    edit(raw)
    return json.dumps(raw).encode()


@pytest.mark.parametrize("edit", [
    lambda raw: raw["types"].extend({"tuple": [len(raw["types"]) - 1 + i] * 2} for i in range(60)),
    lambda raw: raw["types"].extend({"tuple": [len(raw["types"]) - 1 + i]} for i in range(20_000)),
    lambda raw: raw["graphs"].append(raw["graphs"][0]),
    lambda raw: raw["graphs"][0]["nodes"].append(raw["graphs"][0]["nodes"][0]),
    lambda raw: raw["graphs"][0]["nodes"][1].update({"in": [["nowhere", 0]]}),
    lambda raw: raw["graphs"][0]["nodes"][1].update(after=["nowhere"]),
    lambda raw: raw["graphs"][0]["nodes"][1].update(control=["maybe", None, None, None, None]),
    lambda raw: raw["graphs"][0].update(meta={"map": {"deep": json.loads("[" * 900 + "]" * 900)}}),
    lambda raw: raw["signatures"]["main"]["inputs"][0].update(role="wizard"),
    lambda raw: raw["meta"].update(map={"c": {"constant": {"type": 0, "nbytes": 1, "digest": "00", "bytes": "AA=="}}}),
    lambda raw: raw.update(entry="\ud800"),
])  # fmt: skip
def test_a_file_that_breaks_the_schema_is_refused(loop: Program, edit: Callable[[dict[str, Any]], Any]) -> None:
    with pytest.raises(FormatError):
        loads(edited(loop, edit))


def test_graph_facts_named_like_networkx_arguments_are_facts(loop: Program) -> None:
    loop.main.graph["incoming_graph_data"] = frozen(a=1)
    assert loads(dumps(loop)).main.graph["incoming_graph_data"] == {"a": 1}


def test_a_program_that_breaks_the_rules_is_refused(loop: Program) -> None:
    with pytest.raises(VerifyError, match="GL006"):
        loads(edited(loop, lambda raw: raw["graphs"][1]["nodes"].pop()))


@pytest.mark.corpus
@pytest.mark.parametrize("name", ["gemma3_1b_flax_call.hlo", "resnet50_keras_jax_f32.hlo"])
def test_real_programs_follow_the_schema_and_come_back_with_the_same_bytes(corpus: Path, name: str) -> None:
    data = dumps(graphlab.load(next(corpus.rglob(name))))
    SCHEMA.validate(json.loads(data))
    assert dumps(loads(data)) == data
