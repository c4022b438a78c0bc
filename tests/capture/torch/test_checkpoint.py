"""What PyTorch pickles without a graph is refused by what it is, and never unpickled."""

from __future__ import annotations

import csv
import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

import graphlab
from graphlab.errors import FormatError, UnknownFormat

pytest.importorskip("torch")

import torch
from torch import nn

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]

HELD: dict[str, tuple[Any, str]] = {
    "weights": (nn.Linear(2, 2).state_dict(), "a state_dict of 2 tensors"),
    "a checkpoint": ({"model": nn.Linear(2, 2).state_dict(), "epoch": 3}, "a checkpoint of 2 tensors (keys model, epoch)"),
    "a module": (nn.Linear(2, 2), "a whole pickled module of the class torch.nn.modules.linear.Linear, with 2 tensors"),
    "a tensor": (torch.ones(3), "one tensor"),
    "a list": ([torch.ones(1), torch.ones(2)], "a list of 2 tensors"),
    "an optimizer": (torch.optim.SGD([torch.ones(1, requires_grad=True)], 0.1).state_dict(), "a checkpoint of 0 tensors"),
}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old"])
@pytest.mark.parametrize(("held", "found"), HELD.values(), ids=HELD.keys())
def test_it_says_what_is_in_it(tmp_path: Path, held: Any, found: str, zipped: bool) -> None:
    path = tmp_path / "held.pt"
    torch.save(held, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(FormatError) as caught:
        graphlab.load(path)
    assert "it holds no graph" in caught.value.found
    assert found in caught.value.found
    assert str(path) in caught.value.asked


def test_a_package_is_named(tmp_path: Path) -> None:
    from torch.package import PackageExporter

    path = tmp_path / "package.pt"
    with PackageExporter(str(path)) as exporter:
        exporter.extern("**")
        exporter.save_pickle("m", "m.pkl", OrderedDict(a=1))
    with pytest.raises(FormatError) as caught:
        graphlab.load(path)
    assert "torch.package" in caught.value.found


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_no_pickle_runs(tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {mark}",)

    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps(Evil(), protocol))
    with pytest.raises(FormatError):
        graphlab.load(path)
    torch.save({"w": Evil()}, path)
    with pytest.raises(FormatError):
        graphlab.load(path)
    assert not mark.exists()


@pytest.mark.corpus
def test_the_corpus_negatives_are_refused_in_one_sentence(corpus: Path) -> None:
    with (corpus / "MANIFEST.tsv").open(newline="") as stream:
        rows = [row["file"] for row in csv.DictReader(stream, delimiter="\t") if row["family"] == "negative"]
    told = {}
    for name in rows:
        if name.endswith((".pt", ".pth", ".dat")):
            with pytest.raises((FormatError, UnknownFormat)) as caught:
                graphlab.load(corpus / name)
            told[Path(name).name] = caught.value.found
    assert told["model.pth"].startswith("it holds no graph: a state_dict of 11 tensors")
    assert told["averaged_model.pt"] == "it holds no graph: a state_dict of 10 tensors"
    assert told["complex_nested.pt"] == "it holds no graph: a state_dict of 23 tensors"
    assert len(told) == 8
