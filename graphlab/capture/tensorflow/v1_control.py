"""TensorFlow 1's control flow, which is written as a graph: which loop and which branch each node runs in.

A loop is a frame: values enter by ``Enter``, go round by ``Merge``, ``Switch`` and ``NextIteration``, and leave by
``Exit``; its ``LoopCond`` decides. A conditional is the ``Switch`` nodes of one predicate and the ``Merge`` nodes that
bring their two sides together. See "Implementation of Control Flow in TensorFlow" (2017), and for conditionals
tensorflow/compiler/tf2xla/functionalize_cond.h, whose states are followed here.

What is found is written on the nodes, in words that no analyzer needs TensorFlow for:

- ``control`` on each ``LoopCond`` and on one ``Switch`` of each conditional: the nodes that decide;
- ``meta["within"]``: pairs (id of a deciding node, ``loop``, ``then`` or ``else``) around a node, outermost first;
- ``meta["decided_by"]`` on a ``Merge``: ids of the deciding nodes that choose what it passes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from graphlab.ir.frozen import EMPTY, FrozenDict
from graphlab.ir.graph import Control

_SWITCH = frozenset({"tf.Switch", "tf.RefSwitch"})
_MERGE = frozenset({"tf.Merge", "tf.RefMerge"})
_ENTER = frozenset({"tf.Enter", "tf.RefEnter"})
_EXIT = frozenset({"tf.Exit", "tf.RefExit"})
_NEXT = frozenset({"tf.NextIteration", "tf.RefNextIteration"})
_MARKS = _SWITCH | _MERGE | _ENTER | frozenset({"tf.LoopCond"})

_DEPTH = 64  # frames or branches within one another that are told apart

Made = Sequence[tuple[str, dict[str, Any]]]
Predicate = tuple[str, int]
Guard = tuple[Predicate, int]
_NONE: frozenset[Guard] = frozenset()


def mark(made: Made, edges: Sequence[tuple[str, str, int, int]], control: Iterable[tuple[str, str]]) -> None:
    """Write on the nodes of one graph what loops and branches they are in; nothing where it has none."""
    if not any(data.get("op") in _MARKS for _, data in made):
        return
    flow = _Flow(made, edges, control)
    flow.follow()
    flow.write()


@dataclass(slots=True)
class _At:
    """Where a node runs: names of the frames around it, and of the branches the sides."""

    frame: tuple[str, ...] = ()
    guards: frozenset[Guard] = _NONE


class _Flow:
    def __init__(self, made: Made, edges: Sequence[tuple[str, str, int, int]], control: Iterable[tuple[str, str]]) -> None:
        self._data = dict(made)
        self._op: dict[str, str] = {id: data.get("op", "") for id, data in made}
        self._into: dict[str, list[tuple[str, int]]] = {}  # (source, port), data and control alike; -1 for control
        self._users: dict[str, list[str]] = {}
        self._slots: dict[tuple[str, int], Predicate] = {}
        for src, dst, src_port, dst_port in edges:
            self._slots[dst, dst_port] = (src, src_port)
            if self._op[src] not in _NEXT:
                self._into.setdefault(dst, []).append((src, src_port))
                self._users.setdefault(src, []).append(dst)
        for src, dst in control:
            if self._op[src] not in _NEXT:
                self._into.setdefault(dst, []).append((src, -1))
                self._users.setdefault(src, []).append(dst)
        self._at: dict[str, _At] = {}
        self._order: dict[str, int] = {}
        self._chosen: dict[str, frozenset[Predicate]] = {}  # by each Merge

    def follow(self) -> None:
        """Frames and guards of every node, sources first; a cycle without a NextIteration has no meaning and is left alone."""
        missing = {id: len(into) for id, into in self._into.items()}
        ready = [id for id in self._data if not missing.get(id)]
        for id in ready:  # grows as it goes
            self._order[id] = len(self._order)
            self._at[id] = self._place(id)
            for user in self._users.get(id, ()):
                missing[user] -= 1
                if not missing[user]:
                    ready.append(user)

    def _place(self, id: str) -> _At:
        frame: tuple[str, ...] = ()
        guards: frozenset[Guard] = _NONE
        sides: list[frozenset[Guard]] = []
        for src, port in self._into.get(id, ()):
            outer, held = self._after(src, port)
            if len(outer) > len(frame):
                frame = outer
            if held is not guards:
                guards = guards | held if guards else held
            sides.append(held)
        if self._op[id] in _MERGE and guards and len(sides) > 1:
            common = frozenset.intersection(*sides)
            self._chosen[id] = frozenset(predicate for predicate, _ in guards - common)
            guards = common
        return _At(frame, guards)

    def _after(self, src: str, port: int) -> tuple[tuple[str, ...], frozenset[Guard]]:
        """The frame and the guards of a node's output."""
        at, op = self._at[src], self._op[src]
        if op in _ENTER and len(at.frame) < _DEPTH:
            return (*at.frame, str(self._data[src].get("attrs", EMPTY).get("frame_name", ""))), at.guards
        if op in _EXIT:
            return at.frame[:-1], at.guards
        if op in _SWITCH and port >= 0 and len(at.guards) < _DEPTH:
            predicate = self._slots.get((src, 1))
            if predicate is not None and not self._of_loop(predicate):
                return at.frame, at.guards | {(predicate, port)}
        return at.frame, at.guards

    def _of_loop(self, predicate: Predicate) -> bool:
        return self._op[self._origin(predicate)[0]] == "tf.LoopCond"

    def _origin(self, value: Predicate) -> Predicate:
        for _ in range(_DEPTH):
            if self._op[value[0]] != "tf.Identity" or (value[0], 0) not in self._slots:
                break
            value = self._slots[value[0], 0]
        return value

    # -- what is written

    def write(self) -> None:
        loops = self._loops()
        deciders = self._deciders()
        for id, at in self._at.items():
            around = [(loops[frame], "loop") for depth in range(len(at.frame)) if (frame := at.frame[: depth + 1]) in loops]
            sides = {(deciders[predicate], "then" if port else "else") for predicate, port in at.guards if predicate in deciders}
            around += sides
            more: dict[str, Any] = {}
            if around:
                around.sort(key=lambda pair: (self._order[pair[0]], pair[1]))
                more["within"] = tuple(around)
            chosen = sorted({deciders[p] for p in self._chosen.get(id, ()) if p in deciders}, key=self._order.__getitem__)
            if chosen:
                more["decided_by"] = tuple(chosen)
            if more:
                self._data[id]["meta"] = FrozenDict({**self._data[id].get("meta", EMPTY), **more})

    def _loops(self) -> dict[tuple[str, ...], str]:
        """Frame → its deciding node."""
        found: dict[tuple[str, ...], str] = {}
        for id, at in self._at.items():
            if self._op[id] == "tf.LoopCond" and (id, 0) in self._slots:
                self._data[id]["control"] = Control("loop", predicate=0)
                found.setdefault(at.frame, id)
        return found

    def _deciders(self) -> dict[Predicate, str]:
        """Predicate → the Switch that stands for the conditional.

        ``tf.cond`` makes a copy of the predicate (an Identity) that its switches take, and one switch of the
        predicate by itself, the pivot: that one counts where there is no other.
        """
        found: dict[Predicate, str] = {}
        pivots: list[tuple[Predicate, str]] = []
        for id in self._order:
            predicate = self._slots.get((id, 1))
            if self._op[id] not in _SWITCH or predicate is None or self._of_loop(predicate):
                continue
            if self._slots.get((id, 0)) == predicate:
                pivots.append((predicate, id))
            else:
                found.setdefault(predicate, id)
        copies: dict[Predicate, list[str]] = {}
        for predicate, id in found.items():
            copies.setdefault(self._origin(predicate), []).append(id)
        for predicate, id in pivots:
            alike = copies.setdefault(self._origin(predicate), [])
            if not alike:
                alike.append(id)
            scope = id.rpartition("/")[0]
            found[predicate] = next((other for other in alike if other.startswith(scope)), alike[0])
        for id in found.values():
            self._data[id]["control"] = Control("conditional", predicate=1)
        return found
