"""Vocabulary of the xla ops: their ONNX counterparts and effects.

Two tables: StableHLO and the MLIR dialects that travel with it (``stablehlo.``, ``mhlo.``,
``chlo.``, ``func.``, ``sdy.``), and HLO's own (``hlo.``). ``CANONICAL`` and ``EFFECTS`` are their union.
"""

from __future__ import annotations

STABLEHLO_CANONICAL: dict[str, str] = {}

STABLEHLO_EFFECTS: dict[str, tuple[str, ...]] = {}

HLO_CANONICAL: dict[str, str] = {}

HLO_EFFECTS: dict[str, tuple[str, ...]] = {}

CANONICAL: dict[str, str] = {**STABLEHLO_CANONICAL, **HLO_CANONICAL}

EFFECTS: dict[str, tuple[str, ...]] = {**STABLEHLO_EFFECTS, **HLO_EFFECTS}
