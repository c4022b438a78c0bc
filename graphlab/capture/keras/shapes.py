"""Dims of a layer's result from those of what it takes, for layers whose config settles them; all others stay unknown.

Formulas: the layers' ``compute_output_shape`` in Keras 3, whose results the tests compare.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, TypeAlias

from graphlab.capture.keras.config import Layer, shape_dims

Dims: TypeAlias = tuple[int | None, ...]


def _words(text: str) -> list[str]:
    return text.split()


_SAME = frozenset(
    _words("""
    Activation ReLU LeakyReLU PReLU ELU ThresholdedReLU Softmax Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D
    GaussianNoise GaussianDropout AlphaDropout BatchNormalization LayerNormalization RMSNormalization GroupNormalization
    UnitNormalization Masking ActivityRegularization Identity Rescaling Normalization
""")
)
_MERGES = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
_CONVOLUTIONS = {f"{prefix}Conv{n}D": n for prefix in ("", "Separable", "Depthwise") for n in (1, 2, 3)}
_TRANSPOSED = {f"Conv{n}DTranspose": n for n in (1, 2, 3)}
_POOLS = {f"{kind}Pooling{n}D": n for kind in ("Max", "Average") for n in (1, 2, 3)}
_GLOBAL = {f"Global{kind}Pooling{n}D": n for kind in ("Max", "Average") for n in (1, 2, 3)}
_AROUND = {f"{kind}{n}D": n for kind in ("ZeroPadding", "Cropping", "UpSampling") for n in (1, 2, 3)}
_RECURRENT = ("LSTM", "GRU", "SimpleRNN", "CuDNNLSTM", "CuDNNGRU")


def results(layer: Layer, given: Sequence[Dims | None]) -> tuple[Dims | None, ...]:
    """Dims of each result; ``None`` for one that is not known.

    Args:
        given: dims of the layer's operands.
    """
    config = layer.config
    first = given[0] if given else None
    kind = layer.kind
    if layer.custom:
        return (None,)
    if kind in _MERGES:
        return (_merged(given),)
    if kind == "Concatenate":
        return (_concatenated(given, config.get("axis")),)
    if first is None:
        return (None,)
    if kind in _SAME:
        return (first,)
    if kind in _RECURRENT:
        return _recurrent(layer, first)
    if kind == "Bidirectional" and layer.wrapped is not None and layer.wrapped.kind in _RECURRENT:
        return (_both_ways(layer, first), *results(layer.wrapped, given)[1:] * 2)
    if kind == "TimeDistributed":
        inner = results(layer.wrapped, [(first[0], *first[2:])])[0] if layer.wrapped is not None and len(first) > 2 else None
        return (None if not inner else (inner[0], first[1], *inner[1:]),)
    return (_single(kind, config, first),)


def _single(kind: str, config: Mapping[str, Any], x: Dims) -> Dims | None:
    if kind == "Dense":
        return (*x[:-1], units) if (units := _int(config, "units", "output_dim")) is not None and len(x) > 1 else None
    if kind == "Embedding":
        return (*x, size) if (size := _int(config, "output_dim")) is not None else None
    if kind == "Flatten":
        return (x[0], _product(x[1:])) if x else None
    if kind == "RepeatVector":
        return (x[0], n, x[1]) if (n := _int(config, "n")) is not None and len(x) == 2 else None
    if kind == "Permute":
        order = shape_dims(list(config.get("dims") or ()))
        fits = order is not None and sorted(d or 0 for d in order) == list(range(1, len(x)))
        return (x[0], *(x[d or 0] for d in order or ())) if fits else None
    if kind == "Reshape":
        return _reshaped(config.get("target_shape"), x)
    rank = next((table[kind] for table in (_CONVOLUTIONS, _TRANSPOSED, _POOLS, _GLOBAL, _AROUND) if kind in table), None)
    if rank is None or len(x) != rank + 2:
        return None
    layout = config.get("data_format")
    if kind.endswith("1D") and layout is None and kind in _AROUND:
        layout = "channels_last"  # the only one that they have
    if layout not in ("channels_last", "channels_first"):
        return None
    last = layout == "channels_last"
    space, channels = (x[1:-1], x[-1]) if last else (x[2:], x[1])
    if kind in _GLOBAL:
        if config.get("keepdims"):
            return (x[0], *(1,) * rank, channels) if last else (x[0], channels, *(1,) * rank)
        return (x[0], channels)
    if kind in _CONVOLUTIONS or kind in _TRANSPOSED:
        many = _int(config, "depth_multiplier") if kind.startswith("Depthwise") else 0
        channels = _int(config, "filters") if many == 0 else None if channels is None or many is None else channels * many
        window, strides, dilation = (
            _each(config.get(k), rank, d) for k, d in (("kernel_size", None), ("strides", 1), ("dilation_rate", 1))
        )
    elif kind in _POOLS:
        window = _each(config.get("pool_size"), rank, None)
        strides, dilation = _each(config.get("strides"), rank, None) or window, (1,) * rank
    else:
        made = _around(kind, config, space, rank)
        return None if made is None else (x[0], *made, channels) if last else (x[0], channels, *made)
    if window is None or strides is None or dilation is None or channels is None:
        return None
    padding = config.get("padding")
    if padding not in ("valid", "same", "causal"):
        return None
    if kind in _TRANSPOSED:
        if config.get("output_padding") is not None or padding == "causal":
            return None
        grown = tuple(_grown(d, w, s, r, str(padding)) for d, w, s, r in zip(space, window, strides, dilation, strict=True))
        return (x[0], *grown, channels) if last else (x[0], channels, *grown)
    made = tuple(_window(d, w, s, r, str(padding)) for d, w, s, r in zip(space, window, strides, dilation, strict=True))
    return (x[0], *made, channels) if last else (x[0], channels, *made)


def _window(size: int | None, window: int, stride: int, dilation: int, padding: str) -> int | None:
    if size is None or stride < 1:
        return None
    if padding == "valid":
        size -= (window - 1) * dilation
    return max(0, -(-size // stride))


def _grown(size: int | None, window: int, stride: int, dilation: int, padding: str) -> int | None:
    """Of a transposed convolution."""
    if size is None:
        return None
    return size * stride + (max((window - 1) * dilation + 1 - stride, 0) if padding == "valid" else 0)


def _around(kind: str, config: Mapping[str, Any], space: Dims, rank: int) -> Dims | None:
    """Dims in space of a layer that pads, crops or repeats them."""
    if kind.startswith("UpSampling"):
        factors = _each(config.get("size"), rank, None)
        return None if factors is None else tuple(None if d is None else d * f for d, f in zip(space, factors, strict=True))
    sign, given = (1, config.get("padding")) if kind.startswith("Zero") else (-1, config.get("cropping"))
    pairs = [given] if rank == 1 and isinstance(given, (list, tuple)) else given
    if not isinstance(pairs, (list, tuple)) or len(pairs) != rank:
        return None
    made: list[int | None] = []
    for size, pair in zip(space, pairs, strict=True):
        both = _each(pair, 2, None)
        if both is None:
            return None
        made.append(None if size is None else size + sign * sum(both))
    return tuple(made) if all(d is None or d >= 0 for d in made) else None


def _recurrent(layer: Layer, x: Dims) -> tuple[Dims | None, ...]:
    """The sequence or its last element; behind it the states, where they are returned."""
    config = layer.config
    units = _int(config, "units", "output_dim")
    if units is None or len(x) != 3:
        return (None,)
    state: Dims = (x[0], units)
    states = (2 if layer.kind.endswith("LSTM") else 1) if config.get("return_state") else 0
    return ((x[0], x[1], units) if config.get("return_sequences") else state, *(state,) * states)


def _both_ways(layer: Layer, x: Dims) -> Dims | None:
    one = _recurrent(layer.wrapped, x)[0] if layer.wrapped is not None else None
    if one is None or one[-1] is None:
        return None
    mode = layer.config.get("merge_mode")
    if mode == "concat":
        return (*one[:-1], 2 * one[-1])
    return one if mode in ("sum", "mul", "ave") else None


def _merged(given: Sequence[Dims | None]) -> Dims | None:
    """Dims of an elementwise operation on arrays of one rank; a 1 is spread."""
    known = [dims for dims in given if dims is not None]
    if len(known) != len(given) or not known or len({len(dims) for dims in known}) != 1:
        return None
    made: list[int | None] = []
    for sizes in zip(*known, strict=True):
        wide = {size for size in sizes if size != 1}
        if len(wide) > 1 and None not in wide:
            return None
        made.append(1 if not wide else wide.pop() if len(wide) == 1 else None)
    return tuple(made)


def _concatenated(given: Sequence[Dims | None], axis: object) -> Dims | None:
    known = [dims for dims in given if dims is not None]
    if len(known) != len(given) or not known or type(axis) is not int:
        return None
    rank = len(known[0])
    if any(len(dims) != rank for dims in known) or not -rank <= axis < rank:
        return None
    axis %= rank
    along = [dims[axis] for dims in known]
    rest = [known[0][i] for i in range(rank)]
    if any(dims[i] != rest[i] for dims in known for i in range(rank) if i != axis):
        return None
    rest[axis] = None if None in along else sum(d for d in along if d is not None)
    return tuple(rest)


def _reshaped(given: object, x: Dims) -> Dims | None:
    if not isinstance(given, (list, tuple)) or not all(type(d) is int and d >= -1 for d in given) or list(given).count(-1) > 1:
        return None
    if -1 not in given:
        return (x[0], *given)
    whole, rest = _product(x[1:]), prod(d for d in given if d != -1)
    free = None if whole is None or not rest or whole % rest else whole // rest
    return (x[0], *(free if d == -1 else d for d in given))


def _product(dims: Dims) -> int | None:
    return None if None in dims else prod(d for d in dims if d is not None)


def _int(config: Mapping[str, Any], *names: str) -> int | None:
    """The first of some settings, by its name in later and in earlier versions."""
    found = next((config[name] for name in names if name in config), None)
    return found if type(found) is int and 0 <= found < 1 << 31 else None


def _each(value: object, rank: int, default: int | None) -> tuple[int, ...] | None:
    """A setting for every dimension of space: one number for all, or one for each."""
    if value is None:
        return None if default is None else (default,) * rank
    if type(value) is int:
        value = (value,) * rank
    if not isinstance(value, (list, tuple)) or len(value) != rank or not all(type(v) is int and 0 <= v < 1 << 31 for v in value):
        return None
    return tuple(value)
