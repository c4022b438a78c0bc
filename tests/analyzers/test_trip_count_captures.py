"""Trip counts of loops as the frameworks write them, against running the loops."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import graphlab
from graphlab.analyzers.dataflow import Dataflow
from graphlab.analyzers.trip_count import TripCount, TripCounter
from graphlab.ir.program import Program


def counts(program: Program) -> list[TripCount | None]:
    trips = TripCounter(program, Dataflow(program))
    return [trips.of(ref) for ref, node in program.each_node() if node.control and node.control.form == "loop"]


def exactly(count: int | str) -> list[TripCount | None]:
    return [TripCount(count, exact=True)]


# -- TensorFlow


@pytest.fixture
def tf() -> Any:
    return pytest.importorskip("tensorflow")


def counting(tf: Any, bounds: tuple[int, ...]) -> Callable[..., Any]:
    """A function that returns how often its loop over a range ran."""

    def count() -> Any:
        rounds = tf.constant(0)
        for _ in tf.range(*bounds):
            rounds += 1
        return rounds

    function: Callable[..., Any] = tf.function(count)
    return function


@pytest.mark.tensorflow
@pytest.mark.parametrize("bounds", [(5,), (2, 9), (0, 10, 3), (3, 3), (1, 8, 7)])
def test_a_constant_range_has_the_count_that_a_run_has(tf: Any, bounds: tuple[int, ...]) -> None:
    function = counting(tf, bounds)
    assert counts(graphlab.capture(function)) == exactly(int(function()))


@pytest.mark.tensorflow
def test_a_while_with_a_constant_bound_has_its_count(tf: Any) -> None:
    @tf.function
    def function() -> Any:
        i = tf.constant(1)
        while i <= 10:
            i += 2
        return i

    assert counts(graphlab.capture(function)) == exactly(5)


@pytest.mark.tensorflow
def test_a_static_dim_bounds_a_loop_and_a_dynamic_one_is_told(tf: Any) -> None:
    @tf.function
    def function(x: Any) -> Any:
        total = tf.constant(0.0)
        for i in range(tf.shape(x)[-1]):
            total += x[0, i]
        return total

    assert counts(graphlab.capture(function, ("f32[b,6]",))) == exactly(6)
    assert counts(graphlab.capture(function, ("f32[6,t]",))) == exactly("dim 1 of x")


@pytest.mark.tensorflow
def test_an_input_bounds_a_loop(tf: Any) -> None:
    @tf.function
    def function(n: Any) -> Any:
        total = tf.constant(0)
        for i in tf.range(n):
            total += i
        return total

    assert counts(graphlab.capture(function, ("i32[]",))) == exactly("the value of n")


@pytest.mark.tensorflow
def test_an_inner_loop_takes_its_bound_through_the_outer_ones_operands(tf: Any) -> None:
    @tf.function
    def function(n: Any) -> Any:
        total = tf.constant(0)
        four = tf.constant(4) * 1
        for _ in tf.range(n):
            for j in tf.range(four):
                total += j
        return total

    assert {str(count) for count in counts(graphlab.capture(function, ("i32[]",)))} == {"4", "the value of n"}


@pytest.mark.tensorflow
def test_a_loop_that_may_break_has_a_bound_only(tf: Any) -> None:
    @tf.function
    def function(x: Any) -> Any:
        for _ in tf.range(8):
            x = x * 2.0
            if x > 100.0:
                break
        return x

    assert counts(graphlab.capture(function, ("f32[]",))) == [TripCount(8, exact=False)]


@pytest.mark.tensorflow
def test_a_counter_that_does_not_grow_evenly_has_no_count(tf: Any) -> None:
    @tf.function
    def function() -> Any:
        i = tf.constant(1)
        while i < 100:
            i *= 2
        return i

    assert counts(graphlab.capture(function)) == [None]


@pytest.mark.tensorflow
def test_a_bound_that_the_body_changes_gives_no_count(tf: Any) -> None:
    @tf.function
    def function() -> Any:
        i, n = tf.constant(0), tf.constant(10)
        while i < n:
            i += 1
            n -= 1
        return i

    assert counts(graphlab.capture(function)) == [None]
    assert int(function()) == 5


@pytest.mark.tensorflow
def test_a_recurrent_layer_over_known_steps_has_its_trip_count(tf: Any) -> None:
    keras = tf.keras
    assert counts(graphlab.capture(keras.Sequential([keras.Input((7, 3)), keras.layers.GRU(4)]))) == exactly(7)


# -- JAX: as jaxpr, StableHLO and HLO


@pytest.mark.jax
@pytest.mark.parametrize("method", ["jaxpr", "stablehlo", "hlo"])
@pytest.mark.parametrize(("start", "limit", "step"), [(0, 10, 3), (5, 5, 1), (0, 9, 3), (2, 3, 5)])
def test_a_counted_while_has_the_count_that_a_run_has(method: str, start: int, limit: int, step: int) -> None:
    jax = pytest.importorskip("jax")

    def function(x: Any) -> Any:
        return jax.lax.while_loop(lambda v: v[0] < limit, lambda v: (v[0] + step, v[1] * 2, v[2] + 1), (start, x, 0))

    jitted = jax.jit(function)
    assert counts(graphlab.capture(jitted, ("f32[3]",), method=method)) == exactly(int(jitted(jax.numpy.ones(3))[2]))


@pytest.mark.jax
@pytest.mark.parametrize("method", ["jaxpr", "stablehlo", "hlo"])
def test_a_while_that_counts_down_until_it_is_nought(method: str) -> None:
    jax = pytest.importorskip("jax")
    function = jax.jit(lambda x: jax.lax.while_loop(lambda v: v[0] != 0, lambda v: (v[0] - 2, v[1] * 2), (12, x)))
    assert counts(graphlab.capture(function, ("f32[3]",), method=method)) == exactly(6)


@pytest.mark.jax
@pytest.mark.parametrize("method", ["jaxpr", "stablehlo", "hlo"])
def test_a_scan_has_its_length(method: str) -> None:
    jax = pytest.importorskip("jax")
    function = jax.jit(lambda x: jax.lax.scan(lambda c, r: (c + r, None), x[0], x)[0])
    assert counts(graphlab.capture(function, ("f32[6,3]",), method=method)) == exactly(6)


@pytest.mark.jax
@pytest.mark.parametrize("method", ["jaxpr", "stablehlo", "hlo"])
def test_a_loop_up_to_an_element_of_an_input_is_not_counted(method: str) -> None:
    jax = pytest.importorskip("jax")
    function = jax.jit(lambda x: jax.lax.fori_loop(0, x[0], lambda i, c: c + i, x))
    assert counts(graphlab.capture(function, ("i32[3]",), method=method)) == [None]


# -- HLO text

LOOP = """HloModule counted

%body (state: (s32[], f32[3])) -> (s32[], f32[3]) {
  %state = (s32[], f32[3]{0}) parameter(0)
  %i = s32[] get-tuple-element(%state), index=0
  %one = s32[] constant(1)
  %step = s32[] copy(%one)
  %next = s32[] add(%i, %step)
  %x = f32[3]{0} get-tuple-element(%state), index=1
  %sine = f32[3]{0} sine(%x)
  ROOT %out = (s32[], f32[3]{0}) tuple(%next, %sine)
}

%cond (state.1: (s32[], f32[3])) -> pred[] {
  %state.1 = (s32[], f32[3]{0}) parameter(0)
  %i.1 = s32[] get-tuple-element(%state.1), index=0
  %limit = s32[] constant(7)
  ROOT %less = pred[] compare(%i.1, %limit), direction=LT
}

ENTRY %main (x.1: f32[3]) -> f32[3] {
  %x.1 = f32[3]{0} parameter(0)
  %zero = s32[] constant(0)
  %start = (s32[], f32[3]{0}) tuple(%zero, %x.1)
  %loop = (s32[], f32[3]{0}) while(%start), condition=%cond, body=%body
  ROOT %result = f32[3]{0} get-tuple-element(%loop), index=1
}
"""


@pytest.mark.parametrize(("old", "new", "count"), [
    ("", "", 7),
    ("direction=LT", "direction=LE", 8),
    ("direction=LT", "direction=NE", 7),
    ("constant(1)", "constant(2)", 4),
    ("constant(0)", "constant(9)", 0),
    ("compare(%i.1, %limit), direction=LT", "compare(%limit, %i.1), direction=GT", 7),
    ("add(%i, %step)", "add(%step, %i)", 7),
    ("add(%i, %step)", "subtract(%i, %step)", None),
    ("add(%i, %step)", "multiply(%i, %step)", None),
    ("direction=LT", "direction=EQ", None),
    ("constant(7)", "constant({...})", None),
    ("constant(7)", "constant(seven)", None),
])  # fmt: skip
def test_hlo_is_counted_by_the_condition_and_the_step(tmp_path: Path, old: str, new: str, count: int | None) -> None:
    file = tmp_path / "loop.hlo"
    file.write_text(LOOP.replace(old, new) if old else LOOP)
    assert counts(graphlab.load(file)) == ([None] if count is None else exactly(count))


# -- PyTorch


@pytest.mark.torch
def test_a_python_while_is_counted() -> None:
    torch = pytest.importorskip("torch")

    class Model(torch.nn.Module):  # type: ignore[name-defined]
        def forward(self, x):  # type: ignore[no-untyped-def]
            rounds = 0
            j = 3
            while j <= 9:
                rounds += 1
                j += 2
            return x + rounds

    scripted = torch.jit.script(Model())
    assert counts(graphlab.capture(scripted, (torch.zeros(()),))) == exactly(int(scripted(torch.zeros(()))))


@pytest.mark.torch
def test_an_exported_while_loop_is_counted_where_its_start_is_a_constant() -> None:
    torch = pytest.importorskip("torch")
    from torch._higher_order_ops import while_loop

    class Model(torch.nn.Module):  # type: ignore[name-defined]
        def forward(self, x):  # type: ignore[no-untyped-def]
            return while_loop(lambda i, x: i < 10, lambda i, x: (i + 3, x * 2), (torch.tensor(0), x))

    exported = torch.export.export(Model(), (torch.ones(3),)).run_decompositions()
    assert counts(graphlab.capture(exported)) == exactly(len(range(0, 10, 3)))


@pytest.mark.torch
def test_a_torchscript_range_of_a_constant_is_counted() -> None:
    torch = pytest.importorskip("torch")

    class Model(torch.nn.Module):  # type: ignore[name-defined]
        def forward(self, x):  # type: ignore[no-untyped-def]
            for _ in range(3):
                x = x * 2
            return x

    assert counts(graphlab.capture(torch.jit.script(Model()), None)) == exactly(3)
