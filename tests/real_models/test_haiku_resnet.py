"""ResNet50 of dm-haiku by ``jax.jit``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import graphlab

pytestmark = pytest.mark.jax
jax = pytest.importorskip("jax")
pytest.importorskip("jax.extend")
pytest.importorskip("haiku")

SOURCE = """
import haiku as hk
import jax
import jax.numpy as jnp

net = hk.without_apply_rng(hk.transform_with_state(lambda x, training: hk.nets.ResNet50(10)(x, training)))
images = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
params, state = jax.eval_shape(lambda key, x: net.init(key, x, True), jax.random.key(0), images)


@jax.jit
def resnet(params, state, images):
    return net.apply(params, state, images, False)[0]


example_inputs = (params, state, images)
"""


def equations(jaxpr: Any, seen: set[int]) -> int:
    """Equations of a jaxpr and all jaxprs within it, each distinct one once."""
    if id(jaxpr) in seen:
        return 0
    seen.add(id(jaxpr))
    inner = [j for equation in jaxpr.eqns for j in jax.extend.core.jaxprs_in_params(equation.params)]
    return len(jaxpr.eqns) + sum(equations(j, seen) for j in inner)


def test_resnet50_is_captured_whole_and_drawn(inspected: Callable[[Path], graphlab.Program], tmp_path: Path) -> None:
    path = tmp_path / "resnet.py"
    path.write_text(inspect.cleandoc(SOURCE))
    program = inspected(path)
    assert program.source.method == "jaxpr"

    space: dict[str, Any] = {}
    exec(SOURCE, space)
    closed = space["resnet"].trace(*space["example_inputs"]).jaxpr
    assert program.count() == equations(closed.jaxpr, set())
    assert program.op_counts()["jax.conv_general_dilated"] == 53
