"""Graphs, types, functions and what a model says of itself."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from graphlab.ir.graph import Call
from graphlab.ir.program import Program
from graphlab.ir.values import OpaqueType, SymDim, TensorType

Read = Callable[[Any], Program]
Text = Callable[[str], Any]

HEAD = '<ir_version: 9, opset_import: ["" : 18, "local" : 1], producer_name: "tester", producer_version: "1.2">'


def test_a_model_is_its_nodes_inputs_and_outputs(read: Read, text: Text) -> None:
    model = text(f"{HEAD} g (float[N,4] x, float[4] b) => (float[N,4] y) {{ [sum] s = Add(x, b) y = Relu(s) }}")
    program = read(model)
    assert program.entry == "g"
    assert [(n.id, n.op, n.canonical) for n in program.main.each_node() if n.kind == "op"] == [
        ("sum", "onnx.Add", "Add"),
        ("y", "onnx.Relu", "Relu"),
    ]
    assert [(s.name, str(s.type)) for s in program.signatures["g"].inputs] == [("x", "f32[N,4]"), ("b", "f32[4]")]
    assert [(s.name, str(s.type)) for s in program.signatures["g"].outputs] == [("y", "f32[N,4]")]
    assert program.count() == 2
    assert (program.source.format, program.source.producer) == ("onnx", "tester 1.2")
    assert program.meta["opset_import"] == {"ai.onnx": 18, "local": 1}


def test_named_dims_and_those_in_formulas_are_dims_of_the_program(read: Read, onnx: ModuleType) -> None:
    h, t = onnx.helper, onnx.TensorProto
    x = h.make_tensor_value_info("x", t.FLOAT, ["batch", "2*seq + floor(past/2)", None, 3])
    graph = h.make_graph([h.make_node("Identity", ["x"], ["y"])], "g", [x], [h.make_tensor_value_info("y", t.FLOAT, None)])
    program = read(h.make_model(graph))
    type = program.main.node("x").outputs[0]
    assert type == TensorType("float32", (SymDim("batch"), SymDim("2*seq + floor(past/2)"), None, 3))
    assert list(program.dims) == ["batch", "seq", "past"]
    assert program.main.node("y").outputs[0] == TensorType("float32", None)


def test_types_that_are_no_tensors_keep_onnx_s_own_notation(read: Read, text: Text) -> None:
    model = text(
        f"{HEAD} g (seq(float[?,3]) a, optional(seq(int64)) b, map(int64, float) c, sparse_tensor(float[4,5]) d)"
        " => (int64 n) { n = SequenceLength(a) }"
    )
    program = read(model)
    types = [program.main.node(id).outputs[0] for id in program.main.inputs]
    assert types[:3] == [OpaqueType("seq(float[?,3])"), OpaqueType("optional(seq(int64))"), OpaqueType("map(int64, float)")]
    assert types[3] == TensorType("float32", (4, 5), "sparse")


def test_an_operand_that_is_left_out_is_absent_and_an_output_that_is_left_out_keeps_its_port(read: Read, text: Text) -> None:
    program = read(text(f"{HEAD} g (float[3] x, int64[1] k) => (int64[1] i) {{ y = Clip(x, , x) , i = TopK(y, k) }}"))
    clip, topk = program.main.node("y"), program.main.node("i")
    assert [(use.src, use.dst_port) for use in clip.operands] == [("x", 0), ("x", 2)]
    assert clip.absent == (1,)
    assert topk.outputs == (OpaqueType("none"), TensorType("int64", (1,)))
    assert program.main.operands(program.main.output)[0].src_port == 1


def test_initializers_are_parameters_and_numbers_of_the_computation_are_constants(read: Read, text: Text) -> None:
    model = text(
        f"{HEAD} g (float[2,2] x) => (float[4] y) <float[2,2] w = {{1,2,3,4}}, float eps = {{1e-5}}, int64[1] shape = {{4}}>"
        " { a = MatMul(x, w) b = Add(a, eps) y = Reshape(b, shape) }"
    )
    program = read(model)
    assert {n.id: n.kind for n in program.main.each_node() if n.value is not None} == {
        "w": "parameter",
        "eps": "constant",
        "shape": "constant",
    }
    value = program.main.node("w").value
    assert value is not None
    assert value.array().tolist() == [[1, 2], [3, 4]]
    assert program.count() == 3


def test_an_initializer_that_is_an_input_too_is_no_input(read: Read, onnx: ModuleType) -> None:
    h, t = onnx.helper, onnx.TensorProto
    infos = [h.make_tensor_value_info(n, t.FLOAT, [1]) for n in ("x", "k", "y")]
    graph = h.make_graph([h.make_node("Mul", ["x", "k"], ["y"])], "g", infos[:2], infos[2:], [h.make_tensor("k", t.FLOAT, [1], [2.0])])
    program = read(h.make_model(graph, ir_version=3))
    assert program.main.inputs == ["x"]
    assert program.main.node("k").kind == "parameter"
    assert program.main.node("k").meta["replaceable"]


def test_running_statistics_are_buffers(read: Read, text: Text) -> None:
    held = ", ".join(f"float[2] {name} = {{1,1}}" for name in ("s", "b", "m", "v"))
    program = read(text(f"{HEAD} g (float[1,2,3] x) => (float[1,2,3] y) <{held}> {{ y = BatchNormalization(x, s, b, m, v) }}"))
    assert [id for id in "sbmv" if program.main.node(id).attrs.get("role") == "buffer"] == ["m", "v"]


def test_attributes_are_decoded_by_name(read: Read, onnx: ModuleType) -> None:
    h, t = onnx.helper, onnx.TensorProto
    node = h.make_node(
        "Custom", ["x"], ["y"], name="c", domain="com.example", f=0.1, i=-3, s="héllo", t=h.make_tensor("t", t.INT8, [2], [1, -1]),
        fs=[1.5, 0.2], many=list(range(2000)), names=["a", "b"], ty=h.make_tensor_type_proto(t.FLOAT, [2]),
    )  # fmt: skip
    info = [h.make_tensor_value_info(n, t.FLOAT, [1]) for n in "xy"]
    program = read(h.make_model(h.make_graph([node], "g", info[:1], info[1:])))
    custom = program.main.node("c")
    assert custom.op == "onnx.com.example.Custom"
    assert custom.effects == ("opaque",)
    attrs = custom.attrs
    assert (attrs["f"], attrs["i"], attrs["s"], attrs["fs"], attrs["names"]) == (0.1, -3, "héllo", (1.5, 0.2), ("a", "b"))
    assert attrs["t"].array().tolist() == [1, -1]
    assert attrs["ty"] == "float[2]"
    assert attrs["many"].array().tolist() == list(range(2000))


def test_a_function_is_a_graph_that_its_nodes_call(read: Read, text: Text) -> None:
    model = text(
        f"""{HEAD} g (float[N] x) => (float[N] y) {{ a = local.scaled <factor = 3.0> (x) y = local.scaled (a) }}
        <opset_import: ["" : 18], domain: "local"> scaled <factor: float = 2.0> (lx) => (ly) {{
            k = Constant <value_float: float = @factor> () ly = Mul(lx, k) }}"""
    )
    program = read(model)
    assert list(program.graphs) == ["g", "local.scaled"]
    calls = [n.calls["call"] for n in program.main.each_node() if n.calls]
    assert calls == [Call("local.scaled", (0,), (0,))] * 2
    assert program.main.node("a").attrs["factor"] == 3.0
    k = program.graphs["local.scaled"].node("k")
    assert (k.kind, k.attrs["value_float"]) == ("op", {"attribute of the function": "factor"})
    assert program.meta["functions"]["local.scaled"]["defaults"] == {"factor": 2.0}
    assert program.count() == 4


def test_functions_of_one_name_are_told_apart_by_their_overload(read: Read, onnx: ModuleType) -> None:
    h, t = onnx.helper, onnx.TensorProto
    opset = [h.make_opsetid("", 18), h.make_opsetid("local", 1)]
    functions = [
        h.make_function("local", "f", ["a"], ["b"], [h.make_node(op, ["a"], ["b"])], opset, overload=over)
        for op, over in (("Relu", "one"), ("Tanh", "two"))
    ]
    nodes = [h.make_node("f", ["x"], ["m"], domain="local", overload="two"), h.make_node("f", ["m"], ["y"], domain="local", overload="one")]
    info = [h.make_tensor_value_info(n, t.FLOAT, [1]) for n in "xy"]
    program = read(h.make_model(h.make_graph(nodes, "g", info[:1], info[1:]), functions=functions, opset_imports=opset))
    assert [n.calls["call"].graph for n in program.main.each_node() if n.calls] == ["local.f:two", "local.f:one"]


def test_random_operators_draw_and_dropout_does_where_it_is_told_to(read: Read, text: Text) -> None:
    model = text(
        f"""{HEAD} g (float[3] x, bool flag) => (float[3] e) {{
            r = RandomNormalLike(x) yes = Constant <value = bool {{1}}> () no = Constant <value = bool {{0}}> ()
            a = Dropout(r) b = Dropout(a, , no) c = Dropout(b, , yes) d = Dropout(c, , flag) e = Add(d, r) }}"""
    )
    program = read(model)
    assert {n.id for n in program.main.each_node() if n.effects == ("random",)} == {"r", "c", "d"}


def test_training_graphs_are_signatures_whose_results_update_the_model(read: Read, onnx: ModuleType) -> None:
    h, t = onnx.helper, onnx.TensorProto
    info = {n: h.make_tensor_value_info(n, t.FLOAT, [2]) for n in ("x", "y", "w_new", "grad")}
    main = h.make_graph([h.make_node("Mul", ["x", "w"], ["y"])], "g", [info["x"]], [info["y"]], [h.make_tensor("w", t.FLOAT, [2], [1, 2])])
    model = h.make_model(main)
    step = h.make_graph([h.make_node("Sub", ["w", "grad"], ["w_new"])], "step", [info["grad"]], [info["w_new"]])
    model.training_info.add().CopyFrom(h.make_training_info(step, [("w", "w_new")], None, None))
    program = read(model)
    assert list(program.signatures) == ["g", "training_0/algorithm"]
    [slot] = program.signatures["training_0/algorithm"].outputs
    assert (slot.role, slot.target) == ("state", "w")
    assert program.graphs["training_0/algorithm"].node("w").kind == "parameter"


def test_devices_are_attributes_and_their_shardings_are_on_the_values(read: Read, onnx: ModuleType) -> None:
    h, t = onnx.helper, onnx.TensorProto
    node = h.make_node("MatMul", ["x", "w"], ["y"], name="mm")
    placed = node.device_configurations.add(configuration_id="tp", pipeline_stage=1)
    spec = placed.sharding_spec.add(tensor_name="y", device=[0, 1])
    dim = spec.sharded_dim.add(axis=1)
    dim.simple_sharding.add(dim_value=8, num_shards=2)
    info = [h.make_tensor_value_info(n, t.FLOAT, s) for n, s in (("x", [4, 4]), ("w", [4, 8]), ("y", [4, 8]))]
    model = h.make_model(h.make_graph([node], "g", info[:2], info[2:]), ir_version=11)
    model.configuration.add(name="tp", num_devices=2)
    program = read(model)
    [made] = program.main.node("mm").outputs
    assert isinstance(made, TensorType)
    assert made.sharding == "tp: devices [0, 1], dim 1 by 2"
    assert program.main.node("mm").attrs["device_configurations"][0]["pipeline_stage"] == 1
    assert program.meta["device_configurations"] == {"tp": {"num_devices": 2, "devices": ()}}


def test_a_sparse_initializer_keeps_its_values_and_indices(read: Read, onnx: ModuleType) -> None:
    h, t = onnx.helper, onnx.TensorProto
    sparse = h.make_sparse_tensor(h.make_tensor("w", t.FLOAT, [2], [5, 6]), h.make_tensor("w_i", t.INT64, [2], [0, 3]), [2, 2])
    info = [h.make_tensor_value_info(n, t.FLOAT, [2, 2]) for n in "xy"]
    graph = h.make_graph([h.make_node("MatMul", ["x", "w"], ["y"])], "g", info[:1], info[1:], sparse_initializer=[sparse])
    node = read(h.make_model(graph)).main.node("w")
    assert node.outputs == (TensorType("float32", (2, 2), "sparse"),)
    assert node.attrs["indices"].array().tolist() == [0, 3]


def test_names_that_repeat_are_kept_beside_unique_ids(read: Read, onnx: ModuleType) -> None:
    h, t = onnx.helper, onnx.TensorProto
    nodes = [h.make_node("Relu", ["x"], ["a"], name="x"), h.make_node("Relu", ["a"], ["output"], name="x")]
    info = [h.make_tensor_value_info(n, t.FLOAT, [1]) for n in ("x", "output")]
    program = read(h.make_model(h.make_graph(nodes, "g", info[:1], info[1:])))
    assert [n.id for n in program.main.each_node()] == ["x", "x_1", "x_2", "output"]
    assert program.main.node("x_2").name == "x"


def test_a_model_of_ir_version_1_has_attributes_without_types(read: Read, onnx: ModuleType) -> None:
    h, t = onnx.helper, onnx.TensorProto
    node = h.make_node("Conv", ["x", "x"], ["y"], kernel_shape=[3, 3], group=2)
    for attribute in node.attribute:
        attribute.ClearField("type")
    info = [h.make_tensor_value_info(n, t.FLOAT, [1, 1, 3, 3]) for n in "xy"]
    model = h.make_model(h.make_graph([node], "g", info[:1], info[1:]), ir_version=1)
    model.ClearField("opset_import")
    assert read(model).main.node("y").attrs == {"since_version": 1, "group": 2, "kernel_shape": (3, 3)}


def test_the_exporter_s_stack_and_scopes_become_lines_and_modules(read: Read, onnx: ModuleType) -> None:
    h, t = onnx.helper, onnx.TensorProto
    node = h.make_node("Gemm", ["x", "x"], ["y"], name="node_linear")
    stack = (
        'File "/home/me/model.py", line 11, in forward\n    x = self.block(x)\n  File "/home/me/block.py", line 6, in forward\n'
        '  File "/usr/lib/python3/site-packages/torch/nn/modules/linear.py", line 134, in forward\n'
    )
    for key, value in (("pkg.torch.onnx.stack_trace", stack), ("pkg.torch.onnx.name_scopes", "['', 'enc', 'enc.0', 'enc.0.fc', 'linear']")):
        node.metadata_props.add(key=key, value=value)
    info = [h.make_tensor_value_info(n, t.FLOAT, [1, 1]) for n in "xy"]
    program = read(h.make_model(h.make_graph([node], "g", info[:1], info[1:])))
    read_node = program.main.node("node_linear")
    assert [str(frame) for frame in program.stack(read_node)] == ["/home/me/block.py:6", "/home/me/model.py:11"]
    assert read_node.scope == "enc/0/fc"


def test_an_older_exporter_s_doc_string_and_node_name_say_the_same(read: Read, onnx: ModuleType) -> None:
    h, t = onnx.helper, onnx.TensorProto
    doc = (
        "/opt/lib/python3/site-packages/torch/nn/modules/conv.py(395): _conv_forward\n"
        "/home/me/net.py(20): forward\n/home/me/train.py(7): <module>\n"
    )
    node = h.make_node("Conv", ["x", "x"], ["y"], name="/layer1/layer1.0/conv1/Conv", doc_string=doc)
    info = [h.make_tensor_value_info(n, t.FLOAT, [1, 1, 1, 1]) for n in "xy"]
    program = read(h.make_model(h.make_graph([node], "g", info[:1], info[1:])))
    [conv] = [n for n in program.main.each_node() if n.kind == "op"]
    assert [str(frame) for frame in program.stack(conv)] == ["/home/me/net.py:20", "/home/me/train.py:7"]
    assert conv.scope == "layer1/0/conv1"


def test_constants_of_every_attribute_form_have_their_values(read: Read, text: Text) -> None:
    forms = ["value_int = 3", "value_ints = [1, 2]", "value_float = 0.5", "value_floats = [0.5, 1.0]", 'value_string = "s"']
    body = " ".join(f"c{i} = Constant <{form}> ()" for i, form in enumerate(forms))
    program = read(text(f"{HEAD} g (float x) => (float y) {{ {body} y = Identity(x) }}"))
    values = [program.main.node(f"c{i}").value for i in range(len(forms))]
    assert [v.preview() for v in values if v is not None] == ["3", "[1, 2]", "0.5", "[0.5, 1]", "'s'"]
    assert values[1] is not None
    assert values[1].array().dtype == np.int64


def test_what_the_exporter_says_of_an_initializer_goes_before_how_it_looks(read: Read, onnx: ModuleType) -> None:
    h, t = onnx.helper, onnx.TensorProto
    held = {"scale": "PARAMETER", "mean": "BUFFER", "table": "CONSTANT_TENSOR"}
    info = {n: h.make_tensor_value_info(n, t.FLOAT, [1]) for n in ("x", "y", *held)}
    for name, kind in held.items():
        info[name].metadata_props.add(key="pkg.torch.export.graph_signature.InputSpec.kind", value=kind)
    node = h.make_node("Op", ["x", *held], ["y"])
    tensors = [h.make_tensor(name, t.FLOAT, [1], [1.0]) for name in held]
    graph = h.make_graph([node], "g", [info["x"]], [info["y"]], tensors, value_info=[info[name] for name in held])
    program = read(h.make_model(graph))
    assert [program.main.node(name).kind for name in held] == ["parameter", "parameter", "constant"]
    assert program.main.node("mean").attrs["role"] == "buffer"
