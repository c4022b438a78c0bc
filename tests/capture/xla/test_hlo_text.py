"""The HLO text reader, feature by feature, on modules written for the purpose."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from graphlab.capture.file import File
from graphlab.capture.xla.hlo_text import matches, parse_hlo, parse_modules, read
from graphlab.errors import FormatError, ValueUnavailable
from graphlab.ir.format import dumps, loads
from graphlab.ir.graph import Call, Control, Node
from graphlab.ir.program import DimRange, NodeRef, Program
from graphlab.ir.values import OpaqueType, SymDim, TensorType, TokenType, TupleType
from graphlab.ir.verify import verify

LOOP = """HloModule counted, entry_computation_layout={(f32[3]{0})->f32[3]{0}}, is_scheduled=true, num_partitions=2

FileNames
1 "/home/me/model.py"
2 "/venv/lib/python3.11/site-packages/jax/_src/numpy/ufuncs.py"

FunctionNames
1 "main"
2 "block"
3 "sin"

FileLocations
1 {file_name_id=1 function_name_id=1 line=30 end_line=30 column=5 end_column=9}
2 {file_name_id=1 function_name_id=2 line=12 end_line=12 column=9 end_column=19}
3 {file_name_id=2 function_name_id=3 line=99 end_line=99 column=3 end_column=7}

StackFrames
1 {file_location_id=1 parent_frame_id=1}
2 {file_location_id=2 parent_frame_id=2}
3 {file_location_id=3 parent_frame_id=3}

%body (state: (s32[], f32[3])) -> (s32[], f32[3]) {
  %state = (s32[], f32[3]{0}) parameter(0)
  %i = s32[] get-tuple-element(%state), index=0
  %one = s32[] constant(1)
  %next = s32[] add(%i, %one)
  %x = f32[3]{0} get-tuple-element(%state), index=1
  %sine = f32[3]{0} sine(%x), metadata={op_name="jit(main)/block/sin" stack_frame_id=3}
  ROOT %out = (s32[], f32[3]{0}) tuple(%next, %sine)
}

%cond (state.1: (s32[], f32[3])) -> pred[] {
  %state.1 = (s32[], f32[3]{0}) parameter(0)
  %i.1 = s32[] get-tuple-element(%state.1), index=0
  %limit = s32[] constant(7)
  ROOT %less = pred[] compare(%i.1, %limit), direction=LT
}

ENTRY %main (x.1: f32[3]) -> f32[3] {
  %x.1 = f32[3]{0} parameter(0), sharding={devices=[2]<=[2]}
  %zero = s32[] constant(0)
  %start = (s32[], f32[3]{0}) tuple(%zero, %x.1)
  %loop = (s32[], f32[3]{0}) while(%start), condition=%cond, body=%body
  ROOT %result = f32[3]{0} get-tuple-element(%loop), index=1
}
"""

MIXED = """HloModule mixed

add { a = f32[] parameter(0)
  b = f32[] parameter(1)
  ROOT sum = f32[] add(a, b) }

fused {
  p = f32[2,4] parameter(0)
  ROOT negated = f32[2,4] negate(p)
  unused = f32[2,4] abs(p)  // after ROOT
}

yes { y = f32[2,4] parameter(0) ROOT y2 = f32[2,4] add(y, y) }
no { ROOT n = f32[2,4] parameter(0) }

ENTRY main {
  x = f32[2,4]{1,0:T(8,128)(2,1)S(1)} parameter(0), frontend_attributes={
    who="me, {you}", what="\\"quoted\\""}
  flag = pred[] parameter(1)
  zero = f32[] constant(0)
  f = f32[2,4] fusion(f32[2,4]{1,0:T(8,128)(2,1)S(1)} %x),
    kind=kLoop, calls=fused
  total = f32[2] reduce(f, zero), dimensions={1}, to_apply=add
  cut = f32[1,2] slice(f), slice={[0:1], [0:4:2]}
  choice = f32[2,4] conditional(flag, f, x), true_computation=yes, false_computation=no
  call = f32[2,4] custom-call(choice), custom_call_target="mine", backend_config={"a":{"b":[1,2]}}, control-predecessors={%cut}
  gathered = f32[2,4] all-reduce(call), replica_groups=[2,4]<=[4,2]T(1,0), to_apply=add
  conv = f32[2,4] convolution(x, x), window={size=3x2 pad=1_1x0_2 rhs_reversal=1x0}, dim_labels=bf_oi->bf, novel=some{thing}[1]
  ROOT all = (f32[2], f32[2,4], /*index=2*/f32[2,4]) tuple(total, gathered, /*index=2*/conv)
}
"""


def _entry(body: str) -> Program:
    program = parse_hlo("ENTRY main {\n" + body + "\n}\n")
    assert verify(program) == ()
    return program


def _node(body: str, id: str) -> Node:
    return _entry(body).main.node(id)


def test_a_loop_has_its_regions() -> None:
    program = parse_hlo(LOOP)
    loop = program.main.node("loop")
    assert dict(loop.calls) == {"cond": Call("cond", (0,), (None,)), "body": Call("body", (0,), (0,), ((0, 0),))}
    assert loop.control == Control("loop", condition=("cond", 0))
    assert verify(program) == ()


def test_a_trip_count_is_the_one_that_xla_noted() -> None:
    noted = 'condition=%cond, body=%body, backend_config={"known_trip_count":{"n":"5"}}'
    control = parse_hlo(LOOP.replace("condition=%cond, body=%body", noted)).main.node("loop").control
    assert control == Control("loop", condition=("cond", 0), trip_count=5)


def test_frames_name_the_users_line_and_its_callers() -> None:
    program = parse_hlo(LOOP)
    sine = program.graphs["body"].node("sine")
    assert [(f.file, f.line, f.function) for f in program.stack(sine)] == [
        ("/home/me/model.py", 12, "block"),
        ("/home/me/model.py", 30, "main"),
    ]
    assert sine.scope == "jit(main)/block"
    assert sine.meta == {"op_name": "jit(main)/block/sin"}


def test_metadata_without_a_table_gives_file_and_line() -> None:
    program = _entry('x = f32[] parameter(0), metadata={op_type="Neg" op_name="net/a[k=(1, 2)]/neg" source_file="m.py" source_line=4}')
    node = program.main.node("x")
    assert str(program.frame(node)) == "m.py:4"
    assert node.scope == "net/a[k=(1, 2)]"
    assert node.meta == {"op_type": "Neg", "op_name": "net/a[k=(1, 2)]/neg"}


def test_the_header_and_the_signature_are_kept() -> None:
    program = parse_hlo(LOOP)
    assert program.meta["module"] == "counted"
    assert program.meta["is_scheduled"] is True
    assert program.meta["num_partitions"] == 2
    assert program.meta["entry_computation_layout"] == "{(f32[3]{0})->f32[3]{0}}"
    signature = program.signatures["counted"]
    assert [slot.name for slot in signature.inputs] == ["x.1"]
    assert signature.inputs[0].type == TensorType("float32", (3,), "{0}", "{devices=[2]<=[2]}")
    assert [slot.name for slot in signature.outputs] == ["result"]


def test_nodes_are_counted_as_xla_counts_them() -> None:
    assert parse_hlo(LOOP).count() == 7 + 4 + 5


def test_regions_of_every_kind_are_called() -> None:
    main = parse_hlo(MIXED).main
    assert dict(main.node("f").calls) == {"call": Call("fused", (0,), (0,))}
    assert dict(main.node("total").calls) == {"to_apply": Call("add", (None, None), (0,))}
    assert dict(main.node("choice").calls) == {"then": Call("yes", (1,), (0,)), "else": Call("no", (2,), (0,))}
    assert main.node("choice").control == Control("conditional", predicate=0)


def test_a_root_in_the_middle_is_the_result() -> None:
    fused = parse_hlo(MIXED).graphs["fused"]
    assert [use.src for use in fused.operands(fused.output)] == ["negated"]
    assert fused.node(fused.output).synthetic


def test_attributes_are_values() -> None:
    main = parse_hlo(MIXED).main
    assert main.node("x").attrs["frontend_attributes"] == {"who": "me, {you}", "what": '"quoted"'}
    assert main.node("cut").attrs["slice"] == ((0, 1, 1), (0, 4, 2))
    assert main.node("call").attrs["backend_config"] == {"a": {"b": (1, 2)}}
    assert main.node("gathered").attrs["replica_groups"] == ((0, 2, 4, 6), (1, 3, 5, 7))
    assert main.node("conv").attrs["window"] == {"size": (3, 2), "pad": ((1, 1), (0, 2)), "rhs_reversal": (True, False)}
    assert main.node("conv").attrs["novel"] == "some{thing}[1]"
    assert main.node("total").attrs == {"dimensions": (1,)}


def test_control_predecessors_are_control_edges() -> None:
    main = parse_hlo(MIXED).main
    assert [key for _, _, key, kind in main.edges(keys=True, data="kind") if kind == "control"] == [(-1, -1)]
    assert main.has_edge("cut", "call")
    assert [use.src for use in main.node("call").operands] == ["choice"]


def test_effects_and_counterparts() -> None:
    main = parse_hlo(MIXED).main
    assert main.node("call").effects == ("opaque",)
    assert main.node("gathered").effects == ("collective",)
    assert main.node("total").canonical == "ReduceSum"
    assert main.node("choice").canonical == "If"
    assert _node('x = f32[2] parameter(0)\ny = f32[2] custom-call(x), custom_call_target="Sharding"', "y").effects == ()


@pytest.mark.parametrize(("shapes", "dims", "canonical"), [
    (("f32[2,3]", "f32[3,4]"), "lhs_contracting_dims={1}, rhs_contracting_dims={0}", "MatMul"),
    (("f32[2,3]", "f32[4,3]"), "lhs_contracting_dims={1}, rhs_contracting_dims={1}", None),
    (("f32[5,2,3]", "f32[5,3,4]"), "lhs_batch_dims={0}, rhs_batch_dims={0}, lhs_contracting_dims={2}, rhs_contracting_dims={1}", "MatMul"),
])  # fmt: skip
def test_a_dot_is_a_matmul_only_in_numpys_form(shapes: tuple[str, str], dims: str, canonical: str | None) -> None:
    body = f"a = {shapes[0]} parameter(0)\nb = {shapes[1]} parameter(1)\nc = f32[] dot(a, b), {dims}"
    assert _node(body, "c").canonical == canonical


@pytest.mark.parametrize(("text", "type"), [
    ("pred[]", TensorType("bool", ())),
    ("s4[2, 3]{1,0}", TensorType("int4", (2, 3), "{1,0}")),
    ("f8e4m3fn[2]{0:T(256)}", TensorType("float8_e4m3fn", (2,), "{0:T(256)}")),
    ("f32[<=5,?]", TensorType("float32", (SymDim("<=5"), None))),
    ("(token[], (), opaque[], /*index=3*/u1[8])", TupleType((TokenType(), TupleType(()), OpaqueType("opaque"), TensorType("uint1", (8,))))),
    ("b(f32[2])", OpaqueType("b(f32[2])")),
])  # fmt: skip
def test_shapes_are_value_types(text: str, type: object) -> None:
    assert _node(f"x = {text} parameter(0)", "x").outputs == (type,)


def test_a_bounded_dimension_has_its_range() -> None:
    assert _entry("x = f32[<=5] parameter(0)").dims == {"<=5": DimRange(0, 5)}


@pytest.mark.parametrize(("text", "value"), [
    ("f32[2,2] constant({ { 1, -inf }, { /*i1=1*/ 2e3, nan } })", [[1.0, -np.inf], [2000.0, np.nan]]),
    ("s4[3] constant({1,-8,7})", [1, -8, 7]),
    ("pred[2] constant({true, 0})", [True, False]),
    ("c64[2] constant({(1, 2), (-0.5, inf)})", [1 + 2j, complex(-0.5, np.inf)]),
    ("u64[] constant(18446744073709551615)", 18446744073709551615),
    ("f32[0] constant({})", []),
    ("bf16[] constant(0x1p3)", 8.0),
])  # fmt: skip
def test_constants_are_read_when_asked_for(text: str, value: object) -> None:
    constant = _node(f"c = {text}", "c").value
    assert constant is not None
    np.testing.assert_array_equal(constant.array().astype(np.array(value).dtype), np.array(value))


def test_an_elided_constant_says_so() -> None:
    constant = _node("c = f32[512] constant({...})", "c").value
    assert constant is not None
    assert not constant.available
    with pytest.raises(ValueUnavailable, match="left the value out"):
        constant.bytes()


def test_a_literal_that_does_not_fit_is_refused_when_asked_for() -> None:
    constant = _node("c = f32[3] constant({1, 2})", "c").value
    assert constant is not None
    with pytest.raises(FormatError, match="2 values"):
        constant.bytes()


def test_shapes_left_out_follow_from_the_operands() -> None:
    program = _entry(
        "a = f32[2] parameter(0)\nt = (f32[2], f32[2]) tuple(a, a)\ng = get-tuple-element(t), index=1\nROOT c = compare(g, a), direction=LT"
    )
    assert program.main.node("g").outputs == (TensorType("float32", (2,)),)
    assert program.main.node("c").outputs == (TensorType("bool", (2,)),)


def test_an_instruction_in_place_of_an_operand_is_a_node() -> None:
    main = _entry("ROOT a = f32[] add(f32[] parameter(0), f32[] parameter(1))").main
    assert [use.src for use in main.node("a").operands] == ["parameter.anon", "parameter.anon.1"]
    assert main.inputs == ["parameter.anon", "parameter.anon.1"]


def test_an_operand_used_twice_has_two_edges() -> None:
    assert [use.dst_port for use in _node("a = f32[] parameter(0)\nb = f32[] add(a, a)", "b").operands] == [0, 1]


def test_a_tuples_sharding_is_on_its_elements() -> None:
    node = _node("x = (f32[2], f32[2]) parameter(0), sharding={{replicated}, {maximal device=1}}", "x")
    assert node.outputs == (
        TupleType((TensorType("float32", (2,), None, "{replicated}"), TensorType("float32", (2,), None, "{maximal device=1}"))),
    )


SEVERAL = """HloModule a
ENTRY main { x = f32[] parameter(0) }
// -----
HloModule b
ENTRY main { y = s32[] parameter(0) }
HloModule a
ENTRY z { z = u8[] parameter(0) }
"""


def test_several_modules_are_one_program_with_a_signature_each() -> None:
    program = parse_hlo(SEVERAL)
    assert list(program.graphs) == ["a/main", "b/main", "a#2/z"]
    assert program.entry == "a/main"
    assert {name: signature.graph for name, signature in program.signatures.items()} == {"a": "a/main", "b": "b/main", "a#2": "a#2/z"}
    assert verify(program) == ()


@pytest.mark.parametrize(("select", "input"), [("b", "y"), ("a#2", "z"), ("1", "x"), ("3", "z")])
def test_one_of_several_modules_can_be_selected(select: str, input: str) -> None:
    program = parse_hlo(SEVERAL, select=select)
    assert program.main.inputs == [input]
    assert list(program.graphs) == [program.entry]
    assert parse_hlo(str(program.native)).main.inputs == [input]


def test_a_module_that_is_not_there_is_an_error_that_lists_them() -> None:
    with pytest.raises(FormatError, match="it holds 3: a, b, a#2"):
        parse_hlo(SEVERAL, select="c")


def test_modules_can_be_read_one_by_one() -> None:
    assert [program.meta["module"] for program in parse_modules(SEVERAL)] == ["a", "b", "a"]
    assert [program.entry for program in parse_modules(SEVERAL)] == ["main", "main", "z"]


def test_without_entry_the_last_computation_is_it() -> None:
    assert parse_hlo("f { a = f32[] parameter(0) }\ng { b = f32[] parameter(0) }").entry == "g"


@pytest.mark.parametrize(("text", "place", "message"), [
    ("HloModule m\n", "2:1", "a computation expected, the end of the text found"),
    ("", "1:1", "'HloModule' or a computation expected"),
    ("HloModule m\nENTRY e {\n  x = f32[2 parameter(0)\n}", "3:7", "a shape expected"),
    ("HloModule m\nENTRY e {\n  x = f33[2] parameter(0)\n}", "3:7", "an element type expected"),
    ("HloModule m\nENTRY e {\n  x = f32[2] parameter(0)\n", "4:1", "an instruction or '}' expected, the end of the text found"),
    ("HloModule m\nENTRY e {\n  x = f32[2] negate(y)\n}", "3:21", "the operand 'y'"),
    ("HloModule m\nENTRY e {\n  x = f32[] parameter(0)\n  x = f32[] parameter(1)\n}", "4:3", "a second instruction 'x'"),
    ("HloModule m\nENTRY e {\n  x = f32[] parameter(1)\n}", "2:10", "no parameter(0)"),
    ("HloModule m\nENTRY e {\n  x = f32[] parameter(0), sharding={replicated\n}", "4:2", "an instruction or '}' expected"),
    ("HloModule m\nENTRY e {\n  x = f32[] parameter(0)\n  y = f32[] call(x), to_apply=f\n}", "4:3", "the computation 'f'"),
    ("HloModule m\ne {\n  x = f32[] parameter(0)\n  y = f32[] call(x), to_apply=e\n}", "2:1", "uses itself"),
    ("HloModule m\nENTRY e {\n  x = f32[] constant(0), a=1, a=2\n}", "3:34", "given twice"),
    ("HloModule m\nENTRY e {\n  x = f32[] parameter(0), sharding={replicated\n", "3:36", "never closed"),
    ("HloModule m\nENTRY e { }", "2:10", "no instruction"),
    ("HloModule m\nENTRY e {\n  ROOT x = f32[] constant(0)\n  ROOT y = f32[] constant(0)\n}", "4:3", "a second ROOT"),
    ("HloModule m\nENTRY e { x = f32[] constant(0) }\nENTRY f { x = f32[] constant(0) }", "3:7", "a second ENTRY"),
    ('HloModule m\nENTRY e {\n  x = f32[] custom-call(), custom_call_target="abc\n}', "3:47", "a string that does not end"),
    ("HloModule m\nf { p = f32[] parameter(0) }\nENTRY e {\n  x = f32[] call(), to_apply=f\n}", "4:3", "gives 'f' 0 operands, it takes 1"),
])  # fmt: skip
def test_broken_text_is_refused_with_its_place(text: str, place: str, message: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse_hlo(text, path="m.hlo")
    assert message in caught.value.found
    assert caught.value.where == f"m.hlo:{place}"


def _file(tmp_path: Path, text: str) -> File:
    path = tmp_path / "some.file"
    path.write_text(text, encoding="utf-8")
    return File.open(path)


@pytest.mark.parametrize("text", [
    LOOP, MIXED, "\ufeff" + LOOP, "// RUN: opt %s\n/* a\n b */\n" + LOOP, "// CHECK: x\n" * 2000 + LOOP,
    "ENTRY %main (x: f32[2]) -> f32[2] {\n  ROOT %x = f32[2] parameter(0)\n}",
])  # fmt: skip
def test_hlo_is_known_by_its_content(tmp_path: Path, text: str) -> None:
    file = _file(tmp_path, text)
    assert matches(file)
    assert read(file).source.digest is not None


@pytest.mark.parametrize("text", [
    "module {\n  func.func @main() { return }\n}", "module @m attributes {a = 1 : i32} {\n}", "#loc = loc(unknown)\nmodule {}",
    "func.func @f() {}",
    "digraph G {\n a -> b\n}", '{"graphlab": 1}', "hlo_module {\n  name: \"m\"\n}", "import torch\n", "// only a comment", "",
])  # fmt: skip
def test_other_text_is_not_taken_for_hlo(tmp_path: Path, text: str) -> None:
    assert not matches(_file(tmp_path, text))


def test_a_program_survives_the_file_format() -> None:
    for text in (LOOP, MIXED):
        program = parse_hlo(text)
        again = loads(dumps(program))
        assert dumps(again) == dumps(program)
        assert json.loads(dumps(program))["entry"] == "main"
        assert again.node(NodeRef("main", again.main.inputs[0])).outputs == program.node(NodeRef("main", program.main.inputs[0])).outputs


def test_a_line_of_ten_thousand_instructions_takes_no_square_of_time() -> None:
    body = " ".join(
        ["x0 = f32[] parameter(0)", *(f'x{i} = f32[] add(x{i - 1}, x{i - 1}), metadata={{op_name="a"}}' for i in range(1, 10_000))]
    )
    assert parse_hlo("ENTRY e { " + body + " }").count() == 10_000


@pytest.mark.parametrize("text", ["{" * 200_000, "(" * 200_000, "/*" * 100_000, '"\\' * 100_000, "HloModule m, a=" + "{" * 100_000,
                                  "ENTRY e { x = " + "(" * 100_000, "ENTRY e { x = f32[] constant(" + "{" * 100_000 + "}" * 100_000 + ") }",
                                  'ENTRY e { x = f32[] iota(), backend_config=' + '{"a":' * 50_000 + "1" + "}" * 50_000 + " }",
                                  "ENTRY e { x = f32[] " + "add(" * 50_000, "// -----\n" * 50_000, "HloModule a\n" * 3_000])  # fmt: skip
def test_hostile_text_ends_in_a_clear_error_or_a_program(text: str) -> None:
    program = _program_or_none(text)
    assert program is None or verify(program) == ()


def _program_or_none(text: str) -> Program | None:
    """None where the text is refused; any other exception is a defect."""
    try:
        return parse_hlo(text)
    except FormatError as error:
        if not error.where:
            raise
        return None


_PIECES = ["{", "}", "(", ")", '"', ",", "=", "%", "[", "]", "\n", "// ", "/*", "*/", "ROOT ", "f32[2]{0} ", "x", "0",
           "parameter(7)", "metadata={", "\\", "<=", "\0", "é",
           "to_apply=add", "calls=%body", "HloModule ", "ENTRY ", "99999999999999999999", "-",
           "constant(", "replica_groups=[9,9]<=[81]"]  # fmt: skip


@given(
    st.sampled_from([LOOP, MIXED, SEVERAL]),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 30), st.sampled_from(_PIECES)), max_size=4),
    st.floats(0, 1),
)
@settings(max_examples=300, deadline=None)
def test_damaged_text_raises_nothing_but_a_format_error(text: str, edits: list[tuple[float, int, str]], keep: float) -> None:
    for where, drop, piece in edits:
        at = int(where * len(text))
        text = text[:at] + piece + text[at + drop :]
    text = text[: int(len(text) * (0.5 + keep / 2))] if keep < 0.5 else text
    program = _program_or_none(text)
    if program is None:
        return
    assert verify(program) == ()
    for _, node in program.each_node():
        if node.value is not None and node.value.available:
            with suppress(FormatError):  # a literal that no longer fits
                node.value.bytes()
