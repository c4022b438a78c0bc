"""What is known of an operator by its name where torch is not there to ask: the twin of ``ops.target`` for files.

The facts stand in the table of :mod:`graphlab.capture.torch.schemas`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from graphlab.capture.torch.schemas import default_value, function, overload
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
    info = lookup(op)
    effects = info.effects
    condition = EFFECT_IF.get(without_overload(op))
    arguments: tuple[str, ...] | None = None
    defaults: Mapping[str, Any] = {}
    dialect, _, rest = op.partition(".")
    if (schema := overload(op)) is not None:
        arguments = tuple(each.name for each in schema.arguments)
        decisive = [each for each in schema.arguments if condition is not None and each.name == condition[0]]
        defaults = {each.name: default_value(each.default) for each in decisive if each.default is not None}
        if schema.mutable:
            effects = also(effects, "writes_state")
        if schema.random:
            effects = also(effects, "random")
    elif (known := function(op)) is not None:
        arguments = known.arguments
        defaults = {name: default_value(text) for name, text in known.defaults.items()}
    elif _writes_by_name(dialect, *rest.partition(".")[::2]):
        effects = also(effects, "writes_state")
    if dialect == "math" or (dialect == "builtins" and rest in PURE_BUILTINS):
        effects = ()
    return Operator(op, arguments, info.canonical, effects, condition, defaults)


def _writes_by_name(dialect: str, name: str, overload: str) -> bool:
    """Whether torch would spell it so where it works in place, or writes its results to an argument."""
    in_place = name.endswith("_") and not name.endswith("__") and dialect != "c10d"
    return in_place or overload == "out" or overload.endswith("_out")


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
