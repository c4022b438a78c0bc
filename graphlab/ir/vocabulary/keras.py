"""Vocabulary of Keras layers: their ONNX counterparts, effects, and which classes are Keras's own.

A layer with an activation in it, or settings that its counterpart has not, has none: the reader says. Layers are as a model
calls them to predict: what only training does (dropout, noise) has no effect.
"""

from __future__ import annotations

_SAME = {
    "Conv1D": "Conv", "Conv2D": "Conv", "Conv3D": "Conv", "Convolution1D": "Conv", "Convolution2D": "Conv", "Convolution3D": "Conv",
    "DepthwiseConv1D": "Conv", "DepthwiseConv2D": "Conv", "AtrousConvolution2D": "Conv",
    "Conv1DTranspose": "ConvTranspose", "Conv2DTranspose": "ConvTranspose", "Conv3DTranspose": "ConvTranspose",
    "Deconvolution2D": "ConvTranspose",
    "Dense": "Gemm", "Embedding": "Gather", "BatchNormalization": "BatchNormalization", "LayerNormalization": "LayerNormalization",
    "RMSNormalization": "RMSNormalization", "GroupNormalization": "GroupNormalization",
    "LSTM": "LSTM", "GRU": "GRU", "SimpleRNN": "RNN", "CuDNNLSTM": "LSTM", "CuDNNGRU": "GRU",
    "LeakyReLU": "LeakyRelu", "PReLU": "PRelu", "ELU": "Elu", "ThresholdedReLU": "ThresholdedRelu", "Softmax": "Softmax",
    "MaxPooling1D": "MaxPool", "MaxPooling2D": "MaxPool", "MaxPooling3D": "MaxPool",
    "AveragePooling1D": "AveragePool", "AveragePooling2D": "AveragePool", "AveragePooling3D": "AveragePool",
    "Flatten": "Flatten", "Reshape": "Reshape", "Permute": "Transpose", "Concatenate": "Concat",
    "ZeroPadding1D": "Pad", "ZeroPadding2D": "Pad", "ZeroPadding3D": "Pad", "Cropping1D": "Slice", "Cropping2D": "Slice",
    "Cropping3D": "Slice", "UpSampling1D": "Resize", "UpSampling2D": "Resize", "UpSampling3D": "Resize",
    "Add": "Sum", "Subtract": "Sub", "Multiply": "Mul", "Average": "Mean", "Maximum": "Max", "Minimum": "Min",
    "Dropout": "Dropout", "SpatialDropout1D": "Dropout", "SpatialDropout2D": "Dropout", "SpatialDropout3D": "Dropout",
    "Identity": "Identity", "ActivityRegularization": "Identity",
    # operations on tensors in a Functional model of Keras 3
    "ops.Add": "Add", "ops.Subtract": "Sub", "ops.Multiply": "Mul", "ops.Divide": "Div", "ops.TrueDivide": "Div", "ops.Power": "Pow",
    "ops.Negative": "Neg", "ops.Absolute": "Abs", "ops.Exp": "Exp", "ops.Log": "Log", "ops.Sqrt": "Sqrt", "ops.Sin": "Sin",
    "ops.Cos": "Cos", "ops.Tanh": "Tanh", "ops.Sigmoid": "Sigmoid", "ops.Relu": "Relu", "ops.Softmax": "Softmax", "ops.Elu": "Elu",
    "ops.Gelu": "Gelu", "ops.Matmul": "MatMul", "ops.Reshape": "Reshape", "ops.Transpose": "Transpose", "ops.Concatenate": "Concat",
    "ops.Squeeze": "Squeeze", "ops.ExpandDims": "Unsqueeze", "ops.Sum": "ReduceSum", "ops.Mean": "ReduceMean", "ops.Max": "ReduceMax",
    "ops.Min": "ReduceMin", "ops.Prod": "ReduceProd", "ops.Argmax": "ArgMax", "ops.Argmin": "ArgMin", "ops.Maximum": "Max",
    "ops.Minimum": "Min", "ops.Where": "Where", "ops.Cast": "Cast", "ops.Equal": "Equal", "ops.Greater": "Greater", "ops.Less": "Less",
    "ops.GreaterEqual": "GreaterOrEqual", "ops.LessEqual": "LessOrEqual", "ops.LogicalNot": "Not", "ops.LogicalAnd": "And",
    "ops.LogicalOr": "Or", "ops.Einsum": "Einsum", "ops.Tile": "Tile", "ops.Floor": "Floor", "ops.Ceil": "Ceil", "ops.Clip": "Clip",
}  # fmt: skip


def _words(text: str) -> list[str]:
    return text.split()


CANONICAL: dict[str, str] = {f"keras.{name}": onnx for name, onnx in _SAME.items()}

ACTIVATIONS: dict[str, str] = {
    "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softmax": "Softmax", "elu": "Elu", "selu": "Selu", "softplus": "Softplus",
    "softsign": "Softsign", "hard_sigmoid": "HardSigmoid", "log_softmax": "LogSoftmax", "leaky_relu": "LeakyRelu", "gelu": "Gelu",
    "linear": "Identity", "exponential": "Exp", "mish": "Mish",
}  # fmt: skip
"""An activation's name → ONNX operator; of ``Activation`` and the layers that have one of their own."""

_RANDOM = _words("""
    RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast RandomCrop RandomElasticTransform RandomErasing
    RandomFlip RandomGaussianBlur RandomGrayscale RandomHeight RandomHue RandomInvert RandomPerspective RandomPosterization
    RandomRotation RandomSaturation RandomSharpness RandomShear RandomTranslation RandomWidth RandomZoom RandAugment AugMix CutMix
    MixUp
""")

EFFECTS: dict[str, tuple[str, ...]] = {
    **{f"keras.{name}": ("random",) for name in _RANDOM},  # augmentation is on unless the call turns it off
    "keras.Lambda": ("opaque",), "keras.TorchModuleWrapper": ("opaque",), "keras.TFSMLayer": ("opaque",), "keras.JaxLayer": ("opaque",),
    "keras.FlaxLayer": ("opaque",),
}  # fmt: skip

KNOWN: frozenset[str] = frozenset(_words("""
    InputLayer Masking SeparableConv1D SeparableConv2D SeparableConvolution1D SeparableConvolution2D Activation ReLU
    GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
    AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D AdaptiveMaxPooling1D AdaptiveMaxPooling2D
    AdaptiveMaxPooling3D RepeatVector Dot Merge GaussianNoise GaussianDropout AlphaDropout Lambda EinsumDense RNN StackedRNNCells
    LSTMCell GRUCell SimpleRNNCell ConvLSTM1D ConvLSTM2D ConvLSTM3D Bidirectional TimeDistributed Wrapper SpectralNormalization
    MultiHeadAttention GroupQueryAttention GroupedQueryAttention Attention AdditiveAttention LocallyConnected1D LocallyConnected2D
    UnitNormalization Normalization Discretization CategoryEncoding Hashing HashedCrossing IntegerLookup StringLookup
    TextVectorization Rescaling Resizing CenterCrop Solarization AutoContrast Equalization
    ContrastLimitedAdaptiveHistogramEqualization MaxNumBoundingBoxes STFTSpectrogram MelSpectrogram Pipeline TensorFlowOpLayer
    AddLoss AddMetric TFOpLambda SlicingOpLambda ClassMethod InstanceProperty InstanceMethod DenseFeatures MaxoutDense Highway
    TimeDistributedDense ReversibleEmbedding DiscreteVectorQuantizer
""")) | {name for name in (*_SAME, *_RANDOM) if "." not in name}  # fmt: skip
"""Keras's own layer classes, of versions 1 to 3: those of other names are somebody's own."""
