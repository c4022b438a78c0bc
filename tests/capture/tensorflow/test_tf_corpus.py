"""Every TensorFlow and TensorFlow.js file of the corpus reads, verifies, and has the manifest's number of nodes."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

import graphlab
from graphlab import FormatError
from graphlab.analyzers import control_flow
from graphlab.capture.file import File
from graphlab.capture.tensorflow import graph_file, saved_model, tfjs

pytestmark = pytest.mark.corpus

LAYERS = "layers-model"  # another reader's
TEXT_NAMED_PB = "tf_graphs/train_iris.pb"
"""In ``negative`` as a .pb that does not parse. It is text, byte for byte ``tf_graphdef/…/train_iris.pbtxt``: content is what tells."""


def rows(corpus: Path, family: str) -> Iterator[tuple[Path, str, str]]:
    with (corpus / "MANIFEST.tsv").open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream, delimiter="\t"):
            if row["family"] == family:
                yield corpus / row["file"], row["count"], row["notes"]


def test_every_graph_def_reads_with_its_number_of_nodes(corpus: Path) -> None:
    seen = 0
    for path, count, _ in rows(corpus, "tf_graphdef"):
        program = graphlab.load(path)
        assert (str(path), program.count()) == (str(path), int(count))
        assert program.source.format == "GraphDef"
        seen += 1
    assert seen == 206


def test_every_loop_of_tensorflow_1_is_recognised(corpus: Path) -> None:
    """As many loops as there are LoopCond nodes: the files' own count."""
    seen = 0
    for path, _, notes in rows(corpus, "tf_graphdef"):
        if "LoopCond" not in notes:
            continue
        program = graphlab.load(path)
        conditions = sum(node.op == "tf.LoopCond" for _, node in program.each_node())
        loops = [c for c in control_flow.analyze(program).constructs if c.form != "conditional"]
        assert len(loops) == conditions, path
        assert all(c.op == "tf.LoopCond" for c in loops)
        seen += 1
    assert seen == 28


def test_every_saved_model_reads_with_its_number_of_nodes(corpus: Path) -> None:
    seen = 0
    for path, count, _ in rows(corpus, "tf_savedmodel"):
        if path.name != "saved_model.pb":
            continue
        program = graphlab.load(path.parent)
        assert (str(path), program.count()) == (str(path), int(count))
        held = [node for _, node in program.each_node() if node.kind == "parameter"]
        if (path.parent / "variables").is_dir():
            assert all(node.value is not None and node.value.available for node in held), path
        seen += 1
    assert seen == 31


def test_every_graph_model_of_tensorflow_js_reads_with_its_number_of_nodes(corpus: Path) -> None:
    seen = 0
    for path, count, notes in rows(corpus, "tfjs"):
        if not path.name.endswith(".json"):
            continue
        assert tfjs.matches(File.open(path)) is (LAYERS not in notes)
        if LAYERS not in notes:
            assert (str(path), graphlab.load(path).count()) == (str(path), int(count))
            seen += 1
    assert seen == 6


def test_basic_pitch_is_one_model_in_both_formats(corpus: Path) -> None:
    first = graphlab.load(corpus / "tf_savedmodel/pypi_basic-pitch/nmp")
    second = graphlab.load(corpus / "tfjs/spotify+basic-pitch-ts/model/model.json")
    (one,), (two,) = first.signatures.values(), second.signatures.values()
    assert [(s.name, s.type) for s in one.inputs] == [(s.name, s.type) for s in two.inputs]
    assert sorted(str(s.type) for s in one.outputs) == sorted(str(s.type) for s in two.outputs)
    weights = [node.value for _, node in second.each_node() if node.value is not None]
    assert all(value.available for value in weights)
    assert sum(value.nbytes or 0 for value in weights) == (corpus / "tfjs/spotify+basic-pitch-ts/model/group1-shard1of1.bin").stat().st_size


def test_files_of_other_kinds_are_not_taken(corpus: Path) -> None:
    others = [path for path, _, _ in rows(corpus, "negative") if not str(path).endswith(TEXT_NAMED_PB)]
    for family in ("onnx", "tflite", "hlo_proto", "coreml_extra", "xplane", "stablehlo_bytecode", "executorch_pte"):
        others += [path for path, _, _ in rows(corpus, family)]
    assert len(others) > 700
    for path in others:
        file = File.open(path)
        taken = [reader.__name__ for reader in (saved_model, graph_file, tfjs) if reader.matches(file)]
        assert not taken, f"{path}: {taken}"


def test_negative_graphs_are_refused(corpus: Path) -> None:
    for path, _, _ in rows(corpus, "negative"):
        if path.suffix in (".pb", ".pbtxt", ".json") and not str(path).endswith(TEXT_NAMED_PB):
            with pytest.raises(FormatError):
                graphlab.load(path)
