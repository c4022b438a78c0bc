"""Real graphs: HLO modules of the corpus, and a torch model before and after an edit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import graphlab
from graphlab.diff.changes import AttributeChanged, ConstantChanged, Removed, Rewired, SignatureChanged, TypeChanged
from graphlab.ir.program import Program

GEMMA = "hlo_text/ROCm+xla/backends/cpu/benchmarks/hlo/gemma3_1b_flax_call.hlo"
LLAMA = "hlo_text/ROCm+xla/tools/benchmarks/hlo/hlo_llama31_70b_bf16_{}.hlo"


@pytest.fixture(scope="module")
def gemma(corpus: Path) -> Program:
    return graphlab.load(corpus / GEMMA)


@pytest.mark.corpus
def test_llama_on_128_and_256_devices_differs_in_sizes_and_in_no_edge(corpus: Path) -> None:
    a, b = (graphlab.load(corpus / LLAMA.format(size)) for size in ("16x8", "32x8"))
    diff = graphlab.diff(a, b)
    assert len(diff.matches) == sum(map(len, a.graphs.values())) == sum(map(len, b.graphs.values()))
    assert {type(change) for change in diff.changes} <= {TypeChanged, AttributeChanged, ConstantChanged, SignatureChanged}
    assert not diff.equal


@pytest.mark.corpus
def test_gemma_and_its_shuffled_and_renamed_self_have_no_changes(gemma: Program, shuffle: Any) -> None:
    other, _ = shuffle(gemma, 1)
    assert graphlab.diff(gemma, other).equal


@pytest.mark.corpus
def test_two_nodes_taken_out_of_gemma_are_found_and_nothing_else(gemma: Program, shuffle: Any) -> None:
    graph = gemma.main.copy()
    chosen = [n.id for n in gemma.main.each_node() if n.op == "hlo.convert" and len(n.users) == 1]
    chosen = [chosen[len(chosen) // 4], chosen[3 * len(chosen) // 4]]
    for id in chosen:
        source, [use] = graph.operands(id)[0], graph.users(id)
        graph.remove_node(id)
        graph.connect(source.src, use.dst, source.src_port, use.dst_port)
    edited, _ = shuffle(replace(gemma, graphs={**gemma.graphs, gemma.entry: graph}), 2)
    diff = graphlab.diff(gemma, edited)
    assert {type(change) for change in diff.changes} == {Removed, Rewired}
    assert {change.at.to.node for change in diff.changes if isinstance(change, Removed)} == set(chosen)
    assert len(diff.changes) == 4


@pytest.mark.torch
def test_a_torch_model_whose_activation_is_replaced_differs_there() -> None:
    torch = pytest.importorskip("torch")

    def model(activation: Any) -> Any:
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Linear(8, 16), activation, torch.nn.Linear(16, 4))

    def captured(activation: Any) -> Program:
        return graphlab.capture(model(activation), (torch.ones(2, 8),), method="export")

    assert graphlab.diff(captured(torch.nn.ReLU()), captured(torch.nn.ReLU())).equal
    diff = graphlab.diff(captured(torch.nn.ReLU()), captured(torch.nn.GELU()))
    assert {change["old"] for change in diff.to_json()["changes"] if change["change"] == "op"} == {"aten.relu.default"}
    assert all(match.confidence > 0 for match in diff.matches)
