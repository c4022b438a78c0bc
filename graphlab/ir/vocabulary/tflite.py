"""Vocabulary of TensorFlow Lite's builtin operators: their ONNX counterparts and effects.

An operator with a fused activation, or of other ranks than its counterpart takes, has none: the reader says.
"""

from __future__ import annotations

_SAME = {
    # elementwise
    "ADD": "Add", "SUB": "Sub", "MUL": "Mul", "DIV": "Div", "FLOOR_MOD": "Mod", "POW": "Pow", "ABS": "Abs", "NEG": "Neg", "EXP": "Exp",
    "LOG": "Log", "SQRT": "Sqrt", "SIN": "Sin", "COS": "Cos", "TANH": "Tanh", "LOGISTIC": "Sigmoid", "FLOOR": "Floor", "CEIL": "Ceil",
    "ROUND": "Round", "SIGN": "Sign", "MAXIMUM": "Max", "MINIMUM": "Min", "ADD_N": "Sum", "CAST": "Cast", "BITCAST": "BitCast",
    "EQUAL": "Equal", "GREATER": "Greater", "GREATER_EQUAL": "GreaterOrEqual", "LESS": "Less", "LESS_EQUAL": "LessOrEqual",
    "LOGICAL_AND": "And", "LOGICAL_OR": "Or", "LOGICAL_NOT": "Not", "BITWISE_XOR": "BitwiseXor", "SELECT_V2": "Where", "SELECT": "Where",
    # activations
    "RELU": "Relu", "RELU6": "Clip", "RELU_N1_TO_1": "Clip", "RELU_0_TO_1": "Clip", "LEAKY_RELU": "LeakyRelu", "PRELU": "PRelu",
    "ELU": "Elu", "GELU": "Gelu", "HARD_SWISH": "HardSwish", "SOFTMAX": "Softmax", "LOG_SOFTMAX": "LogSoftmax",
    # shape and movement
    "RESHAPE": "Reshape", "TRANSPOSE": "Transpose", "SQUEEZE": "Squeeze", "EXPAND_DIMS": "Unsqueeze", "CONCATENATION": "Concat",
    "SPLIT": "Split", "SPLIT_V": "Split", "PACK": "ConcatFromSequence", "SLICE": "Slice", "STRIDED_SLICE": "Slice", "GATHER": "Gather",
    "GATHER_ND": "GatherND", "SCATTER_ND": "ScatterND", "PAD": "Pad", "PADV2": "Pad", "MIRROR_PAD": "Pad", "TILE": "Tile",
    "BROADCAST_TO": "Expand", "FILL": "Expand", "SHAPE": "Shape", "ONE_HOT": "OneHot", "RANGE": "Range", "WHERE": "NonZero",
    "REVERSE_SEQUENCE": "ReverseSequence", "DEPTH_TO_SPACE": "DepthToSpace", "SPACE_TO_DEPTH": "SpaceToDepth", "TOPK_V2": "TopK",
    "UNIQUE": "Unique", "RESIZE_BILINEAR": "Resize", "RESIZE_NEAREST_NEIGHBOR": "Resize", "EMBEDDING_LOOKUP": "Gather",
    # reductions
    "SUM": "ReduceSum", "MEAN": "ReduceMean", "REDUCE_MAX": "ReduceMax", "REDUCE_MIN": "ReduceMin", "REDUCE_PROD": "ReduceProd",
    "ARG_MAX": "ArgMax", "ARG_MIN": "ArgMin", "CUMSUM": "CumSum",
    # linear algebra and layers
    "BATCH_MATMUL": "MatMul", "FULLY_CONNECTED": "Gemm", "CONV_2D": "Conv", "DEPTHWISE_CONV_2D": "Conv", "CONV_3D": "Conv",
    "TRANSPOSE_CONV": "ConvTranspose", "CONV_3D_TRANSPOSE": "ConvTranspose", "MAX_POOL_2D": "MaxPool", "AVERAGE_POOL_2D": "AveragePool",
    "L2_POOL_2D": "LpPool", "LOCAL_RESPONSE_NORMALIZATION": "LRN", "L2_NORMALIZATION": "LpNormalization",
    "QUANTIZE": "QuantizeLinear", "DEQUANTIZE": "DequantizeLinear",
    # control, random
    "IF": "If", "WHILE": "Loop", "RANDOM_UNIFORM": "RandomUniform", "RANDOM_STANDARD_NORMAL": "RandomNormal", "MULTINOMIAL": "Multinomial",
    # StableHLO's operations
    "STABLEHLO_LOGISTIC": "Sigmoid", "STABLEHLO_ADD": "Add", "STABLEHLO_DIVIDE": "Div", "STABLEHLO_MULTIPLY": "Mul",
    "STABLEHLO_MAXIMUM": "Max", "STABLEHLO_MINIMUM": "Min", "STABLEHLO_SUBTRACT": "Sub", "STABLEHLO_POWER": "Pow",
    "STABLEHLO_RESHAPE": "Reshape", "STABLEHLO_CLAMP": "Clip", "STABLEHLO_CONCATENATE": "Concat", "STABLEHLO_ABS": "Abs",
    "STABLEHLO_COSINE": "Cos", "STABLEHLO_EXPONENTIAL": "Exp", "STABLEHLO_FLOOR": "Floor", "STABLEHLO_LOG": "Log",
    "STABLEHLO_NEGATE": "Neg", "STABLEHLO_SELECT": "Where", "STABLEHLO_TANH": "Tanh", "STABLEHLO_CONVERT": "Cast",
    "STABLEHLO_TRANSPOSE": "Transpose", "STABLEHLO_SLICE": "Slice", "STABLEHLO_WHILE": "Loop",
}  # fmt: skip

CANONICAL: dict[str, str] = {f"tflite.{name}": onnx for name, onnx in _SAME.items()}

EFFECTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("tflite.RANDOM_UNIFORM", "tflite.RANDOM_STANDARD_NORMAL", "tflite.MULTINOMIAL"), ("random",)),
    **dict.fromkeys(("tflite.READ_VARIABLE", "tflite.HASHTABLE_FIND", "tflite.HASHTABLE_SIZE"), ("reads_state",)),
    **dict.fromkeys(("tflite.ASSIGN_VARIABLE", "tflite.HASHTABLE_IMPORT"), ("writes_state",)),
    **dict.fromkeys(("tflite.STABLEHLO_CUSTOM_CALL", "tflite.DELEGATE"), ("opaque",)),
}

CUSTOM_PURE: frozenset[str] = frozenset({
    # tensorflow/lite/kernels/register.cc and custom_ops_register.h, tflite-micro's signal library
    "TFLite_Detection_PostProcess", "Mfcc", "AudioSpectrogram", "NumericVerify", "AvgPool3D", "MaxPool3D", "Irfft2d", "Roll",
    "MaxPoolingWithArgmax2D", "MaxUnpooling2D", "Convolution2DTransposeBias", "Atan2", "SignalRfft", "SignalIrfft", "SignalWindow",
    "SignalFftAutoScale", "SignalEnergy", "SignalFilterBank", "SignalFilterBankSquareRoot", "SignalFilterBankLog",
})  # fmt: skip
"""Custom operators that come with TensorFlow Lite and depend on their operands alone."""
