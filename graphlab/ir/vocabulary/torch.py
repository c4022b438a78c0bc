"""Vocabulary of the torch ops: their ONNX counterparts and effects."""

from __future__ import annotations

CANONICAL: dict[str, str] = {}

EFFECTS: dict[str, tuple[str, ...]] = {}

EFFECT_IF: dict[str, tuple[str, str]] = {}
