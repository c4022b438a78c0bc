"""The command line's frame: help, errors, exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from graphlab.cli.main import COMMANDS, main
from graphlab.findings import RULES

HLO = """HloModule m

ENTRY main {
  x = f32[4] parameter(0)
  ROOT y = f32[4] add(x, x)
}
"""


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "graphlab", *words], capture_output=True, text=True, check=False)


def test_help_lists_every_command() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert all(command in done.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    done = run(command, "--help")
    assert done.returncode == 0, done.stderr
    assert "usage: graphlab " + command in done.stdout


def test_help_imports_no_framework_and_no_heavy_library() -> None:
    code = (
        "import sys\nfrom graphlab.cli.main import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'tensorflow', 'jax', 'networkx', 'numpy', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def test_an_unknown_command_is_exit_2() -> None:
    assert run("frobnicate").returncode == 2


def test_a_missing_file_is_one_message_and_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "no_such_file.hlo"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("graphlab: could not read no_such_file.hlo")
    assert "Traceback" not in captured.err


def test_debug_shows_the_traceback() -> None:
    done = run("inspect", "no_such_file.hlo", "--debug")
    assert done.returncode != 0
    assert "Traceback" in done.stderr


def test_a_file_of_no_known_format_says_what_it_looks_like(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Dear diary\n")
    assert main(["inspect", str(path)]) == 2
    assert "Dear diary" in capsys.readouterr().err


@pytest.mark.parametrize("closed", ["at once", "after a line"])
@pytest.mark.parametrize(
    "command", [["explain"], ["explain", *RULES], ["--help"], ["inspect", "module.hlo"], ["diff", "module.hlo", "other.hlo"]]
)
def test_a_reader_that_goes_away_is_no_finding_and_no_error(tmp_path: Path, command: list[str], closed: str) -> None:
    (tmp_path / "module.hlo").write_text(HLO)
    (tmp_path / "other.hlo").write_text(HLO.replace("add", "subtract"))
    run = [sys.executable, "-m", "graphlab", *command]
    process = subprocess.Popen(
        run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env={**os.environ, "PYTHONUNBUFFERED": ""}
    )
    assert process.stdout is not None
    assert process.stderr is not None
    if closed == "after a line":
        process.stdout.readline()
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    # Read to its end before the pipe was closed, a diff says as ever that it found something.
    assert (process.wait(), error) in ([(0, b"")] if closed == "at once" else [(0, b""), (1, b"")] if command[0] == "diff" else [(0, b"")])


@pytest.mark.parametrize("command", [["inspect", "module.hlo"], ["diff", "module.hlo", "module.hlo"]])
def test_a_drawing_under_another_formats_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("module.hlo").write_text(HLO)
    assert main([*command, "--svg", "a.png"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "name it a.svg" in captured.err
    assert not Path("a.png").exists()


def test_a_colon_without_a_name_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model.py").write_text("")
    assert main(["inspect", f"{tmp_path}/model.py:"]) == 2
    assert "the name after the colon is missing" in capsys.readouterr().err


@pytest.mark.parametrize(("package", "extra"), [("torch", "torch"), ("tensorflow", "tensorflow"), ("keras", "tensorflow"), ("jax", "jax")])
def test_a_missing_framework_names_the_extra_that_brings_it(tmp_path: Path, package: str, extra: str) -> None:
    path = tmp_path / "model.py"
    path.write_text(f"import {package}\n")
    hide = f"import sys\nsys.modules[{package!r}] = None\nfrom graphlab.cli.main import main\nsys.exit(main(['inspect', {str(path)!r}]))"
    done = subprocess.run([sys.executable, "-c", hide], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"graphlab[{extra}]" in done.stderr
    assert "model.py:1" in done.stderr
    assert "Traceback" not in done.stderr
