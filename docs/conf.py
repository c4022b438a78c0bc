"""Sphinx: Markdown by MyST. Pages of findings and the command line's help are made from the package at build time."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import graphlab
from graphlab.cli.main import COMMANDS
from graphlab.findings import RULES

HERE = Path(__file__).parent

project = "graphlab"
author = "the graphlab authors"
copyright = author
release = version = graphlab.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "_generated"]
html_theme = "furo"
html_title = f"graphlab {release}"
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
autodoc_typehints = "description"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
suppress_warnings = ["ref.python"]  # two modules may each have an Options


def findings() -> None:
    """docs/findings: one page a code, copied from graphlab/pages, and their table."""
    folder = HERE / "findings"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    rows = "\n".join(f"| [{r.code}]({r.code}.md) | {r.name} | {r.severity.name.lower()} | {r.summary} |" for r in RULES.values())
    toc = "\n".join(RULES)
    (folder / "index.md").write_text(
        "# Findings\n\nGL0xx the IR itself, GL1xx capture, GL2xx control flow, GL3xx constant folding, GL4xx compile results.\n"
        "`graphlab explain GL201` prints a page.\n\n| code | name | severity | says |\n|---|---|---|---|\n"
        f"{rows}\n\n```{{toctree}}\n:hidden:\n\n{toc}\n```\n"
    )
    for code in RULES:
        shutil.copy(Path(graphlab.__file__).parent / "pages" / f"{code}.md", folder)


def command_line() -> None:
    """docs/_generated: the help of the command and its subcommands."""
    folder = HERE / "_generated"
    folder.mkdir(exist_ok=True)
    for command in ("", *COMMANDS):
        words = [sys.executable, "-m", "graphlab", *command.split(), "--help"]
        said = subprocess.run(words, capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1"})
        (folder / f"help_{command or 'graphlab'}.txt").write_text(said.stdout)


findings()
command_line()
