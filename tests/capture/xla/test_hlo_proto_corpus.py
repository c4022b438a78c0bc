"""Real HLO messages, and real HLO text through XLA's own serializer (seen with jaxlib 0.10.2)."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import graphlab
from graphlab.capture import dispatch
from graphlab.capture.file import File
from graphlab.capture.xla import hlo_proto, hlo_text
from graphlab.errors import UnknownFormat
from graphlab.ir.format import dumps
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.program import Program, Source
from graphlab.ir.verify import verify

pytestmark = pytest.mark.corpus

# A log of tile sizes tried, with whole modules deep inside; no module's file.
NO_MODULE = "op_tuning_data.pb"
# The manifest has no count of these; XLA's own reading of the module inside is in the tests below.
UNCOUNTED = {"SimpleAdd.pbtxt": 6, "AllGatherMixedTypes.pbtxt": 23, "ReduceScatter.pbtxt": 16, "sharded_unoptimized_hlo_snapshot.pbtxt": 4}
# Called .hlo, and HloProtos as text in truth.
TEXTS = {"dynamic_param.hlo": 3, "spmd_module_sharding.hlo": 2}

# What a message says of its module and HLO text does not.
BEYOND_TEXT = (
    "is_dynamic", "device_assignment", "spmd_output_sharding", "spmd_parameters_shardings", "buffer_assignment", "message",
    "num_partitions", "replica_count", "device_type", "arguments", "partitions", "use_spmd_partitioning", "use_shardy_partitioner",
)  # fmt: skip
PASS_IDS = {"creation_pass_id", "logical_creation_pass_id"}  # of an instruction, in TPU modules

LARGEST = 300_000  # bytes of a text that goes through XLA here; all 516 modules of the corpus were tried once


@pytest.fixture(scope="module")
def files(corpus: Path) -> dict[str, tuple[Path, str]]:
    """Corpus file → its path and the manifest's count, which may be empty."""
    with open(corpus / "MANIFEST.tsv", encoding="utf-8", newline="") as manifest:
        rows = [row for row in csv.DictReader(manifest, delimiter="\t") if row["family"] in ("hlo_proto", "hlo_text")]
    return {
        row["file"]: (corpus / row["file"], row["count"])
        for row in rows
        if row["family"] == "hlo_proto" or row["file"].rpartition("/")[2] in TEXTS
    }  # fmt: skip


@pytest.fixture(scope="module")
def programs(files: dict[str, tuple[Path, str]]) -> dict[str, Program]:
    return {name: dispatch.load(path) for name, (path, _) in files.items() if not name.endswith(NO_MODULE)}


def test_every_file_reads_and_is_sound(programs: dict[str, Program]) -> None:
    assert len(programs) > 45
    assert {name: verify(program)[:1] for name, program in programs.items() if verify(program)} == {}
    assert {program.source.format for program in programs.values()} == {"hlo proto"}


def test_counts_are_the_manifests(programs: dict[str, Program], files: dict[str, tuple[Path, str]]) -> None:
    for name, program in programs.items():
        short = name.rpartition("/")[2]
        count = UNCOUNTED.get(short, TEXTS.get(short))
        assert program.count() == (int(files[name][1]) if count is None else count), name


def test_a_log_that_embeds_modules_is_refused(files: dict[str, tuple[Path, str]]) -> None:
    (path,) = [path for name, (path, _) in files.items() if name.endswith(NO_MODULE)]
    with pytest.raises(UnknownFormat, match="a log with HLO modules deep inside"):
        dispatch.load(path)


def test_no_file_of_another_format_is_taken_for_hlo(corpus: Path) -> None:
    others = [p for p in corpus.rglob("*") if p.is_file() and not {"hlo_text", "hlo_proto"} & set(p.relative_to(corpus).parts)]
    assert len(others) > 1000
    assert [path.name for path in others if hlo_proto.matches(File.open(path))] == []


def test_a_compiled_programs_buffers_are_in_its_meta(programs: dict[str, Program]) -> None:
    found = {
        name.rpartition("/")[2]: program.meta["buffer_assignment"]["bytes"] for name, program in programs.items() if "executables" in name
    }
    assert found == {"SimpleAdd.pbtxt": 96, "AllGatherMixedTypes.pbtxt": 1592, "ReduceScatter.pbtxt": 620}


_SERIALIZE = """
import json, re, sys
from pathlib import Path
from jaxlib import _hlo
from graphlab.capture.xla.hlo_messages import held_in
from graphlab.capture.xla.hlo_text import module_texts
from graphlab.capture.file import File
options = _hlo.HloPrintOptions()
options.print_large_constants = True
given = json.load(sys.stdin)
out, written = Path(given["out"]), []
for path in given["paths"]:
    if given["messages"]:
        data = held_in(File.open(path))[0]
        data = data.data or data.message.SerializeToString()
        modules = [data if isinstance(data, bytes) else data()]
    else:
        modules = []
        for text in module_texts(Path(path).read_text()):
            try:
                modules.append(_hlo.hlo_module_from_text(text).as_serialized_hlo_module_proto())
            except Exception:
                pass
    for data in modules:
        module = _hlo.HloModule.from_serialized_hlo_module_proto(data)
        stem = str(len(written))
        (out / (stem + ".given.pb")).write_bytes(data)
        (out / (stem + ".pb")).write_bytes(module.as_serialized_hlo_module_proto())
        (out / (stem + ".txt")).write_text(module.to_string(options))
        written.append(path)
json.dump(written, sys.stdout)
"""


def through_xla(paths: list[Path], out: Path, *, messages: bool) -> list[str]:
    """Has XLA, in a process of its own, write each module as message and as text; returns the file each came from."""
    pytest.importorskip("jaxlib")
    given = json.dumps({"paths": [str(path) for path in paths], "out": str(out), "messages": messages})
    done = subprocess.run([sys.executable, "-c", _SERIALIZE], input=given, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    written: list[str] = json.loads(done.stdout)
    return written


def bare(program: Program) -> bytes:
    """A Program's bytes without its source, and without what text does not say."""
    for _, node in program.each_node():
        if PASS_IDS & node.meta.keys():
            data = program.graphs[node.graph.name].nodes[node.id]
            rest = FrozenDict({name: value for name, value in data.pop("meta").items() if name not in PASS_IDS})
            data.update({"meta": rest} if rest else {})
    meta = FrozenDict({name: value for name, value in program.meta.items() if name not in BEYOND_TEXT})
    return dumps(replace(program, source=Source("xla", "hlo"), meta=meta))


def differing(written: list[str], out: Path) -> list[str]:
    found = []
    for i, path in enumerate(written):
        text = hlo_text.parse_hlo((out / f"{i}.txt").read_text())
        if bare(hlo_proto.read(File.open(out / f"{i}.pb"))) != bare(text):
            found.append(path)
    return found


@pytest.mark.jax
def test_real_text_is_the_same_as_the_message_xla_makes_of_it(corpus: Path, tmp_path: Path) -> None:
    paths = [path for path in sorted((corpus / "hlo_text").rglob("*")) if path.is_file() and path.stat().st_size < LARGEST]
    written = through_xla([path for path in paths if path.name not in TEXTS], tmp_path, messages=False)
    assert len(written) > 450
    assert differing(written, tmp_path) == []


@pytest.mark.jax
def test_real_messages_are_the_same_as_the_text_xla_makes_of_them(files: dict[str, tuple[Path, str]], tmp_path: Path) -> None:
    written = through_xla([path for name, (path, _) in files.items() if not name.endswith(NO_MODULE)], tmp_path, messages=True)
    assert len(written) == len(files) - 1
    assert differing(written, tmp_path) == []
    # XLA prints a backend's JSON as its own version would, and leaves out frames that nothing names: as given they differ in those.
    for i, path in enumerate(written):
        given, text = hlo_proto.read(File.open(tmp_path / f"{i}.given.pb")), hlo_text.parse_hlo((tmp_path / f"{i}.txt").read_text())
        assert {getattr(change, "key", None) for change in graphlab.diff(given, text).changes} <= {"backend_config"}, path
