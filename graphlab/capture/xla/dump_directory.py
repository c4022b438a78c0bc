"""Reader of an XLA dump directory (``--xla_dump_to``): modules before and after XLA, and around its passes."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from graphlab.capture.file import File
from graphlab.capture.select import chosen
from graphlab.capture.xla import dump_memory, hlo_proto, hlo_text
from graphlab.capture.xla.dump_names import Dumped, changed, dumped, is_dumped
from graphlab.errors import FormatError, GraphlabError, SelectError
from graphlab.ir.program import Program

if TYPE_CHECKING:
    from graphlab.compilers.results import Compiled, Metric, Stage

READS = "XLA dump directories (--xla_dump_to: modules, passes, memory reports, code)"

INPUT, OPTIMIZED = "input", "optimized"
_UNPACKED = 1 << 30  # bytes that a compressed module may have
_OPTIONS = 1 << 20
_PASSES = re.compile(r'^xla_dump_hlo_pass_re: "([^"\\]*)"', re.MULTILINE)
_PLAIN = re.compile(r"[\w\-|.^$ ]*(?:\*[\w\-|.^$ ]*){0,3}", re.ASCII)  # a pattern that takes no time to speak of


def matches(target: object) -> bool:
    """Whether it is a directory with a file that is called as XLA calls a dumped module."""
    if not isinstance(target, File) or not target.is_dir:
        return False
    try:
        return any(map(is_dumped, target.entries()))
    except GraphlabError:
        return False


def read(file: File, *, select: str | None = None) -> Program:
    """Read one module of a dump.

    Args:
        select: a module by its name or XLA's number (``jit_f``, ``module_0016``, ``16``), and behind a ``/`` a stage:
            ``input``, ``optimized``, the number of a dump around a pass (``0012``), or its name. Without a stage it is
            the input, what XLA was given: the program itself as its framework made it, where ``optimized`` is one
            machine's rendering of it; where the dump lacks the input, the first stage it has.

    Raises:
        SelectError: there are several modules and none was selected, or there is no such module or stage.
        FormatError: the stage's file is not sound.
    """
    modules = _modules(file)
    wanted, _, stage = (select or "").partition("/")
    module = _selected(file, modules, wanted or None)
    files = _stage_files(module)
    if not stage:
        return _read(file, next(iter(files.values())))
    found = _stage(files, module, stage)
    if found is None:
        names = tuple(f"{_names(modules)[modules.index(module)]}/{name}" for name in files)
        listed = ", ".join(list(files)[:20]) + (f" and {len(files) - 20:,} more" if len(files) > 20 else "")
        raise SelectError(
            f"read '{select}' of {file.name}",
            found=f"the module has no stage '{stage}'; it has {listed}",
            do="select one of them",
            names=names,
        )
    return _read(file, found)


def read_compiled(file: File, *, select: str | None = None) -> Compiled:
    """A module's compile: what XLA was given, what each dumped pass made of it, what came out. Each is read when asked for.

    Args:
        select: a module, as in :func:`read`.

    Raises:
        SelectError: as :func:`read`.
    """
    return _compiled(file, _selected(file, _modules(file), (select or "").partition("/")[0] or None))


def read_compiles(file: File) -> Mapping[str, Compiled]:
    """The compiles of all modules, by the modules' names."""
    modules = _modules(file)
    return {name: _compiled(file, module) for name, module in zip(_names(modules), modules, strict=True)}


def _compiled(file: File, module: Dumped) -> Compiled:
    from graphlab.compilers.results import Compiled

    return Compiled(
        compiler="xla",
        target=module.platform or "unknown",
        version="",
        stages=tuple(_stages(file, module)),
        metrics=_metrics(file, module),
        artifacts=_artifacts(file, module),
    )


def _modules(file: File) -> list[Dumped]:
    return dumped(file.entries())


def _names(modules: list[Dumped]) -> list[str]:
    """What ``select`` takes: a module's name, with XLA's number where another has the same name."""
    names = [module.name for module in modules]
    return [name if names.count(name) == 1 else module.prefix for name, module in zip(names, modules, strict=True)]


def _selected(file: File, modules: list[Dumped], wanted: str | None) -> Dumped:
    if wanted is None:
        return modules[chosen(_names(modules), None, file=file, what="modules")]
    by_number = wanted.isascii() and wanted.isdigit() and len(wanted) < 19
    for module in modules:
        short = "" if module.number is None else f"module_{module.number:04d}"
        if wanted in (module.prefix, short) or (by_number and module.number == int(wanted)):
            return module
    # XLA's numbers are not those of a list, by which `chosen` would count.
    return modules[chosen(_names(modules), f"number {wanted}" if by_number else wanted, file=file, what="modules")]


def _stage_files(module: Dumped) -> dict[str, str]:
    """Stage → file, in order."""
    files = {INPUT: module.before} if module.before else {}
    files |= {shot.stage: shot.file for shot in module.shots}
    if module.after:
        files[OPTIMIZED] = module.after
    files |= dict(module.finals)
    return files | {f"run{i}": name for i, name in enumerate(module.runs, 1)}


def _stage(files: Mapping[str, str], module: Dumped, stage: str) -> str | None:
    known = {"before_optimizations": INPUT, "after_optimizations": OPTIMIZED}.get(stage, stage)
    if known in files:
        return files[known]
    passed = [shot.file for shot in module.shots if stage in (shot.order, shot.pass_name)]
    return passed[0] if len(passed) == 1 else None


def _stages(file: File, module: Dumped) -> Iterator[Stage]:
    from graphlab.compilers.results import Stage

    if module.before:
        yield Stage(INPUT, _loader(file, module.before))
    for shot in changed(module, _passes(file, module), lambda a, b: _same(file, a, b)):
        yield Stage(shot.stage, _loader(file, shot.file), shot.pass_name)
    if module.after:
        yield Stage(OPTIMIZED, _loader(file, module.after), "XLA")
    if not (module.before or module.after or module.shots):
        for i, name in enumerate(module.runs, 1):
            yield Stage(f"run{i}", _loader(file, name), "XLA")


def _loader(file: File, name: str) -> Callable[[], Program]:
    @cache
    def load() -> Program:
        return _read(file, name)

    return load


def _read(file: File, name: str) -> Program:
    entry = _entry(file, name)
    if hlo_text.matches(entry):
        return hlo_text.read(entry)
    if not hlo_proto.matches(entry):
        raise FormatError(f"read {entry.name}", found="it holds no HLO module, as its name says it does", do="check that the dump is whole")
    return hlo_proto.read(entry)


def _entry(file: File, name: str) -> File:
    """A file of the dump, unpacked where it is compressed."""
    entry = file.entry(name)
    return File.of(entry.name, _unpacked(entry), path=entry.path) if name.endswith(".gz") else entry


def _unpacked(entry: File) -> bytes:
    """A compressed file's content. Raises FormatError where it is damaged, or a bomb."""
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)  # gzip's header
    try:
        data = inflate.decompress(entry.read(), _UNPACKED + 1)
    except zlib.error as error:
        raise FormatError(
            f"read {entry.name}", found=f"its compressed data is damaged: {error}", do="check that the dump is whole"
        ) from error
    if len(data) > _UNPACKED:
        raise FormatError(f"read {entry.name}", found=f"it unpacks to more than {_UNPACKED:,} bytes", do="unpack it first")
    if not inflate.eof:
        raise FormatError(f"read {entry.name}", found="its compressed data ends early", do="check that the dump is whole")
    return data


def _passes(file: File, module: Dumped) -> str:
    """The passes that the dump was asked for, as its options say; all of them where they do not."""
    for name in module.others:
        if name.endswith(".debug_options") and file.has(name):
            match = _PASSES.search(file.entry(name).read(_OPTIONS).decode("utf-8", "replace"))
            if match and match[1] and _PLAIN.fullmatch(match[1]):
                return match[1]
    return ""


def _same(file: File, one: str, other: str) -> bool:
    """Whether two files hold the same; files of two sizes are not read."""
    a, b = file.entry(one), file.entry(other)
    return a.size == b.size and a.view() == b.view()


def _artifacts(file: File, module: Dumped) -> dict[str, Path]:
    """The other files, by name; links that lead out of the dump are left out."""
    return {name: file.path / name for name in (*module.runs, *module.others) if file.has(name)}


def _metrics(file: File, module: Dumped) -> dict[str, Metric]:
    """The memory of the optimized module, as far as the dump tells it; names and meanings as ``compilers.xla.METRICS``."""
    from graphlab.compilers.results import Absent, Measured

    metrics: dict[str, Metric] = {}
    sizes, origin = _sizes(file, module)
    for name, key in (("argument_bytes", "parameter_bytes"), ("output_bytes", "output_bytes"), ("temp_bytes", "temporary_bytes")):
        metrics[name] = Measured(sizes[key], "bytes", origin) if sizes else Absent("the dump holds no buffer assignment")
    live = next((name for name in module.others if name.endswith("-live-range.txt") and file.has(name)), None)
    alive = dump_memory.peak(file.entry(live)) if live else None
    metrics["peak_bytes"] = Measured(alive, "bytes", "XLA's live ranges") if alive is not None else Absent("the dump holds no live ranges")
    code = [file.entry(name).size for name in module.others if name.endswith((".o", ".cubin", ".hsaco")) and file.has(name)]
    metrics["code_bytes"] = Measured(sum(code), "bytes", "the object files' sizes") if code else Absent("the dump holds no object files")
    for name in ("flops", "bytes_accessed", "optimal_seconds", "compile_seconds"):
        metrics[name] = Absent("XLA's dump does not tell it")
    return metrics


def _sizes(file: File, module: Dumped) -> tuple[Mapping[str, int] | None, str]:
    text = next((name for name in module.others if name.endswith("after_optimizations-buffer-assignment.txt") and file.has(name)), None)
    if text is not None:
        return dump_memory.text_sizes(file.entry(text)), "XLA's buffer assignment"
    if module.after.endswith((".pb", ".pb.gz")):
        return dump_memory.message_sizes(_entry(file, module.after)), "XLA's buffer assignment"
    return None, ""
