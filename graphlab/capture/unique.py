"""Ids for nodes and names for graphs: readable, each given out once."""

from __future__ import annotations


class Names:
    """Gives out a name once: ``add``, ``add_1``, ``add_2`` …"""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._next: dict[str, int] = {}

    def take(self, base: str) -> str:
        """``base`` itself where it is free, else with the first free number behind it."""
        if base not in self._taken:
            self._taken.add(base)
            return base
        number = self._next.get(base, 1)
        while (name := f"{base}_{number}") in self._taken:
            number += 1
        self._next[base] = number + 1
        self._taken.add(name)
        return name
