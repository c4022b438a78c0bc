"""Operations' own syntax, from short descriptions.

A description is a row of words. Each stands for a piece of text:

====================  =======================================================================
``%`` ``%,`` ``%?``   one operand, operands with commas between (perhaps none), one or none
``{}``                attributes in braces, where there are any (also after ``attributes``)
``name=KIND``         an attribute called ``name``: ``attr`` any, ``int``, ``ints`` (``[1, 2]``), ``word``, ``sym``,
                      ``string``, ``#dialect.mnemonic`` one whose beginning the syntax leaves out
``:same``             ``: type`` for all operands and results, or ``: (types) -> types``
``:func``             ``: (types) -> types``
``:results``          ``: types`` of the results
``:none``             ``: types`` of the operands; there are no results
``:to``               ``: types -> types`` or ``: types to types``; the second are the results'
``[`` … ``]?``        left out or whole, as its first word tells; in between ``'['`` and ``']'`` are brackets
``region``            a region
anything else         itself
====================  =======================================================================

Facts of each operation's syntax are those of its ODS file (``StablehloOps.td``, ``ops.td`` of Shardy, …).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from graphlab.capture.mlir.module import FunctionType, Operation
from graphlab.capture.mlir.types import value_type
from graphlab.ir.values import ValueType

if TYPE_CHECKING:
    from graphlab.capture.mlir.text import Form, ModuleReader

_Step = Callable[["ModuleReader", Operation], Sequence[ValueType] | None]


def form(description: str) -> Form:
    """The reader of a syntax described as above."""
    steps = _steps(description.split())

    def read(reader: ModuleReader, op: Operation) -> Sequence[ValueType] | None:
        types: Sequence[ValueType] | None = ()
        for step in steps:
            told = step(reader, op)
            if told is not None:
                types = told
        return types

    return read


def forms(table: dict[str, str], dialect: str) -> dict[str, Form]:
    """Description → names without their dialect, turned into name → reader."""
    found: dict[str, Form] = {}
    for description, names in table.items():
        read = form(description)
        for name in names.split():
            found[f"{dialect}.{name}"] = read
    return found


def _steps(words: list[str]) -> list[_Step]:
    steps: list[_Step] = []
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if word == "[":
            end = words.index("]?", at)
            steps.append(_optional(words[at], _steps(words[at:end])))
            at = end + 1
        elif word in _WORDS:
            steps.append(_WORDS[word])
        elif "=" in word and word[0].isalpha() and not word.endswith("="):
            name, _, kind = word.partition("=")
            steps.append(_attribute(name, kind))
        else:
            steps.append(_literal(word.strip("'") if len(word) == 3 else word))
    return steps


def _optional(first: str, steps: list[_Step]) -> _Step:
    def read(reader: ModuleReader, op: Operation) -> Sequence[ValueType] | None:
        here = reader.at("%") if first.startswith("%") else reader.at(":") if first.startswith(":") else _at_literal(reader, first)
        if not here:
            return None
        types: Sequence[ValueType] | None = None
        for step in steps:
            told = step(reader, op)
            types = told if told is not None else types
        return types

    return read


def _at_literal(reader: ModuleReader, text: str) -> bool:
    text = text.strip("'") if len(text) == 3 else text
    if text == "region":
        return reader.at("{")
    return reader.at_word(text) if text[0].isalpha() else reader.at(text)


def _literal(text: str) -> _Step:
    def sign(reader: ModuleReader, op: Operation) -> None:
        reader.need(text)

    def word(reader: ModuleReader, op: Operation) -> None:
        reader.need_word(text)

    return word if text[0].isalpha() else sign


def _attribute(name: str, kind: str) -> _Step:
    read = _KINDS.get(kind)

    def plain(reader: ModuleReader, op: Operation) -> None:
        assert read is not None
        op.attributes[name] = read(reader)

    def shortened(reader: ModuleReader, op: Operation) -> None:
        op.attributes[name] = reader.attribute(kind)

    return shortened if read is None else plain


def _symbol(reader: ModuleReader) -> str:
    name = reader.symbol()
    if name is None:
        raise reader.expected("a symbol")
    return name


def _string(reader: ModuleReader) -> str:
    text = reader.string()
    if text is None:
        raise reader.expected("a string")
    return text


_KINDS: dict[str, Callable[[ModuleReader], Any]] = {
    "attr": lambda reader: reader.attribute(),
    "int": lambda reader: reader.integer(),
    "ints": lambda reader: reader.integers(),
    "word": lambda reader: reader.need_word(),
    "sym": _symbol,
    "string": _string,
}


def _one(reader: ModuleReader, op: Operation) -> None:
    op.operands.append(reader.operand())


def _several(reader: ModuleReader, op: Operation) -> None:
    op.operands += reader.operands()


def _perhaps(reader: ModuleReader, op: Operation) -> None:
    if reader.at("%"):
        op.operands.append(reader.operand())


def attributes(reader: ModuleReader, op: Operation) -> None:
    """``{...}`` or ``attributes {...}``, where there are any; and ``<{...}>``."""
    if reader.at("<{"):
        reader.need("<")
        op.attributes.update(reader.dictionary())
        reader.need(">")
    if reader.take_word("attributes") or (reader.at("{") and not reader.at("{-#")):
        op.attributes.update(reader.dictionary())


def same(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``: type`` of all operands and of one result, or ``: (types) -> types``."""
    reader.need(":")
    if reader.at("("):
        kind = reader.any_type()
        return kind.results if isinstance(kind, FunctionType) else (kind,)
    return (reader.type(),)


def functional(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``: (types) -> types``."""
    reader.need(":")
    return reader.function_type().results


def results(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``: types`` of the results."""
    reader.need(":")
    return reader.type_list()


def _none(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    reader.need(":")
    reader.type_list()
    return ()


def to(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``: types -> types``, ``: types to types``, or ``: (types) -> types``."""
    reader.need(":")
    first = [reader.any_type()]
    if isinstance(first[0], FunctionType):
        return first[0].results
    while reader.take(","):
        first.append(reader.any_type())
    if reader.take("->"):
        return reader.types_or_one()
    if reader.at_word("to") or reader.at_word("into"):
        reader.word()
        return tuple(reader.type_list())
    return tuple(map(value_type, first[-1:]))


def _region(reader: ModuleReader, op: Operation) -> None:
    op.regions.append(reader.region())


_WORDS: dict[str, _Step] = {
    "%": _one,
    "%,": _several,
    "%?": _perhaps,
    "{}": attributes,
    ":same": same,
    ":func": functional,
    ":results": results,
    ":none": _none,
    ":to": to,
    "region": _region,
}
