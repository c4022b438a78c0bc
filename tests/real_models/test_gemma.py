"""Gemma 3 1B as an XLA HLO module, 9,738 instructions in 403 computations."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

import graphlab

pytestmark = pytest.mark.corpus


def test_gemma_is_read_whole_and_drawn(inspected: Callable[[Path], graphlab.Program], corpus: Path) -> None:
    with (corpus / "MANIFEST.tsv").open() as manifest:
        row = next(row for row in csv.DictReader(manifest, delimiter="\t") if row["file"].endswith("gemma3_1b_flax_call.hlo"))
    program = inspected(corpus / row["file"])
    assert program.count() == int(row["count"])
    assert len(program.graphs) == json.loads(row["notes"].strip('"').replace('""', '"'))["comps"]
