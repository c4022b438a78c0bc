"""The lines of ``graphlab targets``."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from types import ModuleType

from rich.console import Console
from rich.text import Text


def print_targets(out: Console, compilers: Mapping[str, ModuleType]) -> None:
    """One line a compiler and platform: whether it is installed, its targets, the command that adds it."""
    for name, module in compilers.items():
        for platform, group in groupby(module.targets(), key=lambda target: target.partition(":")[0]):
            missing: str | None = module.missing(platform)
            line = Text(f"{name:<12} {platform:<5} ", "bold")
            line.append("installed      " if missing is None else "not installed  ", "green" if missing is None else "yellow")
            line.append(" ".join(group))
            line.append("" if missing is None else f"  {missing}", "dim")
            out.print(line)
