"""``graphlab inspect``: everything graphlab can say about one model or graph file."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

from graphlab.cli.output import TRUST, busy, check_save, check_svg, write
from graphlab.cli.specs import find_models, graph_file, model_name, python_file
from graphlab.errors import GraphlabError, InputsNeeded
from graphlab.findings import Severity
from graphlab.report import Report, compile_report, inspect_file, inspect_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="MODEL", help="model.py, model.py:name, a graph file, or file@name of one that holds several")
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="TYPE",
        help="type of an input of the model, by position ('f32[2,5,8]') or by name ('mask=bool[2,5]'); "
        "a name as a dim makes it symbolic ('f32[batch,5,8]'); repeat it for each",
    )
    parser.add_argument("--method", help="method of capture (torch: export, jit.script, fx, jit.trace; jax: jaxpr, stablehlo, hlo)")
    parser.add_argument("--every-method", action="store_true", help="try every method of capture, even where the best one works")
    parser.add_argument("--trust", action="store_true", help=TRUST)
    parser.add_argument("--no-compile", action="store_true", help="do not compile: say what was captured, and stop")
    parser.add_argument("--json", action="store_true", help="print the report as JSON (graphlab/render/report.schema.json)")
    parser.add_argument("--svg", metavar="FILE", type=Path, help="draw what was captured")
    parser.add_argument(
        "--max-nodes", metavar="N", type=int, default=300, help="boxes in the drawing; the rest is collapsed and counted (300)"
    )
    parser.add_argument("--save", metavar="FILE", type=Path, help="save what was captured as a .graphlab file")
    parser.add_argument(
        "--fail-on", choices=[s.name.lower() for s in Severity], help="exit 1 where there is a finding at least this grave (default: never)"
    )


def run(args: argparse.Namespace) -> int:
    check_svg(args.svg)
    check_save(args.save)
    reports: list[Report] = []
    for report in _reports(args):
        if not reports:
            _write(args, report)  # first: who reads the page may close the pipe
        if not args.json:
            _print_first(report, more=bool(reports))
        with busy("compiling with") as announce:
            done = report if args.no_compile else compile_report(report, announce=announce)
        if not args.json:
            _print_rest(done, compiled=not args.no_compile)
        reports.append(done)
    if args.json:
        from graphlab.render.report_json import to_json

        print(json.dumps(to_json(reports), indent=1))
    if any(report.program is None and not report.recorded for report in reports):
        return 2
    if args.fail_on is None:
        return 0
    gate = Severity[args.fail_on.upper()]
    return int(any(finding.severity >= gate for report in reports for finding in report.findings))


def _reports(args: argparse.Namespace) -> Iterator[Report]:
    if python_file(args.target) is None:
        for option in ("input", "method", "every_method"):
            if getattr(args, option):
                raise GraphlabError(
                    f"use --{option.replace('_', '-')} with {args.target}",
                    found="a graph file is read as it is",
                    do="leave that option away",
                )
        with busy(f"reading {args.target}"):
            path, select = graph_file(args.target)
            report = inspect_file(path, select=select, trust=args.trust, name=args.target)
        yield report
        return
    with busy(f"running {args.target}"):
        models = find_models(args.target, args.input)
    _one_drawing(args, [model.name for model in models])
    needing: list[InputsNeeded] = []
    for model in models:
        name = model_name(args.target, model)
        with busy(f"capturing {model.name} by") as announce, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what bears on the capture's truth is in the findings
            try:
                report = inspect_model(
                    model.model, model.inputs, name=name, method=args.method, every_method=args.every_method, announce=announce
                )
            except InputsNeeded as error:  # of several models some may be parts of others, never called on their own
                needing.append(error)
                continue
        yield report
    if len(needing) == len(models):
        raise needing[0]
    for skipped in needing:
        print(f"graphlab: skipped one: {skipped}", file=sys.stderr)


def _one_drawing(args: argparse.Namespace, names: list[str]) -> None:
    if len(names) > 1 and (args.svg or args.save):
        listed = ", ".join(f"{args.target}:{name}" for name in names)
        raise GraphlabError(f"write one file for {args.target}", found=f"it holds {len(names)} models", do=f"name one: {listed}")


def _print_first(report: Report, *, more: bool) -> None:
    from graphlab.render.report_text import print_capture
    from graphlab.render.terminal import console

    out = console()
    if more:
        out.print()
    print_capture(out, report)
    sys.stdout.flush()


def _print_rest(report: Report, *, compiled: bool) -> None:
    from graphlab.render.report_text import print_compiles, print_findings
    from graphlab.render.terminal import console

    out = console()
    if compiled and report.program is not None:
        print_compiles(out, report)
    print_findings(out, report)


def _write(args: argparse.Namespace, report: Report) -> None:
    program = report.program
    if program is None or not (args.svg or args.save):
        return
    if args.save:
        from graphlab.ir.format import dumps

        write(args.save, dumps(program))
        print(f"saved {args.save}", file=sys.stderr)
    if args.svg:
        from graphlab.render.dot import to_dot
        from graphlab.render.svg import render_svg

        with busy(f"drawing {args.svg}"):
            write(args.svg, render_svg(to_dot(program, max_nodes=args.max_nodes)))
        print(f"drew {args.svg}", file=sys.stderr)
