"""Configs of Keras 1, 2 and 3, written here as those versions write them: what the reader makes of each part."""

from __future__ import annotations

import json
import random
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest

from graphlab.analyzers import fidelity
from graphlab.capture import keras
from graphlab.capture.dispatch import load
from graphlab.capture.file import File
from graphlab.errors import FormatError, SelectError
from graphlab.ir.graph import Call, Operand
from graphlab.ir.program import Program
from graphlab.ir.values import OpaqueType, TensorType
from graphlab.ir.verify import verify


def read(config: Any) -> Program:
    file = File.of("model.json", json.dumps(config).encode())
    assert keras.matches(file)
    program = keras.read(file)
    assert verify(program) == ()
    return program


def layer(kind: str, name: str, *inbound: Any, **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "name": name, "config": {"name": name, **config}, "inbound_nodes": list(inbound)}


def entry(name: str = "x", shape: tuple[int | None, ...] = (None, 4), **config: Any) -> dict[str, Any]:
    return layer("InputLayer", name, batch_input_shape=list(shape), dtype="float32", **config)


def functional(*layers: dict[str, Any], inputs: Any = (("x", 0, 0),), outputs: Any, name: str = "m") -> dict[str, Any]:
    config = {"name": name, "layers": list(layers), "input_layers": inputs, "output_layers": outputs}
    return {"class_name": "Functional", "config": config, "keras_version": "2.11.0", "backend": "tensorflow"}


def tensor(name: str, call: int = 0, port: int = 0, shape: tuple[int | None, ...] = (None, 4)) -> dict[str, Any]:
    """A tensor as Keras 3 writes it."""
    history = {"shape": list(shape), "dtype": "float32", "keras_history": [name, call, port]}
    return {"class_name": "__keras_tensor__", "config": history}


def sources(program: Program, id: str) -> list[tuple[str, int, int]]:
    return [(use.src, use.src_port, use.dst_port) for use in program.main.operands(id)]


def test_layers_are_nodes_and_their_config_the_attributes() -> None:
    program = read(functional(entry(), layer("Dense", "d", [["x", 0, 0, {}]], units=3, activation="linear"), outputs=[["d", 0, 0]]))
    node = program.main.node("d")
    assert (program.count(), node.op, node.canonical) == (2, "keras.Dense", "Gemm")
    assert node.attrs == {"units": 3, "activation": "linear"}
    assert node.outputs == (TensorType("float32", (None, 3)),)
    assert program.source.producer == "keras 2.11.0"
    assert [slot.name for slot in program.signatures["m"].inputs] == ["x"]


def test_a_layer_with_an_activation_has_no_onnx_counterpart() -> None:
    program = read(functional(entry(), layer("Dense", "d", [["x", 0, 0, {}]], units=3, activation="relu"), outputs=[["d", 0, 0]]))
    assert program.main.node("d").canonical is None


def test_a_shared_layer_is_a_node_for_every_call() -> None:
    shared = layer("Dense", "d", [["a", 0, 0, {}]], [["b", 0, 0, {}]], units=3)
    both = layer("Add", "sum", [["d", 0, 0, {}], ["d", 1, 0, {}]])
    program = read(functional(entry("a"), entry("b"), shared, both, inputs=[["a", 0, 0], ["b", 0, 0]], outputs=[["sum", 0, 0]]))
    assert sources(program, "sum") == [("d", 0, 0), ("d_1", 0, 1)]
    assert program.main.node("d_1").name == "d"


def test_one_tensor_taken_twice_is_two_operands() -> None:
    program = read(functional(entry(), layer("Add", "sum", [["x", 0, 0, {}], ["x", 0, 0, {}]]), outputs=[["sum", 0, 0]]))
    assert sources(program, "sum") == [("x", 0, 0), ("x", 0, 1)]


def test_tensors_among_the_arguments_of_keras_2_are_operands_in_their_places() -> None:
    attention = layer("Attention", "att", [["x", 0, 0, {"value": ["y", 0, 0], "training": False, "mask": None}]])
    program = read(functional(entry("x"), entry("y"), attention, inputs=[["x", 0, 0], ["y", 0, 0]], outputs=[["att", 0, 0]]))
    assert sources(program, "att") == [("x", 0, 0), ("y", 0, 1)]
    assert program.main.node("att").attrs["call"] == {"kwargs": {"value": Operand(1), "training": False}}


def test_constants_among_the_tensors_of_keras_2_are_arguments() -> None:
    op = layer("TFOpLambda", "tf.math.add", [["x", 0, 0, {"y": 1.0, "name": None}]], function="math.add")
    other = layer("TFOpLambda", "tf.sub", [["_CONSTANT_VALUE", -1, 2.0, {"y": ["tf.math.add", 0, 0]}]], function="math.subtract")
    program = read(functional(entry(), op, other, outputs=[["tf.sub", 0, 0]]))
    assert program.main.node("tf.math.add").attrs["call"] == {"kwargs": {"y": 1.0}}
    assert program.main.node("tf.sub").attrs["call"] == {"args": (2.0,), "kwargs": {"y": Operand(0)}}


def test_a_single_tensor_without_a_list_around_it_is_a_call() -> None:
    program = read(functional(entry(), layer("ReLU", "r", ["x", 0, 0, {}]), outputs=["r", 0, 0], inputs=["x", 0, 0]))
    assert sources(program, "r") == [("x", 0, 0)]


def test_the_calls_of_keras_3_say_arguments_and_shapes() -> None:
    attention = layer("MyAttention", "att", {"args": [tensor("x"), [tensor("x")]], "kwargs": {"causal": True, "mask": None}})
    last = layer("Identity", "last", {"args": [tensor("att", port=1, shape=(None, 7))], "kwargs": {}})
    program = read(functional(entry(), attention, last, outputs=[["last", 0, 0]]))
    node = program.main.node("att")
    assert node.attrs["call"] == {"args": (Operand(0), (Operand(1),)), "kwargs": {"causal": True}}
    assert node.outputs[1] == TensorType("float32", (None, 7))
    assert sources(program, "last") == [("att", 1, 0)]


def test_named_inputs_and_outputs_name_the_signature() -> None:
    config = functional(
        entry("x"), entry("y"), layer("Add", "sum", [["x", 0, 0, {}], ["y", 0, 0, {}]]),
        inputs={"left": ["x", 0, 0], "right": ["y", 0, 0]}, outputs={"total": ["sum", 0, 0], "again": ["x", 0, 0]},
    )  # fmt: skip
    signature = read(config).signatures["m"]
    assert [slot.name for slot in signature.inputs] == ["left", "right"]
    assert [slot.name for slot in signature.outputs] == ["total", "again"]


def _nested(kind: str, first: int) -> Program:
    dense = layer("Dense", "inner", [["y", 0, 0, {}]], units=5)
    if kind == "Functional":
        model = functional(entry("y"), dense, inputs=[["y", 0, 0]], outputs=[["inner", 0, 0]], name="block")["config"]
    else:
        del dense["inbound_nodes"]
        model = {"name": "block", "layers": [dense] if first == 0 else [entry("y"), dense]}
    block = {"class_name": kind, "name": "block", "config": model, "inbound_nodes": [[["x", 0, 0, {}]], [["x", 0, 0, {}]]]}
    last = layer("Add", "sum", [["block", first, 0, {}], ["block", first + 1, 0, {}]])
    return read(functional(entry(), block, last, outputs=[["sum", 0, 0]]))


@pytest.mark.parametrize(("kind", "first"), [("Functional", 1), ("Sequential", 1), ("Sequential", 0)])
def test_a_model_within_a_model_is_a_graph_that_its_calls_use(kind: str, first: int) -> None:
    """Models that are built when they are made count their calls from 1."""
    program = _nested(kind, first)
    assert [use[0] for use in sources(program, "sum")] == ["block", "block_1"]
    assert program.main.node("block_1").calls == {"call": Call("block", (0,), (0,))}
    assert program.graphs["block"].node("inner").scope == "block/inner"


def test_a_sequential_is_a_chain_behind_an_input() -> None:
    layers = [layer("Dense", "a", units=3, batch_input_shape=[None, 4], dtype="float32"), layer("ReLU", "b")]
    program = read({"class_name": "Sequential", "config": {"name": "s", "layers": layers}})
    assert program.count() == 2
    assert program.main.node("input").synthetic
    assert [use.src for use in program.main.operands("output")] == ["b"]
    assert str(program.signatures["s"].inputs[0].type) == "f32[?,4]"


def test_a_sequential_of_keras_1_is_a_list_of_layers() -> None:
    layers = [
        {"class_name": "Dense", "config": {"name": "dense_1", "output_dim": 3, "batch_input_shape": [None, 4], "input_dtype": "float32"}}
    ]
    program = read({"class_name": "Sequential", "config": layers, "keras_version": "1.2.2"})
    assert str(program.main.node("dense_1").outputs[0]) == "f32[?,3]"


def test_the_bytecode_of_a_lambda_is_reported_and_not_kept() -> None:
    old = layer("Lambda", "old", [["x", 0, 0, {}]], function=["4wEAAA==", None, None], function_type="lambda")
    new = layer(
        "Lambda", "new", [["old", 0, 0, {}]], function={"class_name": "__lambda__", "config": {"code": "4wEAAB==", "defaults": None}}
    )
    program = read(functional(entry(), old, new, outputs=[["new", 0, 0]]))
    assert [program.main.node(id).effects for id in ("old", "new")] == [("opaque",), ("opaque",)]
    assert [note["text"] for note in program.source.notes if note["kind"] == keras.CODE] == [
        f"'{name}' holds Python bytecode, which graphlab neither reads nor runs" for name in ("old", "new")
    ]
    assert "8 characters of Python bytecode" in program.main.node("new").attrs["function"]
    assert "4wEAAB" not in repr(program.main.nodes(data=True))


def test_custom_layers_are_opaque_and_keras_s_own_are_not() -> None:
    mine = layer("my_package>MyLayer", "mine", [["x", 0, 0, {}]], k=3)
    other = layer("SomethingElse", "other", [["mine", 0, 0, {}]])
    own = layer("BatchNormalization", "bn", [["other", 0, 0, {}]])
    program = read(functional(entry(), mine, other, own, outputs=[["bn", 0, 0]]))
    assert [program.main.node(id).effects for id in ("mine", "other", "bn")] == [("opaque",), ("opaque",), ()]
    assert program.main.node("mine").op == "keras.my_package>MyLayer"
    assert isinstance(program.main.node("mine").outputs[0], OpaqueType)


def test_a_wrapper_around_a_lambda_is_opaque_too() -> None:
    inner = {"class_name": "Lambda", "config": {"name": "l", "function": {"class_name": "__lambda__", "config": {"code": "AAAA"}}}}
    wrapper = layer("TimeDistributed", "each", [["x", 0, 0, {}]], layer=inner)
    assert read(functional(entry(), wrapper, outputs=[["each", 0, 0]])).main.node("each").effects == ("opaque",)


def test_augmentation_is_random_and_stateful_layers_change_state() -> None:
    flip = layer("RandomFlip", "flip", [["x", 0, 0, {}]], mode="horizontal")
    lstm = layer("LSTM", "lstm", [["flip", 0, 0, {}]], units=3, stateful=True)
    program = read(functional(entry(shape=(None, 5, 4)), flip, lstm, outputs=[["lstm", 0, 0]]))
    assert program.main.node("flip").effects == ("random",)
    assert program.main.node("lstm").effects == ("reads_state", "writes_state")


def test_a_model_whose_class_alone_knows_its_layers_is_one_opaque_node() -> None:
    program = read({"class_name": "MyModel", "config": {"name": "mine", "units": 3}, "build_config": {"input_shape": [None, 4]}})
    assert program.count() == 0
    assert program.main.node("mine").effects == ("opaque",)
    assert [note["kind"] for note in program.source.notes] == ["no graph"]


def test_a_serialized_part_is_told_by_class_and_config_without_addresses() -> None:
    made: dict[str, Any] = {
        "module": "keras.initializers",
        "class_name": "Zeros",
        "config": {},
        "registered_name": None,
        "shared_object_id": 140_000,
    }
    program = read(functional(entry(), layer("Dense", "d", [["x", 0, 0, {}]], units=1, bias_initializer=made), outputs=[["d", 0, 0]]))
    assert program.main.node("d").attrs["bias_initializer"] == {"class_name": "Zeros", "config": {}}


def test_integers_that_are_only_moved_stay_integers() -> None:
    config = functional(entry("x", (None, 2, 3)), layer("Flatten", "f", [["x", 0, 0, {}]], dtype="float32"), outputs=[["f", 0, 0]])
    config["config"]["layers"][0]["config"]["dtype"] = "int32"
    assert read(config).main.node("f").outputs == (TensorType("int32", (None, 6)),)


def test_the_weights_of_a_tensorflow_js_model_lie_in_files_beside_it(tmp_path: Path) -> None:
    layers = [layer("Dense", "d", units=2, batch_input_shape=[None, 2], dtype="float32")]
    manifest = [{
        "paths": ["a.bin", "b.bin"],
        "weights": [
            {"name": "d/kernel", "shape": [2, 2], "dtype": "float32"},
            {"name": "d/bias", "shape": [2], "dtype": "float32", "quantization": {"dtype": "uint8", "scale": 0.5, "min": -1.0}},
        ],
    }]  # fmt: skip
    topology = {"model_config": {"class_name": "Sequential", "config": {"name": "s", "layers": layers}}, "keras_version": "2.3.0"}
    path = tmp_path / "model.json"
    path.write_text(json.dumps({"format": "layers-model", "modelTopology": topology, "weightsManifest": manifest}))
    (tmp_path / "a.bin").write_bytes(struct.pack("<3f", 1, 2, 3))
    (tmp_path / "b.bin").write_bytes(struct.pack("<f", 4) + bytes([7, 9]))
    graph = load(path).main
    kernel, bias = graph.node("d/kernel").value, graph.node("d/bias").value
    assert kernel is not None
    assert bias is not None
    assert kernel.array().tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert bias.array().tolist() == [2.5, 3.5]  # 0.5 * [7, 9] - 1
    assert (bias.type, bias.nbytes) == (TensorType("float32", (2,)), 8)
    assert graph.node("d/bias").meta == {"stored": "uint8 * 0.5 + -1"}
    assert graph.node("d/kernel").meta == {}
    assert graph.node("d").outputs == (TensorType("float32", (None, 2)),)
    (tmp_path / "b.bin").unlink()
    program = load(path)
    assert [note["text"] for note in program.source.notes] == ["2 weights have no values: the weights' file 'b.bin' is not beside it"]
    assert [finding.code for finding in fidelity.analyze(program).findings] == ["GL109"]


@pytest.mark.parametrize("how", [{}, {"dtype": "uint8"}, {"dtype": "uint8", "scale": 10**400, "min": 0}, {"dtype": "string"}, 1])
def test_a_weight_quantized_in_no_known_way_is_refused(how: Any) -> None:
    layers = [layer("Dense", "d", units=2, batch_input_shape=[None, 2], dtype="float32")]
    weights = [{"name": "d/bias", "shape": [2], "dtype": "float32", "quantization": how}]
    model = {
        "modelTopology": {"model_config": {"class_name": "Sequential", "config": {"name": "s", "layers": layers}}},
        "weightsManifest": [{"paths": [], "weights": weights}],
    }
    with pytest.raises(FormatError, match="quantized in no known way"):
        keras.read(File.of("model.json", json.dumps(model).encode()))


def test_a_manifest_leads_to_no_file_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(16))
    (tmp_path / "model").mkdir()
    path = tmp_path / "model" / "model.json"
    manifest = [{"paths": ["../secret"], "weights": [{"name": "d/kernel", "shape": [2, 2], "dtype": "float32"}]}]
    config = {"class_name": "Sequential", "config": [layer("Dense", "d", units=2, batch_input_shape=[None, 2])]}
    path.write_text(json.dumps({"modelTopology": {"model_config": config}, "weightsManifest": manifest}))
    value = load(path).main.node("d/kernel").value
    assert value is not None
    assert not value.available


def test_a_saved_directory_is_read_as_its_archive_is(tmp_path: Path) -> None:
    config = functional(entry(), layer("ReLU", "r", [["x", 0, 0, {}]]), outputs=[["r", 0, 0]])
    folder, archive = tmp_path / "model", tmp_path / "model.keras"
    folder.mkdir()
    with zipfile.ZipFile(archive, "w") as made:
        for name, held in (("config.json", config), ("metadata.json", {"keras_version": "3.8.0"})):
            (folder / name).write_text(json.dumps(held))
            made.writestr(name, json.dumps(held))
    for path in (folder, archive):
        program = load(path)
        assert (program.count(), program.source.producer) == (2, "keras 3.8.0")
        assert [note["text"] for note in program.source.notes] == ["the weights have no values: it holds no model.weights.h5"]


def test_select_enters_by_a_model_within_the_model() -> None:
    text = json.dumps({"class_name": "Sequential", "config": {"name": "s", "layers": [
        {"class_name": "Sequential", "config": {"name": "inner", "layers": [layer("ReLU", "r", batch_input_shape=[None, 2])]}},
    ]}}).encode()  # fmt: skip
    assert keras.read(File.of("m.json", text), select="inner").entry == "inner"
    with pytest.raises(SelectError) as told:
        keras.read(File.of("m.json", text), select="outer")
    assert told.value.names == ("s", "inner")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (functional(entry(), layer("ReLU", "r", [["y", 0, 0, {}]]), outputs=[["r", 0, 0]]), "takes something that is no tensor"),
        (functional(entry(), layer("ReLU", "r", [["x", 5, 0, {}]]), outputs=[["r", 0, 0]]), "takes result 0 of call 5 of 'x'"),
        (functional(entry(), layer("ReLU", "r", [["x", 0, 0, {}]]), outputs=[["r", 0, 1 << 15]]), "takes result 32768"),
        (functional(entry(), entry(), outputs=[["x", 0, 0]]), "two layers have one name"),
        (functional(entry(), outputs=[["z", 0, 0]]), "an input or output is no tensor"),
        (functional(entry(), inputs=[["x", 0, 0], ["x", 0, 0]], outputs=[["x", 0, 0]]), "stands there twice"),
        (functional({"class_name": "Dense", "name": "d"}, outputs=[]), "it has no config"),
        ({"class_name": 3, "config": {}}, "it has no class_name"),
        ({"class_name": "Sequential", "config": 7}, "a Sequential has no config"),
    ],
)
def test_a_config_that_leads_nowhere_is_refused(config: Any, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        keras.read(File.of("m.json", json.dumps(config).encode()))


def test_a_config_nested_without_end_is_refused() -> None:
    for depth in (150, 100_000):
        text = b'{"class_name": "Sequential", "config": ' + b"[" * depth + b"]" * depth + b"}"
        with pytest.raises(FormatError, match="nested"):
            keras.read(File.of("m.json", text))


def test_other_json_is_not_taken() -> None:
    for text in ('[{"weights": []}]', '{"nodes": []}', '{"modelTopology": {"node": [{"name": "x"}]}}', '{"a": {"class_name": 1}}', "{", ""):
        assert not keras.matches(File.of("m.json", text.encode()))


def test_configs_with_anything_anywhere_give_a_format_error_or_a_sound_program() -> None:
    draw = random.Random(5)
    dense = layer("Dense", "d", [["x", 0, 0, {"y": ["x", 0, 0]}]], units=3, kernel_size=[1, 2])
    block = {
        **functional(entry("q"), inputs=[["q", 0, 0]], outputs=[["q", 0, 0]], name="b"),
        "name": "b",
        "inbound_nodes": [[["d", 0, 0, {}]]],
    }
    conv = layer(
        "Conv2D", "c", {"args": [tensor("b", 1)], "kwargs": {}}, filters=3, kernel_size=[1, 2], padding="same", data_format="channels_last"
    )
    whole = functional(entry(), dense, block, conv, outputs={"a": ["c", 0, 0], "b": [["x", 0, 0]]})
    junk: list[Any] = [
        None,
        True,
        -1,
        1 << 70,
        0.5,
        "",
        "x",
        "d",
        [],
        {},
        ["x", 0, 0],
        [[["x", 0, 0]]],
        {"class_name": "Lambda", "config": {}},
    ]
    for _ in range(1200):
        config = json.loads(json.dumps(whole))
        for _ in range(draw.randrange(1, 4)):
            _spoil(config, draw, junk)
        try:
            program = keras.read(File.of("m.json", json.dumps(config).encode()))
        except FormatError:
            continue
        assert verify(program) == ()


def _spoil(value: Any, draw: random.Random, junk: list[Any]) -> None:
    """Put junk somewhere into a JSON value."""
    while isinstance(value, (dict, list)) and value:
        key = draw.choice(list(value)) if isinstance(value, dict) else draw.randrange(len(value))
        if draw.random() < 0.25 or not isinstance(value[key], (dict, list)) or not value[key]:
            value[key] = json.loads(json.dumps(draw.choice(junk)))
            return
        value = value[key]
