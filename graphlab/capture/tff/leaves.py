"""The local computations within a federated one: TensorFlow graphs and XLA modules, packed in ``google.protobuf.Any``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from graphlab.capture.file import File, Slice
from graphlab.capture.proto import Parsed
from graphlab.capture.tensorflow import op_table
from graphlab.capture.tensorflow.graph_def import Feed, Origin, read_graphs
from graphlab.capture.tensorflow.schema import SCHEMA
from graphlab.capture.tff.region import Function, Shared
from graphlab.capture.tff.types import element_names, notation, value_type
from graphlab.errors import FormatError
from graphlab.ir.frames import Frame
from graphlab.ir.frozen import EMPTY, FrozenDict
from graphlab.ir.graph import Graph
from graphlab.ir.values import TensorType


class Leaves:
    """Reads leaves into graphs; equal ones once. ``frames`` gathers those of XLA modules."""

    def __init__(self, parsed: Parsed, file: File) -> None:
        self.shared = Shared(file, parsed, self)
        self.frames: list[Frame] = []
        self._parsed = parsed
        self._file = file
        self._graphs = self.shared.graphs
        self._known: dict[bytes, Function] = {}

    def __call__(self, node: Any, hint: str) -> Function:
        """The leaf that an expression is. Raises FormatError where it is not sound."""
        which = node.WhichOneof("computation")
        key = node.SerializeToString(deterministic=True)
        if key not in self._known:
            self._known[key] = self._tensorflow(node, hint) if which == "tensorflow" else self._xla(node, hint)
        return self._known[key]

    # -- TensorFlow

    def _tensorflow(self, node: Any, hint: str) -> Function:
        leaf, type = node.tensorflow, node.type.function
        packed = self._unpacked(leaf.graph_def, "tensorflow.GraphDef", hint or "TensorFlow graph")
        parsed = SCHEMA.parse("GraphDef", packed)
        nodes = {each.name: each.op for each in parsed.message.node}
        parameters = list(_tensors(leaf.parameter, type.parameter, "")) if type.HasField("parameter") else []
        results = [tensor for tensor, _, _ in _tensors(leaf.result, type.result, "")]
        names = {tensor: path or "arg" for tensor, path, _ in parameters}
        token = leaf.session_token_tensor_name
        made = [token] if token and token not in names else []
        origins: dict[str, Origin] = {}
        feeds: list[Feed] = []
        for index, tensor in enumerate([*names, *made]):
            owner, _, port = tensor.partition(":")
            if nodes.get(owner) in ("Placeholder", "PlaceholderV2") and port in ("", "0"):
                origins[owner] = Origin("input", index, names.get(tensor, ""))
            else:
                feeds.append(Feed(tensor, index, names.get(tensor, tensor)))
        try:
            graphs = read_graphs(
                parsed.message,
                entry=hint or "tensorflow",
                origins=origins,
                outputs=results,
                op_def=op_table.find,
                feeds=feeds,
                control_outputs=[leaf.initialize_op] if leaf.initialize_op in nodes else [],
                file=parsed,
            )
        except FormatError as error:  # it names the graph, and not the file
            raise FormatError(f"read {packed.name}", found=error.found, do=error.do, where=f"graph '{hint or 'tensorflow'}'") from error
        name = self._adopt(graphs, next(iter(graphs)), 0)
        self._typed(name, [value for _, _, value in parameters])
        return Function(name, "tff.tensorflow", len(names), len(results), node.type, made=len(made))

    def _typed(self, name: str, types: list[Any]) -> None:
        """Give the inputs the types that TFF knows them by: a placeholder seldom has its shape."""
        graph = self._graphs[name]
        for id, type in zip(graph.inputs, types, strict=False):
            known = value_type(type)
            [made] = graph._node[id]["outputs"]
            if isinstance(known, TensorType) and isinstance(made, TensorType) and known.dtype == made.dtype and made.dims is None:
                graph._node[id]["outputs"] = (known,)

    # -- XLA

    def _xla(self, node: Any, hint: str) -> Function:
        from graphlab.capture.xla import hlo_proto

        leaf, type = node.xla, node.type.function
        packed = self._unpacked(leaf.hlo_module, "xla.HloModuleProto", hint or "XLA module")
        program = hlo_proto.read(packed)
        shift = len(self.frames)
        self.frames += [replace(f, caller=None if f.caller is None else f.caller + shift) for f in program.frames]
        takes = len(program.main.inputs)
        gives = len(program.main.operands(program.main.output))
        name = self._adopt(dict(program.graphs), program.entry, shift)
        wanted = len(list(_indices(leaf.parameter))) if type.HasField("parameter") else 0
        if takes != wanted:
            found = f"an XLA computation of type {notation(node.type)[:80]} binds {wanted} of its module's {takes} parameters"
            raise self.shared.wrong(found, where=packed.name)
        return Function(name, "tff.xla", takes, gives, node.type)

    # -- both

    def _unpacked(self, packed: Any, message: str, what: str) -> File:
        """The message in an Any as a file of its own: its large parts stay in the file that holds it."""
        if packed.type_url.rpartition("/")[2] != message:
            raise self.shared.wrong(f"it is a '{packed.type_url[:80]}', where {message} is known", where=f"local computation '{what}'")
        data = self._parsed.data(packed.value)
        name = f"{self._file.name}!{what}"
        if isinstance(data, Slice):
            return File.open(data.path).part(name, data.offset, data.length)
        return File.of(name, data, path=self._file.path)

    def _adopt(self, graphs: Mapping[str, Graph], entry: str, shift: int) -> str:
        """Take a leaf's graphs over under names of their own; returns the entry's."""
        shared = self.shared
        top = shared.names.take(entry)
        named = {name: top if name == entry else shared.names.take(f"{top}/{name}") for name in graphs}
        for name, graph in graphs.items():
            taken = Graph(graph, name=named[name])
            for data in taken._node.values():
                if "calls" in data:
                    calls: FrozenDict[str, Any] = data.get("calls", EMPTY)
                    data["calls"] = FrozenDict({role: replace(call, graph=named[call.graph]) for role, call in calls.items()})
                if shift and "loc" in data:
                    data["loc"] += shift
            shared.graphs[named[name]] = taken
        return top


def _tensors(binding: Any, type: Any, path: str) -> Iterator[tuple[str, str, Any]]:
    """The tensors that a value is bound to, each with its path within the value and its type; a sequence is its dataset's variant."""
    which = binding.WhichOneof("binding")
    if which == "struct":
        names = element_names(type) if type.WhichOneof("type") == "struct" else ()
        for i, element in enumerate(binding.struct.element):
            inner = type.struct.element[i].value if i < len(names) else type
            name = names[i] if i < len(names) else str(i)
            yield from _tensors(element, inner, f"{path}.{name}" if path else name)
    elif which == "tensor":
        yield binding.tensor.tensor_name, path, type
    elif which == "sequence":
        sequence = binding.sequence
        yield getattr(sequence, sequence.WhichOneof("binding") or "variant_tensor_name"), path, type


def _indices(binding: Any) -> Iterator[int]:
    if binding.WhichOneof("binding") == "struct":
        for element in binding.struct.element:
            yield from _indices(element)
    elif binding.WhichOneof("binding") == "tensor":
        yield binding.tensor.index
