"""Types that follow from operands, against the types that onnx's test cases declare, and against its own shape inference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from graphlab.capture import onnx as reader
from graphlab.capture.file import File
from graphlab.capture.onnx import infer
from graphlab.capture.onnx.types import Types
from graphlab.ir.program import Program
from graphlab.ir.values import SymDim, TensorType, ValueType

Read = Callable[[Any], Program]


def test_what_is_inferred_is_what_onnx_infers(onnx: ModuleType, corpus_of_onnx: list[Any]) -> None:
    seen: set[str] = set()
    for model in corpus_of_onnx:
        bare = onnx.ModelProto.FromString(model.SerializeToString())
        del bare.graph.value_info[:]
        try:
            whole = onnx.shape_inference.infer_shapes(bare)
        except onnx.shape_inference.InferenceError:
            continue
        types = Types()
        wanted = {value.name: types.of(value.type) for value in (*whole.graph.value_info, *whole.graph.output)}
        for output in bare.graph.output:
            output.ClearField("type")
        program = reader.read(File.of("model.onnx", bare.SerializeToString()))
        nodes = [n for n in program.main.each_node() if not n.synthetic]
        for node, made in zip(model.graph.node, nodes, strict=True):
            name = next(iter(node.output), "")
            if not made.outputs or not isinstance(made.outputs[0], TensorType) or not isinstance(wanted.get(name), TensorType):
                continue
            assert _fits(made.outputs[0], wanted[name]), (node.op_type, str(made.outputs[0]), str(wanted[name]))
            seen.add(node.op_type)
    assert len(seen) > 25


def _fits(mine: ValueType, theirs: ValueType) -> bool:
    """Whether one says no more than the other, and nothing else."""
    assert isinstance(mine, TensorType)
    assert isinstance(theirs, TensorType)
    if mine.dtype != theirs.dtype:
        return False
    if mine.dims is None or theirs.dims is None:
        return True
    pairs = zip(mine.dims, theirs.dims, strict=False)
    return len(mine.dims) == len(theirs.dims) and all(a == b or not (isinstance(a, int) and isinstance(b, int)) for a, b in pairs)


@pytest.fixture(scope="module")
def corpus_of_onnx(onnx: ModuleType) -> list[Any]:
    """The models that the onnx package brings: exported from PyTorch, and a few of its own."""
    stored = Path(str(onnx.__file__)).parent / "backend" / "test" / "data"
    h, t = onnx.helper, onnx.TensorProto
    models = [onnx.load(path) for path in sorted(stored.rglob("*.onnx"))]
    for op in sorted(infer._SAME | infer._BROADCAST | infer._COMPARE | infer._ASK):
        name = op.removeprefix("onnx.")
        schema = onnx.defs.get_schema(name)
        kind = t.BOOL if name in ("And", "Or", "Xor", "Not") else t.UINT8 if name.startswith("Bit") else t.FLOAT
        if schema.min_input > 2 or any(attribute.required for attribute in schema.attributes.values()):
            continue
        two = name in ("Add", "Sub") or schema.min_input == 2
        info = [h.make_tensor_value_info("x", kind, [2, 1, 3]), h.make_tensor_value_info("z", kind, [5, 1])]
        node = h.make_node(name, ["x", "z"] if two else ["x"], ["y"])
        models.append(h.make_model(h.make_graph([node], name, info if two else info[:1], [onnx.ValueInfoProto(name="y")])))
    return models


@pytest.mark.parametrize(
    ("shapes", "wanted"),
    [
        ([(2, 1), (3,)], (2, 3)),
        ([(SymDim("n"), 4), (1, 4)], (SymDim("n"), 4)),
        ([(SymDim("n"),), (SymDim("m"),)], (None,)),
        ([(SymDim("n"),), (7,)], (7,)),
        ([None, (7,)], None),
        ([(), ()], ()),
        ([(0,), (1,)], (0,)),
    ],
)
def test_shapes_broadcast_as_numpy_s_do(shapes: list[Any], wanted: Any) -> None:
    assert infer._broadcast(shapes) == wanted


def test_a_chain_without_types_gets_them_from_its_input(read: Read, onnx: ModuleType) -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 9, opset_import: ["" : 18]> g (float[N,4,3] x) => (int64[2] s) <int8[] unused> {
            a = Relu(x) b = Transpose <perm = [0, 2, 1]> (a) c = Cast <to = 7> (b) d = Greater(c, c) s = Shape <start = 1> (d) }"""
    )
    program = read(model)
    assert [str(program.main.node(id).outputs[0]) for id in "abcd"] == ["f32[N,4,3]", "f32[N,3,4]", "i64[N,3,4]", "bool[N,3,4]"]
