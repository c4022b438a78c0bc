"""Reader of ``TORCH_TRACE`` and ``TORCH_LOGS`` logs: every compile with its graphs in order, and what it says of breaks and recompiles.

A graph is kept as the code text that ``print_readable`` writes; it is parsed when its stage is loaded, never run. A
directory of one log for each rank (``TORCH_TRACE=dir``) is read as one log, its compiles named by file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from graphlab.capture.file import File
from graphlab.capture.select import chosen
from graphlab.capture.torch.aoti_wrapper import kernels
from graphlab.capture.torch.fx_print import looks_printed
from graphlab.capture.torch.fx_program import program
from graphlab.capture.torch.pt2_graph import Payloads, program as exported
from graphlab.capture.torch.pt2_schema import Decoder, parsed
from graphlab.capture.torch.trace_notes import NOTED, Files, Note, notes
from graphlab.capture.torch.trace_records import Record, begins, messages, payload, records
from graphlab.capture.unique import Names
from graphlab.compilers.results import Artifact, Compiled, Measured, Metric, Stage
from graphlab.errors import FormatError, GraphlabError
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.program import Program, Source

READS = "TORCH_TRACE logs of torch.compile and torch.export, one file or a directory of them; what TORCH_LOGS prints"

UNKNOWN = "unknown"
"""Where records go that name no compile: torch.export's, AOTInductor's."""

METRICS: Mapping[str, tuple[str, str]] = {
    "compile_seconds": ("seconds", "the whole compile of the frame"),
    "backend_seconds": ("seconds", "of it, in the backend: AOTAutograd and what it calls"),
    "inductor_seconds": ("seconds", "of it, in Inductor"),
    "codegen_seconds": ("seconds", "of it, making and building the code"),
    "guards": ("guards", "conditions checked at every call"),
    "shape_guards": ("guards", "of them, conditions on sizes"),
    "graph_ops": ("ops", "calls in the graph that Dynamo made"),
    "graph_nodes": ("nodes", "nodes of that graph"),
    "graph_inputs": ("inputs", "inputs of that graph"),
}
"""Every metric's name → its unit and meaning."""

_FIELDS = {
    "compile_seconds": "entire_frame_compile_time_s",
    "backend_seconds": "backend_compile_time_s",
    "inductor_seconds": "inductor_compile_time_s",
    "codegen_seconds": "code_gen_time_s",
    "guards": "guard_count",
    "shape_guards": "shape_env_guard_count",
    "graph_ops": "graph_op_count",
    "graph_nodes": "graph_node_count",
    "graph_inputs": "graph_input_count",
}
_LOG = re.compile(r".*torch_trace.*\.log(\.\d+)?|.*\.log|.*\.txt")
_DEVICE = re.compile(r'"\w+\[[^"\n]*\](\w+(?::\d+)?)"')
_SUFFIXES = {"inductor_output_code": ".py", "fx_graph_runnable": ".py", "cpp": ".cpp", "json": ".json"}
_IGNORED = frozenset(("chromium_event", "str", "describe_storage", "describe_tensor", "describe_source"))


@dataclass(frozen=True, slots=True)
class TraceLog:
    """A log, read through once.

    Attributes:
        compiles: by compile id (``0/0``), in order; with several ranks, ``rank1/0/0``; of a directory of several logs, ``<file>/0/0``.
        counts: how many records of each kind have a payload; artifacts and dumps by their own names.
        damaged: offsets of lines that look like records and are not sound.
    """

    compiles: Mapping[str, Compiled]
    counts: Mapping[str, int]
    damaged: tuple[int, ...] = ()


def matches(target: object) -> bool:
    """Whether it is such a log, or a directory with one."""
    if not isinstance(target, File):
        return False
    if not target.is_dir:
        return begins(target.head)
    try:
        return bool(_logs(target))
    except GraphlabError:
        return False


def read(file: File, *, select: str | None = None) -> Program:
    """One graph.

    Args:
        select: ``0/0/aot_forward_graph``; ``0/0`` for the first graph of that compile, which Dynamo captured.

    Raises:
        SelectError: there are several graphs and none is selected, or none of that name.
        FormatError: it is no such log, or the graph's text is damaged.
    """
    log = read_log(file)
    stages = {f"{id}/{stage.name}": stage for id, compiled in log.compiles.items() for stage in compiled.stages}
    if select is None and len(stages) == 1:
        [only] = stages.values()
        return only.load()
    if select is not None and select in stages:
        return stages[select].load()
    if select is not None and select in log.compiles and log.compiles[select].stages:
        return log.compiles[select].stages[0].load()
    return stages[tuple(stages)[chosen(tuple(stages), select, file=file, what="graphs")]].load()


def read_compiled(file: File, *, select: str | None = None) -> Compiled:
    """One compile: its graphs as stages, the code made as artifacts, its breaks and recompiles as notes.

    Args:
        select: a compile id; one of its graphs (``0/0/aot_forward_graph``) selects it too.

    Raises:
        SelectError: several have graphs and none is selected, or there is none of that id.
        FormatError: it is no such log.
    """
    compiles = read_log(file).compiles
    with_graphs = [compiled for compiled in compiles.values() if compiled.stages] or list(compiles.values())
    if select is None and len(with_graphs) == 1:
        return with_graphs[0]
    id = next((id for id in compiles if select == id or (select or "").startswith(f"{id}/")), None)
    return compiles[tuple(compiles)[chosen(tuple(compiles), select, file=file, what="compiles")] if id is None else id]


def read_compiles(file: File) -> Mapping[str, Compiled]:
    """All compiles, by id. Raises FormatError where it is no such log."""
    return read_log(file).compiles


def read_log(file: File) -> TraceLog:
    """Everything, graphs unparsed.

    Raises:
        FormatError: there is no sound record in it.
    """
    logs = _logs(file) if file.is_dir else (file,)
    if len(logs) == 1:
        return _Reader(logs[0]).run()
    compiles: dict[str, Compiled] = {}
    counts: Counter[str] = Counter()
    damaged: list[int] = []
    for each in logs:
        log = _Reader(each).run()
        compiles |= {f"{each.path.name}/{id}": compiled for id, compiled in log.compiles.items()}
        counts.update(log.counts)
        damaged.extend(log.damaged)
    return TraceLog(compiles, counts, tuple(damaged))


def _logs(folder: File) -> tuple[File, ...]:
    """The logs of a directory, by name; only names that could be such are opened."""
    files = (folder.entry(name) for name in folder.entries()[:10_000] if _LOG.fullmatch(name) and folder.has(name))
    return tuple(each for each in files if not each.is_dir and begins(each.head))


@dataclass(slots=True)
class _Compile:
    """One compile while the log is being read."""

    names: Names = field(default_factory=Names)
    stages: list[tuple[str, Record]] = field(default_factory=list)
    artifacts: dict[str, Record] = field(default_factory=dict)
    metrics: dict[str, Metric] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    ranges: dict[str, str] = field(default_factory=dict)
    frame: Note | None = None


def _frame(file: str, line: int, function: str = "") -> Note:
    return FrozenDict(kind="frame", text=f"compiles '{function}'", file=file, line=line, function=function)


class _Reader:
    def __init__(self, file: File) -> None:
        self._file = file
        self._view = file.view()
        self._files = Files()
        self._compiles: dict[str, _Compile] = {}
        self._counts: Counter[str] = Counter()
        self._damaged: list[int] = []
        self._version = ""

    def run(self) -> TraceLog:
        found = list(self._each()) or list(messages(self._file))
        ranks = {record.rank for record in found if record.compile_id}
        for record in found:
            id = record.compile_id or UNKNOWN
            self._take(record, f"rank{record.rank}/{id}" if len(ranks) > 1 and record.rank else id)
        if not found:
            raise FormatError(
                f"read {self._file.name}",
                found="it has no sound record of a compile log",
                do="compile again with TORCH_TRACE set",
                where=f"offset {self._damaged[0]:,}" if self._damaged else "offset 0",
            )
        if self._damaged:
            lines = "1 line" if len(self._damaged) == 1 else f"{len(self._damaged):,} lines"
            text = f"{lines} of the log could not be read, the first at offset {self._damaged[0]:,}"
            self._compiles.setdefault(UNKNOWN, _Compile()).notes.append(FrozenDict(kind="damaged-line", text=text))
        compiles = {id: self._compiled(id, each) for id, each in self._compiles.items() if id != UNKNOWN or each.stages or each.notes}
        return TraceLog(compiles, dict(self._counts), tuple(self._damaged))

    def _each(self) -> Iterator[Record]:
        for record in records(self._file):
            if isinstance(record, int):
                self._damaged.append(record)
            elif record.kind == "str":
                self._files.add(record.fields)
                yield record
            else:
                yield record

    def _text(self, record: Record, limit: int | None = None) -> str:
        length = record.length if limit is None else min(record.length, limit)
        return payload(bytes(self._view[record.offset : record.offset + length]), printed=record.printed)

    def _take(self, record: Record, id: str) -> None:
        if record.length:
            self._counts[record.name] += 1
        if record.kind in _IGNORED:
            return
        if record.name == "torch_version":
            found = re.search(r'"pytorch_version": "([^"]+)"', self._text(record, 4096))
            self._version = f"torch {found[1]}" if found else ""
            return
        compile = self._compiles.setdefault(id, _Compile())
        fields = record.fields if isinstance(record.fields, Mapping) else {}
        if record.kind in ("create_symbol", "create_unbacked_symbol"):
            compile.ranges[str(fields.get("symbol"))] = str(fields.get("vr"))
        elif record.kind == "dynamo_start":
            place = self._files.innermost(fields.get("stack"))
            if place and compile.frame is None:
                compile.frame = _frame(**place)
        elif record.kind in ("compilation_metrics", "bwd_compilation_metrics"):
            self._measure(compile, record, fields)
        elif record.name in NOTED:
            compile.notes.extend(notes(record, self._text(record), self._files))
        elif record.length and (looks_printed(self._text(record, 2000)) or record.kind == "exported_program"):
            compile.stages.append((compile.names.take(record.name), record))
        elif record.length:
            kinds = (record.name, str(fields.get("type")), str(fields.get("encoding")))
            suffix = next((_SUFFIXES[kind] for kind in kinds if kind in _SUFFIXES), ".txt")
            compile.artifacts[compile.names.take(record.name) + suffix] = record

    def _measure(self, compile: _Compile, record: Record, fields: Mapping[str, Any]) -> None:
        if record.kind == "bwd_compilation_metrics":
            return
        for name, key in _FIELDS.items():
            value = fields.get(key)
            if isinstance(value, (int, float)):
                compile.metrics[name] = Measured(value, METRICS[name][0], "compilation_metrics")
        told = {note["kind"] for note in compile.notes}
        told.update(("restart",) if "graph-break" in told else ())
        compile.notes.extend(note for note in notes(record, "", self._files) if note["kind"] not in told)
        file, line = fields.get("co_filename"), fields.get("co_firstlineno")
        if isinstance(file, str) and type(line) is int:  # surer than the stack that led here, which older logs give alone
            compile.frame = _frame(file, line, str(fields.get("co_name", "")))

    def _compiled(self, id: str, compile: _Compile) -> Compiled:
        where = (*filter(None, (compile.frame,)), *compile.notes)
        stages = tuple(
            Stage(name, partial(self._load, f"{id}/{name}", record, dict(compile.ranges), where), record.name)
            for name, record in compile.stages
        )
        artifacts = {name: Artifact(name, record.length, partial(self._bytes, record)) for name, record in compile.artifacts.items()}
        wrapper = compile.artifacts.get("inductor_aot_wrapper_code.cpp")
        if wrapper is not None:
            stages = (*stages, Stage("kernels", partial(self._kernels, f"{id}/kernels", wrapper), wrapper.name))
        device = _DEVICE.search(self._text(compile.stages[0][1], 8192)) if compile.stages else None
        return Compiled(
            compiler="torch.compile",
            target=device[1] if device else "",
            version=self._version,
            stages=stages,
            metrics=compile.metrics,
            artifacts=artifacts,
            notes=where,
        )

    def _load(self, name: str, record: Record, ranges: dict[str, str], notes: tuple[Note, ...]) -> Program:
        source = Source("torch", "TORCH_TRACE log", method="read", producer=self._version or "torch", path=self._file.name, notes=notes)
        text, asked = self._text(record), f"read '{name}' of {self._file.name}"
        if text.startswith("{"):
            return exported(parsed(text, asked, name), Decoder(asked), Payloads(), source)
        return program(text, asked=asked, source=source, ranges=ranges)

    def _kernels(self, name: str, record: Record) -> Program:
        found = kernels(self._text(record), Source("torch", "AOTInductor wrapper", producer=self._version or "torch", path=self._file.name))
        if found is None:
            raise FormatError(
                f"read '{name}' of {self._file.name}",
                found="the wrapper's source has no run_impl",
                do="read another stage, or the artifact",
                where=name,
            )
        return found

    def _bytes(self, record: Record) -> bytes:
        return self._text(record).encode()
