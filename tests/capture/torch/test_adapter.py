"""The light adapter: what it takes, by which methods, and what it says otherwise."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from graphlab.capture.torch import METHODS, capture, matches, methods_for
from graphlab.errors import CaptureError

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

import torch  # noqa: E402


class Model(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1


def plain(x: torch.Tensor) -> torch.Tensor:
    return x * 2


def test_a_module_is_taken_by_all_methods() -> None:
    assert methods_for(Model()) == METHODS


def test_what_is_captured_already_is_taken_by_its_own_method() -> None:
    exported = torch.export.export(Model(), (torch.ones(2),))
    assert methods_for(exported) == ("export",)
    assert methods_for(torch.jit.script(Model())) == ("jit.script",)
    assert methods_for(torch.jit.trace(Model(), torch.ones(2))) == ("jit.script",)
    assert methods_for(torch.jit.script(plain)) == ("jit.script",)
    assert methods_for(torch.fx.symbolic_trace(Model()))[0] == "fx"


@pytest.mark.parametrize("target", [plain, Model, torch.ones(1), "model.pt", 3, None, lambda x: x])
def test_other_things_are_left_alone(target: Any) -> None:
    assert not matches(target)


def test_asking_imports_no_torch() -> None:
    code = "import sys; from graphlab.capture.torch import matches; matches(object()); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_method_that_does_not_apply_is_refused() -> None:
    with pytest.raises(CaptureError) as caught:
        capture(torch.jit.script(Model()), None, method="fx")
    assert caught.value.do == "choose from jit.script"
