"""The analyzers on what JAX really captured, as jaxpr and as HLO."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.jax
jax = pytest.importorskip("jax")

import graphlab  # noqa: E402
from graphlab.analyzers import control_flow  # noqa: E402
from graphlab.analyzers.control_flow import Construct  # noqa: E402


def model(x, key):  # type: ignore[no-untyped-def]
    def body(carry, t):  # type: ignore[no-untyped-def]
        h, k = carry
        k, sub = jax.random.split(k)
        h = jax.lax.cond(jax.random.uniform(sub) > 0.5, lambda h: jax.numpy.tanh(h + t), lambda h: h, h)
        return (h, k), h

    (h, _), ys = jax.lax.scan(body, (jax.numpy.zeros(3), key), x)
    return jax.lax.while_loop(lambda h: h.sum() < 10, lambda h: h + 1, x[0]), h, ys


def captured(method: str) -> list[Construct]:
    program = graphlab.capture(jax.jit(model), (jax.numpy.ones((5, 3)), jax.random.key(0)), method=method)
    return list(control_flow.analyze(program).constructs)


def test_a_jaxpr_has_a_scan_a_coin_in_it_and_a_while_on_values() -> None:
    constructs = {c.op: c for c in captured("jaxpr")}
    scan, coin, loop = constructs["jax.scan"], constructs["jax.cond"], constructs["jax.while"]
    assert (str(scan.trip_count), scan.decided_by) == ("5", "constant")
    assert (coin.decided_by, coin.nesting) == ("random", ((scan.node,),))
    assert (loop.decided_by, [c.name for c in loop.causes]) == ("input", ["x"])


def test_in_hlo_the_coin_depends_on_the_key_alone_and_the_while_on_x_alone() -> None:
    """All loop variables are elements of one tuple there."""
    constructs = captured("hlo")
    (coin,) = [c for c in constructs if c.form == "conditional"]
    assert [c.name.partition(".")[0] for c in coin.causes] == ["key"]
    by_input = [c for c in constructs if c.form == "loop" and c.decided_by == "input"]
    assert [[c.name.partition(".")[0] for c in loop.causes] for loop in by_input] == [["x"]]
