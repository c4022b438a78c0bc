"""Writes ``schemas.txt`` from the operators and functions of the torch that is installed.

python -m graphlab.capture.torch.schema_facts > graphlab/capture/torch/schemas.txt
"""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Iterator
from typing import Any

import torch
import torch._inductor.compile_fx  # each registers operators of its own
import torch.ao.quantization.fx._decomposed
import torch.distributed._functional_collectives

from graphlab.capture.torch import ops
from graphlab.capture.torch.private import schema_names, schemas_of
from graphlab.capture.torch.schemas import FUNCTIONS, RANDOM
from graphlab.ir.vocabulary.torch import EFFECT_IF

DIALECTS = (
    "aten", "prim", "prims", "quantized", "_quantized", "quantized_decomposed", "mkldnn", "mkldnn_prepacked", "sparse", "c10d",
    "_c10d_functional", "inductor", "profiler",
)  # fmt: skip

# What torchvision registers, whose operators stand in many models' code.
_TORCHVISION = """\
torchvision::deform_conv2d(Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, int stride_h, int stride_w, int pad_h, \
int pad_w, int dilation_h, int dilation_w, int groups, int offset_groups, bool use_mask) -> Tensor
torchvision::nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor
torchvision::ps_roi_align(Tensor input, Tensor rois, float spatial_scale, int pooled_height, int pooled_width, int sampling_ratio) \
-> (Tensor, Tensor)
torchvision::ps_roi_pool(Tensor input, Tensor rois, float spatial_scale, int pooled_height, int pooled_width) -> (Tensor, Tensor)
torchvision::roi_align(Tensor input, Tensor rois, float spatial_scale, int pooled_height, int pooled_width, int sampling_ratio, \
bool aligned) -> Tensor
torchvision::roi_pool(Tensor input, Tensor rois, float spatial_scale, int pooled_height, int pooled_width) -> (Tensor, Tensor)
"""


def lines() -> Iterator[str]:
    """Schemas, then functions in Python.

    A line a schema: operators sorted by name, overloads in the order in which torch tries them; torch's own tests left out.
    What a schema does not say stands after it: that the operator draws random numbers. A function has its positional
    arguments, with its default one that an effect depends on.
    """
    names = {name for name in schema_names() if name.partition("::")[0] in DIALECTS and not name.startswith("aten::_test_")}
    for name in sorted(names):
        yield from (f"{schema}{RANDOM if _is_random(schema) else ''}" for schema in schemas_of(name))
    yield from _TORCHVISION.splitlines()
    yield FUNCTIONS
    for name, of in sorted(_functions()):
        known = ops.target(of)
        if known.arguments is not None:
            yield " ".join((name, *_arguments(name, known.arguments, inspect.signature(of))))


def _is_random(schema: str) -> bool:
    namespace, _, rest = schema.partition("(")[0].partition("::")
    packet, _, overload = rest.partition(".")
    try:
        of = getattr(getattr(getattr(torch.ops, namespace), packet), overload or "default")
    except AttributeError:  # one that TorchScript alone can call
        return False
    return torch.Tag.nondeterministic_seeded in of.tags


def _arguments(function: str, names: tuple[str, ...], signature: inspect.Signature) -> Iterator[str]:
    decisive, _ = EFFECT_IF.get(function, ("", ""))
    for name in names:
        default = signature.parameters[name].default
        yield f"{name}={default!r}" if name == decisive and default is not inspect.Parameter.empty else name


def _functions() -> set[tuple[str, Any]]:
    """Functions in Python that graphs call by name."""
    found = {}
    for holder in (operator, math, torch, torch.functional, torch.nn.functional):
        for each in vars(holder).values():
            name = ops.name(each) if inspect.isroutine(each) else ""
            dialect, _, called = name.removeprefix("torch.nn.functional.").rpartition(".")
            if dialect in ("", "operator", "math", "torch") and called and not called.startswith("_"):
                found[name] = each
    return set(found.items())


if __name__ == "__main__":
    print(f"# torch {torch.__version__.partition('+')[0]}")
    print("\n".join(lines()))
