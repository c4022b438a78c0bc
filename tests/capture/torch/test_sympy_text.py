"""Symbolic expressions are spelt as torch spells them."""

from __future__ import annotations

import pytest

from graphlab.capture.torch.sympy_text import spelt


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Symbol('s0', positive=True, integer=True)", "s0"),
        ("Mul(Integer(2), Symbol('s0', integer=True))", "2*s0"),
        ("Add(Mul(Integer(-1), Integer(3), Symbol('u0', integer=True)), Integer(7))", "-3*u0 + 7"),
        ("StrictLessThan(Symbol('u0', integer=True), Mul(Integer(2), Symbol('s0', integer=True)))", "u0 < 2*s0"),
        ("Add(FloorDiv(Mul(Integer(-1), Symbol('u0', integer=True)), Integer(3)), Integer(5))", "(((-u0)//3)) + 5"),
        ("2*s0 + 1", "2*s0 + 1"),
        ("s0", "s0"),
        ("__import__('os').system('x')", "__import__('os').system('x')"),
        ("Add(", "Add("),
    ],
)
def test_an_expression_is_spelt(text: str, expected: str) -> None:
    assert spelt(text) == expected


def test_an_expression_without_end_stays_as_it_is() -> None:
    deep = "Add(" * 500
    assert spelt(deep) == deep
    assert spelt("x" * 50_000) == "x" * 50_000


@pytest.mark.torch
def test_expressions_drawn_at_random_are_spelt_as_sympy_does() -> None:
    """Of Max and Min within a formula sympy sorts the arguments when it prints: those stand by themselves here."""
    pytest.importorskip("torch")
    import random

    import sympy
    from sympy.printing.repr import srepr
    from torch.utils._sympy import functions

    symbols = [sympy.Symbol(name, positive=True, integer=True) for name in ("s0", "s1")] + [sympy.Symbol("u0", integer=True)]
    draw = random.Random(1)

    def formula(depth: int) -> sympy.Expr:
        if not depth or draw.random() < 0.2:
            return draw.choice(symbols)
        a, b, n = formula(depth - 1), formula(depth - 1), draw.randrange(2, 6)
        made = [a + b, a - n, a * b, a * n, -a, functions.FloorDiv(a, n), functions.Mod(a, n), a**2, sympy.Rational(1, n) * a]
        return draw.choice([*made, functions.CeilToInt(functions.ToFloat(a) * n / 2.0), functions.PythonMod(a, n)])

    wrong = []
    for number in range(250):
        each = formula(draw.randrange(1, 4))
        if number % 5 == 0:
            each = draw.choice([sympy.Eq, sympy.Ne, sympy.Lt, sympy.Ge])(each, formula(2))
        if number % 7 == 0 and not isinstance(each, sympy.logic.boolalg.Boolean):
            each = sympy.Max(each, 3)
        if spelt(srepr(each)) != str(each):
            wrong.append((str(each), spelt(srepr(each))))
    assert wrong == []
