"""An immutable, hashable mapping for node attributes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class FrozenDict(dict[K, V]):
    """A ``dict`` that cannot be changed after it is made.

    networkx copies share inner dictionaries between a graph and its copies, so a mapping stored
    on a node must never change. It is a real ``dict``: JSON, ``==`` and ``**`` work as usual.
    """

    __slots__ = ()

    def _refuse(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError("node attributes are immutable; make a new FrozenDict instead")

    __setitem__ = __delitem__ = _refuse
    __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[type[FrozenDict[K, V]], tuple[dict[K, V]]]:
        return FrozenDict, (dict(self),)

    def __copy__(self) -> FrozenDict[K, V]:
        return self

    def __deepcopy__(self, memo: object) -> FrozenDict[K, V]:
        return self

    def __repr__(self) -> str:
        return f"FrozenDict({dict(self)!r})"


EMPTY: FrozenDict[str, Any] = FrozenDict()


def freeze(value: Any) -> Any:
    """Turn lists, sets and dicts, at any depth, into tuples and :class:`FrozenDict`.

    Anything else is returned as it is; the caller answers for its being immutable.
    """
    if isinstance(value, FrozenDict):
        return value
    if isinstance(value, Mapping):
        return FrozenDict({k: freeze(v) for k, v in value.items()})
    if isinstance(value, (list, tuple)):
        return tuple(freeze(v) for v in value)
    if isinstance(value, (set, frozenset)):
        return tuple(sorted((freeze(v) for v in value), key=repr))
    return value


def frozen(pairs: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), /, **more: Any) -> FrozenDict[str, Any]:
    """``frozen(axis=1, perm=[0, 2, 1])``: a :class:`FrozenDict` with every value frozen."""
    return FrozenDict({k: freeze(v) for k, v in dict(pairs, **more).items()})
