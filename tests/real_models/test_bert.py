"""BERT-base of transformers, random weights, by ``torch.export``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import graphlab

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")
pytest.importorskip("transformers")


SOURCE = """
import torch
from transformers import BertConfig, BertModel

model = BertModel(BertConfig(attn_implementation="eager")).eval()
example_inputs = {"input_ids": torch.ones(1, 16, dtype=torch.long)}
"""


@pytest.fixture(scope="module")
def exported() -> Any:
    space: dict[str, Any] = {}
    exec(SOURCE, space)
    return torch.export.export(space["model"], (), space["example_inputs"])


def test_bert_base_is_captured_whole_and_drawn(inspected: Callable[[Path], graphlab.Program], exported: Any, tmp_path: Path) -> None:
    path = tmp_path / "bert.py"
    path.write_text(inspect.cleandoc(SOURCE))
    program = inspected(path)
    assert program.source.method == "export"
    assert program.count() == len(exported.graph.nodes)
    parameters = [node for _, node in program.each_node() if node.kind == "parameter"]
    assert {node.name for node in parameters} >= {name for name, _ in exported.named_parameters()}
    assert any(node.scope.startswith("encoder/layer/11") for _, node in program.each_node())
