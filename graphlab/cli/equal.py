"""``graphlab equal A B``: whether two models or graph files are the same but for names, order and metadata."""

from __future__ import annotations

import argparse

from graphlab.cli.output import TRUST, busy


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("a", metavar="A", help="a graph file, file@name of one that holds several, model.py or model.py:name")
    parser.add_argument("b", metavar="B", help="the other")
    parser.add_argument("--input", action="append", default=[], metavar="TYPE", help="an input of the models, 'f32[2,5,8]'; repeatable")
    parser.add_argument("--trust", action="store_true", help=TRUST)


def run(args: argparse.Namespace) -> int:
    """Print the verdict and what it rests on. Returns 0 for equal, 1 for different and for open.

    Raises:
        GraphlabError: a program cannot be had.
    """
    from graphlab.cli.specs import open_target, python_file
    from graphlab.diff.equality import equality

    with busy("reading") as say:
        sides = []
        for spec in (args.a, args.b):
            say(spec)
            sides.append(open_target(spec, args.input if python_file(spec) else (), trust=args.trust))
    (name_a, a), (name_b, b) = sides
    with busy("comparing"):
        found = equality(a, b, names=(name_a, name_b))
    print(f"{found.verdict}: {found.reason}")
    return 0 if found.verdict == "equal" else 1
