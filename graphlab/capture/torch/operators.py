"""What is known of an operator by its name where torch is not there to ask: the twin of ``ops.target`` for files.

The facts stand in ``graphlab/ir/vocabulary/torch_operators.txt``, which ``operator_facts`` writes from torch itself.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from graphlab.ir.ops import lookup
from graphlab.ir.values import OpaqueType, TensorType, ValueType
from graphlab.ir.vocabulary.torch import EFFECT_IF

# Where Python's and torch's own modules are spelt otherwise than users spell them.
MODULES: Mapping[str, str] = {
    "_operator": "operator",
    "torch._C._nn": "torch.nn.functional",
    "torch._C._special": "torch.special",
    "torch._C._linalg": "torch.linalg",
    "torch._C._fft": "torch.fft",
    "torch.functional": "torch",
}
PURE_BUILTINS = frozenset(
    {"abs", "bool", "divmod", "float", "getattr", "int", "isinstance", "len", "max", "min", "pow", "range", "round", "sum"}
)


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator or function.

    Attributes:
        op: dialect-qualified name.
        arguments: names of the positional arguments; ``None`` where they are not known.
        effects: what it may do besides computing its results.
        condition: (argument, effect): the effect occurs only where the argument is truthy.
        defaults: of the argument that an effect depends on.
    """

    op: str
    arguments: tuple[str, ...] | None
    canonical: str | None
    effects: tuple[str, ...]
    condition: tuple[str, str] | None
    defaults: Mapping[str, Any]

    def effects_here(self, argument: Callable[[str], Any]) -> tuple[str, ...]:
        """The effects at one call: without one that an argument switches off there.

        Args:
            argument: the value of a named argument; raises KeyError where it is not given, or no constant.
        """
        if self.condition is None:
            return self.effects
        named, effect = self.condition
        try:
            on = bool(argument(named))
        except KeyError:
            on = True
        return also(self.effects, effect) if on else tuple(each for each in self.effects if each != effect)


@cache
def operator(op: str) -> Operator:
    """What is known of ``aten.add.Tensor``, ``torch.nn.functional.dropout``, ``operator.getitem``, ``method.view``."""
    facts = _table().get(op)
    info = lookup(op)
    effects = info.effects
    dialect, _, rest = op.partition(".")
    if facts is not None:
        mutable, random, arguments = facts
        if mutable:
            effects = also(effects, "writes_state")
        if random:
            effects = also(effects, "random")
    else:
        arguments = None
        name, _, overload = rest.partition(".")
        # torch's spelling of an operation in place, and of one that writes its results to an argument
        if (name.endswith("_") and not name.endswith("__") and dialect != "c10d") or writes_out(overload):
            effects = also(effects, "writes_state")
    if dialect == "math" or (dialect == "builtins" and rest in PURE_BUILTINS):
        effects = ()
    defaults = {name: ast.literal_eval(value) for name, _, value in (a.partition("=") for a in arguments or ()) if value}
    names = None if arguments is None else tuple(a.partition("=")[0] for a in arguments)
    return Operator(op, names, info.canonical, effects, EFFECT_IF.get(without_overload(op)), defaults)


def writes_out(overload: str) -> bool:
    """Whether an overload is named as those are that write their results to an argument."""
    return overload == "out" or overload.endswith("_out")


def canonical_for(name: str, result: ValueType) -> str | None:
    """The ONNX operator at one call, whose result has that type.

    ONNX's Gemm takes matrices only, and its bitwise operators no booleans, for which it has others.
    """
    if not isinstance(result, TensorType):
        return None if name == "Gemm" else name
    if name == "Gemm":
        return name if result.rank == 2 else None
    return name.removeprefix("Bitwise") if result.dtype == "bool" else name


def also(effects: tuple[str, ...], effect: str) -> tuple[str, ...]:
    """The effects with one more, once."""
    return effects if effect in effects else (*effects, effect)


def without_overload(op: str) -> str:
    return ".".join(op.split(".")[:2]) if op.startswith("aten.") else op


NOTHING = OpaqueType("None")
"""What an operation gives that has no result."""


@cache
def _table() -> dict[str, tuple[bool, bool, tuple[str, ...]]]:
    text = files("graphlab.ir.vocabulary").joinpath("torch_operators.txt").read_text(encoding="utf-8")
    table: dict[str, tuple[bool, bool, tuple[str, ...]]] = {}
    for line in text.splitlines()[1:]:
        name, *arguments = line.split(" ")
        plain = name.rstrip("!~")
        table[plain] = ("!" in name, "~" in name, tuple(arguments))
    return table
