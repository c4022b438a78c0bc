"""TensorFlow.js graph models: the graph in JSON, the weights in shards. The models here are written by hand."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphlab
from graphlab import FormatError, TensorType
from graphlab.analyzers import fidelity
from graphlab.capture.file import File
from graphlab.capture.tensorflow import tfjs
from graphlab.errors import SelectError
from graphlab.testing import reader_checks


def const(name: str, dtype: str, *dims: int) -> dict[str, Any]:
    shape = {"dim": [{"size": str(d)} for d in dims]}
    return {"name": name, "op": "Const", "attr": {"dtype": {"type": dtype}, "value": {"tensor": {"dtype": dtype, "tensorShape": shape}}}}


def model(**more: Any) -> dict[str, Any]:
    """``y = relu(x @ w + b)``: ``w`` quantized to uint8, ``b`` to float16, strings and an int after them."""
    dims = {"dim": [{"size": "-1"}, {"size": "4"}]}
    nodes = [
        {"name": "x", "op": "Placeholder", "attr": {"dtype": {"type": "DT_FLOAT"}, "shape": {"shape": dims}}},
        const("w", "DT_FLOAT", 4, 2),
        const("b", "DT_FLOAT", 2),
        const("names", "DT_STRING", 2),
        const("axis", "DT_INT32"),
        {
            "name": "y",
            "op": "_FusedMatMul",
            "input": ["x", "w", "b"],
            "attr": {
                "T": {"type": "DT_FLOAT"},
                "num_args": {"i": "1"},
                "fused_ops": {"list": {"s": [base64.b64encode(op).decode() for op in (b"BiasAdd", b"Relu")]}},
            },
        },
    ]
    weights = [
        {"name": "w", "shape": [4, 2], "dtype": "float32", "quantization": {"dtype": "uint8", "scale": 0.5, "min": -1.0}},
        {"name": "b", "shape": [2], "dtype": "float32", "quantization": {"dtype": "float16", "original_dtype": "float32"}},
        {"name": "names", "shape": [2], "dtype": "string"},
        {"name": "axis", "shape": [], "dtype": "int32"},
    ]
    named = {"name": "y:0", "dtype": "DT_FLOAT", "tensorShape": {"dim": [{"size": "-1"}, {"size": "2"}]}}
    made = {
        "format": "graph-model",
        "generatedBy": "2.4.1",
        "convertedBy": "TensorFlow.js Converter v3.13.0",
        "signature": {"inputs": {"x": {"name": "x:0", "dtype": "DT_FLOAT", "tensorShape": dims}}, "outputs": {"probabilities": named}},
        "modelTopology": {"node": nodes, "library": {}, "versions": {"producer": 440}},
        "weightsManifest": [{"paths": ["one.bin", "two.bin"], "weights": weights}],
    }
    return {**made, **more}


W, B = np.arange(8, dtype=np.uint8), np.array([1.5, -2], np.float16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    strings = b"".join(len(s).to_bytes(4, "little") + s for s in (b"ab", b"c"))
    data = W.tobytes() + B.tobytes() + strings + np.int32(-1).tobytes()
    (tmp_path / "one.bin").write_bytes(data[:5])  # a weight that begins in one shard and ends in the next
    (tmp_path / "two.bin").write_bytes(data[5:])
    (tmp_path / "model.json").write_text(json.dumps(model()))
    return tmp_path


def test_the_graph_and_its_signature_are_read(folder: Path) -> None:
    program = graphlab.load(folder)
    assert program.count() == 6
    (signature,) = program.signatures.values()
    assert [(s.name, s.type) for s in signature.inputs] == [("x", TensorType("float32", (None, 4)))]
    assert [(s.name, s.type) for s in signature.outputs] == [("probabilities", TensorType("float32", (None, 2)))]
    assert program.main.node("y").attrs["fused_ops"] == ("BiasAdd", "Relu")
    assert [use.src for use in program.main.node("y").operands] == ["x", "w", "b"]
    assert program.source.producer == "TensorFlow.js Converter v3.13.0, tensorflow 2.4.1"


def test_weights_have_the_values_that_the_shards_stand_for(folder: Path) -> None:
    nodes = {node.id: node for node in graphlab.load(folder / "model.json").main.each_node()}
    values = {id: node.value for id, node in nodes.items() if node.value is not None}
    np.testing.assert_array_equal(values["w"].array(), (W * 0.5 - 1).astype(np.float32).reshape(4, 2))
    np.testing.assert_array_equal(values["b"].array(), [1.5, -2])
    assert values["names"].bytes() == b"['ab', 'c']"
    assert values["axis"].array() == -1
    assert nodes["w"].meta["stored"] == "uint8 * 0.5 + -1"
    assert nodes["b"].meta["stored"] == "float16"
    assert {id for id, node in nodes.items() if node.attrs.get("role") == "parameter"} == {"w", "b"}


def test_without_its_shards_a_model_still_reads(folder: Path) -> None:
    (folder / "two.bin").unlink()
    value = graphlab.load(folder).main.node("w").value
    assert value is not None
    assert not value.available
    assert "two.bin" in value.reason
    assert value.nbytes == 32


@pytest.mark.parametrize(("left", "count"), [(None, 4), (4, 3)])
def test_weights_without_a_shard_or_with_a_short_one_are_a_finding(folder: Path, left: int | None, count: int) -> None:
    (folder / "two.bin").unlink()
    if left is not None:
        (folder / "two.bin").write_bytes(bytes(left))
    (finding,) = fidelity.analyze(graphlab.load(folder)).findings
    assert (finding.code, finding.data) == ("GL109", {"count": count, "files": ("two.bin",)})
    assert finding.message.startswith(f"{count} weights have no values: ")


def test_a_model_with_all_its_shards_has_no_such_finding(folder: Path) -> None:
    assert graphlab.load(folder).source.notes == ()


def test_shards_that_are_short_leave_the_rest_without_values(folder: Path) -> None:
    (folder / "two.bin").write_bytes(b"\0" * 4)
    main = graphlab.load(folder).main
    values = [main.node(id).value for id in ("w", "b", "names", "axis")]
    assert [value is not None and value.available for value in values] == [True, False, False, False]


def test_a_path_that_leads_out_of_the_folder_is_not_followed(folder: Path) -> None:
    text = json.dumps(model()).replace("two.bin", "../two.bin")
    (folder / "deep").mkdir()
    (folder / "deep" / "model.json").write_text(text.replace("one.bin", "/etc/passwd"))
    value = graphlab.load(folder / "deep").main.node("w").value
    assert value is not None
    assert not value.available


def test_an_initializer_is_a_graph_of_its_own(folder: Path) -> None:
    table = {"name": "table", "op": "HashTableV2", "attr": {"key_dtype": {"type": "DT_STRING"}, "value_dtype": {"type": "DT_INT64"}}}
    (folder / "model.json").write_text(json.dumps(model(modelInitializer={"node": [table]})))
    program = graphlab.load(folder)
    assert list(program.graphs) == ["main", "initializer"]
    assert program.count() == 7


def test_older_models_have_the_signature_in_their_metadata(folder: Path) -> None:
    old = model()
    old["userDefinedMetadata"] = {"signature": old.pop("signature")}
    (folder / "model.json").write_text(json.dumps(old))
    assert list(graphlab.load(folder).signatures) == ["serving_default"]
    with pytest.raises(SelectError):
        graphlab.load(folder, select="predict")


@pytest.mark.parametrize(
    "text",
    [
        '[{"weights": [], "paths": []}]',
        '{"modelTopology": {"class_name": "Sequential", "config": []}, "format": "layers-model"}',
        '{"modelTopology": {"keras_version": "2.2", "model_config": {"node": []}}}',
        '{"node": []}',
        "",
        "[" * 4000,
    ],
)
def test_other_json_is_left_to_others(text: str) -> None:
    assert not tfjs.matches(File.of("model.json", text.encode()))


@pytest.mark.parametrize(
    "change",
    [
        {"modelTopology": {"node": 3}},
        {"modelTopology": {"node": [{"name": "x", "op": 5}]}},
        {"modelTopology": {"node": [{"name": "x", "op": "Neg", "input": ["gone"]}]}},
        {"weightsManifest": [{"paths": "one.bin", "weights": []}]},
        {"weightsManifest": [{"paths": ["one.bin"], "weights": [{"name": "w", "shape": [-1], "dtype": "float32"}]}]},
        {"weightsManifest": [{"paths": ["one.bin"], "weights": [{"name": "w", "shape": [1], "dtype": "float31"}]}]},
        {
            "weightsManifest": [
                {"paths": ["one.bin"], "weights": [{"name": "w", "shape": [1], "dtype": "int32", "quantization": {"dtype": "x"}}]}
            ]
        },
    ],
)
def test_what_is_damaged_is_refused_with_its_place(folder: Path, change: dict[str, Any]) -> None:
    (folder / "model.json").write_text(json.dumps(model(**change)))
    with pytest.raises(FormatError) as caught:
        tfjs.read(File.open(folder / "model.json"))
    assert str(folder) in str(caught.value)
    assert caught.value.where


def test_nesting_without_end_is_refused(folder: Path) -> None:
    (folder / "model.json").write_text('{"modelTopology": {"node": ' + "[" * 100_000)
    with pytest.raises(FormatError):
        graphlab.load(folder)


def test_the_readers_contract(folder: Path) -> None:
    for check in reader_checks(folder):
        check.values[0](check.values[1])
