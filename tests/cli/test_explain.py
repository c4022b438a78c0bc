"""``graphlab explain``."""

from __future__ import annotations

import argparse

import pytest

from graphlab.cli import explain
from graphlab.errors import GraphlabError
from graphlab.findings import RULES


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    explain.add_arguments(parser)
    return explain.run(parser.parse_args(words))


def test_a_code_prints_its_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("GL101") == 0
    assert capsys.readouterr().out.startswith("# GL101 capture-failed\n")


@pytest.mark.parametrize("spelling", ["gl201", "random-predicate"])
def test_a_code_in_small_letters_and_a_name_will_do(spelling: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(spelling)
    assert capsys.readouterr().out.startswith("# GL201")


def test_several_codes_print_several_pages(capsys: pytest.CaptureFixture[str]) -> None:
    run("GL101", "GL102")
    heads = [line for line in capsys.readouterr().out.splitlines() if line.startswith("# ")]
    assert heads == ["# GL101 capture-failed", "# GL102 trace-baked-random"]


def test_without_a_code_all_rules_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    assert [line[:5] for line in capsys.readouterr().out.splitlines()] == list(RULES)


def test_an_unknown_code_says_how_to_list_them() -> None:
    with pytest.raises(GraphlabError, match="graphlab explain"):
        run("GL999")
