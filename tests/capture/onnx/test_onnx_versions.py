"""Which definition of an operator a node means, against onnx's own table."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from graphlab.capture.onnx.versions import TABLE, newest, render, since_version
from graphlab.diff import diff
from graphlab.ir.program import Program

Read = Callable[[Any], Program]
Text = Callable[[str], Any]

BODY = "g (float[2,3,4] x) => (float[2,3,4] y) { a = Relu(x) y = Softmax(a) }"


def test_every_operator_at_every_opset_has_the_version_that_onnx_selects(onnx: ModuleType) -> None:
    names = {(schema.domain, schema.name) for schema in onnx.defs.get_all_schemas_with_history() if newest(schema.domain)}
    assert len(names) > 200
    assert {domain for domain, _ in names} >= {"", "ai.onnx.ml", "ai.onnx.preview.training"}
    compared = 0
    for domain, name in names:
        for opset in range(1, newest(domain) + 1):
            try:
                theirs = onnx.defs.get_schema(name, opset, domain).since_version
            except onnx.defs.SchemaError:
                theirs = None
            assert since_version(domain, name, opset) == theirs, (domain, name, opset)
            compared += 1
    assert compared > 4000


def test_the_table_is_what_its_generator_writes_for_the_onnx_that_it_names(onnx: ModuleType) -> None:
    head, _, lines = TABLE.read_text(encoding="utf-8").partition("\n")
    if f"onnx {onnx.__version__}." not in head:
        pytest.skip(f"the table is of another onnx than {onnx.__version__}")
    assert lines == render((s.domain, s.name, s.since_version) for s in onnx.defs.get_all_schemas_with_history())


def test_an_opset_newer_than_the_table_selects_no_version_that_is_known() -> None:
    assert since_version("", "Softmax", newest("")) == 13
    assert since_version("", "Softmax", newest("") + 1) is None
    assert since_version("somebody", "Softmax", 1) is None


@pytest.mark.parametrize(("opset", "versions"), [(12, (6, 11)), (13, (13, 13)), (17, (14, 13))])
def test_nodes_say_the_version_that_the_model_s_opset_selects(opset: int, versions: tuple[int, int], read: Read, text: Text) -> None:
    program = read(text(f'<ir_version: 7, opset_import: ["" : {opset}]> {BODY}'))
    assert tuple(program.main.node(id).attrs["since_version"] for id in "ay") == versions


def test_models_of_two_opsets_differ_where_an_operator_s_definition_changed_and_nowhere_else(read: Read, text: Text) -> None:
    def at(opset: int) -> Program:
        return read(text(f'<ir_version: 7, opset_import: ["" : {opset}]> {BODY}'))

    assert diff(at(14), at(17)).equal
    changes = diff(at(13), at(14)).to_json()["changes"]
    assert [(change["change"], change["key"], change["old"], change["new"]) for change in changes] == [
        ("attribute", "since_version", 13, 14)
    ]


def test_a_function_s_body_means_the_opset_that_the_function_imports(read: Read, text: Text) -> None:
    model = text(
        """<ir_version: 8, opset_import: ["" : 18, "l" : 1]> g (float[2,3] x) => (float[2,3] y) { a = Softmax(x) y = l.f(a) }
        <opset_import: ["" : 11], domain: "l"> f (b) => (c) { c = Softmax(b) }"""
    )
    program = read(model)
    assert program.main.node("a").attrs == {"since_version": 13}
    assert program.graphs["l.f"].node("c").attrs == {"since_version": 11}
    assert "since_version" not in program.main.node("y").attrs


def test_a_branch_s_body_means_the_opset_around_it_and_a_strange_domain_none(read: Read, text: Text) -> None:
    model = text(
        """<ir_version: 8, opset_import: ["" : 12, "l" : 1]> g (bool c, float[2,3] x) => (y) {
        y = If(c) <then_branch = t () => (p) { p = Softmax(x) }, else_branch = e () => (q) { q = l.Softmax(x) }> }"""
    )
    graphs = read(model).graphs
    assert graphs["t"].node("p").attrs == {"since_version": 11}
    assert graphs["e"].node("q").attrs == {}
