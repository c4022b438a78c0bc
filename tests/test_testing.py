"""The readers' contract suite: it passes a sound reader, and finds what an unsound one does."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from graphlab import registry
from graphlab.testing import CHECKS, check_reader, mutated, reader_checks
from graphlab.testing.checks import check_damage, check_deterministic, check_memory, check_ports, check_round_trip, check_runs_nothing
from graphlab.testing.fuzz import fuzz, main

HLO = """HloModule add

ENTRY main {
  x = f32[4]{0} parameter(0)
  one = f32[4]{0} constant({1, 2, 3, 4})
  ROOT y = f32[4]{0} add(x, one)
}
"""

# A reader of files that start with TOY; each test gives it a body of read(file, select).
TOY = """
from graphlab.capture.file import File
from graphlab.errors import FormatError
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.graph import Graph
from graphlab.ir.program import Program, Source
from graphlab.ir.values import TensorType

READS = "toys"

def matches(target):
    return isinstance(target, File) and target.head.startswith(b"TOY")

def program(**meta):
    graph = Graph(name="main")
    graph.add("x", kind="input", op="toy.x", index=0, outputs=(TensorType("float32", (2,)),))
    graph.add("y", kind="op", op="toy.neg", outputs=(TensorType("float32", (2,)),), **meta)
    graph.connect("x", "y", 0, 0)
    graph.add("out", kind="output", op="toy.out", outputs=())
    graph.connect("y", "out", 0, 0)
    return Program({"main": graph}, "main", Source("toy", "toy"))

def read(file, *, select=None):
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    """Installs a reader with that body for this process and its children, and returns a file of its."""
    home = tmp_path / "site"
    info = home / "toy-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[graphlab.capture]\ntoy = toy_reader\n")
    monkeypatch.setenv("PYTHONPATH", str(home))
    monkeypatch.syspath_prepend(str(home))
    registry.table.cache_clear()
    registry.get.cache_clear()

    def install(body: str) -> Path:
        (home / "toy_reader.py").write_text(TOY + "".join(f"    {line}\n" for line in body.splitlines()))
        path = tmp_path / "a.toy"
        path.write_bytes(b"TOY" + bytes(range(200)))
        return path

    yield install
    sys.modules.pop("toy_reader", None)
    monkeypatch.undo()
    registry.table.cache_clear()
    registry.get.cache_clear()


def test_a_sound_reader_passes(toy: Callable[[str], Path]) -> None:
    check_reader(toy("return program()"))


@pytest.mark.parametrize(
    ("check", "body", "told"),
    [
        (check_deterministic, "import os\nreturn program(meta=FrozenDict(now=os.urandom(8).hex()))", "second reading differs"),
        (check_deterministic, "return program(meta=FrozenDict(hash=hash('x')))", "PYTHONHASHSEED"),
        (check_runs_nothing, "exec('1 + 1')\nreturn program()", "exec"),
        (check_runs_nothing, "open(str(file.path) + '.out', 'w').close()\nreturn program()", "open"),
        (check_runs_nothing, "import subprocess\nsubprocess.run(['true'])\nreturn program()", "subprocess"),
        (check_runs_nothing, "import socket\nsocket.socket().close()\nreturn program()", "socket"),
        (check_memory, "kept = b'x' * (300 << 20)\nreturn program(meta=FrozenDict(n=len(kept)))", "MiB"),
        (
            check_damage,
            "if file.read()[3:6] != bytes(range(3)): raise FormatError('read a toy', found='bad', do='')\nreturn program()",
            "name",
        ),
        (check_damage, "if file.size < 150: raise FormatError(f'read {file.name}', found='short', do='')\nreturn program()", "where"),
    ],
)
def test_an_unsound_reader_is_found_out(toy: Callable[[str], Path], check: Callable[[Path], None], body: str, told: str) -> None:
    path = toy(body)
    with pytest.raises(AssertionError, match=told):
        check(path)


def test_an_error_that_leaks_is_found_out(toy: Callable[[str], Path]) -> None:
    with pytest.raises(IndexError):
        check_damage(toy("file.read()[150]\nreturn program()"))


def test_the_fuzzer_counts_reads_refusals_and_defects(toy: Callable[[str], Path], tmp_path: Path) -> None:
    path = toy("if file.size < 150: raise FormatError(f'read {file.name}', found='short', do='')\nfile.read()[180]\nreturn program()")
    report = fuzz([path], count=200, keep=tmp_path / "kept")
    assert report.tried == 200
    assert report.read
    assert report.refused["FormatError"]
    assert report.defects
    assert all("IndexError" in defect for defect in report.defects)
    assert len(list((tmp_path / "kept").iterdir())) == len(report.defects)


def test_the_fuzzer_outlives_a_reader_that_ends_the_process(toy: Callable[[str], Path]) -> None:
    report = fuzz([toy("if file.size < 100:\n    import os\n    os._exit(3)\nreturn program()")], count=40)
    assert report.tried == 40
    assert report.defects
    assert "status 3" in report.defects[0]


def test_the_fuzzers_exit_code_tells_of_defects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.hlo"
    path.write_text(HLO)
    assert main([str(path), "--count", "60"]) == 0
    assert "60 tried" in capsys.readouterr().out


@pytest.mark.parametrize("number", range(20))
def test_a_mutation_is_made_again_by_its_seed(tmp_path: Path, number: int) -> None:
    import random

    path = tmp_path / "a.hlo"
    path.write_text(HLO)
    one = mutated(path, random.Random(number), tmp_path / "one").read_bytes()
    assert mutated(path, random.Random(number), tmp_path / "two").read_bytes() == one


@pytest.mark.parametrize(("check", "path"), reader_checks("sample.hlo"))
def test_hlo_text_keeps_the_contract(check: Callable[[Path], None], path: str, tmp_path: Path) -> None:
    sample = tmp_path / path
    sample.write_text(HLO)
    check(sample)


def test_ports_and_round_trip_are_among_the_checks() -> None:
    assert {check_ports, check_round_trip} <= set(CHECKS)
