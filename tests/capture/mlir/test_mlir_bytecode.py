"""Bytecode and portable artifacts against the text of the same module, both written by jaxlib."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.jax
jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
from jaxlib.mlir.dialects import stablehlo  # noqa: E402

from graphlab.capture.file import File  # noqa: E402
from graphlab.capture.mlir import mlir_bytecode  # noqa: E402
from graphlab.capture.mlir.mlir_text import parse_mlir  # noqa: E402
from graphlab.capture.xla.mlir import parse_module  # noqa: E402
from graphlab.errors import FormatError, GraphlabError  # noqa: E402
from graphlab.ir.program import Program  # noqa: E402
from graphlab.ir.verify import verify  # noqa: E402

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "scan with a branch": lambda x: jax.lax.scan(lambda c, r: (jax.lax.cond(r[0] > 0, lambda v: v + r, lambda v: v - r, c), c), x[0], x),
    "linear solve": lambda x: jnp.linalg.solve(x @ x.T, x),
    "reductions": lambda x: (jax.lax.reduce(x, 0.0, lambda a, b: a + 2 * b, (0,)), x.at[0].add(1.0), jnp.sort(x), jax.lax.top_k(x, 2)),
    "window": jax.grad(lambda x: jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (2, 2), (1, 1), "VALID").sum()),
    "random": lambda x: jax.random.normal(jax.random.key(1), x.shape) + x,
    "while": lambda x: jax.lax.while_loop(lambda v: v.sum() < 10, lambda v: v + x, x),
    "convolution": lambda x: jax.lax.conv_general_dilated(x[None, None], jnp.ones((2, 1, 3, 3)), (1, 1), "SAME"),
    "fft and gather": lambda x: (jnp.fft.fft(x, norm="ortho"), x[jnp.array([0, 2])], jnp.arange(300).reshape(3, 100)),
    "types": lambda x: (x.astype("bfloat16"), x > 0, x.astype("int4"), x.astype("float8_e4m3fn"), x + 1j),
}


def contents(program: Program) -> Any:
    """All that a program says but where it came from: constants by their bytes."""
    graphs = {}
    for name, graph in program.graphs.items():
        nodes = {}
        for id, data in graph.nodes(data=True):
            own = dict(data)
            if "value" in own:
                own["value"] = (own["value"].type, own["value"].bytes())
            own["loc"] = program.frame(graph.node(id))
            nodes[id] = own
        graphs[name] = (nodes, list(graph.edges(keys=True)))
    return graphs, dict(program.signatures)


def read(data: bytes) -> Program:
    """A verified program of bytecode."""
    program = mlir_bytecode.read(File.of("x.mlirbc", data))
    assert verify(program) == ()
    return program


def bytecode(module: Any, version: int | None = None) -> bytes:
    """A module's bytecode, by MLIR's own writer."""
    stream = io.BytesIO()
    module.operation.write_bytecode(stream, desired_version=version)
    return stream.getvalue()


@pytest.fixture(scope="module", params=FUNCTIONS)
def lowered(request: pytest.FixtureRequest) -> Any:
    """One function's text, with and without locations, and its module."""
    return jax.jit(FUNCTIONS[request.param]).lower(jnp.ones((4, 4)))


def test_text_and_bytecode_of_a_module_are_the_same_program(lowered: Any) -> None:
    text = parse_mlir(lowered.as_text(debug_info=True))
    assert contents(text) == contents(read(bytecode(lowered.compiler_ir("stablehlo"))))


def test_the_generic_form_is_the_same_program(lowered: Any) -> None:
    module = lowered.compiler_ir("stablehlo")
    generic = module.operation.get_asm(print_generic_op_form=True, enable_debug_info=True)
    assert contents(parse_mlir(generic)) == contents(read(bytecode(module)))


@pytest.mark.parametrize("version", ["0.9.0", "1.0.0", "1.9.0", None])
def test_a_portable_artifact_is_the_same_program_as_its_text(lowered: Any, version: str | None) -> None:
    # The artifact is made of the module read anew: lowering leaves MLIR things that VHLO has no form for (shardings).
    module = parse_module(lowered.as_text())
    try:
        data = stablehlo.serialize_portable_artifact(module, version or stablehlo.get_current_version())
    except ValueError:
        pytest.skip(f"VHLO {version} has not all of it")
    program = read(data)
    assert program.source.producer.startswith(f"StableHLO_v{version or stablehlo.get_current_version()}")
    told, own = contents(parse_mlir(lowered.as_text()))[0], contents(program)[0]
    for name in told:
        for id, data in told[name][0].items():
            for dropped in ("loc", "meta", "scope", "name"):
                data.pop(dropped, None)
                own[name][0][id].pop(dropped, None)
    assert told == own


@pytest.mark.parametrize("version", range(7))
def test_every_version_of_the_format_is_the_same_program(version: int) -> None:
    module = jax.jit(FUNCTIONS["scan with a branch"]).lower(jnp.ones((4, 4))).compiler_ir("stablehlo")
    data = bytecode(module, version)
    assert contents(read(data)) == contents(read(bytecode(module)))


@pytest.mark.parametrize(
    "text",
    [
        'module attributes {a.b = #sdy.sharding<@m, [{"a":(1)2, ?}p1, {}], replicated={"b"}, unreduced={"c"}>} '
        '{ sdy.mesh @m = <["a"=4, "b"=2, "c"=2]> }',
        "module attributes {a.b = #sdy.op_sharding_rule<([i, jk])->([i, j]) {i=8, j=2, k=16} need_replication={i} "
        "blocked_propagation={k}>} { func.func @main() { return } }",
        "func.func @main(%x: tensor<?x3xf32, #stablehlo.bounds<8, ?>>, %q: tensor<2x!quant.uniform<i8<-127:127>:f32:0, "
        "{5.000000e-01:1, 2.500000e-01}>>, %m: memref<2xf32>, %v: vector<2xi8>, %t: tuple<tensor<f8E4M3FN>, index>) { return }",
        'func.func @main() { "my.op"() {a = dense<[1, 2]> : tensor<2xindex>, b = dense<true> : tensor<9xi1>, c = 0.1 : f32, d = -3 : i8, '
        "e = array<i32: 1, -2>, f = affine_map<(d0) -> (d0)>, g = @a::@b, h = i32, i = unit, j = dense<(1.0, 2.0)> : tensor<complex<f64>>} "
        ": () -> ()\n return }",
        "func.func @main(%p: i1) -> i1 { cf.cond_br %p, ^a(%p : i1), ^b\n^a(%q: i1):\n return %q : i1\n^b:\n cf.br ^a(%p : i1) }",
        "module { module @inner { func.func private @g() } func.func @main(%i: index) { %0 = memref.alloc(%i) : memref<?xf32>\n return } }",
    ],
)
def test_what_jax_seldom_makes_is_the_same_program_too(text: str) -> None:
    module = parse_module(text)
    printed = parse_mlir(module.operation.get_asm(enable_debug_info=True))
    program = read(bytecode(module))
    assert contents(program) == contents(printed)
    assert {k: v for k, v in program.meta.items() if k not in ("producer", "bytecode_version")} == dict(printed.meta)


def test_a_dense_resource_has_its_bytes() -> None:
    module = parse_module(
        "func.func @main() { %0 = stablehlo.constant dense_resource<w> : tensor<2xf32>\n return }\n"
        '{-# dialect_resources: { builtin: { w: "0x040000000000404000008040" } } #-}'
    )
    [value] = [node.value for node in read(bytecode(module)).main.each_node() if node.kind == "constant"]
    assert value is not None
    assert value.array().tolist() == [3.0, 4.0]


def test_large_constants_are_fetched_from_the_file(tmp_path: Any) -> None:
    path = tmp_path / "m.bc"
    path.write_bytes(bytecode(jax.jit(lambda: jnp.asarray(jnp.arange(5000.0))).lower().compiler_ir("stablehlo")))
    program = mlir_bytecode.read(File.open(path))
    values = [node.value for _, node in program.each_node() if node.kind == "constant"]
    path.write_bytes(b"")
    for value in values:
        if value is not None and (value.nbytes or 0) > 4096:
            with pytest.raises(GraphlabError, match="changed"):
                value.bytes()


@pytest.mark.parametrize("cut", [4, 5, 8, 30, 200, 1000, -1])
def test_bytecode_that_is_cut_short_is_refused_with_the_offset(cut: int) -> None:
    data = bytecode(jax.jit(FUNCTIONS["while"]).lower(jnp.ones((4, 4))).compiler_ir("stablehlo"))
    with pytest.raises(FormatError, match=r"x\.mlirbc") as caught:
        read(data[:cut])
    assert caught.value.where is not None
