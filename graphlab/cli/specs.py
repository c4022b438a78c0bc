"""Turns a word of the command line into what it names: a graph file, or a model in a Python file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from graphlab.capture.dispatch import capture_live, load
from graphlab.capture.inputs import parse_inputs
from graphlab.capture.python_file import Found, find
from graphlab.errors import GraphlabError
from graphlab.ir.program import Program


def python_file(spec: str) -> tuple[Path, str | None] | None:
    """``model.py`` or ``model.py:net`` as (path, name or None); ``None`` where the word names no Python file."""
    if spec.endswith(".py"):
        return Path(spec), None
    path, colon, name = spec.rpartition(":")
    return (Path(path), name) if colon and path.endswith(".py") else None


def graph_file(spec: str) -> tuple[Path, str | None]:
    """``path`` or ``path@name``, which selects one of the programs that the file or directory holds.

    A path that exists as it is written is taken so; else the first ``@`` behind an existing path parts it from the name.
    Raises GraphlabError where the word is empty.
    """
    if not spec:
        raise GraphlabError("read a file", found="its name is empty", do="name a graph file, or a Python file with models")
    path = Path(spec)
    if path.exists():
        return path, None
    for at in (i for i, c in enumerate(spec) if c == "@" and i):
        if Path(spec[:at]).exists():
            return Path(spec[:at]), spec[at + 1 :]
    return path, None


def find_models(spec: str, inputs: Sequence[str] = ()) -> tuple[Found, ...]:
    """The models that a word naming a Python file stands for; ``inputs`` of the command line replace the file's own.

    Raises:
        GraphlabError: the file does not run or holds no model.
    """
    split = python_file(spec)
    assert split is not None
    if split[1] == "":
        raise GraphlabError(
            f"find a model in {spec}",
            found="the name after the colon is missing",
            do=f"name the model, {split[0]}:NAME, or leave the colon away",
        )
    given = parse_inputs(inputs)
    found = find(*split)
    return found if given is None else tuple(Found(f.name, f.model, given) for f in found)


def model_name(spec: str, found: Found) -> str:
    """``model.py:net`` for a model found by ``model.py`` or ``model.py:net``."""
    split = python_file(spec)
    assert split is not None
    return f"{split[0]}:{found.name}"


def open_target(spec: str, inputs: Sequence[str] = (), *, method: str | None = None, trust: bool = False) -> tuple[str, Program]:
    """One program from a word of the command line, and its name: the file, with the model's where it is a Python file.

    Args:
        spec: a graph file of any readable format, ``file@name``, ``model.py`` or ``model.py:name``.
        inputs: ``--input`` texts, for a Python file.
        method: method of capture, for a Python file.
        trust: let the framework read a file, see :func:`graphlab.load`.

    Raises:
        GraphlabError: it cannot be had; or a Python file holds several models and none is named.
    """
    if python_file(spec) is None:
        if inputs:
            raise GraphlabError(f"use --input with {spec}", found="a graph file has its own inputs", do="leave --input away")
        path, select = graph_file(spec)
        return spec, load(path, select=select, trust=trust)
    found = find_models(spec, inputs)
    names = [model_name(spec, f) for f in found]
    if len(found) > 1:
        raise GraphlabError(f"choose the model in {spec}", found=f"it holds {len(found)}", do=f"name one: {', '.join(names)}")
    return names[0], capture_live(found[0].model, found[0].inputs, method=method)
