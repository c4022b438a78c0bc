"""MLIR modules (StableHLO and what travels with it): text, bytecode and ``jax.export`` blobs, read without MLIR."""
