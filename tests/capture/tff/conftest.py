"""Computations written by the tests: TFF itself pins an old TensorFlow and shares no environment with today's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graphlab.capture import proto, tff as reader
from graphlab.capture.file import File
from graphlab.capture.tensorflow.schema import SCHEMA as TENSORFLOW
from graphlab.capture.tff import _SCHEMA
from graphlab.ir.program import Program
from graphlab.ir.verify import ensure_verified

FLOAT, INT32 = 1, 3
CLIENTS, SERVER = "clients", "server"


class Maker:
    """Short ways to write types and expressions."""

    def __init__(self) -> None:
        self._schema = proto.load(_SCHEMA)

    def new(self, message: str) -> Any:
        return self._schema.new(message)

    # -- types

    def tensor(self, *dims: int, dtype: int = FLOAT) -> Any:
        type = self.new("Type")
        type.tensor.dtype = dtype
        type.tensor.dims.extend(dims)
        return type

    def struct_type(self, **elements: Any) -> Any:
        type = self.new("Type")
        type.struct.SetInParent()
        for name, element in elements.items():
            type.struct.element.add(name="" if name.startswith("_") else name).value.CopyFrom(element)
        return type

    def sequence(self, element: Any) -> Any:
        type = self.new("Type")
        type.sequence.element.CopyFrom(element)
        return type

    def function(self, parameter: Any | None, result: Any) -> Any:
        type = self.new("Type")
        if parameter is not None:
            type.function.parameter.CopyFrom(parameter)
        type.function.result.CopyFrom(result)
        return type

    def at(self, placement: str, member: Any, *, all_equal: bool = False) -> Any:
        type = self.new("Type")
        type.federated.placement.value.uri = placement
        type.federated.all_equal = all_equal
        type.federated.member.CopyFrom(member)
        return type

    # -- expressions

    def of(self, type: Any) -> Any:
        made = self.new("Computation")
        made.type.CopyFrom(type)
        return made

    def ref(self, name: str, type: Any) -> Any:
        made = self.of(type)
        made.reference.name = name
        return made

    def lambda_(self, name: str, parameter: Any | None, result: Any) -> Any:
        made = self.of(self.function(parameter, result.type))
        body = getattr(made, "lambda")
        body.parameter_name = name
        body.result.CopyFrom(result)
        return made

    def call(self, function: Any, argument: Any | None = None) -> Any:
        made = self.of(function.type.function.result)
        made.call.function.CopyFrom(function)
        if argument is not None:
            made.call.argument.CopyFrom(argument)
        return made

    def struct(self, **elements: Any) -> Any:
        made = self.of(self.struct_type(**{name: element.type for name, element in elements.items()}))
        made.struct.SetInParent()
        for name, element in elements.items():
            made.struct.element.add(name="" if name.startswith("_") else name).value.CopyFrom(element)
        return made

    def select(self, source: Any, index: int | str) -> Any:
        names = [element.name for element in source.type.struct.element]
        place = names.index(index) if isinstance(index, str) else index
        made = self.of(source.type.struct.element[place].value)
        made.selection.source.CopyFrom(source)
        if isinstance(index, str):
            made.selection.name = index
        else:
            made.selection.index = index
        return made

    def block(self, result: Any, **locals: Any) -> Any:
        made = self.of(result.type)
        for name, value in locals.items():
            made.block.local.add(name=name).value.CopyFrom(value)
        made.block.result.CopyFrom(result)
        return made

    def intrinsic(self, uri: str, result: Any, *arguments: Any) -> Any:
        """A call of a built-in operator; several arguments go in as a struct."""
        many = len(arguments) > 1
        argument = self.struct(**{f"_{i}": a for i, a in enumerate(arguments)}) if many else arguments[0]
        function = self.of(self.function(argument.type, result))
        function.intrinsic.uri = uri
        return self.call(function, argument)

    def tensorflow(self, op: str, type: Any) -> Any:
        """A TensorFlow computation of one operation on a placeholder for each tensor of its parameter."""
        graph = TENSORFLOW.new("GraphDef")
        made = self.of(type)
        parameters = self._bind(made.tensorflow.parameter, type.function.parameter, [])
        dtype = FLOAT
        for name in parameters:
            graph.node.add(name=name, op="Placeholder").attr["dtype"].type = dtype
        node = graph.node.add(name="made", op=op, input=parameters)
        node.attr["T"].type = dtype
        made.tensorflow.result.tensor.tensor_name = "made:0"
        made.tensorflow.graph_def.type_url = "type.googleapis.com/tensorflow.GraphDef"
        made.tensorflow.graph_def.value = graph.SerializeToString()
        return made

    def _bind(self, binding: Any, type: Any, names: list[str]) -> list[str]:
        if type.WhichOneof("type") == "struct":
            for element in type.struct.element:
                self._bind(binding.struct.element.add(), element.value, names)
        else:
            names.append(f"arg_{len(names)}")
            binding.tensor.tensor_name = f"{names[-1]}:0"
        return names


@pytest.fixture(scope="session")
def make() -> Maker:
    return Maker()


@pytest.fixture
def read(tmp_path: Path) -> Callable[[Any], Program]:
    """A Computation, or its bytes → the Program that the reader makes of the file."""

    def write_and_read(computation: Any) -> Program:
        path = tmp_path / "computation.pb"
        path.write_bytes(computation if isinstance(computation, bytes) else computation.SerializeToString())
        file = File.open(path)
        assert reader.matches(file)
        return ensure_verified(reader.read(file))

    return write_and_read


@pytest.fixture(scope="session")
def sum_of_map(make: Maker) -> Any:
    """``(arg : {float32[3]}@CLIENTS) -> federated_sum(federated_map(<neg, arg>))``."""
    member = make.tensor(3)
    mapped = make.intrinsic(
        "federated_map",
        make.at(CLIENTS, member),
        make.tensorflow("Neg", make.function(member, member)),
        make.ref("arg", make.at(CLIENTS, member)),
    )
    total = make.intrinsic("federated_sum", make.at(SERVER, member, all_equal=True), make.ref("mapped", make.at(CLIENTS, member)))
    body = make.block(make.ref("total", total.type), mapped=mapped, total=total)
    return make.lambda_("arg", make.at(CLIENTS, member), body)
