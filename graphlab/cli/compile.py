"""``graphlab compile MODEL --target T``: what the compilers make of it, side by side."""

from __future__ import annotations

import argparse
import json
import warnings

from graphlab.cli.output import TRUST, busy
from graphlab.cli.specs import open_target


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target_model", metavar="MODEL", help="model.py, model.py:name, a graph file, or file@name of one that holds several"
    )
    parser.add_argument(
        "--target", action="append", metavar="T", dest="targets",
        help="what to compile for (cpu): tpu:v5e, tpu:v5e:2x4, cuda:h100, cuda:h100:8; repeat it to compare; see graphlab targets",
    )  # fmt: skip
    parser.add_argument("--compiler", help="the compiler to ask: xla, torchscript, grappler (default: the first that takes the model)")
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="TYPE",
        help="type of an input of a model in a Python file; repeatable",
    )
    parser.add_argument("--method", help="method of capture, for a model in a Python file")
    parser.add_argument("--trust", action="store_true", help=TRUST)
    parser.add_argument("--time-limit", type=float, default=600.0, metavar="S", help="seconds that one compile may take (600)")
    parser.add_argument("--json", action="store_true", help="print the results as JSON (graphlab/render/report.schema.json)")


def run(args: argparse.Namespace) -> int:
    """Print the table. Returns 0, or 2 where a target could not be compiled for.

    Raises:
        GraphlabError: the model cannot be had, or no compiler takes it.
    """
    from graphlab.report import Report, compile_report

    with busy(f"reading {args.target_model}"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        name, program = open_target(args.target_model, args.input, method=args.method, trust=args.trust)
    with busy("compiling for") as announce:
        report = compile_report(
            Report(name, program),
            targets=args.targets or ["cpu"],
            compiler=args.compiler,
            announce=announce,
            passes="",
            time_limit=args.time_limit,
        )
    if args.json:
        from graphlab.render.report_json import to_json

        print(json.dumps(to_json([report]), indent=1))
    else:
        from graphlab.render.compile_text import print_table
        from graphlab.render.terminal import console

        print_table(console(), report)
    return 2 if any(outcome.error is not None for outcome in report.outcomes) else 0
