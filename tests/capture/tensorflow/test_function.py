"""tf.functions and ConcreteFunctions in the IR, held against TensorFlow's own GraphDef."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import pytest

import graphlab
from graphlab import CaptureError, Inputs, Node, Program, Use
from graphlab.analyzers import control_flow
from graphlab.ir.graph import Control
from graphlab.ir.values import OpaqueType, TensorType

pytest.importorskip("tensorflow")
pytestmark = pytest.mark.tensorflow


def node_of(program: Program, op: str) -> tuple[str, Node]:
    """The only node of an operation, with its graph's name."""
    (found,) = [(ref.graph, node) for ref, node in program.each_node() if node.op == op]
    return found


def reached(program: Program) -> set[str]:
    return set(nx.descendants(program.call_graph(), program.entry)) | {program.entry}


@pytest.fixture(scope="module")
def nested(tf: Any) -> Program:
    """A loop in a loop, a branch in the inner one."""

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32), tf.TensorSpec([], tf.int32)])
    def nested(x: Any, n: Any) -> Any:
        for i in tf.range(n):
            for _ in tf.range(4):
                if tf.reduce_sum(x) > 0.0:  # noqa: SIM108 (a statement is what AutoGraph must turn into a branch)
                    x = x - 1.0
                else:
                    x = x * tf.cast(i, tf.float32)
        return x

    return graphlab.capture(nested)


def test_counts_what_the_graph_def_counts(nested: Program, definition_count: Callable[[Program], int]) -> None:
    assert nested.count() == definition_count(nested)


def test_a_branch_in_a_loop_in_a_loop_is_all_there(nested: Program) -> None:
    outer = next(n for n in nested.main.each_node() if n.control)
    inner = next(n for n in nested.graphs[outer.calls["body"].graph].each_node() if n.control)
    branch = next(n for n in nested.graphs[inner.calls["body"].graph].each_node() if n.control)
    assert (outer.op, inner.op, branch.op) == ("tf.StatelessWhile", "tf.StatelessWhile", "tf.StatelessIf")
    assert branch.control is not None
    assert branch.control.predicate == 0
    ops = {role: {n.op for n in nested.graphs[call.graph].each_node()} for role, call in branch.calls.items()}
    assert "tf.Sub" in ops["then"]
    assert "tf.Mul" in ops["else"]


def test_every_region_of_the_library_that_is_used_is_kept_and_no_other(nested: Program) -> None:
    library = {f.signature.name for f in nested.native.graph.as_graph_def().library.function}
    assert reached(nested) == set(nested.graphs) == {nested.entry} | library


def test_a_loop_is_a_cycle_of_the_flat_graph(nested: Program) -> None:
    assert not nx.is_directed_acyclic_graph(nested.flatten())
    assert all(nx.is_directed_acyclic_graph(graph) for graph in nested.graphs.values())


def test_what_a_loop_carries_goes_round_at_its_own_place(nested: Program) -> None:
    outer = next(n for n in nested.main.each_node() if n.control)
    body = outer.calls["body"]
    assert body.operands == body.results == tuple(range(len(outer.outputs)))
    assert body.carried == tuple((i, i) for i in range(len(outer.outputs)))
    assert outer.control is not None
    assert outer.control.condition == ("cond", 0)


def test_the_signature_has_the_users_names_and_types(nested: Program) -> None:
    signature = nested.signatures[nested.entry]
    assert [(slot.name, slot.type) for slot in signature.inputs] == [("x", TensorType("float32", (None, 3))), ("n", TensorType("int32"))]
    assert [slot.type for slot in signature.outputs] == [TensorType("float32", (None, 3))]


def test_both_uses_of_one_value_are_edges(tf: Any) -> None:
    program = graphlab.capture(tf.function(lambda x: x + x), ("f32[2]",))
    _, add = node_of(program, "tf.AddV2")
    assert add.operands == [Use("x", 0, add.id, 0), Use("x", 0, add.id, 1)]


@pytest.mark.parametrize(
    ("op", "ports"),
    [("tf.Split", (2, 0)), ("tf.Unpack", (1, 0)), ("tf.TopKV2", (1, 0)), ("tf.SplitV", (1, 0))],
)
def test_results_of_one_operation_leave_by_their_own_ports(tf: Any, op: str, ports: tuple[int, int]) -> None:
    def build(x: Any) -> Any:
        made = {
            "tf.Split": lambda: tf.split(x, 3, axis=1),
            "tf.Unpack": lambda: tf.unstack(x, num=2),
            "tf.TopKV2": lambda: tf.raw_ops.TopKV2(input=x, k=2),
            "tf.SplitV": lambda: tf.split(x, [1, 5], axis=1),
        }[op]()
        return tf.identity(made[ports[0]]), tf.identity(made[ports[1]])

    program = graphlab.capture(tf.function(build), ("f32[2,6]",))
    _, node = node_of(program, op)
    assert tuple(use.src_port for use in node.users) == ports
    (concrete,) = [operation for operation in program.native.graph.get_operations() if operation.type == op.removeprefix("tf.")]
    assert [(t.dtype.name, tuple(t.shape)) for t in concrete.outputs] == [
        (t.dtype, t.dims) for t in node.outputs if isinstance(t, TensorType)
    ]


def test_ports_within_functions_are_told_by_the_op_def(tf: Any) -> None:
    """There a reference reads ``split:output:1``, not ``split:1``."""

    @tf.function
    def branch(x: Any) -> Any:
        if tf.reduce_sum(x) > 0.0:
            values, indices = tf.math.top_k(x, 2)
            parts = tf.split(x, 3)
            return parts[2] + values, indices
        return x[:2], tf.zeros([2], tf.int32)

    program = graphlab.capture(branch, ("f32[6]",))
    name, split = node_of(program, "tf.Split")
    assert [use.src_port for use in split.users] == [2]
    _, top = node_of(program, "tf.TopKV2")
    assert {use.src_port for use in top.users} == {0, 1}
    assert name != program.entry


def test_control_edges_are_kept(tf: Any) -> None:
    counter = tf.Variable(0.0)

    @tf.function(input_signature=[])
    def count() -> Any:
        counter.assign_add(1.0)
        return counter.read_value()

    program = graphlab.capture(count)
    edges = {(src, dst) for src, dst, kind in program.main.edges(data="kind") if kind == "control"}
    definition = program.native.graph.as_graph_def()
    own = {(text[1:], node.name) for node in definition.node for text in node.input if text.startswith("^")}
    ends = {(operation.name, "output") for operation in program.native.graph.control_outputs}
    assert own
    assert edges == own | ends


def test_case_branches_are_numbered(tf: Any, definition_count: Callable[[Program], int]) -> None:
    @tf.function(input_signature=[tf.TensorSpec([], tf.int32), tf.TensorSpec([2])])
    def choose(i: Any, x: Any) -> Any:
        return tf.switch_case(i, [lambda: x, lambda: -x, lambda: tf.exp(x)])

    program = graphlab.capture(choose)
    _, node = node_of(program, "tf.StatelessCase")
    assert list(node.calls) == ["branch_0", "branch_1", "branch_2"]
    assert {n.op for n in program.graphs[node.calls["branch_2"].graph].each_node()} >= {"tf.Exp"}
    assert node.control is not None
    assert node.control.form == "conditional"
    assert program.count() == definition_count(program)


def test_map_fn_is_a_loop_with_its_function_in_the_body(tf: Any) -> None:
    program = graphlab.capture(tf.function(lambda x: tf.map_fn(tf.tanh, x)), ("f32[5,3]",))
    name, _ = node_of(program, "tf.Tanh")
    _, loop = node_of(program, "tf.StatelessWhile")
    assert loop.calls["body"].graph == name


def test_a_function_called_twice_is_stored_once(tf: Any) -> None:
    @tf.function
    def shared(x: Any) -> Any:
        return tf.sin(x)

    program = graphlab.capture(tf.function(lambda x: shared(shared(x))), ("f32[2]",))
    sites = [node for node in program.main.each_node() if node.calls]
    assert len(sites) == 2
    assert len({node.calls["call"].graph for node in sites}) == 1
    assert len(program.graphs) == 2
    assert program.op_counts()["tf.Sin"] == 1


def test_gradient_functions_are_in_the_program(tf: Any, definition_count: Callable[[Program], int]) -> None:
    @tf.function
    def square(x: Any) -> Any:
        return x * tf.exp(x)

    @tf.function
    def gradient(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = square(x)
        return tape.gradient(y, x)

    program = graphlab.capture(gradient, ("f32[3]",))
    calls = [node.calls["call"].graph for node in program.main.each_node() if "call" in node.calls]
    assert len(calls) == 2
    assert any("backward" in name for name in calls)
    assert program.count() == definition_count(program)


def test_a_dataset_functions_captured_operands_are_told_from_its_elements(tf: Any) -> None:
    @tf.function
    def total(offset: Any) -> Any:
        data = tf.data.Dataset.range(4).map(lambda i: i + offset)
        return data.reduce(tf.constant(0, tf.int64), lambda a, b: a + b)

    program = graphlab.capture(total, ("i64[]",))
    _, node = node_of(program, "tf.MapDataset")
    (call,) = node.calls.values()
    slot = call.operands[-1]
    assert call.operands[0] is None
    assert [use.src for use in node.operands if use.dst_port == slot] == ["offset"]


def test_a_reduction_of_a_dataset_is_a_loop_whose_state_goes_round(tf: Any) -> None:
    @tf.function
    def total(count: Any, first: Any, scale: Any) -> Any:
        return tf.data.Dataset.range(count).reduce(
            (first, tf.constant(0)), lambda s, i: ((s[0] + tf.cast(i, tf.float32) * scale), s[1] + 1)
        )

    program = graphlab.capture(total, ("i64[]", "f32[]", "f32[]"))
    _, node = node_of(program, "tf.ReduceDataset")
    call = node.calls["body"]
    assert node.control == Control("loop", trip_slot=0)
    assert (call.operands, call.results, call.carried) == ((1, 2, None, 3), (0, 1), ((0, 0), (1, 1)))
    assert [use.src for use in node.operands if use.dst_port in (1, 3)] == ["first", "scale"]
    (loop,) = control_flow.analyze(program).constructs
    assert (loop.form, loop.decided_by, [cause.name for cause in loop.causes], loop.trip_count) == ("loop", "input", ["count"], None)
    assert [(region.role, region.graph) for region in loop.regions] == [("body", call.graph)]


@pytest.mark.parametrize(
    ("build", "op", "role"),
    [
        (lambda data: data.map(lambda v: v + 1), "tf.MapDataset", "body"),
        (lambda data: data.filter(lambda v: v > 1), "tf.FilterDataset", "predicate"),
        (lambda data: data.take_while(lambda v: v < 3), "tf.TakeWhileDataset", "predicate"),
        (lambda data: data.scan(data.cardinality(), lambda s, v: (s + v, s)), "tf.ScanDataset", "body"),
    ],
)
def test_what_runs_a_function_on_each_element_of_a_dataset_is_a_loop(tf: Any, build: Callable[[Any], Any], op: str, role: str) -> None:
    program = graphlab.capture(tf.function(lambda n: build(tf.data.Dataset.range(n)).cardinality()), ("i64[]",))
    _, node = node_of(program, op)
    assert node.control == Control("loop", trip_slot=0)
    assert list(node.calls) == [role]
    assert [c.op for c in control_flow.analyze(program).constructs] == [op]
    assert node.calls[role].carried == (((0, 0),) if op == "tf.ScanDataset" else ())


def test_variables_are_parameters_by_name_with_a_lazy_value(tf: Any) -> None:
    weight = tf.Variable(np.arange(6, dtype=np.float32).reshape(2, 3), name="weight")
    program = graphlab.capture(tf.function(lambda x: tf.matmul(x, weight)), ("f32[4,2]",))
    (parameter,) = [node for node in program.main.each_node() if node.kind == "parameter"]
    assert parameter.name == "weight"
    assert parameter.outputs == (OpaqueType("resource"),)
    assert parameter.value is not None
    weight.assign(weight * 2.0)  # nothing was fetched at capture
    np.testing.assert_array_equal(parameter.value.array(), weight.numpy())


def test_a_function_whose_variable_is_gone_is_refused(tf: Any) -> None:
    def build() -> Any:
        variable = tf.Variable(1.0)
        return tf.function(lambda: variable * 2.0).get_concrete_function()

    concrete = build()
    gc.collect()
    with pytest.raises(CaptureError, match="a variable that it uses was deleted"):
        graphlab.capture(concrete)


def test_a_captured_tensor_is_a_constant(tf: Any) -> None:
    table = tf.constant(np.arange(1000, dtype=np.int64))
    program = graphlab.capture(tf.function(lambda i: tf.gather(table, i)), ("i32[2]",))
    captured = [node for node in program.main.each_node() if node.kind == "constant" and node.outputs == (TensorType("int64", (1000,)),)]
    assert captured[0].value is not None
    assert captured[0].value.array()[999] == 999
    assert [slot.name for slot in program.signatures[program.entry].inputs] == ["i"]


def test_elements_of_a_nested_input_are_told_apart(tf: Any) -> None:
    value = {"a": tf.ones([2]), "b": tf.ones([3])}
    program = graphlab.capture(tf.function(lambda d: d["a"] + d["b"][:2]), Inputs((value,)))
    assert [slot.name for slot in program.signatures[program.entry].inputs] == ["d/0", "d/1"]


def test_a_mapping_of_results_names_the_outputs(tf: Any) -> None:
    program = graphlab.capture(tf.function(lambda x: {"z": x + 1.0, "a": tf.zeros([7])}), ("f32[2]",))
    assert [(slot.name, str(slot.type)) for slot in program.signatures[program.entry].outputs] == [("a", "f32[7]"), ("z", "f32[2]")]


@pytest.mark.parametrize(
    ("build", "effects"),
    [
        (lambda tf, v: tf.random.uniform([2]), ("random",)),
        (lambda tf, v: v.read_value(), ("reads_state",)),
        (lambda tf, v: v.assign_add([1.0, 1.0]), ("reads_state", "writes_state")),
        (lambda tf, v: tf.py_function(lambda: 1.0, [], tf.float32), ("host", "opaque")),
        (lambda tf, v: tf.debugging.check_numerics(tf.ones([2]), "bad"), ("io",)),
        (lambda tf, v: tf.random.stateless_uniform([2], seed=[1, 2]), ()),
        (lambda tf, v: tf.data.Dataset.range(4).shuffle(2).reduce(tf.constant(0, tf.int64), lambda a, b: a + b), ("random",)),
    ],
)
def test_effects_say_why_a_node_is_not_pure(tf: Any, build: Callable[[Any, Any], Any], effects: tuple[str, ...]) -> None:
    variable = tf.Variable([1.0, 2.0])
    program = graphlab.capture(tf.function(lambda: build(tf, variable)))
    assert tuple(sorted({effect for _, node in program.each_node() for effect in node.effects})) == effects


def test_a_call_has_the_effects_of_what_it_calls_at_any_depth(tf: Any) -> None:
    @tf.function
    def coin() -> Any:
        return tf.random.uniform(()) > 0.5

    program = graphlab.capture(
        tf.function(lambda x: tf.cond(coin(), lambda: x, lambda: tf.cond(coin(), lambda: -x, lambda: x))), ("f32[2]",)
    )
    assert {node.op: node.effects for node in program.main.each_node() if node.calls} == {
        "tf.StatefulPartitionedCall": ("random",),
        "tf.If": ("random",),
    }


def test_a_concrete_function_and_its_graph_give_the_same_program(tf: Any) -> None:
    concrete = tf.function(lambda x: tf.exp(x) + 1.0).get_concrete_function(tf.TensorSpec([2]))
    one, other = graphlab.capture(concrete), graphlab.capture(concrete.graph)
    assert list(one.main.nodes) == list(other.main.nodes)
    assert one.native is concrete


def test_a_method_and_a_module_called_by_a_function_are_captured(tf: Any) -> None:
    class Doubler(tf.Module):
        @tf.function
        def __call__(self, x: Any) -> Any:
            return x * 2.0

    assert graphlab.capture(Doubler(), ("f32[2]",)).op_counts()["tf.Mul"] == 1
    assert [s.name for s in graphlab.capture(Doubler().__call__, ("f32[2]",)).signatures["__call__"].inputs] == ["x"]


def test_a_symbolic_dim_is_any_size_to_tensorflow(tf: Any) -> None:
    program = graphlab.capture(tf.function(lambda x: x), ("f32[batch,3]",))
    assert program.signatures[program.entry].inputs[0].type == TensorType("float32", (None, 3))


def test_capture_leaves_the_garbage_collector_as_it_was(tf: Any) -> None:
    gc.disable()
    try:
        graphlab.capture(tf.function(lambda x: x), ("f32[2]",))
        assert not gc.isenabled()
    finally:
        gc.enable()
    graphlab.capture(tf.function(lambda x: x), ("f32[2]",))
    assert gc.isenabled()


def test_a_program_survives_its_file(nested: Program, tmp_path: Any) -> None:
    graphlab.save(nested, tmp_path / "nested.graphlab")
    again = graphlab.load(tmp_path / "nested.graphlab")
    assert again.count() == nested.count()
    assert graphlab.verify(again) == ()
