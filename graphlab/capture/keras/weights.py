"""Which arrays of a weights file are whose: the three ways Keras has stored them.

- Keras 3 (``model.weights.h5``): groups follow the objects, ``layers/dense_1/cell/vars/0``, named by class and count; newer
  files say the layer's own name in an attribute.
- Keras 1 and 2 (``.h5``): a group a top-level layer, whose ``weight_names`` list arrays by the names of their variables;
  a nested model's stand all in its own group.
- TensorFlow.js: a list of names whose first part is the layer's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from graphlab.capture.hdf5 import Dataset, Group
from graphlab.capture.keras.config import Layer, Model
from graphlab.ir.constants import Constant
from graphlab.ir.values import OpaqueType, TensorType

_VARIABLES: dict[str, tuple[str, ...]] = {
    "Embedding": ("embeddings",), "PReLU": ("alpha",), "RMSNormalization": ("scale",),
    **dict.fromkeys(("LSTMCell", "GRUCell", "SimpleRNNCell", "LSTM", "GRU", "SimpleRNN"), ("kernel", "recurrent_kernel", "bias")),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), ("depthwise_kernel", "pointwise_kernel", "bias")),
    **dict.fromkeys(
        ("Dense", "EinsumDense", "Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "DepthwiseConv1D",
         "DepthwiseConv2D"), ("kernel", "bias")),
}  # fmt: skip
"""Names of a layer's variables in the order that Keras 3 numbers them."""

_PARTS = ("forward_layer", "backward_layer", "query_dense", "key_dense", "value_dense", "output_dense")
"""Parts of a layer that Keras makes in another order than that of their names."""

_BUFFERS = ("moving_mean", "moving_variance", "moving_stddev", "seed_generator", "running_mean", "running_std", "count", "mean", "variance")


@dataclass(frozen=True, slots=True)
class Weight:
    """One array: its name within the layer, and whether training sets it (else it is a statistic or a seed).

    ``stored`` says how it lies in the file, where that is another type than its own.
    """

    name: str
    value: Constant
    buffer: bool = False
    stored: str = ""


@dataclass(slots=True)
class Store:
    """Weights by the layer they belong to: ``own`` of a model's layers by name, ``nested`` of the models among them, ``rest`` nobody's."""

    own: dict[str, list[Weight]] = field(default_factory=dict)
    nested: dict[str, Store] = field(default_factory=dict)
    rest: list[Weight] = field(default_factory=list)


def constant(data: Dataset) -> Constant:
    """A dataset as a constant; one of elements that are no numbers is opaque."""
    name = data.type.name
    type = OpaqueType(name) if name.startswith("hdf5") else TensorType(name, data.dims or ())
    return Constant(type, data.data, reason=data.reason)


def from_groups(model: Model, group: Group | None) -> Store:
    """Weights as Keras 3 stores them. Raises FormatError where the file is damaged."""
    store = Store()
    if group is None:
        return store
    if model.opaque:
        store.rest = [_weight(array, group) for array in _ordered(group)]
        return store
    # Before 3.1 the layers stood under the name of a private attribute.
    held = group.group("layers") or group.group("_layer_checkpoint_dependencies")
    if held is None:
        return store
    groups = {name: found for name in held.links if (found := held.group(name)) is not None}
    named = {
        str(v.attributes.get("name")): name for name, g in groups.items() if (v := g.group("vars")) is not None and "name" in v.attributes
    }
    counts: dict[str, int] = {}
    taken: set[str] = set()
    for layer in model.layers:
        base = _snake(layer.kind)
        count = counts[base] = counts.get(base, -1) + 1
        by_count = f"{base}_{count}" if count else base
        name = named.get(layer.name, by_count if not named else "")
        found = groups.get(name) or groups.get(layer.name if not named else "")
        if found is None:
            continue
        taken.add(name)
        if layer.model is not None:
            store.nested[layer.name] = from_groups(layer.model, found)
        else:
            store.own[layer.name] = [_weight(array, found, layer) for array in _ordered(found)]
    store.rest = [_weight(array, held) for name, found in groups.items() if name not in taken for array in _ordered(found)]
    return store


def from_legacy(model: Model, group: Group) -> Store:
    """Weights as Keras 1 and 2 store them. Raises FormatError where the file is damaged."""
    store = Store()
    layers = {layer.name: layer for layer in model.layers}
    names = _listed(group, "layer_names") or list(group.links)
    for name in dict.fromkeys(names):
        held = group.group(name)
        if held is None:
            continue
        found = [(path, array) for path in _listed(held, "weight_names") if isinstance(array := held.get(path), Dataset)]
        weights = [Weight(path, constant(array)) for path, array in found]
        layer = layers.get(name)
        if layer is None:
            store.rest += weights
        elif layer.model is not None:
            store.nested[name] = by_name(layer.model, weights)
        else:
            store.own[name] = [_named(weight, name) for weight in weights]
    return store


def by_name(model: Model, weights: Sequence[Weight]) -> Store:
    """Weights of a model's layers by the layer's name in the path that is theirs."""
    store = Store()
    layers = {layer.name: layer for layer in model.layers}
    inner: dict[str, list[Weight]] = {}
    owners = {name: layer.name for layer in model.layers if layer.model is not None for name in _names(layer.model)}
    for weight in weights:
        parts = weight.name.split("/")
        owner = next((part for part in parts if part in layers), None) or next((owners[part] for part in parts if part in owners), None)
        if owner is None:
            store.rest.append(replace(weight, buffer=_is_buffer(weight.name)))
        elif layers[owner].model is not None:
            inner.setdefault(owner, []).append(weight)
        else:
            store.own.setdefault(owner, []).append(_named(weight, owner))
    for name, held in inner.items():
        nested = layers[name].model
        if nested is not None:
            store.nested[name] = by_name(nested, held)
    return store


def _named(weight: Weight, layer: str) -> Weight:
    """A weight named by its path, as its layer's."""
    return replace(weight, name=_short(weight.name, layer), buffer=_is_buffer(weight.name))


def _names(model: Model) -> Iterator[str]:
    for layer in model.layers:
        yield layer.name
        if layer.model is not None:
            yield from _names(layer.model)


def _listed(group: Group, attribute: str) -> list[str]:
    """A list of names, which large models store in several attributes: ``layer_names0``, ``layer_names1`` …"""
    found: list[str] = []
    attributes = group.attributes
    parts: Iterable[str] = [attribute] if attribute in attributes else ()
    if attribute not in attributes:
        count = 0
        while f"{attribute}{count}" in attributes:
            count += 1
        parts = [f"{attribute}{i}" for i in range(count)]
    for part in parts:
        value = attributes[part]
        found += [v if isinstance(v, str) else repr(v) for v in (value if isinstance(value, tuple) else (value,)) if v is not None]
    return found


def _ordered(group: Group) -> list[Dataset]:
    """The arrays below a group in the order of ``layer.weights``: numbers as numbers, parts as Keras makes them, others by name."""
    return sorted(group.datasets(), key=lambda array: [_rank(part) for part in array.name.split("/")])


def _rank(part: str) -> tuple[int, int, str]:
    if part.isdigit():
        return (0, len(part), part)
    return (1, _PARTS.index(part) if part in _PARTS else len(_PARTS), part)


def _weight(array: Dataset, group: Group, layer: Layer | None = None) -> Weight:
    parts = [part for part in array.name.removeprefix(group.name).split("/") if part]
    name = "/".join(part for part in parts if part != "vars")
    if layer is not None and len(parts) >= 2 and parts[-2] == "vars" and parts[-1].isdigit():
        number, names = int(parts[-1]), _variables(layer, parts[:-2])
        if number < len(names):
            name = "/".join([*parts[:-2], names[number]])
    return Weight(name, constant(array), _is_buffer(name))


def _variables(layer: Layer, path: list[str]) -> tuple[str, ...]:
    """The names of the variables of a layer, or of the layer in a wrapper or the cell in a recurrent layer that a path leads to."""
    kind, config = layer.kind, layer.config
    if path and layer.wrapped is not None and path[0] in ("layer", "forward_layer", "backward_layer"):
        return _variables(layer.wrapped, path[1:])
    if path == ["cell"] and kind in ("LSTM", "GRU", "SimpleRNN"):
        return _VARIABLES[kind]
    if path[-1:] == ["seed_generator"]:
        return ("seed_generator_state",)
    if kind in ("MultiHeadAttention", "GroupQueryAttention", "GroupedQueryAttention") and len(path) == 1 and path[0].endswith("_dense"):
        return _VARIABLES["EinsumDense"]
    if path or layer.custom:
        return ()
    if kind == "BatchNormalization":
        said = (("gamma", config.get("scale", True)), ("beta", config.get("center", True)))
        return (*(name for name, on in said if on), "moving_mean", "moving_variance")
    if kind in ("LayerNormalization", "GroupNormalization"):
        return tuple(name for name, on in (("gamma", config.get("scale", True)), ("beta", config.get("center", True))) if on)
    return () if kind in ("LSTM", "GRU", "SimpleRNN") else _VARIABLES.get(kind, ())


def _short(path: str, layer: str) -> str:
    """``kernel`` of ``dense_1/kernel:0`` or ``dense_1_W``; what stands between stays."""
    name = re.sub(r":\d+$", "", path)
    parts = name.split("/")
    if layer in parts:
        parts = parts[parts.index(layer) + 1 :]
    elif len(parts) > 1:
        parts = parts[1:]
    short = "/".join(parts)
    return short.removeprefix(f"{layer}_") or name


def _is_buffer(path: str) -> bool:
    last = re.sub(r":\d+$", "", path).rpartition("/")[2]
    return last.startswith(_BUFFERS[:4]) or last in _BUFFERS


def _snake(kind: str) -> str:
    """``batch_normalization`` of ``BatchNormalization``, as Keras names groups."""
    name = re.sub(r"\W+", "", kind)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
