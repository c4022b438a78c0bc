"""Reader of serialized TensorFlow Federated computations: ``tensorflow_federated.v0.Computation``, and federated_language's.

Lambdas are graphs, TensorFlow and XLA computations in it too; who holds a value is in its type (``f32[3]@CLIENTS``).
"""

from __future__ import annotations

from pathlib import Path

from graphlab.capture import proto
from graphlab.capture.file import File
from graphlab.ir.program import Program

READS = "TensorFlow Federated computations (binary Computation messages)"

_SCHEMA = Path(__file__).parent / "tff.proto"
_KINDS = (
    "tensorflow", "intrinsic", "lambda", "block", "reference", "call", "struct", "selection", "data", "placement", "xla", "literal",
)  # fmt: skip
_TYPE = b"\x0a"  # the tag of Computation.type, which every computation has


def matches(target: object) -> bool:
    """Whether it is a file that holds a Computation."""
    if not isinstance(target, File) or target.is_dir or not target.head.startswith(_TYPE):
        return False
    schema = proto.load(_SCHEMA)
    return schema.fits("Computation", target, needs=("type",)) and schema.fits("Computation", target, needs=_KINDS)


def read(file: File, *, select: str | None = None) -> Program:
    """Read a computation. A struct of functions is a program of several signatures.

    Raises:
        FormatError: it is not sound.
        SelectError: it has no such function.
    """
    from graphlab.capture.tff import computation

    return computation.program(proto.load(_SCHEMA).parse("Computation", file), file, select=select)
