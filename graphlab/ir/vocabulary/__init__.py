"""Per framework family: CANONICAL (op -> ONNX operator of the same meaning) and EFFECTS (op -> effects)."""
