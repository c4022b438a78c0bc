"""Mobile modules in flatbuffers, against the same module in a zip archive."""

from __future__ import annotations

import zipfile
from pathlib import Path
from random import Random
from typing import Dict, List, Optional, Tuple  # noqa: UP035  TorchScript reads these

import numpy as np
import pytest

import graphlab
from graphlab.errors import FormatError, GraphlabError
from graphlab.testing import check_reader, mutated

pytest.importorskip("torch")
pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]

import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402


class Mobile(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 3)
        self.register_buffer("turned", torch.arange(6.0).view(2, 3).t())
        self.sizes = {"a": 1, "b": 2}
        self.rates = [0.5, 1.5]
        self.names = ("x", 3, None)
        self.flags = [True, False]

    def forward(self, x: Tensor, o: Optional[Tensor] = None) -> Tuple[Tensor, List[Tensor], Dict[str, Tensor]]:  # noqa: UP006, UP045
        found: List[Tensor] = []  # noqa: UP006
        for i in range(x.size(0)):
            if bool(x.sum() > self.rates[0]) and self.flags[0]:
                found.append(self.linear(x) * i + self.sizes["a"])
        if o is not None:
            x = x + o
        return x + self.turned.sum() + self.names[1], found, {"x": x}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("mobile")
    scripted = torch.jit.script(Mobile())
    scripted._save_for_lite_interpreter(str(folder / "m.ptl"))
    scripted._save_for_lite_interpreter(str(folder / "m.ff"), _use_flatbuffer=True)
    return folder / "m.ptl", folder / "m.ff"


def test_a_flatbuffer_and_a_zip_archive_of_one_module_are_the_same(saved: tuple[Path, Path]) -> None:
    zipped, flat = map(graphlab.load, saved)
    assert flat.source.format == "torchscript mobile"
    assert graphlab.diff(zipped, flat).equal
    assert zipped.count() == flat.count() > 20


def test_its_weights_are_torchs(saved: tuple[Path, Path]) -> None:
    expected = {**Mobile().state_dict(), **torch.jit.load(str(saved[0])).state_dict()}
    held = {node.name: node for _, node in graphlab.load(saved[1]).each_node() if node.kind == "parameter"}
    for name in ("linear.weight", "linear.bias", "turned"):
        value = held[name].value
        assert value is not None
        np.testing.assert_array_equal(value.array(), expected[name].numpy())
    assert held["rates"].value is not None
    assert held["rates"].value.bytes() == b"[0.5, 1.5]"


def test_the_readers_contract_holds(saved: tuple[Path, Path]) -> None:
    check_reader(saved[1])


def test_without_sources_it_is_refused_by_what_it_is(tmp_path: Path, saved: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(saved[0]) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist() if "/code/" not in info.filename}
    path = tmp_path / "stripped.ptl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(FormatError) as caught:
        graphlab.load(path)
    assert "only bytecode is there" in caught.value.found


def test_damaged_ones_are_refused(tmp_path: Path, saved: tuple[Path, Path]) -> None:
    path, random = tmp_path / "damaged.ff", Random(0)
    refused = []
    for _ in range(150):
        mutated(saved[1], random, path)
        try:
            graphlab.load(path)
        except GraphlabError as error:
            refused.append(error.asked)
    assert all(str(path) in asked for asked in refused)
    assert len(refused) > 20
