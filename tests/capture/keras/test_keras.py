"""Models that Keras itself saved (seen with Keras 3.15): names, shapes, types and weights as Keras has them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphlab
from graphlab.analyzers import size
from graphlab.capture.dispatch import load
from graphlab.ir.program import Program
from graphlab.ir.values import TensorType
from graphlab.testing import check_reader

pytestmark = pytest.mark.tensorflow

keras = pytest.importorskip("keras")

ENDINGS = (".keras", ".h5")


def _branched() -> Any:
    """Two inputs, a nested model, a shared layer, wrappers, a Lambda, an operation with a number, named outputs."""
    layers = keras.layers
    image, vector = keras.Input((8, 8, 3), name="image"), keras.Input((5,), name="vector")
    backbone = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, activation="relu", name="conv"),
            layers.BatchNormalization(),
            layers.GlobalMaxPooling2D(),
        ],
        name="backbone",
    )
    shared = layers.Dense(4, name="shared")
    both = layers.Concatenate(name="both")([shared(backbone(image)), shared(layers.Dense(4, name="pre")(vector))])
    noisy = layers.Dropout(0.5, seed=1, name="noisy")(both)
    sequence = layers.Bidirectional(layers.LSTM(3, return_sequences=True), name="two_ways")(layers.Reshape((4, 2), name="cut")(noisy))
    each = layers.TimeDistributed(layers.Dense(2), name="each")(sequence)
    attended = layers.MultiHeadAttention(2, 4, name="attended")(each, each, use_causal_mask=True)
    doubled = layers.Lambda(lambda t: t * 2.0, name="doubled")(attended)
    return keras.Model([image, vector], {"main": doubled + 1.0, "aux": both}, name="branched")


def _images() -> Any:
    """Layers that move and filter images, in either order of the channels."""
    layers = keras.layers
    x = keras.Input((16, 20, 3), name="image")
    y = layers.ZeroPadding2D(((1, 2), (0, 3)))(x)
    y = layers.Conv2D(6, (3, 2), strides=2, padding="same")(y)
    y = layers.DepthwiseConv2D(3)(y)
    y = layers.SeparableConv2D(5, 3, padding="same", use_bias=False)(y)
    y = layers.Cropping2D(1)(y)
    y = layers.UpSampling2D((2, 3))(y)
    y = layers.MaxPooling2D(2)(layers.LayerNormalization()(y))
    y = layers.AveragePooling2D((2, 1), padding="same")(layers.PReLU()(y))
    y = layers.Conv2DTranspose(4, 3)(y)
    y = layers.Permute((3, 1, 2))(y)
    y = layers.GlobalAveragePooling2D(data_format="channels_first", keepdims=True)(y)
    return keras.Model(x, layers.Activation("softmax")(layers.Flatten()(y)), name="images")


def _sequences() -> Any:
    layers = keras.layers
    x = keras.Input((12,), dtype="int32", name="tokens")
    y = layers.Embedding(50, 8, name="embedded")(x)
    y = layers.Conv1D(6, 3, padding="causal", dilation_rate=2)(y)
    y = layers.MaxPooling1D(2, strides=3)(y)
    y, state = layers.GRU(4, return_sequences=True, return_state=True, name="gru")(y)
    z = layers.Multiply()([layers.SimpleRNN(4)(y), state])
    z = layers.RepeatVector(3)(z)
    return keras.Model(x, layers.Reshape((-1, 2))(z), name="sequences")


def _twice() -> Any:
    """A nested model that is called twice, and holds another."""
    layers = keras.layers
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="deep")], name="inner")
    x = keras.Input((4,))
    middle = keras.Model(x, layers.LayerNormalization(name="norm")(inner(x)), name="middle")
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    return keras.Model([a, b], layers.Subtract(name="apart")([middle(a), middle(b)]), name="twice")


MODELS = {"branched": _branched, "images": _images, "sequences": _sequences, "twice": _twice}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], tuple[Any, Path]]:
    folder = tmp_path_factory.mktemp("keras")
    found = {}
    for name, build in MODELS.items():
        keras.utils.clear_session()
        model = build()
        for ending in ENDINGS:
            path = folder / f"{name}{ending}"
            model.save(path)
            found[name, ending] = (model, path)
    return found


@pytest.fixture(scope="module")
def programs(saved: dict[tuple[str, str], tuple[Any, Path]]) -> dict[tuple[str, str], Program]:
    return {key: load(path) for key, (_, path) in saved.items()}


Saved = dict[tuple[str, str], tuple[Any, Path]]
Programs = dict[tuple[str, str], Program]


def _parameters(program: Program) -> dict[str, Any]:
    """Parameters and statistics by name; the seeds of generators are no weights to Keras."""
    found = {node.name: node.value for _, node in program.each_node() if node.kind == "parameter"}
    return {name: value for name, value in found.items() if "seed" not in name}


def test_every_layer_is_a_node_of_its_class(saved: Saved, programs: Programs) -> None:
    for key, (model, _) in saved.items():
        for layer in model.layers:
            if type(layer).__module__.startswith("keras.src.layers"):
                assert programs[key].main.node(layer.name).op == f"keras.{type(layer).__name__}", key


def test_shapes_and_types_are_those_of_keras(saved: Saved, programs: Programs) -> None:
    known = 0
    for key, (model, _) in saved.items():
        for layer in model.layers:
            node = programs[key].main.node(layer.name)
            for type, wanted in zip(node.outputs, keras.tree.flatten(layer._inbound_nodes[0].output_tensors), strict=False):
                if isinstance(type, TensorType) and type.dims is not None:
                    assert (type.dims, type.dtype) == (tuple(wanted.shape), wanted.dtype), (key, layer.name)
                    known += 1
    assert known >= 80


def test_shapes_are_known_but_for_what_code_decides(programs: Programs) -> None:
    """The .keras format says the type of whatever another layer takes; .h5 says none."""
    unknown = {
        key: [node.id for node in program.main.each_node() if node.kind == "op" and getattr(node.outputs[0], "dims", None) is None]
        for key, program in programs.items()
    }
    assert unknown["branched", ".keras"] == ["add"]
    assert unknown["sequences", ".keras"] == unknown["sequences", ".h5"] == []
    assert unknown["twice", ".keras"] == unknown["twice", ".h5"] == []


def test_parameters_are_as_many_as_keras_counts(saved: Saved, programs: Programs) -> None:
    for key, (model, _) in saved.items():
        elements = [value.type.elements for value in _parameters(programs[key]).values()]
        assert sum(elements) == model.count_params(), key


def test_every_weight_holds_the_values_of_keras(saved: Saved, programs: Programs) -> None:
    for key, (model, _) in saved.items():
        ours = sorted(value.array().tobytes() for value in _parameters(programs[key]).values())
        assert ours == sorted(np.asarray(weight).tobytes() for weight in model.weights), key


def test_weights_belong_to_their_layers_by_name(saved: Saved, programs: Programs) -> None:
    for ending in ENDINGS:
        program, (model, _) = programs["twice", ending], saved["twice", ending]
        parameters = _parameters(program)
        deep = model.get_layer("middle").get_layer("inner").get_layer("deep")
        assert parameters["middle/inner/deep/kernel"].array().tolist() == np.asarray(deep.kernel).tolist()
        assert [use.src for use in program.graphs["inner"].operands("deep")][1:] == ["middle/inner/deep/kernel", "middle/inner/deep/bias"]


def test_statistics_are_buffers(programs: Programs) -> None:
    for ending in ENDINGS:
        roles = {node.name: node.attrs.get("role") for _, node in programs["branched", ending].each_node() if node.kind == "parameter"}
        assert {name for name, role in roles.items() if role == "buffer" and "seed" not in name} == {
            "backbone/batch_normalization/moving_mean", "backbone/batch_normalization/moving_variance",
        }  # fmt: skip


def test_a_shared_layer_has_two_calls_and_one_set_of_weights(programs: Programs) -> None:
    for ending in ENDINGS:
        graph = programs["branched", ending].main
        assert [use.src for use in graph.operands("shared")] == ["backbone", "shared/kernel", "shared/bias"]
        assert [use.src for use in graph.operands("shared_1")] == ["pre", "shared/kernel", "shared/bias"]
        assert [use.src for use in graph.operands("both")] == ["shared", "shared_1"]


def test_a_nested_model_called_twice_is_one_graph(programs: Programs) -> None:
    for ending in ENDINGS:
        program = programs["twice", ending]
        assert list(program.graphs) == ["twice", "middle", "inner"]
        assert [use.src for use in program.main.operands("apart")] == ["middle", "middle_1"]


def test_layers_and_their_weights_lie_in_one_module_of_the_layer_s_path(saved: Saved, programs: Programs) -> None:
    for (name, ending), program in programs.items():
        modules = {module.path: module for module in size.analyze(program).by_module()}
        model = saved[name, ending][0]
        for layer in model.layers:
            if type(layer).__name__ == "InputLayer":
                continue
            module = modules[layer.name]
            trained = sum(int(np.prod(weight.shape)) for weight in layer.trainable_weights)
            assert (module.own_ops >= 1, module.elements) == (True, trained), layer.name


def test_layers_of_nested_models_lie_in_the_path_of_the_models_around_them(programs: Programs) -> None:
    for ending in ENDINGS:
        program = programs["twice", ending]
        ops = {node.name: node.scope for _, node in program.each_node() if node.kind == "op"}
        assert ops == {"middle": "middle", "apart": "apart", "inner": "middle/inner", "norm": "middle/norm", "deep": "middle/inner/deep"}
        weights = {node.name: node.scope for _, node in program.each_node() if node.kind == "parameter"}
        assert weights["middle/inner/deep/kernel"] == "middle/inner/deep"
        assert {scope for name, scope in weights.items() if name.startswith("middle/norm/")} == {"middle/norm"}


def test_signatures_name_inputs_and_outputs(programs: Programs) -> None:
    for ending in ENDINGS:
        signature = programs["branched", ending].signatures["branched"]
        assert [slot.name for slot in signature.inputs] == ["image", "vector"]
        assert [slot.name for slot in signature.outputs] == ["main", "aux"]


def test_a_model_is_the_same_in_both_formats(programs: Programs) -> None:
    for name in MODELS:
        changes = graphlab.diff(programs[name, ".keras"], programs[name, ".h5"]).changes
        assert [str(change) for change in changes] == [], name


def test_training_and_version_are_told(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    for ending in ENDINGS:
        model.save(tmp_path / f"m{ending}")
        program = load(tmp_path / f"m{ending}")
        assert program.source.producer == f"keras {keras.__version__}"
        assert program.meta["training"]["loss"] == "mse"


def test_mixed_precision_is_the_policy_s(tmp_path: Path) -> None:
    policy = keras.DTypePolicy("mixed_bfloat16")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, dtype=policy, name="d"), keras.layers.ReLU(dtype=policy, name="r")])
    for ending in ENDINGS:
        model.save(tmp_path / f"m{ending}")
        graph = load(tmp_path / f"m{ending}").main
        assert graph.node("d").outputs == (TensorType("bfloat16", (None, 3)),)
        assert graph.node("d/kernel").outputs == (TensorType("float32", (2, 3)),)


def test_the_readers_contract_holds(saved: Saved) -> None:
    for ending in ENDINGS:
        check_reader(saved["branched", ending][1])


def test_reading_imports_no_framework(saved: Saved) -> None:
    paths = [str(saved["branched", ending][1]) for ending in ENDINGS]
    held = "[m for m in ('keras', 'h5py', 'tensorflow', 'torch', 'jax') if m in sys.modules]"
    code = f"import sys, graphlab; [graphlab.load(path) for path in {paths!r}]; print({held})"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == "[]"
