"""Findings: every rule has a page, and every page a rule."""

from __future__ import annotations

from importlib.resources import files

import pytest

from graphlab.findings import RULES, Finding, Rule

PAGES = {page.name.removesuffix(".md"): page.read_text(encoding="utf-8") for page in files("graphlab").joinpath("pages").iterdir()}


def test_every_code_has_a_page_and_every_page_a_code() -> None:
    assert set(PAGES) == set(RULES)


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.code)
def test_a_page_names_its_rule_and_says_what_to_do(rule: Rule) -> None:
    lines = PAGES[rule.code].splitlines()
    assert lines[0] == f"# {rule.code} {rule.name}"
    assert [line for line in lines if line.startswith("## ")] == ["## Example", "## Why it matters", "## What to do"]
    assert 15 <= len(lines) <= 40
    assert max(map(len, lines)) <= 120


def test_codes_and_names_are_unique_and_well_formed() -> None:
    assert all(code == rule.code and len(code) == 5 and code[:2] == "GL" and code[2:].isdecimal() for code, rule in RULES.items())
    assert len({rule.name for rule in RULES.values()}) == len(RULES)


def test_a_summary_is_one_sentence() -> None:
    assert all(rule.summary.endswith(".") and rule.summary.count(". ") == 0 for rule in RULES.values())


def test_a_finding_has_the_severity_of_its_rule() -> None:
    assert Finding("GL201", "branch").severity is RULES["GL201"].severity


def test_a_finding_of_an_unknown_code_has_no_rule() -> None:
    with pytest.raises(KeyError):
        _ = Finding("GL999", "nothing").rule
