"""``graphlab load``: what a graph file holds, read and verified, and that in graphlab's own format."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from graphlab.cli.output import TRUST, busy, check_save, write
from graphlab.cli.specs import graph_file, python_file
from graphlab.errors import GraphlabError, SelectError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target", metavar="FILE", help="a graph file or directory of any readable format, or file@name of one that holds several"
    )
    parser.add_argument("--list", action="store_true", help="the names of the programs it holds, one a line, and no more")
    parser.add_argument("--save", metavar="FILE", type=Path, help="save it as a .graphlab file")
    parser.add_argument("--trust", action="store_true", help=TRUST)


def run(args: argparse.Namespace) -> int:
    """Print what the file holds. Raises GraphlabError where it cannot be read."""
    from graphlab.capture.dispatch import load

    if python_file(args.target) is not None:
        raise GraphlabError(
            f"load {args.target}", found="it is a Python file, which holds models and no graph", do=f"graphlab inspect {args.target}"
        )
    check_save(args.save)
    path, select = graph_file(args.target)
    try:
        with busy(f"reading {args.target}"):
            program = load(path, select=select, trust=args.trust)
    except SelectError as error:
        if not args.list or not error.names:
            raise
        print("\n".join(error.names))
        return 0
    if args.list:
        print("\n".join(program.signatures or (program.entry,)))
        return 0
    if args.save:
        from graphlab.ir.format import dumps

        write(args.save, dumps(program))  # first: who reads the page may close the pipe
        print(f"saved {args.save}", file=sys.stderr)
    from graphlab.render.load_text import print_program
    from graphlab.render.terminal import console

    print_program(console(), program, name=args.target)
    return 0
