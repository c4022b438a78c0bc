"""What compilers need of a program captured from JAX."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from graphlab.errors import CompileError


@dataclass(frozen=True)
class JaxNative:
    """The live object behind a program. Nothing is lowered before it is asked for.

    Attributes:
        stage: ``jax.stages.Traced``, ``Lowered`` or ``Compiled``, or ``jax.export.Exported``.
        lower: makes the StableHLO text from it; ``None`` where only HLO is left.
    """

    stage: object
    lower: Callable[[], str] | None = None

    @cached_property
    def _text(self) -> str:
        if self.lower is None:
            raise CompileError(
                f"lower a {type(self.stage).__name__} to StableHLO",
                found="JAX keeps only the compiled HLO of it",
                do="capture the jitted function itself",
            )
        return self.lower()

    def stablehlo(self) -> str:
        """StableHLO text with locations. Raises CompileError where there is none, CaptureError where lowering fails."""
        return self._text
