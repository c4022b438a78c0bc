"""Errors: what was asked, what was found, what to do."""

from __future__ import annotations

import pytest

from graphlab.errors import CaptureError, GraphlabError, missing_extra
from graphlab.ir.frames import Frame


def test_the_message_has_all_three_and_the_place() -> None:
    error = CaptureError("capture net", found="no Proxy in range", do="change that line", frame=Frame("net.py", 7))
    assert str(error) == "could not capture net at net.py:7: no Proxy in range\n  change that line"


@pytest.mark.parametrize(
    ("found", "brief"),
    [
        ("one line", "one line"),
        ("the reason\nand its log", "the reason"),
        ("Syntax error when parsing:\n  7:3: expects name\nmore", "Syntax error when parsing: 7:3: expects name"),
        ("nothing follows:", "nothing follows:"),
    ],
)
def test_the_brief_is_one_line_that_says_it(found: str, brief: str) -> None:
    assert GraphlabError("do it", found=found, do="").brief == brief


def test_a_missing_framework_names_the_extra() -> None:
    assert "pip install 'graphlab[torch]'" in str(missing_extra("capture it", "torch", "torch"))
