"""What every compiler reports, in one shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from graphlab.ir.frozen import FrozenDict
    from graphlab.ir.program import Program


@dataclass(frozen=True, slots=True)
class Measured:
    """A number with its unit (``ops``, ``kernels``, ``flops``, ``bytes``, ``seconds``) and where it came from."""

    value: float
    unit: str
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Absent:
    """A number the compiler cannot tell, and why."""

    reason: str


Metric: TypeAlias = Measured | Absent


@dataclass(frozen=True, slots=True)
class Stage:
    """The program after one step of a compile. ``load`` reads it when first asked for.

    Attributes:
        name: ``input``, ``optimized``, or the compiler's name for the step.
        pass_name: the pass that made it; empty for the input.
        seconds: the time that took, where it is known.
    """

    name: str
    load: Callable[[], Program] = field(repr=False)
    pass_name: str = ""
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file that a compile left and that lies within another one, a package or a log: fetched when asked for, never unpacked.

    Attributes:
        nbytes: its size there; for a compressed one, unpacked.
    """

    name: str
    nbytes: int
    load: Callable[[], bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Compiled:
    """The outcome of one compile.

    Attributes:
        compiler: registry name.
        version: of the compiler (``jaxlib 0.10.2``).
        stages: in order, the input first, the final program last.
        metrics: the names, units and meanings stand in the compiler module's METRICS; a number that is not to be had is an Absent.
        artifacts: files it made, by name: on disk, or within the file that the compile was read from.
        log: what the compiler printed.
        notes: what it recorded of itself besides (a graph break, a recompile), for analyzers: mappings with at least
            ``kind`` and ``text``; ``file``, ``line``, ``function`` where known.
    """

    compiler: str
    target: str
    version: str
    stages: tuple[Stage, ...]
    metrics: Mapping[str, Metric]
    artifacts: Mapping[str, Path | Artifact] = field(default_factory=dict)
    log: str = ""
    notes: tuple[FrozenDict[str, Any], ...] = ()
