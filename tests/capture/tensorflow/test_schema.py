"""The messages and operations that readers know without TensorFlow, against TensorFlow's own."""

from __future__ import annotations

from typing import Any

import pytest

from graphlab.capture.tensorflow import op_table
from graphlab.capture.tensorflow.opdefs import OpSpec
from graphlab.capture.tensorflow.schema import SCHEMA

pytestmark = pytest.mark.tensorflow

MESSAGES = ("SavedModel", "VariableDef", "GraphDebugInfo", "TrackableObjectGraph", "BundleHeaderProto", "BundleEntryProto", "OpList")
LEFT_OUT = {"experimental_debug_info", "experimental_type", "experimental_full_type"}


def theirs(name: str) -> Any:
    pytest.importorskip("tensorflow")
    from tensorflow.core.framework import graph_debug_info_pb2, op_def_pb2, variable_pb2
    from tensorflow.core.protobuf import saved_model_pb2, tensor_bundle_pb2, trackable_object_graph_pb2

    modules = (saved_model_pb2, variable_pb2, graph_debug_info_pb2, trackable_object_graph_pb2, tensor_bundle_pb2, op_def_pb2)
    return next(getattr(module, name).DESCRIPTOR for module in modules if hasattr(module, name))


def shape(field: Any) -> tuple[Any, ...]:
    """What makes two fields the same on the wire and in text. An enum's or a message's name without its package."""
    kind = field.message_type or field.enum_type
    group = field.containing_oneof is not None
    return field.number, field.type, field.is_repeated, kind.name if kind is not None else None, group


@pytest.mark.parametrize("name", MESSAGES)
def test_fields_have_tensorflows_own_numbers_and_types(name: str) -> None:
    compared: set[str] = set()
    waiting = [(SCHEMA.new(name).DESCRIPTOR, theirs(name))]
    while waiting:
        mine, other = waiting.pop()
        if mine.full_name in compared:
            continue
        compared.add(mine.full_name)
        known = {field.name: field for field in other.fields}
        for field in mine.fields:
            assert field.name in known, f"{mine.full_name}.{field.name} is not TensorFlow's"
            assert shape(field) == shape(known[field.name]), f"{mine.full_name}.{field.name}"
            if field.message_type is not None:
                waiting.append((field.message_type, known[field.name].message_type))
            if field.enum_type is not None:
                values = {v.name: v.number for v in known[field.name].enum_type.values}
                assert {v.name: v.number for v in field.enum_type.values}.items() <= values.items()
    assert f"tensorflow.{name}" in compared


@pytest.mark.parametrize("name", ["NodeDef", "TensorProto", "AttrValue", "FunctionDef", "SignatureDef"])
def test_of_what_graphs_are_made_of_no_field_is_left_out(name: str) -> None:
    from tensorflow.core.framework import attr_value_pb2, function_pb2, node_def_pb2, tensor_pb2
    from tensorflow.core.protobuf import meta_graph_pb2

    modules = (node_def_pb2, tensor_pb2, attr_value_pb2, function_pb2, meta_graph_pb2)
    other = next(getattr(module, name).DESCRIPTOR for module in modules if hasattr(module, name))
    mine = {field.name for field in SCHEMA.new(name).DESCRIPTOR.fields}
    assert {field.name for field in other.fields} - LEFT_OUT <= mine


def test_every_operation_of_the_registry_is_in_the_table_as_its_opdef_has_it() -> None:
    pytest.importorskip("tensorflow")
    registered = op_table.registered()
    assert len(registered) > 1500
    for op_def in registered:
        mine, other = op_table.find(op_def.name), OpSpec.of(op_def)
        assert mine is not None, op_def.name
        assert (mine.name, mine.inputs, mine.stateful, mine.functions) == (other.name, other.inputs, other.stateful, other.functions)
        assert [a.name for a in mine.outputs] == [a.name for a in other.outputs]
        assert mine.defaults == other.defaults, op_def.name
        for a, b in zip(mine.outputs, other.outputs, strict=True):
            assert (a.type_attr, a.number_attr, a.type_list_attr) == (b.type_attr, b.number_attr, b.type_list_attr), op_def.name
            assert a.type == b.type or a.type_attr or a.type_list_attr
