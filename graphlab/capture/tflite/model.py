"""A model: its subgraphs as the graphs of a program, its signatures as the entries."""

from __future__ import annotations

from typing import Any

from graphlab.capture.file import File
from graphlab.capture.select import chosen
from graphlab.capture.spread import spread_effects
from graphlab.capture.tflite.flatbuffer import Buffer, Table
from graphlab.capture.tflite.metadata import metadata
from graphlab.capture.tflite.operators import code
from graphlab.capture.tflite.subgraph import Reader, Subgraph
from graphlab.capture.tflite.values import Tensor, Tensors
from graphlab.capture.unique import Names
from graphlab.errors import FormatError
from graphlab.ir.frozen import frozen
from graphlab.ir.graph import Graph
from graphlab.ir.program import Program, Signature, Slot, Source

_VERSION = 3  # files of the same tables were written as 2, and as 0 where the field was forgotten
_IDENTIFIER = b"TFL3"
_OLDER = (b"TFL1", b"TFL2")
_MOST_SUBGRAPHS = 100_000


def looks_like_model(file: File) -> bool:
    """By the flatbuffer's identifier; where there is none, by the root table: its version, and vectors of tables where they belong."""
    head = file.head
    if head[4:8] == _IDENTIFIER or head[4:8] in _OLDER:
        return True
    root = int.from_bytes(head[:4], "little")
    if len(head) < 32 or root % 4 or not 4 <= root <= min(file.size - 4, 1 << 16):
        return False
    try:
        model = Buffer(file).root("Model")
        return model["version"] == _VERSION and bool(model.where("operator_codes")) and _has_subgraphs(model)
    except FormatError:
        return False


def _has_subgraphs(model: Table) -> bool:
    """Whether the first subgraph and the first operator code are tables with the fields that they always have."""
    first = model.tables("subgraphs")[:1]
    return bool(first and first[0].where("tensors") and first[0].where("operators")) and bool(model.where("buffers"))


def read_model(file: File, *, select: str | None = None) -> Program:
    """See :func:`graphlab.capture.tflite.read`."""
    if file.head[4:8] in _OLDER:
        raise FormatError(
            f"read {file.name}",
            found=f"it is a TensorFlow Lite model of schema version {file.head[7:8].decode()}, which only versions before 2018 wrote",
            do="convert the model again with a current TensorFlow",
        )
    buffer = Buffer(file)
    model = buffer.root("Model")
    version = model["version"]
    if version > _VERSION:
        buffer.fail(f"its schema version is {version}, and {_VERSION} is the latest that is read", model.at)
    tensors = Tensors(file, buffer, model)
    subgraphs = _subgraphs(buffer, model)
    reader = Reader(buffer, tensors, [code(table) for table in model.tables("operator_codes")], subgraphs)
    graphs: dict[str, Graph] = {}
    held: list[list[Tensor]] = []
    for subgraph in subgraphs:
        graphs[subgraph.name], found = reader.graph(subgraph)
        held.append(found)
    spread_effects(graphs)
    facts, producer = metadata(file, model, tensors)
    signatures = _signatures(buffer, model, subgraphs, held)
    meta: dict[str, Any] = {"metadata": facts} if facts else {}
    if model["description"]:
        meta["description"] = model["description"]
    return Program(
        graphs=graphs,
        entry=_entry(file, graphs, signatures, select),
        source=Source("tensorflow lite", "tflite", producer=producer, path=file.name),
        signatures=signatures,
        meta=frozen(meta),
    )


def _subgraphs(buffer: Buffer, model: Table) -> list[Subgraph]:
    tables = model.tables("subgraphs")
    if not tables:
        buffer.fail("it holds no subgraph", model.at)
    if len(tables) > _MOST_SUBGRAPHS:
        buffer.fail(f"it holds {len(tables):,} subgraphs", model.at)
    names = Names()
    found = []
    for number, table in enumerate(tables):
        name = names.take(table["name"] or ("main" if number == 0 else f"subgraph_{number}"))
        found.append(Subgraph(name, table, table["inputs"] or (), table["outputs"] or (), table.tables("operators")))
    return found


def _entry(file: File, graphs: dict[str, Graph], signatures: dict[str, Signature], select: str | None) -> str:
    if select is None:
        return next(iter(graphs))
    if select in signatures:
        return signatures[select].graph
    names = tuple(dict.fromkeys([*signatures, *graphs]))
    name = names[chosen(names, select, file=file, what="signatures and subgraphs")]
    return signatures[name].graph if name in signatures else name


def _signatures(buffer: Buffer, model: Table, subgraphs: list[Subgraph], held: list[list[Tensor]]) -> dict[str, Signature]:
    """The model's signatures; one named after the first subgraph where it has none for it."""
    found: dict[str, Signature] = {}
    names = Names()
    for table in model.tables("signature_defs"):
        number = table["subgraph_index"]
        if number >= len(subgraphs):
            buffer.fail(f"a signature names subgraph {number} of {len(subgraphs)}", table.at)
        inputs, outputs = _aliases(table, "inputs"), _aliases(table, "outputs")
        key = names.take(table["signature_key"] or f"signature_{len(found)}")
        found[key] = _signature(subgraphs[number], held[number], inputs, outputs)
    if not any(signature.graph == subgraphs[0].name for signature in found.values()):
        main = _signature(subgraphs[0], held[0], {}, {})
        found = {names.take(subgraphs[0].name): main, **found}
    return found


def _aliases(table: Table, field: str) -> dict[int, list[str]]:
    """Tensor → the names it has in a signature, last first."""
    found: dict[int, list[str]] = {}
    for entry in reversed(table.tables(field)):
        found.setdefault(entry["tensor_index"], []).append(entry["name"] or "")
    return found


def _signature(subgraph: Subgraph, held: list[Tensor], inputs: dict[int, list[str]], outputs: dict[int, list[str]]) -> Signature:
    return Signature(subgraph.name, _slots(subgraph.inputs, held, inputs), _slots(subgraph.outputs, held, outputs))


def _slots(indices: tuple[int, ...], held: list[Tensor], aliases: dict[int, list[str]]) -> tuple[Slot, ...]:
    slots = []
    for index in indices:
        names = aliases.get(index) or []
        name = (names.pop() if len(names) > 1 else names[0]) if names else held[index].name
        slots.append(Slot(name or f"tensor_{index}", held[index].type))
    return tuple(slots)
