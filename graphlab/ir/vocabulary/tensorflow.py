"""Vocabulary of the tensorflow ops: their ONNX counterparts and effects."""

from __future__ import annotations

CANONICAL: dict[str, str] = {}

EFFECTS: dict[str, tuple[str, ...]] = {}
