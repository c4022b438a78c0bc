"""Symbolic expressions in torch's files, spelt as torch prints them.

Since torch 2.6 a file holds sympy's ``srepr`` (``Mul(Integer(2), Symbol('s0', integer=True))``), which a program shows
as ``2*s0``; before, it held that text itself. The rules are those of sympy's StrPrinter (sympy 1.14) and of
``torch/utils/_sympy/functions.py`` (torch 2.13).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

_TOKEN = re.compile(r"\s*(?:([A-Za-z_][\w.]*)|('(?:[^'\\]|\\.)*')|([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)|([(),=]))")
_MAX_DEPTH = 60
_MAX_LENGTH = 20_000

# How tight each operator binds (sympy.printing.precedence.PRECEDENCE).
_OR, _AND, _RELATIONAL, _ADD, _MUL, _POW, _FUNCTION, _ATOM = 20, 30, 35, 40, 50, 60, 70, 1000

_Text = tuple[str, int]
"""An expression's spelling and how tight its outermost operator binds."""

_INFIX = {"StrictLessThan": "<", "LessThan": "<=", "StrictGreaterThan": ">", "GreaterThan": ">="}
# torch's functions that say they bind less tight than a call does
_LOOSE = {
    **dict.fromkeys(("ModularIndexing", "Where", "PythonMod", "Mod", "FloatTrueDiv", "IntTrueDiv"), _RELATIONAL),
    **dict.fromkeys(("Max", "Min"), _ATOM),
    "PowByNatural": _MUL,
    "FloatPow": _POW,
}
_NAMED = {"Equality": "Eq", "Unequality": "Ne"}


class _Unreadable(Exception):
    """The text is no ``srepr``."""


@lru_cache(maxsize=4096)
def spelt(text: str) -> str:
    """``Mul(Integer(2), Symbol('s0', positive=True))`` → ``2*s0``; a text that is no ``srepr`` is returned as it is."""
    if len(text) > _MAX_LENGTH:
        return text
    try:
        parser = _Parser(text)
        expression = parser.expression(0)
        parser.end()
    except _Unreadable:
        return text
    return expression[0]


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str, str, str]] = []
        at = 0
        while at < len(text.rstrip()):
            found = _TOKEN.match(text, at)
            if found is None:
                raise _Unreadable
            name, quoted, number, mark = found.groups("")
            self._tokens.append((name, quoted, number, mark))
            at = found.end()
        self._at = 0

    def _next(self) -> tuple[str, str, str, str]:
        if self._at >= len(self._tokens):
            raise _Unreadable
        self._at += 1
        return self._tokens[self._at - 1]

    def _peek(self) -> str:
        return self._tokens[self._at][3] if self._at < len(self._tokens) else ""

    def end(self) -> None:
        if self._at != len(self._tokens):
            raise _Unreadable

    def expression(self, depth: int) -> _Text:
        if depth > _MAX_DEPTH:
            raise _Unreadable
        name, quoted, number, _ = self._next()
        if number:
            return number, _ADD if number.startswith("-") else _ATOM
        if quoted:
            return quoted[1:-1], _ATOM
        if not name:
            raise _Unreadable
        if self._peek() != "(":
            return {"true": "True", "false": "False"}.get(name, name), _ATOM
        self._next()
        arguments: list[_Text] = []
        first = True
        while self._peek() != ")":
            if not first and self._next()[3] != ",":
                raise _Unreadable
            first = False
            after = self._tokens[self._at + 1][3] if self._at + 1 < len(self._tokens) else ""
            if after == "=":  # an assumption: positive=True
                self._at += 2
                self.expression(depth + 1)
            else:
                arguments.append(self.expression(depth + 1))
        self._next()
        return _spell(name, arguments)


def _spell(name: str, args: list[_Text]) -> _Text:
    rule = _RULES.get(name)
    if rule is not None and args:
        return rule(args)
    if name in _INFIX and len(args) == 2:
        return f"{_wrapped(args[0], _RELATIONAL)} {_INFIX[name]} {_wrapped(args[1], _RELATIONAL)}", _RELATIONAL
    return f"{_NAMED.get(name, name)}({', '.join(text for text, _ in args)})", _LOOSE.get(name, _FUNCTION)


def _wrapped(each: _Text, level: int, *, strict: bool = False) -> str:
    text, tightness = each
    return f"({text})" if tightness < level or (not strict and tightness <= level) else text


def _atom(args: list[_Text]) -> _Text:
    text = args[0][0]
    return text, _ADD if text.startswith("-") else _ATOM


def _float(args: list[_Text]) -> _Text:
    """Fifteen digits, as sympy prints a double."""
    try:
        digits = f"{float(args[0][0]):.15g}"
    except ValueError:
        raise _Unreadable from None
    text = digits if any(c in digits for c in ".en") else f"{digits}.0"
    return text, _ADD if text.startswith("-") else _ATOM


def _rational(args: list[_Text]) -> _Text:
    if len(args) != 2:
        raise _Unreadable
    return f"{args[0][0]}/{args[1][0]}", _ADD if args[0][0].startswith("-") else _MUL


def _sum(args: list[_Text]) -> _Text:
    parts = []
    for i, each in enumerate(args):
        text = _wrapped(each, _ADD, strict=True)
        minus = text.startswith("-")
        text = text[1:] if minus else text
        parts.append(("-" if minus else "") + text if i == 0 else f" {'-' if minus else '+'} {text}")
    return "".join(parts), _ADD


_QUOTIENT = re.compile(r"1/(.+)", re.DOTALL)


def _product(args: list[_Text]) -> _Text:
    sign, above, below = "", list[str](), list[str]()
    for text, tightness in args:
        if text == "-1":
            sign = "" if sign else "-"
        elif tightness == _POW and (found := _QUOTIENT.fullmatch(text)):
            below.append(found[1])
        elif tightness == _MUL and re.fullmatch(r"-?\d+/\d+", text):  # a rational
            numerator, _, denominator = text.partition("/")
            above += [] if numerator == "1" else [numerator]
            below.append(denominator)
        elif re.fullmatch(r"-[\d.]+(/\d+)?", text):
            sign = "" if sign else "-"
            numerator, _, denominator = text[1:].partition("/")
            above += [] if numerator == "1" and denominator else [numerator]
            below += [denominator] if denominator else []
        else:
            above.append(_wrapped((text, tightness), _MUL, strict=True))
    text = sign + ("*".join(above) or "1")
    if below:
        text += f"/{below[0]}" if len(below) == 1 else f"/({'*'.join(below)})"
    return text, _ADD if sign else _MUL


def _power(args: list[_Text]) -> _Text:
    if len(args) != 2:
        raise _Unreadable
    base, exponent = args
    if exponent[0] == "-1":
        return f"1/{_wrapped(base, _POW)}", _POW
    if exponent[0] == "1/2":
        return f"sqrt({base[0]})", _ATOM
    return f"{_wrapped(base, _POW)}**{_wrapped(exponent, _POW, strict=True)}", _POW


def _floor_div(args: list[_Text]) -> _Text:
    if len(args) != 2:
        raise _Unreadable
    # though it stands in brackets, torch gives it this precedence, and what is around it wraps it once more
    return f"({_wrapped(args[0], _ATOM, strict=True)}//{_wrapped(args[1], _ATOM, strict=True)})", _RELATIONAL


def _joined(mark: str, level: int) -> Callable[[list[_Text]], _Text]:
    def rule(args: list[_Text]) -> _Text:
        return f" {mark} ".join(_wrapped(each, level) for each in args), level

    return rule


_RULES: dict[str, Callable[[list[_Text]], _Text]] = {
    "Integer": _atom,
    "Symbol": lambda args: (args[0][0], _ATOM),
    "Dummy": lambda args: (args[0][0], _ATOM),
    "Float": _float,
    "Rational": _rational,
    "Add": _sum,
    "Mul": _product,
    "Pow": _power,
    "And": _joined("&", _AND),
    "Or": _joined("|", _OR),
    "Not": lambda args: (f"~{_wrapped(args[0], 100)}", 100),
    "FloorDiv": _floor_div,
    "CleanDiv": _floor_div,
    "Identity": lambda args: (f"({args[0][0]})", 10),
}
