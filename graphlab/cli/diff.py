"""``graphlab diff A B``: what changed between two models or graph files."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from graphlab.cli.output import TRUST, busy, check_svg, write
from graphlab.errors import GraphlabError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("a", metavar="A", help="a graph file, file@name of one that holds several, model.py or model.py:name")
    parser.add_argument("b", metavar="B", help="the other")
    parser.add_argument("--input", action="append", default=[], metavar="TYPE", help="an input of the models, 'f32[2,5,8]'; repeatable")
    parser.add_argument("--trust", action="store_true", help=TRUST)
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--stat", action="store_true", help="counts by region and kind instead of the changes")
    shown.add_argument("--json", action="store_true", help="the whole diff as JSON")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="TOPIC",
        help="changes of this topic alone: layout, constants, order, or a kind as --stat names it; repeatable",
    )
    parser.add_argument("--ignore", action="append", default=[], metavar="TOPIC", help="leave changes of this topic out; repeatable")
    parser.add_argument("--tolerance", metavar="X", type=float, default=0.0, help="leave constants out whose elements differ by no more")
    parser.add_argument(
        "--fail-on", action="append", default=[], metavar="TOPIC", help="exit with 1 for changes of this topic alone; repeatable"
    )
    parser.add_argument("--svg", metavar="FILE", type=Path, help="draw the changed regions")
    parser.add_argument("--max-nodes", metavar="N", type=int, default=300, help="boxes in the drawing (300)")
    parser.add_argument("--dot", metavar="FILE", type=Path, help="the drawing as Graphviz DOT")


def run(args: argparse.Namespace) -> int:
    """Print the diff, write the drawings asked for. Returns 0 where no change is left that was asked for, else 1.

    Raises:
        GraphlabError: a program cannot be had, or a file not be written.
    """
    from graphlab.cli.specs import open_target, python_file
    from graphlab.diff import diff
    from graphlab.diff.select import check_topics, narrowed, select

    check_topics([*args.only, *args.ignore, *args.fail_on])
    if args.input and not (python_file(args.a) or python_file(args.b)):
        raise GraphlabError("use --input", found="both sides are graph files, which have their own inputs", do="leave --input away")
    check_svg(args.svg)
    with busy("reading") as say:
        sides = []
        for spec in (args.a, args.b):
            say(spec)
            sides.append(open_target(spec, args.input if python_file(spec) else (), trust=args.trust))
    (name_a, a), (name_b, b) = sides
    with busy("comparing"):
        found = narrowed(diff(a, b, names=(name_a, name_b)), only=args.only, ignore=args.ignore, tolerance=args.tolerance)
    if args.json:
        print(json.dumps(found.to_json(), ensure_ascii=False, allow_nan=False))
    else:
        from graphlab.render.diff_text import print_diff
        from graphlab.render.terminal import console

        print_diff(found, console(), stat=args.stat)
    if args.dot or args.svg:
        from graphlab.render.diff_dot import diff_dot
        from graphlab.render.svg import render_svg

        dot = diff_dot(found, max_nodes=args.max_nodes)
        if args.dot:
            write(args.dot, dot.encode())
        if args.svg:
            with busy("drawing"):
                write(args.svg, render_svg(dot))
    return 1 if select(found, only=args.fail_on) else 0
