"""SVG: which dot draws it, and what happens when it does not."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from graphlab.errors import GraphlabError, MissingExtra
from graphlab.render.svg import render_svg


def test_text_that_dot_refuses_is_an_error_with_its_words() -> None:
    with pytest.raises(GraphlabError, match="syntax error"):
        render_svg("digraph {")


def test_a_dot_that_takes_too_long_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "dot"
    slow.write_text("#!/bin/sh\nexec sleep 30\n")
    slow.chmod(slow.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(GraphlabError, match=r"within 0\.2 seconds"):
        render_svg("digraph {}", timeout=0.2)


def test_a_dot_on_the_path_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "dot"
    own.write_text("#!/bin/sh\necho '<svg/>'\n")
    own.chmod(own.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert render_svg("digraph {}") == b"<svg/>\n"


def test_no_dot_at_all_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *args, **kwargs: None)
    with pytest.raises(MissingExtra, match=r"graphlab\[dot\]"):
        render_svg("digraph {}")
