"""Grappler in its child process: what it folded, at which step, and how it fails. Seen in tensorflow 2.21.0."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import networkx as nx
import numpy as np
import pytest

import graphlab
from graphlab import CompileError, Program
from graphlab.compilers import grappler
from graphlab.compilers.results import Absent, Compiled, Measured

tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.tensorflow

WEIGHT = np.arange(64 * 64, dtype=np.float32).reshape(64, 64) / 4096


@pytest.fixture(scope="module")
def variable() -> Any:
    return tf.Variable(WEIGHT, name="weight")


@pytest.fixture(scope="module")
def program(variable: Any) -> Program:
    @tf.function(input_signature=[tf.TensorSpec([None, 64], tf.float32)])
    def layer(x: Any) -> Any:
        scale = tf.exp(variable) * 2.0
        return tf.nn.relu(tf.matmul(x, scale))

    return graphlab.capture(layer)


@pytest.fixture(scope="module")
def compiled(program: Program) -> Compiled:
    return graphlab.compile(program, compiler="grappler")


def value(compiled: Compiled, name: str) -> float:
    metric = compiled.metrics[name]
    assert isinstance(metric, Measured)
    return metric.value


def stage(compiled: Compiled, name: str) -> Program:
    (found,) = [stage for stage in compiled.stages if stage.name == name]
    return found.load()


def test_stages_are_the_input_the_frozen_graph_and_each_optimizer_in_order(compiled: Compiled, program: Program) -> None:
    assert [s.name for s in compiled.stages] == ["input", "frozen", *grappler.OPTIMIZERS]
    assert compiled.stages[0].load() is program
    assert all(s.seconds is not None for s in compiled.stages[2:])
    assert all(graphlab.verify(s.load()) == () for s in compiled.stages)


def test_freezing_turns_variables_into_constants(compiled: Compiled) -> None:
    frozen = stage(compiled, "frozen")
    assert "tf.ReadVariableOp" not in frozen.op_counts()
    assert not [node for node in frozen.main.each_node() if node.kind == "parameter"]


def test_folding_leaves_a_constant_of_the_folded_nodes_name_with_its_value(compiled: Compiled) -> None:
    node = stage(compiled, "constfold").main.node("mul")
    assert stage(compiled, "frozen").main.node("mul").kind == "op"
    assert node.kind == "constant"
    assert node.value is not None
    np.testing.assert_allclose(node.value.array(), np.exp(WEIGHT) * 2.0, rtol=1e-6)


def test_metrics_count_what_the_stages_hold(compiled: Compiled, program: Program) -> None:
    assert value(compiled, "ops_before") == program.count()
    assert value(compiled, "ops_after") == compiled.stages[-1].load().count() < program.count()
    assert value(compiled, "folded_ops") == 3  # the identity left of the variable's read, exp, mul
    assert value(compiled, "constant_bytes_before") == 64 * 64 * 4 + 4
    assert set(compiled.metrics) == set(grappler.METRICS)


def test_source_lines_are_kept_through_all_stages(compiled: Compiled) -> None:
    final = compiled.stages[-1].load()
    frame = final.frame(final.main.node("mul"))
    assert frame is not None
    assert frame.file == __file__


def test_shapes_are_known_after_each_stage(compiled: Compiled) -> None:
    assert str(compiled.stages[-1].load().main.node("MatMul").outputs[0]) == "f32[?,64]"


def test_regions_of_loops_and_branches_are_in_every_stage() -> None:
    @tf.function(input_signature=[tf.TensorSpec([3], tf.float32)])
    def loop(x: Any) -> Any:
        for _ in tf.range(tf.cast(x[0], tf.int32)):
            x = tf.tanh(x) if tf.random.uniform(()) > 0.5 else x
        return x

    made = graphlab.compile(graphlab.capture(loop), compiler="grappler", optimizers=("constfold",))
    for each in made.stages:
        program = each.load()
        assert set(nx.descendants(program.call_graph(), program.entry)) | {program.entry} == set(program.graphs)
        forms = sorted(node.control.form for _, node in program.each_node() if node.control)
        assert forms == ["conditional", "loop"]
        assert program.op_counts()["tf.Tanh"] == 1


def test_without_constfold_the_folded_count_is_absent_with_its_reason(program: Program) -> None:
    made = graphlab.compile(program, compiler="grappler", optimizers=("dependency",))
    assert made.metrics["folded_ops"] == Absent("constfold was not among the optimizers")


def test_an_unknown_optimizer_is_refused_by_name(program: Program) -> None:
    with pytest.raises(CompileError, match="nosuch"):
        graphlab.compile(program, compiler="grappler", optimizers=("nosuch",))


def test_a_time_limit_ends_the_child(program: Program) -> None:
    with pytest.raises(CompileError, match=r"longer than 0\.2 s") as caught:
        graphlab.compile(program, compiler="grappler", time_limit=0.2)
    assert caught.value.reason == "timeout"


def test_another_target_is_refused(program: Program) -> None:
    with pytest.raises(CompileError, match="targets cpu"):
        graphlab.compile(program, compiler="grappler", target="tpu")


def test_a_function_that_writes_its_variables_cannot_be_frozen_and_says_so(variable: Any) -> None:
    written = graphlab.capture(tf.function(lambda: variable.assign_add(variable)))
    with pytest.raises(CompileError, match="cannot freeze it") as caught:
        graphlab.compile(written, compiler="grappler")
    assert caught.value.do == "compile a function that only reads its variables"


def test_takes_live_tensorflow_functions_only(program: Program, tmp_path: Any) -> None:
    graphlab.save(program, tmp_path / "saved.graphlab")
    assert grappler.takes(program)
    assert not grappler.takes(graphlab.load(tmp_path / "saved.graphlab"))


def test_the_module_imports_no_framework() -> None:
    code = "import sys, graphlab.compilers.grappler; assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
