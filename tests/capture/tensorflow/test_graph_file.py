"""GraphDefs and MetaGraphs in files, and TensorFlow 1's control flow in them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphlab
from graphlab import FormatError, Program
from graphlab.analyzers import constant_folding, control_flow, fidelity, size
from graphlab.analyzers.control_flow import Construct
from graphlab.capture.file import File
from graphlab.capture.tensorflow import graph_file
from graphlab.errors import SelectError
from graphlab.testing import reader_checks

pytestmark = pytest.mark.tensorflow


def node(name: str, op: str, *inputs: str, more: str = "") -> str:
    fed = " ".join(f'input: "{text}"' for text in inputs)
    return f'node {{ name: "{name}" op: "{op}" {fed} attr {{ key: "T" value {{ type: DT_FLOAT }} }} {more} }}\n'


X = 'node { name: "x" op: "Placeholder" attr { key: "dtype" value { type: DT_FLOAT } } }\n'


def read(text: str) -> Program:
    program = graph_file.read(File.of("graph.pbtxt", text.encode()))
    assert not graphlab.verify(program)
    return program


@pytest.fixture(scope="module")
def written(tf: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TensorFlow 1 graph with a loop in a loop, a branch in the outer one, a loop by a dimension; as it is, frozen, and saved."""
    folder = tmp_path_factory.mktemp("v1")
    v1 = tf.compat.v1
    enabled = v1.control_flow_v2_enabled()
    v1.disable_control_flow_v2()
    try:
        with v1.Graph().as_default() as graph, v1.Session() as session:
            x = v1.placeholder(tf.float32, [None, 4], name="x")
            w = v1.get_variable("w", [4, 4], use_resource=False, initializer=v1.ones_initializer())
            shift = v1.get_variable("shift", [4], trainable=False, initializer=v1.zeros_initializer())

            def body(i: Any, h: Any) -> Any:
                _, h = v1.while_loop(lambda j, h: j < 3, lambda j, h: [j + 1, v1.matmul(h, w)], [tf.constant(0), h], name="inner")
                h = v1.cond(tf.reduce_sum(h) > 0, lambda: h * 2.0, lambda: h + shift, name="branch")
                return i + 2, h

            _, h = v1.while_loop(lambda i, h: i < 10, body, [tf.constant(1), x], name="outer")
            k = v1.while_loop(lambda k: v1.less(k, v1.shape(x)[0]), lambda k: k + 1, [tf.constant(0)], name="rows")
            y = tf.identity(h, name="y")
            z = tf.identity(v1.cond(k > 3, lambda: tf.constant(1), lambda: tf.constant(2), name="choice"), name="z")
            session.run(v1.global_variables_initializer())
            v1.train.Saver().save(session, str(folder / "model"))
            v1.io.write_graph(graph.as_graph_def(), str(folder), "graph.pb", as_text=False)
            v1.io.write_graph(graph.as_graph_def(add_shapes=True), str(folder), "graph.pbtxt")
            frozen = v1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), ["y", "z"])
            v1.io.write_graph(frozen, str(folder), "frozen.pb", as_text=False)
            assert y.graph is z.graph
    finally:
        if enabled:
            v1.enable_control_flow_v2()
    return folder


def constructs(program: Program) -> dict[str, Construct]:
    return {c.node.node.split("/")[-2]: c for c in control_flow.analyze(program).constructs}


@pytest.mark.parametrize("name", ["graph.pb", "graph.pbtxt", "frozen.pb", "model.meta"])
def test_loops_and_branches_of_tensorflow_1_are_told_apart(written: Path, name: str) -> None:
    found = {c.node.node: c for c in control_flow.analyze(graphlab.load(written / name)).constructs}
    loops = {id.removesuffix("/LoopCond"): c for id, c in found.items() if c.form == "cycle"}
    assert set(loops) == {"outer", "outer/inner", "rows"}
    shapes = name in ("graph.pbtxt", "model.meta")  # the others do not say what shapes TensorFlow inferred
    trips = {"outer": "5", "outer/inner": "3", "rows": "dim 0 of x" if shapes else "None"}
    assert {id: str(c.trip_count) for id, c in loops.items()} == trips
    assert [ref.node for ref in loops["outer/inner"].nesting[0]] == ["outer/LoopCond"]
    assert loops["outer"].nesting == ((),)
    assert loops["rows"].decided_by == "shape"
    branches = {id.split("/")[0]: c for id, c in found.items() if c.form == "conditional"}
    assert set(branches) == {"outer", "choice"}
    assert branches["outer"].decided_by == "input"
    assert [ref.node for ref in branches["outer"].nesting[0]] == ["outer/LoopCond"]
    assert branches["choice"].nesting == ((),)
    assert [r.role for r in branches["choice"].regions] == ["then", "else"]


def test_what_goes_round_is_no_constant(written: Path) -> None:
    program = graphlab.load(written / "frozen.pb")
    folded = {ref.node for part in constant_folding.analyze(program).foldable for ref in part.nodes}
    within = {n.id for _, n in program.each_node() if n.op in ("tf.Merge", "tf.Less", "tf.Exit", "tf.NextIteration")}
    assert within
    assert not folded & within


def test_what_a_merge_chooses_depends_on_what_decides() -> None:
    """Both sides are constants: only control edges tie them to the branch."""
    one, two = (f'attr {{ key: "value" value {{ tensor {{ dtype: DT_FLOAT tensor_shape {{ }} float_val: {v} }} }} }}' for v in (1, 2))
    text = (
        'node { name: "p" op: "Placeholder" attr { key: "dtype" value { type: DT_BOOL } } }\n'
        'node { name: "s" op: "Switch" input: "p" input: "p" attr { key: "T" value { type: DT_BOOL } } }\n'
        + node("no", "Identity", "s:0")
        + node("yes", "Identity", "s:1")
        + node("a", "Const", "^no", more=one)
        + node("b", "Const", "^yes", more=two)
        + node("m", "Merge", "a", "b", more='attr { key: "N" value { i: 2 } }')
        + node("y", "Neg", "m")
    )
    program = read(text)
    assert program.main.node("m").meta["decided_by"] == ("s",)
    assert program.main.node("a").meta["within"] == (("s", "else"),)
    assert program.main.node("b").meta["within"] == (("s", "then"),)
    (branch,) = control_flow.analyze(program).constructs
    assert (branch.node.node, branch.decided_by, [c.name for c in branch.causes]) == ("s", "input", ["p"])
    assert not constant_folding.analyze(program).foldable


def test_frozen_variables_are_parameters_that_are_constant(written: Path) -> None:
    program = graphlab.load(written / "frozen.pb")
    held = {n.id: n for _, n in program.each_node() if n.attrs.get("role") == "parameter"}
    assert set(held) == {"w", "shift"}
    assert all(n.kind == "constant" for n in held.values())
    result = size.analyze(program)
    assert (result.parameters, result.parameter_elements) == (2, 20)


def test_a_meta_graph_has_the_values_of_the_checkpoint_beside_it(written: Path) -> None:
    program = graphlab.load(written / "model.meta")
    held = {n.name: n for _, n in program.each_node() if n.kind == "parameter"}
    assert set(held) == {"w", "shift"}
    assert held["shift"].attrs["role"] == "buffer"
    assert held["w"].value is not None
    np.testing.assert_array_equal(held["w"].value.array(), np.ones((4, 4)))
    assert program.source.format == "MetaGraph"
    assert program.source.producer.startswith("tensorflow 2.")


def test_a_meta_graph_without_its_checkpoint_says_so(written: Path, tmp_path: Path) -> None:
    assert graphlab.load(written / "model.meta").source.notes == ()
    shutil.copy(written / "model.meta", tmp_path)
    program = graphlab.load(tmp_path / "model.meta")
    variables = [node for node in program.main.each_node() if node.kind == "parameter"]
    (finding,) = (f for f in fidelity.analyze(program).findings if f.code == "GL109")
    assert finding.data == {"count": len(variables), "files": ("model.index",)}
    assert variables


def test_placeholders_are_inputs_and_what_nothing_takes_are_outputs(written: Path) -> None:
    program = graphlab.load(written / "frozen.pb")
    (signature,) = program.signatures.values()
    assert [slot.name for slot in signature.inputs] == ["x"]
    assert [slot.name for slot in signature.outputs] == ["y", "z"]


def test_text_and_binary_hold_the_same_nodes(written: Path) -> None:
    binary, text = graphlab.load(written / "graph.pb"), graphlab.load(written / "graph.pbtxt")
    assert [(n.id, n.op) for _, n in binary.each_node()] == [(n.id, n.op) for _, n in text.each_node()]
    assert list(binary.main.edges(keys=True)) == list(text.main.edges(keys=True))


def test_every_port_and_every_control_edge_is_tensorflows(tf: Any, written: Path) -> None:
    definition = tf.compat.v1.GraphDef.FromString((written / "graph.pb").read_bytes())
    main = graphlab.load(written / "graph.pb").main
    output = main.output
    data, control = set(), set()
    for item in definition.node:
        slot = 0
        for text in item.input:
            if text[0] == "^":
                control.add((text[1:], item.name))
                continue
            name, _, port = text.partition(":")
            data.add((name, item.name, int(port or 0), slot))
            slot += 1
    read = {(s, d, e["src_port"], e["dst_port"]) for s, d, e in main.edges(data=True) if e["kind"] == "data" and d != output}
    assert read == data
    assert {(s, d) for s, d, kind in main.edges(data="kind") if kind == "control" and d != output} == control


def test_arguments_and_results_of_an_instantiated_function_are_inputs_and_outputs() -> None:
    argument = (
        'node {{ name: "{0}" op: "_Arg" attr {{ key: "T" value {{ type: DT_FLOAT }} }} attr {{ key: "index" value {{ i: {1} }} }} }}\n'
    )
    text = argument.format("b", 1) + argument.format("a", 0) + node("sum", "AddV2", "a", "b") + node("r", "_Retval", "sum")
    (signature,) = read(text).signatures.values()
    assert [slot.name for slot in signature.inputs] == ["a", "b"]
    assert [slot.name for slot in signature.outputs] == ["sum"]


def test_functions_that_nothing_reaches_are_kept_with_their_gradients() -> None:
    text = X + (
        'library { function { signature { name: "f" input_arg { name: "v" type: DT_FLOAT } output_arg { name: "r" type: DT_FLOAT } }\n'
        'node_def { name: "n" op: "Neg" input: "v" attr { key: "T" value { type: DT_FLOAT } } } ret { key: "r" value: "n:y:0" } }\n'
        'gradient { function_name: "f" gradient_func: "g" } } versions { producer: 500 }\n'
    )
    program = read(text)
    assert list(program.graphs) == ["main", "f"]
    assert program.meta == {"graph_version": 500, "gradients": {"f": "g"}}


def test_attributes_that_a_file_leaves_out_have_their_defaults() -> None:
    program = read(X + 'node { name: "s" op: "Shape" input: "x" }\nnode { name: "g" op: "StagePeek" input: "s" }\n')
    assert str(program.main.node("s").outputs[0]) == "i32[*]"


def test_a_placeholders_empty_shape_is_a_scalar_since_version_22_only() -> None:
    scalar = X.replace("} }\n", '} attr { key: "shape" value { shape { } } } }\n')
    assert str(read(scalar + "versions { producer: 21 }").main.node("x").outputs[0]) == "f32[*]"
    assert str(read(scalar + "versions { producer: 22 }").main.node("x").outputs[0]) == "f32[]"


MEDIAPIPE = 'input_stream: "in"\nnode {\n  calculator: "PassThrough"\n  input_stream: "in"\n}\n'


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        (X, True),
        ("# a comment\n\n versions { producer: 3 } " + X, True),
        ("library { function { signature { } } }", True),
        ("library { }\n" + X, True),
        ("meta_info_def { tags: 'serve' }", True),
        ("node { }", False),
        (MEDIAPIPE, False),
        ('node {\n calculator: "x"\n op: "y" }', False),
        ('node { op_type: "Add" op: "y" }', False),
        ("pipeline_info { }", False),
        ('name: "net"\nop { input: "x" type: "Conv" }', False),
        ("", False),
        ("node", False),
    ],
)
def test_text_is_told_by_what_it_begins_with(text: str, taken: bool) -> None:
    assert graph_file.matches(File.of("x", text.encode())) is taken


def test_binary_is_told_by_its_first_node(written: Path) -> None:
    data = (written / "graph.pb").read_bytes()
    assert graph_file.matches(File.of("x", data))
    assert graph_file.matches(File.of("x", (written / "model.meta").read_bytes()))
    for other in (
        b"",
        b"\x0a",
        b"\x0a\xff\xff\xff\xff\xff",
        b"\x0a\x05\x0a\x03abc",
        b"\x08\x07\x12\x04onnx",
        b"\x0a\x07\x0a\x01a\x12\x02?!",
    ):
        assert not graph_file.matches(File.of("x", other))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (node("y", "Neg", "nobody"), "no output of a node"),
        (node("y", "Neg", "y:7"), "takes output 7 of 'y'"),
        (X + X, "two nodes of the name 'x'"),
        (node("", "Neg"), "without a name"),
        (X + 'node { name: "c" op: "Const" input: "x" attr { key: "value" value { tensor { dtype: DT_FLOAT } } } }', "source of one"),
        (X + 'node { name: "c" op: "Unpack" input: "x" attr { key: "num" value { i: 9000000000000 } } }', "9,000,000,000,000 outputs"),
        (X + 'node { name: "c" op: "Neg" input: "" }', "takes ''"),
    ],
)
def test_a_graph_that_is_not_sound_is_refused_with_its_place(text: str, found: str) -> None:
    with pytest.raises(FormatError) as caught:
        read(text)
    assert found in caught.value.found
    assert "graph.pbtxt" in str(caught.value)
    assert caught.value.where


def test_a_call_that_does_not_fit_its_function_is_refused() -> None:
    library = (
        'library { function { signature { name: "f" input_arg { name: "v" type: DT_FLOAT } output_arg { name: "r" type: DT_FLOAT } }'
        ' ret { key: "r" value: "v" } } }'
    )
    call = 'node { name: "c" op: "PartitionedCall" attr { key: "f" value { func { name: "f" } } } }'
    with pytest.raises(FormatError, match="do not fit the function 'f'"):
        read(call + library)
    with pytest.raises(FormatError, match="does not say what its result 'r' is"):
        read(X + library.replace('ret { key: "r" value: "v" }', ""))


def test_a_graph_has_no_signature_to_select(written: Path) -> None:
    with pytest.raises(SelectError, match="one graph without signatures"):
        graphlab.load(written / "graph.pb", select="serving_default")


def test_switches_nested_without_end_take_no_more_than_their_number() -> None:
    lines = ['node { name: "p" op: "Placeholder" attr { key: "dtype" value { type: DT_BOOL } } }', X]
    before = "x"
    for i in range(600):
        lines.append(f'node {{ name: "p{i}" op: "Identity" input: "p" attr {{ key: "T" value {{ type: DT_BOOL }} }} }}')
        lines.append(node(f"s{i}", "Switch", before, f"p{i}"))
        before = f"s{i}:1"
    program = read("\n".join([*lines, node("y", "Neg", before)]))
    assert len(program.main.node("y").meta["within"]) <= 64


def test_the_readers_contract(written: Path) -> None:
    for check in reader_checks(written / "frozen.pb", written / "graph.pbtxt"):
        check.values[0](check.values[1])


def test_large_strings_are_left_in_the_file(tmp_path: Path) -> None:
    from graphlab.capture.tensorflow.schema import SCHEMA
    from graphlab.ir.constants import Constant

    definition = SCHEMA.new("GraphDef")
    text = bytes(range(256)) * 400
    call = definition.node.add(name="call", op="XlaCallModule")
    call.attr["module"].s = text
    call.attr["dim_args_spec"].list.s.extend([b"short", text])
    constant = definition.node.add(name="c", op="Const")
    constant.attr["dtype"].type = 7
    constant.attr["value"].tensor.dtype = 7
    constant.attr["value"].tensor.string_val.append(b"a" * 100_000)
    path = tmp_path / "large.pb"
    path.write_bytes(definition.SerializeToString())
    main = graphlab.load(path).main
    module = main.node("call").attrs["module"]
    assert isinstance(module, Constant)
    assert (module.nbytes, module.bytes()) == (len(text), text)
    assert main.node("call").attrs["dim_args_spec"][0] == "short"
    assert main.node("call").attrs["dim_args_spec"][1] == module
    value = main.node("c").value
    assert value is not None
    assert value.bytes() == b"'" + b"a" * 100_000 + b"'"


def test_nodes_that_claim_results_without_end_are_refused() -> None:
    many = "".join(f'node {{ name: "u{i}" op: "Unpack" attr {{ key: "num" value {{ i: 65536 }} }} }}\n' for i in range(50))
    with pytest.raises(FormatError, match="more than 65,536 results"):
        read(many)
