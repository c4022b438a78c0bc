"""Start-up: ``graphlab --help`` and ``import graphlab`` against ``python -c pass``."""

from __future__ import annotations

import sys
from pathlib import Path

from ratio import command, compare

PASS = command([sys.executable, "-c", "pass"])

if __name__ == "__main__":
    script = Path(sys.executable).with_name("graphlab")
    compare("graphlab --help vs python -c pass", command([str(script), "--help"]), PASS, target=4, runs=25)
    compare("import graphlab vs python -c pass", command([sys.executable, "-c", "import graphlab"]), PASS, target=3, runs=25)
