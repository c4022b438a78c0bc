"""Reads TorchScript archives (``.pt``, ``.ptl``) without torch: the code is lowered as torch would, nothing of it is run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from graphlab.capture.archive import Archive
from graphlab.capture.collection import no_collection
from graphlab.capture.file import File
from graphlab.capture.torch import restricted_pickle, script_legacy, script_state
from graphlab.capture.torch.restricted_pickle import Call as Pickled
from graphlab.capture.torch.script_program import Instance, Reader
from graphlab.capture.torch.script_source import CodeFile, Library
from graphlab.errors import FormatError, SelectError, ValueUnavailable, missing_extra
from graphlab.ir.frozen import EMPTY, FrozenDict
from graphlab.ir.graph import Graph
from graphlab.ir.program import Program, Signature, Slot, Source

READS = "TorchScript archives (.pt, .ptl)"

_ZIP = b"PK\x03\x04"
_ALLOWANCE, _UNPACKED, _MOST = 1 << 20, 30, 256 << 20
"""Bytes of code and pickles that are read of an archive: so many, and so many times its own size, but never more than the last.

torch compresses code, which then takes a tenth; what takes a thousandth was made to fill memory.
"""


def matches(target: object) -> bool:
    """Whether it is a zip archive laid out as TorchScript's: code with its constants."""
    if not isinstance(target, File) or not target.head.startswith(_ZIP):
        return False
    try:
        names = Archive.open(target).names
    except FormatError:
        return False
    return is_script(names)


def is_script(names: tuple[str, ...]) -> bool:
    """Whether a zip archive of such members is laid out as TorchScript's."""
    return any(name.endswith(("/constants.pkl", "/model.json")) and name.count("/") == 1 for name in names)


@dataclass(slots=True)
class Layout:
    """A torch archive's members, all below one folder that may have any name."""

    archive: Archive
    prefix: str
    version: str
    _big: bool | None = None
    _sizes: dict[str, int | None] = field(default_factory=dict)
    _read: int = 0

    @classmethod
    def open(cls, file: File) -> Layout:
        archive = Archive.open(file)
        prefix = next(
            (
                name.partition("/")[0]
                for name in archive.names
                if name.endswith(("/constants.pkl", "/model.json", "/data.pkl")) and name.count("/") == 1
            ),
            "",
        )
        layout = cls(archive, prefix, "")
        layout.version = layout.short_text("version") or layout.short_text(".data/version")
        return layout

    @property
    def name(self) -> str:
        return self.archive.source.name

    def __contains__(self, name: str) -> bool:
        return f"{self.prefix}/{name}" in self.archive

    def read(self, name: str) -> bytes:
        """A member that is code or a pickle. Raises FormatError where they are too much altogether."""
        size = self.archive.size(f"{self.prefix}/{name}")
        self._read += size
        most = min(_MOST, _ALLOWANCE + _UNPACKED * self.archive.source.size)
        if self._read > most:
            found = f"its code and pickles unpack to {self._read:,} bytes or more; {most:,} is the most that is read of them"
            raise FormatError(f"read {self.name}", found=found, do="check the file", where=name)
        return self.archive.read(f"{self.prefix}/{name}", limit=most)

    def short_text(self, name: str) -> str:
        """A member that is one short word; ``""`` where there is none."""
        if name not in self or self.archive.size(f"{self.prefix}/{name}") > 64:
            return ""
        return self.read(name).decode("ascii", "replace").strip()

    def unpickle(self, name: str) -> Any:
        return restricted_pickle.loads(self.read(name), name=f"{self.name}!{self.prefix}/{name}")

    @property
    def big_endian(self) -> bool:
        if self._big is None:
            self._big = self.short_text("byteorder") == "big"
        return self._big

    @property
    def operators(self) -> int:
        """The version of the operators its code calls; as new as can be where the archive does not say."""
        return int(self.version) if self.version.isascii() and self.version.isdigit() else 1 << 31

    def storages(self, folder: str) -> Storages:
        """The tensors' storages in a folder: ``data`` or ``constants``."""
        return Storages(self, folder)

    def code(self, qualifier: str, folder: str = "code") -> CodeFile | None:
        """The code of a package (``__torch__.torch.nn``); ``None`` where there is none."""
        name = f"{folder}/{qualifier.replace('.', '/')}.py"
        return self.code_file(qualifier, name, f"{name}.debug_pkl") if name in self else None

    def code_file(self, qualifier: str, name: str, ranges: str) -> CodeFile:
        """A member that is code, with the member that has its source ranges."""
        data = self.read(name)
        return CodeFile(self.name, qualifier, name, data, _Ranges(self, ranges))


@dataclass(frozen=True, slots=True)
class Storages:
    """Where the tensors of one pickle lie."""

    layout: Layout
    folder: str

    @property
    def name(self) -> str:
        return self.layout.name

    @property
    def big_endian(self) -> bool:
        return self.layout.big_endian

    def size(self, key: str) -> int | None:
        name = self._member(key)
        return self.layout.archive.size(name) if name in self.layout.archive else None

    def loader(self, key: str, offset: int, length: int) -> Callable[[], bytes] | bytes:
        return _Lazy(self.layout.archive, self._member(key), offset, length)

    def _member(self, key: str) -> str:
        return f"{self.layout.prefix}/{self.folder}/{key}" if self.folder else f"{self.layout.prefix}/{key}"


@dataclass(frozen=True, slots=True)
class _Lazy:
    """The loader of a part of a member, which is looked for when it is asked for: opening a model must not touch its weights."""

    archive: Archive
    member: str
    offset: int
    length: int

    def __call__(self) -> bytes:
        try:
            found = self.archive.loader(self.member, self.offset, self.length)
        except FormatError as error:
            raise ValueUnavailable(error.asked, found=error.found, do=error.do) from error
        return found() if callable(found) else found


@dataclass(slots=True)
class _Ranges:
    """A code file's source ranges, unpickled when first asked for."""

    layout: Layout
    name: str
    found: script_state.Ranges | None = None

    def __call__(self) -> script_state.Ranges:
        if self.found is None:
            held = self.layout.unpickle(self.name) if self.name in self.layout else None
            self.found = script_state.source_ranges(held) if held is not None else script_state.NO_RANGES
        return self.found


def read(file: File, *, select: str | None = None) -> Program:
    """The module of the archive: its ``forward``, other methods it offers, and all they call.

    Args:
        select: one of its methods, where another than ``forward`` is to be the entry.
    """
    with no_collection():
        return _read(file, select)


def read_trusted(file: File, *, select: str | None = None) -> Program:
    """The module as torch itself loads it, which runs what the archive's classes do when they are loaded.

    Raises:
        MissingExtra: torch is not installed.
        FormatError: torch does not load it.
    """
    try:
        from graphlab.capture.torch import torchscript
    except ImportError as error:
        raise missing_extra(f"read {file.name}", "torch", "torch") from error
    if select not in (None, "forward"):
        raise SelectError(
            f"read {file.name}@{select}", found="torch's own graph is forward's", do="read it without trust", names=("forward",)
        )
    whole = file.path.is_file() and file.name == str(file.path)
    return torchscript.load(str(file.path) if whole else None, b"" if whole else file.read()).replace_source(path=file.name)


def _read(file: File, select: str | None) -> Program:
    layout = Layout.open(file)
    if "model.json" in layout:
        return program(file, *script_legacy.module(layout), layout.version, select)
    root = layout.unpickle("data.pkl")
    constants = layout.unpickle("constants.pkl")
    if not isinstance(constants, (tuple, list)):
        raise FormatError(f"read {file.name}", found="its table of constants is no tuple", do=_DO, where="constants.pkl")
    reader = Reader(
        Library(layout.code, layout.operators),
        tuple(map(script_state.plain, constants)),
        layout.storages("data"),
        layout.storages("constants"),
        file.name,
    )
    module = reader.module("", root)
    if module is None:
        if "bytecode.pkl" in layout and not any(name.startswith(f"{layout.prefix}/code/") for name in layout.archive.names):
            raise FormatError(
                f"read {file.name}",
                found="a mobile archive whose TorchScript code was left out: only bytecode is there",
                do="read the module it was made from, saved by torch.jit.save",
                where="bytecode.pkl",
            )
        what = root.name if isinstance(root, Pickled) and root.name else f"a {type(root).__name__}"
        raise FormatError(f"read {file.name}", found=f"its code defines no module '{what}', which data.pkl holds", do=_DO, where="data.pkl")
    return program(file, reader, module, layout.version, select, traced="traced_inputs.pkl" in layout)


_DO = "the archive is damaged or not TorchScript: write it again"


def program(
    file: File,
    reader: Reader,
    module: Instance,
    version: str,
    select: str | None,
    *,
    format: str = "torchscript",
    traced: bool = False,
) -> Program:
    """A module's methods as a program. ``version`` is the archive's; ``traced`` says that it holds its example inputs."""
    methods = _methods(reader, module)
    if not methods:
        raise FormatError(
            f"read {file.name}", found="its module has no method", do="it holds no graph: load it by torch", where=module.type.name
        )
    if select is not None and select not in methods:
        raise SelectError(f"read {file.name}@{select}", found=f"it has no method '{select}'", do="", names=tuple(methods))
    called = {name: reader.method(module, name).name for name in methods}
    reader.finish()
    used = {
        call.graph for graph in reader.graphs.values() for _, data in graph.nodes(data=True) for call in data.get("calls", EMPTY).values()
    }
    first = select or methods[0]
    called = {name: graph for name, graph in called.items() if name == first or graph not in used}
    called = {first: called[first], **called}
    graphs = {called[first]: reader.graphs[called[first]], **reader.graphs}
    return Program(
        graphs=graphs,
        entry=called[first],
        source=Source(
            "torch",
            format,
            producer=f"torch (archive version {version})" if version else "torch",
            path=file.name,
        ),
        signatures={name: _signature(graphs[graph]) for name, graph in called.items()},
        frames=reader.frames.done(),
        meta=FrozenDict(version=version, **({"traced": True} if traced else {})),
    )


def _methods(reader: Reader, module: Instance) -> list[str]:
    """``forward`` first, then the other methods a caller may use: those of Python's own protocols are not."""
    held = reader.library.classes[module.type.name]
    names = [n for n in held.methods if not (n.startswith("__") and n.endswith("__")) and n not in (*held.hooks, *held.pre_hooks)]
    return sorted(names, key=lambda name: name != "forward")


def _signature(graph: Graph) -> Signature:
    inputs = tuple(Slot(graph.node(name).name, graph.node(name).outputs[0]) for name in graph.inputs)
    uses = graph.operands(graph.output)
    outputs = tuple(Slot(use.src, graph.node(use.src).outputs[use.src_port]) for use in uses)
    return Signature(str(graph.name), inputs, outputs)
