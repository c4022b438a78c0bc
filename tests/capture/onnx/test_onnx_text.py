"""The three text forms: ONNX's own syntax against onnx's own parser, protobuf's text form, JSON."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from graphlab.capture import onnx as reader, proto
from graphlab.capture.file import File
from graphlab.capture.onnx import _SCHEMA, text
from graphlab.errors import FormatError
from graphlab.ir.format import dumps
from graphlab.ir.program import Program

Text = Callable[[str], Any]

SAMPLES = {
    "everything a header holds": """
        # a comment
        < ir_version: 8, opset_import: ["" : 18, "a.b" : 2], producer_name: "p\\"q", producer_version: "1", domain: "d",
          model_version: 7, doc_string: "doc", metadata_props: ["k" : "v", "k2" : ""] >
        g (float x) => (float y) { y = Identity(x) }""",
    "types": """
        g (float[N,?,3] a, seq(uint8[?,3]) b, map(string, float) c, optional(float[]) d, sparse_tensor(float[2,2]) e, "odd name" )
        => (int4 y, float8e4m3fn z) { y, z = Op(a) }""",
    "initializers and value infos": """
        g (float[2] x = {1, -2.5e3}, bfloat16[1] h = {16256}) => (float y)
        <float[2,1] w = {1, inf}, int64[0] none = {}, string[2] s = {"a", "b\\"c"}, uint64 u = {18446744073709551615}, float v,
         bool f = {1}, double d = {0.1}, complex64 c = {1, 2}, float[4] far = ["location": "w.bin", "offset": "8"]>
        { y = Op(x, w, none) }""",
    "attributes": """
        g (float x) => (float y) {
            y = a.b.Op <i = 3, f = 2.5, neg = -1, s = "t", ints = [1, 2], floats = [1.0, 2], strs = ["a"], none : ints = [], fl : float = 2,
                        t = float[2] {1, 2}, named = int64 k {7}, ty = float[N], nan = nan, inf = -inf, empty : strings = []> (x) }""",
    "attributes behind the operands": "g (float x) => (float y) { y = Op(x) <i = 3> }",
    "nodes": 'g (float x) => (float y) { [first] a, , "b c" = Op(x, , "") [ "n 2" ] = Sink() y = Op:over(a,) }',
    "graphs": """
        g (bool c, float x) => (float y) {
            y = If (c) <then_branch = t () => (float a) <float k = {1}> { a = Neg(x) },
                        else_branch : graph = e () => (float b) { b = Abs(x) }> }""",
    "functions": """
        <ir_version: 8, opset_import: ["" : 18]> g (float x) => (float y) { y = l.f <a = 1> (x) }
        <opset_import: ["" : 18], domain: "l", doc_string: "d"> f <a, b : float = 2.0, c : ints = [1]> (x) => (y) {
            y = Op <k : int = @a> (x) }
        <domain: "l", overload: "o"> f (float[N] x, z) => (float y) <float m> { m = Neg(x) y = Neg(m) }""",
}


def _parsed(source: str) -> Any:
    return text.parse(File.of("model.onnxtxt", source.encode()), proto.load(_SCHEMA)).message


@pytest.mark.parametrize("name", list(SAMPLES))
def test_a_text_parses_as_onnx_s_own_parser_has_it(onnx: ModuleType, name: str) -> None:
    source = SAMPLES[name].replace(', "odd name" )', ")")
    mine = onnx.ModelProto.FromString(_parsed(source).SerializeToString())
    assert mine == onnx.parser.parse_model(source)


def test_comments_of_onnx_mlir_s_tests_are_skipped(onnx: ModuleType) -> None:
    assert _parsed("// RUN: x %s\n g (float x) => (float y) { // why\n y = Neg(x) }\n// CHECK: done").graph.node[0].op_type == "Neg"


@pytest.mark.parametrize(
    ("source", "where", "found"),
    [
        ("g (float x) => (float y) { y = Neg(x ", "1:38", "')' is expected, the end found"),
        ("<ir_version: x> g () => () { }", "1:14", "a whole number is expected, 'x' found"),
        ("<wrong: 1> g () => () { }", "1:2", "'wrong' is no property here"),
        ("g (floot[2 x) => () { }", "1:9", "a name is expected"),
        ("g () => (float y)\n{ y = Op <a = []> () }", "2:16", "an empty list has to name its type"),
        ("g () => () <float[N] w = {1}> { }", "1:26", "a shape in numbers"),
        ("g () => () <int8 w = {99999999999}> { }", "1:23", "is no element of this tensor"),
        ("g () => () { y = Op <a = [1, 2.5]> () }", "1:30", "of several types"),
        ("g () => () { y = Op(x) } ~", "1:25", "is no token"),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_column(source: str, where: str, found: str) -> None:
    with pytest.raises(FormatError) as error:
        _parsed(source)
    assert error.value.where == f"model.onnxtxt:{where}"
    assert found in error.value.found


@pytest.mark.parametrize(
    "source",
    [
        "g (" + "seq(" * 500 + "float" + ")" * 500 + " x) => (float y) { y = Op(x) }",
        "g () => () { " + "a = Op <b = h () => () { " * 500 + "c = Op() " + "}> () " * 500 + "}",
    ],
)
def test_nesting_without_end_is_refused(source: str) -> None:
    with pytest.raises(FormatError, match="nests deeper"):
        _parsed(source)


def _read(name: str, data: bytes) -> Program:
    file = File.of(name, data)
    assert reader.matches(file)
    return reader.read(file)


def test_all_forms_of_a_model_give_the_same_graph(onnx: ModuleType, text: Text) -> None:
    from google.protobuf import json_format, text_format

    model = text(SAMPLES["functions"])
    forms = {
        "model.onnx": model.SerializeToString(),
        "model.onnxtxt": SAMPLES["functions"].encode(),
        "model.pbtxt": text_format.MessageToString(model).encode(),
        "model.json": json_format.MessageToJson(model).encode(),
        "model2.json": json_format.MessageToJson(model, preserving_proto_field_name=True).encode(),
    }
    programs = {name: _read(name, data) for name, data in forms.items()}
    assert [p.source.format for p in programs.values()] == ["onnx", "onnx text", "onnx protobuf text", "onnx JSON", "onnx JSON"]
    plain = {dumps(p.replace_source(format="", path=None, digest=None)) for p in programs.values()}
    assert len(plain) == 1


@pytest.mark.parametrize(
    "source",
    [
        'node { name: "a" op: "Const" }',
        'name: "net" layer { name: "x" type: "Data" }',
        'pipeline_info { id: "x" }',
        '{"format": "layers-model", "modelTopology": {}}',
        '{"graph": 3}',
        "HloModule m\nENTRY e { ROOT p = f32[] parameter(0) }",
        "module @m { func.func @main() { return } }",
        "def f(x): return x",
        "graph(%x : Tensor): return (%x)",
        "<html><body></body></html>",
    ],
)
def test_texts_of_other_formats_are_left_alone(source: str) -> None:
    assert not reader.matches(File.of("x", source.encode()))


@pytest.mark.parametrize("form", ["model.pbtxt", "model.json"])
def test_a_damaged_form_is_refused_by_an_error_of_ours(onnx: ModuleType, text: Text, form: str) -> None:
    from google.protobuf import json_format, text_format

    model = text(SAMPLES["graphs"])
    model.ir_version = 8
    whole = text_format.MessageToString(model) if form == "model.pbtxt" else json_format.MessageToJson(model)
    chance = random.Random(5)
    refused = 0
    for _ in range(60):
        at = chance.randrange(len(whole))
        with_hole = whole[:at] + chance.choice(["", '"', "{", "}", "99999999999999999999", "[[["]) + whole[at + chance.randrange(1, 9) :]
        file = File.of(form, with_hole.encode())
        if reader.matches(file):
            try:
                reader.read(file)
            except FormatError:
                refused += 1
    assert refused > 10


def test_a_tower_of_brackets_in_json_is_refused() -> None:
    data = b'{"irVersion": "8", "graph": {"node": [' + b'{"a":[' * 100_000
    with pytest.raises(FormatError, match="nests more than"):
        _read("deep.json", data)


def test_long_runs_of_one_character_are_sniffed_at_once(tmp_path: Path) -> None:
    for data in (b"a" * (1 << 16), b" " * (1 << 16), b'"' * (1 << 16), b"a(" * (1 << 15), b"{" * (1 << 16)):
        path = tmp_path / "junk"
        path.write_bytes(data)
        assert not reader.matches(File.open(path))
