"""A plugin installed for real: a distribution on sys.path with entry points."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import graphlab
from graphlab import registry
from graphlab.errors import RegistryError

Install = Callable[[str, str, str], None]

READER = """
from graphlab.capture.file import File
from graphlab.ir.graph import Graph
from graphlab.ir.program import Program, Source

def matches(target):
    return isinstance(target, File) and target.head.startswith(b"MYFORMAT")

def read(file, *, select=None):
    graph = Graph(name="main")
    graph.add("out", kind="output")
    return Program({"main": graph}, "main", Source("mine", "myformat", path=str(file.path)))
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """install(distribution, entry points, source of its module my_plugin)."""
    monkeypatch.syspath_prepend(tmp_path)

    def add(name: str, points: str, source: str) -> None:
        info = tmp_path / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(points)
        (tmp_path / "my_plugin.py").write_text(source)
        registry.table.cache_clear()
        registry.get.cache_clear()

    yield add
    registry.table.cache_clear()
    registry.get.cache_clear()
    sys.modules.pop("my_plugin", None)


def test_a_plugins_reader_reads_its_files(install: Install, tmp_path: Path) -> None:
    install("my-plugin", "[graphlab.capture]\nmyformat = my_plugin\n", READER)
    (tmp_path / "a.bin").write_bytes(b"MYFORMAT 1")
    assert graphlab.load(tmp_path / "a.bin").source.format == "myformat"


def test_a_plugin_is_not_imported_before_it_is_asked_for(install: Install) -> None:
    install("my-plugin", "[graphlab.analyzers]\nmine = my_plugin\n", "")
    assert "mine" in registry.table("analyzers")
    assert "my_plugin" not in sys.modules


def test_a_name_of_graphlabs_own_is_not_to_be_taken(install: Install) -> None:
    install("my-plugin", "[graphlab.analyzers]\nsize = my_plugin\n", "")
    with pytest.raises(RegistryError, match=r"both graphlab itself and my-plugin 1\.0 claim that name"):
        registry.table("analyzers")


def test_two_plugins_of_one_name_are_both_named(install: Install) -> None:
    install("my-plugin", "[graphlab.compilers]\nmine = my_plugin\n", "")
    install("other-plugin", "[graphlab.compilers]\nmine = my_plugin\n", "")
    with pytest.raises(RegistryError, match=r"both (my|other)-plugin 1\.0 and (my|other)-plugin 1\.0 claim"):
        registry.table("compilers")


def test_a_plugin_that_does_not_import_is_named(install: Install) -> None:
    install("my-plugin", "[graphlab.compilers]\nmine = my_plugin\n", "raise RuntimeError('no licence')")
    with pytest.raises(RegistryError, match=r"my-plugin 1\.0 does not import: no licence"):
        registry.get("compilers", "mine")


def test_a_name_that_nobody_registered_gets_the_ones_there_are() -> None:
    with pytest.raises(RegistryError, match="choose from size, control_flow"):
        registry.get("analyzers", "horoscope")
