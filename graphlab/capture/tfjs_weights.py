"""Weights that TensorFlow.js' converter stored in fewer bytes: what they stand for (tfjs-core/src/io/io_utils.ts, decodeWeights)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stored:
    """How a weight lies in the file. ``scale`` and ``min``: what integers stand for; ``scale`` is ``None`` for halves."""

    dtype: str
    scale: float | None = None
    min: float = 0.0

    def __str__(self) -> str:
        return self.dtype if self.scale is None else f"{self.dtype} * {self.scale:.9g} + {self.min:.9g}"

    def expanded(self, data: bytes, dtype: str) -> bytes:
        """The elements' bytes in the type that the model computes with: ``scale * q + min``, rounded where that is of integers."""
        import numpy as np

        values = np.frombuffer(data, self.dtype).astype(np.float32)
        if self.scale is not None:
            values = values * np.float32(self.scale) + np.float32(self.min)
        return (np.rint(values) if dtype.startswith("int") else values).astype(dtype).tobytes()
