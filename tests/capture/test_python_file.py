"""Finding models in a user's Python file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from graphlab.capture.inputs import Inputs
from graphlab.capture.python_file import find
from graphlab.errors import CaptureError, GraphlabError

pytestmark = pytest.mark.torch
pytest.importorskip("torch")

NET = """
import torch
from torch import nn

class Cell(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.size = size
    def forward(self, x):
        return x + self.size

class Net(nn.Module):
    def forward(self, x):
        return x * 2
"""


def write(folder: Path, text: str, name: str = "model.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_instances_are_found_in_the_order_of_definition(tmp_path: Path) -> None:
    path = write(tmp_path, NET + "second = Net()\nfirst = Cell(3)\n_hidden = Net()\nalias = first\n")
    assert [f.name for f in find(path)] == ["second", "first"]


def test_without_instances_the_classes_that_need_no_arguments_are_made(tmp_path: Path) -> None:
    (found,) = find(write(tmp_path, NET))
    assert found.name == "Net"
    assert type(found.model).__name__ == "Net"


def test_a_class_that_needs_arguments_says_what_to_add(tmp_path: Path) -> None:
    path = write(tmp_path, NET.replace("class Net", "class _Net"))
    with pytest.raises(GraphlabError, match=r"model = Cell\(\.\.\.\)"):
        find(path)


@pytest.mark.parametrize(("asked", "meant"), [("secnod", "second"), ("SECOND", "second"), ("Nte", "Net")])
def test_a_misspelt_name_says_what_may_be_meant_and_offers_what_can_be_captured(tmp_path: Path, asked: str, meant: str) -> None:
    path = write(tmp_path, NET + "second = Net()\nSIZE = 3\ndef helper():\n    pass\n")
    with pytest.raises(GraphlabError) as info:
        find(path, asked)
    assert f"did you mean '{meant}'?" in info.value.found
    assert info.value.do.endswith(": Cell, Net, second")


def test_inputs_named_after_the_model_win_over_the_general_ones(tmp_path: Path) -> None:
    path = write(tmp_path, NET + "a = Net()\nb = Net()\na_inputs = (1, 2)\ndef example_inputs():\n    return {'x': 3}\n")
    a, b = find(path)
    assert a.inputs == Inputs((1, 2))
    assert b.inputs == Inputs((), {"x": 3})


def test_imported_models_classes_are_not_the_files_own(tmp_path: Path) -> None:
    write(tmp_path, "from torch import nn\nclass Imported(nn.Module):\n    pass\n", "layers.py")
    path = write(tmp_path, "from layers import Imported\nfrom torch.nn import ReLU\n")
    with pytest.raises(GraphlabError, match="no module-level name holds one"):
        find(path)


def test_a_dotted_name_reaches_a_submodule(tmp_path: Path) -> None:
    path = write(tmp_path, NET + "seq = nn.Sequential(Net(), nn.ReLU())\n")
    (found,) = find(path, "seq.1")
    assert type(found.model).__name__ == "ReLU"


def test_a_missing_name_lists_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(GraphlabError, match=r"choose from what can be captured there: Cell, Net"):
        find(write(tmp_path, NET), "nett")


def test_a_syntax_error_names_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, "x = 1\ndef broken(:\n")
    with pytest.raises(CaptureError) as caught:
        find(path)
    assert caught.value.frame is not None
    assert caught.value.frame.line == 2
    assert "syntax error" in caught.value.found


def test_an_exception_in_the_file_names_the_users_line(tmp_path: Path) -> None:
    path = write(tmp_path, "import json\n\njson.loads('{')\n")
    with pytest.raises(CaptureError, match="it raises JSONDecodeError") as caught:
        find(path)
    assert caught.value.frame is not None
    assert caught.value.frame.line == 3


def test_a_missing_import_says_so(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="imports 'surely_not_installed'"):
        find(write(tmp_path, "import surely_not_installed\n"))


def test_a_file_that_exits_is_an_error_not_an_exit(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="raises SystemExit"):
        find(write(tmp_path, "raise SystemExit(3)\n"))


def test_what_the_file_prints_stays_off_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    find(write(tmp_path, NET + "print('hello')\n"))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "hello" in captured.err


def test_two_files_of_one_name_each_see_their_own_neighbours(tmp_path: Path) -> None:
    for folder, value in (("old", 1), ("new", 2)):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, f"SIZE = {value}\n", "sizes.py")
        write(tmp_path / folder, NET + "from sizes import SIZE\nmodel = Cell(SIZE)\n")
    (old,) = find(tmp_path / "old" / "model.py")
    (new,) = find(tmp_path / "new" / "model.py")
    assert (old.model.size, new.model.size) == (1, 2)
    assert str(tmp_path / "new") not in sys.path


def test_parts_of_models_give_way_to_models(tmp_path: Path) -> None:
    pytest.importorskip("haiku")
    path = write(tmp_path, "import haiku, jax\nnet = haiku.transform(lambda x: x)\nf = jax.jit(lambda x: x)\n")
    assert [f.name for f in find(path)] == ["f"]
    path.write_text("import haiku\nnet = haiku.transform(lambda x: x)\n")
    assert [f.name for f in find(path)] == ["net"]
