"""One subgraph as an IR graph: operators are its nodes, tensors its edges.

A node is named by the tensor it makes. Tensors that no operator makes become nodes of their own: inputs, constants,
and the variables that operators change in place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from graphlab.capture.canonical import comparison
from graphlab.capture.tflite.calls import Callee, calls, control
from graphlab.capture.tflite.flatbuffer import Buffer, Table
from graphlab.capture.tflite.operators import Code, fused, options
from graphlab.capture.tflite.values import Tensor, Tensors
from graphlab.capture.unique import Names
from graphlab.ir.constants import Constant
from graphlab.ir.frozen import EMPTY, FrozenDict, frozen
from graphlab.ir.graph import Graph
from graphlab.ir.values import TensorType

Attributes = dict[str, Any]
_NO_INPUT = -1
_CHANGES = ("reads_state", "writes_state")


@dataclass(frozen=True, slots=True)
class Subgraph:
    """A subgraph's table with what it lists, before its operators are looked at."""

    name: str
    table: Table
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: Sequence[Table]

    @property
    def callee(self) -> Callee:
        return Callee(self.name, len(self.inputs), len(self.outputs))


class Reader:
    """Reads the subgraphs of one model."""

    def __init__(self, buffer: Buffer, tensors: Tensors, codes: Sequence[Code], subgraphs: Sequence[Subgraph]) -> None:
        self.buffer = buffer
        self.tensors = tensors
        self.codes = codes
        self.subgraphs = subgraphs

    def callee(self, at: int) -> Callable[[int], Callee]:
        """Number → callee, for the operator at ``at``."""

        def find(number: int) -> Callee:
            if not 0 <= number < len(self.subgraphs):
                self.buffer.fail(f"subgraph {number} is called of {len(self.subgraphs)}", at)
            return self.subgraphs[number].callee

        return find

    def graph(self, subgraph: Subgraph) -> tuple[Graph, list[Tensor]]:
        """The graph, and the subgraph's tensors.

        Raises:
            FormatError: it names a tensor, an operator code, a buffer or a subgraph that is not there.
        """
        tensors = [self.tensors.read(i, table) for i, table in enumerate(subgraph.table.tables("tensors"))]
        return _Build(self, subgraph, tensors).graph(), tensors


class _Build:
    def __init__(self, reader: Reader, subgraph: Subgraph, tensors: list[Tensor]) -> None:
        self._reader = reader
        self._subgraph = subgraph
        self._tensors = tensors
        self._ids = Names()
        self._nodes: list[tuple[str, Attributes]] = []
        self._made: list[tuple[str, Attributes]] = []
        self._edges: list[tuple[str, str, int, int]] = []
        self._source: dict[int, tuple[str, int]] = {}  # tensor → node and port that hold its value now
        self._late: list[tuple[int, str, int]] = []  # uses of tensors that an operator further on makes
        self._beside: dict[int, Tensor] = {}  # tensors that no operator takes, but the quantization of others names

    def graph(self) -> Graph:
        subgraph = self._subgraph
        for position, index in enumerate(subgraph.inputs):
            tensor = self._tensor(index, subgraph.table.at)
            id = self._ids.take(tensor.name or f"input_{position}")
            data = self._node("input", tensor, id, index=position)
            self._nodes.append((id, data))
            self._source.setdefault(index, (id, 0))
        produced: set[int] = set()
        for table in subgraph.operators:
            produced.update(table["outputs"] or ())
        for number, table in enumerate(subgraph.operators):
            self._operator(number, table, produced)
        output = self._ids.take("output")
        for slot, index in enumerate(subgraph.outputs):
            self._tensor(index, subgraph.table.at)
            self._use(index, output, slot, produced)
        for index, id, slot in self._late:
            src, port = self._source[index]
            self._edges.append((src, id, port, slot))
        while self._beside:
            index, tensor = self._beside.popitem()
            if index not in self._source:
                self._source[index] = (self._stored(tensor), 0)
        graph = Graph(name=subgraph.name)
        graph.fill([*self._nodes, *self._made, (output, {"kind": "output", "synthetic": True})], self._edges)
        return graph

    def _tensor(self, index: int, at: int) -> Tensor:
        if not 0 <= index < len(self._tensors):
            self._reader.buffer.fail(f"tensor {index} is named of {len(self._tensors):,}", at)
        return self._tensors[index]

    def _node(self, kind: str, tensor: Tensor, id: str, **more: Any) -> Attributes:
        """A node for a tensor that no operator makes."""
        data: Attributes = {"kind": kind, "outputs": (tensor.type,), "synthetic": True, **more}
        if tensor.name and tensor.name != id:
            data["name"] = tensor.name
        if tensor.facts:
            data["meta"] = frozen(self._facts(tensor))
        return data

    def _facts(self, tensor: Tensor) -> Attributes:
        """A tensor's facts; the tensors that hold scales block by block are named, not numbered."""
        facts = dict(tensor.facts)
        blocks = facts.get("quantization", EMPTY)
        named = {key: self._tensors[blocks[key]] for key in ("scales", "zero_points") if 0 <= blocks.get(key, -1) < len(self._tensors)}
        if named:
            facts["quantization"] = {**blocks, **{key: held.name for key, held in named.items()}}
            self._beside.update({held.index: held for held in named.values()})
        return facts

    def _use(self, index: int, id: str, slot: int, produced: set[int]) -> None:
        """An edge from the node that holds a tensor; where none does, the tensor becomes one."""
        if index not in self._source:
            if index in produced:  # by an operator further on
                self._late.append((index, id, slot))
                return
            self._source[index] = (self._stored(self._tensors[index]), 0)
        src, port = self._source[index]
        self._edges.append((src, id, port, slot))

    def _stored(self, tensor: Tensor) -> str:
        if tensor.variable:
            id = self._ids.take(tensor.name or f"variable_{tensor.index}")
            data = self._node("parameter", tensor, id, attrs=FrozenDict({"role": "buffer"}))
            if tensor.value is not None:
                data["value"] = tensor.value
        else:
            id = self._ids.take(tensor.name or f"constant_{tensor.index}")
            value = tensor.value
            if value is None and isinstance(tensor.type, TensorType) and tensor.type.elements == 0:
                value = Constant(tensor.type, b"")
            data = self._node("constant", tensor, id, value=value or Constant(tensor.type, None, reason="the file holds no bytes for it"))
        self._nodes.append((id, data))
        return id

    def _operator(self, number: int, table: Table, produced: set[int]) -> None:
        reader = self._reader
        index = table["opcode_index"]
        if index >= len(reader.codes):
            reader.buffer.fail(f"operator code {index} is named of {len(reader.codes):,}", table.at)
        code = reader.codes[index]
        inputs: tuple[int, ...] = table["inputs"] or ()
        results: tuple[int, ...] = table["outputs"] or ()
        operands = [None if i == _NO_INPUT else self._tensor(i, table.at) for i in inputs]
        outputs = [self._tensor(i, table.at) for i in results]
        name = outputs[0].name if outputs else ""
        id = self._ids.take(name or f"{code.name.lower()}_{number}")
        for slot, operand in enumerate(operands):
            if operand is not None:
                self._use(operand.index, id, slot, produced)
        for port, result in enumerate(outputs):
            self._source[result.index] = (id, port)
        self._made.append((id, self._attributes(code, table, operands, outputs, name, id)))

    def _attributes(self, code: Code, table: Table, operands: list[Tensor | None], outputs: list[Tensor], name: str, id: str) -> Attributes:
        reader = self._reader
        attrs = options(table, reader.buffer, reader.tensors)
        used = calls(code.name, attrs, len(operands), len(outputs), reader.callee(table.at))
        data: Attributes = {"kind": "op", "op": code.op}
        if outputs:
            data["outputs"] = tuple([tensor.type for tensor in outputs])
        if attrs:
            data["attrs"] = frozen(attrs)
        data["meta"] = frozen(self._meta(code, table, outputs))
        canonical = _canonical(code, attrs, operands)
        if canonical is not None:
            data["canonical"] = canonical
        if used:
            data["calls"] = used
            decides = control(code.name)
            if decides is not None:
                data["control"] = decides
        effects = code.info.effects
        if any(operand is not None and operand.variable for operand in operands):
            effects = tuple(sorted({*effects, *_CHANGES}))
        if effects:
            data["effects"] = effects
        if name and name != id:
            data["name"] = name
        scope = _scope(name)
        if scope:
            data["scope"] = scope
        absent = tuple([slot for slot, operand in enumerate(operands) if operand is None])
        if absent:
            data["absent"] = absent
        return data

    def _meta(self, code: Code, table: Table, outputs: list[Tensor]) -> Attributes:
        meta: Attributes = {"version": code.version}
        if len(outputs) > 1:
            meta["results"] = tuple([tensor.name for tensor in outputs])
        for tensor in outputs:
            meta.update(self._facts(tensor) if tensor.facts else {})
        kept = [self._tensors[i].type for i in table["intermediates"] or () if 0 <= i < len(self._tensors)]
        if kept:
            meta["intermediates"] = tuple(map(str, kept))
        return meta


def _canonical(code: Code, attrs: Attributes, operands: list[Tensor | None]) -> str | None:
    """The ONNX operator that the name has by the table, where options and ranks leave it that."""
    if code.name == "STABLEHLO_COMPARE":
        return comparison(str(attrs.get("comparison_direction", "")).removeprefix("STABLEHLO_COMPARISON_DIRECTION_"))
    if fused(attrs):
        return None
    if code.name == "FULLY_CONNECTED":
        type = operands[0].type if operands and operands[0] is not None else None
        flat = isinstance(type, TensorType) and type.rank == 2
        return code.info.canonical if flat else None
    if code.name == "BATCH_MATMUL" and (attrs.get("adj_x") or attrs.get("adj_y")):
        return None
    return code.info.canonical


def _scope(name: str) -> str:
    """``encoder/dense`` of ``encoder/dense/MatMul;encoder/dense/BiasAdd``, as converters name the tensors of fused operations."""
    return "/".join(part for part in name.partition(";")[0].split("/")[:-1] if part)
