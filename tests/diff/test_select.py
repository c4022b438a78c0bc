"""Which changes count, and whether two programs are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphlab
from graphlab.cli.main import main
from graphlab.diff.equality import equality
from graphlab.diff.select import select
from graphlab.errors import DiffError
from graphlab.ir.constants import Constant
from graphlab.ir.program import Program
from graphlab.ir.values import TensorType


def program(make: Any, *, layout: str = "{1,0}", value: float = 1.0, swapped: bool = False) -> Program:
    kind, scalar = TensorType("float32", (4, 4), layout), TensorType("float32", ())
    made: Program = make.single(
        [
            ("x", "in", (), {}),
            ("k", "", (), {"kind": "constant", "outputs": (scalar,), "value": Constant(scalar, np.float32(value).tobytes())}),
            ("s", "x.add", ("k", "x") if swapped else ("x", "k"), {"canonical": "Add"}),
            ("r", "x.relu", ("s",), {"outputs": (kind,)}),
        ],
        ["r"],
    )
    return made


def test_changes_are_selected_by_topic(make: Any) -> None:
    diff = graphlab.diff(program(make), program(make, layout="{0,1}", value=2.0, swapped=True))
    assert {type(c).__name__ for c in select(diff, ignore=["signature"])} == {"TypeChanged", "ConstantChanged", "OperandsReordered"}
    assert [type(c).__name__ for c in select(diff, only=["layout"])] == ["TypeChanged"]
    assert [type(c).__name__ for c in select(diff, only=["constant"])] == ["ConstantChanged"]
    assert [type(c).__name__ for c in select(diff, ignore=["layout", "constants", "signature"])] == ["OperandsReordered"]
    assert not select(diff, ignore=["layout", "constants", "order", "signature"])


def test_constants_within_the_tolerance_are_no_change(make: Any) -> None:
    diff = graphlab.diff(program(make), program(make, value=1.001))
    assert not select(diff, tolerance=0.01)
    assert len(select(diff, tolerance=0.0001)) == 1


def test_an_unknown_topic_is_refused_with_those_there_are(make: Any) -> None:
    with pytest.raises(DiffError, match="layout"):
        select(graphlab.diff(program(make), program(make)), only=["colour"])


def test_programs_are_equal_different_or_said_to_be_open(make: Any, shuffle: Any) -> None:
    whole = make.layers(6)
    other, _ = shuffle(whole, 1)
    assert equality(whole, other).verdict == "equal"
    assert equality(whole, make.layers(6, drop=2)).verdict == "different"
    assert equality(program(make), program(make, swapped=True)).verdict == "different"


def test_values_that_cannot_be_had_leave_equality_open(make: Any) -> None:
    kind = TensorType("float32", (1024, 1024))
    one, two = (
        make.single([("k", "", (), {"kind": "constant", "outputs": (kind,), "value": Constant(kind, None, reason="elided")})], ["k"])
        for _ in range(2)
    )
    assert equality(one, two).verdict == "open"


def test_the_commands_gate_by_their_exit_codes(make: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = str(tmp_path / "a.graphlab"), str(tmp_path / "b.graphlab")
    graphlab.save(program(make), a)
    graphlab.save(program(make, value=2.0), b)
    assert main(["diff", a, b, "--fail-on", "added"]) == 0
    assert main(["diff", a, b, "--fail-on", "constants"]) == 1
    assert main(["diff", a, b, "--ignore", "constants"]) == 0
    assert main(["diff", a, b, "--tolerance", "1.5"]) == 0
    assert main(["diff", a, b, "--only", "colour"]) == 2
    capsys.readouterr()
    assert main(["equal", a, a]) == 0
    assert "equal: " in capsys.readouterr().out
    assert main(["equal", a, b]) == 1
    assert "different: " in capsys.readouterr().out
