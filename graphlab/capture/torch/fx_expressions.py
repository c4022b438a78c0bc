"""Expressions in fx's code texts: what an assignment's right side computes, and what its arguments are."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from graphlab.capture.torch.operators import MODULES
from graphlab.capture.torch.plain_graph import Kind, Ref
from graphlab.ir.frozen import FrozenDict

MAX_NESTING = 60
"""Expressions within expressions, and classes within classes, that are followed."""

Operation = tuple[Kind, str, tuple[Any, ...], dict[str, Any]]

_BINARY: dict[type[ast.operator], str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "truediv", ast.FloorDiv: "floordiv", ast.Mod: "mod", ast.Pow: "pow",
    ast.LShift: "lshift", ast.RShift: "rshift", ast.BitAnd: "and_", ast.BitOr: "or_", ast.BitXor: "xor", ast.MatMult: "matmul",
}  # fmt: skip
_COMPARE: dict[type[ast.cmpop], str] = {ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "lt", ast.Gt: "gt", ast.LtE: "le", ast.GtE: "ge"}
_UNARY: dict[type[ast.unaryop], str] = {ast.USub: "neg", ast.UAdd: "pos", ast.Invert: "invert", ast.Not: "not_"}
_NAMED: Mapping[str, Any] = {"inf": float("inf"), "nan": float("nan"), "Ellipsis": "..."}


def deep(tree: ast.AST) -> bool:
    """Whether a syntax tree nests deeper than is followed; finds out without recursion."""
    level: list[ast.AST] = [tree]
    for _ in range(2 * MAX_NESTING):
        level = [child for each in level for child in ast.iter_child_nodes(each)]
        if not level:
            return False
    return True


class Expressions:
    """Reads expressions. ``names`` maps the values' names in the text to their nodes'."""

    def __init__(self, names: Mapping[str, str], refuse: Callable[[str], NoReturn]) -> None:
        self._names = names
        self._refuse = refuse

    def operation(self, value: ast.expr) -> Operation:
        """The operation that an assignment's right side is."""
        match value:
            case ast.Call(func=func):
                return self._call(value, func)
            case ast.BinOp(left=left, op=op, right=right):
                return self._operator(_BINARY[type(op)], left, right)
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARE:
                return self._operator(_COMPARE[type(op)], left, right)
            case ast.UnaryOp(op=op, operand=operand):
                return self._operator(_UNARY[type(op)], operand)
            case ast.Subscript(value=of, slice=index):
                return self._operator("getitem", of, index)
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name != "self" and name in self._names:
                return "call_function", "builtins.getattr", (Ref(self._names[name]), attribute), {}
        path = self._module_path(value)
        if path is None:
            self._refuse(f"an expression is none of those fx prints: {type(value).__name__}")
        return "get_attr", path, (), {}

    def _operator(self, name: str, *operands: ast.expr) -> Operation:
        return "call_function", f"operator.{name}", tuple(self.of(each) for each in operands), {}

    def _call(self, call: ast.Call, func: ast.expr) -> Operation:
        args = tuple(self.of(each) for each in call.args)
        kwargs = {each.arg: self.of(each.value) for each in call.keywords if each.arg is not None}
        if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id in self._names:
            return "call_method", func.attr, (Ref(self._names[func.value.id]), *args), kwargs
        path = self._module_path(func)
        if path is not None:
            return "call_module", path, args, kwargs
        named = _dotted(func)
        if named is None:
            if isinstance(func, ast.Attribute):  # a method of a literal: (1.5).hex()
                return "call_method", func.attr, (self.of(func.value), *args), kwargs
            self._refuse("a call is none of those fx prints")
        # getattr(self, "0"): a submodule or attribute whose name is no identifier
        if named == "getattr" and len(call.args) == 2 and (held := self._module_path(call)) is not None:
            return "get_attr", held, (), {}
        return "call_function", function_name(named), args, kwargs

    def _module_path(self, value: ast.expr) -> str | None:
        """``self.layers.0.weight`` out of ``getattr(self.layers, "0").weight``; ``None`` for what is not the module's."""
        parts: list[str] = []
        while True:
            match value:
                case ast.Attribute(value=inner, attr=name):
                    parts.append(name)
                    value = inner
                case ast.Call(func=ast.Name(id="getattr"), args=[inner, ast.Constant(value=str(name))]):
                    parts.append(name)
                    value = inner
                case ast.Name(id="self") if parts and "self" not in self._names:
                    return ".".join(reversed(parts))
                case _:
                    return None

    def of(self, value: ast.expr, depth: int = 0) -> Any:
        """An argument: a value of the graph, a literal, or text for what is neither."""
        if depth > MAX_NESTING:
            self._refuse(f"an expression nests more than {MAX_NESTING} deep")
        match value:
            case ast.Name(id=name):
                if name in self._names:
                    return Ref(self._names[name])
                return _NAMED.get(name, name)
            case ast.Constant(value=held):
                return "..." if held is Ellipsis else held
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                return tuple([self.of(each, depth + 1) for each in elements])
            case ast.Dict(keys=keys, values=values):
                pairs = zip(keys, values, strict=True)
                return FrozenDict({str(self.of(key, depth + 1)): self.of(each, depth + 1) for key, each in pairs if key is not None})
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                number = self.of(operand, depth + 1)
                return -number if isinstance(number, (int, float, complex)) else f"-{number}"
            case ast.BinOp(left=ast.expr() as left, op=ast.Add() | ast.Sub() as op, right=ast.Constant(value=complex(imag=imag))):
                real = self.of(left, depth + 1)
                if isinstance(real, (int, float)):
                    return complex(real, imag if isinstance(op, ast.Add) else -imag)
            case ast.Slice(lower=lower, upper=upper, step=step):
                parts = tuple(None if each is None else self.of(each, depth + 1) for each in (lower, upper, step))
                return FrozenDict(slice=parts)
            case ast.Call(func=ast.Name(id="slice"), args=[lower, upper, step]):
                return FrozenDict(slice=tuple(self.of(each, depth + 1) for each in (lower, upper, step)))
            case ast.Call(func=func, args=args, keywords=keywords):
                return self._literal_call(value, _dotted(func) or "", args, keywords, depth)
            case ast.Attribute():
                named = _dotted(value)
                if named is not None:
                    return _constant_name(named)
        return self._text(value)

    def _literal_call(self, call: ast.Call, name: str, args: list[ast.expr], keywords: list[ast.keyword], depth: int) -> Any:
        given = {each.arg: self.of(each.value, depth + 1) for each in keywords}
        if name in ("device", "torch.device"):
            kind = self.of(args[0], depth + 1) if args else given.get("type")
            index = given.get("index", self.of(args[1], depth + 1) if len(args) > 1 else None)
            return f"{kind}" if index is None else f"{kind}:{index}"
        if name in ("torch.Size", "list", "tuple", "immutable_list") and len(args) == 1:
            return self.of(args[0], depth + 1)
        return self._text(call)

    def _text(self, value: ast.expr) -> str:
        if deep(value):
            self._refuse(f"an expression nests more than {MAX_NESTING} deep")
        text = ast.unparse(value)
        return text if len(text) <= 200 else text[:197] + "..."


def function_name(named: str) -> str:
    """A function's name in the text by the IR's: ``torch.ops.aten.mm.default`` → ``aten.mm.default``, ``max`` → ``builtins.max``."""
    if named.startswith("torch.ops."):
        return named.removeprefix("torch.ops.")
    module, _, called = named.rpartition(".")
    if module:
        return f"{MODULES.get(module, module)}.{called}"
    for prefix, owner in (("_operator_", "operator"), ("operator_", "operator"), ("math_", "math")):
        if named.startswith(prefix):
            return f"{owner}.{named.removeprefix(prefix)}"
    return f"builtins.{named}" if hasattr(builtins, named) else named


def _dotted(value: ast.expr) -> str | None:
    parts: list[str] = []
    while isinstance(value, ast.Attribute):
        parts.append(value.attr)
        value = value.value
    return ".".join((value.id, *reversed(parts))) if isinstance(value, ast.Name) else None


def _constant_name(named: str) -> str:
    """``torch.float32`` → ``float32``; an operator or an enumeration's member by its own name."""
    if named.startswith("torch.ops."):
        return named.removeprefix("torch.ops.")
    return named.removeprefix("torch.") if named.count(".") == 1 else named
