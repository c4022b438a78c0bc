"""The schema beside the reader against onnx's own descriptors."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from graphlab.capture import proto
from graphlab.capture.onnx import _SCHEMA, _packed
from graphlab.ir.vocabulary.onnx import CANONICAL, KNOWN


def _facts(descriptor: Any) -> set[tuple[str, int, int, bool]]:
    return {(field.name, field.number, field.type, field.is_repeated) for field in descriptor.fields}


def test_every_message_has_the_fields_that_onnx_gives_it(onnx: ModuleType) -> None:
    schema = proto.load(_SCHEMA)
    held = onnx.ModelProto.DESCRIPTOR.file.message_types_by_name
    work = [(schema.new(name).DESCRIPTOR, theirs) for name, theirs in held.items() if name != "FloatFloatEntryProto"]
    compared = 0
    while work:
        mine, theirs = work.pop()
        assert _facts(mine) == _facts(theirs), mine.full_name
        work += [(inner, theirs.nested_types_by_name[inner.name]) for inner in mine.nested_types]
        compared += 1
    assert compared > 25


def test_the_schema_of_binary_files_leaves_numbers_packed() -> None:
    fields = _packed().new("TensorProto").DESCRIPTOR.fields_by_name
    assert {name for name, field in fields.items() if field.type == field.TYPE_BYTES} == {
        "raw_data", "string_data", "float_data", "double_data", "int32_data", "int64_data", "uint64_data",
    }  # fmt: skip


def test_every_operator_of_every_version_is_in_the_vocabulary(onnx: ModuleType) -> None:
    schemas = onnx.defs.get_all_schemas_with_history()
    assert {schema.name for schema in schemas if not schema.domain} <= set(CANONICAL.values())
    named = {f"onnx.{schema.domain}.{schema.name}" if schema.domain else f"onnx.{schema.name}" for schema in schemas}
    assert named <= KNOWN


def test_every_canonical_name_is_an_operator_of_onnx(onnx: ModuleType) -> None:
    assert set(CANONICAL.values()) <= {schema.name for schema in onnx.defs.get_all_schemas_with_history()}
