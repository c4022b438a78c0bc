"""A diff on the terminal: summary first, then the changes by region and scope. Plain where the output is no terminal."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

from rich.console import Console
from rich.text import Text

from graphlab.diff.changes import KINDS, GraphDiff
from graphlab.diff.group import Group, grouped
from graphlab.ir.program import Program
from graphlab.render.diff_words import describe, subject, symbol, where
from graphlab.render.units import count

_STYLES = {"+": "green", "-": "red", "~": "yellow"}
SHOWN = 200
"""Lines of changes printed without ``limit``."""


def print_diff(diff: GraphDiff, console: Console, *, stat: bool = False, limit: int = SHOWN) -> None:
    """Print a diff.

    Args:
        stat: counts by kind and region instead of the changes.
        limit: the most lines of changes; what is left is counted.
    """
    for side, name, program in (("A", diff.names[0], diff.a), ("B", diff.names[1], diff.b)):
        _line(console, Text.assemble((f"{side} {name}", "bold"), f"  {_program(program)}"))
    groups = grouped(diff.changes)
    same = f"; {count(len(groups), 'line')}, the same change in many places being one" if len(groups) < len(diff.changes) else ""
    _line(console, Text(diff.summary() + same, style="bold"))
    made = Counter(rewrite.kind for rewrite in diff.rewrites)
    if made:
        said = ", ".join(f"{number} {kind}" for kind, number in sorted(made.items(), key=lambda m: (-m[1], m[0])))
        _line(console, Text(f"together: {said}"))
    if diff.unchecked:
        _line(
            console,
            Text(f"values not compared: {count(len(diff.unchecked), 'constant')} that cannot be had, equal in type and size", style="dim"),
        )
    if diff.equal:
        return
    if stat:
        _stat(groups, console)
        return
    for region, members in groupby(groups[:limit], key=lambda group: group.region):
        _line(console, Text(""))
        _line(console, Text(region or "program", style="bold"))
        for scope, inner in groupby(members, key=lambda group: group.scope):
            indent = "  "
            if scope:
                _line(console, Text(f"  {scope}", style="cyan"))
                indent = "    "
            for group in inner:
                _line(console, _group(group, indent))
    if len(groups) > limit:
        rest = sum(len(group.changes) for group in groups[limit:])
        left = f"{rest:,} more changes" if rest > 1 else "1 more change"
        _line(console, Text(f"\n... {left} in {count(len(groups) - limit, 'group')}; --json has them all", style="dim"))


def _line(console: Console, text: Text) -> None:
    console.print(text, soft_wrap=True, highlight=False)


def _program(program: Program) -> str:
    return f"{program.source.format}, {count(program.count(), 'node')} in {count(len(program.graphs), 'graph')}"


def _group(group: Group, indent: str) -> Text:
    change = group.changes[0]
    mark = symbol(change)
    text = Text.assemble(indent, (mark, _STYLES[mark]), " ")
    times = len(group.changes)
    if times > 1:
        text.append(f"{times:,}x ", style="bold")
    text.append(describe(change))
    text.append(f"  {subject(change)}" + (f" and {times - 1:,} more" if times > 1 else ""), style="dim")
    at = where(change)
    if at:
        text.append(f"  {at}", style="dim")
    return text


def _stat(groups: tuple[Group, ...], console: Console) -> None:
    counts: dict[str, Counter[str]] = {}
    for group in groups:
        counts.setdefault(group.region or "program", Counter()).update(KINDS[type(change)] for change in group.changes)
    width = max(map(len, counts))
    for region, kinds in sorted(counts.items(), key=lambda item: (-item[1].total(), item[0])):
        said = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items(), key=lambda k: (-k[1], k[0])))
        _line(console, Text(f"{region:<{width}}  {kinds.total():>6,}  {said}"))
