"""What every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # the CUDA plugin is installed for targets that are not here


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real graph files; the test is skipped where it is not set."""
    folder = os.environ.get("GRAPHLAB_CORPUS")
    if not folder:
        pytest.skip("GRAPHLAB_CORPUS is not set")
    return Path(folder)
