"""A Keras model's config, of Keras 1, 2 or 3, as layers, their calls and the model's ends.

The forms: ``get_config`` of Sequential and Functional in keras (3) and tf_keras (2), ``Container`` in Keras 1. Nothing that a
config names is looked up or run; the bytecode of a Lambda is told by its size and digest.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from graphlab.capture.file import File
from graphlab.errors import FormatError
from graphlab.ir.constants import digest
from graphlab.ir.frozen import EMPTY, FrozenDict, freeze
from graphlab.ir.graph import Operand

MAX_DEPTH = 100
"""Lists and objects within one another that a config may have; a model within a model takes about four."""

_MODELS = ("Model", "Functional", "Sequential", "Container")
_CONSTANT = "_CONSTANT_VALUE"
_NOISE = ("shared_object_id", "module", "registered_name")  # of serialized parts: where the class is found, and an address in memory


@dataclass(frozen=True, slots=True)
class Ref:
    """A tensor: which result of which call of a layer. ``dims`` and ``dtype`` where the config says them."""

    layer: str
    call: int
    port: int
    dims: tuple[int | None, ...] | None = None
    dtype: str = ""


@dataclass(frozen=True, slots=True)
class LayerCall:
    """One call of a layer: the tensors it takes, in order; ``arguments`` has all else, with :class:`Operand` in the tensors' places."""

    operands: tuple[Ref, ...]
    arguments: FrozenDict[str, Any] = EMPTY


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer.

    Attributes:
        kind: its class, without a package.
        package: of a custom class that was registered under one.
        module: the Python module Keras 3 names; empty before.
        config: what its class was made with, its name left out.
        input_dims: the dims it was built for, where the config says them.
        model: of a model used as a layer.
        wrapped: of a wrapper (TimeDistributed, Bidirectional), the layer in it.
        custom: whether its class is somebody's own.
        added: whether it stands for an input that a Sequential does not list.
    """

    name: str
    kind: str
    package: str
    module: str
    config: FrozenDict[str, Any]
    input_dims: tuple[int | None, ...] | None
    calls: tuple[LayerCall, ...]
    model: Model | None = None
    wrapped: Layer | None = None
    custom: bool = False
    added: bool = False


@dataclass(frozen=True, slots=True)
class Model:
    """A model. One that is neither Sequential nor Functional has no layers that its config would list.

    Attributes:
        inputs, outputs: tensors by their names in the signature. A Sequential has none of its own: ``chain`` is true.
        opaque: whether its class alone knows what it does.
        modern: whether calls are written as Keras 3 writes them, and counted so; see ``graph.py``.
    """

    name: str
    kind: str
    layers: tuple[Layer, ...]
    inputs: tuple[tuple[str, Ref], ...] = ()
    outputs: tuple[tuple[str, Ref], ...] = ()
    chain: bool = False
    opaque: bool = False
    modern: bool = False
    input_dims: tuple[int | None, ...] | None = None
    config: FrozenDict[str, Any] = field(default=EMPTY)


def parse_json(text: bytes | str, file: File, what: str) -> Any:
    """JSON that strangers wrote. Raises FormatError where it is none, or nested deeper than :data:`MAX_DEPTH`."""
    asked = f"read {file.name}"
    try:
        value = json.loads(text)
    except ValueError as error:  # JSONDecodeError, bytes that are no UTF-8, a number of thousands of digits
        raise FormatError(asked, found=f"{what} is no JSON: {error}", do="fetch or write the file again", where=what) from error
    except RecursionError as error:
        raise FormatError(asked, found=f"{what} is nested too deep", do="check the file", where=what) from error
    if (
        "\\ud" in (text if isinstance(text, str) else text.decode("utf-8", "replace")).lower()
    ):  # halves of characters, which no name can have
        value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [v for held in level for v in (held.values() if isinstance(held, dict) else held if isinstance(held, list) else ())]
        if not level:
            return value
    raise FormatError(asked, found=f"{what} is nested more than {MAX_DEPTH} deep", do="check the file", where=what)


class Parser:
    """Makes a :class:`Model` of a parsed config."""

    def __init__(self, file: File, known: Collection[str]) -> None:
        self._file = file
        self._known = known  # Keras's own classes
        self.code: list[str] = []  # what holds Python bytecode: layers' names

    def fail(self, found: str, where: str) -> NoReturn:
        raise FormatError(
            f"read {self._file.name}", found=f"its model's config is damaged: {found}", do="save the model again", where=where or "config"
        )

    def model(self, given: Mapping[str, Any], fallback: str = "model") -> Model:
        """The model of ``{"class_name": ..., "config": ...}``.

        Raises:
            FormatError: it is none, or names layers that are not there.
        """
        kind, config = given.get("class_name"), given.get("config")
        if not isinstance(kind, str):
            self.fail("it has no class_name", "")
        kind = _split(kind)[1]
        if isinstance(config, list):  # a Sequential of Keras 1 and early 2
            config = {"name": fallback, "layers": config}
        if not isinstance(config, dict):
            self.fail(f"a {kind} has no config", "")
        name = _text(config.get("name")) or fallback
        input_dims = _build_dims(given)
        listed = config.get("layers")
        if not isinstance(listed, list) or (kind != "Sequential" and "output_layers" not in config):
            return Model(name, kind, (), opaque=True, input_dims=input_dims, config=self._frozen(config, name))
        if kind == "Sequential" or "output_layers" not in config:
            layers = tuple([self._layer(entry, f"layer_{i}", ()) for i, entry in enumerate(listed)])
            self._unique(layers, name)
            dims = shape_dims(config.get("build_input_shape")) or shape_dims(config.get("batch_input_shape")) or input_dims
            return Model(name, kind, layers, chain=True, input_dims=dims)
        names = {_name(entry, f"layer_{i}") for i, entry in enumerate(listed)}
        layers = tuple([self._layer(entry, f"layer_{i}", names) for i, entry in enumerate(listed)])
        self._unique(layers, name)
        ends = [tuple(self._ends(config.get(key), names, name)) for key in ("input_layers", "output_layers")]
        plain = {layer.name for layer in layers if layer.model is None}
        if not {ref.layer for _, ref in ends[0]} <= plain or len({ref.layer for _, ref in ends[0]}) != len(ends[0]):
            self.fail("an input is a model, or stands there twice", name)
        nodes = [node for entry in listed for node in (entry.get("inbound_nodes") or ())]
        modern = any(isinstance(node, dict) and "args" in node for node in nodes)
        return Model(name, kind, layers, ends[0], ends[1], modern=modern, input_dims=input_dims)

    def _unique(self, layers: tuple[Layer, ...], name: str) -> None:
        if len({layer.name for layer in layers}) != len(layers):
            self.fail("two layers have one name", name)

    def _layer(self, given: Any, fallback: str, names: Collection[str]) -> Layer:
        if not isinstance(given, dict) or not isinstance(given.get("class_name"), str):
            self.fail("a layer has no class_name", fallback)
        config = given.get("config")
        module = _text(given.get("module"))
        registered = _text(given.get("registered_name"))
        package, kind = _split(registered if ">" in registered else given["class_name"])
        name = _name(given, fallback)
        nodes = given.get("inbound_nodes") or ()
        if not isinstance(nodes, (list, tuple)):
            self.fail("its inbound_nodes are no list", name)
        calls = tuple([self._call(node, names, name) for node in nodes])
        own = module.startswith("keras") or (not module and not package and kind in self._known)
        inner = config.get("layer") if isinstance(config, dict) else None
        model = self.model(given, name) if kind in _MODELS or _lists_layers(config) else None
        wrapped = self._layer(inner, f"{name}_layer", ()) if isinstance(inner, dict) and isinstance(inner.get("class_name"), str) else None
        if not isinstance(config, (dict, list)):
            self.fail("it has no config", name)
        held = EMPTY if model is not None or not isinstance(config, dict) else self._frozen(config, name)
        return Layer(name, kind, package, module, held, _build_dims(given), calls, model, wrapped, not own and model is None)

    def _call(self, node: Any, names: Collection[str], layer: str) -> LayerCall:
        operands: list[Ref] = []
        if isinstance(node, dict) and ("args" in node or "kwargs" in node):  # Keras 3
            args = tuple(self._argument(node.get("args") or (), operands, names, layer))
            kwargs = self._argument(node.get("kwargs") or {}, operands, names, layer)
            plain = args in ((Operand(0),), (tuple(Operand(i) for i in range(len(operands))),))
        else:
            kwargs = {}
            args = self._positional(node, operands, kwargs, names, layer)
            plain = True
            if any(not isinstance(a, Operand) for a in args):
                plain = False
        said = {key: value for key, value in kwargs.items() if value is not None} if isinstance(kwargs, dict) else {"kwargs": kwargs}
        arguments: dict[str, Any] = {} if plain else {"args": args}
        if said:
            arguments["kwargs"] = said
        return LayerCall(tuple(operands), _frozen(arguments))

    def _positional(self, node: Any, operands: list[Ref], kwargs: dict[str, Any], names: Collection[str], layer: str) -> tuple[Any, ...]:
        """A call as Keras 1 and 2 write it: ``[[name, call, port, kwargs], ...]``, or one of those alone, or a structure of them."""
        if _is_tensor(node, names):
            node = [node]
        found: list[Any] = []
        waiting = _parts(node)
        while waiting:
            entry = waiting.pop()
            if _is_constant(entry):
                found.append(freeze(entry[2]))
            elif _is_tensor(entry, names):
                found.append(self._operand(Ref(entry[0], entry[1], entry[2]), operands, names, layer))
            elif isinstance(entry, (list, dict)) and entry:
                waiting += _parts(entry)
                continue
            else:
                self.fail("a call takes something that is no tensor of the model", layer)
            if len(entry) > 3 and isinstance(entry[3], dict):
                for key, value in entry[3].items():
                    kwargs[key] = self._argument(value, operands, names, layer)
        return tuple(found)

    def _argument(self, value: Any, operands: list[Ref], names: Collection[str], layer: str) -> Any:
        """An argument with Operand in the place of every tensor, which is added to ``operands``."""
        if isinstance(value, dict):
            if value.get("class_name") == "__keras_tensor__":
                held = value.get("config")
                history = held.get("keras_history") if isinstance(held, dict) else None
                if not isinstance(held, dict) or not isinstance(history, list) or not _is_tensor(history, ()):
                    self.fail("a call takes a tensor without a history", layer)
                made = Ref(history[0], history[1], history[2], shape_dims(held.get("shape")), _text(held.get("dtype")))
                return self._operand(made, operands, names, layer)
            return FrozenDict({key: self._argument(v, operands, names, layer) for key, v in value.items()})
        if _is_tensor(value, names) and len(value) == 3:
            return self._operand(Ref(value[0], value[1], value[2]), operands, names, layer)
        if _is_constant(value):
            return freeze(value[2])
        if isinstance(value, (list, tuple)):
            return tuple([self._argument(v, operands, names, layer) for v in value])
        return value

    def _operand(self, ref: Ref, operands: list[Ref], names: Collection[str], layer: str) -> Operand:
        if ref.layer not in names:
            self.fail(f"a call takes a result of '{ref.layer}', which is no layer of the model", layer)
        operands.append(ref)
        return Operand(len(operands) - 1)

    def _ends(self, given: Any, names: Collection[str], model: str) -> list[tuple[str, Ref]]:
        """Inputs or outputs: a tensor, a list of them, or a structure with names."""
        if _is_tensor(given, names):
            return [(given[0], Ref(given[0], given[1], given[2]))]
        if isinstance(given, dict):
            return [end for key, value in given.items() for end in self._keyed(key, value, names, model)]
        if isinstance(given, list):
            return [end for entry in given for end in self._ends(entry, names, model)]
        self.fail("an input or output is no tensor of it", model)

    def _keyed(self, key: str, given: Any, names: Collection[str], model: str) -> list[tuple[str, Ref]]:
        """What stands under a key: the key names it where it is one tensor."""
        ends = self._ends(given, names, model)
        return [(key, ends[0][1])] if len(ends) == 1 else ends

    def _frozen(self, config: Mapping[str, Any], name: str) -> FrozenDict[str, Any]:
        """A config without its name, and with serialized parts by class and config alone."""
        before = len(self.code)
        held = {key: self._part(value, name) for key, value in config.items() if key not in ("name", "layers")}
        function = config.get("function")
        if isinstance(function, list) and function and isinstance(function[0], str):  # Lambda of Keras 1 and 2: code, defaults, closure
            held["function"] = _code(function[0])
            self.code.append(name)
        del self.code[before + 1 :]  # a layer is told once
        return FrozenDict(held)

    def _part(self, value: Any, name: str) -> Any:
        if isinstance(value, list):
            return tuple([self._part(v, name) for v in value])
        if not isinstance(value, dict):
            return value
        inner = value.get("config")
        if value.get("class_name") == "__lambda__" and isinstance(inner, dict):
            self.code.append(name)
            return _code(_text(inner.get("code")))
        if "class_name" in value and "config" in value:
            return FrozenDict({k: self._part(v, name) for k, v in value.items() if k not in _NOISE or (k == "registered_name" and v)})
        return FrozenDict({k: self._part(v, name) for k, v in value.items()})

    def frozen(self, value: Any, name: str) -> Any:
        """Any other part of the file (the training config), made immutable the same way."""
        return self._part(value, name)


def _code(text: str) -> str:
    return f"{len(text):,} characters of Python bytecode, digest {digest(text.encode('utf-8', 'surrogatepass'))}"


def _split(kind: str) -> tuple[str, str]:
    """``my_package>MyLayer`` → package and class."""
    package, _, name = kind.rpartition(">")
    return package, name


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _name(given: Any, fallback: str) -> str:
    if not isinstance(given, dict):
        return fallback
    config = given.get("config")
    return _text(given.get("name")) or (_text(config.get("name")) if isinstance(config, dict) else "") or fallback


def _lists_layers(config: Any) -> bool:
    """Whether a layer of another class is a Functional model by its config, as subclasses of Model are."""
    return isinstance(config, dict) and isinstance(config.get("layers"), list) and "input_layers" in config and "output_layers" in config


def _is_tensor(value: Any, names: Collection[str]) -> bool:
    """``[layer, call, port]``, perhaps with arguments behind it. Without ``names`` any layer's name will do."""
    return (
        isinstance(value, (list, tuple))
        and 3 <= len(value) <= 4
        and isinstance(value[0], str)
        and type(value[1]) is int
        and type(value[2]) is int
        and 0 <= value[1] < 1 << 20
        and 0 <= value[2] < 1 << 16
        and value[0] != _CONSTANT
        and (not names or value[0] in names)
    )


def _parts(value: Any) -> list[Any]:
    """A structure's elements, the first one last."""
    return list(value.values() if isinstance(value, dict) else value if isinstance(value, list) else ())[::-1]


def _is_constant(value: Any) -> bool:
    return isinstance(value, list) and len(value) >= 3 and value[0] == _CONSTANT


def shape_dims(value: Any) -> tuple[int | None, ...] | None:
    """Dims of a shape in JSON; ``None`` where it is none."""
    if isinstance(value, dict):  # a TensorShape or a tuple, serialized
        items = value.get("items", value.get("config"))
        return shape_dims(items) if not isinstance(items, dict) else None
    if not isinstance(value, list) or not all(v is None or (type(v) is int and 0 <= v < 1 << 62) for v in value):
        return None
    return tuple(value)


def _build_dims(given: Mapping[str, Any]) -> tuple[int | None, ...] | None:
    build = given.get("build_config")
    return shape_dims(build.get("input_shape")) if isinstance(build, dict) else None


def _frozen(value: Mapping[str, Any]) -> FrozenDict[str, Any]:
    held: FrozenDict[str, Any] = freeze(dict(value))
    return held
