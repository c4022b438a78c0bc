"""Values of parameters, buffers and constants in a ``.pt2`` archive: where they lie, fetched when asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from graphlab.capture.archive import MEMBER_LIMIT, Archive
from graphlab.capture.torch.pt2_graph import Payloads
from graphlab.capture.torch.pt2_schema import DTYPES, parsed
from graphlab.errors import FormatError
from graphlab.ir.constants import Constant
from graphlab.ir.values import DTYPE_BITS, TensorType, ValueType


@dataclass(frozen=True, slots=True)
class Stored:
    """Where one tensor lies: elements of a storage, by NumPy's rules of offset and strides (in elements)."""

    member: str
    dtype: str
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    archive: Archive

    def loader(self) -> Callable[[], bytes] | bytes | str:
        """What fetches its bytes, dense and in C order; a text says why there are none."""
        item = DTYPE_BITS.get(self.dtype, 0) // 8
        if not item:
            return f"graphlab does not know how wide {self.dtype} is"
        if 0 in self.sizes:
            return b""
        last = self.offset + sum((size - 1) * stride for size, stride in zip(self.sizes, self.strides, strict=True))
        held = self.archive.size(self.member)
        if not held:
            return "the file holds no bytes for it (it was a fake tensor)"
        if self.offset < 0 or any(stride < 0 for stride in self.strides) or (last + 1) * item > held:
            return f"its {held:,} bytes in '{self.member}' are fewer than its shape asks for"
        count = 1
        for size in self.sizes:
            count *= size
        if self.strides == _dense(self.sizes):
            return self.archive.loader(self.member, self.offset * item, count * item)
        if count * item > 16 * held + 4096:  # an expanded tensor may be of any size
            return f"it repeats {held:,} bytes to {count * item:,}"
        storage = self.archive.loader(self.member, self.offset * item, (last + 1 - self.offset) * item)
        return _Strided(storage, self.sizes, self.strides, item)


@dataclass(frozen=True, slots=True)
class _Strided:
    """Gathers the elements of a tensor that is not dense in its storage."""

    storage: Callable[[], bytes] | bytes
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    item: int

    def __call__(self) -> bytes:
        import numpy as np

        data = self.storage if isinstance(self.storage, bytes) else self.storage()
        flat = np.frombuffer(data, f"V{self.item}")
        strides = tuple(stride * self.item for stride in self.strides)
        return np.lib.stride_tricks.as_strided(flat, self.sizes, strides).tobytes()


def json_limit(archive: Archive) -> int:
    """Bytes of JSON that are read of one member: a stored one always fits, a bomb does not."""
    return max(archive.source.size, min(32 * archive.source.size, MEMBER_LIMIT))


def _dense(sizes: tuple[int, ...]) -> tuple[int, ...]:
    strides: list[int] = []
    step = 1
    for size in reversed(sizes):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


class ArchivePayloads(Payloads):
    """The values of one exported program.

    Args:
        root: the folder that the archive's members lie in, with its slash.
        model: the program's name.
    """

    def __init__(self, archive: Archive, root: str, model: str) -> None:
        self._archive = archive
        self._held: dict[str, Stored | str] = {}  # or why there is none
        self._first: dict[tuple[Any, ...], str] = {}
        for folder in ("weights", "constants"):
            config = f"{root}data/{folder}/{model}_{folder}_config.json"
            if config in archive:
                self._config(config, f"{root}data/{folder}/")
        if not self._held:
            from graphlab.capture.torch.pt2_saved import saved_tensors

            for name in (f"{root}data/weights/{model}.pt", f"{root}data/constants/{model}.pt", "serialized_state_dict.pt",
                         "serialized_constants.pt", "serialized_state_dict.json", "serialized_constants.json"):  # fmt: skip
                if name in archive:
                    self._held.update(saved_tensors(archive, name))

    def constant(self, name: str, type: ValueType) -> Constant:
        held = self._held.get(name, "the archive holds no value of that name")
        if isinstance(held, str):
            return Constant(type, None, reason=held)
        if not isinstance(type, TensorType) or (type.dtype, type.dims) != (held.dtype, held.sizes):
            return Constant(type, None, reason=f"the archive holds another type under that name: {held.dtype}{list(held.sizes)}")
        if type.layout is not None:
            return Constant(type, None, reason=f"its layout is {type.layout}, not dense")
        found = held.loader()
        return Constant(type, None, reason=found) if isinstance(found, str) else Constant(type, found)

    def tied_to(self, name: str) -> str | None:
        held = self._held.get(name)
        if not isinstance(held, Stored) or 0 in held.sizes:
            return None
        first = self._first.setdefault((held.member, held.offset, held.sizes, held.strides, held.dtype), name)
        return None if first == name else first

    def _config(self, member: str, folder: str) -> None:
        asked = f"read '{member}' of {self._archive.source.name}"
        held = parsed(self._archive.read(member, limit=json_limit(self._archive)), asked, member)
        entries = held.get("config") if isinstance(held, dict) else None
        if not isinstance(entries, dict):
            raise FormatError(asked, found="it has no object 'config'", do="fetch or write the file again", where=member)
        for name, entry in entries.items():
            self._held[name] = self._entry(entry, folder, asked, member)

    def _entry(self, entry: Any, folder: str, asked: str, config: str) -> Stored | str:
        if not isinstance(entry, dict) or not isinstance(entry.get("path_name"), str):
            raise FormatError(asked, found="an entry has no 'path_name'", do="fetch or write the file again", where=config)
        member = folder + entry["path_name"]
        if member not in self._archive:
            return f"the archive holds no '{member}'"
        if entry.get("use_pickle"):
            return f"'{member}' is a pickle, which is not run"
        meta = entry.get("tensor_meta")
        return stored(self._archive, member, meta) or "its shape is not told in numbers"


def stored(archive: Archive, member: str, meta: Any) -> Stored | None:
    """A tensor by its TensorMeta; ``None`` where that is not all numbers."""
    if not isinstance(meta, Mapping):
        return None
    numbers = [_ints(meta.get("sizes")), _ints(meta.get("strides")), _ints([meta.get("storage_offset", 0)])]
    sizes, strides, offset = numbers
    if sizes is None or strides is None or offset is None or not len(sizes) == len(strides) <= 32 or any(size < 0 for size in sizes):
        return None
    number = meta.get("dtype")
    return Stored(member, DTYPES.get(number if type(number) is int else -1, "unknown"), sizes, strides, offset[0], archive)


def _ints(values: Any) -> tuple[int, ...] | None:
    if not isinstance(values, list):
        return None
    plain = (each.get("as_int") if isinstance(each, dict) else each for each in values)
    found = tuple(each for each in plain if type(each) is int)
    return found if len(found) == len(values) else None
