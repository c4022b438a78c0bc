"""What compilers need of a program captured from JAX."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from graphlab.errors import CompileError


@dataclass(frozen=True)
class JaxNative:
    """The live object behind a program. Nothing is lowered before it is asked for.

    Attributes:
        stage: ``jax.stages.Traced``, ``Lowered`` or ``Compiled``, or ``jax.export.Exported``.
        lower: makes the StableHLO text for a platform from it (what is lowered already stays as it is); ``None`` where only
            HLO is left.
    """

    stage: object
    lower: Callable[[str], str] | None = None
    _texts: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    def stablehlo(self, platform: str = "cpu") -> str:
        """StableHLO text with locations, for ``cpu``, ``tpu`` or ``cuda``: operations may lower otherwise on each.

        Raises:
            CompileError: there is none.
            CaptureError: lowering fails.
        """
        if self.lower is None:
            raise CompileError(
                f"lower a {type(self.stage).__name__} to StableHLO",
                found="JAX keeps only the compiled HLO of it",
                do="capture the jitted function itself",
            )
        if platform not in self._texts:
            self._texts[platform] = self.lower(platform)
        return self._texts[platform]
