"""Vocabulary of the xla ops: their ONNX counterparts and effects.

Two tables: StableHLO and the MLIR dialects that travel with it (``stablehlo.``, ``mhlo.``,
``chlo.``, ``func.``, ``sdy.``, ``scf.``, ``tensor.`` …), and HLO's own (``hlo.``). ``CANONICAL`` and ``EFFECTS`` are their union.
"""

from __future__ import annotations

STABLEHLO_CANONICAL: dict[str, str] = {
    **{
        f"{dialect}.{op}": operator
        for dialect in ("stablehlo", "mhlo")
        for op, operator in {
            "abs": "Abs", "add": "Add", "batch_norm_inference": "BatchNormalization", "ceil": "Ceil", "concatenate": "Concat",
            "constant": "Constant", "convert": "Cast", "cosine": "Cos", "divide": "Div", "dot": "MatMul", "dynamic_reshape": "Reshape",
            "exponential": "Exp", "floor": "Floor", "if": "If", "log": "Log", "logistic": "Sigmoid", "maximum": "Max", "minimum": "Min",
            "multiply": "Mul", "negate": "Neg", "power": "Pow", "reshape": "Reshape", "round_nearest_even": "Round", "select": "Where",
            "sign": "Sign", "sine": "Sin", "slice": "Slice", "sqrt": "Sqrt", "subtract": "Sub", "tan": "Tan", "tanh": "Tanh",
            "transpose": "Transpose",
        }.items()
    },
    **{
        f"chlo.{op}": operator
        for op, operator in {
            "acos": "Acos", "acosh": "Acosh", "asin": "Asin", "asinh": "Asinh", "atan": "Atan", "atanh": "Atanh", "cosh": "Cosh",
            "erf": "Erf", "sinh": "Sinh", "tan": "Tan", "top_k": "TopK", "constant": "Constant",
        }.items()
    },
    **{
        f"mhlo.{op}": operator
        for op, operator in {
            "acos": "Acos", "acosh": "Acosh", "asin": "Asin", "asinh": "Asinh", "atanh": "Atanh", "cosh": "Cosh", "erf": "Erf",
            "sinh": "Sinh", "topk": "TopK", "copy": "Identity",
        }.items()
    },
    "arith.constant": "Constant", "sdy.constant": "Constant", "scf.if": "If",
}  # fmt: skip
"""What a name alone tells; comparisons, logic, dots and convolutions take their attributes too (the reader does)."""

STABLEHLO_EFFECTS: dict[str, tuple[str, ...]] = {
    f"{dialect}.{op}": effects
    for dialect in ("stablehlo", "mhlo")
    for effects, ops in {
        ("random",): ("rng", "rng_bit_generator"),
        ("io",): ("infeed", "outfeed"),
        ("collective",): (
            "send", "recv", "all_reduce", "all_gather", "all_to_all", "reduce_scatter", "collective_permute", "collective_broadcast",
        ),
        ("reads_state",): ("partition_id", "replica_id"),  # each device has its own: no constant of the program
        ("opaque",): ("custom_call",),
    }.items()
    for op in ops
}  # fmt: skip
STABLEHLO_EFFECTS.update(
    {
        **dict.fromkeys(
            ("stablehlo.collective_reduce", "stablehlo.cross-replica-sum", "mhlo.cross-replica-sum", "sdy.all_reduce", "sdy.all_gather",
             "sdy.all_to_all", "sdy.reduce_scatter", "sdy.collective_permute", "mpmd.transfer", "mpmd.reduce", "mpmd.broadcast"),
            ("collective",),
        ),
        "mhlo.xla.rng_get_and_update_state": ("random", "writes_state"),
        **dict.fromkeys(
            ("check.expect_eq", "check.expect_eq_const", "check.expect_almost_eq", "check.expect_almost_eq_const", "check.expect_close",
             "check.expect_serialized_eq", "cf.assert", "shape.cstr_require"),
            ("io",),
        ),
        **dict.fromkeys(("memref.load", "bufferization.to_tensor"), ("reads_state",)),
        **dict.fromkeys(("memref.store", "memref.copy", "memref.alloc", "memref.alloca", "memref.dealloc", "memref.tensor_store"),
                        ("writes_state",)),
    }
)  # fmt: skip

CUSTOM_CALL_EFFECTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("Sharding", "SPMDFullToShardShape", "SPMDShardToFullShape", "LayoutConstraint", "annotate_device_placement",
                     "mhlo.topk", "mhlo.erf", "ApproxTopK", "TopK", "PadToStatic", "SliceToDynamic", "MoveToHost", "MoveToDevice",
                     "xla.sdy.FuncResultSharding", "xla.sdy.GlobalToLocalShape", "xla.sdy.LocalToGlobalShape", "xla.sdy.ShardingGroup",
                     "xla.sdy.PropagationBarrier"), ()),
    "shape_assertion": ("io",),
    **dict.fromkeys(("xla_python_cpu_callback", "xla_python_gpu_callback", "xla_ffi_python_cpu_callback", "xla_ffi_python_gpu_callback"),
                    ("host", "opaque")),
}  # fmt: skip
"""Custom call target → effects, where they are known; LAPACK's are added below. Any other target may do anything."""

# jaxlib's linear algebra on the CPU: pure functions of their operands (jax/_src/lax/linalg.py).
CUSTOM_CALL_EFFECTS.update(
    {
        f"lapack_{letter}{routine}{end}": ()
        for letter in "sdcz"
        for routine in ("getrf", "geqrf", "orgqr", "ungqr", "potrf", "gesdd", "gesvd", "syevd", "heevd", "geev", "gees", "gehrd", "trsm",
                        "sytrd", "hetrd", "gtsv")
        for end in ("", "_ffi")
    }
)  # fmt: skip

HLO_CANONICAL: dict[str, str] = {
    f"hlo.{opcode}": operator
    for opcode, operator in {
        "abs": "Abs", "acos": "Acos", "acosh": "Acosh", "add": "Add", "asin": "Asin", "asinh": "Asinh", "atanh": "Atanh",
        "batch-norm-inference": "BatchNormalization", "ceil": "Ceil", "concatenate": "Concat", "convert": "Cast", "copy": "Identity",
        "cosh": "Cosh", "cosine": "Cos", "divide": "Div", "erf": "Erf", "exponential": "Exp", "floor": "Floor", "log": "Log",
        "logistic": "Sigmoid", "maximum": "Max", "minimum": "Min", "multiply": "Mul", "negate": "Neg", "power": "Pow",
        "reshape": "Reshape", "round-nearest-even": "Round", "select": "Where", "sign": "Sign", "sine": "Sin", "sinh": "Sinh",
        "slice": "Slice", "sqrt": "Sqrt", "subtract": "Sub", "tan": "Tan", "tanh": "Tanh", "transpose": "Transpose",
    }.items()
}  # fmt: skip
"""What an opcode alone tells; comparisons, logic, dots, convolutions and reductions take their attributes too (the reader does)."""

HLO_EFFECTS: dict[str, tuple[str, ...]] = {
    f"hlo.{opcode}": effects
    for effects, opcodes in {
        ("random",): ("rng",),
        ("random", "writes_state"): ("rng-get-and-update-state",),
        ("io",): ("infeed", "outfeed"),
        ("collective",): (
            "send", "send-done", "recv", "recv-done",
            *(f"{name}{end}" for end in ("", "-start", "-done", "-update") for name in (
                "all-reduce", "all-gather", "all-to-all", "ragged-all-to-all", "reduce-scatter", "collective-permute",
                "collective-broadcast",
            )),
        ),
        ("reads_state",): ("partition-id", "replica-id"),  # each device has its own: no constant of the program
        ("opaque",): ("custom-call", "custom-call-start", "custom-call-update", "custom-call-done"),
    }.items()
    for opcode in opcodes
}  # fmt: skip

CANONICAL: dict[str, str] = {**STABLEHLO_CANONICAL, **HLO_CANONICAL}

EFFECTS: dict[str, tuple[str, ...]] = {**STABLEHLO_EFFECTS, **HLO_EFFECTS}
