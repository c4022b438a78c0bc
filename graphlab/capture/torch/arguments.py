"""A node's arguments, told apart: values of other nodes into operand slots, everything else into attributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.fx

from graphlab.capture.torch.values import Rename, literal
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.graph import Operand


class Arguments:
    """The operands of one node in slot order, and its attributes.

    A slot is a node's place among the node-valued leaves of the flattened arguments, positional
    ones first. A node passed as a whole positional argument leaves no attribute; within a list or
    dict, or by keyword, an ``Operand`` stands in its place.
    """

    __slots__ = ("attrs", "named", "nodes", "rename")

    def __init__(self, rename: Rename, named: Mapping[torch.fx.Node, str] | None = None) -> None:
        self.rename = rename
        self.named = named or {}  # nodes that are no values, by what stands for them in the attributes
        self.nodes: list[torch.fx.Node] = []
        self.attrs: dict[str, Any] = {}

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any], names: tuple[str, ...] | None) -> None:
        """Take all arguments, positional ones by the names of the schema."""
        if names is None or len(args) > len(names):
            taken = self.take(args)
            if any(not isinstance(a, Operand) for a in taken):
                self.attrs["args"] = taken
        else:
            nodes, attrs = self.nodes, self.attrs
            for i, arg in enumerate(args):
                if isinstance(arg, torch.fx.Node):
                    nodes.append(arg)
                else:
                    attrs[names[i]] = self.take(arg)
        for key, arg in kwargs.items():
            self.attrs[key] = self.take(arg)

    def take(self, value: Any) -> Any:
        """One argument as an attribute value; nodes within it become operands."""
        if isinstance(value, torch.fx.Node):
            if value in self.named:
                return self.named[value]
            self.nodes.append(value)
            return Operand(len(self.nodes) - 1)
        if isinstance(value, (tuple, list)):
            return tuple(self.take(v) for v in value)
        if isinstance(value, dict):
            return FrozenDict({str(k): self.take(v) for k, v in value.items()})
        if isinstance(value, slice):
            return FrozenDict(slice=(self.take(value.start), self.take(value.stop), self.take(value.step)))
        return literal(value, self.rename)
