"""Vocabulary of JAX's primitives: their ONNX counterparts and effects.

A random primitive is a pure function of its key, and XLA would fold it where the key is a constant.
Here it has the effect ``random`` all the same: what depends on it depends on a draw, which is what
a reader of the graph wants to know of a predicate, and what no tool should quietly make a constant.
Only those that draw have it; making, splitting and wrapping keys do not.
"""

from __future__ import annotations

CANONICAL: dict[str, str] = {
    f"jax.{primitive}": operator
    for primitive, operator in {
        "abs": "Abs", "acos": "Acos", "acosh": "Acosh", "add": "Add", "add_any": "Add", "argmax": "ArgMax", "argmin": "ArgMin",
        "asin": "Asin", "asinh": "Asinh", "atan": "Atan", "atanh": "Atanh", "ceil": "Ceil", "concatenate": "Concat",
        "convert_element_type": "Cast", "copy": "Identity", "copy_p": "Identity", "cos": "Cos", "cosh": "Cosh", "cumsum": "CumSum",
        "div": "Div", "eq": "Equal", "erf": "Erf", "exp": "Exp", "floor": "Floor", "ge": "GreaterOrEqual", "gt": "Greater",
        "le": "LessOrEqual", "log": "Log", "logistic": "Sigmoid", "lt": "Less", "max": "Max", "min": "Min", "mul": "Mul", "neg": "Neg",
        "pow": "Pow", "reduce_max": "ReduceMax", "reduce_min": "ReduceMin", "reduce_prod": "ReduceProd", "reduce_sum": "ReduceSum",
        "reshape": "Reshape", "sign": "Sign", "sin": "Sin", "sinh": "Sinh", "slice": "Slice", "split": "Split", "sqrt": "Sqrt",
        "squeeze": "Squeeze", "stop_gradient": "Identity", "sub": "Sub", "tan": "Tan", "tanh": "Tanh", "tile": "Tile", "top_k": "TopK",
        "transpose": "Transpose",
    }.items()
}  # fmt: skip
"""What a primitive alone tells; logic, dots, convolutions and rounding take their parameters too (the reader does)."""

EFFECTS: dict[str, tuple[str, ...]] = {
    f"jax.{primitive}": effects
    for effects, primitives in {
        ("random",): ("random_bits", "random_gamma", "rng_bit_generator", "rng_uniform", "threefry2x32"),
        ("collective",): (
            "all_gather", "all_gather_invariant", "all_to_all", "pgather", "pmax", "pmin", "ppermute", "psum", "psum2", "psum_invariant",
            "ragged_all_to_all", "recv", "reduce_scatter", "send",
        ),
        ("reads_state",): ("axis_index",),  # each device has its own: no constant of the program
        ("host",): ("inspect_sharding",),
        ("host", "opaque"): ("pure_callback",),
        ("host", "io"): ("debug_callback", "debug_print", "io_callback"),
        ("io",): ("check", "infeed", "outfeed"),
        ("opaque",): ("call_exported", "ffi_call", "tpu_custom_call", "triton_kernel_call"),
    }.items()
    for primitive in primitives
}  # fmt: skip
