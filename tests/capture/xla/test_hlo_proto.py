"""HLO messages: found whatever wraps them, of any version, and refused where they are not sound."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from graphlab.capture import dispatch
from graphlab.capture.file import File
from graphlab.capture.xla import hlo_proto
from graphlab.capture.xla.hlo_lexer import quote, text_of, unquote
from graphlab.capture.xla.hlo_messages import binary_schema, text_schema
from graphlab.errors import FormatError, SelectError, UnknownFormat
from graphlab.ir.format import dumps
from graphlab.ir.program import Program, Source
from graphlab.ir.values import OpaqueType, TensorType
from graphlab.ir.verify import verify
from graphlab.testing import CHECKS

F32, S32, TUPLE = 11, 4, 13


def shape(*dims: int, kind: int = F32, order: tuple[int, ...] | None = None) -> Any:
    made = text_schema().new("ShapeProto")
    made.element_type = kind
    made.dimensions.extend(dims)
    made.layout.minor_to_major.extend(order if order is not None else range(len(dims) - 1, -1, -1))
    return made


def module(**changes: Any) -> Any:
    """``ROOT n = negate(p)`` of f32[2,3], as an HloModuleProto."""
    made = text_schema().new("HloModuleProto")
    made.name, made.entry_computation_name, made.entry_computation_id = "m", "main", 7
    body = made.computations.add(name="main", id=7, root_id=2)
    body.instructions.add(name="p", opcode="parameter", id=1).shape.CopyFrom(shape(2, 3))
    body.instructions.add(name="n", opcode="negate", id=2, operand_ids=[1]).shape.CopyFrom(shape(2, 3))
    made.host_program_shape.parameters.add().CopyFrom(shape(2, 3))
    made.host_program_shape.result.CopyFrom(shape(2, 3))
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def read(message: Any, **options: Any) -> Program:
    data = message if isinstance(message, bytes) else message.SerializeToString()
    file = File.of("m.pb", data)
    assert hlo_proto.matches(file)
    program = hlo_proto.read(file, **options)
    assert verify(program) == ()
    return program


def bare(program: Program) -> bytes:
    """A Program's bytes without where it came from."""
    return dumps(replace(program, source=Source("xla", "hlo")))


# --- what holds a module --------------------------------------------------------------------------------------------


def wrapped() -> dict[str, Any]:
    """The module of :func:`module` in each message that holds one."""
    new = text_schema().new
    made: dict[str, Any] = {}
    made["HloModuleProto"] = module()
    made["HloProto"] = new("HloProto")
    made["HloProto"].hlo_module.CopyFrom(module())
    made["HloSnapshot"] = new("HloSnapshot")
    made["HloSnapshot"].hlo.hlo_module.CopyFrom(module())
    made["HloSnapshot"].arguments.add(f32s=[1] * 6).shape.CopyFrom(shape(2, 3))
    made["HloSnapshot"].execution_platform = "Host"
    made["HloUnoptimizedSnapshot"] = new("HloUnoptimizedSnapshot")
    made["HloUnoptimizedSnapshot"].hlo_module.CopyFrom(module())
    made["HloUnoptimizedSnapshot"].version = 1
    made["HloUnoptimizedSnapshot"].partitions.add().arguments.add().shape.CopyFrom(shape(2, 3))
    made["HloModuleProtoWithConfig"] = new("HloModuleProtoWithConfig")
    made["HloModuleProtoWithConfig"].hlo_module.CopyFrom(module())
    made["HloModuleProtoWithConfig"].config.num_partitions = 8
    made["CompilationResultProto"] = new("CompilationResultProto")
    made["CompilationResultProto"].hlo_module.CopyFrom(made["HloModuleProtoWithConfig"])
    made["GpuExecutableProto"] = new("GpuExecutableProto")
    made["GpuExecutableProto"].hlo_module_with_config.CopyFrom(made["HloModuleProtoWithConfig"])
    made["GpuExecutableProto"].binary = b"\x7fELF" + bytes(100)
    made["ExecutableAndOptionsProto"] = new("ExecutableAndOptionsProto")
    made["ExecutableAndOptionsProto"].serialized_executable = made["CompilationResultProto"].SerializeToString()
    made["ExecutableAndOptionsProto"].pjrt_client_name = "PjRtCpuClient"
    made["HloModuleGroupProto"] = new("HloModuleGroupProto")
    made["HloModuleGroupProto"].name = "group"
    made["HloModuleGroupProto"].hlo_modules.add().CopyFrom(module())
    return made


WRAPPED = tuple(wrapped())


@pytest.mark.parametrize("kind", WRAPPED)
def test_a_module_is_found_in_each_message_that_holds_one(kind: str) -> None:
    program = read(wrapped()[kind])
    assert program.main.operands("n")[0].src == "p"
    assert program.source.format == "hlo proto"
    assert program.meta["module"] == "m"
    assert program.meta.get("message") == (None if kind in ("HloModuleProto", "HloProto") else kind)
    assert {**program.meta, "message": 0}.get("num_partitions") == (
        8 if "Config" in kind or "Executable" in kind or "Result" in kind else None
    )


@pytest.mark.parametrize("kind", [kind for kind in WRAPPED if kind != "ExecutableAndOptionsProto"])
def test_its_text_form_reads_as_its_bytes_do(kind: str, tmp_path: Path) -> None:
    from google.protobuf import text_format

    message = wrapped()[kind]
    path = tmp_path / "m.txt"
    path.write_text("# a comment\n\n" + text_format.MessageToString(message))
    program = dispatch.load(path)
    assert bare(replace(program, meta=read(message).meta)) == bare(read(message))
    assert program.meta["module"] == "m"


def test_a_snapshot_tells_its_arguments_and_a_compiled_program_its_client() -> None:
    snapshot = read(wrapped()["HloSnapshot"])
    assert (snapshot.meta["arguments"], snapshot.meta["execution_platform"]) == (("f32[2,3]{1,0}",), "Host")
    assert read(wrapped()["HloUnoptimizedSnapshot"]).meta["partitions"] == (("f32[2,3]{1,0}",),)
    assert read(wrapped()["ExecutableAndOptionsProto"]).source.producer == "PJRT PjRtCpuClient"


@pytest.mark.jax
def test_an_executable_that_jax_serializes_holds_its_module(tmp_path: Path) -> None:
    jax = pytest.importorskip("jax")
    x = jax.numpy.ones((4, 4))
    executable = jax.jit(lambda x: jax.numpy.tanh(x @ x).sum()).lower(x).compile().runtime_executable()
    path = tmp_path / "jit.bin"
    path.write_bytes(executable.serialize())
    program = dispatch.load(path)
    assert program.count() == sum(len(list(c.instructions())) for m in executable.hlo_modules() for c in m.computations())
    assert program.meta["message"] == "ExecutableAndOptionsProto"
    assert program.meta["buffer_assignment"]["parameter_bytes"] == 64


def test_buffers_are_added_up_by_what_they_are_for() -> None:
    message = wrapped()["HloProto"]
    for size, flag in (
        (24, "is_entry_computation_parameter"),
        (4, "is_constant"),
        (8, "maybe_live_out"),
        (100, ""),
        (3, "is_thread_local"),
    ):
        message.buffer_assignment.buffer_allocations.add(size=size, **({flag: True} if flag else {}))
    message.buffer_assignment.buffer_allocations.add(size=7, color=1, maybe_live_out=True)
    assert read(message).meta["buffer_assignment"] == {
        "allocations": 6, "bytes": 146, "parameter_bytes": 24, "constant_bytes": 4, "output_bytes": 8, "thread_local_bytes": 3,
        "temporary_bytes": 100, "other_memory_bytes": 7,
    }  # fmt: skip


def test_of_several_modules_one_is_selected_or_all_are_signatures() -> None:
    group = wrapped()["HloModuleGroupProto"]
    group.hlo_modules.add().CopyFrom(module(name="other"))
    both = read(group)
    assert (list(both.signatures), list(both.graphs), both.entry) == (["m", "other"], ["m/main", "other/main"], "m/main")
    assert list(read(group, select="other").graphs) == ["main"]
    assert list(read(group, select="2").graphs) == ["main"]
    with pytest.raises(SelectError, match="it holds 2 modules: m, other") as caught:
        read(group, select="third")
    assert caught.value.names == ("m", "other")


def test_what_embeds_modules_without_being_one_is_not_taken(tmp_path: Path) -> None:
    # A profile's plane (XSpace) and a tuning log hold whole modules deep inside; neither is a module's file.
    tuning = b"".join(
        _field(1, _field(1, module().SerializeToString()) + b"\x10\x07" + _field(3, struct.pack("<3d", 1, 2, 3))) for _ in range(2)
    )
    plane = _field(1, _field(2, b"/host:metadata") + _field(4, b"\x08\x01" + _field(2, b"\x08\x01" + _field(2, b"jit_f(1)"))))
    for data in (tuning, plane, b"", b"\x0a", b"\x0a\x03abc", bytes(64)):
        assert not hlo_proto.matches(File.of("x.pb", data))
        path = tmp_path / "x.pb"
        path.write_bytes(data)
        with pytest.raises(UnknownFormat, match="HLO modules deep inside" if data == tuning else None):
            dispatch.load(path)


def _field(number: int, data: bytes) -> bytes:
    length, size = len(data), b""
    while length >= 0x80:
        size += bytes([length & 0x7F | 0x80])
        length >>= 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + data


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", ["HloModuleProto", "ExecutableAndOptionsProto"])
def test_it_keeps_the_readers_contract(check: Callable[..., None], kind: str, tmp_path: Path) -> None:
    path = tmp_path / "m.hlo.pb"
    path.write_bytes(wrapped()[kind].SerializeToString())
    check(path)


# --- values ---------------------------------------------------------------------------------------------------------


def with_constant(type: Any, **values: Any) -> Any:
    made = module()
    constant = made.computations[0].instructions.add(name="c", opcode="constant", id=3)
    constant.shape.CopyFrom(type)
    constant.literal.shape.CopyFrom(type)
    for name, value in values.items():
        if isinstance(value, bytes):
            setattr(constant.literal, name, value)
        else:
            getattr(constant.literal, name).extend(value)
    return made


def test_a_literal_in_another_layout_is_turned_into_c_order() -> None:
    program = read(with_constant(shape(2, 3, order=(0, 1)), f32s=[1, 4, 2, 5, 3, 6]))
    value = program.main.node("c").value
    assert value is not None
    assert value.array().tolist() == [[1, 2, 3], [4, 5, 6]]


def test_a_large_literal_stays_in_the_file_until_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "big.pb"
    path.write_bytes(with_constant(shape(1 << 18), f32s=range(1 << 18)).SerializeToString())
    program = dispatch.load(path)
    value = program.main.node("c").value
    assert value is not None
    assert value.nbytes == 1 << 20
    assert value.array()[-1] == (1 << 18) - 1
    path.write_bytes(b"gone")
    again = dispatch.load  # the file is read anew at each call
    with pytest.raises(UnknownFormat):
        again(path)


def test_a_literal_that_does_not_fit_its_type_is_told_when_it_is_asked_for() -> None:
    from graphlab.errors import ValueUnavailable

    value = read(with_constant(shape(5), f32s=[1, 2])).main.node("c").value
    assert value is not None
    with pytest.raises(ValueUnavailable, match="2 values"):
        value.bytes()
    missing = read(with_constant(shape(5))).main.node("c").value
    assert missing is not None
    assert (missing.available, missing.reason) == (False, "XLA left the value out of the message")


def test_packed_and_unpacked_four_bit_literals_are_the_same() -> None:
    four = shape(3, kind=21)
    values = [read(with_constant(four, s4s=data)).main.node("c").value for data in (b"\x01\x0e\x03", b"\xe1\x03")]
    assert [value.array().astype(int).tolist() for value in values if value is not None] == [[1, -2, 3], [1, -2, 3]]


@pytest.mark.parametrize("text", ["plain", "caf\u00e9", "q\"\\n\n\t'", "\\303\\251", "\u2603\0\x7f"])
def test_strings_survive_xlas_quoting(text: str) -> None:
    assert unquote(quote(text)) == text
    assert unquote(quote(text.encode())) == text_of(text.encode())


def test_bytes_that_are_no_utf8_are_a_character_each() -> None:
    assert unquote(quote(b"a\xff\x80b\xc3\xa9")) == text_of(b"a\xff\x80b\xc3\xa9") == "a\xff\x80b\u00e9"


# --- later and earlier versions -------------------------------------------------------------------------------------


def test_an_operation_that_is_not_known_is_kept_with_its_fields() -> None:
    made = module()
    instruction = made.computations[0].instructions[1]
    instruction.opcode, instruction.k, instruction.custom_call_target = "warp-drive", 3, "x"
    instruction.window.dimensions.add(size=2)
    node = read(made).main.node("n")
    assert node.op == "hlo.warp-drive"
    assert node.attrs == {"window": "dimensions { size: 2 }", "custom_call_target": "x", "k": 3}


def test_a_known_operation_keeps_a_field_it_did_not_have() -> None:
    made = module()
    made.computations[0].instructions[1].is_stable = True
    assert read(made).main.node("n").attrs == {"is_stable": True}


def test_fields_of_a_later_version_are_kept_by_their_numbers() -> None:
    made = module()
    later = made.computations[0].instructions[1]
    later.MergeFromString(_field(15, b"x")[:0] + bytes([0xC2, 0x3E, 2]) + b"ab" + bytes([0xC8, 0x3E, 5]))  # fields 1000 and 1001
    made.MergeFromString(bytes([0xC8, 0x3E, 6]))
    program = read(made)
    assert program.main.node("n").meta["unknown_fields"] == {"1000": "ab", "1001": 5}
    assert program.meta["unknown_fields"] == {"1001": 6}


def test_an_element_type_of_a_later_version_is_opaque() -> None:
    made = module()
    made.computations[0].instructions[1].shape.element_type = 99
    assert read(made).main.node("n").outputs == (OpaqueType("type99[2,3]{1,0}"),)


def test_a_module_without_ids_of_its_entry_or_api_versions_reads_as_old_ones_do() -> None:
    made = module(entry_computation_id=0)
    made.computations.insert(0, made.computations[0].__class__(name="other", id=3, root_id=1))
    made.computations[0].instructions.add(name="q", opcode="parameter", id=1).shape.CopyFrom(shape(2))
    call = made.computations[1].instructions[1]
    call.opcode, call.custom_call_target = "custom-call", "t"
    program = read(made)
    assert program.entry == "main"
    assert program.main.node("n").attrs["api_version"] == "API_VERSION_UNSPECIFIED"


def test_names_that_repeat_are_numbered() -> None:
    made = module()
    made.computations[0].instructions[1].name = "p"
    assert list(read(made).main.nodes) == ["p", "p_1", "ROOT"]


def test_payloads_are_looked_up_in_the_modules_table() -> None:
    made = module()
    made.payloads.extend([b'{"a":1}', b"note"])
    instruction = made.computations[0].instructions[1]
    instruction.backend_config_payload.id = 0
    instruction.metadata.op_name = "f/n"
    instruction.metadata.metadata_payload.id = 1
    node = read(made).main.node("n")
    assert (node.attrs["backend_config"], node.meta["metadata_payload"], node.scope) == ({"a": 1}, "note", "f")


def test_dynamic_dimensions_have_ranges() -> None:
    made = module()
    for instruction in made.computations[0].instructions:
        instruction.shape.is_dynamic_dimension.extend([True, False])
    program = read(made)
    assert str(program.main.node("n").outputs[0]) == "f32[<=2,3]{1,0}"
    assert program.dims["<=2"].max == 2


# --- hostile ones ---------------------------------------------------------------------------------------------------


def _second_id(made: Any) -> None:
    made.computations[0].instructions[1].id = 1


def _no_operand(made: Any) -> None:
    made.computations[0].instructions[1].operand_ids[0] = 9


def _itself(made: Any) -> None:
    made.computations[0].instructions[1].operand_ids[0] = 2


def _no_root(made: Any) -> None:
    made.computations[0].root_id = 9


def _no_computation(made: Any) -> None:
    made.computations[0].instructions[1].called_computation_ids.append(99)


def _own_caller(made: Any) -> None:
    made.computations[0].instructions[1].opcode = "call"
    made.computations[0].instructions[1].called_computation_ids.append(7)


def _two_parameters(made: Any) -> None:
    made.computations[0].instructions[1].opcode = "parameter"
    made.computations[0].instructions[1].ClearField("operand_ids")


def _parameter_gap(made: Any) -> None:
    made.computations[0].instructions[0].parameter_number = 4


def _negative_parameter(made: Any) -> None:
    made.computations[0].instructions[0].parameter_number = -1


def _no_shape(made: Any) -> None:
    made.computations[0].instructions[1].ClearField("shape")


def _negative_size(made: Any) -> None:
    made.computations[0].instructions[1].shape.dimensions[0] = -5


def _half_dynamic(made: Any) -> None:
    made.computations[0].instructions[1].shape.is_dynamic_dimension.append(True)


def _no_opcode(made: Any) -> None:
    made.computations[0].instructions[1].opcode = ""


def _bad_schedule(made: Any) -> None:
    made.schedule.sequences[7].instruction_ids.extend([1, 1])


def _late_predecessor(made: Any) -> None:
    made.computations[0].instructions[0].control_predecessor_ids.append(2)


def _deep_shape(made: Any) -> None:
    at = made.computations[0].instructions[1].shape
    for _ in range(80):
        at.element_type = TUPLE
        at = at.tuple_shapes.add()
    at.element_type = F32


def _circle_of_frames(made: Any) -> None:
    made.stack_frame_index.stack_frames.add(parent_frame_id=2)
    made.stack_frame_index.stack_frames.add(parent_frame_id=1)


def _same_computation(made: Any) -> None:
    made.computations.add().CopyFrom(made.computations[0])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_second_id, "a second instruction of the id 1"),
        (_no_operand, "the operand id 9, which no instruction above it"),
        (_itself, "the operand id 2, which no instruction above it"),
        (_no_root, "the root id 9"),
        (_no_computation, "the computation id 99"),
        (_own_caller, "the computation 'main', which uses itself"),
        (_two_parameters, r"a second parameter\(0\)"),
        (_parameter_gap, r"no parameter\(0\)"),
        (_negative_parameter, "the parameter number -1"),
        (_no_shape, "an instruction without a shape"),
        (_negative_size, "a dimension of size -5"),
        (_half_dynamic, "2 dimensions, 1 of them"),
        (_no_opcode, "an instruction without an operation"),
        (_bad_schedule, "a schedule that does not have each instruction"),
        (_late_predecessor, "the control predecessor id 2"),
        (_deep_shape, "nested more than 64 deep"),
        (_circle_of_frames, "stack frame . calls itself"),
        (_same_computation, "a second computation of the id 7"),
    ],
)
def test_a_message_that_is_not_sound_is_refused_with_its_place(damage: Callable[[Any], None], message: str) -> None:
    made = module()
    damage(made)
    with pytest.raises(FormatError, match=message) as caught:
        hlo_proto.read(File.of("m.pb", made.SerializeToString()))
    assert caught.value.where is not None
    assert caught.value.where.startswith("m.pb: computation 'main'")


def test_a_size_that_no_array_has_is_no_more_than_a_number() -> None:
    made = with_constant(shape(1 << 62, 1 << 62), f32s=[1])
    made.computations[0].instructions[2].shape.layout.ClearField("minor_to_major")
    node = read(made).main.node("c")
    assert isinstance(node.outputs[0], TensorType)
    assert node.outputs[0].dims == (1 << 62, 1 << 62)


def test_the_binary_schema_reads_elements_as_bytes() -> None:
    literal = binary_schema().new("LiteralProto")
    assert literal.DESCRIPTOR.fields_by_name["f32s"].type == literal.DESCRIPTOR.fields_by_name["bf16s"].type
