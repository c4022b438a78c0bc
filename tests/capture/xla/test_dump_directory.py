"""XLA dump directories: which module and stage a file is, and what XLA itself dumps (seen with jaxlib 0.10.2)."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import pytest

from graphlab.capture import dispatch
from graphlab.capture.file import File
from graphlab.capture.xla import dump_directory
from graphlab.capture.xla.dump_names import changed, dumped
from graphlab.compilers.results import Absent, Compiled, Measured
from graphlab.errors import FormatError, SelectError
from graphlab.ir.verify import verify

MODULE = "HloModule jit_f\n\nENTRY main {\n  p = f32[2] parameter(0)\n  ROOT n = f32[2] negate(p)\n}\n"
OPTIMIZED = MODULE.replace("negate", "sine")
PASSED = MODULE.replace("negate", "cosine")


def names(*tails: str, module: str = "module_0007.jit_f") -> list[str]:
    return [f"{module}.{tail}" for tail in tails]


# --- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "platform"),
    [
        ("cpu_after_optimizations.txt", "cpu"),
        ("sm_8.0_gpu_after_optimizations.txt", "sm_8.0_gpu"),
        ("gpu_after_optimizations.hlo.pb", "gpu"),
        ("gfx942_gpu_after_optimizations.txt", "gfx942_gpu"),
        ("after_optimizations.txt", ""),
        ("tpu_after_optimizations.hlo.pb.gz", "tpu"),
    ],
)
def test_the_optimized_modules_name_says_what_for(after: str, platform: str) -> None:
    (module,) = dumped(names("before_optimizations.txt", after, "thunk_sequence.txt"))
    assert (module.name, module.number, module.platform) == ("jit_f", 7, platform)
    assert (module.before, module.after) == tuple(names("before_optimizations.txt", after))
    assert module.others == ("module_0007.jit_f.thunk_sequence.txt",)


def test_reports_about_a_module_are_not_the_module() -> None:
    tails = (
        "cpu_after_optimizations-buffer-assignment.txt",
        "cpu_after_optimizations-memory-usage-report.pb",
        "obj-file.k.o",
        "ir-no-opt.ll",
    )
    (module,) = dumped(names("cpu_after_optimizations.txt", *tails))
    assert set(module.others) == set(names(*tails))


def test_a_tpus_dump_has_more_than_one_end_and_a_version_behind_the_name() -> None:
    tails = ("before_optimizations.txt", "after_optimizations.txt", "after_optimizations_before_buffer_assignment.txt", "after_codegen.txt")
    given = names(*tails, "tpu_comp_env.txt", module="module_0003.jit_f.cl_1014260217")
    (module,) = dumped([*given, "module_0003.jit_f.cl_1014260217"])
    assert (module.name, module.platform, module.after) == ("jit_f", "tpu", given[1])
    assert module.finals == (("after_codegen", given[3]), ("after_optimizations_before_buffer_assignment", given[2]))
    assert module.others == (given[4],)


def test_names_with_dots_and_times_before_them() -> None:
    given = [
        "1795379285442568.module_0003.jit_f.g.before_optimizations.txt",
        "1795379285442569.module_0003.jit_f.g.0002.second.pass.after_dce.before_fusion.txt",
        "1795379285442570.module_0003.jit_f.g.cpu_after_optimizations.txt",
        "module_0003.jit_f.g.obj-file.o",
        "module_0003.jit_f.before_optimizations.txt",
    ]
    plain, dotted = dumped(given)
    assert (plain.prefix, dotted.prefix) == ("module_0003.jit_f", "module_0003.jit_f.g")
    assert [(shot.order, shot.pipeline, shot.pass_name, shot.next) for shot in dotted.shots] == [("0002", "second.pass", "dce", "fusion")]
    assert dotted.others == ("module_0003.jit_f.g.obj-file.o",)


def test_of_one_stage_in_two_forms_the_message_is_taken() -> None:
    (module,) = dumped(names("before_optimizations.txt", "before_optimizations.hlo.pb", "0001.p.after_a.txt", "0001.p.after_a.hlo.pb"))
    assert module.before.endswith(".hlo.pb")
    assert [shot.file for shot in module.shots] == names("0001.p.after_a.hlo.pb")


def test_snapshots_equal_to_the_one_before_are_left_out() -> None:
    texts = dict(
        zip(
            names(
                "before_optimizations.txt", "0000.first.after_pipeline-start.before_dce.txt",
                "0001.first.after_dce.before_pipeline-end.txt",
                "0002.second.pass.after_pipeline-start.before_fusion.txt", "0003.copy-insertion.after_adding_copies.txt",
                "cpu_after_optimizations.txt",
            ),
            "aabbcc",
            strict=True,
        )
    )  # fmt: skip
    (module,) = dumped(texts)
    shots = changed(module, ".*", lambda a, b: texts[a] == texts[b])
    assert [(shot.order, shot.pipeline, shot.pass_name) for shot in shots] == [
        ("0001", "first", "dce"),
        ("0003", "copy-insertion", "adding_copies"),
    ]


# --- reading --------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two modules of one name, with a pass between and a report."""
    for number, other in ((7, "cpu"), (12, "cpu")):
        for tail, text in (
            ("before_optimizations", MODULE),
            ("0000.first.after_pipeline-start.before_algsimp", MODULE),
            ("0001.first.after_algsimp.before_dce", PASSED),
            (f"{other}_after_optimizations", OPTIMIZED),
        ):
            (tmp_path / f"module_{number:04d}.jit_f.{tail}.txt").write_text(text)
    (tmp_path / "module_0007.jit_f.cpu_after_optimizations-buffer-assignment.txt").write_text(
        "BufferAssignment:\nallocation 0: size 64, parameter 0, shape |f32[4,4]| at ShapeIndex {}:\n value: <1 p @0> (size=64,offset=0)\n"
        "allocation 1: size 4, output shape is |f32[]|, maybe-live-out:\nallocation 2: size 8, constant:\n"
        "allocation 3: size 100, preallocated-temp:\nallocation 4: size 3, page 0, thread-local:\n"
        "allocation 5: size 7, color 1, page 0, preallocated-temp:\n"
    )
    (tmp_path / "module_0007.jit_f.cpu_after_optimizations-live-range.txt").write_text(
        "HloLiveRange (max 3):\n  Live ranges at 2 (peak):\n"
        "    a{}: 64 bytes (cumulative: 64 bytes)\n    b{}: 4 bytes (cumulative: 68 bytes)\n"
        "  Stack trace breakdown\n    x (cumulative: 999 bytes)\n"
    )
    (tmp_path / "module_0007.jit_f.k.o").write_bytes(bytes(50))
    return tmp_path


def test_several_modules_are_listed_and_selected_by_name_or_xlas_number(folder: Path) -> None:
    with pytest.raises(SelectError, match="2 modules") as caught:
        dispatch.load(folder)
    assert caught.value.names == ("module_0007.jit_f", "module_0012.jit_f")
    for select in ("module_0012.jit_f", "module_0012", "12", "0012"):
        program = dispatch.load(folder, select=select)
        assert program.source.path == str(folder / "module_0012.jit_f.before_optimizations.txt")
    for select in ("13", "1", "jit_g", "jit_f", "../x"):
        with pytest.raises(SelectError):
            dispatch.load(folder, select=select)


def test_the_program_is_the_input_and_a_stage_is_selected_behind_a_slash(folder: Path) -> None:
    def op(select: str) -> str:
        return dispatch.load(folder, select=select).main.node("n").op

    assert op("7") == op("7/input") == op("7/before_optimizations") == "hlo.negate"
    assert op("7/optimized") == op("7/after_optimizations") == "hlo.sine"
    assert op("7/0001") == op("7/algsimp") == op("7/0001.first.algsimp") == "hlo.cosine"
    with pytest.raises(SelectError, match="no stage 'dce'") as caught:
        op("7/dce")
    assert "module_0007.jit_f/0001.first.algsimp" in caught.value.names


def test_a_compile_is_its_stages_figures_and_files(folder: Path) -> None:
    compiled = dispatch.load_compiled(folder, select="7")
    assert compiled is not None
    assert [(stage.name, stage.pass_name) for stage in compiled.stages] == [
        ("input", ""), ("0001.first.algsimp", "algsimp"), ("optimized", "XLA"),
    ]  # fmt: skip
    assert [stage.load().main.node("n").op for stage in compiled.stages] == ["hlo.negate", "hlo.cosine", "hlo.sine"]
    assert compiled.stages[0].load() is compiled.stages[0].load()
    figures = {name: metric.value for name, metric in compiled.metrics.items() if isinstance(metric, Measured)}
    assert figures == {"argument_bytes": 64, "output_bytes": 4, "temp_bytes": 100, "peak_bytes": 68, "code_bytes": 50}
    assert isinstance(compiled.metrics["flops"], Absent)
    assert (compiled.compiler, compiled.target) == ("xla", "cpu")
    reports = ("cpu_after_optimizations-buffer-assignment.txt", "cpu_after_optimizations-live-range.txt", "k.o")
    assert set(compiled.artifacts) == set(names(*reports))
    bare = dispatch.load_compiled(folder, select="12")
    assert bare is not None
    assert {name for name, metric in bare.metrics.items() if isinstance(metric, Measured)} == set()


def test_a_stage_is_read_when_it_is_asked_for(folder: Path) -> None:
    (folder / "module_0007.jit_f.0001.first.after_algsimp.before_dce.txt").write_text("HloModule broken\n")
    compiled = dispatch.load_compiled(folder, select="7")
    assert compiled is not None
    assert compiled.stages[2].load().count() == 2
    with pytest.raises(FormatError):
        compiled.stages[1].load()


def test_passes_are_only_those_that_the_dump_was_asked_for(folder: Path) -> None:
    (folder / "module_0007.jit_f.debug_options").write_text('xla_dump_to: "x"\nxla_dump_hlo_pass_re: "dce|fusion"\n')
    compiled = dispatch.load_compiled(folder, select="7")
    assert compiled is not None
    assert (compiled.stages[1].name, compiled.stages[1].pass_name) == ("0001.first.before_dce", "")


def test_links_that_lead_out_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text(MODULE)
    dump = tmp_path / "dump"
    dump.mkdir()
    (dump / "module_0001.f.before_optimizations.txt").symlink_to(secret)
    (dump / "module_0001.f.report.txt").symlink_to(secret)
    with pytest.raises(FormatError, match="no such file within that directory"):
        dispatch.load(dump)
    compiled = dispatch.load_compiled(dump)
    assert compiled is not None
    assert compiled.artifacts == {}


def test_compressed_modules_are_unpacked_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "module_0001.f.before_optimizations.txt.gz"
    path.write_bytes(gzip.compress(MODULE.encode()))
    assert dispatch.load(tmp_path).count() == 2
    whole = path.read_bytes()
    for data, message in ((whole[:-12], "ends early"), (b"\x1f\x8bjunk", "damaged"), (gzip.compress(b"\0" * 5000), "unpacks to more")):
        path.write_bytes(data)
        monkeypatch.setattr(dump_directory, "_UNPACKED", 4000)
        with pytest.raises(FormatError, match=message):
            dispatch.load(tmp_path)


def test_a_file_that_is_no_module_whatever_its_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "module_0001.f.before_optimizations.txt").write_text("hello\n")
    with pytest.raises(FormatError, match="holds no HLO module"):
        dispatch.load(tmp_path)


def test_other_directories_are_not_dumps(tmp_path: Path) -> None:
    (tmp_path / "module_0001.f.thunk_sequence.txt").write_text("x")
    (tmp_path / "saved_model.pb").write_bytes(b"x")
    assert not dump_directory.matches(File.open(tmp_path))


# --- what XLA dumps -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dumps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One compile of two modules dumped three ways: text and passes, messages, compressed messages."""
    jax = pytest.importorskip("jax")
    jnp = jax.numpy

    def loops(x: Any, w: Any) -> Any:
        return jax.lax.fori_loop(0, 5, lambda i, c: jnp.tanh(c @ w) + i, x).sum()

    x = jnp.ones((4, 4))
    ways: dict[str, dict[str, Any]] = {
        "text": {"xla_dump_hlo_pass_re": ".*"},
        "proto": {"xla_dump_hlo_as_proto": True, "xla_dump_hlo_as_text": True},
        "gz": {"xla_dump_hlo_as_proto": True, "xla_dump_compress_protos": True},
    }
    made = {}
    for way, options in ways.items():
        made[way] = tmp_path_factory.mktemp(way)
        for lowered in (jax.jit(loops).lower(x, x), jax.jit(jnp.sort).lower(x)):
            lowered.compile(compiler_options={"xla_dump_to": str(made[way]), **options})
    return made


def compiled(folder: Path, select: str) -> Compiled:
    found = dispatch.load_compiled(folder, select=select)
    assert found is not None
    return found


@pytest.mark.jax
def test_xlas_dumps_are_stages_in_order_each_sound(dumps: dict[str, Path]) -> None:
    made = compiled(dumps["text"], "jit_loops")
    assert [made.stages[0].name, made.stages[-1].name] == ["input", "optimized"]
    passes = [stage.pass_name for stage in made.stages]
    assert passes.index("algsimp") < passes.index("fusion")
    for stage in made.stages:
        assert verify(stage.load()) == (), stage.name
    assert made.stages[-1].load().meta["is_scheduled"] is True


@pytest.mark.jax
def test_xlas_figures_are_those_of_its_memory_analysis(dumps: dict[str, Path]) -> None:
    figures = {name: metric.value for name, metric in compiled(dumps["text"], "jit_loops").metrics.items() if isinstance(metric, Measured)}
    assert (figures["argument_bytes"], figures["output_bytes"]) == (128, 4)
    report = next(dumps["text"].glob("*jit_loops*memory-usage-report.txt")).read_text()
    total = re.search(r"Total bytes: (\d+)", report)
    assert total is not None
    assert figures["temp_bytes"] <= figures["peak_bytes"] <= int(total[1])


@pytest.mark.jax
def test_a_dump_of_messages_says_the_same_as_one_of_text(dumps: dict[str, Path]) -> None:
    import graphlab

    text, message, packed = (compiled(dumps[way], "jit_loops") for way in ("text", "proto", "gz"))
    for stage in (0, -1):
        assert message.stages[stage].load().source.format == "hlo proto"
        assert not graphlab.diff(text.stages[stage].load(), message.stages[stage].load()).changes
        assert not graphlab.diff(packed.stages[stage].load(), message.stages[stage].load()).changes
    for name in ("argument_bytes", "output_bytes", "temp_bytes"):
        sizes = {metric.value for metric in (made.metrics[name] for made in (text, message, packed)) if isinstance(metric, Measured)}
        assert len(sizes) == 1, name
