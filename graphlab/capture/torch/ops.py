"""What torch itself says of a call target: its name, its arguments' names, what it does besides computing."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from graphlab.capture.torch.operators import MODULES, PURE_BUILTINS, also, without_overload
from graphlab.capture.torch.private import HigherOrderOperator, OpOverload, OpOverloadPacket, argument_names, defaults, is_mutable
from graphlab.ir.ops import lookup
from graphlab.ir.vocabulary.torch import EFFECT_IF


@dataclass(frozen=True, slots=True)
class Target:
    """A call target.

    Attributes:
        op: dialect-qualified name.
        arguments: names of the positional arguments; ``None`` where torch does not tell them.
        effects: what it may do besides computing its results.
        condition: (argument, effect): the effect occurs only where the argument is truthy.
    """

    op: str
    arguments: tuple[str, ...] | None
    canonical: str | None
    effects: tuple[str, ...]
    condition: tuple[str, str] | None


@cache
def target(of: Callable[..., Any] | str) -> Target:
    """What is known of a ``call_function``'s target, or of a method by its name."""
    op = name(of)
    info = lookup(op)
    effects = info.effects
    arguments: tuple[str, ...] | None = None
    if isinstance(of, OpOverload):
        arguments = argument_names(of)
        if is_mutable(of):
            effects = also(effects, "writes_state")
        if torch.Tag.nondeterministic_seeded in of.tags:
            effects = also(effects, "random")
    elif isinstance(of, str):
        # torch's spelling of an operation in place: one underscore after the name
        if of.endswith("_") and not of.endswith("__"):
            effects = also(effects, "writes_state")
    elif not isinstance(of, (OpOverloadPacket, HigherOrderOperator)):
        arguments = _python_arguments(of)
        module, _, called = op.partition(".")
        if module == "math" or (module == "builtins" and called in PURE_BUILTINS):
            effects = ()
    return Target(op, arguments, info.canonical, effects, EFFECT_IF.get(without_overload(op)))


def name(of: Callable[..., Any] | str) -> str:
    """``aten.add.Tensor``, ``higher_order.cond``, ``operator.getitem``, ``torch.nn.functional.linear``, ``method.view``."""
    if isinstance(of, str):
        return f"method.{of}"
    if isinstance(of, (OpOverload, OpOverloadPacket)):
        return str(of)
    if isinstance(of, HigherOrderOperator):
        return f"{of.namespace}.{of.name()}"
    module = getattr(of, "__module__", None) or "builtins"
    called = getattr(of, "__qualname__", None) or getattr(of, "__name__", None) or type(of).__qualname__
    if "<locals>" in called:  # made by a function of torch's, which gave it a name of its own (max_pool2d)
        called = getattr(of, "__name__", called)
    # torch's C functions are methods of holders such as _VariableFunctionsClass
    if module.startswith("torch") and inspect.isbuiltin(of):
        called = called.rpartition(".")[2]
    return f"{MODULES.get(module, module)}.{called}"


def effects_here(known: Target, argument: Callable[[str], Any]) -> tuple[str, ...]:
    """The target's effects at one call: without those that one of its arguments switches off there.

    Args:
        argument: the value of a named argument at this call; raises KeyError where it is not a constant.
    """
    if known.condition is None:
        return known.effects
    named, effect = known.condition
    try:
        on = bool(argument(named))
    except KeyError:
        on = True
    return also(known.effects, effect) if on else tuple(e for e in known.effects if e != effect)


def default(of: object, argument: str) -> Any:
    """An argument's default in the schema.

    Raises:
        KeyError: the target has no schema, or the argument no default.
    """
    if isinstance(of, OpOverload):
        return defaults(of)[argument]
    if not isinstance(of, str) and callable(of):
        try:
            found = inspect.signature(of).parameters[argument].default
        except (TypeError, ValueError):  # written in C
            raise KeyError(argument) from None
        if found is not inspect.Parameter.empty:
            return found
    raise KeyError(argument)


def _python_arguments(of: Callable[..., Any]) -> tuple[str, ...] | None:
    try:
        parameters = inspect.signature(of).parameters.values()
    except (TypeError, ValueError):  # written in C
        return None
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters):
        return None
    return tuple(p.name for p in parameters if p.kind in positional)
