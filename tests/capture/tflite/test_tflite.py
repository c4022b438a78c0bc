"""Models written by TensorFlow's own flatbuffer classes: what the reader makes of each part of the format."""

from __future__ import annotations

import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from graphlab.analyzers import control_flow
from graphlab.capture import tflite
from graphlab.capture.dispatch import load
from graphlab.capture.file import File
from graphlab.errors import FormatError, SelectError
from graphlab.ir.graph import Call, Control
from graphlab.ir.program import Program
from graphlab.ir.values import OpaqueType, Quantization, TensorType
from graphlab.ir.verify import verify

pytestmark = pytest.mark.tensorflow


def read(data: bytes, select: str | None = None) -> Program:
    program = tflite.read(File.of("m.tflite", data), select=select)
    assert verify(program) == ()
    return program


def _add(model: Any, graph: Any, x: int, y: int, z: int, **fields: Any) -> Any:
    return model.operator(graph, "ADD", [x, y], [z], "AddOptions", potScaleInt16=True, **fields)


@pytest.fixture
def small(model: Any) -> Any:
    """main(x) = x + [1, 2]"""
    main = model.subgraph("main", [0], [2])
    model.tensor(main, "x", [2])
    model.tensor(main, "model/one", [2], data=struct.pack("<2f", 1, 2))
    model.tensor(main, "model/dense/add;model/dense/bias", [2])
    _add(model, main, 0, 1, 2)
    return model


def test_operators_are_nodes_named_by_what_they_make_and_tensors_are_edges(small: Any, write: Any) -> None:
    program = read(write(small.it))
    node = program.main.node("model/dense/add;model/dense/bias")
    assert program.count() == 1
    assert (node.op, node.canonical, node.scope) == ("tflite.ADD", "Add", "model/dense")
    assert [(use.src, use.dst_port) for use in node.operands] == [("x", 0), ("model/one", 1)]
    assert node.attrs == {"fused_activation_function": "NONE", "pot_scale_int16": True}
    assert [use.src for use in program.main.operands("output")] == [node.id]


def test_a_constant_is_fetched_from_the_file_when_asked_for(small: Any, write: Any, tmp_path: Path) -> None:
    path = tmp_path / "m.bin"
    path.write_bytes(write(small.it))
    value = load(path).main.node("model/one").value
    assert value is not None
    assert value.array().tolist() == [1.0, 2.0]


def test_source_names_the_converter_and_the_path(small: Any, write: Any) -> None:
    source = read(write(small.it)).source
    assert (source.framework, source.format, source.producer, source.path) == ("tensorflow lite", "tflite", "made by a test", "m.tflite")


def test_one_tensor_used_twice_is_two_operands(model: Any, write: Any) -> None:
    main = model.subgraph("main", [0], [1])
    model.tensor(main, "x", [2])
    model.tensor(main, "y", [2])
    _add(model, main, 0, 0, 1)
    assert [(u.src, u.dst_port) for u in read(write(model.it)).main.operands("y")] == [("x", 0), ("x", 1)]


def test_a_fused_activation_leaves_no_onnx_counterpart(model: Any, fb: ModuleType, write: Any) -> None:
    main = model.subgraph("main", [0], [1])
    model.tensor(main, "x", [2])
    model.tensor(main, "y", [2])
    _add(model, main, 0, 0, 1, fusedActivationFunction=fb.ActivationFunctionType.RELU6)
    node = read(write(model.it)).main.node("y")
    assert (node.canonical, node.attrs["fused_activation_function"]) == (None, "RELU6")


def test_optional_inputs_are_absent_slots(model: Any, write: Any) -> None:
    main = model.subgraph("main", [0, 1], [2])
    for name in ("x", "w", "y"):
        model.tensor(main, name, [2, 2])
    model.operator(main, "FULLY_CONNECTED", [0, 1, -1], [2], "FullyConnectedOptions")
    node = read(write(model.it)).main.node("y")
    assert node.absent == (2,)
    assert node.canonical == "Gemm"


def test_quantization_stands_on_the_types(model: Any, fb: ModuleType, write: Any) -> None:
    main = model.subgraph("main", [0], [1])
    for name, scales, zeros, axis in (("x", [0.5], [3], 0), ("y", [0.25, 0.5], [0, 0], 1)):
        q = fb.QuantizationParametersT()
        q.scale, q.zeroPoint, q.quantizedDimension = scales, zeros, axis
        model.tensor(main, name, [1, 2], "INT8", quantization=q)
    model.operator(main, "QUANTIZE", [0], [1])
    graph = read(write(model.it)).main
    assert graph.node("x").outputs == (TensorType("int8", (1, 2), quantization=Quantization((0.5,), (3,))),)
    assert graph.node("y").outputs == (TensorType("int8", (1, 2), quantization=Quantization((0.25, 0.5), (0, 0), axis=1)),)


def test_elements_of_less_than_a_byte_are_unpacked_lowest_bits_first(model: Any, write: Any) -> None:
    main = model.subgraph("main", [], [0, 1, 2])
    model.tensor(main, "i4", [3], "INT4", data=bytes([0x2F, 0x08]))
    model.tensor(main, "i2", [5], "INT2", data=bytes([0b11_10_01_00, 0b01]))
    model.tensor(main, "u4", [2], "UINT4", data=bytes([0xF1]))
    graph = read(write(model.it)).main
    assert {n: v.array().tolist() for n in ("i4", "i2", "u4") if (v := graph.node(n).value)} == {
        "i4": [-1, 2, -8], "i2": [0, 1, -2, -1, 1], "u4": [1, 15],
    }  # fmt: skip


def test_block_wise_quantization_names_the_tensors_of_its_scales(model: Any, fb: ModuleType, write: Any) -> None:
    main = model.subgraph("main", [0], [3])
    model.tensor(main, "x", [64], "INT8")
    model.tensor(main, "scales", [2], "FLOAT16", data=bytes(4))
    q, blocks = fb.QuantizationParametersT(), fb.BlockwiseQuantizationT()
    blocks.scales, blocks.zeroPoints, blocks.blockSize = 1, -1, 32
    q.detailsType, q.details = fb.QuantizationDetails.BlockwiseQuantization, blocks
    model.tensor(main, "w", [64], "INT8", data=bytes(64), quantization=q)
    model.tensor(main, "y", [64], "INT8")
    _add(model, main, 0, 2, 3)
    graph = read(write(model.it)).main
    facts = graph.node("w").meta["quantization"]
    assert (facts["scales"], facts["zero_points"], facts["block_size"]) == ("scales", -1, 32)
    assert graph.node("scales").kind == "constant"


def test_unknown_dims_are_those_of_the_signature_and_an_empty_shape_without_rank_is_not_known(model: Any, write: Any) -> None:
    main = model.subgraph("main", [0, 1, 2], [3, 4])
    model.tensor(main, "x", [1, 8], shapeSignature=[-1, 8])
    model.tensor(main, "scalar", [])
    model.tensor(main, "unknown", [], hasRank=False)
    model.tensor(main, "four bytes", [], "INT32", data=bytes(4), hasRank=False)
    model.tensor(main, "y", [])
    _add(model, main, 1, 2, 4)
    program = read(write(model.it))
    dims = [slot.type.dims for slot in program.signatures["main"].inputs if isinstance(slot.type, TensorType)]
    assert dims == [(None, 8), (), None]
    assert program.main.node("four bytes").outputs == (TensorType("int32", ()),)


def test_a_variable_is_a_buffer_and_its_operator_changes_state(model: Any, write: Any) -> None:
    main = model.subgraph("main", [0], [2])
    model.tensor(main, "x", [1, 2])
    model.tensor(main, "state", [1, 4], isVariable=True)
    model.tensor(main, "y", [1, 2])
    model.operator(main, "SVDF", [0, 1], [2], "SVDFOptions", rank=1)
    graph = read(write(model.it)).main
    assert (graph.node("state").kind, graph.node("state").attrs) == ("parameter", {"role": "buffer"})
    assert graph.node("y").effects == ("reads_state", "writes_state")


def _branches(model: Any) -> None:
    """main(p, x) = p ? x + x : x * x, by subgraphs 1 and 2"""
    main = model.subgraph("main", [0, 1], [2])
    model.tensor(main, "p", [], "BOOL")
    model.tensor(main, "x", [2])
    model.tensor(main, "y", [2])
    for name, code, options in (("then", "ADD", "AddOptions"), ("else", "MUL", "MulOptions")):
        graph = model.subgraph(name, [0], [1])
        model.tensor(graph, "a", [2])
        model.tensor(graph, "b", [2])
        model.operator(graph, code, [0, 0], [1], options)


def test_if_calls_its_branches_without_the_predicate(model: Any, write: Any) -> None:
    _branches(model)
    model.operator(model.it.subgraphs[0], "IF", [0, 1], [2], "IfOptions", thenSubgraphIndex=1, elseSubgraphIndex=2)
    program = read(write(model.it))
    node = program.main.node("y")
    assert node.calls == {"then": Call("then", (1,), (0,)), "else": Call("else", (1,), (0,))}
    assert node.control == Control("conditional", predicate=0)
    assert node.attrs == {}
    assert [c.decided_by for c in control_flow.analyze(program).constructs] == ["input"]


def test_stablehlo_case_calls_a_branch_by_number(model: Any, write: Any) -> None:
    _branches(model)
    model.operator(model.it.subgraphs[0], "STABLEHLO_CASE", [0, 1], [2], "StablehloCaseOptions", branchSubgraphIndices=[1, 2])
    node = read(write(model.it)).main.node("y")
    assert node.calls == {"branch_0": Call("then", (1,), (0,)), "branch_1": Call("else", (1,), (0,))}


@pytest.mark.parametrize(("code", "options"), [("WHILE", "WhileOptions"), ("STABLEHLO_WHILE", "StablehloWhileOptions")])
def test_a_loop_carries_its_values_and_its_trip_count_is_proved(model: Any, write: Any, code: str, options: str) -> None:
    main = model.subgraph("main", [], [1])
    model.tensor(main, "start", [], "INT32", data=struct.pack("<i", 0))
    model.tensor(main, "end", [], "INT32")
    model.operator(main, code, [0], [1], options, condSubgraphIndex=1, bodySubgraphIndex=2)
    cond = model.subgraph("cond", [0], [2])
    model.tensor(cond, "i", [], "INT32")
    model.tensor(cond, "limit", [], "INT32", data=struct.pack("<i", 7))
    model.tensor(cond, "more", [], "BOOL")
    model.operator(cond, "LESS", [0, 1], [2], "LessOptions")
    body = model.subgraph("body", [0], [2])
    model.tensor(body, "i", [], "INT32")
    model.tensor(body, "one", [], "INT32", data=struct.pack("<i", 1))
    model.tensor(body, "next", [], "INT32")
    _add(model, body, 0, 1, 2)
    program = read(write(model.it))
    node = program.main.node("end")
    assert node.calls == {"cond": Call("cond", (0,), (None,)), "body": Call("body", (0,), (0,), ((0, 0),))}
    assert node.control == Control("loop", condition=("cond", 0))
    (loop,) = control_flow.analyze(program).constructs
    assert loop.trip_count is not None
    assert str(loop.trip_count) == "7"


def test_call_once_brings_the_effects_of_what_it_runs(model: Any, write: Any) -> None:
    main = model.subgraph("main", [0], [1])
    model.tensor(main, "x", [1])
    model.tensor(main, "y", [1])
    model.operator(main, "CALL_ONCE", [], [], "CallOnceOptions", initSubgraphIndex=1)
    _add(model, main, 0, 0, 1)
    init = model.subgraph("init", [], [])
    model.tensor(init, "handle", [], "RESOURCE")
    model.tensor(init, "zero", [1], data=bytes(4))
    model.operator(init, "VAR_HANDLE", [], [0], "VarHandleOptions", sharedName="v")
    model.operator(init, "ASSIGN_VARIABLE", [0, 1], [], "AssignVariableOptions")
    program = read(write(model.it))
    assert program.main.node("call_once_0").calls == {"call": Call("init")}
    assert program.main.node("call_once_0").effects == ("writes_state",)
    assert program.graphs["init"].node("handle").outputs == (OpaqueType("resource"),)


def test_a_composite_keeps_its_decomposition_and_attributes(model: Any, write: Any) -> None:
    flexbuffers = pytest.importorskip("flatbuffers.flexbuffers")
    builder = flexbuffers.Builder()
    with builder.Map():
        builder.Float("scale", 0.5)
        builder.Key("axes")
        builder.TypedVectorFromElements([1, 2, 300])
    main = model.subgraph("main", [0], [1])
    model.tensor(main, "x", [2])
    model.tensor(main, "y", [2])
    model.operator(
        main, "STABLEHLO_COMPOSITE", [0], [1], "StableHLOCompositeOptions",
        name="odml.scale", decompositionSubgraphIndex=1, compositeAttributes=list(builder.Finish()),
    )  # fmt: skip
    inner = model.subgraph("inner", [0], [1])
    model.tensor(inner, "a", [2])
    model.tensor(inner, "b", [2])
    _add(model, inner, 0, 0, 1)
    node = read(write(model.it)).main.node("y")
    assert node.calls == {"decomposition": Call("inner", (0,), (0,))}
    assert node.attrs["name"] == "odml.scale"
    assert node.attrs["composite_attributes"] == {"scale": 0.5, "axes": (1, 2, 300)}


def test_stablehlo_options_are_decoded_by_name(model: Any, fb: ModuleType, write: Any) -> None:
    main = model.subgraph("main", [0, 1], [2])
    for name in ("x", "y", "z"):
        model.tensor(main, name, [2, 2])
    model.operator(
        main, "STABLEHLO_DOT_GENERAL", [0, 1], [2], "StablehloDotGeneralOptions",
        lhsContractingDimensions=[1], rhsContractingDimensions=[0], precisionConfig=[fb.StablehloPrecisionConfig.HIGHEST],
    )  # fmt: skip
    attrs = read(write(model.it)).main.node("z").attrs
    assert attrs["lhs_contracting_dimensions"] == (1,)
    assert attrs["precision_config"] == ("HIGHEST",)


def test_a_custom_operator_is_opaque_and_keeps_its_options(model: Any, write: Any) -> None:
    flexbuffers = pytest.importorskip("flatbuffers.flexbuffers")
    main = model.subgraph("main", [0], [2])
    for name in ("x", "a", "b"):
        model.tensor(main, name, [2])
    model.operator(main, "MyOp", [0], [1]).customOptions = list(flexbuffers.Dumps({"iou": 0.5, "classes": [1, 2], "name": "é"}))
    model.operator(main, "Raw", [1], [2]).customOptions = [7, 0, 0, 0]
    graph = read(write(model.it)).main
    assert (graph.node("a").op, graph.node("a").effects) == ("tflite.custom.MyOp", ("opaque",))
    assert graph.node("a").attrs["custom_options"] == {"iou": 0.5, "classes": (1, 2), "name": "é"}
    assert graph.node("b").attrs["custom_options"].bytes() == bytes([7, 0, 0, 0])


def test_tensorflow_operators_have_the_effects_of_their_own(model: Any, write: Any) -> None:
    main = model.subgraph("main", [0], [2])
    for name in ("x", "a", "b"):
        model.tensor(main, name, [2])
    model.operator(main, "FlexRandomUniform", [0], [1])
    model.operator(main, "FlexErf", [1], [2])
    graph = read(write(model.it)).main
    assert graph.node("a").effects == ("random",)
    assert (graph.node("b").effects, graph.node("b").canonical) == ((), "Erf")


def test_signatures_name_inputs_and_outputs_of_their_subgraphs(small: Any, write: Any) -> None:
    other = small.subgraph("other", [0], [1, 1])
    small.tensor(other, "a", [2])
    small.tensor(other, "b", [2])
    _add(small, other, 0, 0, 1)
    small.signature("serving_default", 0, {"image": 0}, {"scores": 2})
    small.signature("twice", 1, {"in": 0}, {"first": 1, "second": 1})
    data = write(small.it)
    program = read(data)
    assert {key: (s.graph, [i.name for i in s.inputs], [o.name for o in s.outputs]) for key, s in program.signatures.items()} == {
        "serving_default": ("main", ["image"], ["scores"]),
        "twice": ("other", ["in"], ["first", "second"]),
    }
    assert (program.entry, read(data, "twice").entry, read(data, "other").entry) == ("main", "other", "other")
    with pytest.raises(SelectError) as told:
        read(data, "nope")
    assert told.value.names == ("serving_default", "twice", "main", "other")


def test_bytes_behind_the_flatbuffer_are_found_by_their_offset(small: Any, write: Any, tmp_path: Path) -> None:
    outside = small.it.buffers[1]
    outside.data, outside.offset, outside.size = None, 1, 8
    size = len(write(small.it))
    outside.offset = size
    data = write(small.it)
    assert len(data) == size
    path = tmp_path / "big.tflite"
    path.write_bytes(data + struct.pack("<2f", 5, 6))
    value = load(path).main.node("model/one").value
    assert value is not None
    assert value.array().tolist() == [5.0, 6.0]
    with pytest.raises(FormatError, match="lies beyond the end"):
        read(data)


def test_values_in_another_file_say_where_they_are(small: Any, fb: ModuleType, write: Any) -> None:
    group, buffer = fb.ExternalBufferGroupT(), fb.ExternalBufferT()
    group.name, buffer.id, buffer.group, buffer.offset, buffer.length = "weights.bin", 4, 0, 64, 8
    small.it.externalBufferGroups, small.it.externalBuffers = [group], [buffer]
    small.it.subgraphs[0].tensors[1].externalBuffer, small.it.subgraphs[0].tensors[1].buffer = 4, 0
    value = read(write(small.it)).main.node("model/one").value
    assert value is not None
    assert (value.available, value.nbytes, value.reason) == (False, 8, "it stands in another file: 'weights.bin' at 64")


def test_sparse_values_are_told_and_not_taken_for_dense_ones(small: Any, fb: ModuleType, write: Any) -> None:
    sparsity, dim = fb.SparsityParametersT(), fb.DimensionMetadataT()
    dim.format, sparsity.traversalOrder, sparsity.dimMetadata = fb.DimensionType.SPARSE_CSR, [0], [dim]
    small.it.subgraphs[0].tensors[1].sparsity = sparsity
    node = read(write(small.it)).main.node("model/one")
    assert node.value is not None
    assert not node.value.available
    assert node.meta["sparsity"] == {"traversal_order": (0,), "block_map": (), "dims": ("SPARSE_CSR",)}


def test_string_constants_are_text(model: Any, write: Any) -> None:
    main = model.subgraph("main", [], [0])
    model.tensor(main, "s", [2], "STRING", data=struct.pack("<4i", 2, 16, 18, 21) + b"hi" + b"y\xffz")
    value = read(write(model.it)).main.node("s").value
    assert value is not None
    assert value.bytes().decode() == "['hi', 'y\\\\xffz']"


def test_metadata_is_kept_by_name(small: Any, fb: ModuleType, write: Any) -> None:
    for name, data in (("min_runtime_version", b"2.3.0\0\0\0"), ("blob", bytes(range(256)))):
        entry = fb.MetadataT()
        entry.name, entry.buffer = name, small.buffer(data)
        small.it.metadata.append(entry)
    assert read(write(small.it)).meta["metadata"] == {"min_runtime_version": "2.3.0", "blob": "256 bytes"}


def test_a_model_without_identifier_is_known_by_its_root_table(small: Any, write: Any) -> None:
    data = write(small.it)
    bare = data[:4] + bytes(4) + data[8:]
    assert tflite.matches(File.of("m", bare))
    assert read(bare).count() == 1
    assert not tflite.matches(File.of("m", bytes(64)))
    assert not tflite.matches(File.of("m", b"\x08\x07" + bytes(200)))


def test_an_old_schema_is_refused_by_its_version(small: Any, write: Any) -> None:
    data = write(small.it)
    with pytest.raises(FormatError, match="schema version 1"):
        read(data[:4] + b"TFL1" + data[8:])
    small.it.version = 4
    with pytest.raises(FormatError, match="its schema version is 4"):
        read(write(small.it))


def test_a_bundle_lists_its_models(small: Any, write: Any, tmp_path: Path) -> None:
    path = tmp_path / "hand.task"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("detector.tflite", write(small.it))
        archive.writestr("labels.txt", "a\nb")
        archive.writestr("landmarks.tflite", write(small.it))
    assert tflite.matches(File.open(path))
    with pytest.raises(SelectError) as told:
        load(path)
    assert told.value.names == ("detector.tflite", "landmarks.tflite")
    program = load(path, select="landmarks.tflite")
    assert (program.count(), program.source.path) == (1, f"{path}!landmarks.tflite")
    value = program.main.node("model/one").value
    assert value is not None
    assert value.array().tolist() == [1.0, 2.0]


def test_operators_out_of_order_still_find_who_makes_their_tensors(model: Any, write: Any) -> None:
    main = model.subgraph("main", [0], [2])
    for name in ("x", "late", "y"):
        model.tensor(main, name, [2])
    _add(model, main, 1, 1, 2)
    _add(model, main, 0, 0, 1)
    assert [use.src for use in read(write(model.it)).main.operands("y")] == ["late", "late"]


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda m: m.subgraphs[0].operators[0].__setattr__("opcodeIndex", 9), "operator code 9 is named of 1"),
        (lambda m: m.subgraphs[0].operators[0].__setattr__("inputs", [0, 77]), "tensor 77 is named of 3"),
        (lambda m: m.subgraphs[0].__setattr__("outputs", [-2]), "tensor -2 is named of 3"),
        (lambda m: m.subgraphs[0].tensors[1].__setattr__("buffer", 5), "buffer 5 is named of 2"),
        (lambda m: m.__setattr__("subgraphs", []), "it holds no subgraph"),
    ],
)
def test_what_leads_nowhere_is_refused(small: Any, write: Any, break_it: Any, message: str) -> None:
    break_it(small.it)
    with pytest.raises(FormatError, match=message) as told:
        read(write(small.it))
    assert told.value.where is not None
    assert told.value.where.startswith("offset ")


def test_shared_parts_do_not_unfold_without_end(model: Any, fb: ModuleType) -> None:
    """A hundred thousand operators that are one table, with a hundred thousand inputs: 1 MB that would unfold to 40 GB."""
    flatbuffers = pytest.importorskip("flatbuffers")
    builder, many = flatbuffers.Builder(1 << 20), 100_000
    fb.OperatorStartInputsVector(builder, many)
    for _ in range(many):
        builder.PrependInt32(0)
    inputs = builder.EndVector()
    fb.OperatorStart(builder)
    fb.OperatorAddInputs(builder, inputs)
    operator = fb.OperatorEnd(builder)
    fb.SubGraphStartOperatorsVector(builder, many)
    for _ in range(many):
        builder.PrependUOffsetTRelative(operator)
    operators = builder.EndVector()
    fb.SubGraphStart(builder)
    fb.SubGraphAddOperators(builder, operators)
    graph = fb.SubGraphEnd(builder)
    fb.ModelStartSubgraphsVector(builder, 1)
    builder.PrependUOffsetTRelative(graph)
    graphs = builder.EndVector()
    fb.ModelStart(builder)
    fb.ModelAddVersion(builder, 3)
    fb.ModelAddSubgraphs(builder, graphs)
    builder.Finish(fb.ModelEnd(builder), b"TFL3")
    with pytest.raises(FormatError, match="share parts so often"):
        read(bytes(builder.Output()))


def test_every_truncation_and_many_damages_give_a_format_error_or_a_sound_program(small: Any, write: Any) -> None:
    data = write(small.it)
    for end in range(len(data)):
        _survives(data[:end])
    random = np.random.default_rng(0)
    for _ in range(1500):
        broken = bytearray(data)
        for at in random.integers(0, len(data), random.integers(1, 5)):
            broken[at] = random.choice([0, 1, 0x7F, 0x80, 0xFF, int(random.integers(256))])
        _survives(bytes(broken))


def _survives(data: bytes) -> None:
    file = File.of("m.tflite", data)
    if tflite.matches(file):
        try:
            program = tflite.read(file)
        except FormatError:
            return
        assert verify(program) == ()


def test_reading_imports_no_framework(small: Any, write: Any, tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(write(small.it))
    held = "[m for m in ('tensorflow', 'flatbuffers', 'torch', 'jax') if m in sys.modules]"
    code = f"import sys, graphlab; graphlab.load({str(path)!r}); print({held})"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == "[]"


def test_the_same_bytes_give_the_same_program(small: Any, write: Any) -> None:
    from graphlab.ir import format as graphlab_format

    data = write(small.it)
    assert graphlab_format.dumps(read(data)) == graphlab_format.dumps(read(data))
