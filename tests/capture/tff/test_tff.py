"""Computations as graphs: lambdas, blocks, structs, selections, built-in operators, leaves; who holds what."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphlab.analyzers import control_flow, placements
from graphlab.capture import tff as reader
from graphlab.capture.file import File
from graphlab.errors import FormatError, SelectError
from graphlab.ir.graph import Call
from graphlab.ir.program import Program
from graphlab.ir.values import OpaqueType, TensorType
from graphlab.ir.verify import verify
from graphlab.testing import mutated, reader_checks

Read = Callable[[Any], Program]
CLIENTS, SERVER = "clients", "server"


def test_a_sum_of_a_map_shows_the_function_that_is_mapped_and_who_holds_what(read: Read, sum_of_map: Any) -> None:
    program = read(sum_of_map)
    mapped, total = program.main.node("mapped"), program.main.node("total")
    assert (mapped.op, total.op) == ("tff.federated_map", "tff.federated_sum")
    assert mapped.calls == {"map": Call("mapped.map", (0,), (0,))}
    assert mapped.attrs["runs"] == {"map": "CLIENTS"}
    assert mapped.outputs == (TensorType("float32", (3,), placement="CLIENTS"),)
    assert total.outputs == (TensorType("float32", (3,), placement="SERVER"),)
    leaf = program.graphs["mapped.map"]
    assert [(n.id, n.op) for n in leaf.each_node() if n.kind == "op"] == [("made", "tf.Neg")]
    assert leaf.node("arg_0").outputs == (TensorType("float32", (3,)),)
    assert [str(slot.type) for slot in program.signatures["main"].inputs] == ["f32[3]@CLIENTS"]


def test_what_crosses_is_told_with_its_bytes(read: Read, sum_of_map: Any) -> None:
    result = placements.analyze(read(sum_of_map))
    assert [(place.name, place.ops) for place in result.places] == [("CLIENTS", 2), ("SERVER", 1)]
    [crossing] = result.crossings
    assert (crossing.op, crossing.source, crossing.target, crossing.nbytes) == ("tff.federated_sum", "CLIENTS", "SERVER", 12)
    assert result.total("CLIENTS", "SERVER") == (12, 0)
    assert result.to_json()["crossings"][0]["bytes"] == 12


def test_a_broadcast_crosses_the_other_way_and_of_a_sequence_nobody_knows_the_bytes(read: Read, make: Any) -> None:
    rows = make.sequence(make.tensor(-1, 4))
    sent = make.intrinsic(
        "federated_broadcast", make.at(CLIENTS, rows, all_equal=True), make.ref("x", make.at(SERVER, rows, all_equal=True))
    )
    result = placements.analyze(read(make.lambda_("x", make.at(SERVER, rows, all_equal=True), sent)))
    [crossing] = result.crossings
    assert (crossing.source, crossing.target, crossing.nbytes) == ("SERVER", "CLIENTS", None)
    assert crossing.reason == "float32[?,4]*@SERVER has no known size"


def test_an_aggregate_runs_its_functions_at_the_server(read: Read, make: Any) -> None:
    t = make.tensor()
    pair = make.struct_type(a=t, b=t)
    two = make.function(pair, t)
    node = make.intrinsic(
        "federated_aggregate", make.at(SERVER, t, all_equal=True), make.ref("x", make.at(CLIENTS, t)), make.ref("zero", t),
        make.tensorflow("AddV2", two), make.tensorflow("AddV2", two), make.tensorflow("Neg", make.function(t, t)),
    )  # fmt: skip
    outer = make.lambda_("arg", make.struct_type(x=make.at(CLIENTS, t), zero=t), make.block(
        node, x=make.select(make.ref("arg", make.struct_type(x=make.at(CLIENTS, t), zero=t)), "x"),
        zero=make.select(make.ref("arg", make.struct_type(x=make.at(CLIENTS, t), zero=t)), 1),
    ))  # fmt: skip
    program = read(outer)
    aggregate = program.main.node("federated_aggregate")
    assert [use.src for use in aggregate.operands] == ["x", "zero"]
    assert dict(aggregate.attrs["runs"]) == {"accumulate": "SERVER", "merge": "SERVER", "report": "SERVER"}
    assert aggregate.calls["accumulate"] == aggregate.calls["merge"] == Call("accumulate", (None, None), (None,))
    assert aggregate.calls["report"].results == (0,)
    assert [slot.name for slot in program.signatures["main"].inputs] == ["x", "zero"]


def test_a_selection_from_a_struct_that_is_known_is_the_element_itself(read: Read, make: Any) -> None:
    t = make.tensor()
    known = make.struct(a=make.ref("x", t), b=make.ref("x", t))
    program = read(make.lambda_("x", t, make.select(known, "b")))
    assert [n.op for n in program.main.each_node() if n.kind == "op"] == []
    assert program.main.operands(program.main.output)[0].src == "x"


def test_a_selection_from_a_value_is_a_node(read: Read, make: Any) -> None:
    t = make.tensor()
    pair = make.struct_type(a=t, b=t)
    inner = make.lambda_("p", pair, make.select(make.ref("p", pair), "b"))
    program = read(make.lambda_("q", pair, make.call(inner, make.ref("q", pair))))
    [graph] = [g for name, g in program.graphs.items() if name != "main"]
    [node] = [n for n in graph.each_node() if n.kind == "op"]
    assert (node.op, node.attrs) == ("tff.select", {"index": 1, "name": "b"})


def test_what_a_lambda_takes_from_around_it_becomes_an_operand(read: Read, make: Any) -> None:
    t = make.tensor()
    add = make.tensorflow("AddV2", make.function(make.struct_type(a=t, b=t), t))
    inner = make.lambda_("y", t, make.call(add, make.struct(a=make.ref("y", t), b=make.ref("k", t))))
    outer = make.lambda_("k", t, make.block(make.call(make.ref("f", inner.type), make.ref("k", t)), f=inner))
    program = read(outer)
    call = program.main.node("f")
    assert (call.op, call.calls["call"]) == ("tff.call", Call("f", (0, 1), (0,)))
    assert [use.src for use in call.operands] == ["k", "k"]
    assert program.graphs["f"].inputs == ["y", "k"]


def test_a_function_that_is_no_more_than_a_value_keeps_its_body(read: Read, make: Any) -> None:
    t = make.tensor()
    identity = make.lambda_("y", t, make.ref("y", t))
    program = read(make.lambda_("x", t, make.struct(f=identity, x=make.ref("x", t))))
    [node] = [n for n in program.main.each_node() if n.op == "tff.function"]
    assert node.kind == "constant"
    assert node.outputs == (OpaqueType("(float32 -> float32)"),)
    assert node.calls["function"].graph in program.graphs


def test_a_function_that_comes_in_is_called_blindly(read: Read, make: Any) -> None:
    t = make.tensor()
    f = make.function(t, t)
    both = make.struct_type(f=f, x=t)
    arg = make.ref("arg", both)
    program = read(make.lambda_("arg", both, make.call(make.select(arg, "f"), make.select(arg, "x"))))
    node = program.main.node("call")
    assert node.effects == ("opaque",)
    assert [use.src for use in node.operands] == ["f", "x"]


def test_a_struct_of_functions_is_a_program_of_several_signatures(make: Any, tmp_path: Path) -> None:
    t = make.tensor()
    whole = make.struct(initialize=make.lambda_("", None, _literal(make, 1.0)), next=make.lambda_("s", t, make.ref("s", t)))
    file = File.of("process.pb", whole.SerializeToString())
    program = reader.read(file)
    assert list(program.signatures) == ["initialize", "next"]
    assert program.entry == program.signatures["initialize"].graph
    assert reader.read(file, select="next").entry == program.signatures["next"].graph
    with pytest.raises(SelectError):
        reader.read(file, select="last")


def _literal(make: Any, value: float) -> Any:
    made = make.of(make.tensor())
    made.literal.value.dtype = 1
    made.literal.value.shape.SetInParent()
    made.literal.value.float32_list.value.append(value)
    return made


def test_a_built_in_operator_alone_is_a_function_that_calls_it(read: Read, make: Any) -> None:
    t = make.tensor(2)
    alone = make.of(make.function(make.at(CLIENTS, t), make.at(SERVER, t, all_equal=True)))
    alone.intrinsic.uri = "federated_sum"
    program = read(alone)
    assert [n.op for n in program.main.each_node() if n.kind == "op"] == ["tff.federated_sum"]


def test_a_leaf_alone_is_its_graph(read: Read, make: Any) -> None:
    t = make.tensor(2)
    program = read(make.tensorflow("AddV2", make.function(make.struct_type(a=t, b=t), t)))
    [signature] = program.signatures.values()
    assert [(slot.name, str(slot.type)) for slot in signature.inputs] == [("a", "f32[2]"), ("b", "f32[2]")]
    assert program.count() == 3


@pytest.mark.parametrize(
    ("number", "field", "values", "wanted"),
    [
        (1, "float32_list", [0.5, 2.0], np.array([0.5, 2.0], np.float32)),
        (9, "int64_list", [-1, 2], np.array([-1, 2], np.int64)),
        (6, "int8_list", [-1, 2], np.array([-1, 2], np.int8)),
        (10, "bool_list", [True, False], np.array([True, False])),
        (19, "float16_list", [0x3C00, 0x4000], np.array([1, 2], np.float16)),
        (8, "complex64_list", [1, 2, 3, 4], np.array([1 + 2j, 3 + 4j], np.complex64)),
        (23, "uint64_list", [1, 2**63], np.array([1, 2**63], np.uint64)),
    ],
)
def test_literals_have_their_values(read: Read, make: Any, number: int, field: str, values: list[Any], wanted: Any) -> None:
    made = make.of(make.tensor(2, dtype=number))
    made.literal.value.dtype = number
    made.literal.value.shape.dim.append(2)
    getattr(made.literal.value, field).value.extend(values)
    value = read(make.lambda_("", None, made)).main.node("literal").value
    assert value is not None
    assert value.array().tolist() == wanted.tolist()
    assert value.array().dtype == wanted.dtype


def test_an_xla_leaf_is_its_module(read: Read, make: Any) -> None:
    hlo = pytest.importorskip("jaxlib._hlo")
    text = "HloModule m\nENTRY e { a = f32[2] parameter(0) ROOT n = f32[2] negate(a) }"
    t = make.tensor(2)
    leaf = make.of(make.function(t, t))
    leaf.xla.hlo_module.type_url = "type.googleapis.com/xla.HloModuleProto"
    leaf.xla.hlo_module.value = hlo.hlo_module_from_text(text).as_serialized_hlo_module_proto()
    leaf.xla.parameter.tensor.index = 0
    leaf.xla.result.tensor.index = 0
    program = read(make.lambda_("x", t, make.call(leaf, make.ref("x", t))))
    [node] = [n for n in program.main.each_node() if n.kind == "op"]
    assert node.op == "tff.xla"
    assert "hlo.negate" in program.op_counts()


def test_types_of_old_and_new_versions_are_one(read: Read, make: Any) -> None:
    old = make.lambda_("x", make.struct_type(a=make.tensor(), b=make.tensor()), _by_name(make))
    assert read(old).main.operands(read(old).main.output)[0].src == "b"


def _by_name(make: Any) -> Any:
    pair = make.struct_type(a=make.tensor(), b=make.tensor())
    return make.select(make.ref("x", pair), "b")


@pytest.mark.parametrize("wrong", ["reference", "selection", "leaf", "arity", "empty"])
def test_an_unsound_computation_is_refused(read: Read, make: Any, wrong: str) -> None:
    t = make.tensor()
    if wrong == "reference":
        made = make.lambda_("x", t, make.ref("y", t))
    elif wrong == "selection":
        made = make.lambda_("x", t, make.ref("x", t))
        inner = getattr(made, "lambda").result
        inner.selection.index = 7
        inner.selection.source.CopyFrom(make.ref("x", make.struct_type(a=t)))
    elif wrong == "leaf":
        leaf = make.tensorflow("Neg", make.function(t, t))
        leaf.tensorflow.graph_def.type_url = "type.googleapis.com/other.Message"
        made = make.lambda_("x", t, make.call(leaf, make.ref("x", t)))
    elif wrong == "arity":
        made = make.lambda_("x", t, make.struct(a=make.ref("x", t)))
        getattr(made, "lambda").result.type.CopyFrom(make.struct_type())
    else:
        made = make.lambda_("x", t, make.of(t))
    with pytest.raises(FormatError) as error:
        read(made)
    assert "computation.pb" in error.value.asked
    assert error.value.where


def test_the_readers_contract_holds(tmp_path: Path, sum_of_map: Any) -> None:
    path = tmp_path / "sum.pb"
    path.write_bytes(sum_of_map.SerializeToString())
    for parameters in reader_checks(path):
        check, sample = getattr(parameters, "values", parameters)
        check(sample)


def test_damaged_copies_are_refused_or_sound(tmp_path: Path, sum_of_map: Any) -> None:
    path = tmp_path / "sum.pb"
    path.write_bytes(sum_of_map.SerializeToString())
    chance = random.Random(3)
    seen = 0
    for _ in range(600):
        file = File.open(mutated(path, chance, tmp_path / "copy"))
        try:
            program = reader.read(file) if reader.matches(file) else None
        except FormatError:
            continue
        assert program is None or not verify(program)
        seen += program is not None
    assert seen > 10


@pytest.mark.corpus
def test_the_sum_of_a_map_of_the_corpus_crosses_twelve_bytes(corpus: Path) -> None:
    program = reader.read(File.open(corpus / "tff" / "f.tff.pb"))
    assert not verify(program)
    assert [n.op for n in program.main.each_node() if n.kind == "op"] == ["tff.federated_map", "tff.federated_sum"]
    result = placements.analyze(program)
    assert [(c.source, c.target, c.nbytes) for c in result.crossings] == [("CLIENTS", "SERVER", 12)]


@pytest.mark.corpus
def test_federated_averaging_shows_what_runs_where_and_what_crosses(corpus: Path) -> None:
    """A model of f32[8,4] and f32[4]: 144 bytes down; 144 bytes of update, its weight and the metrics up."""
    program = reader.read(File.open(corpus / "tff" / "fedavg_next.tff.pb"))
    assert not verify(program)
    result = placements.analyze(program)
    assert [place.name for place in result.places] == ["CLIENTS", "SERVER"]
    assert all(place.ops > 100 for place in result.places)
    moved = [(c.op, c.source, c.nbytes) for c in result.crossings]
    assert moved[:2] == [("tff.federated_broadcast", "SERVER", 144), ("tff.federated_broadcast", "SERVER", 4)]
    assert sorted(size for _, source, size in moved if source == "CLIENTS" and size) == [4, 32, 144]
    assert [slot.name for slot in program.signatures["main"].inputs] == ["state", "client_data"]
    assert {"tf.MatMul", "tf.If", "tf.DatasetReduce"} & set(program.op_counts())


@pytest.mark.corpus
def test_a_clients_pass_over_its_examples_is_a_loop_decided_by_them(corpus: Path) -> None:
    program = reader.read(File.open(corpus / "tff" / "fedavg_next.tff.pb"))
    (loop,) = [c for c in control_flow.analyze(program).constructs if c.form == "loop"]
    assert (loop.op, loop.decided_by, loop.trip_count) == ("tf.ReduceDataset", "input", None)
    assert "client_data" in [cause.name for cause in loop.causes]
    assert [region.role for region in loop.regions] == ["body"]


@pytest.mark.corpus
def test_every_tff_file_reads_and_no_other_is_taken_for_one(corpus: Path) -> None:
    files = sorted(path for path in corpus.rglob("*") if path.is_file())
    assert [p.name for p in files if reader.matches(File.open(p))] == ["f.tff.pb", "fedavg_initialize.tff.pb", "fedavg_next.tff.pb"]
