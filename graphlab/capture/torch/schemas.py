"""What torch says of its operators and functions, from the table beside this module.

``schemas.txt``, which ``schema_facts`` writes from torch itself, has a line a schema, and an operator's overloads in
the order in which torch tries them; then a line a function in Python.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from graphlab.capture.torch.script_types import Type, list_of, optional, plain, tuple_of

_TABLE = Path(__file__).with_name("schemas.txt")
RANDOM = " ~"
"""Stands after the schema of an operator that draws random numbers."""
FUNCTIONS = "# functions in Python"
"""The line before them."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a schema. ``size`` is the N of ``int[N]``; ``default`` is the text after ``=``."""

    name: str
    type: Type
    kwarg_only: bool = False
    size: int | None = None
    default: str | None = None
    written: bool = False


@dataclass(frozen=True, slots=True)
class Schema:
    """An operator's overload. ``mutable`` says that it writes to an argument, ``random`` that it draws random numbers."""

    name: str
    overload: str
    arguments: tuple[Argument, ...]
    returns: tuple[Type, ...]
    vararg: bool = False
    varret: bool = False
    mutable: bool = False
    fields: tuple[str, ...] = ()
    random: bool = False

    def index(self, argument: str) -> int | None:
        return next((i for i, a in enumerate(self.arguments) if a.name == argument), None)


@dataclass(frozen=True, slots=True)
class Function:
    """A function in Python: its positional arguments, and the text of the defaults that its effects depend on."""

    arguments: tuple[str, ...]
    defaults: Mapping[str, str]


@cache
def _tables() -> tuple[dict[str, list[str]], dict[str, str]]:
    """Lines of the schemas, by operator without overload; and lines of the functions, by name."""
    schemas, _, functions = _TABLE.read_text(encoding="utf-8").partition(f"\n{FUNCTIONS}\n")
    found: dict[str, list[str]] = {}
    for line in schemas.splitlines()[1:]:
        head, _, _ = line.partition("(")
        name, _, _ = head.partition(".")
        found.setdefault(name, []).append(line)
    return found, {line.partition(" ")[0]: line for line in functions.splitlines()}


@cache
def schemas(name: str) -> tuple[Schema, ...]:
    """All overloads of ``aten::add``, in the order in which torch tries them; empty for an operator torch does not have."""
    return tuple(parse(line) for line in _tables()[0].get(name, ()))


def overload(op: str) -> Schema | None:
    """The schema of ``aten.add.Tensor``, ``aten.relu.default``; ``None`` for an overload torch does not have."""
    dialect, _, rest = op.partition(".")
    name, _, overload = rest.partition(".")
    head = f"{dialect}::{name}(" if overload == "default" else f"{dialect}::{name}.{overload}("
    line = next((line for line in _tables()[0].get(f"{dialect}::{name}", ()) if line.startswith(head)), None)
    return None if line is None else parse(line)


def function(name: str) -> Function | None:
    """What is known of ``torch.nn.functional.dropout``; ``None`` for a function that is not in the table."""
    line = _tables()[1].get(name)
    if line is None:
        return None
    pairs = [argument.partition("=") for argument in line.split(" ")[1:]]
    return Function(tuple(name for name, _, _ in pairs), {name: default for name, _, default in pairs if default})


_HEAD = re.compile(r"(?P<name>[\w:]+)(?:\.(?P<overload>\w+))?\(")
_NAME = re.compile(r"[\w.]+")
_ALIAS = re.compile(r"\((?P<inner>[^()]*)\)")


def parse(text: str) -> Schema:
    """Read one schema. The table is graphlab's own: a schema that does not parse is a defect."""
    head = _HEAD.match(text)
    assert head is not None, text
    cursor = _Cursor(text, head.end())
    arguments: list[Argument] = []
    vararg = kwarg_only = False
    while not cursor.take(")"):
        if cursor.take("..."):
            vararg = True
        elif cursor.take("*"):
            kwarg_only = True
        else:
            arguments.append(cursor.argument(kwarg_only))
        cursor.take(",")
    cursor.take("->")
    returns: list[Type] = []
    fields: list[str] = []
    varret = False
    if cursor.take("..."):
        varret = True
    elif cursor.take("("):
        while not cursor.take(")"):
            if cursor.take("..."):
                varret = True
            else:
                returns.append(cursor.type()[0])
                fields.append(cursor.word())
            cursor.take(",")
    else:
        returns.append(cursor.type()[0])
    named = tuple(fields) if fields and all(fields) else ()
    mutable = any(a.written for a in arguments)
    random = text.endswith(RANDOM)
    return Schema(head["name"], head["overload"] or "", tuple(arguments), tuple(returns), vararg, varret, mutable, named, random)


class _Cursor:
    def __init__(self, text: str, at: int) -> None:
        self.text = text
        self.at = at

    def take(self, wanted: str) -> bool:
        while self.text.startswith(" ", self.at):
            self.at += 1
        if self.text.startswith(wanted, self.at):
            self.at += len(wanted)
            return True
        return False

    def word(self) -> str:
        self.take("")
        found = _NAME.match(self.text, self.at)
        if found is None:
            return ""
        self.at = found.end()
        return found[0]

    def argument(self, kwarg_only: bool) -> Argument:
        type, size, written = self.type()
        name = self.word()
        default = None
        if self.take("="):
            start, depth, quoted = self.at, 0, ""
            while quoted or depth or self.text[self.at] not in ",)":
                char = self.text[self.at]
                if quoted:
                    quoted = "" if char == quoted else quoted
                elif char in "'\"":
                    quoted = char
                else:
                    depth += (char in "[(") - (char in "])")
                self.at += 1
            default = self.text[start : self.at]
        return Argument(name, type, kwarg_only, size, default, written)

    def type(self) -> tuple[Type, int | None, bool]:
        """A type with what follows it: aliases, ``[]``, ``[2]``, ``?``."""
        size: int | None = None
        written = False
        if self.take("("):
            parts: list[Type] = []
            while not self.take(")"):
                parts.append(self.type()[0])
                self.take(",")
            made = tuple_of(tuple(parts))
        else:
            name = self.word()
            if name in ("Dict", "Future", "RRef", "Await", "Union") and self.take("("):
                parts = []
                while not self.take(")"):
                    parts.append(self.type()[0])
                    self.take(",")
                made = Type(name, tuple(parts))
            else:
                made = plain(name) or (Type("class", name=name) if "." in name else Type("var", name=name))
        while True:
            if self.text.startswith("(", self.at):
                alias = _ALIAS.match(self.text, self.at)
                assert alias is not None, self.text
                written = written or "!" in alias["inner"]
                self.at = alias.end()
            elif self.text.startswith("[", self.at):
                end = self.text.index("]", self.at)
                number = self.text[self.at + 1 : end]
                size = int(number) if number else None
                made = list_of(made)
                self.at = end + 1
            elif self.text.startswith("?", self.at):
                made = optional(made)
                self.at += 1
            else:
                return made, size, written


_ENUMERATORS: dict[str, Any] = {"None": None, "True": True, "False": False, "inf": float("inf"), "Mean": 1}


@cache
def default_value(text: str) -> Any:
    """A default as a Python value (``[0, 1]``, ``None``, ``-1``, ``"none"``)."""
    if text in _ENUMERATORS:
        return _ENUMERATORS[text]
    if text.startswith('"'):
        return text[1:-1]
    return tuple(found) if isinstance(found := ast.literal_eval(text), list) else found
