"""What a leaf module is, as an operation: its class, its settings, whether it does more than compute."""

from __future__ import annotations

from typing import Any

import torch

from graphlab.capture.torch.operators import also, canonical_for
from graphlab.capture.torch.values import class_name, literal
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.ops import lookup
from graphlab.ir.values import ValueType


def describe(module: torch.nn.Module, result: ValueType) -> dict[str, Any]:
    """``op``, ``canonical``, ``effects`` and ``attrs`` of a module that is called as one operation.

    Attributes are the module's ``__constants__``, which torch's own modules list for TorchScript.
    A module that only acts up while training (dropout, batch norm) is pure in eval mode.
    """
    op = class_name(type(module))
    info = lookup(op)
    data: dict[str, Any] = {"op": op}
    canonical = canonical_for(info.canonical, result) if info.canonical else None
    if canonical:
        data["canonical"] = canonical
    effects = info.effects if module.training or info.effects == ("opaque",) else ()
    if getattr(module, "inplace", False) is True:
        effects = also(effects, "writes_state")
    if effects:
        data["effects"] = effects
    names = getattr(type(module), "__constants__", ())
    attrs = {name: literal(getattr(module, name)) for name in names if hasattr(module, name)}
    if info.effects:
        attrs["training"] = module.training
    if attrs:
        data["attrs"] = FrozenDict(attrs)
    return data
