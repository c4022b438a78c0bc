"""The folders behind symlinks, and what a wheel and an sdist hold."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def run(*code: str, cwd: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": "" if path is None else str(path), "PYTHONSAFEPATH": "1"}
    return subprocess.run([sys.executable, "-c", "\n".join(code)], capture_output=True, text=True, cwd=cwd, env=env, check=False)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist, built from a clean copy of the working tree."""
    if find_spec("build") is None or find_spec("setuptools") is None:
        pytest.skip("needs build and setuptools")
    copy = tmp_path_factory.mktemp("source") / "graphlab"
    unwanted = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "out", "_build", "_generated")
    shutil.copytree(ROOT, copy, symlinks=True, ignore=unwanted)
    out = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "-o", str(out), str(copy)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.mark.parametrize("name", ["analyzers", "compilers"])
def test_the_folder_is_a_relative_symlink_within_the_package(name: str) -> None:
    link = ROOT / "graphlab" / name
    assert link.is_symlink()
    assert os.readlink(link) == f"../{name}"
    assert link.resolve() == ROOT / name


@pytest.mark.parametrize("name", ["analyzers", "compilers"])
def test_a_bare_import_from_the_root_is_refused(name: str) -> None:
    done = run(f"import {name}", cwd=ROOT, path=ROOT)
    assert f"ImportError: import it as graphlab.{name}" in done.stderr


def modules(folder: Path, package: str) -> set[str]:
    return {f"{package}/{path.relative_to(folder).as_posix()}" for path in folder.rglob("*.py")}


def test_the_wheel_holds_every_module_as_a_plain_file_and_no_test(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = {info.filename for info in wheel.infolist()}
        assert not any(info.external_attr >> 28 == 0o12 for info in wheel.infolist())  # symlinks
    wanted = modules(ROOT / "analyzers", "graphlab/analyzers") | modules(ROOT / "compilers", "graphlab/compilers")
    wanted |= modules(ROOT / "graphlab", "graphlab")
    assert wanted <= names
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"graphlab"}
    assert not any("test" in Path(name).parts[0:2] for name in names)


def test_the_wheel_holds_the_data_the_package_needs(built: Path) -> None:
    data = {
        path.relative_to(ROOT).as_posix()
        for folder in ("graphlab", "analyzers", "compilers")
        for pattern in ("*.md", "*.json", "py.typed")
        for path in (ROOT / folder).rglob(pattern)
    }
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        assert data <= set(wheel.namelist())
    assert {"graphlab/py.typed", "graphlab/ir/graphlab.schema.json", "graphlab/pages/GL001.md"} <= data


def test_the_sdist_holds_the_folders_as_plain_files(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        kinds = {member.name.partition("/")[2]: member.isfile() for member in sdist.getmembers()}
    assert kinds["graphlab/analyzers/__init__.py"]
    assert kinds["graphlab/compilers/__init__.py"]


def test_the_wheel_works_where_it_is_installed(built: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path / "site")
    code = (
        f"import sys, json; sys.path.insert(0, {str(tmp_path / 'site')!r})",
        "import graphlab, graphlab.analyzers, graphlab.compilers",
        "from importlib.resources import files",
        "schema = files('graphlab.ir').joinpath('graphlab.schema.json').is_file()",
        "print(json.dumps([graphlab.__file__, graphlab.analyzers.__file__, schema]))",
    )
    done = run(*code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    package, analyzers, schema = json.loads(done.stdout)
    assert Path(package).is_relative_to(tmp_path)
    assert Path(analyzers).is_relative_to(tmp_path)
    assert schema
