"""Torch's messages cut down to the reason."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from graphlab.capture.torch.failures import LIMIT, reason  # noqa: E402


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)", "mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"),
        (
            "Could not guard on data-dependent expression Eq(u0, 1) (unhinted: Eq(u0, 1)).  (Size-like symbols: none)\n\nconsider …",
            "Could not guard on data-dependent expression Eq(u0, 1)",
        ),
        ('Generators are not supported:\n  File "/m.py", line 3\n    yield x\n    ~~~~~~ <--- HERE\n', "Generators are not supported"),
        ("first part\ngoes on here.\nand advice", "first part goes on here"),
        ("", "it gives no reason"),
    ],
)
def test_the_reason_is_one_sentence(said: str, kept: str) -> None:
    assert reason(ValueError(said)) == f"ValueError: {kept}"


def test_a_long_reason_is_cut() -> None:
    assert len(reason(ValueError("x" * 1000))) == LIMIT + len("ValueError: ")
