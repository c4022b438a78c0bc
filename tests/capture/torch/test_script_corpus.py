"""TorchScript archives of other people: read, sound, and of as many nodes as the manifest says."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import graphlab
from graphlab.ir.verify import verify

pytestmark = pytest.mark.corpus

# The manifest counts the nodes of torch's inlined graph, where the calls of methods are gone; here they are nodes.
CALLS = {"l1000_100_10.script.dat": 4, "foo6.pt": 1, "traced_model.pt": 2}
# torch no longer reads this one: it has no count. Two nodes by hand: a constant and an addition.
BY_HAND = {"test_model.pt": 2}


def test_every_archive_has_the_manifests_number_of_nodes(corpus: Path) -> None:
    with (corpus / "MANIFEST.tsv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream, delimiter="\t") if row["family"] == "torchscript"]
    assert len(rows) == 15
    for row in rows:
        name = Path(row["file"]).name
        program = graphlab.load(corpus / row["file"])
        assert verify(program) == ()
        assert program.op_counts()["prim::CallMethod"] == CALLS.get(name, 0)
        assert program.count() - CALLS.get(name, 0) == int(row["count"] or BY_HAND[name]), name


def test_the_loops_and_branches_are_there(corpus: Path) -> None:
    program = graphlab.load(corpus / "torchscript/LaurentMazare+tch-rs/tests/foo3.pt")
    assert sorted(node.op for _, node in program.each_node() if node.control) == ["prim::If", "prim::Loop"]
