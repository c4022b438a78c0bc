"""Finds what can be captured in a user's Python file: ``model.py`` or ``model.py:name``.

The file is run, as ``import`` would run it, with fixed seeds: it is the user's own code. (Graph *files* are never run.)
"""

from __future__ import annotations

import contextlib
import difflib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from graphlab.capture.dispatch import adapter_for
from graphlab.capture.inputs import Inputs, as_inputs
from graphlab.capture.seeds import fixed_seeds
from graphlab.errors import CaptureError, GraphlabError
from graphlab.ir.frames import Frame


@dataclass(frozen=True, slots=True)
class Found:
    """A capturable object of a Python file. ``inputs`` is what the file itself offers for it, if anything."""

    name: str
    model: Any
    inputs: Inputs | None


def find(path: Path, name: str | None = None) -> tuple[Found, ...]:
    """Run a Python file and list what can be captured in it, in the order of definition.

    Looked at are the module-level names that the file itself makes: model instances and framework
    functions; where there are none, what is usually a part of one (a Keras layer, a flax module);
    else model classes that need no arguments. Inputs come
    from ``<name>_inputs``, else ``example_inputs``: a value, a tuple, a dict, or a function
    returning one.

    Args:
        path: the file.
        name: only this one; a dotted path reaches into objects (``net.encoder``).

    Raises:
        GraphlabError: the file does not run, has no such name, or nothing that can be captured.
    """
    module = _run(path)
    if name is not None:
        return (_named(module, path, name),)
    own = {key: value for key, value in vars(module).items() if not key.startswith("_") and _made_here(value, module)}
    instances: dict[str, Any] = {}
    parts: dict[str, Any] = {}
    for key, value in own.items():
        adapter = None if isinstance(value, type) else adapter_for(value)
        if adapter is None or any(value is other for other in (*instances.values(), *parts.values())):
            continue  # one object under two names counts under its first
        (parts if adapter.is_part(value) else instances)[key] = value
    found = tuple(Found(key, value, _inputs(module, path, key)) for key, value in (instances or parts).items())
    if found:
        return found
    classes = {key: value for key, value in own.items() if isinstance(value, type) and _is_model_class(value)}
    found = tuple(
        Found(key, _call(value, path, f"make an instance of {key}"), _inputs(module, path, key))
        for key, value in classes.items()
        if _needs_no_arguments(value)
    )
    if found:
        return found
    needy = [key for key in classes if key not in {f.name for f in found}]
    raise GraphlabError(
        f"find a model in {path}",
        found=f"the classes {', '.join(needy)} need arguments and there is no instance" if needy else "no module-level name holds one",
        do=f"add a line such as 'model = {needy[0] if needy else 'MyModel'}(...)' to the file: a torch.nn.Module, "
        "tf.function, Keras model or jitted JAX function",
    )


def _run(path: Path) -> ModuleType:
    if not path.is_file():
        raise GraphlabError(f"read {path}", found="there is no such file", do="check the path")
    _forget_siblings()
    name = path.stem
    while name in sys.modules:  # a model file may well be called jax.py, or model.py like the one before
        name += "_"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise GraphlabError(f"run {path}", found="it is no Python file", do="give a file whose name ends in .py")
    module = importlib.util.module_from_spec(spec)
    folder = str(path.parent.resolve())
    before = set(sys.modules)
    sys.path.insert(0, folder)  # as `python model.py` has it
    sys.modules[name] = module  # dataclasses, TorchScript and type hints look a class's module up there
    try:
        with fixed_seeds(), _user_code(path, f"run {path}"):
            spec.loader.exec_module(module)
    finally:
        sys.path.remove(folder)
        for other in sys.modules.keys() - before:
            file = getattr(sys.modules[other], "__file__", None) or ""
            if file.startswith(folder + os.sep) and "site-packages" not in file:
                _siblings.append(other)
    return module


# Modules that the last model file brought along from its own folder. ``diff old/model.py new/model.py``
# must not give the second file the first one's ``layers.py``.
_siblings: list[str] = []


def _forget_siblings() -> None:
    for name in _siblings:
        sys.modules.pop(name, None)
    _siblings.clear()


# framework -> the extra of ours that brings it, in a version that was tested
_EXTRAS = {"torch": "torch", "tensorflow": "tensorflow", "keras": "tensorflow", "jax": "jax", "jaxlib": "jax"}


@contextlib.contextmanager
def _user_code(path: Path, asked: str) -> Iterator[None]:
    """What the user's own code raises becomes an error of ours with their line; what it prints goes to stderr."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except SyntaxError as error:
        where = Frame(_shown(error.filename or str(path)), error.lineno or 0)
        raise CaptureError(asked, found=f"syntax error: {error.msg}", do="mend that line", frame=where) from error
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        wanted = f"'graphlab[{_EXTRAS[package]}]'" if package in _EXTRAS else package
        raise CaptureError(
            asked,
            found=f"it imports '{error.name}', which is not installed here",
            do=f"install it in this environment: {sys.executable} -m pip install {wanted}",
            frame=_user_frame(error, path),
        ) from error
    except (Exception, SystemExit) as error:  # user code may raise anything; it is reported with its line
        text = str(error).strip().splitlines()
        raise CaptureError(
            asked,
            found=f"it raises {type(error).__name__}{': ' + text[0] if text else ''}",
            do="mend that, or see the whole traceback with --debug",
            frame=_user_frame(error, path),
        ) from error


def _user_frame(error: BaseException, path: Path) -> Frame | None:
    file = str(path.resolve())
    for entry in reversed(traceback.extract_tb(error.__traceback__)):
        if os.path.realpath(entry.filename) == file:
            return Frame(_shown(entry.filename), entry.lineno or 0, 0, entry.name)
    return None


def _shown(file: str) -> str:
    relative = os.path.relpath(file)
    return file if relative.startswith("..") else relative


def _named(module: ModuleType, path: Path, name: str) -> Found:
    value: Any = module
    for part in name.split("."):
        if not hasattr(value, part):
            raise _no_such_name(module, path, name, part)
        value = getattr(value, part)
    if isinstance(value, type):
        if not _needs_no_arguments(value):
            raise GraphlabError(
                f"make an instance of {name}",
                found="it needs arguments",
                do=f"add a line such as 'model = {name}(...)' to {path} and name that",
            )
        value = _call(value, path, f"make an instance of {name}")
    return Found(name, value, _inputs(module, path, name.rsplit(".", maxsplit=1)[-1]))


def _no_such_name(module: ModuleType, path: Path, name: str, part: str) -> GraphlabError:
    offered = [
        key
        for key, value in vars(module).items()
        if not key.startswith("_")
        and _made_here(value, module)
        and (_is_model_class(value) if isinstance(value, type) else adapter_for(value) is not None)
    ]
    close = difflib.get_close_matches(part, offered, n=1) or [key for key in offered if key.lower() == part.lower()]
    return GraphlabError(
        f"find '{name}' in {path}",
        found=f"there is no '{part}'" + (f"; did you mean '{close[0]}'?" if close else ""),
        do=f"choose from what can be captured there: {', '.join(offered)}" if offered else "it defines nothing that can be captured",
    )


def _inputs(module: ModuleType, path: Path, name: str) -> Inputs | None:
    for key in (f"{name}_inputs", "example_inputs"):
        value = getattr(module, key, None)
        if value is not None:
            return as_inputs(_call(value, path, f"call {key}()") if inspect.isroutine(value) else value)
    return None


def _call(function: Any, path: Path, asked: str) -> Any:
    with _user_code(path, asked):
        return function()


def _made_here(value: object, module: ModuleType) -> bool:
    """Functions and classes know the module that made them; an imported one is not the file's own."""
    if isinstance(value, ModuleType):
        return False
    inner = getattr(value, "__wrapped__", None) or getattr(value, "python_function", None)
    if isinstance(value, (type, FunctionType)) or isinstance(inner, FunctionType):
        home = getattr(inner if isinstance(inner, FunctionType) else value, "__module__", None)
        return home == module.__name__
    return True


def _is_model_class(value: type) -> bool:
    # Asked of the class's own bases, so that no instance has to be made to find out.
    return any(
        (base.__module__ + ".").startswith(prefix) and base.__name__ in ("Module", "Model", "Layer")
        for base in value.__mro__[1:]
        for prefix in ("torch.nn.modules.module.", "keras.", "tf_keras.", "tensorflow.")
    )


def _needs_no_arguments(value: type) -> bool:
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):  # a class written in C
        return False
    return all(p.default is not p.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters)
