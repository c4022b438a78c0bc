"""A jitted JAX function: a scan over time, in which a coin decides at each step whether the input counts.

graphlab inspect examples/scan_jax.py
"""

import jax
import jax.numpy as jnp


@jax.jit
def sometimes(key: jax.Array, weights: jax.Array, steps: jax.Array) -> jax.Array:
    """Fold ``steps`` (time, features) into a state of as many features; about half the steps are skipped."""

    def step(state: jax.Array, given: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        coin, value = given
        heads = jax.random.uniform(coin) > 0.5
        state = jax.lax.cond(heads, lambda s: jnp.tanh(weights @ s + value), lambda s: s, state)
        return state, state

    coins = jax.random.split(key, steps.shape[0])
    last, _ = jax.lax.scan(step, jnp.zeros_like(steps[0]), (coins, steps))
    return last


example_inputs = (jax.random.key(0), jnp.eye(8), jnp.ones((5, 8)))
