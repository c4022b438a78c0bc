"""Operations that ask what a value is (its shape, rank, type, device, length), never what it holds.

A branch on their result is decided when shapes are known, a branch on anything else only when values are.
"""

from __future__ import annotations

QUERIES: frozenset[str] = frozenset({
    # TorchScript: torch/csrc/jit/runtime/register_prim_ops.cpp, and the aten size queries of native_functions.yaml
    "aten::size", "aten::dim", "aten::ndimension", "aten::numel", "aten::len", "aten::stride", "aten::element_size",
    "aten::is_floating_point", "aten::is_complex", "aten::is_contiguous", "aten::is_cuda", "aten::storage_offset",
    "aten::sym_size", "aten::sym_numel", "aten::_shape_as_tensor", "aten::__isnot__", "aten::__is__",
    "prim::shape", "prim::dtype", "prim::device", "prim::layout", "prim::is_cuda", "prim::is_cpu", "prim::is_nested",
    "prim::is_sparse", "prim::is_quantized", "prim::is_mkldnn", "prim::is_meta", "prim::is_mps", "prim::is_xla", "prim::isinstance",
    "prim::requires_grad", "prim::type",
    # torch.export and fx
    "aten.size.int", "aten.size.default", "aten.sym_size.int", "aten.sym_size.default", "aten.sym_numel.default",
    "aten.sym_stride.int", "aten.numel.default", "aten.dim.default", "method.size", "method.dim", "method.numel", "method.ndimension",
    "method.is_floating_point", "method.element_size", "torch.is_floating_point", "torch.numel",
    # TensorFlow: core/ops/array_ops.cc
    "tf.Shape", "tf.ShapeN", "tf.Size", "tf.Rank", "tf.TensorListLength", "tf.TensorArraySizeV3",
    # TensorFlow Lite
    "tflite.SHAPE", "tflite.RANK",
    # HLO, StableHLO
    "hlo.get-dimension-size", "stablehlo.get_dimension_size", "shape.shape_of", "shape.rank", "tensor.dim",
})  # fmt: skip
"""Of each, the first operand is only asked about; the others (which dimension) are used by value."""

SIZES: frozenset[str] = frozenset({
    "aten::size", "aten::sym_size", "aten::_shape_as_tensor", "prim::shape", "aten.size.int", "aten.size.default", "aten.sym_size.int",
    "aten.sym_size.default", "method.size", "tf.Shape", "tflite.SHAPE",
    "hlo.get-dimension-size", "stablehlo.get_dimension_size", "shape.shape_of",
    "tensor.dim",
})  # fmt: skip
"""Of the queries, those that ask for the shape, or for one dimension of it."""
