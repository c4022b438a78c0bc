"""The light adapter: what it takes, by which methods, and what it says otherwise."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

import graphlab
from graphlab.capture.inputs import Inputs
from graphlab.capture.torch import METHODS, capture, matches, methods_for
from graphlab.errors import CaptureError, InputsNeeded
from graphlab.ir.values import TensorType

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


class Layer(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(8, 4)

    def forward(self, x: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        return self.layer(x) * scale  # fails


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        (Inputs(kwargs={"y": TensorType("float32", (2, 8))}), "it has no 'y'"),
        (Inputs(kwargs={"scale": 2.0}), "missing a required argument: 'x'"),
        (Inputs((torch.ones(2, 8), 1.0, 2.0)), "too many positional arguments"),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_inputs_that_forward_does_not_take_stop_every_method(inputs: Inputs, why: str, method: str) -> None:
    with pytest.raises(InputsNeeded) as caught:
        capture(Layer(), inputs, method=method)
    assert caught.value.found == f"the inputs do not fit Layer.forward(x, scale=1.0): {why}"


def test_inputs_that_the_model_itself_fails_on_stop_the_capture_at_its_line() -> None:
    with pytest.raises(InputsNeeded, match="the model itself fails on these inputs: RuntimeError: mat1 and mat2") as caught:
        graphlab.capture(Layer(), (torch.ones(2, 9),))
    frame = caught.value.frame
    assert frame is not None
    with open(__file__) as lines:
        assert lines.readlines()[frame.line - 1].endswith("# fails\n")


def test_a_model_that_runs_is_not_said_to_fail_where_export_does() -> None:
    class Branch(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x += 1
            return x if x.sum() > 0 else -x

    given = torch.ones(2)
    with pytest.raises(CaptureError) as caught:
        capture(Branch(), Inputs((given,)), method="export")
    assert type(caught.value) is CaptureError
    assert given.tolist() == [1, 1]


def test_a_failure_by_a_draw_is_not_laid_to_the_inputs() -> None:
    draws = [torch.rand(1, generator=torch.Generator().manual_seed(seed)).item() for seed in range(3)]
    unlucky = draws[0]
    assert unlucky not in draws[1:]

    class Unlucky(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if torch.rand(1).item() == unlucky:
                raise ValueError("unlucky")
            return x

    with pytest.raises(CaptureError) as caught:
        capture(Unlucky(), Inputs((torch.ones(2),)), method="export")
    assert type(caught.value) is CaptureError
