"""The tables of ``schema.txt``: fields by name, enumerations, unions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from struct import Struct

_SCALARS: Mapping[str, Struct] = {
    name: Struct("<" + code)
    for name, code in {
        "bool": "?", "int8": "b", "uint8": "B", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q",
        "float32": "f", "float64": "d",
    }.items()
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a table.

    Attributes:
        index: its place in the vtable.
        type: ``int32``, ``string``, a table's or a union's name; of a vector, its elements'.
        vector: whether it is one.
        enum: the enumeration that names its values.
        default: of a scalar that is not stored.
        packed: how a scalar, or a vector's scalar element, is stored; ``None`` for the others.
        union: the names of a union's tables; empty for the others.
    """

    index: int
    type: str
    vector: bool
    enum: str | None
    default: int | float | bool
    packed: Struct | None
    union: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Schema:
    """Tables by name, each its fields by name; enumerations and unions as tuples of names."""

    tables: Mapping[str, Mapping[str, Field]]
    names: Mapping[str, tuple[str, ...]]

    def name(self, enum: str, number: int) -> str | int:
        """The name of an enumeration's value; the number itself where a later version than ours has added it."""
        names = self.names[enum]
        return names[number] if 0 <= number < len(names) else number


@cache
def schema() -> Schema:
    """The tables, read once."""
    lines: list[str] = []
    for line in (Path(__file__).parent / "schema.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith(" "):
            lines[-1] += line
        elif not line.startswith("#"):
            lines.append(line)
    words = [line.split(maxsplit=2) for line in lines]
    names = {word[1]: tuple(word[2].split()) for word in words if word[0] != "table"}
    unions = {word[1] for word in words if word[0] == "union"}
    tables = {word[1]: _fields(word[2] if len(word) > 2 else "", names, unions) for word in words if word[0] == "table"}
    return Schema(tables, names)


def _fields(text: str, names: Mapping[str, tuple[str, ...]], unions: set[str]) -> dict[str, Field]:
    fields: dict[str, Field] = {}
    for column in filter(None, text.split(", ")):
        number, name, spelt, *default = column.split()
        type, _, enum = spelt.strip("[]").partition("/")
        scalar: int | float | bool = 0
        if default:
            scalar = default[1] == "true" if type == "bool" else int(default[1])
        elif type == "bool":
            scalar = False
        elif type.startswith("float"):
            scalar = 0.0
        union = names[type] if type in unions else ()
        fields[name] = Field(int(number), type, spelt.startswith("["), enum or None, scalar, _SCALARS.get(type), union)
    return fields
