"""What ``import graphlab`` gives, and what it costs."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import graphlab

ROOT = Path(__file__).parent.parent
NAMES = [name for name in graphlab.__all__ if name != "__version__"]


def loaded(code: str) -> set[str]:
    """Top-level modules in sys.modules after running code in a fresh interpreter."""
    tell = "import sys; print(' '.join(sorted({name.partition('.')[0] for name in sys.modules})))"
    return set(
        subprocess.run([sys.executable, "-c", f"{code}\n{tell}"], capture_output=True, text=True, check=True, cwd=ROOT).stdout.split()
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_can_be_had_and_is_documented(name: str) -> None:
    value = getattr(graphlab, name)
    assert inspect.getdoc(value)
    assert f"graphlab.{name}" in (ROOT / "docs" / "api.md").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_has_one_home(name: str) -> None:
    value = getattr(graphlab, name)
    assert value.__module__.startswith("graphlab.")
    assert getattr(import_module(value.__module__), name) is value


def test_type_checkers_see_the_names_that_are_there() -> None:
    tree = ast.parse((ROOT / "graphlab" / "__init__.py").read_text())
    seen = {alias.asname for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names if alias.asname}
    assert seen == set(NAMES)
    assert sorted(graphlab.__all__) == dir(graphlab)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'horoscope'"):
        _ = graphlab.horoscope


def test_import_graphlab_loads_nothing_heavy() -> None:
    assert not loaded("import graphlab") & {
        "torch",
        "tensorflow",
        "jax",
        "jaxlib",
        "networkx",
        "numpy",
        "rich",
        "typing",
        "dataclasses",
        "graphviz",
    }


def test_the_help_of_the_command_loads_nothing_heavy() -> None:
    code = "import sys, contextlib; from graphlab.cli.main import main; sys.argv = ['graphlab', '--help']"
    code += "\nwith contextlib.suppress(SystemExit): main()"
    assert not loaded(code) & {"torch", "tensorflow", "jax", "jaxlib", "networkx", "numpy", "rich"}


def test_registry_and_adapters_load_no_framework() -> None:
    code = "from graphlab.capture.dispatch import adapter_for; from graphlab import registry\nassert adapter_for(object()) is None"
    assert not loaded(code) & {"torch", "tensorflow", "jax", "jaxlib"}
