"""Captured programs that several tests look at, and counts made without graphlab."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture(scope="session")
def count_equations() -> Callable[[Any], int]:
    """Equations of a jaxpr and of all jaxprs in it, each distinct one once, by JAX's own ``jaxprs_in_params``."""
    core = pytest.importorskip("jax.extend.core")

    def count(closed: Any) -> int:
        seen: dict[int, Any] = {}
        queue = [closed.jaxpr]
        while queue:
            jaxpr = queue.pop()
            if id(jaxpr) not in seen:
                seen[id(jaxpr)] = jaxpr
                for eqn in jaxpr.eqns:
                    queue.extend(core.jaxprs_in_params(eqn.params))
        return sum(len(jaxpr.eqns) for jaxpr in seen.values())

    return count


@pytest.fixture(scope="session")
def count_operations() -> Callable[[Any], int]:
    """Operations inside the functions of an MLIR module, by MLIR's own walk."""

    def count(module: Any) -> int:
        names: list[str] = []
        pytest.importorskip("jaxlib")
        from jaxlib.mlir import ir

        def note(op: Any) -> Any:
            names.append(op.name)
            return ir.WalkResult.ADVANCE

        module.operation.walk(note)
        return sum(name not in ("builtin.module", "func.func", "sdy.mesh") for name in names)

    return count


@pytest.fixture(scope="session")
def resnet() -> tuple[Any, tuple[Any, ...]]:
    """A haiku ResNet-18 in training mode as a jitted function, and its arguments as types: nothing is allocated."""
    jax = pytest.importorskip("jax")
    hk = pytest.importorskip("haiku")

    def forward(image: Any) -> Any:
        return hk.nets.ResNet18(10)(image, is_training=True)

    model = hk.without_apply_rng(hk.transform_with_state(forward))
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), "float32")
    params, state = jax.eval_shape(model.init, jax.random.key(0), image)
    return jax.jit(model.apply), (params, state, image)
