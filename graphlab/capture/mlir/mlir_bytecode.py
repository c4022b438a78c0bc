"""Reader of MLIR bytecode and of StableHLO's portable artifacts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from graphlab.capture.collection import no_collection
from graphlab.capture.file import File
from graphlab.capture.mlir.build import build
from graphlab.capture.mlir.bytecode import MAGIC, Bytecode
from graphlab.capture.mlir.module import Module
from graphlab.capture.mlir.native import MlirNative
from graphlab.capture.mlir.vhlo import to_stablehlo
from graphlab.capture.select import chosen
from graphlab.ir.constants import digest
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.program import Program, Source

READS = "MLIR bytecode and StableHLO portable artifacts"

_DIGEST_BYTES = 64 << 20


def matches(target: object) -> bool:
    """Whether it is a file that starts as MLIR bytecode does."""
    return isinstance(target, File) and target.head.startswith(MAGIC)


def read(file: File, *, select: str | None = None) -> Program:
    """Read a file of bytecode. VHLO operations are given as the StableHLO ones they stand for; ``meta`` has the version.

    Raises:
        FormatError: it is not sound (``where`` is an offset).
    """
    data = file.view()
    module, version = module_of(data, file.name, file.slice)
    if select is not None:
        chosen([module.name or "module"], select, file=file, what="modules")
    whole = file.slice(0, file.size)
    checksum = digest(bytes(data)) if file.size < _DIGEST_BYTES else None
    with no_collection():
        program = build(
            [module],
            source=Source("xla", "mlir bytecode", producer=module.producer, path=str(file.path), digest=checksum),
            native=MlirNative(whole),
            where=lambda at: f"offset {at}",
            file=file.name,
        )
    return replace(program, meta=FrozenDict({**program.meta, "bytecode_version": version}))


def module_of(
    data: bytes | memoryview, path: str, slice_of: Callable[[int, int], Callable[[], bytes] | bytes] | None
) -> tuple[Module, int]:  # fmt: skip
    """A file's module, VHLO turned into StableHLO, and the format's version. Raises FormatError where it is not sound."""
    with no_collection():
        reader = Bytecode(data, path, slice_of)
        module = reader.module()
        to_stablehlo(module)
    return module, reader.version
