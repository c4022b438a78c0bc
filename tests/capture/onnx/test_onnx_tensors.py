"""Tensors: every element type in every field that may hold it, and data in files beside the model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from graphlab.analyzers import fidelity
from graphlab.capture import onnx as reader
from graphlab.capture.file import File
from graphlab.errors import FormatError, ValueUnavailable
from graphlab.ir.constants import Constant
from graphlab.ir.program import Program
from graphlab.ir.values import TensorType

Read = Callable[[Any], Program]

TYPES = (
    "FLOAT UINT8 INT8 UINT16 INT16 INT32 INT64 BOOL FLOAT16 DOUBLE UINT32 UINT64 COMPLEX64 COMPLEX128 BFLOAT16 FLOAT8E4M3FN "
    "FLOAT8E4M3FNUZ FLOAT8E5M2 FLOAT8E5M2FNUZ UINT4 INT4 FLOAT4E2M1 FLOAT8E8M0 UINT2 INT2 FLOAT6E2M3 FLOAT6E3M2"
)


def _model(onnx: ModuleType, tensor: Any) -> Any:
    h, t = onnx.helper, onnx.TensorProto
    info = [h.make_tensor_value_info(n, t.FLOAT, [1]) for n in "xy"]
    return h.make_model(h.make_graph([h.make_node("Op", ["x", tensor.name], ["y"])], "g", info[:1], info[1:], [tensor]))


def _value(program: Program, name: str = "w") -> Constant:
    value = program.main.node(name).value
    assert value is not None
    return value


@pytest.mark.parametrize("name", TYPES.split())
@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("count", [5, 40_000])
def test_an_element_type_reads_as_onnx_s_own_reader_has_it(read: Read, onnx: ModuleType, name: str, raw: bool, count: int) -> None:
    number = getattr(onnx.TensorProto, name)
    if name.startswith("FLOAT6") and number not in onnx._mapping.TENSOR_TYPE_MAP:
        pytest.skip("this onnx does not write it")
    dtype = onnx.helper.tensor_dtype_to_np_dtype(number)
    values = (np.arange(count) % 4).astype(dtype)
    tensor = onnx.numpy_helper.from_array(values, "w") if raw else onnx.helper.make_tensor("w", number, [count], values)
    wanted = onnx.numpy_helper.to_array(tensor)
    held = _value(read(_model(onnx, tensor)))
    assert held.array().dtype == wanted.dtype
    assert held.array().tobytes() == wanted.tobytes()


def test_strings_are_their_text(read: Read, onnx: ModuleType) -> None:
    tensor = onnx.helper.make_tensor("w", onnx.TensorProto.STRING, [2], ["a", "é"])
    assert _value(read(_model(onnx, tensor))).bytes().decode() == "['a', 'é']"


def test_a_large_tensor_stays_in_the_file(read: Read, onnx: ModuleType) -> None:
    tensor = onnx.numpy_helper.from_array(np.arange(100_000, dtype=np.float32), "w")
    held = _value(read(_model(onnx, tensor)))
    assert callable(held._data)
    assert held.nbytes == 400_000
    assert held.array()[99_999] == 99_999


def _field(number: int, payload: bytes) -> bytes:
    """A field of bytes shorter than 16,384 on the wire."""
    size = len(payload)
    return bytes([number << 3 | 2]) + (bytes([size]) if size < 128 else bytes([size & 0x7F | 0x80, size >> 7])) + payload


def test_numbers_that_are_not_packed_are_read_too(read: Read, onnx: ModuleType) -> None:
    tensor = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=[3])
    model = _model(onnx, tensor)
    one_by_one = tensor.SerializeToString() + b"".join(b"\x25" + np.float32(v).tobytes() for v in (1, 2, 3))
    del model.graph.initializer[:]
    graph = model.graph.SerializeToString() + _field(5, one_by_one)
    model.ClearField("graph")
    assert _value(read(model.SerializeToString() + _field(7, graph))).array().tolist() == [1, 2, 3]


def test_a_tensor_whose_bytes_do_not_fit_its_type_says_so(read: Read, onnx: ModuleType) -> None:
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[3], raw_data=b"\0" * 8)
    held = _value(read(_model(onnx, tensor)))
    assert not held.available
    assert "holds 8 bytes where its type asks for 12" in held.reason


def test_data_beside_the_model_are_fetched_when_asked_for(onnx: ModuleType, tmp_path: Path) -> None:
    weights = np.arange(5000, dtype=np.float32)
    model = _model(onnx, onnx.numpy_helper.from_array(weights, "w"))
    path = tmp_path / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    program = reader.read(File.open(path))
    assert _value(program).array().tolist() == weights.tolist()
    assert not program.source.notes


def test_ten_gigabytes_beside_the_model_are_not_read(onnx: ModuleType, tmp_path: Path) -> None:
    rows, width = 1 << 15, 1 << 16  # 8 GiB of float32, as a file with a hole
    with (tmp_path / "weights.bin").open("wb") as stream:
        stream.truncate(10 << 30)
        stream.seek((2 << 30) - 4)
        stream.write(np.float32(7).tobytes())
    held = [onnx.TensorProto(name="w", data_type=1, dims=[rows, width], data_location=1)]
    held.append(onnx.TensorProto(name="tail", data_type=1, dims=[2], data_location=1))
    for tensor, offset in zip(held, (0, (2 << 30) - 8), strict=True):
        for key, value in (("location", "weights.bin"), ("offset", str(offset))):
            tensor.external_data.add(key=key, value=value)
    h = onnx.helper
    info = [h.make_tensor_value_info(n, 1, [2]) for n in "xy"]
    (tmp_path / "model.onnx").write_bytes(
        h.make_model(h.make_graph([h.make_node("Op", ["x", "w", "tail"], ["y"])], "g", info[:1], info[1:], held)).SerializeToString()
    )
    program = reader.read(File.open(tmp_path / "model.onnx"))
    assert _value(program).nbytes == 8 << 30
    assert _value(program, "tail").array().tolist() == [0.0, 7.0]


def test_missing_or_short_data_leave_the_graph_readable(onnx: ModuleType, tmp_path: Path) -> None:
    model = _model(onnx, onnx.numpy_helper.from_array(np.zeros(5000, np.float32), "w"))
    path = tmp_path / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    (tmp_path / "weights.bin").write_bytes(b"\0" * 100)
    short = reader.read(File.open(path))
    assert "has 100 bytes" in _value(short).reason
    (tmp_path / "weights.bin").unlink()
    gone = reader.read(File.open(path))
    for program in (short, gone):
        (finding,) = fidelity.analyze(program).findings
        assert (finding.code, finding.data) == ("GL109", {"count": 1, "files": ("weights.bin",)})
    with pytest.raises(ValueUnavailable, match=r"no 'weights\.bin'"):
        _value(gone).bytes()


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "a/../../secret", "..\\secret", "C:\\secret"])
def test_data_outside_of_the_model_s_directory_are_refused(read: Read, onnx: ModuleType, location: str) -> None:
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[1], data_location=1)
    tensor.external_data.add(key="location", value=location)
    with pytest.raises(FormatError, match="tensor 'w'"):
        read(_model(onnx, tensor))


def test_a_link_that_leads_out_is_not_followed(read: Read, onnx: ModuleType, tmp_path: Path) -> None:
    outside = tmp_path.parent / "outside.bin"
    outside.write_bytes(b"\0" * 4)
    (tmp_path / "link.bin").symlink_to(outside)
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[1], data_location=1)
    tensor.external_data.add(key="location", value="link.bin")
    assert not _value(read(_model(onnx, tensor))).available


@pytest.mark.parametrize(("offset", "length"), [("-1", "4"), ("x", "4"), ("0", "9" * 30), ("1e3", "")])
def test_an_offset_that_is_no_number_is_refused(read: Read, onnx: ModuleType, offset: str, length: str) -> None:
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[1], data_location=1)
    for key, value in (("location", "w.bin"), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=value)
    with pytest.raises(FormatError, match="its data lie in"):
        read(_model(onnx, tensor))


def test_scales_and_zero_points_that_are_constants_are_in_the_types(read: Read, onnx: ModuleType) -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 21]> g (float[1,2,3,3] x) => (float[1,2,1,1] y) <
            float xs = {0.5}, uint8 xz = {128}, int8[2,2,3,3] w = {1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1},
            float[2] ws = {0.25, 0.125}, int8[2] wz = {0, 0}, float ys = {2.0}, uint8 yz = {0}> {
            q = QuantizeLinear(x, xs, xz) r = QLinearConv(q, xs, xz, w, ws, wz, ys, yz) y = DequantizeLinear(r, ys, yz) }"""
    )
    program = read(model)
    types = {name: program.main.node(name).outputs[0] for name in ("q", "w", "r")}
    found = {name: type.quantization for name, type in types.items() if isinstance(type, TensorType)}
    assert found["q"] is not None
    assert (found["q"].scales, found["q"].zero_points, found["q"].axis, found["q"].expressed) == ((0.5,), (128,), None, "float32")
    assert found["w"] is not None
    assert (found["w"].scales, found["w"].axis) == ((0.25, 0.125), 0)
    assert found["r"] is not None
    assert found["r"].scales == (2.0,)
    assert [n.id for n in program.main.each_node() if n.kind == "parameter"] == ["w", "ws", "wz"]


def test_a_quantization_annotation_is_in_the_type(read: Read, onnx: ModuleType) -> None:
    h, t = onnx.helper, onnx.TensorProto
    info = [h.make_tensor_value_info(n, t.FLOAT, [2]) for n in "xy"]
    held = [h.make_tensor("s", t.FLOAT, [], [0.5]), h.make_tensor("z", t.INT8, [], [3])]
    graph = h.make_graph([h.make_node("Relu", ["x"], ["y"])], "g", info[:1], info[1:], held)
    annotation = graph.quantization_annotation.add(tensor_name="y")
    annotation.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="s")
    annotation.quant_parameter_tensor_names.add(key="ZERO_POINT_TENSOR", value="z")
    [type] = read(h.make_model(graph)).main.node("y").outputs
    assert isinstance(type, TensorType)
    assert type.quantization is not None
    assert (type.quantization.scales, type.quantization.zero_points) == ((0.5,), (3,))
