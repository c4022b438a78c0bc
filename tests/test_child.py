"""Child processes: what comes back, and what becomes of crashes and limits."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graphlab import child
from graphlab.errors import CompileError

Ask = Callable[..., child.Outcome]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    folder = tmp_path / "job"
    folder.mkdir()

    def ask(do: str, /, request: dict[str, Any] | None = None, **options: Any) -> child.Outcome:
        return child.run(
            "child_workers",
            {"do": do, **(request or {})},
            folder=folder,
            asked="compile f with a test",
            paths=(Path(__file__).parent,),
            **options,
        )

    return ask


def gone(pid: int) -> bool:
    """Whether a process has ended (a zombie waiting for its parent has)."""
    for _ in range(100):
        stat = Path(f"/proc/{pid}/stat")
        try:
            if stat.read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False


def test_the_answer_comes_back_and_the_screen_stays_clean(ask: Ask, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    outcome = ask("answer", {"numbers": [1, 2, 3]})
    assert outcome.result["sum"] == 6
    assert outcome.result["cwd"] == str(tmp_path / "job")
    assert "said on stdout" in outcome.log
    assert "said on stderr" in outcome.log
    assert outcome.seconds > 0
    assert capfd.readouterr() == ("", "")


def test_a_worker_imports_neither_networkx_nor_numpy(ask: Ask) -> None:
    modules = ask("answer", {"numbers": []}).result["modules"]
    assert "graphlab.child" in modules
    assert not {"networkx", "numpy", "torch", "jax", "tensorflow"} & set(modules)


def test_variables_reach_the_worker(ask: Ask) -> None:
    assert ask("environment", {"name": "GRAPHLAB_TEST"}, env={"GRAPHLAB_TEST": "7"}).result["value"] == "7"


def test_a_refusal_is_the_compilers_own_words(ask: Ask) -> None:
    with pytest.raises(CompileError, match="frobnicate") as info:
        ask("refuse")
    assert info.value.reason == "refused"
    assert info.value.asked == "compile f with a test"


def test_a_failure_of_the_worker_is_told_from_a_refusal(ask: Ask) -> None:
    with pytest.raises(CompileError, match="ValueError: a bug of ours") as info:
        ask("raise")
    assert info.value.reason == "failed"
    assert "Traceback" in info.value.log


def test_a_crash_names_the_signal_the_step_and_the_last_lines(ask: Ask) -> None:
    with pytest.raises(CompileError) as info:
        ask("abort", progress=lambda: "after pass 'fusion'")
    assert info.value.reason == "crashed"
    assert info.value.step == "abort"
    for part in ("SIGABRT", "step 'abort'", "after pass 'fusion'", "Check failed: rank == 2"):
        assert part in str(info.value)


def test_an_end_without_an_answer_is_a_crash(ask: Ask) -> None:
    with pytest.raises(CompileError, match="status 3"):
        ask("exit")


def test_the_time_limit_ends_it(ask: Ask) -> None:
    start = time.perf_counter()
    with pytest.raises(CompileError, match=r"longer than 0\.5 s") as info:
        ask("sleep", time_limit=0.5)
    assert info.value.reason == "timeout"
    assert time.perf_counter() - start < 10


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="memory is watched through /proc")
@pytest.mark.parametrize("do", ["eat", "eat in a grandchild"])
def test_the_memory_limit_ends_it(ask: Ask, do: str) -> None:
    with pytest.raises(CompileError, match="more than 300 MiB") as info:
        ask(do, memory_limit=300 * 2**20, time_limit=30)
    assert info.value.reason == "memory"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_nothing_it_started_outlives_it(ask: Ask) -> None:
    assert gone(ask("leave a grandchild").result["pid"])


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_it_ends_when_the_parent_is_killed(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent(f"""
                from pathlib import Path
                from graphlab import child
                child.run("child_workers", {{"do": "sleep"}}, folder=Path({str(tmp_path / "job")!r}), asked="sleep",
                          paths=[Path({str(Path(__file__).parent)!r})])
            """),
        ]
    )
    step = tmp_path / "job" / "step.txt"
    while not step.exists():
        assert parent.poll() is None
        time.sleep(0.05)
    children = [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and _parent_of(p) == parent.pid]
    assert len(children) == 1
    parent.kill()
    parent.wait()
    assert gone(children[0])


def _parent_of(process: Path) -> int | None:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:  # it ended meanwhile
        return None


@pytest.mark.parametrize("name", ["types", "json", "networkx"])
def test_files_of_the_users_folder_shadow_nothing(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / f"{name}.py").write_text("raise RuntimeError('shadowed')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert str(tmp_path) not in ask("import", {"name": name}).result["file"]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="memory is watched through /proc")
def test_what_it_used_is_reported(ask: Ask) -> None:
    assert ask("hold", {"bytes": 200 * 2**20}).peak_bytes > 200 * 2**20
