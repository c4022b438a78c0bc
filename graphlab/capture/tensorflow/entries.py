"""The signatures of a MetaGraphDef: named tensors that go in and come out, and the graph that each one is.

Format: tensorflow/core/protobuf/meta_graph.proto.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphlab.capture.tensorflow.values import shape_dims, value_type
from graphlab.capture.unique import Names
from graphlab.errors import FormatError
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.graph import Call, Graph, Node
from graphlab.ir.program import Slot
from graphlab.ir.values import ValueType

INTERNAL = ("__saved_model_init_op", "__saved_model_train_op")
"""Names of signatures that are no entries: what a loader runs."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A signature: names, with the tensors they stand for, in order."""

    name: str
    inputs: tuple[tuple[str, str], ...]
    outputs: tuple[tuple[str, str], ...]
    method: str = ""


def signature_names(meta: Any) -> list[str]:
    return [name for name in sorted(meta.signature_def) if name not in INTERNAL]


def read_entries(meta: Any) -> Iterator[Entry]:
    for name in signature_names(meta):
        signature = meta.signature_def[name]
        inputs = tuple(pair for key in sorted(signature.inputs) for pair in _tensors(name, key, signature.inputs[key]))
        outputs = tuple(pair for key in sorted(signature.outputs) for pair in _tensors(name, key, signature.outputs[key]))
        if outputs:
            yield Entry(name, inputs, outputs, signature.method_name)


def _tensors(signature: str, key: str, info: Any) -> Iterator[tuple[str, str]]:
    """The tensors of a TensorInfo with names: a sparse or composite one has several."""
    match info.WhichOneof("encoding"):
        case "name":
            found = [(key, info.name)]
        case "coo_sparse":
            sparse = info.coo_sparse
            found = [
                (f"{key}/values", sparse.values_tensor_name),
                (f"{key}/indices", sparse.indices_tensor_name),
                (f"{key}/dense_shape", sparse.dense_shape_tensor_name),
            ]
        case "composite_tensor":
            found = [(f"{key}/{i}", component.name) for i, component in enumerate(info.composite_tensor.components)]
        case _:
            found = [(key, "")]
    for name, tensor in found:
        if not tensor:
            raise FormatError(
                f"read the signature '{signature}'", found=f"it does not say which tensor '{name}' is", do="check that the file is whole"
            )
        yield name, port_name(tensor)


def port_name(tensor: str) -> str:
    return tensor if ":" in tensor else f"{tensor}:0"


def signature_graph(
    name: str,
    main: str,
    effects: tuple[str, ...],
    entry: Entry,
    inputs: Sequence[str],
    outputs: Sequence[str],
    types: Mapping[str, ValueType],
    results: Mapping[str, ValueType],
) -> Graph:
    """The graph of one signature: it calls the graph of the model."""
    made = Graph(name=name)
    names = Names()
    slots: dict[str, int] = {}
    for index, (key, tensor) in enumerate(entry.inputs):
        id = made.add(names.take(key), kind="input", op="tf._Arg", index=index, outputs=(types[tensor],), name=key, synthetic=True)
        slots.setdefault(tensor, index)
        made.nodes[id].pop("name") if id == key else None
    fetched = list(dict.fromkeys(tensor for _, tensor in entry.outputs))
    ports = {tensor: port for port, tensor in enumerate(fetched)}
    call = Call(main, tuple(slots.get(tensor) for tensor in inputs), tuple(ports.get(tensor) for tensor in outputs))
    node = made.add(
        names.take("call"),
        kind="op",
        op="tf._Signature",
        outputs=tuple(results[tensor] for tensor in fetched),
        calls=FrozenDict({"call": call}),
        effects=effects,
        synthetic=True,
    )
    for index, id in enumerate(made.inputs):
        made.connect(id, node, 0, index)
    output = made.add(names.take("output"), kind="output", synthetic=True)
    for slot, (_, tensor) in enumerate(entry.outputs):
        made.connect(node, output, ports[tensor], slot)
    return made


def captured_slot(node: Node, kind: str, variable: Any) -> Slot:
    """What a function's captured input is to the model."""
    if kind != "variable":
        return Slot(node.name, node.outputs[0], "constant", node.name)
    type = value_type(variable.dtype, shape_dims(variable.shape))
    return Slot(node.name, type, "parameter" if variable.trainable else "buffer", variable.name or node.name)


def plain_slots(names: Iterable[str], types: Iterable[ValueType]) -> tuple[Slot, ...]:
    return tuple(Slot(name.removesuffix(":0"), type) for name, type in zip(names, types, strict=True))
