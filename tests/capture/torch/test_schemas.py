"""The table of operators' schemas is torch's own, and so are the aliases that are taken back to one name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from graphlab.capture.torch import schemas
from graphlab.capture.torch.script_match import ALIASES, choose
from graphlab.capture.torch.script_types import FLOAT, INT, STR, TENSOR, Type, is_subtype, list_of, optional, tuple_of, unify

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

import torch  # noqa: E402

TABLE = Path(schemas.__file__).with_name("schemas.txt")


def test_the_table_is_what_torch_says() -> None:
    from graphlab.capture.torch import schema_facts

    first, *held = TABLE.read_text().splitlines()
    if first != f"# torch {torch.__version__.partition('+')[0]}":
        pytest.skip(f"the table is of {first[2:]}")
    assert set(held) <= set(schema_facts.lines())  # what else is imported may register more


def test_every_schema_is_understood() -> None:
    lines = TABLE.read_text().splitlines()
    parsed = [schemas.parse(line) for line in lines[1 : lines.index(schemas.FUNCTIONS)]]
    assert len(parsed) > 4000
    for schema in parsed:
        for argument in schema.arguments:
            if argument.default is not None:
                schemas.default_value(argument.default)


_ARGUMENTS = {
    "x, 0, 1": ("moveaxis", "swapdims", "swapaxes"),
    "[x, x]": ("row_stack", "concat", "concatenate"),
    "x, 0., 1.": ("clip",),
    "x, 2": ("matrix_power",),
    "x, x": (
        "arctan2", "divide", "ger", "greater", "greater_equal", "less", "less_equal", "multiply", "not_equal", "orgqr", "subtract",
        "true_divide",
    ),
}  # fmt: skip


@pytest.mark.parametrize("alias", sorted(a.removeprefix("aten::") for a in ALIASES if not a.endswith("_")))
def test_torch_takes_the_alias_back_too(alias: str) -> None:
    given = next((text for text, names in _ARGUMENTS.items() if alias in names), "x")
    unit = torch.jit.CompilationUnit(f"def f(x):\n  return torch.{alias}({given})\n")
    assert ALIASES[f"aten::{alias}"] in {node.kind() for node in unit.f.graph.nodes()}


CALLS: list[tuple[str, tuple[Type, ...], str]] = [
    ("aten::add", (TENSOR, TENSOR), "Tensor"),
    ("aten::add", (TENSOR, INT), "Scalar"),
    ("aten::add", (INT, INT), "int"),
    ("aten::add", (INT, FLOAT), "int_float"),
    ("aten::add", (list_of(TENSOR), list_of(TENSOR)), "t"),
    ("aten::add", (STR, STR), "str"),
    ("aten::__getitem__", (list_of(STR), INT), "t"),
    ("aten::__getitem__", (Type("Dict", (STR, INT)), STR), "Dict_str"),
    ("aten::sum", (TENSOR, list_of(INT)), "dim_IntList"),
    ("aten::view", (TENSOR, list_of(INT)), ""),
    ("aten::rand", (list_of(INT),), ""),
    ("aten::Int", (TENSOR,), "Tensor"),
]


@pytest.mark.parametrize(("name", "args", "overload"), CALLS)
def test_the_overload_is_torchs_choice(name: str, args: tuple[Type, ...], overload: str) -> None:
    plan = choose(name, args, ())
    assert plan is not None
    assert plan.schema.overload == overload


def test_types_fit_as_torchs_do() -> None:
    def subtype(a: Any, b: Any) -> bool:
        found: bool = a.isSubtypeOf(b)
        return found

    plain = {
        TENSOR: torch._C.TensorType.get(),
        INT: torch._C.IntType.get(),
        FLOAT: torch._C.FloatType.get(),
        STR: torch._C.StringType.get(),
    }
    types = dict(plain)
    for own, theirs in plain.items():
        types[optional(own)] = torch._C.OptionalType(theirs)
        types[list_of(own)] = torch._C.ListType(theirs)
        types[tuple_of((own, INT))] = torch._C.TupleType([theirs, torch._C.IntType.get()])
    for a, theirs_a in types.items():
        assert str(a) == theirs_a.annotation_str
        for b, theirs_b in types.items():
            assert is_subtype(a, b) == subtype(theirs_a, theirs_b), (str(a), str(b))


def test_unifying_finds_the_wider_type() -> None:
    assert unify(INT, Type("NoneType")) == optional(INT)
    assert unify(optional(INT), INT) == optional(INT)
    assert unify(tuple_of((INT, Type("NoneType"))), tuple_of((Type("NoneType"), INT))) == tuple_of((optional(INT), optional(INT)))
    assert unify(list_of(INT), list_of(FLOAT)) is None
