"""Comparisons for which ONNX has no operator, so that ``canonical`` cannot name them."""

from __future__ import annotations

UNEQUAL: dict[str, tuple[str, str] | None] = {
    **dict.fromkeys((
        "jax.ne", "tf.NotEqual", "tflite.NOT_EQUAL", "keras.ops.NotEqual",
        "operator.ne", "torch.ne", "torch.not_equal", "method.ne", "method.not_equal",
        "aten::ne", "aten::not_equal", "aten.ne.Scalar", "aten.ne.Tensor", "aten.not_equal.Scalar", "aten.not_equal.Tensor",
    )),
    "tflite.STABLEHLO_COMPARE": ("comparison_direction", "STABLEHLO_COMPARISON_DIRECTION_NE"),
    "hlo.compare": ("direction", "NE"),
    "stablehlo.compare": ("comparison_direction", "NE"),
    "mhlo.compare": ("comparison_direction", "NE"),
}  # fmt: skip
"""Op → the attribute and its value that make it "not equal"; ``None`` where the name alone does."""
