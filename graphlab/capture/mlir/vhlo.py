"""VHLO operations as the StableHLO ones they stand for, and attributes that say what goes without saying left out.

VHLO is StableHLO frozen at a version: it has no defaults, and each number of a structure is an attribute of its own.
Facts: StablehloLegalizeToVhlo.cpp and VhloLegalizeToStablehlo.cpp of https://github.com/openxla/stablehlo.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from graphlab.capture.mlir.module import Module, Operation
from graphlab.ir.constants import Constant
from graphlab.ir.frozen import FrozenDict

_VERSION = re.compile(r"_v\d+$")
_NAMES = {"func": "func.func", "call": "func.call"}
_API_VERSIONS = (
    "API_VERSION_UNSPECIFIED", "API_VERSION_ORIGINAL", "API_VERSION_STATUS_RETURNING", "API_VERSION_STATUS_RETURNING_UNIFIED",
    "API_VERSION_TYPED_FFI",
)  # fmt: skip

# Structures: StableHLO's attribute → the VHLO attributes it is made of.
_DOT = ("lhs_batching_dimensions", "rhs_batching_dimensions", "lhs_contracting_dimensions", "rhs_contracting_dimensions")
_ALGORITHM = (
    "lhs_precision_type", "rhs_precision_type", "accumulation_type", "lhs_component_count", "rhs_component_count",
    "num_primitive_operations", "allow_imprecise_accumulation",
)  # fmt: skip
_CONV = (
    "input_batch_dimension", "input_feature_dimension", "input_spatial_dimensions", "kernel_input_feature_dimension",
    "kernel_output_feature_dimension", "kernel_spatial_dimensions", "output_batch_dimension", "output_feature_dimension",
    "output_spatial_dimensions",
)  # fmt: skip
_GATHER = (
    "offset_dims", "collapsed_slice_dims", "operand_batching_dims", "start_indices_batching_dims", "start_index_map", "index_vector_dim",
)  # fmt: skip
_SCATTER = (
    "update_window_dims", "inserted_window_dims", "input_batching_dims", "scatter_indices_batching_dims", "scatter_dims_to_operand_dims",
    "index_vector_dim",
)  # fmt: skip
_STRUCTURES: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "dot_general": (("dot_dimension_numbers", _DOT), ("algorithm", _ALGORITHM)),
    "convolution": (("dimension_numbers", _CONV),),
    "dynamic_conv": (("dimension_numbers", _CONV),),
    "gather": (("dimension_numbers", _GATHER),),
    "dynamic_gather": (("dimension_numbers", _GATHER),),
    "scatter": (("scatter_dimension_numbers", _SCATTER),),
    "send": (("channel_handle", ("channel_id", "channel_type")),),
    "recv": (("channel_handle", ("channel_id", "channel_type")),),
}
_LISTS = ("operand_batching_dims", "start_indices_batching_dims", "input_batching_dims", "scatter_indices_batching_dims")
_DEVICE_TO_DEVICE = 1
_MATH = ("arith", "math")
_FLAGS = {"fastmath": ("none", "#arith.fastmath<none>"), "overflowFlags": ("none", "#arith.overflow<none>")}
_WAYS = ("NONE", "FORWARD", "BACKWARD", "BOTH")  # sdy.PropagationDirection


def _all(value: Any) -> Callable[[Any], bool]:
    """Whether an attribute is that value throughout: a list of it, of any depth."""

    def fits(given: Any) -> bool:
        return all(map(fits, given)) if isinstance(given, tuple) else given == value and type(given) is type(value)

    return fits


def _is(value: Any) -> Callable[[Any], bool]:
    return lambda given: given == value and type(given) is type(value)


def _empty(given: Any) -> bool:
    return given in ((), "", {})


_EXACT = {"atol": 0.0, "rtol": 0.0, "ulps": 0, "mode": "DEFAULT"}
_WINDOW = {"window_strides": _all(1), "padding": _all(0)}
_CONVOLUTION = {
    "window_strides": _all(1), "lhs_dilation": _all(1), "rhs_dilation": _all(1), "window_reversal": _all(False),
    "precision_config": _all("DEFAULT"),
}  # fmt: skip
_UNSAID: dict[str, dict[str, Callable[[Any], bool]]] = {
    **{name: {"use_global_device_ids": _is(False)} for name in ("all_gather", "all_reduce", "reduce_scatter", "collective_reduce")},
    "cholesky": {"lower": _is(False)},
    "compare": {"compare_type": _is("NOTYPE")},
    "composite": {"version": _is(0), "composite_attributes": _empty},
    "convolution": {**_CONVOLUTION, "padding": _all(0)},
    "dynamic_conv": {**_CONVOLUTION, "padding": _all(0)},
    "custom_call": {
        "has_side_effect": _is(False), "backend_config": _empty, "api_version": _is(1), "called_computations": _empty,
        "output_operand_aliases": _empty, "result_tilings": _empty,
    },
    "dot": {"precision_config": _all("DEFAULT")},
    "dot_general": {"precision_config": _all("DEFAULT")},
    "dynamic_broadcast_in_dim": {"known_expanding_dimensions": _empty, "known_nonexpanding_dimensions": _empty},
    "gather": {"indices_are_sorted": _is(False)},
    "dynamic_gather": {"indices_are_sorted": _is(False)},
    "infeed": {"infeed_config": _empty, "layout": _empty},
    "outfeed": {"outfeed_config": _empty},
    "send": {"is_host_transfer": _is(False), "source_target_pairs": _empty},
    "recv": {"is_host_transfer": _is(False), "source_target_pairs": _empty},
    "reduce_window": {**_WINDOW, "base_dilations": _all(1), "window_dilations": _all(1)},
    "scatter": {"indices_are_sorted": _is(False), "unique_indices": _is(False)},
    "select_and_scatter": _WINDOW,
    "sort": {"dimension": _is(-1), "is_stable": _is(False)},
    "collective_broadcast": {"has_dynamic_root": _is(False)},
    **{
        name: {"result_accuracy": _is(FrozenDict(_EXACT))}
        for name in ("cbrt", "cosine", "exponential", "exponential_minus_one", "log", "log_plus_one", "logistic", "rsqrt", "sine", "sqrt",
                     "tan", "tanh")
    },
}  # fmt: skip
_UNSAID["collective_reduce"] = {**_UNSAID["collective_reduce"], "has_dynamic_root": _is(False)}


def to_stablehlo(module: Module) -> None:
    """Turn a module's VHLO operations into StableHLO's, in place, and leave out attributes that are the default."""
    work: list[tuple[Operation, bool]] = [(op, False) for op in module.body]
    unsaid = _UNSAID
    while work:
        op, in_function = work.pop()
        dialect, _, short = op.name.partition(".")
        if dialect == "vhlo":
            short = _VERSION.sub("", short)
            op.name = _NAMES.get(short) or ("func.return" if short == "return" and in_function else f"stablehlo.{short}")
            _convert(op, short)
        elif dialect in _MATH:
            for name, none in _FLAGS.items():
                if op.attributes.get(name) in none:
                    del op.attributes[name]
        elif op.name == "sdy.propagation_barrier":
            way = op.attributes.get("allowed_direction")
            if isinstance(way, int) and 0 <= way < len(_WAYS):
                op.attributes["allowed_direction"] = _WAYS[way]
        if short in unsaid and dialect in ("stablehlo", "mhlo", "vhlo"):
            _leave_out(op, short)
        if op.regions:
            is_function = op.name == "func.func"
            for region in op.regions:
                for block in region.blocks:
                    work += [(inner, is_function) for inner in block.operations]


def _convert(op: Operation, short: str) -> None:
    attrs = op.attributes
    for name, fields in _STRUCTURES.get(short, ()):
        found = {field: attrs.pop(field) for field in fields if field in attrs}
        if not found or any(value == "none" or getattr(value, "name", "") == "none" for value in found.values()):
            continue  # a dot without an algorithm
        for field in fields:
            if field in _LISTS:
                found.setdefault(field, ())
        if name == "channel_handle":
            found = {"handle": found.get("channel_id", 0), "type": found.get("channel_type", 0)}
        attrs[name] = FrozenDict({key: getattr(value, "name", value) for key, value in found.items()})
    if short not in ("send", "recv") and "channel_id" in attrs:
        channel = attrs.pop("channel_id")
        if channel != 0:
            attrs["channel_handle"] = FrozenDict(handle=channel, type=_DEVICE_TO_DEVICE)
    if short == "func":
        for name in ("sym_visibility", "arg_attrs", "res_attrs"):
            if name in attrs and _empty(attrs[name]):
                del attrs[name]
    version = attrs.get("api_version")
    if short == "custom_call" and isinstance(version, str) and version in _API_VERSIONS:
        attrs["api_version"] = _API_VERSIONS.index(version)
    if short == "custom_call" and not attrs.get("operand_layouts", ()) and not attrs.get("result_layouts", ()):
        attrs.pop("operand_layouts", None)
        attrs.pop("result_layouts", None)


def _leave_out(op: Operation, short: str) -> None:
    for name, goes in _UNSAID[short].items():
        value = op.attributes.get(name)
        if value is not None and not isinstance(value, Constant) and goes(value):
            del op.attributes[name]
