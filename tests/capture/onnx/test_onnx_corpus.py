"""Real models: node counts against the manifest's, and against onnx's own reader for its thousands of test cases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from graphlab.analyzers import control_flow
from graphlab.capture import onnx as reader, proto
from graphlab.capture.file import File
from graphlab.capture.onnx import _SCHEMA, text
from graphlab.ir.program import Program
from graphlab.ir.verify import verify

Count = Callable[[Any], int]


def _rows(corpus: Path) -> Iterator[tuple[str, str]]:
    for line in (corpus / "MANIFEST.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        name, family, _, count = line.split("\t")[:4]
        if family == "onnx":
            yield name, count


@pytest.fixture(scope="module")
def programs(corpus: Path) -> dict[str, Program]:
    found = {}
    for name, _ in _rows(corpus):
        file = File.open(corpus / name)
        assert reader.matches(file), name
        found[name] = reader.read(file)
    return found


@pytest.mark.corpus
def test_every_model_reads_and_verifies(programs: dict[str, Program]) -> None:
    assert len(programs) == 241
    assert [name for name, program in programs.items() if verify(program)] == []


@pytest.mark.corpus
def test_node_counts_are_the_manifest_s(corpus: Path, programs: dict[str, Program]) -> None:
    counted = [(name, int(count)) for name, count in _rows(corpus) if count]
    assert len(counted) == 225
    assert [(name, programs[name].count(), count) for name, count in counted if programs[name].count() != count] == []


@pytest.mark.corpus
def test_texts_give_what_onnx_s_own_parser_gives(corpus: Path, onnx: ModuleType) -> None:
    seen = 0
    for name, _ in _rows(corpus):
        if not name.endswith(".onnxtext"):
            continue
        seen += 1
        source = (corpus / name).read_text(encoding="utf-8")
        bare = "\n".join(line for line in source.splitlines() if not line.lstrip().startswith("//"))  # onnx's parser knows # alone
        mine = text.parse(File.open(corpus / name), proto.load(_SCHEMA)).message
        assert onnx.ModelProto.FromString(mine.SerializeToString()) == onnx.parser.parse_model(bare), name
    assert seen == 16


@pytest.mark.corpus
def test_every_graph_in_a_node_is_used_by_it(programs: dict[str, Program]) -> None:
    for name, program in programs.items():
        used = {call.graph for _, node in program.each_node() for call in node.calls.values()}
        entered = {signature.graph for signature in program.signatures.values()}
        functions = set(program.meta.get("functions", ()))
        assert set(program.graphs) <= used | entered | functions, name


@pytest.mark.corpus
def test_no_file_of_another_family_is_taken_for_a_model(corpus: Path) -> None:
    others = (path for path in corpus.rglob("*") if path.is_file() and path.relative_to(corpus).parts[0] != "onnx")
    assert [path.name for path in others if reader.matches(File.open(path))] == []


@pytest.fixture(scope="module")
def cases(onnx: ModuleType) -> dict[str, Any]:
    """The models of onnx's backend test: a node or a model each, and for composed operators their expansion."""
    model = pytest.importorskip("onnx.backend.test.case.model")
    node = pytest.importorskip("onnx.backend.test.case.node")
    found = {case.name: case.model for case in (*node.collect_testcases(None), *model.collect_testcases()) if case.model is not None}
    stored = Path(str(onnx.__file__)).parent / "backend" / "test" / "data"
    return found | {str(path.relative_to(stored)): onnx.load(path) for path in sorted(stored.rglob("*.onnx"))}


def test_onnx_s_test_cases_read_with_as_many_nodes_as_onnx_counts(cases: dict[str, Any], count: Count) -> None:
    assert len(cases) > 1500
    wrong = []
    for name, model in cases.items():
        file = File.of(name, model.SerializeToString())
        assert reader.matches(file), name
        program = reader.read(file)
        if verify(program) or program.count() != count(model):
            wrong.append(name)
    assert wrong == []


def test_onnx_s_test_cases_printed_parse_to_the_same_models(cases: dict[str, Any], onnx: ModuleType) -> None:
    wrong = []
    for name, model in list(cases.items())[::7]:
        printed = onnx.printer.to_text(model)
        mine = text.parse(File.of(name, printed.encode()), proto.load(_SCHEMA)).message
        if onnx.ModelProto.FromString(mine.SerializeToString()) != onnx.parser.parse_model(printed):
            wrong.append(name)
    assert wrong == []


def test_the_loops_and_branches_of_onnx_s_test_cases_are_found(cases: dict[str, Any]) -> None:
    wanted = {"Loop": "loop", "Scan": "loop", "SequenceMap": "loop", "If": "conditional"}
    seen: set[str] = set()
    for name, model in cases.items():
        ops = sorted(node.op_type for node in model.graph.node if node.op_type in wanted)
        if ops:
            program = reader.read(File.of(name, model.SerializeToString()))
            found = sorted(c.op.removeprefix("onnx.") for c in control_flow.analyze(program).constructs if c.node.graph == program.entry)
            assert found == ops, name
            seen.update(ops)
    assert seen == set(wanted)
