"""What XLA's own parser says of the corpus's HLO text, asked once a session in a child process: it can abort the process."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_ASK = """
import json, re, sys
from jaxlib import _hlo
from graphlab.capture.xla.hlo_text import module_texts

def ask(text):
    try:
        module = _hlo.hlo_module_from_text(text)
    except Exception as error:
        return {"error": str(error)}
    return {"computations": {
        c.name: [[i.name, [o.name for o in i.operands()], i.to_string()] for i in c.instructions()]
        for c in module.computations()
    }, "roots": re.findall(r"^ *ROOT %?([\\w.-]+) =", module.to_string(), re.M)}
answers = {}
for path in json.load(sys.stdin):
    text = open(path, encoding="utf-8").read()
    texts = module_texts(text)
    answers[path] = {"whole": ask(text), "modules": [ask(t) for t in texts] if len(texts) > 1 else []}
json.dump(answers, sys.stdout)
"""


@pytest.fixture(scope="session")
def hlo_corpus(corpus: Path) -> dict[str, tuple[Path, int]]:
    """Corpus file → its path and the number of instructions that the manifest says it has."""
    with open(corpus / "MANIFEST.tsv", encoding="utf-8", newline="") as manifest:
        rows = [row for row in csv.DictReader(manifest, delimiter="\t") if row["family"] == "hlo_text"]
    return {row["file"].removeprefix("hlo_text/"): (corpus / row["file"], int(row["count"])) for row in rows}


@pytest.fixture(scope="session")
def oracle(hlo_corpus: dict[str, tuple[Path, int]]) -> dict[str, Any]:
    """Corpus file → XLA's reading of the whole text and, where it holds several modules, of each one."""
    pytest.importorskip("jaxlib")
    paths = {str(path): name for name, (path, _) in hlo_corpus.items()}
    done = subprocess.run(
        [sys.executable, "-c", _ASK], input=json.dumps(list(paths)), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return {paths[path]: answer for path, answer in json.loads(done.stdout).items()}
