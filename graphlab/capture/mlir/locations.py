"""MLIR locations as an operation's name and its frames."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from graphlab.capture.mlir.module import AliasLoc, CallLoc, FileLoc, FusedLoc, Location, NameLoc
from graphlab.ir.frames import Frame

MAX_FRAMES = 1000

_DEPTH = 60
_FRAMEWORK = re.compile(r"[\\/](?:site|dist)-packages[\\/](?:jax|jaxlib|torch|torch_xla|torchax|tensorflow|keras)[\\/]|^<frozen")
_LIBRARIES = re.compile(r"[\\/](?:site|dist)-packages[\\/](?:flax|haiku|equinox|optax|chex)[\\/]")


def users(frames: Sequence[Frame]) -> list[Frame]:
    """The stack without the framework's frames; those of model libraries stay only where nothing else is left.

    A stack of the framework's alone stays whole.
    """
    known = [frame for frame in frames if not _FRAMEWORK.search(frame.file)]
    return [frame for frame in known if not _LIBRARIES.search(frame.file)] or known or list(frames)


class Locations:
    """Decodes locations; remembers the stacks, which share their outer parts.

    Args:
        named: what locations are called by name.
        first_column: the number that the module's producer gives a line's first column: 0 (JAX) or 1 (MLIR).
    """

    def __init__(self, named: Mapping[str, Location], first_column: int) -> None:
        self._named = named
        self._first_column = first_column
        self._stacks: dict[Location, tuple[Frame, ...]] = {}

    def decode(self, loc: Location) -> tuple[str, tuple[Frame, ...]]:
        """A location's operation name, and its frames, innermost first.

        An outer name is the operation's (JAX: name stack and primitive), a name right around a file
        position the function's. A name that ends in ``:`` is only a kind (``jit:``, TensorFlow's ``MatMul:``).
        """
        return self._decode(loc, 0)

    def _decode(self, loc: Location, depth: int) -> tuple[str, tuple[Frame, ...]]:
        name = ""
        loc = self._resolved(loc)
        for _ in range(_DEPTH):
            if not isinstance(loc, NameLoc):
                break
            child = self._resolved(loc.child)
            if not name or name.endswith(":"):
                name = loc.name
            elif isinstance(child, FileLoc):
                break  # a function's name
            loc = child
        if isinstance(loc, FusedLoc) and depth < _DEPTH:
            parts = [self._decode(part, depth + 1) for part in loc.parts]
            names = [n for n, _ in parts if n and not n.endswith(":")]
            return name or next(iter(names), ""), next((frames for _, frames in parts if frames), ())
        return name.rstrip(":"), self._frames(loc)

    def _resolved(self, loc: Location) -> Location:
        for _ in range(_DEPTH):
            if not isinstance(loc, AliasLoc):
                return loc
            loc = self._named.get(loc.name)
        return None

    def _frames(self, loc: Location) -> tuple[Frame, ...]:
        """The stack of a location. The callers are followed one by one: a stack may be longer than Python's own can be."""
        chain: list[Location] = []
        tail: tuple[Frame, ...] = ()
        seen: set[Location] = set()
        while True:
            known = self._stacks.get(loc)
            if known is not None:
                tail = known
                break
            resolved = self._resolved(loc)
            if not isinstance(resolved, CallLoc) or loc in seen or len(chain) >= MAX_FRAMES:
                tail = () if isinstance(resolved, CallLoc) else self._single(resolved, "", 0)
                self._stacks[loc] = tail
                break
            seen.add(loc)
            chain.append(loc)
            loc = resolved.caller
        for loc in reversed(chain):
            call = self._resolved(loc)
            assert isinstance(call, CallLoc)
            tail = (self._single(call.callee, "", 0) + tail)[:MAX_FRAMES]
            self._stacks[loc] = tail
        return tail

    def _single(self, loc: Location, function: str, depth: int) -> tuple[Frame, ...]:
        loc = self._resolved(loc)
        if depth > _DEPTH:
            return ()
        if isinstance(loc, FileLoc):
            return (Frame(loc.file, max(0, loc.line), max(0, loc.column + 1 - self._first_column), function),)
        if isinstance(loc, NameLoc):
            return self._single(loc.child, loc.name, depth + 1)
        if isinstance(loc, CallLoc):
            return (self._single(loc.callee, function, depth + 1) + self._single(loc.caller, "", depth + 1))[:MAX_FRAMES]
        if isinstance(loc, FusedLoc):
            return next(filter(None, (self._single(part, function, depth + 1) for part in loc.parts)), ())
        return ()
