"""The code in a TorchScript archive: parsed as Python text, never run; classes and functions found by name."""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from graphlab.capture.torch.script_state import Ranges
from graphlab.capture.torch.script_types import ANY, Type, list_of, optional, plain, tuple_of
from graphlab.errors import FormatError


class CodeFile:
    """One file of code.

    Attributes:
        qualifier: the package it is (``__torch__.torch.nn``).
        member: its name in the archive.
        archive: what messages call the archive.
        ranges: gives the source ranges its bytes were made from.
    """

    __slots__ = ("_starts", "archive", "definitions", "member", "qualifier", "ranges", "text")

    def __init__(self, archive: str, qualifier: str, member: str, data: bytes, ranges: Callable[[], Ranges]) -> None:
        self.archive = archive
        self.qualifier = qualifier
        self.member = member
        self.ranges = ranges
        try:
            self.text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise FormatError(
                f"read '{member}' of {archive}", found="it is no UTF-8 text", do=_DO, where=f"{member}: offset {error.start}"
            ) from error
        self._starts = [0]
        for line in data.split(b"\n"):
            self._starts.append(self._starts[-1] + len(line) + 1)
        self.definitions = {each.name: each for each in self._parse().body if isinstance(each, (ast.FunctionDef, ast.ClassDef))}

    def offset(self, at: ast.expr | ast.stmt) -> int:
        """Byte offset of a node's first character."""
        return self._starts[at.lineno - 1] + at.col_offset

    def refuse(self, at: ast.AST | None, found: str) -> NoReturn:
        """Raise the FormatError that names the place."""
        line = getattr(at, "lineno", None)
        where = self.member if line is None else f"{self.member}:{line}:{getattr(at, 'col_offset', 0) + 1}"
        raise FormatError(f"read the code in {self.archive}", found=found, do=_DO, where=where)

    def _parse(self) -> ast.Module:
        text = self.text
        for rewrite in (str, _without_keywords):
            try:
                tree = ast.parse(rewrite(text))
            except SyntaxError as error:  # also bad indentation, and numbers of more than 4,300 digits
                wrong = error
                continue
            except (RecursionError, MemoryError) as error:
                raise FormatError(f"read the code in {self.archive}", found="it nests too deeply", do=_DO, where=self.member) from error
            return tree
        where = f"{self.member}:{wrong.lineno or 0}:{wrong.offset or 0}"
        raise FormatError(f"read the code in {self.archive}", found=f"it is no TorchScript: {wrong.msg}", do=_DO, where=where)


_DO = "the archive is damaged or not TorchScript: write it again"

# Attributes may be named by words that Python reserves (`self.class`), which torch does not mind: one letter
# of each is replaced while Python's parser looks at them. The letters are of a script no code is written in.
_RESERVED = {word: word[:-1] + chr(0xA4D0 + i) for i, word in enumerate(sorted(keyword.kwlist))}
_RESTORED = {spelt: word for word, spelt in _RESERVED.items()}
_AFTER_DOT = re.compile(r"(?<=[\w)\]]\.)(" + "|".join(_RESERVED) + r")\b|(?<=\n  )(" + "|".join(_RESERVED) + r")(?= : )")


def _without_keywords(text: str) -> str:
    return _AFTER_DOT.sub(lambda m: _RESERVED[m[0]], text)


def spelt(name: str) -> str:
    """A name as the code has it."""
    return _RESTORED.get(name, name)


@dataclass(slots=True)
class ScriptClass:
    """A class of the code: a module, a plain class, or an interface.

    Attributes:
        type: itself as a type.
        attributes: name → type, in order.
        constants: name → (type, expression).
        parameters, buffers: names of the attributes that are.
        methods: name → its definition, hooks included.
    """

    type: Type
    file: CodeFile
    is_module: bool
    attributes: dict[str, Type] = field(default_factory=dict)
    constants: dict[str, tuple[Type, ast.expr]] = field(default_factory=dict)
    parameters: frozenset[str] = frozenset()
    buffers: frozenset[str] = frozenset()
    pre_hooks: tuple[str, ...] = ()
    hooks: tuple[str, ...] = ()
    methods: dict[str, ast.FunctionDef] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Signature:
    """A function's arguments (``self`` left out) and what it returns. Defaults are expressions."""

    names: tuple[str, ...]
    types: tuple[Type, ...]
    defaults: tuple[ast.expr | None, ...]
    returns: Type


class Library:
    """Finds classes and functions by qualified name; each file is parsed when something in it is first asked for.

    Args:
        open: the code file of a qualifier (``__torch__.torch.nn``); ``None`` where the archive has none.
        version: of the operators that the code calls.
    """

    def __init__(self, open: Callable[[str], CodeFile | None], version: int) -> None:
        self._open = open
        self.version = version
        self._files: dict[str, CodeFile | None] = {}
        self._types: dict[str, Type | None] = {}
        self.classes: dict[str, ScriptClass] = {}
        self.enums: dict[str, dict[str, Any]] = {}
        self._signatures: dict[tuple[str, int, bool], Signature] = {}

    def file(self, qualifier: str) -> CodeFile | None:
        if qualifier not in self._files:
            self._files[qualifier] = self._open(qualifier) if qualifier else None
        return self._files[qualifier]

    def function(self, name: str) -> tuple[CodeFile, ast.FunctionDef] | None:
        """The definition of a function, or of a class's method, by qualified name."""
        qualifier, _, own = name.rpartition(".")
        file = self.file(qualifier)
        found = None if file is None else file.definitions.get(own)
        if file is not None and isinstance(found, ast.FunctionDef):
            return file, found
        if file is None and self.named_type(qualifier) is not None and qualifier in self.classes:
            held = self.classes[qualifier]
            if own in held.methods:
                return held.file, held.methods[own]
        return None

    def named_type(self, name: str) -> Type | None:
        """A class, interface, named tuple or enum by qualified name; one of torch's own C++ classes is known by name alone."""
        if name in self._types:
            return self._types[name]
        if name.startswith("__torch__.torch.classes."):
            self._types[name] = Type("class", name=name)
            return self._types[name]
        qualifier, _, own = name.rpartition(".")
        file = self.file(qualifier)
        found = None if file is None else file.definitions.get(own)
        if file is None or not isinstance(found, ast.ClassDef):
            self._types[name] = None
            return None
        return self._define(name, file, found)

    def add(self, made: ScriptClass) -> None:
        """Register a class that is not written as one (archives of 2019)."""
        self._types[made.type.name] = made.type
        self.classes[made.type.name] = made

    def _define(self, name: str, file: CodeFile, found: ast.ClassDef) -> Type:
        base = found.bases[0].id if len(found.bases) == 1 and isinstance(found.bases[0], ast.Name) else ""
        if len(found.bases) > 1 or (found.bases and base not in ("Module", "NamedTuple", "Interface", "ModuleInterface", "Enum")):
            file.refuse(found, f"class '{found.name}' derives from something no TorchScript class may")
        if base == "NamedTuple":
            self._types[name] = Type("Tuple", (), name)  # a tuple that names itself ends here
            fields = [s for s in found.body if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)]
            types = tuple(self.annotation(s.annotation, file) for s in fields)
            made = Type("Tuple", types, name, tuple(s.target.id for s in fields if isinstance(s.target, ast.Name)))
            self._types[name] = made
            return made
        if base == "Enum":
            values = {
                s.targets[0].id: s.value.value
                for s in found.body
                if isinstance(s, ast.Assign) and isinstance(s.targets[0], ast.Name) and isinstance(s.value, ast.Constant)
            }
            self.enums[name] = values
            made = self._types[name] = Type("enum", name=name)
            return made
        made = Type("interface" if base.endswith("Interface") else "class", name=name)
        self._types[name] = made
        held = ScriptClass(made, file, is_module=base.startswith("Module"))
        self.classes[name] = held
        for statement in found.body:
            self._member(held, statement)
        return made

    def _member(self, held: ScriptClass, statement: ast.stmt) -> None:
        file = held.file
        if isinstance(statement, ast.FunctionDef):
            held.methods[statement.name] = statement
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            name = spelt(statement.target.id)
            if statement.value is None:
                held.attributes[name] = self.annotation(statement.annotation, file)
            else:  # foo : Final[int] = 3
                inner = statement.annotation.slice if isinstance(statement.annotation, ast.Subscript) else statement.annotation
                held.constants[name] = (self.annotation(inner, file), statement.value)
        elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            texts = tuple(
                each.value
                for each in getattr(statement.value, "elts", ())
                if isinstance(each, ast.Constant) and isinstance(each.value, str)
            )
            match statement.targets[0].id:
                case "__parameters__":
                    held.parameters = frozenset(texts)
                case "__buffers__":
                    held.buffers = frozenset(texts)
                case "__forward_pre_hooks__":
                    held.pre_hooks = texts
                case "__forward_hooks__":
                    held.hooks = texts
        elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Subscript):
            index = statement.targets[0].slice
            if not isinstance(index, ast.Constant) or not isinstance(index.value, str):
                file.refuse(statement, "an attribute's name is no text")
            held.attributes[index.value] = self.annotation(statement.value, file)
        elif not isinstance(statement, (ast.Pass, ast.Expr)):
            file.refuse(statement, "a class holds something that is no attribute and no method")

    def signature(self, file: CodeFile, definition: ast.FunctionDef, *, method: bool) -> Signature:
        """What a function takes and returns."""
        key = (file.member, definition.lineno, method)
        known = self._signatures.get(key)
        if known is not None:
            return known
        given = definition.args
        if given.vararg or given.kwarg or given.posonlyargs or given.kwonlyargs:
            file.refuse(definition, f"'{definition.name}' takes arguments as no TorchScript function may")
        arguments = given.args[1:] if method else given.args
        defaults: list[ast.expr | None] = [None] * (len(given.args) - len(given.defaults)) + list(given.defaults)
        made = Signature(
            tuple(spelt(a.arg) for a in arguments),
            tuple(plain("Tensor") or ANY if a.annotation is None else self.annotation(a.annotation, file) for a in arguments),
            tuple(defaults[1:] if method else defaults),
            ANY if definition.returns is None else self.annotation(definition.returns, file),
        )
        self._signatures[key] = made
        return made

    def annotation(self, node: ast.expr, file: CodeFile) -> Type:
        """A type as it is written: ``List[Tensor]``, ``Tuple[int, __torch__.Foo]``."""
        if isinstance(node, ast.Name):
            if (known := plain(node.id)) is not None:
                return known
            return self.named_type(node.id) or Type("class", name=node.id)
        if isinstance(node, ast.Constant):
            if node.value is None:
                return plain("NoneType") or ANY
            file.refuse(node, "a value stands where a type belongs")
        if isinstance(node, ast.Attribute):
            name = dotted(node)
            if name is None:
                file.refuse(node, "an expression stands where a type belongs")
            # a class whose code is not in the archive (one bound from C++) is known by its name alone
            return self.named_type(name) or plain(name.removeprefix("torch.").capitalize()) or Type("class", name=name)
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            inner = node.slice
            if isinstance(inner, ast.Tuple) and not inner.elts:
                args: tuple[Type, ...] = ()
            else:
                args = tuple(self.annotation(e, file) for e in (inner.elts if isinstance(inner, ast.Tuple) else (inner,)))
            match node.value.id, len(args):
                case "List", 1:
                    return list_of(args[0])
                case "Optional", 1:
                    return optional(args[0])
                case "Dict", 2:
                    return Type("Dict", args)
                case (("Tuple" | "tuple"), _):
                    return tuple_of(args)
                case (("Future" | "RRef" | "Await" | "Final"), 1):
                    return args[0] if node.value.id == "Final" else Type(node.value.id, args)
                case "Union", _ if args:
                    present = tuple(a for a in args if a.kind != "NoneType")
                    return optional(present[0]) if len(present) == 1 and len(args) == 2 else Type("Union", args)
        file.refuse(node, "an expression stands where a type belongs")


def dotted(node: ast.expr) -> str | None:
    """``a.b.c``; ``None`` for any other expression."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(spelt(node.attr))
        node = node.value
    return ".".join((node.id, *reversed(parts))) if isinstance(node, ast.Name) else None


__all__ = ["CodeFile", "Library", "ScriptClass", "Signature", "dotted", "spelt"]
