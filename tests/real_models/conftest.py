"""Real models through the front door: ``graphlab inspect FILE --svg --save``, and what came out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

import graphlab
from graphlab.cli.main import main


@pytest.fixture
def inspected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., graphlab.Program]:
    """Inspect a file, check that the drawing is one and that every node has its place in it, return what was saved."""

    def run(path: Path) -> graphlab.Program:
        svg, saved = tmp_path / "model.svg", tmp_path / "model.graphlab"
        code = main(["inspect", str(path), "--no-compile", "--svg", str(svg), "--save", str(saved)])
        assert code == 0, capsys.readouterr().err
        drawing = ElementTree.parse(svg).getroot()
        assert drawing.tag.endswith("svg")
        nodes = [g for g in drawing.iter("{http://www.w3.org/2000/svg}g") if g.get("class") == "node"]
        assert 1 < len(nodes) <= 300
        program = graphlab.load(saved)
        assert graphlab.verify(program) == ()
        return program

    return run
