"""``graphlab explain``: the page of a finding's code, or the list of all codes."""

from __future__ import annotations

import argparse
from importlib.resources import files

from graphlab.errors import GraphlabError
from graphlab.findings import RULES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("code", nargs="*", help="codes or names of findings, as GL101 or capture-failed; none lists them all")


def run(args: argparse.Namespace) -> int:
    """Print the pages asked for.

    Raises:
        GraphlabError: there is no such code.
    """
    if not args.code:
        print(listing())
        return 0
    print("\n".join(page(code) for code in args.code), end="")
    return 0


def page(code: str) -> str:
    """The page of a code (``GL101``, in either case) or of a rule's name (``capture-failed``), in Markdown.

    Raises:
        GraphlabError: there is no such code.
    """
    by_name = {rule.name: rule.code for rule in RULES.values()}
    found = by_name.get(code.lower(), code.upper())
    if found not in RULES:
        raise GraphlabError(f"explain '{code}'", found="there is no finding of that code", do="run 'graphlab explain' for the list")
    return files("graphlab").joinpath("pages", f"{found}.md").read_text(encoding="utf-8")


def listing() -> str:
    """All rules, a line each: code, severity, name, summary."""
    width = max(len(rule.name) for rule in RULES.values())
    return "\n".join(f"{rule.code}  {rule.severity.name.lower():7}  {rule.name:{width}}  {rule.summary}" for rule in RULES.values())
