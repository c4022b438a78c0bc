"""``graphlab targets``: compilers, what they compile for, and the command that installs what is missing."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None but the common ones."""


def run(args: argparse.Namespace) -> int:
    """Print one line a compiler and platform."""
    from graphlab import registry
    from graphlab.render.targets_text import print_targets
    from graphlab.render.terminal import console

    print_targets(console(), {name: registry.get("compilers", name) for name in registry.table("compilers")})
    return 0
