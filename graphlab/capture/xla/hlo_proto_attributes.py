"""Attributes of HLO instruction messages, spelt as HLO text spells them: name and text, in XLA's order.

The text's own reader (``hlo_attributes``) makes values of them, so that a module as a message and as text
has the same attributes. Spellings and order: ``PrintExtraAttributes`` of xla/hlo/ir/hlo_instruction.cc and
hlo_instructions.cc of https://github.com/openxla/xla, as jaxlib 0.10.2 prints them. What a later version adds
to an operation, and operations not known here, are written by the fields' own names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from google.protobuf import text_format

from graphlab.capture.xla.hlo_lexer import quote
from graphlab.capture.xla.hlo_proto_common import Fields, Pairs, enum_name, enum_text, metadata_text
from graphlab.capture.xla.hlo_proto_literals import literal_text
from graphlab.capture.xla.hlo_proto_shapes import join, shape_text
from graphlab.capture.xla.hlo_proto_shardings import axes_text, mesh_text, sharding_text
from graphlab.ir.values import TensorType, ValueType

# Read elsewhere: by the module's reader, or in hlo_proto_common for every operation alike.
_COMMON = frozenset((
    "name", "opcode", "shape", "metadata", "id", "operand_ids", "control_predecessor_ids", "called_computation_ids", "literal",
    "parameter_number", "sharding", "frontend_attributes", "statistics_viz", "result_accuracy", "original_value", "backend_config",
    "backend_config_payload",
))  # fmt: skip
# Said by other fields, or written by old versions and never read.
_UNSAID = frozenset(("all_reduce_id", "comparison_type", "is_cross_program_prefetch"))


def extra(opcode: str, fields: Fields, operands: Sequence[ValueType]) -> Pairs:
    """The attributes that belong to an operation. ``operands`` are the operands' types."""
    write, known = _OPERATIONS.get(opcode, _NO_MORE)
    pairs = write(fields, operands)
    for name in fields:
        if name not in known:
            pairs += _by_name(name, fields[name])
    return pairs


# --- one function an operation, or a family of them ----------------------------------------------------------------


def _nothing(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    return []


def _by_name(name: str, value: Any) -> Pairs:
    """A field of an operation that is not known to have it."""
    if name == "dimensions":
        return [(name, f"{{{join(value)}}}")]
    if isinstance(value, bool):
        return [(name, str(value).lower())]
    if isinstance(value, (int, float)):
        return [(name, str(value))]
    if isinstance(value, (str, bytes)):
        return [(name, quote(value))]
    if hasattr(value, "DESCRIPTOR"):
        text = text_format.MessageToString(value, as_one_line=True)
        return [(name, quote(text))] if text else []
    parts = [text_format.MessageToString(v, as_one_line=True) if hasattr(v, "DESCRIPTOR") else str(v) for v in value]
    return [(name, quote(", ".join(parts)))]


def _set(values: Any) -> str:
    return f"{{{join(values)}}}"


def _flags(f: Fields, *names: str) -> Pairs:
    return [(name, "true") for name in names if f.get(name)]


def _dimensions(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    return [("dimensions", _set(f.get("dimensions", ())))]


def _sort(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    return [*_dimensions(f, operands), *_flags(f, "is_stable")]


def _scan(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    pairs = [*_dimensions(f, operands), ("num_carries", str(f.get("num_carries", 0))), *_flags(f, "is_reverse")]
    if f.get("is_associative"):  # TriState: 1 is true
        pairs.append(("is_associative", "true" if f["is_associative"] == 1 else "false"))
    return pairs


def _topk(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    return [("k", str(f.get("k", 0))), ("largest", "true" if f.get("largest") else "false"), *_flags(f, "is_stable")]


def _iota(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    return [("iota_dimension", str(next(iter(f.get("dimensions", ())), 0)))]


def _reshape(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    return [("inferred_dimension", str(dimension)) for dimension in list(f.get("dimensions", ()))[:1]]


def _batch_norm(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    return [("epsilon", f"{f.get('epsilon', 0.0):g}"), ("feature_index", str(f.get("feature_index", 0)))]


def _fft(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    names = {0: "FFT", 1: "IFFT", 2: "RFFT", 3: "IRFFT"}
    kind = f.get("fft_type", 0)
    return [("fft_type", names.get(kind, str(kind))), ("fft_length", _set(f.get("fft_length", ())))]


def _async(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    thread = f.get("async_execution_thread", "")
    return [("async_execution_thread", quote(thread))] if thread not in ("", "main") else []


def _copy_start(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    return [("cross_program_prefetch_index", str(f["cross_program_prefetch_index"]))] if "cross_program_prefetch_index" in f else []


def _compare(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    kind = f.get("comparison_type", "")
    usual = ""
    if operands and isinstance(operands[0], TensorType):
        dtype = operands[0].dtype
        usual = "SIGNED" if dtype.startswith("int") else "UNSIGNED" if dtype == "bool" or dtype.startswith("uint") else "FLOAT"
    pairs = [("direction", f.get("comparison_direction", ""))]
    return [*pairs, ("type", kind)] if kind not in ("", usual) else pairs


def _triangular_solve(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    options = f.get("triangular_solve_options")
    if options is None:
        return []
    pairs = [(name, "true") for name in ("left_side", "lower", "unit_diagonal") if getattr(options, name)]
    return [*pairs, ("transpose_a", enum_text(options, "transpose_a"))] if options.transpose_a else pairs


def _cholesky(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    return [("lower", "true")] if "cholesky_options" in f and f["cholesky_options"].lower else []


def _channel(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    return [("channel_id", str(f["channel_id"]))] if f.get("channel_id", 0) > 0 else []


def _transfer(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    return [*_channel(f, operands), *_flags(f, "is_host_transfer")]


def _collective(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    return [*_channel(f, operands), ("replica_groups", _groups(f)), *_flags(f, "constrain_layout")]


def _groups(f: Fields) -> str:
    """``{{0,1},{2,3}}``, ``[2,4]<=[4,2]T(1,0)`` or ``mesh['a'=2,'b'=4] {'a'}``."""
    if "mesh_axes_replica_group_list" in f:
        listed = f["mesh_axes_replica_group_list"]
        return f"{mesh_text(listed.mesh)} {axes_text(listed.mesh, listed.axes)}"
    iota = f.get("iota_collective_device_list")
    groups = f.get("replica_groups", ())
    if "collective_device_list" in f:
        listed = f["collective_device_list"]
        iota = listed.iota_replica_group_list if listed.HasField("iota_replica_group_list") else iota
        groups = listed.replica_groups or groups
    if iota is not None:
        order = iota.iota_transpose_perm
        turned = f"T({join(order)})" if len(order) > 1 and list(order) != list(range(len(order))) else ""
        return f"[{iota.num_replica_groups},{iota.num_devices_per_group}]<=[{join(iota.iota_reshape_dims)}]{turned}"
    return f"{{{','.join(_set(group.replica_ids) for group in groups)}}}"


def _all_gather(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    return [*_collective(f, operands), *_dimensions(f, operands), *_flags(f, "use_global_device_ids")]


def _all_reduce(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    return [*_collective(f, operands), *_flags(f, "use_global_device_ids")]


def _reduce_scatter(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    return [*_all_reduce(f, operands), *_dimensions(f, operands)]


def _all_to_all(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    return [*_collective(f, operands), *(_dimensions(f, operands) if "dimensions" in f else ())]


def _permute(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    pairs = ",".join(f"{{{pair.source},{pair.target}}}" for pair in f.get("source_target_pairs", ()))
    sizes = list(f.get("dynamic_slice_sizes", ()))
    found = [*_channel(f, operands), ("source_target_pairs", f"{{{pairs}}}")]
    if sizes:
        rank = operands[0].rank if operands and isinstance(operands[0], TensorType) else None
        step = rank or len(sizes)
        found.append(("slice_sizes", f"{{{','.join(_set(sizes[i : i + step]) for i in range(0, len(sizes), step))}}}"))
    return found


def _slice(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    dims = f.get("slice_dimensions", ())
    strided = any(dim.stride not in (0, 1) for dim in dims)  # 0: not set, as by versions without strides
    texts = (f"[{dim.start}:{dim.limit}{f':{dim.stride or 1}' if strided else ''}]" for dim in dims)
    return [("slice", f"{{{', '.join(texts)}}}")]


def _fusion(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    return [("kind", f.get("fusion_kind", "")), *_aliasing(f)]


def _aliasing(f: Fields) -> Pairs:
    entries = [
        f"{_set(one.output_shape_index)}: ({one.operand_index}, {_set(one.operand_shape_index)})"
        for one in f.get("output_operand_aliasing", ())
    ]
    return [("output_to_operand_aliasing", f"{{{', '.join(entries)}}}")] if entries else []


def _call(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    return [*_flags(f, "is_composite"), *_aliasing(f)]


def _rng(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    names = {0: "rng_invalid", 1: "rng_uniform", 2: "rng_normal"}
    kind = f.get("distribution", 0)
    return [("distribution", names.get(kind, str(kind)))]


def _rng_bits(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    names = {0: "rng_default", 1: "rng_three_fry", 2: "rng_philox"}
    kind = f.get("rng_algorithm", 0)
    return [("algorithm", names.get(kind, str(kind)))]


def _rng_state(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    return [("delta", str(f.get("delta", 0)))]


def _parameter(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    replicated = f["parameter_replication"].replicated_at_leaf_buffers if "parameter_replication" in f else ()
    return [("parameter_replication", f"{{{','.join('true' if one else 'false' for one in replicated)}}}")] if replicated else []


def _element(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    return [("index", str(f.get("tuple_index", 0)))]


def _precision_cut(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    return [("exponent_bits", str(f.get("exponent_bits", 0))), ("mantissa_bits", str(f.get("mantissa_bits", 0)))]


def _infeed(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    return [("infeed_config", quote(f["infeed_config"]))] if f.get("infeed_config") else []


def _outfeed(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    pairs = [("outfeed_shape", shape_text(f["outfeed_shape"]))] if "outfeed_shape" in f else []
    return [*pairs, ("outfeed_config", quote(f["outfeed_config"]))] if f.get("outfeed_config") else pairs


def _window(f: Fields) -> Pairs:
    """``{size=3x3 stride=2x2 pad=0_1x0_1 lhs_dilate=1x1 rhs_dilate=1x1 rhs_reversal=1x0}``."""
    dims = f["window"].dimensions if "window" in f else ()
    if not dims:
        return []
    parts = [f"size={'x'.join(str(d.size) for d in dims)}"]
    for name, field in (("stride", "stride"), ("pad", ""), ("lhs_dilate", "base_dilation"), ("rhs_dilate", "window_dilation")):
        if name == "pad" and any(d.padding_low or d.padding_high for d in dims):
            parts.append(f"pad={'x'.join(f'{d.padding_low}_{d.padding_high}' for d in dims)}")
        elif name != "pad" and any(getattr(d, field) != 1 for d in dims):
            parts.append(f"{name}={'x'.join(str(getattr(d, field)) for d in dims)}")
    if any(d.window_reversal for d in dims):
        parts.append(f"rhs_reversal={'x'.join(str(int(d.window_reversal)) for d in dims)}")
    return [("window", f"{{{' '.join(parts)}}}")]


def _windowed(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    return _window(f)


def _dim_labels(f: Fields) -> Pairs:
    """``b01f_01io->b01f``."""
    if "convolution_dimension_numbers" not in f:
        return []
    n = f["convolution_dimension_numbers"]
    sides = (
        ("b", n.input_batch_dimension, "f", n.input_feature_dimension, n.input_spatial_dimensions),
        ("o", n.kernel_output_feature_dimension, "i", n.kernel_input_feature_dimension, n.kernel_spatial_dimensions),
        ("b", n.output_batch_dimension, "f", n.output_feature_dimension, n.output_spatial_dimensions),
    )
    texts = [_labels({first: at, second: then}, spatial) for first, at, second, then, spatial in sides]
    return [("dim_labels", f"{texts[0]}_{texts[1]}->{texts[2]}")]


def _labels(named: Mapping[str, int], spatial: Sequence[int]) -> str:
    labels = ["?"] * (2 + len(spatial))
    for label, at in (*named.items(), *((str(i), at) for i, at in enumerate(spatial))):
        if 0 <= at < len(labels):
            labels[at] = label
    return "".join(labels)


def _precision(f: Fields) -> Pairs:
    if "precision_config" not in f:
        return []
    config = f["precision_config"]
    pairs: Pairs = []
    if any(config.operand_precision):
        field = config.DESCRIPTOR.fields_by_name["operand_precision"]
        pairs.append(("operand_precision", f"{{{','.join(enum_name(field, n).lower() for n in config.operand_precision)}}}"))
    if config.algorithm:
        pairs.append(("algorithm", enum_text(config, "algorithm").removeprefix("ALG_").lower()))
    return pairs


def _counts(f: Fields) -> Pairs:
    return [(name, str(f[name])) for name in ("feature_group_count", "batch_group_count") if f.get(name, 0) > 1]


def _convolution(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    pairs = [*_window(f), *_dim_labels(f), *_counts(f)]
    if f.get("conv_kind"):
        names = {1: "fprop", 2: "dgrad", 3: "wgrad"}
        pairs.append(("convolution_kind", names.get(f["conv_kind"], str(f["conv_kind"]))))
    return [*pairs, *_precision(f)]


def _custom_call(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    pairs = [*_window(f), *_dim_labels(f), *_counts(f), *_precision(f)]
    if f.get("padding_type"):
        names = {1: "PADDING_VALID", 2: "PADDING_SAME"}
        pairs.append(("padding_type", names.get(f["padding_type"], str(f["padding_type"]))))
    pairs.append(("custom_call_target", quote(f.get("custom_call_target", ""))))
    if f.get("constrain_layout"):
        shapes = ", ".join(shape_text(shape) for shape in f.get("operand_shapes_with_layout", ()))
        pairs.append(("operand_layout_constraints", f"{{{shapes}}}"))
    pairs += _flags(f, "custom_call_has_side_effect")
    if "literal" in f:
        pairs.append(("literal", literal_text(f["literal"])))
    pairs += _aliasing(f)
    if f.get("custom_call_schedule"):
        names = {1: "SCHEDULE_LATEST", 2: "SCHEDULE_EARLIEST"}
        pairs.append(("schedule", names.get(f["custom_call_schedule"], str(f["custom_call_schedule"]))))
    version = f.get("custom_call_api_version", 0)
    if version != 1:
        names = {
            0: "API_VERSION_UNSPECIFIED", 2: "API_VERSION_STATUS_RETURNING",
            3: "API_VERSION_STATUS_RETURNING_UNIFIED", 4: "API_VERSION_TYPED_FFI",
        }  # fmt: skip
        pairs.append(("api_version", names.get(version, str(version))))
    return pairs


def _pad(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    dims = f["padding_config"].dimensions if "padding_config" in f else ()
    interior = any(d.interior_padding for d in dims)
    texts = (f"{d.edge_padding_low}_{d.edge_padding_high}{f'_{d.interior_padding}' if interior else ''}" for d in dims)
    return [("padding", "x".join(texts))]


def _dynamic_slice(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    return [("dynamic_slice_sizes", _set(f.get("dynamic_slice_sizes", ())))]


def _gather(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    pairs: Pairs = []
    if "gather_dimension_numbers" in f:
        n = f["gather_dimension_numbers"]
        pairs = [(name, _set(getattr(n, name))) for name in ("offset_dims", "collapsed_slice_dims", "start_index_map")]
        pairs += [(name, _set(getattr(n, name))) for name in ("operand_batching_dims", "start_indices_batching_dims") if getattr(n, name)]
        pairs.append(("index_vector_dim", str(n.index_vector_dim)))
    return [*pairs, ("slice_sizes", _set(f.get("gather_slice_sizes", ()))), *_flags(f, "indices_are_sorted")]


def _scatter(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    pairs: Pairs = []
    if "scatter_dimension_numbers" in f:
        n = f["scatter_dimension_numbers"]
        pairs = [(name, _set(getattr(n, name))) for name in ("update_window_dims", "inserted_window_dims", "scatter_dims_to_operand_dims")]
        pairs += [(name, _set(getattr(n, name))) for name in ("input_batching_dims", "scatter_indices_batching_dims") if getattr(n, name)]
        pairs.append(("index_vector_dim", str(n.index_vector_dim)))
    return [*pairs, *_flags(f, "indices_are_sorted", "unique_indices")]


def _dot_dims(n: Any) -> Pairs:
    pairs: Pairs = []
    for side in ("lhs", "rhs"):
        batch = getattr(n, f"{side}_batch_dimensions")
        if batch:
            pairs.append((f"{side}_batch_dims", _set(batch)))
        pairs.append((f"{side}_contracting_dims", _set(getattr(n, f"{side}_contracting_dimensions"))))
    return pairs


def _dot(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    return [*(_dot_dims(f["dot_dimension_numbers"]) if "dot_dimension_numbers" in f else ()), *_precision(f)]


def _ragged_dot(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    if "ragged_dot_dimension_numbers" not in f:
        return _precision(f)
    n = f["ragged_dot_dimension_numbers"]
    ragged = [("lhs_ragged_dims", _set(n.lhs_ragged_dimensions)), ("rhs_group_dims", _set(n.rhs_group_dimensions))]
    return [*_dot_dims(n.dot_dimension_numbers), *ragged, *_precision(f)]


def _domain(f: Fields, operands: Sequence[ValueType]) -> Pairs:
    # The message means the operand's side by entry, the text the user's (HloDomainInstruction of hlo_instructions.cc).
    sides = (("entry", f.get("domain_exit_sharding")), ("exit", f.get("domain_entry_sharding")))
    texts = ['kind="sharding"', *(f"{word}={sharding_text(one, metadata_text)}" for word, one in sides if one is not None)]
    return [("domain", f"{{{', '.join(texts)}}}")]


_Writer: TypeAlias = Callable[[Fields, Sequence[ValueType]], Pairs]
_NO_MORE: tuple[_Writer, frozenset[str]] = (_nothing, _COMMON | _UNSAID)
_GROUPS = (
    "channel_id", "replica_groups", "collective_device_list", "iota_collective_device_list", "mesh_axes_replica_group_list",
    "constrain_layout", "use_global_device_ids", "dimensions",
)  # fmt: skip
_CONVOLVED = ("window", "convolution_dimension_numbers", "feature_group_count", "batch_group_count", "precision_config")

_WRITERS: tuple[tuple[_Writer, tuple[str, ...], tuple[str, ...]], ...] = (
    (_dimensions, ("broadcast", "concatenate", "reduce", "reverse", "transpose", "map", "get-dimension-size", "set-dimension-size"),
     ("dimensions",)),
    (_sort, ("sort",), ("dimensions", "is_stable")),
    (_scan, ("scan",), ("dimensions", "is_reverse", "num_carries", "is_associative")),
    (_topk, ("topk",), ("k", "largest", "is_stable")),
    (_iota, ("iota",), ("dimensions",)),
    (_reshape, ("reshape",), ("dimensions",)),
    (_batch_norm, ("batch-norm-training", "batch-norm-inference", "batch-norm-grad"), ("epsilon", "feature_index")),
    (_fft, ("fft",), ("fft_type", "fft_length")),
    (_async, ("async-start", "async-update", "async-done"), ("async_execution_thread",)),
    (_copy_start, ("copy-start",), ("cross_program_prefetch_index",)),
    (_compare, ("compare",), ("comparison_direction",)),
    (_triangular_solve, ("triangular-solve",), ("triangular_solve_options",)),
    (_cholesky, ("cholesky",), ("cholesky_options",)),
    (_transfer, ("send", "send-done", "recv", "recv-done"), ("channel_id", "is_host_transfer")),
    (_collective, ("collective-broadcast",), _GROUPS),
    (_all_gather, ("all-gather", "all-gather-start"), _GROUPS),
    (_all_reduce, ("all-reduce", "all-reduce-start"), _GROUPS),
    (_reduce_scatter, ("reduce-scatter",), _GROUPS),
    (_all_to_all, ("all-to-all", "ragged-all-to-all"), _GROUPS),
    (_permute, ("collective-permute", "collective-permute-start"), ("channel_id", "source_target_pairs", "dynamic_slice_sizes")),
    (_slice, ("slice",), ("slice_dimensions",)),
    (_fusion, ("fusion",), ("fusion_kind", "output_operand_aliasing")),
    (_call, ("call",), ("is_composite", "output_operand_aliasing")),
    (_rng, ("rng",), ("distribution",)),
    (_rng_bits, ("rng-bit-generator",), ("rng_algorithm",)),
    (_rng_state, ("rng-get-and-update-state",), ("delta",)),
    (_parameter, ("parameter",), ("parameter_replication",)),
    (_element, ("get-tuple-element",), ("tuple_index",)),
    (_precision_cut, ("reduce-precision",), ("exponent_bits", "mantissa_bits")),
    (_infeed, ("infeed",), ("infeed_config",)),
    (_outfeed, ("outfeed",), ("outfeed_shape", "outfeed_config")),
    (_windowed, ("reduce-window", "select-and-scatter"), ("window",)),
    (_convolution, ("convolution",), (*_CONVOLVED, "conv_kind")),
    (_custom_call, ("custom-call",), (
        *_CONVOLVED, "padding_type", "custom_call_target", "constrain_layout", "operand_shapes_with_layout", "custom_call_has_side_effect",
        "output_operand_aliasing", "custom_call_schedule", "custom_call_api_version")),
    (_pad, ("pad",), ("padding_config",)),
    (_dynamic_slice, ("dynamic-slice",), ("dynamic_slice_sizes",)),
    (_gather, ("gather",), ("gather_dimension_numbers", "gather_slice_sizes", "indices_are_sorted")),
    (_scatter, ("scatter",), ("scatter_dimension_numbers", "indices_are_sorted", "unique_indices")),
    (_dot, ("dot", "scaled-dot"), ("dot_dimension_numbers", "precision_config")),
    (_ragged_dot, ("ragged-dot",), ("ragged_dot_dimension_numbers", "dot_dimension_numbers", "precision_config")),
    (_domain, ("domain",), ("domain_entry_sharding", "domain_exit_sharding")),
)  # fmt: skip
_OPERATIONS: dict[str, tuple[_Writer, frozenset[str]]] = {
    opcode: (write, frozenset(known) | _COMMON | _UNSAID) for write, opcodes, known in _WRITERS for opcode in opcodes
}
