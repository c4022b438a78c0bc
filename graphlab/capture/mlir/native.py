"""What compilers need of a program read from MLIR."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class MlirNative:
    """The module's text or bytecode, fetched from its file when it is asked for."""

    data: bytes | Callable[[], bytes]

    def module(self) -> bytes:
        """The module as MLIR's own parser takes it: text in UTF-8, or bytecode."""
        return self.data() if callable(self.data) else self.data
