"""What ``graphlab load`` says of a program: where it is from, its entries, its graphs, its weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from graphlab.ir.program import Program, Signature, Slot
from graphlab.render.units import count, size_of

ENTRIES_SHOWN = 12
GRAPHS_SHOWN = 12
SLOTS_SHOWN = 6
TYPE_WIDTH = 80


def print_program(out: Console, program: Program, *, name: str) -> None:
    """The whole page."""
    source = program.source
    out.print(Text(name, "bold"))
    _row(out, "format", f"{source.format}{f'  {source.producer}' if source.producer else ''}")
    for head, lines in (("entries", entries(program)), ("graphs", _graphs(program)), ("weights", _weights(program))):
        for i, line in enumerate(lines):
            _row(out, head if i == 0 else "", line)
    for note in source.notes[:8]:
        _row(out, "note", str(note.get("text", "")))


def entries(program: Program) -> Iterator[str]:
    """One line a signature: its name, the caller's inputs and outputs; the one that runs first is marked."""
    for i, (name, signature) in enumerate(program.signatures.items()):
        if i == ENTRIES_SHOWN:
            yield f"... {count(len(program.signatures) - i, 'more')}"
            return
        mark = "*" if len(program.signatures) > 1 and signature.graph == program.entry else ""
        yield f"{name}{mark}  {_call(signature)}"


def _call(signature: Signature) -> str:
    return f"({_slots(signature.inputs)}) -> ({_slots(signature.outputs)})"


def _slots(slots: tuple[Slot, ...]) -> str:
    own = [slot for slot in slots if slot.role == "user"]
    shown = ", ".join(_short(f"{slot.name}: {slot.type}") for slot in own[:SLOTS_SHOWN])
    more = f", ... {len(own) - SLOTS_SHOWN} more" if len(own) > SLOTS_SHOWN else ""
    roles = Counter(slot.role for slot in slots if slot.role != "user")
    held = ", ".join(count(n, role) for role, n in roles.items())
    return f"{shown}{more}{'; ' if own and held else ''}{held}"


def _graphs(program: Program) -> Iterator[str]:
    yield f"{count(program.count(), 'node')} in {count(len(program.graphs), 'graph')}"
    if len(program.graphs) == 1:
        return
    largest = sorted(program.graphs.items(), key=lambda pair: -pair[1].count())
    for name, graph in largest[:GRAPHS_SHOWN]:
        yield f"  {name}{'*' if name == program.entry else ''}  {count(graph.count(), 'node')}"
    if len(largest) > GRAPHS_SHOWN:
        yield f"  ... {len(largest) - GRAPHS_SHOWN:,} more"


def _weights(program: Program) -> Iterator[str]:
    for kind in ("parameter", "constant"):
        sizes = [_nbytes(node.value, node.outputs) for _, node in program.each_node() if node.kind == kind]
        if sizes:
            known = sum(n for n in sizes if n is not None)
            missing = sum(n is None for n in sizes)
            yield f"{count(len(sizes), kind)}, {size_of(known)}{f', {missing:,} of unknown size' if missing else ''}"


def _nbytes(value: object, outputs: tuple[object, ...]) -> int | None:
    size = getattr(value, "nbytes", None) if value is not None else None
    if size is None and outputs:
        size = getattr(outputs[0], "nbytes", None)
    return size


def _short(text: str) -> str:
    return text if len(text) <= TYPE_WIDTH else text[: TYPE_WIDTH - 3] + "..."


def _row(out: Console, head: str, body: str) -> None:
    line = Text(f"{head:<9} ", "bold" if head else "")
    line.append(body)
    out.print(line)
