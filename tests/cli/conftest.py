"""Fixtures of the command-line tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import graphlab
from graphlab.cli.main import main

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def example() -> Callable[[str], str]:
    """Path of a file of ``examples/``."""
    return lambda name: str(EXAMPLES / name)


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Run ``graphlab inspect ... --json``, check the answer against the published schema, return its one report."""
    schema = json.loads((Path(graphlab.__file__).parent / "render" / "report.schema.json").read_text())

    def run(*words: str) -> dict[str, Any]:
        code = main(["inspect", *words, "--json"])
        captured = capsys.readouterr()
        assert code == 0, captured.err
        answer = json.loads(captured.out)
        Draft202012Validator(schema).validate(answer)
        (only,) = answer["reports"]
        assert isinstance(only, dict)
        return only

    return run
