"""SavedModels and Serving directories, written by TensorFlow and read without it."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphlab
from graphlab import FormatError, Program, TensorType
from graphlab.analyzers import control_flow, fidelity, size
from graphlab.errors import SelectError
from graphlab.testing import reader_checks

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def module(tf: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two signatures, a loop with a branch in it, a case, a table with an asset, a counter that is not trained."""
    folder = tmp_path_factory.mktemp("module")
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("a\nb\n")

    class Module(tf.Module):
        def __init__(self) -> None:
            self.w = tf.Variable(tf.reshape(tf.range(9.0), (3, 3)), name="w")
            self.count = tf.Variable(7, trainable=False, name="count")
            lines = tf.lookup.TextFileIndex
            self.table = tf.lookup.StaticHashTable(
                tf.lookup.TextFileInitializer(str(vocabulary), tf.string, lines.WHOLE_LINE, tf.int64, lines.LINE_NUMBER), -1
            )

        @tf.function(input_signature=[tf.TensorSpec([None, 3], name="x")])
        def run(self, x: Any) -> Any:
            i = tf.constant(0)
            while i < 5:
                x = x @ self.w
                x = x * 2.0 if tf.reduce_sum(x) > 0 else x - 1.0
                i += 1
            self.count.assign_add(1)
            return {"y": x, "steps": i}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="words"), tf.TensorSpec([], tf.int32, name="which")])
        def look(self, words: Any, which: Any) -> Any:
            ids = self.table.lookup(words)
            return {"ids": tf.switch_case(which, {0: lambda: ids, 1: lambda: ids * 2})}

    made = Module()
    options = tf.saved_model.SaveOptions(save_debug_info=True)
    tf.saved_model.save(made, str(folder / "saved"), signatures={"run": made.run, "look": made.look}, options=options)
    return folder / "saved"


@pytest.fixture(scope="module")
def program(module: Path) -> Program:
    return graphlab.load(module)


def test_all_nodes_of_the_graph_and_of_all_functions_are_there(tf: Any, module: Path, program: Program) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    definition = saved_model_pb2.SavedModel.FromString((module / "saved_model.pb").read_bytes()).meta_graphs[0].graph_def
    functions = definition.library.function
    assert program.count() == len(definition.node) + sum(len(f.node_def) for f in functions)
    assert {f.signature.name for f in functions} <= set(program.graphs)


def test_every_signature_is_an_entry_with_its_names_and_types(program: Program) -> None:
    run, look = program.signatures["run"], program.signatures["look"]
    assert [(s.name, s.type) for s in run.inputs] == [("x", TensorType("float32", (None, 3)))]
    assert [(s.name, str(s.type)) for s in run.outputs] == [("steps", "i32[]"), ("y", "f32[?,3]")]
    assert [s.name for s in look.inputs] == ["which", "words"]
    assert program.meta["tags"] == ("serve",)


def test_a_signature_runs_what_its_function_runs(program: Program) -> None:
    entry = program.graphs[program.signatures["look"].graph]
    (call,) = [node for node in entry.each_node() if node.kind == "op"]
    assert call.synthetic
    assert entry.count() == 0
    reached = set(program.call_graph().successors(entry.name))
    assert reached == {"main"}


def test_a_selected_signature_is_the_entry_alone(module: Path) -> None:
    look = graphlab.load(module, select="look")
    assert list(look.signatures) == ["look"]
    assert look.entry == look.signatures["look"].graph


def test_a_signature_that_is_not_there_is_refused_with_those_that_are(module: Path) -> None:
    with pytest.raises(SelectError) as caught:
        graphlab.load(module, select="serve_me")
    assert caught.value.names == ("look", "run")


def test_variables_have_their_names_values_and_roles(program: Program) -> None:
    found = {node.name: node for _, node in program.each_node() if node.kind == "parameter"}
    assert set(found) == {"w", "count"}
    assert found["count"].attrs["role"] == "buffer"
    assert "role" not in found["w"].attrs
    assert found["w"].value is not None
    assert found["count"].value is not None
    np.testing.assert_array_equal(found["w"].value.array(), np.arange(9, dtype=np.float32).reshape(3, 3))
    assert found["count"].value.array() == 7
    assert size.analyze(program).parameters == 1


@pytest.mark.parametrize(("pattern", "file"), [("*", "variables/variables.index"), ("*.data-*", "variables.data-00000-of-00001")])
def test_variables_whose_files_are_not_there_are_a_finding(module: Path, tmp_path: Path, pattern: str, file: str) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(module, bare)
    for path in (bare / "variables").glob(pattern):
        path.unlink()
    (finding,) = (f for f in fidelity.analyze(graphlab.load(bare)).findings if f.code == "GL109")
    assert finding.data == {"count": 2, "files": (file,)}
    assert file in finding.message


def test_a_whole_saved_model_misses_nothing(program: Program) -> None:
    assert program.source.notes == ()


def test_assets_are_named(program: Program) -> None:
    assert list(program.meta["assets"]) == ["vocab.txt"]
    assert program.graphs["main"].node(program.meta["assets"]["vocab.txt"]).meta.get("asset", "vocab.txt") == "vocab.txt"


def test_loops_and_branches_are_found_with_the_lines_that_made_them(program: Program) -> None:
    constructs = control_flow.analyze(program).constructs
    assert Counter(c.form for c in constructs) == {"conditional": 2, "loop": 1}
    (loop,) = [c for c in constructs if c.form == "loop"]
    assert str(loop.trip_count) == "5"
    assert all(c.where is not None and c.where.file == __file__ for c in constructs if c.form == "conditional")


def test_the_file_given_itself_is_the_same_program(module: Path, program: Program) -> None:
    alone = graphlab.load(module / "saved_model.pb")
    assert alone.count() == program.count()
    assert [n.name for _, n in alone.each_node() if n.kind == "parameter" and n.value is not None and n.value.available] == ["count", "w"]


def test_text_reads_as_the_binary_does(tf: Any, module: Path, program: Program, tmp_path: Path) -> None:
    from google.protobuf import text_format
    from tensorflow.core.protobuf import saved_model_pb2

    message = saved_model_pb2.SavedModel.FromString((module / "saved_model.pb").read_bytes())
    (tmp_path / "saved_model.pbtxt").write_text(text_format.MessageToString(message))
    text = graphlab.load(tmp_path)
    assert [(str(r), n.op, n.outputs) for r, n in text.each_node()] == [(str(r), n.op, n.outputs) for r, n in program.each_node()]
    value = next(n.value for _, n in text.each_node() if n.name == "w" and n.kind == "parameter")
    assert value is not None
    assert not value.available
    assert "variables.index" in value.reason


def test_without_signatures_the_functions_of_the_objects_are_graphs(tf: Any, tmp_path: Path) -> None:
    class Plain(tf.Module):
        def __init__(self) -> None:
            self.w = tf.Variable(2.0)

        @tf.function(input_signature=[tf.TensorSpec([2])])
        def double(self, x: Any) -> Any:
            return x * self.w

        @tf.function(input_signature=[tf.TensorSpec([2])])
        def triple(self, x: Any) -> Any:
            return x * self.w + x

    made = Plain()
    tf.saved_model.save(made, str(tmp_path))
    read = graphlab.load(tmp_path)
    entries = {name: signature for name, signature in read.signatures.items() if name in ("double", "triple")}
    assert set(entries) == {"double", "triple"}
    for signature in entries.values():
        assert [(slot.role, slot.target) for slot in signature.inputs] == [("user", None), ("parameter", "Variable")]


@pytest.fixture(scope="module")
def versions(tf: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    for version, factor in ((1, 2.0), (2, 3.0), (10, 4.0)):
        made = tf.Module()
        made.call = tf.function(lambda x, factor=factor: {"y": x * factor}, input_signature=[tf.TensorSpec([None], name="x")])
        tf.saved_model.save(made, str(folder / str(version)), signatures=made.call)
    (folder / "models.config").write_text("")
    return folder


def test_versions_are_listed_and_selected(versions: Path) -> None:
    with pytest.raises(SelectError) as caught:
        graphlab.load(versions)
    assert caught.value.names == ("1", "2", "10", "latest")
    assert graphlab.load(versions, select="latest").source.path == str(versions / "10")
    assert graphlab.load(versions, select="2/serving_default").source.path == str(versions / "2")
    with pytest.raises(SelectError, match="none is '3'"):
        graphlab.load(versions, select="3")


def test_versions_can_be_compared(versions: Path) -> None:
    changes = graphlab.diff(graphlab.load(versions, select="1"), graphlab.load(versions, select="2"))
    assert changes.changes


def test_a_keras_model_has_its_weights_named_and_batch_norms_statistics_are_buffers(keras: Any, tmp_path: Path) -> None:
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((8, 8, 3), name="image"), layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization(name="bn"), layers.Flatten()]
    )
    model.export(str(tmp_path), verbose=False)
    read = graphlab.load(tmp_path)
    found = {n.name: n for _, n in read.each_node() if n.kind == "parameter"}
    assert set(found) == {w.path for w in model.weights}
    buffers = {name for name, node in found.items() if node.attrs.get("role") == "buffer"}
    assert buffers == {f"{model.name}/bn/moving_mean", f"{model.name}/bn/moving_variance"}
    for weight in model.weights:
        value = found[weight.path].value
        assert value is not None
        np.testing.assert_array_equal(value.array(), weight.numpy())


def test_several_graphs_are_told_apart_by_tags(tf: Any, tmp_path: Path) -> None:
    v1 = tf.compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        w = v1.get_variable("w", [2, 2], use_resource=False, initializer=v1.ones_initializer())
        v1.get_variable("steps", [], use_resource=False, trainable=False)
        h = tf.identity(v1.matmul(x, w), name="h")
        y = tf.nn.relu(h, name="y")
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.builder.SavedModelBuilder(str(tmp_path / "m"))
        define = v1.saved_model.signature_def_utils.predict_signature_def
        builder.add_meta_graph_and_variables(session, ["serve"], {"whole": define({"x": x}, {"y": y}), "half": define({"h": h}, {"y": y})})
        builder.add_meta_graph(["serve", "gpu"], {"whole": define({"x": x}, {"y": y})})
        builder.save()
    with pytest.raises(SelectError) as caught:
        graphlab.load(tmp_path / "m")
    assert caught.value.names == ("serve", "gpu,serve")
    whole = graphlab.load(tmp_path / "m", select="gpu,serve")
    assert list(whole.signatures) == ["whole"]
    assert whole.meta["tags"] == ("serve", "gpu")
    both = graphlab.load(tmp_path / "m", select="serve")
    assert list(both.signatures) == ["half", "whole"]
    (w_node,) = [n for _, n in both.each_node() if n.kind == "parameter"]
    assert w_node.value is not None
    assert w_node.value.array().tolist() == [[1, 1], [1, 1]]
    fed = both.graphs["main"].node("h/fed")
    assert [use.src for use in fed.operands] == ["h", "h/feed"]
    assert [use.dst for use in fed.users] == ["y"]
    assert both.graphs["main"].count() == both.count()


def test_what_is_no_whole_model_is_refused(module: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(module, tmp_path / "m")
    data = (tmp_path / "m" / "saved_model.pb").read_bytes()
    (tmp_path / "m" / "saved_model.pb").write_bytes(data[: len(data) // 2])
    with pytest.raises(FormatError) as caught:
        graphlab.load(tmp_path / "m")
    assert str(tmp_path / "m" / "saved_model.pb") in str(caught.value)
    (tmp_path / "m" / "saved_model.pb").write_bytes(b"\x08\x01")
    with pytest.raises(FormatError, match="no graph"):
        graphlab.load(tmp_path / "m")


def test_the_readers_contract(module: Path) -> None:
    for check in reader_checks(module):
        check.values[0](check.values[1])
