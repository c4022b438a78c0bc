"""Constants: type, size, digest, and the bytes behind a lazy loader."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphlab.errors import ValueUnavailable
from graphlab.ir.values import DTYPE_BITS, OpaqueType, TensorType, ValueType

if TYPE_CHECKING:
    import numpy as np

INLINE_BYTES = 1024
"""Values up to this size are written into a ``.graphlab`` file; of larger ones only the digest is."""


@dataclass(frozen=True, slots=True)
class Splat:
    """One element that stands for all: what a loader returns instead of gigabytes of it."""

    element: bytes
    count: int

    def spread(self) -> bytes:
        return self.element * self.count


class Constant:
    """A value known when the graph was captured. Immutable; its bytes are fetched when first asked for.

    The bytes are those of the dense array in C order, little-endian, one element per whole byte
    for sub-byte types (NumPy's and ml_dtypes' way). A ``string`` tensor's or an opaque value's bytes
    are its ``repr``-like text in UTF-8, as the reader chose it.

    Args:
        type: the value's type.
        data: the bytes, a function that fetches them (or a :class:`Splat`), or ``None`` where they are not to be had.
        digest: as :attr:`digest` has it, where it is known without fetching them.
        nbytes: the length of the bytes, where it is known without fetching them.
        reason: why ``data`` is ``None``.
    """

    __slots__ = ("_data", "_digest", "_nbytes", "reason", "type")

    def __init__(
        self,
        type: ValueType,
        data: bytes | Callable[[], bytes | Splat] | None,
        *,
        digest: str | None = None,
        nbytes: int | None = None,
        reason: str = "",
    ) -> None:
        self.type = type
        self._data = data
        self._digest = digest
        self._nbytes = nbytes
        self.reason = reason

    @property
    def available(self) -> bool:
        """Whether the bytes can be had."""
        return self._data is not None

    def bytes(self) -> bytes:
        """The value's bytes.

        Raises:
            ValueUnavailable: the source elided them, or the file stores only the digest.
        """
        if self._data is None:
            raise ValueUnavailable(
                f"fetch a constant of type {self.type}",
                found=self.reason or "its value was not kept",
                do="capture the model again, or read the original file",
            )
        fetched = self._data() if callable(self._data) else self._data
        data = fetched.spread() if isinstance(fetched, Splat) else fetched
        if self._digest is None:
            self._digest = value_digest(fetched, self.type)
        self._nbytes = len(data)
        return data

    @property
    def nbytes(self) -> int | None:
        """Size in bytes, ``None`` where neither type nor source tells."""
        if self._nbytes is None and isinstance(self.type, TensorType):
            return self.type.nbytes
        if self._nbytes is None and isinstance(self._data, bytes):
            return len(self._data)
        return self._nbytes

    @property
    def digest(self) -> str | None:
        """:func:`value_digest` of the bytes; fetches them once. ``None`` where they are not to be had."""
        if self._digest is None and self._data is not None:
            fetched = self._data() if callable(self._data) else self._data
            self._digest = value_digest(fetched, self.type)
            self._nbytes = len(fetched.element) * fetched.count if isinstance(fetched, Splat) else len(fetched)
        return self._digest

    def array(self) -> np.ndarray[Any, Any]:
        """The value as a NumPy array, read-only.

        Raises:
            ValueUnavailable: see :meth:`bytes`; or the value is no dense array.
        """
        import ml_dtypes
        import numpy as np

        kind = self.type
        if not isinstance(kind, TensorType) or kind.elements is None or kind.dtype == "string":
            raise ValueUnavailable(
                f"turn a constant of type {kind} into an array",
                found="it is no dense array of known shape",
                do="use bytes()",
            )
        try:
            dtype = np.dtype(getattr(ml_dtypes, kind.dtype, None) or kind.dtype)
        except TypeError as error:
            raise ValueUnavailable(
                f"turn a constant of type {kind} into an array", found="NumPy and ml_dtypes have no such element type", do="use bytes()"
            ) from error
        data = self.bytes()
        if len(data) != kind.elements * dtype.itemsize:
            raise ValueUnavailable(
                f"turn a constant of type {kind} into an array",
                found=f"it has {len(data):,} bytes where its type asks for {kind.elements * dtype.itemsize:,}",
                do="use bytes(), or check the file it came from",
            )
        shape = tuple(d for d in kind.dims or () if isinstance(d, int))
        return np.frombuffer(data, dtype).reshape(shape)

    def preview(self, limit: int = 8) -> str:
        """A few values to show a person: ``1.5``, ``[0, 2, 1]``, ``f32[768,768] 2.4 MB``. Fetches small values only."""
        size = self.nbytes
        if not self.available or size is None or size > INLINE_BYTES:
            return str(self.type)
        if isinstance(self.type, OpaqueType) or (isinstance(self.type, TensorType) and self.type.dtype == "string"):
            text = self.bytes().decode("utf-8", "replace")
            return text if len(text) <= 60 else text[:57] + "..."
        if not isinstance(self.type, TensorType):
            return str(self.type)
        try:
            flat = self.array().ravel().tolist()
        except ValueUnavailable:
            return str(self.type)
        if self.type.dims == ():
            return _short(flat[0])
        return f"[{', '.join(map(_short, flat[:limit]))}{', ...' if len(flat) > limit else ''}]"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Constant):
            return NotImplemented
        if self is other:
            return True
        return self.type == other.type and self.digest is not None and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.type)  # the digest would fetch the bytes

    def __repr__(self) -> str:
        return f"Constant({self.preview()})"


def digest(data: bytes) -> str:
    """BLAKE2b-128 in hex, as ``Source.digest`` keeps it."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def value_digest(data: bytes | Splat, type: ValueType) -> str:
    """BLAKE2b-128 of a value's bytes in hex.

    A tensor of more than :data:`INLINE_BYTES` bytes whose elements are all equal has that of ``splat``, its count (8 bytes,
    little-endian) and its element: a zero gigabyte, however the source writes it, is compared without being made.
    """
    if not isinstance(data, Splat):
        data = _splat(data, type) or data
    elif len(data.element) * data.count <= INLINE_BYTES:
        data = data.spread()
    return digest(b"splat" + data.count.to_bytes(8, "little") + data.element if isinstance(data, Splat) else data)


def _splat(data: bytes, type: ValueType) -> Splat | None:
    bits = DTYPE_BITS.get(type.dtype) if isinstance(type, TensorType) else None
    size = max(1, (bits or 0) // 8)
    if bits is None or len(data) <= INLINE_BYTES or len(data) % size or data[-size:] != data[:size]:
        return None
    step = min(len(data) // size, 1 << 16) * size  # a chunk at a time: most values differ soon
    chunk = data[:size] * (step // size)
    if any(data[at : at + step] != chunk[: len(data) - at] for at in range(0, len(data), step)):
        return None
    return Splat(data[:size], len(data) // size)


def _short(number: object) -> str:
    return f"{number:.6g}" if isinstance(number, float) else str(number)
