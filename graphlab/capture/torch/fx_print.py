"""The code text that ``GraphModule.print_readable`` writes, as compile logs hold it: parsed, never run.

Source of the forms: ``torch/fx/graph.py`` (``CodeGen._gen_python_code``) and ``torch/fx/graph_module.py``
(``_print_readable``) of torch 2.13, and of the releases back to 2.1, which differ in comments and annotations only.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

from graphlab.capture.torch.fx_expressions import MAX_NESTING, Expressions, deep
from graphlab.capture.torch.fx_types import annotation
from graphlab.capture.torch.plain_graph import PlainGraph, PlainNode
from graphlab.capture.torch.source_text import is_user_file
from graphlab.errors import FormatError
from graphlab.ir.frames import Frame, FrameTable
from graphlab.ir.frozen import FrozenDict

_CLASS = re.compile(r"class ([^\s(]+)\(torch\.nn\.Module\):")
_FILE = re.compile(r"File: (?P<file>.+?):(?P<line>\d{1,9})(?: in (?P<function>[^,]+))?, code:")
_DROPPED = re.compile(r";\s+(?:\w+ = )+None\s*$")
_ROLE = re.compile(r"^\s*(\w+)\b.*#\s(\w+AOT(?:Input|Output)\(.*\))\s*$")
_STRINGS = re.compile(r"""'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|\#.*""")
_MAX_LINE = 1 << 20
_MAX_STATEMENT = 16 << 20

_AUGMENTED: dict[type[ast.operator], str] = {
    ast.Add: "iadd", ast.BitAnd: "iand", ast.FloorDiv: "ifloordiv", ast.LShift: "ilshift", ast.Mod: "imod", ast.Mult: "imul",
    ast.MatMult: "imatmul", ast.BitOr: "ior", ast.Pow: "ipow", ast.RShift: "irshift", ast.Sub: "isub", ast.Div: "itruediv",
    ast.BitXor: "ixor",
}  # fmt: skip


@dataclass(slots=True)
class Printed:
    """One class of the text: its graph, and what the comments say its inputs and outputs are."""

    name: str
    graph: PlainGraph
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)


def parse(text: str, *, asked: str, frames: FrameTable) -> tuple[Printed, str]:
    """The outermost class of a text with those within it, and the text behind it (an ExportedProgram's signature).

    Args:
        frames: takes the lines that comments name.

    Raises:
        FormatError: it is no such text; ``where`` is ``line N`` of it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python's, about literals in a damaged text
        return _Parser(text, asked, frames).run()


def looks_printed(text: str) -> bool:
    """Whether the text begins as ``print_readable``'s does."""
    return _CLASS.match(text[:2000].removeprefix("ExportedProgram:").lstrip()) is not None


class _Parser:
    def __init__(self, text: str, asked: str, frames: FrameTable) -> None:
        self._lines = text.split("\n")
        self._asked = asked
        self._frames = frames
        self._at = 0

    def run(self) -> tuple[Printed, str]:
        stack: list[tuple[int, _Class]] = []
        first: _Class | None = None
        while self._at < len(self._lines):
            line = self._lines[self._at]
            self._at += 1
            body = line.strip()
            if not body:
                continue
            if len(line) > _MAX_LINE:
                self.refuse(f"a line has {len(line):,} characters; {_MAX_LINE:,} is the most that is read")
            indent = len(line) - len(line.lstrip())
            if found := _CLASS.match(body):
                while stack and stack[-1][0] >= indent:
                    stack.pop()
                if first is not None and not stack:
                    break  # another text
                if len(stack) > MAX_NESTING:
                    self.refuse(f"its graphs nest more than {MAX_NESTING} deep")
                made = _Class(self, found[1])
                if stack:
                    stack[-1][1].printed.graph.graphs.setdefault(found[1], made.printed.graph)
                    stack[-1][1].children.append(made)
                else:
                    first = made
                stack.append((indent, made))
                continue
            if not stack:
                if body == "ExportedProgram:" and first is None:
                    continue
                self.refuse("it does not begin with a class of a graph module")
            while stack and indent <= stack[-1][0]:
                stack.pop()
            if not stack:
                self._at -= 1
                break
            owner = stack[-1][1]
            if body.startswith("#"):
                owner.comment(body)
            else:
                owner.statement(*self._whole(body))
        if first is None:
            self.refuse("it holds no class of a graph module")
        for each in _all(first):
            each.finish()
        return first.printed, "\n".join(self._lines[self._at :])

    def _whole(self, body: str) -> tuple[str, list[str]]:
        """A statement with the lines it goes on for; and its lines, for their comments."""
        if not body.endswith(("(", "[", ",", "{")) and not re.search(r"[(\[{,]\s*#", body):
            return body, [body]
        lines, size = [body], len(body)
        open_ = _balance(body)
        while open_ > 0 and self._at < len(self._lines):
            line = self._lines[self._at].strip()
            self._at += 1
            size += len(line)
            if size > _MAX_STATEMENT:
                self.refuse(f"a statement has more than {_MAX_STATEMENT:,} characters")
            lines.append(line)
            open_ += _balance(line)
        return "\n".join(lines), lines

    def loc(self, file: str, line: int, function: str) -> int:
        return self._frames.add(Frame(file, line, 0, function))

    def syntax(self, text: str) -> list[ast.stmt]:
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # MemoryError: the parser's own limit of nesting
            self.refuse(f"it is no Python: {error.msg if isinstance(error, SyntaxError) else error}")
        if len(text) > 1000 and deep(tree):
            self.refuse(f"an expression nests more than {MAX_NESTING} deep")
        return tree.body

    def refuse(self, found: str) -> NoReturn:
        raise FormatError(self._asked, found=found, do="compile again with TORCH_TRACE, or fetch the file again", where=f"line {self._at}")


def _balance(line: str) -> int:
    plain = _STRINGS.sub("", line)
    return sum(plain.count(c) for c in "([{") - sum(plain.count(c) for c in ")]}")


def _all(first: _Class) -> Iterator[_Class]:
    waiting = [first]
    while waiting:
        each = waiting.pop()
        yield each
        waiting.extend(each.children)


class _Class:
    """One graph being read."""

    def __init__(self, parser: _Parser, name: str) -> None:
        self.parser = parser
        self.printed = Printed(name, PlainGraph())
        self.children: list[_Class] = []
        self._params: dict[str, PlainNode] = {}
        self._names: dict[str, str] = {}  # a value's name in the text -> its node's
        self._types: dict[str, str] = {}
        self._loc: int | None = None
        self._meta = FrozenDict[str, Any]()
        self._inplace: tuple[str, tuple[Any, ...]] | None = None
        self._values = Expressions(self._names, parser.refuse)
        self._begun = self._ended = False

    def comment(self, text: str) -> None:
        """``# File: model.py:12 in forward, code: …``: where the nodes that follow come from."""
        found = _FILE.search(text)
        self._loc, self._meta = None, FrozenDict()
        if found is None:
            return
        if is_user_file(found["file"]):
            self._loc = self.parser.loc(found["file"], int(found["line"]), found["function"] or "")
        else:
            self._meta = FrozenDict(library_line=f"{found['file']}:{found['line']}")

    def statement(self, text: str, lines: list[str]) -> None:
        if text.startswith("def "):
            self._header(text, lines)
            return
        for each in self.parser.syntax(_DROPPED.sub("", text)):
            self._one(each, lines)

    def _header(self, text: str, lines: list[str]) -> None:
        [function] = self.parser.syntax(text + " pass")[:1] or [ast.Pass()]
        if not isinstance(function, ast.FunctionDef):
            self.parser.refuse("its function has no header")
        self._begun = True
        arguments = function.args
        for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *filter(None, (arguments.vararg, arguments.kwarg))):
            if each.arg == "self":
                continue
            note = each.annotation
            self._placeholder(each.arg, note.value if isinstance(note, ast.Constant) and isinstance(note.value, str) else "")
        self._roles(lines, self.printed.inputs)

    def _roles(self, lines: list[str], roles: dict[str, str]) -> None:
        for line in lines:
            if found := _ROLE.match(line):
                roles[found[1]] = found[2]

    def _placeholder(self, name: str, note: str) -> None:
        if name in self._params:
            self.parser.refuse(f"two inputs are named '{name}'")
        type, meta = annotation(note)
        node = PlainNode(name, "placeholder", name, type=type, meta=meta)
        self._params[name] = node
        self._names[name] = name
        self.printed.graph.nodes.append(node)

    def _one(self, each: ast.stmt, lines: list[str]) -> None:
        match each:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=ast.Constant(value=str(note)), value=None):
                self._types[name] = note  # an input of a graph that takes trees: its name follows
                self._roles(lines, self.printed.inputs)
            case ast.AnnAssign(target=ast.Name(id=name), annotation=note_expr, value=ast.expr() as value):
                self._assign(name, value, str(note_expr.value) if isinstance(note_expr, ast.Constant) else "")
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self._assign(name, value, "")
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Call(func=ast.Attribute(attr="tree_flatten_spec"))):
                self._flattened([name.id for name in names if isinstance(name, ast.Name)])
            case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name), slice=index)], value=value):
                value_of = self._values.of
                self._inplace = ("operator.setitem", (value_of(ast.Name(name)), value_of(index), value_of(value)))
            case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
                self._inplace = (f"operator.{_AUGMENTED[type(op)]}", (self._values.of(ast.Name(name)), self._values.of(value)))
            case ast.Return(value=value):
                self._return(value, lines)
            case ast.Assign(targets=[ast.Name(), *_], value=ast.Constant(value=None)) | ast.Pass() | ast.Delete():
                pass
            case ast.Expr(value=ast.Constant()):  # FX_GRAPH_SHOW_META
                pass
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="args_list"), attr="clear"))):
                pass
            case _:
                self.parser.refuse(f"a statement is none of those fx prints: {type(each).__name__}")

    def _flattened(self, names: list[str]) -> None:
        """``a, b, = fx_pytree.tree_flatten_spec(…)``: the inputs are the trees' leaves, not the function's arguments."""
        kept = {node.name: node for node in self._params.values()}
        self.printed.graph.nodes.clear()
        self._params.clear()
        for name in list(kept):
            self._names.pop(name, None)
        for name in names:
            self._placeholder(name, self._types.get(name, ""))
            if name not in self._types and name in kept:
                node = self._params[name]
                node.type, node.meta = kept[name].type, kept[name].meta

    def _assign(self, name: str, value: ast.expr, note: str) -> None:
        if isinstance(value, ast.Constant) and value.value is None:
            return
        if isinstance(value, ast.Name) and self._inplace is not None:
            target, args = self._inplace
            self._inplace = None
            self._add(name, "call_function", target, args, {}, note)
        elif isinstance(value, ast.Name) and value.id in self._params:
            node = self._params.pop(value.id)
            node.name = name
            self._names[name] = self._names[value.id] = name
        elif isinstance(value, ast.Name) and value.id in self._names:
            self._names[name] = self._names[value.id]
        elif isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in ("iter", "next") and _boxed(value):
            if value.func.id == "next":
                self._placeholder(name, note)
        else:
            self._add(name, *self._values.operation(value), note)

    def _add(self, name: str, kind: Any, target: str, args: tuple[Any, ...], kwargs: dict[str, Any], note: str) -> None:
        type, meta = annotation(note)
        node = PlainNode(name, kind, target, args, FrozenDict(kwargs), type, loc=self._loc)
        node.meta = FrozenDict({**meta, **self._meta}) if self._meta else meta
        self._names[name] = name
        self.printed.graph.nodes.append(node)

    def _return(self, value: ast.expr | None, lines: list[str]) -> None:
        if self._ended:
            self.parser.refuse("it returns twice")
        self._ended = True
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr == "tree_unflatten" and value.args:
            value = value.args[0]
        returned = None if value is None else self._values.of(value)
        self._roles(lines, self.printed.outputs)
        self.printed.graph.nodes.append(PlainNode("output", "output", "output", (returned,)))

    def finish(self) -> None:
        """What can be said once the whole text is read."""
        nodes = self.printed.graph.nodes
        if not self._begun:
            self.parser.refuse(f"the class '{self.printed.name}' has no function in it")
        if not self._ended:
            nodes.append(PlainNode("output", "output", "output", (None,)))
        for node in nodes:
            if node.kind == "get_attr" and node.target not in self.printed.graph.graphs:
                constant = node.target.startswith(("_tensor_constant", "_lifted_tensor_constant", "lifted_tensor"))
                node.data = {"kind": "constant" if constant else "parameter"}


def _boxed(call: ast.Call) -> bool:
    return len(call.args) == 1 and isinstance(call.args[0], ast.Name) and call.args[0].id in ("args_list", "args_iter")
