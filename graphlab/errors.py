"""Every error graphlab raises. One root: ``except graphlab.GraphlabError`` catches them all.

Types are public and stable; the wording is not.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing's, without importing typing
if TYPE_CHECKING:
    from graphlab.ir.frames import Frame


class GraphlabError(Exception):
    """What was asked, what was found instead, and what to do about it.

    Args:
        asked: the task that failed, as a verb phrase ("read model.pb").
        found: what stood in its way.
        do: what the user can do next.
        where: ``file:line`` or ``file:line:column`` of the cause, where there is one.
    """

    def __init__(self, asked: str, *, found: str, do: str, where: str | None = None) -> None:
        super().__init__(asked, found, do, where)
        self.asked = asked
        self.found = found
        self.do = do
        self.where = where

    @property
    def brief(self) -> str:
        """What was found, in one line: the first, with the second where the first only announces it."""
        first, _, rest = self.found.partition("\n")
        return f"{first} {rest.partition(chr(10))[0].strip()}" if first.endswith(":") and rest else first

    def __str__(self) -> str:
        at = f" at {self.where}" if self.where else ""
        return f"could not {self.asked}{at}: {self.found}\n  {self.do}"


class FormatError(GraphlabError):
    """A file is not, or not soundly, of the format it was read as. ``where`` has line and column or offset."""


class UnknownFormat(FormatError):
    """No reader takes this file."""


class SelectError(FormatError):
    """A file or directory holds several programs, and none, or none of that name, was selected.

    Args:
        names: what ``select`` may be.
    """

    def __init__(self, asked: str, *, found: str, do: str, names: tuple[str, ...] = ()) -> None:
        super().__init__(asked, found=found, do=do)
        self.names = names


class CaptureError(GraphlabError):
    """A framework could not capture the model. The framework's own error is the ``__cause__``.

    Args:
        frame: the user's line that the framework could not take, where it is known.
    """

    def __init__(self, asked: str, *, found: str, do: str, frame: Frame | None = None) -> None:
        super().__init__(asked, found=found, do=do, where=None if frame is None else str(frame))
        self.frame = frame


class InputsNeeded(CaptureError):
    """The model's inputs are not known and have to be given, or those given do not fit it."""


class MissingExtra(GraphlabError):
    """A framework or tool that this needs is not installed."""


class RegistryError(GraphlabError):
    """Two plugins claim one name, or a plugin does not load."""


class VerifyError(GraphlabError):
    """A Program breaks the rules of the IR. ``findings`` says which, where.

    Only a defect of a reader (or a Program edited by hand) raises it.
    """

    def __init__(self, asked: str, *, found: str, do: str, findings: tuple[object, ...] = ()) -> None:
        super().__init__(asked, found=found, do=do)
        self.findings = findings


class ValueUnavailable(GraphlabError):
    """A constant's bytes are not here: elided by the source, or not stored in the file."""


class CompileError(GraphlabError):
    """A compiler refused a program, crashed, or ran out of its limits.

    Args:
        reason: ``refused``, ``crashed``, ``timeout``, ``memory``, or ``failed`` (our side of it broke).
        step: what it was at, where that is known.
        log: all that the compiler printed.
        ops: the framework's names of the operations it refused, where it names them (``AsString``).
    """

    def __init__(
        self, asked: str, *, found: str, do: str, reason: str = "refused", step: str = "", log: str = "", ops: tuple[str, ...] = ()
    ) -> None:
        super().__init__(asked, found=found, do=do)
        self.ops = ops
        self.reason = reason
        self.step = step
        self.log = log


class DiffError(GraphlabError):
    """Two programs could not be compared, or a diff could not be applied."""


def missing_extra(asked: str, package: str, extra: str) -> MissingExtra:
    """The error for a framework that is not installed, naming the extra that brings it."""
    return MissingExtra(asked, found=f"{package} is not installed", do=f"pip install 'graphlab[{extra}]'")
