"""StableHLO modules → Program, live from JAX and from text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.jax
jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402

from graphlab.capture.dispatch import capture_live  # noqa: E402
from graphlab.capture.mlir.mlir_text import parse_mlir  # noqa: E402
from graphlab.capture.xla.mlir import parse_module  # noqa: E402
from graphlab.errors import FormatError  # noqa: E402
from graphlab.ir.format import dumps, loads  # noqa: E402
from graphlab.ir.graph import Node  # noqa: E402
from graphlab.ir.program import Program  # noqa: E402
from graphlab.ir.values import SymDim, TensorType, TokenType, TupleType  # noqa: E402
from graphlab.ir.verify import verify  # noqa: E402

Count = Callable[[Any], int]

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "scan with a branch": lambda x: jax.lax.scan(lambda c, r: (jax.lax.cond(r[0] > 0, lambda v: v + r, lambda v: v - r, c), c), x[0], x),
    "linear solve": lambda x: jnp.linalg.solve(x @ x.T, x),
    "reductions": lambda x: (jax.lax.reduce(x, 0.0, lambda a, b: a + 2 * b, (0,)), x.at[0].add(1.0), jnp.sort(x), jax.lax.top_k(x, 2)),
    "window": jax.grad(lambda x: jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (2, 2), (1, 1), "VALID").sum()),
    "random": lambda x: jax.random.normal(jax.random.key(1), x.shape) + x,
    "while": lambda x: jax.lax.while_loop(lambda v: v.sum() < 10, lambda v: v + x, x),
    "callback": lambda x: jax.pure_callback(np.sin, x, x),
    "fft": lambda x: jnp.fft.fft(x, norm="ortho"),
}


def only(program: Program, op: str) -> Node:
    """The one node of an operation."""
    [node] = [node for _, node in program.each_node() if node.op == op]
    return node


def read(text: str) -> Program:
    """A program from MLIR text."""
    program = parse_mlir(text)
    assert verify(program) == ()
    return program


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_operation_of_every_region_is_a_node(name: str, count_operations: Count) -> None:
    lowered = jax.jit(FUNCTIONS[name]).lower(jnp.ones((4, 4)))
    program = capture_live(lowered, method="stablehlo")
    assert program.count() == count_operations(lowered.compiler_ir("stablehlo"))
    assert verify(program) == ()
    data = dumps(program)
    assert dumps(loads(data)) == data


def test_a_resnet_has_as_many_nodes_as_operations(resnet: Any, count_operations: Count) -> None:
    function, arguments = resnet
    program = capture_live(function, arguments, method="stablehlo")
    assert program.count() == count_operations(function.lower(*arguments).compiler_ir("stablehlo")) > 500
    assert program.op_counts()["stablehlo.convolution"] == 20


def test_what_a_branch_takes_from_around_it_is_an_operand() -> None:
    program = capture_live(
        jax.jit(lambda p, a, b: jax.lax.cond(p, lambda: a + b, lambda: b * b)), ("bool[]", "f32[3]", "f32[3]"), method="stablehlo"
    )
    case = only(program, "stablehlo.case")
    assert [program.main.node(use.src).name for use in case.operands[1:]] == ["b", "a"]
    product, total = case.calls["branch_0"], case.calls["branch_1"]
    assert product.operands == (1,)
    assert sorted(slot for slot in total.operands if slot is not None) == [1, 2]
    assert case.meta["captures"] == 2
    assert case.control is not None
    assert case.control.predicate == 0


def test_captures_go_through_every_level_of_nesting() -> None:
    program = read(
        """func.func @main(%n: tensor<i32>, %x: tensor<4xf32>, %p: tensor<i1>) -> tensor<4xf32> {
          %zero = stablehlo.constant dense<0> : tensor<i32>
          %r:2 = stablehlo.while(%i = %zero, %v = %x) : tensor<i32>, tensor<4xf32>
            cond { %t = stablehlo.compare LT, %i, %n : (tensor<i32>, tensor<i32>) -> tensor<i1>
                   stablehlo.return %t : tensor<i1> }
            do { %w = "stablehlo.if"(%p) ({ %y = stablehlo.add %v, %x : tensor<4xf32>
                                            stablehlo.return %y : tensor<4xf32> },
                                          { stablehlo.return %v : tensor<4xf32> }) : (tensor<i1>) -> tensor<4xf32>
                 stablehlo.return %n, %w : tensor<i32>, tensor<4xf32> }
          return %r#1 : tensor<4xf32>
        }"""
    )
    loop = only(program, "stablehlo.while")
    # Slots 0 and 1 are its own; then what the condition takes (n), then what the body takes besides (p, x).
    assert [use.src for use in loop.operands] == ["constant", "arg1", "arg0", "arg2", "arg1"]
    assert loop.calls["cond"].operands == (0, 1, 2)
    assert loop.calls["body"].operands[:2] == (0, 1)
    assert sorted(slot for slot in loop.calls["body"].operands[2:] if slot is not None) == [2, 3, 4]
    assert loop.calls["body"].carried == ((0, 0), (1, 1))
    branch = only(program, "stablehlo.if")
    assert set(branch.calls) == {"then", "else"}
    assert program.count() == 3 + 2 + 2 + 2 + 1  # main, condition, body, then, else


def test_structured_attributes_are_plain_values() -> None:
    highest = jax.lax.Precision.HIGHEST
    function = jax.jit(lambda x, k: jax.lax.conv_general_dilated(x, k, (2, 1), ((1, 2), (0, 0)), precision=highest))
    attrs = only(capture_live(function, ("f32[1,3,8,8]", "f32[4,3,3,3]"), method="stablehlo"), "stablehlo.convolution").attrs
    assert attrs["padding"] == ((1, 2), (0, 0))
    assert attrs["window_strides"] == (2, 1)
    assert attrs["precision_config"] == ("HIGHEST", "HIGHEST")
    assert attrs["dimension_numbers"]["kernel_spatial_dimensions"] == (2, 3)
    dot = capture_live(jax.jit(lambda x, y: jnp.einsum("bij,bjk->bik", x, y)), ("f32[2,3,4]", "f32[2,4,5]"), method="stablehlo")
    node = only(dot, "stablehlo.dot_general")
    assert node.attrs["dot_dimension_numbers"]["lhs_batching_dimensions"] == (0,)
    assert node.canonical == "MatMul"


@pytest.mark.parametrize("dtype", ["int8", "uint32", "float16", "bfloat16", "float32", "complex64", "bool", "int4", "float8_e4m3fn"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 150), (0, 2)])
def test_constants_have_their_bytes(dtype: str, shape: tuple[int, ...]) -> None:
    value = (np.arange(np.prod(shape, dtype=int)).reshape(shape) % 5).astype(jnp.dtype(dtype))
    program = capture_live(jax.jit(lambda: jnp.asarray(value)), (), method="stablehlo")
    [constant] = [n.value for n in program.main.each_node() if n.kind == "constant" and n.outputs[0] == TensorType(dtype, shape)]
    assert constant is not None
    assert constant.bytes() == value.tobytes()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.0])
def test_constants_without_a_decimal_form_have_their_bytes(value: float) -> None:
    array = np.array([value, 1.0, value], "float32")
    for given in (array, array[:1], jnp.asarray(array, "bfloat16")):
        program = capture_live(jax.jit(lambda given=given: jnp.asarray(given)), (), method="stablehlo")
        constant = only(program, "stablehlo.constant").value
        assert constant is not None
        assert constant.bytes() == np.asarray(given).tobytes()


def test_types_beyond_plain_tensors() -> None:
    program = read(
        """func.func @main(%a: tensor<?x3xf32>, %b: tensor<?x4xbf16, #stablehlo.bounds<8, ?>>, %c: tensor<*xi1>,
                           %t: !stablehlo.token, %u: tuple<tensor<2xui8>, tensor<complex<f64>>>) -> !stablehlo.token {
          return %t : !stablehlo.token
        }"""
    )
    kinds = [program.main.node(i).outputs[0] for i in program.main.inputs]
    assert kinds == [
        TensorType("float32", (None, 3)),
        TensorType("bfloat16", (SymDim("<=8"), 4)),
        TensorType("bool", None),
        TokenType(),
        TupleType((TensorType("uint8", (2,)), TensorType("complex128", ()))),
    ]


def test_symbolic_sizes_are_named_at_the_entry() -> None:
    program = capture_live(jax.jit(lambda x: jnp.concatenate([x, x])), "f32[batch,3]", method="stablehlo")
    signature = program.signatures["main"]
    assert signature.inputs[0].type == TensorType("float32", (SymDim("batch"), 3))
    assert signature.outputs[0].type == TensorType("float32", (SymDim("2*batch"), 3))
    assert only(program, "stablehlo.concatenate").outputs == (TensorType("float32", (None, 3)),)


def test_shardings_stand_on_the_types() -> None:
    mesh = jax.make_mesh((1,), ("rows",))
    split = jax.NamedSharding(mesh, jax.P("rows"))
    program = capture_live(jax.jit(lambda x: x * 2, in_shardings=split), "f32[8,2]", method="stablehlo")
    kind = program.signatures["main"].inputs[0].type
    assert isinstance(kind, TensorType)
    assert kind.sharding is not None
    assert "rows" in kind.sharding


def test_a_draw_is_marked_at_its_call() -> None:
    program = capture_live(jax.jit(lambda k: jax.random.uniform(k, (2,))), jax.random.key(0), method="stablehlo")
    [draw] = [node for _, node in program.each_node() if "random" in node.effects]
    assert draw.attrs["callee"] == "threefry2x32"


def test_calls_of_unknown_code_are_opaque_and_of_the_host_say_so() -> None:
    program = capture_live(jax.jit(FUNCTIONS["callback"]), "f32[3]", method="stablehlo")
    assert only(program, "stablehlo.custom_call").effects == ("host", "opaque")
    text = """func.func @main(%x: tensor<3xf32>) -> tensor<3xf32> {
      %0 = stablehlo.custom_call @somebodys(%x) : (tensor<3xf32>) -> tensor<3xf32>
      %1 = func.call @elsewhere(%0) : (tensor<3xf32>) -> tensor<3xf32>
      return %1 : tensor<3xf32>
    }
    func.func private @elsewhere(tensor<3xf32>) -> tensor<3xf32>"""
    assert [node.effects for _, node in read(text).each_node() if node.kind == "op"] == [("opaque",), ("opaque",)]


def test_text_that_is_no_mlir_is_refused() -> None:
    with pytest.raises(FormatError, match="could not parse MLIR"):
        parse_module("func.func @main(")
