"""Operations of loops and branches that are written as a graph: they hand values on, or not at all."""

from __future__ import annotations

# TensorFlow 1: core/ops/control_flow_ops.cc
GATES: frozenset[str] = frozenset({"tf.Switch", "tf.RefSwitch"})
"""Each result is the first operand, where it is let through."""

MEETS: frozenset[str] = frozenset({"tf.Merge", "tf.RefMerge"})
"""The first result is that operand which is there."""

BACK: frozenset[str] = frozenset({"tf.NextIteration", "tf.RefNextIteration"})
"""The result is the operand, one iteration later."""
