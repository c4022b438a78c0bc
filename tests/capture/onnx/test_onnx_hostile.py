"""Models that lie: each is refused by an error that names the file, or read as far as it is sound."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from graphlab.capture import onnx as reader
from graphlab.capture.file import File
from graphlab.errors import FormatError, SelectError
from graphlab.ir.program import Program
from graphlab.ir.verify import verify
from graphlab.testing import mutated, reader_checks

Read = Callable[[Any], Program]
Text = Callable[[str], Any]

HEAD = '<ir_version: 9, opset_import: ["" : 18]>'


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("{ y = Add(x, nowhere) }", "node 'y' takes 'nowhere', which nothing gives"),
        ("{ y = Neg(x) y = Abs(x) }", "the value 'y' is given twice"),
        ("{ x = Neg(x) y = Abs(x) }", "the value 'x' is given twice"),
        ("{ z = Neg(x) }", "node 'output' takes 'y', which nothing gives"),
        ("<float[1] w = {1}, float[1] w2> { w = Neg(x) y = Abs(w) }", "the value 'w' is given twice"),
    ],
)
def test_an_unsound_graph_is_refused(read: Read, text: Text, body: str, found: str) -> None:
    with pytest.raises(FormatError) as error:
        read(text(f"{HEAD} g (float x) => (float y) {body}"))
    assert found in error.value.found
    assert "model.onnx" in error.value.asked


def test_a_circle_of_nodes_is_kept(read: Read, text: Text) -> None:
    program = read(text(f"{HEAD} g (float x) => (float y) {{ y = Add(x, z) z = Neg(y) }}"))
    assert program.main.has_edge("z", "y")


def test_functions_that_call_each_other_are_kept(read: Read, text: Text) -> None:
    model = text(
        f"""{HEAD} g (float x) => (float y) {{ y = l.a(x) }}
        <opset_import: ["l" : 1], domain: "l"> a (x) => (y) {{ y = l.b(x) }}
        <opset_import: ["l" : 1], domain: "l"> b (x) => (y) {{ y = l.a(x) }}"""
    )
    assert list(read(model).graphs) == ["g", "l.a", "l.b"]


def test_a_call_with_more_or_fewer_operands_than_the_function_has_is_kept(read: Read, text: Text) -> None:
    model = text(
        f"""{HEAD} g (float x) => (float y) {{ y = l.a(x) z = l.a(x, x, x) }}
        <opset_import: ["l" : 1], domain: "l"> a (p, q) => (r, s) {{ r = Neg(p) s = Neg(q) }}"""
    )
    program = read(model)
    assert program.main.node("y").calls["call"].operands == (0, None)
    assert program.main.node("y").calls["call"].results == (0, None)


def test_loops_and_scans_whose_bodies_do_not_fit_are_kept(read: Read, text: Text) -> None:
    body = "b (int64 i) => (float r) { r = Neg(x) }"
    loops = f"y = Loop(n, , x) <body = {body}> a = Loop(n) <body = c () => () {{ }}> s = Scan <num_scan_inputs = 99, body = {body}> (x)"
    program = read(text(f"{HEAD} g (float x, int64 n) => (float y) {{ {loops} }}"))
    assert not verify(program)


def test_a_function_defined_twice_is_refused(read: Read, text: Text) -> None:
    twice = '<opset_import: ["" : 18], domain: "l"> a (x) => (y) { y = Neg(x) }' * 2
    with pytest.raises(FormatError, match=r"at function 'l\.a': it is defined twice"):
        read(text(f"{HEAD} g (float x) => (float y) {{ y = l.a(x) }} {twice}"))


def test_an_attribute_of_a_type_to_come_is_refused(read: Read, text: Text) -> None:
    model = text(f"{HEAD} g (float x) => (float y) {{ y = Op <a = 1> (x) }}")
    data = model.SerializeToString().replace(b"\xa0\x01\x02", b"\xa0\x01\x63")
    with pytest.raises(FormatError, match="at attribute 'a': it is of type 99"):
        read(data)


def test_an_element_type_to_come_is_named_by_its_number(read: Read, onnx: ModuleType) -> None:
    h = onnx.helper
    info = [h.make_tensor_value_info(n, 77, [2]) for n in "xy"]
    program = read(h.make_model(h.make_graph([h.make_node("Neg", ["x"], ["y"])], "g", info[:1], info[1:])))
    assert str(program.main.node("x").outputs[0]) == "onnx_77[2]"


def test_a_shape_below_zero_is_refused(read: Read, onnx: ModuleType) -> None:
    h = onnx.helper
    info = [h.make_tensor_value_info(n, 1, [2]) for n in "xy"]
    held = onnx.TensorProto(name="w", data_type=1, dims=[-5], float_data=[1])
    with pytest.raises(FormatError, match=r"at tensor 'w': it has the shape \[-5\]"):
        read(h.make_model(h.make_graph([h.make_node("Neg", ["x"], ["y"])], "g", info[:1], info[1:], [held])))


def test_a_model_of_many_dims_and_one_byte_costs_nothing(read: Read, onnx: ModuleType) -> None:
    h = onnx.helper
    info = [h.make_tensor_value_info(n, 1, [2]) for n in "xy"]
    held = onnx.TensorProto(name="w", data_type=21, dims=[1 << 40, 1 << 20], raw_data=b"\0")
    program = read(h.make_model(h.make_graph([h.make_node("Neg", ["x"], ["y"])], "g", info[:1], info[1:], [held])))
    value = program.main.node("w").value
    assert value is not None
    assert not value.available


def test_an_archive_s_member_takes_no_data_from_beside_the_archive(onnx: ModuleType, tmp_path: Path) -> None:
    h = onnx.helper
    info = [h.make_tensor_value_info(n, 1, [1]) for n in "xy"]
    held = onnx.TensorProto(name="w", data_type=1, dims=[1], data_location=1)
    held.external_data.add(key="location", value="secret")
    (tmp_path / "secret").write_bytes(b"\0" * 4)
    model = h.make_model(h.make_graph([h.make_node("Add", ["x", "w"], ["y"])], "g", info[:1], info[1:], [held]))
    program = reader.read(File.of("a.zip!model.onnx", model.SerializeToString(), path=tmp_path / "a.zip"))
    value = program.main.node("w").value
    assert value is not None
    assert "in an archive" in value.reason


def test_a_selection_names_a_graph_that_can_be_entered(text: Text) -> None:
    file = File.of("m.onnx", text(f"{HEAD} g (float x) => (float y) {{ y = Neg(x) }}").SerializeToString())
    assert reader.read(file, select="g").entry == "g"
    with pytest.raises(SelectError) as error:
        reader.read(file, select="h")
    assert error.value.names == ("g",)


def _samples(folder: Path, text: Text) -> list[Path]:
    sources = {
        "control.onnx": f"""{HEAD} g (int64 n, bool c, float[2] x) => (float[2] y) <float[2] w = {{1, 2}}> {{
            a = Loop(n, c, x) <body = b (int64 i, bool k, float[2] v) => (bool k2, float[2] v2) {{ k2 = Identity(k) v2 = Add(v, w) }}>
            y = If(c) <then_branch = t () => (float[2] p) {{ p = Neg(a) }}, else_branch = e () => (float[2] q) {{ q = Abs(a) }}> }}""",
        "function.onnx": f"""{HEAD} g (float[N,2] x) => (float[N,2] y) {{ y = l.f <k = 2.0> (x) }}
            <opset_import: ["" : 18], domain: "l"> f <k> (a) => (b) {{ c = Constant <value_float : float = @k> () b = Mul(a, c) }}""",
    }
    paths = []
    for name, source in sources.items():
        paths.append(folder / name)
        paths[-1].write_bytes(text(source).SerializeToString())
        paths.append(folder / f"{name}txt")
        paths[-1].write_text(source, encoding="utf-8")
    return paths


def test_the_readers_contract_holds(tmp_path: Path, text: Text) -> None:
    control, _, _, function = _samples(tmp_path, text)
    for parameters in reader_checks(control, function):
        check, path = getattr(parameters, "values", parameters)
        check(path)


def test_damaged_copies_are_refused_or_sound(tmp_path: Path, text: Text) -> None:
    import random

    chance = random.Random(11)
    read, refused = 0, []
    for path in _samples(tmp_path, text):
        for _ in range(150):
            file = File.open(mutated(path, chance, tmp_path / "copy"))
            try:
                program = reader.read(file) if reader.matches(file) else None
            except FormatError as error:
                refused.append(str(error))
            else:
                assert program is None or not verify(program)
                read += program is not None
    assert read > 15
    assert all("copy" in message for message in refused)
