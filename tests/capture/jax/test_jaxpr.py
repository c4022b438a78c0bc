"""jaxpr → Program."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import pytest

pytestmark = pytest.mark.jax
jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402

from graphlab.capture.dispatch import capture_live  # noqa: E402
from graphlab.ir.format import dumps, loads  # noqa: E402
from graphlab.ir.graph import Node  # noqa: E402
from graphlab.ir.program import Program  # noqa: E402
from graphlab.ir.values import OpaqueType, SymDim, TensorType  # noqa: E402
from graphlab.ir.verify import verify  # noqa: E402

Count = Callable[[Any], int]


def only(program: Program, op: str) -> Node:
    """The one node of an operation."""
    [node] = [node for _, node in program.each_node() if node.op == op]
    return node


@jax.custom_vjp
def clipped(x: Any) -> Any:
    return jnp.sin(x)


clipped.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: (jnp.clip(g * jnp.cos(x), -1, 1),))


def nested(x: Any) -> Any:
    def step(carry: Any, row: Any) -> Any:
        grown = jax.lax.while_loop(lambda v: v.sum() < 10, lambda v: v + row, carry)
        return jax.lax.cond(grown[0] > row[0], jnp.sin, lambda v: jax.lax.fori_loop(0, 3, lambda i, w: w * i, v), grown), row

    return jax.lax.scan(step, x[0], x)


def solve(x: Any) -> Any:
    return jnp.linalg.solve(x @ x.T, x)


def with_ref(x: Any) -> Any:
    ref = jax.new_ref(x)
    ref[...] += 1
    return ref[...]


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "nested loops": nested,
    "linear solve": solve,
    "gradient of custom_vjp": jax.grad(lambda x: clipped(x).sum()),
    "custom_vjp": clipped,
    "relu": jax.nn.relu,
    "remat": jax.grad(lambda x: jax.checkpoint(lambda v: jnp.sin(jnp.sin(v)))(x).sum()),
    "vmap of a scan": jax.vmap(lambda row: jax.lax.scan(lambda c, v: (c + v, c), 0.0, row)),
    "reductions": lambda x: (jax.lax.reduce(x, 0.0, lambda a, b: a + 2 * b, (0,)), x.at[0].add(1.0), jnp.sort(x), jax.lax.top_k(x, 2)),
    "switch": lambda x: jax.lax.switch(x[0, 0].astype(int), [jnp.sin, jnp.cos, jnp.tan], x),
    "references": with_ref,
    "callbacks": lambda x: jax.debug.print("{}", x),
    "random": lambda x: jax.random.normal(jax.random.key(1), x.shape) + x,
    "associative scan": lambda x: jax.lax.associative_scan(jnp.add, x),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_equation_of_every_region_is_a_node(name: str, count_equations: Count) -> None:
    traced = jax.jit(FUNCTIONS[name]).trace(jnp.ones((4, 4)))
    program = capture_live(traced, method="jaxpr")
    assert program.count() == count_equations(traced.jaxpr)
    assert verify(program) == ()
    reached = nx.descendants(program.call_graph(), program.entry) | {program.entry}
    assert reached == set(program.graphs)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_programs_survive_the_file_format(name: str) -> None:
    program = capture_live(jax.jit(FUNCTIONS[name]), jnp.ones((4, 4)), method="jaxpr")
    data = dumps(program)
    assert dumps(loads(data)) == data


def test_a_resnet_has_as_many_nodes_as_equations(resnet: Any, count_equations: Count) -> None:
    function, arguments = resnet
    program = capture_live(function, arguments, method="jaxpr")
    assert program.count() == count_equations(function.trace(*arguments).jaxpr) > 500
    assert program.op_counts()["jax.conv_general_dilated"] == 1 + 8 * 2 + 3  # stem, eight blocks of two, three projections
    assert "res_net18/initial_conv" in {node.scope for _, node in program.each_node()}


def test_the_same_operand_twice_is_two_edges() -> None:
    graph = capture_live(jax.jit(lambda x: x + x), "f32[3]", method="jaxpr").main
    assert sorted(graph.edges("x", keys=True)) == [("x", "add", (0, 0)), ("x", "add", (0, 1))]


def test_a_function_called_twice_is_one_graph() -> None:
    inner = jax.jit(lambda v: jnp.sin(v) * 2)
    program = capture_live(jax.jit(lambda x: inner(x) + inner(x + 1)), "f32[3]", method="jaxpr")
    sites = [node.calls["call"].graph for _, node in program.each_node() if node.op == "jax.jit"]
    assert len(sites) == 2
    assert len(set(sites)) == 1
    assert len(program.graphs) == 2


def test_scan_says_what_goes_round_and_how_often() -> None:
    weights = jnp.ones((3, 3))
    program = capture_live(
        jax.jit(lambda c, xs: jax.lax.scan(lambda s, x: (s @ weights + x, s.sum()), c, xs, reverse=True)),
        ("f32[3]", "f32[7,3]"),
        method="jaxpr",
    )
    scan = only(program, "jax.scan")
    call = scan.calls["body"]
    assert scan.control is not None
    assert scan.control.trip_count == 7
    assert scan.attrs["reverse"] is True
    assert call.operands == (0, 1, None)
    assert call.results == (0, 1)
    assert call.carried == ((0, 1),)


def test_while_feeds_condition_and_body_their_own_constants() -> None:
    def function(x: Any, limit: Any, step: Any) -> Any:
        return jax.lax.while_loop(lambda v: v.sum() < limit, lambda v: v + step, x)

    program = capture_live(jax.jit(function), ("f32[3]", "f32[]", "f32[3]"), method="jaxpr")
    loop = only(program, "jax.while")
    feeding = {use.dst_port: use.src for use in loop.operands}
    assert [feeding[slot] for slot in loop.calls["cond"].operands if slot is not None] == ["limit", "x"]
    assert [feeding[slot] for slot in loop.calls["body"].operands if slot is not None] == ["step", "x"]
    assert loop.calls["body"].carried == ((0, 1),)
    assert loop.control is not None
    assert loop.control.condition == ("cond", 0)


def test_cond_decides_on_its_first_operand() -> None:
    program = capture_live(jax.jit(lambda p, x: jax.lax.cond(p, jnp.sin, jnp.cos, x)), ("bool[]", "f32[3]"), method="jaxpr")
    cond = only(program, "jax.cond")
    assert cond.control is not None
    assert cond.control.predicate == 0
    branches = [program.graphs[cond.calls[f"branch_{i}"].graph] for i in range(2)]
    assert [[n.op for n in b.each_node() if n.kind == "op"] for b in branches] == [["jax.cos"], ["jax.sin"]]


def test_closed_over_arrays_are_constants_with_their_bytes() -> None:
    table = jnp.arange(6.0).reshape(2, 3)
    program = capture_live(jax.jit(lambda x: x @ table), "f32[2]", method="jaxpr")
    [constant] = [node for node in program.main.each_node() if node.kind == "constant"]
    assert constant.value is not None
    assert constant.value.array().tolist() == table.tolist()


def test_literals_are_operands() -> None:
    program = capture_live(jax.jit(lambda x: x * 2.5), "f32[2]", method="jaxpr")
    literal = program.main.node(only(program, "jax.mul").operands[1].src)
    assert literal.synthetic
    assert literal.value is not None
    assert literal.value.array() == 2.5


def test_lines_and_scopes_are_the_users(tmp_path: Path) -> None:
    path = tmp_path / "planted.py"
    path.write_text(
        "import jax\nimport jax.numpy as jnp\n\n\n@jax.jit\ndef model(x):\n    with jax.named_scope('head'):\n"
        "        y = jax.nn.softmax(x)\n    return jax.lax.cond(y[0] > 0.5,\n        lambda v: jnp.sin(v),\n        jnp.cos, y)\n"
    )
    spec = importlib.util.spec_from_file_location("planted", path)
    assert spec is not None
    assert spec.loader is not None
    planted = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(planted)
    for method, sine, exp in (("jaxpr", "jax.sin", "jax.exp"), ("stablehlo", "stablehlo.sine", "stablehlo.exponential")):
        program = capture_live(planted.model, "f32[4]", method=method)
        frame = program.frame(only(program, sine))
        assert frame is not None
        assert (frame.file, frame.line, frame.column) == (str(path), 10, 19)
        assert only(program, exp).scope == "head"
        assert {f.file for f in program.frames} == {str(path)}


def test_symbolic_sizes_stay_formulas() -> None:
    program = capture_live(jax.jit(lambda x: jnp.concatenate([x, x])), "f32[batch,3]", method="jaxpr")
    assert only(program, "jax.concatenate").outputs == (TensorType("float32", (SymDim("2*batch"), 3)),)
    assert program.dims["batch"].min == 1


def test_keys_are_opaque_and_draws_are_random() -> None:
    program = capture_live(jax.jit(lambda k: jax.random.bits(k, (2,))), jax.random.key(0), method="jaxpr")
    assert isinstance(program.main.node("k").outputs[0], OpaqueType)
    assert only(program, "jax.random_bits").effects == ("random",)


def test_prints_and_references_have_effects() -> None:
    program = capture_live(jax.jit(FUNCTIONS["callbacks"]), "f32[2]", method="jaxpr")
    assert only(program, "jax.debug_print").effects == ("host", "io")
    program = capture_live(jax.jit(with_ref), "f32[2]", method="jaxpr")
    assert only(program, "jax.swap").effects == ("writes_state",)


def test_operators_of_the_same_meaning_are_named() -> None:
    program = capture_live(jax.jit(lambda x, y: jnp.exp(x @ y) > 0), ("f32[2,3]", "f32[3,4]"), method="jaxpr")
    assert [n.canonical for n in program.main.each_node() if n.kind == "op"] == ["MatMul", "Exp", "Greater"]


def test_a_pallas_kernel_is_a_region_with_its_index_maps() -> None:
    pallas = pytest.importorskip("jax.experimental.pallas")

    def kernel(x: Any, out: Any) -> None:
        out[...] = x[...] + 1

    spec = pallas.BlockSpec((2, 4), lambda i: (i, 0))
    call = pallas.pallas_call(
        kernel, out_shape=jax.ShapeDtypeStruct((4, 4), "float32"), grid=(2,), in_specs=[spec], out_specs=spec, interpret=True
    )
    node = only(capture_live(jax.jit(call), "f32[4,4]", method="jaxpr"), "jax.pallas_call")
    assert "body" in node.calls
    assert len(node.calls) == 3
