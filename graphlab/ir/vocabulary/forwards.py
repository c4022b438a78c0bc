"""Operations that compute nothing: the leaves of their results are the leaves of their operands, in order.

They pack values into a tuple, unpack one, or hand all on as they are.
"""

from __future__ import annotations

FORWARDS: frozenset[str] = frozenset({
    # HLO, StableHLO
    "hlo.tuple", "stablehlo.tuple", "mhlo.tuple", "hlo.opt-barrier", "stablehlo.optimization_barrier", "hlo.domain",
    # TorchScript
    "prim::TupleConstruct", "prim::TupleUnpack",
    # TensorFlow, JAX
    "tf.IdentityN", "jax.optimization_barrier",
    # TFF
    "tff.struct", "tff.federated_zip_at_clients", "tff.federated_zip_at_server",
})  # fmt: skip
