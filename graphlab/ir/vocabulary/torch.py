"""Vocabulary of the torch ops: their ONNX counterparts and effects.

One set of names serves four dialects: ``aten.add`` (exported and TorchScript), ``torch.add`` and
``torch.nn.functional.add`` (fx functions), ``method.add`` (fx methods). A key may name one overload
(``aten.max.other``); without, it holds for all of them.
"""

from __future__ import annotations

# torch name -> ONNX operator, one element in, one element out; torch has each in place too (``relu_``)
_ELEMENTWISE: dict[str, str] = {
    "abs": "Abs", "absolute": "Abs", "acos": "Acos", "acosh": "Acosh", "asin": "Asin", "asinh": "Asinh", "atan": "Atan",
    "atanh": "Atanh", "ceil": "Ceil", "cos": "Cos", "cosh": "Cosh", "erf": "Erf", "exp": "Exp", "floor": "Floor", "log": "Log",
    "neg": "Neg", "negative": "Neg", "reciprocal": "Reciprocal", "round": "Round", "sigmoid": "Sigmoid", "sign": "Sign",
    "sin": "Sin", "sinh": "Sinh", "sqrt": "Sqrt", "tan": "Tan", "tanh": "Tanh", "logical_not": "Not", "bitwise_not": "BitwiseNot",
    "relu": "Relu", "leaky_relu": "LeakyRelu", "elu": "Elu", "selu": "Selu", "celu": "Celu", "gelu": "Gelu", "silu": "Swish",
    "mish": "Mish", "hardswish": "HardSwish", "hardsigmoid": "HardSigmoid", "hardtanh": "Clip", "relu6": "Clip", "clamp": "Clip",
    "clip": "Clip", "clamp_min": "Clip", "clamp_max": "Clip", "softplus": "Softplus", "softsign": "Softsign",
    "add": "Add", "sub": "Sub", "subtract": "Sub", "mul": "Mul", "multiply": "Mul", "div": "Div", "divide": "Div",
    "true_divide": "Div", "pow": "Pow", "remainder": "Mod", "fmod": "Mod",
    "logical_and": "And", "logical_or": "Or", "logical_xor": "Xor",
    "bitwise_and": "BitwiseAnd", "bitwise_or": "BitwiseOr", "bitwise_xor": "BitwiseXor",
    "eq": "Equal", "lt": "Less", "less": "Less", "le": "LessOrEqual", "less_equal": "LessOrEqual",
    "gt": "Greater", "greater": "Greater", "ge": "GreaterOrEqual", "greater_equal": "GreaterOrEqual",
    "cumsum": "CumSum", "tril": "Trilu", "triu": "Trilu",
}  # fmt: skip

_OTHERS: dict[str, str] = {
    # a linear layer is ONNX's Gemm with transB=1 where its input is a matrix: the readers look
    "mm": "MatMul", "bmm": "MatMul", "matmul": "MatMul", "addmm": "Gemm", "linear": "Gemm", "einsum": "Einsum", "det": "Det",
    "conv1d": "Conv", "conv2d": "Conv", "conv3d": "Conv",
    "conv_transpose1d": "ConvTranspose", "conv_transpose2d": "ConvTranspose", "conv_transpose3d": "ConvTranspose",
    "max_pool1d": "MaxPool", "max_pool2d": "MaxPool", "max_pool3d": "MaxPool",
    "avg_pool1d": "AveragePool", "avg_pool2d": "AveragePool", "avg_pool3d": "AveragePool",
    "batch_norm": "BatchNormalization", "_native_batch_norm_legit_no_training": "BatchNormalization",
    "instance_norm": "InstanceNormalization", "layer_norm": "LayerNormalization", "native_layer_norm": "LayerNormalization",
    "group_norm": "GroupNormalization", "native_group_norm": "GroupNormalization", "rms_norm": "RMSNormalization",
    "softmax": "Softmax", "_softmax": "Softmax", "log_softmax": "LogSoftmax", "_log_softmax": "LogSoftmax",
    "scaled_dot_product_attention": "Attention", "lstm": "LSTM", "gru": "GRU", "prelu": "PRelu", "_prelu_kernel": "PRelu",
    "dropout": "Dropout", "native_dropout": "Dropout",
    "nll_loss": "NegativeLogLikelihoodLoss", "cross_entropy_loss": "SoftmaxCrossEntropyLoss", "cross_entropy": "SoftmaxCrossEntropyLoss",
    "maximum": "Max", "minimum": "Min", "amax": "ReduceMax", "amin": "ReduceMin", "argmax": "ArgMax", "argmin": "ArgMin",
    "sum": "ReduceSum", "mean": "ReduceMean", "prod": "ReduceProd", "logsumexp": "ReduceLogSumExp", "topk": "TopK",
    "view": "Reshape", "_unsafe_view": "Reshape", "reshape": "Reshape", "view_copy": "Reshape",
    "transpose": "Transpose", "permute": "Transpose", "t": "Transpose", "numpy_T": "Transpose", "adjoint": "Transpose",
    "transpose_copy": "Transpose", "permute_copy": "Transpose", "swapaxes": "Transpose",
    "squeeze": "Squeeze", "unsqueeze": "Unsqueeze", "squeeze_copy": "Squeeze", "unsqueeze_copy": "Unsqueeze",
    "cat": "Concat", "concat": "Concat", "split": "Split", "split_with_sizes": "Split", "slice": "Slice", "narrow": "Slice",
    "expand": "Expand", "broadcast_to": "Expand", "repeat": "Tile", "tile": "Tile", "pad": "Pad", "constant_pad_nd": "Pad",
    "select": "Gather", "index_select": "Gather", "embedding": "Gather", "gather": "GatherElements", "scatter": "ScatterElements",
    "nonzero": "NonZero", "isnan": "IsNaN", "isinf": "IsInf", "pixel_shuffle": "DepthToSpace", "grid_sampler": "GridSample",
    "upsample_nearest1d": "Resize", "upsample_nearest2d": "Resize", "upsample_nearest3d": "Resize", "upsample_linear1d": "Resize",
    "upsample_bilinear2d": "Resize", "upsample_bicubic2d": "Resize", "upsample_trilinear3d": "Resize", "interpolate": "Resize",
    "_to_copy": "Cast", "type_as": "CastLike", "float": "Cast", "half": "Cast", "double": "Cast", "long": "Cast",
    "clone": "Identity", "alias": "Identity", "detach": "Identity", "contiguous": "Identity", "lift_fresh_copy": "Identity",
    "full": "ConstantOfShape", "zeros": "ConstantOfShape", "ones": "ConstantOfShape", "arange": "Range",
    "rand": "RandomUniform", "randn": "RandomNormal", "rand_like": "RandomUniformLike", "randn_like": "RandomNormalLike",
    "bernoulli": "Bernoulli", "multinomial": "Multinomial",
}  # fmt: skip

# names of one dialect only, or overloads that mean something else
_EXACT: dict[str, str] = {
    "aten.where.self": "Where", "aten.where.ScalarOther": "Where", "aten.where.ScalarSelf": "Where", "aten.where.Scalar": "Where",
    "aten.max.other": "Max", "aten.min.other": "Min", "aten.max.default": "ReduceMax", "aten.min.default": "ReduceMin",
    "aten.to.dtype": "Cast", "aten.to.dtype_layout": "Cast", "aten.detach_": "Identity",
    "operator.add": "Add", "operator.sub": "Sub", "operator.mul": "Mul", "operator.truediv": "Div", "operator.pow": "Pow",
    "operator.neg": "Neg", "operator.mod": "Mod", "operator.matmul": "MatMul", "operator.abs": "Abs",
    "operator.eq": "Equal", "operator.lt": "Less", "operator.le": "LessOrEqual", "operator.gt": "Greater",
    "operator.ge": "GreaterOrEqual", "operator.iadd": "Add", "operator.isub": "Sub", "operator.imul": "Mul",
    "higher_order.cond": "If", "higher_order.while_loop": "Loop", "higher_order.scan": "Scan",
    "prim.If": "If", "prim.Loop": "Loop", "prim.ListConstruct": "SequenceConstruct",
    "aten.__and__": "And", "aten.__or__": "Or", "aten.__not__": "Not", "aten.__getitem__.t": "SequenceAt",
}  # fmt: skip

# classes that fx calls as one operation, by their module under torch.nn.modules
_MODULES: dict[str, dict[str, str]] = {
    "linear": {"Linear": "Gemm", "Identity": "Identity"},
    "conv": {
        **dict.fromkeys(("Conv1d", "Conv2d", "Conv3d"), "Conv"),
        **dict.fromkeys(("ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"), "ConvTranspose"),
    },
    "batchnorm": dict.fromkeys(("BatchNorm1d", "BatchNorm2d", "BatchNorm3d"), "BatchNormalization"),
    "instancenorm": dict.fromkeys(("InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"), "InstanceNormalization"),
    "normalization": {"LayerNorm": "LayerNormalization", "GroupNorm": "GroupNormalization", "RMSNorm": "RMSNormalization"},
    "pooling": {
        **dict.fromkeys(("MaxPool1d", "MaxPool2d", "MaxPool3d"), "MaxPool"),
        **dict.fromkeys(("AvgPool1d", "AvgPool2d", "AvgPool3d"), "AveragePool"),
    },
    "activation": {
        "ReLU": "Relu", "LeakyReLU": "LeakyRelu", "ELU": "Elu", "SELU": "Selu", "CELU": "Celu", "GELU": "Gelu", "SiLU": "Swish",
        "Mish": "Mish", "Hardswish": "HardSwish", "Hardsigmoid": "HardSigmoid", "Hardtanh": "Clip", "ReLU6": "Clip", "PReLU": "PRelu",
        "Sigmoid": "Sigmoid", "Tanh": "Tanh", "Softmax": "Softmax", "LogSoftmax": "LogSoftmax", "Softplus": "Softplus",
        "Softsign": "Softsign",
    },
    "dropout": {"Dropout": "Dropout"},
    "sparse": {"Embedding": "Gather"},
    "pixelshuffle": {"PixelShuffle": "DepthToSpace"},
    "upsampling": {"Upsample": "Resize", "UpsamplingNearest2d": "Resize", "UpsamplingBilinear2d": "Resize"},
    "rnn": {"LSTM": "LSTM", "GRU": "GRU", "RNN": "RNN"},
    "loss": {"CrossEntropyLoss": "SoftmaxCrossEntropyLoss", "NLLLoss": "NegativeLogLikelihoodLoss"},
}  # fmt: skip

_DIALECTS = ("aten", "torch", "torch.nn.functional", "method")

CANONICAL: dict[str, str] = {
    **{f"{dialect}.{name}": onnx for dialect in _DIALECTS for name, onnx in {**_ELEMENTWISE, **_OTHERS}.items()},
    **{f"{dialect}.{name}_": onnx for dialect in _DIALECTS for name, onnx in _ELEMENTWISE.items()},
    **{f"torch.nn.modules.{module}.{name}": onnx for module, names in _MODULES.items() for name, onnx in names.items()},
    **_EXACT,
}

_RANDOM = (
    "rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like", "bernoulli", "multinomial", "normal", "poisson",
    "binomial", "dropout", "native_dropout", "alpha_dropout", "feature_dropout", "feature_alpha_dropout", "dropout1d", "dropout2d",
    "dropout3d", "rrelu", "gumbel_softmax",
)  # fmt: skip
_RANDOM_IN_PLACE = (
    "bernoulli_", "cauchy_", "exponential_", "geometric_", "log_normal_", "normal_", "random_", "uniform_", "dropout_",
    "alpha_dropout_", "feature_dropout_", "rrelu_",
)  # fmt: skip
_HOST = ("item", "tolist", "numpy", "_local_scalar_dense", "equal", "is_nonzero")
_COLLECTIVES = (
    "all_reduce", "all_reduce_", "all_gather_into_tensor", "all_gather_into_tensor_coalesced", "all_reduce_coalesced",
    "all_to_all_single", "reduce_scatter_tensor", "reduce_scatter_tensor_coalesced", "broadcast", "broadcast_", "wait_tensor",
    "allreduce_", "allgather_", "alltoall_", "barrier", "gather_", "scatter_", "send", "recv_", "reduce_", "reduce_scatter_",
)  # fmt: skip
_ASSERTS = (
    "aten._assert_async", "aten._assert_scalar", "aten._assert_tensor_metadata", "aten._print", "aten.sym_constrain_range",
    "aten.sym_constrain_range_for_size", "torch._assert", "prim.Print", "prim.RaiseException",
)  # fmt: skip

EFFECTS: dict[str, tuple[str, ...]] = {
    **{f"{dialect}.{name}": ("random",) for dialect in _DIALECTS for name in _RANDOM},
    **{f"{dialect}.{name}": ("random", "writes_state") for dialect in _DIALECTS for name in _RANDOM_IN_PLACE},
    **{f"{dialect}.{name}": ("host",) for dialect in ("aten", "torch", "method") for name in _HOST},
    **{f"{dialect}.{name}": ("collective",) for dialect in ("_c10d_functional", "c10d") for name in _COLLECTIVES},
    **dict.fromkeys(_ASSERTS, ("io",)),
    **{f"aten.{name}": ("host",) for name in ("Bool.Tensor", "Int.Tensor", "Float.Tensor", "Complex.Tensor")},
    **{f"aten.{name}Implicit": ("host",) for name in ("Int", "Float", "Complex", "Scalar")},
    **dict.fromkeys(("prim.rpc_async", "prim.rpc_sync", "prim.rpc_remote"), ("collective",)),
    **{f"torch.nn.modules.dropout.{name}": ("random",) for name in (
        "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout")},
    "torch.nn.modules.activation.RReLU": ("random",),
    **{f"torch.nn.modules.batchnorm.{name}": ("writes_state",) for name in ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm")},
    **{f"operator.{name}": ("writes_state",) for name in (
        "setitem", "delitem", "iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow", "imatmul", "iand", "ior", "ixor")},
    "prim.SetAttr": ("writes_state",),
    "prim.GetAttr": ("reads_state",),
    "prim.PythonOp": ("opaque",),
    "higher_order.auto_functionalized": ("opaque",),
    "higher_order.auto_functionalized_v2": ("opaque",),
    "higher_order.with_effects": ("opaque",),
    "higher_order.call_torchbind": ("opaque",),
    "higher_order.triton_kernel_wrapper_mutation": ("opaque",),
    "higher_order.triton_kernel_wrapper_functional": ("opaque",),
}  # fmt: skip

EFFECT_IF: dict[str, tuple[str, str]] = {
    **{f"aten.{name}": ("train", "random") for name in (
        "dropout", "dropout_", "native_dropout", "alpha_dropout", "alpha_dropout_", "feature_dropout", "feature_dropout_",
        "feature_alpha_dropout")},
    **{f"torch.nn.functional.{name}": ("training", "random") for name in (
        "dropout", "alpha_dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout", "rrelu")},
    "aten.rrelu": ("training", "random"),
    "aten.rrelu_with_noise": ("training", "random"),
    "aten.scaled_dot_product_attention": ("dropout_p", "random"),
    "torch.nn.functional.scaled_dot_product_attention": ("dropout_p", "random"),
    "aten.lstm": ("dropout", "random"),
    "aten.gru": ("dropout", "random"),
    # with running statistics, which torch's schema does not say are written
    "aten.batch_norm": ("training", "writes_state"),
    "aten.native_batch_norm": ("training", "writes_state"),
    "torch.nn.functional.batch_norm": ("training", "writes_state"),
}  # fmt: skip
"""Operation → (argument, effect): it has the effect only where that argument is on."""
