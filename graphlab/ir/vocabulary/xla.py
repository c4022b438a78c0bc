"""Vocabulary of the xla ops: their ONNX counterparts and effects.

Two tables: StableHLO and the MLIR dialects that travel with it (``stablehlo.``, ``mhlo.``,
``chlo.``, ``func.``, ``sdy.``), and HLO's own (``hlo.``). ``CANONICAL`` and ``EFFECTS`` are their union.
"""

from __future__ import annotations

STABLEHLO_CANONICAL: dict[str, str] = {}

STABLEHLO_EFFECTS: dict[str, tuple[str, ...]] = {}

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
        ("opaque",): ("custom-call", "custom-call-start", "custom-call-update", "custom-call-done"),
    }.items()
    for opcode in opcodes
}  # fmt: skip

CANONICAL: dict[str, str] = {**STABLEHLO_CANONICAL, **HLO_CANONICAL}

EFFECTS: dict[str, tuple[str, ...]] = {**STABLEHLO_EFFECTS, **HLO_EFFECTS}
