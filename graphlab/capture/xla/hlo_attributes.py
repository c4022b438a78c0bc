"""HLO instruction attributes: ``dimensions={0,1}, window={size=3x3}, metadata={...}`` to values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any

from graphlab.capture.xla.hlo_lexer import HloText, unquote, without_comments
from graphlab.ir.frozen import EMPTY, FrozenDict, freeze

CALLED = (
    "calls", "to_apply", "condition", "body", "true_computation", "false_computation",
    "branch_computations", "called_computations", "select", "scatter",
)  # fmt: skip
"""Attributes that name computations."""

_MAX_NESTING = 32
_MAX_DEVICES = 65_536  # a device list longer than that stays text

# A key and a value with brackets two deep at most; what does not fit goes the long way.
_STRING = r'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"'
_FLAT = r'\{[^{}"\n]*+(?:' + _STRING + r'[^{}"\n]*+)*+\}'
_CHUNK = re.compile(
    r"([\w\-]+)=("
    r'(?:[^\s,(){}\[\]"]|\[[^\[\]{}"\n]*+\]|\([^(){}"\n]*+\))++'
    r'|\{[^{}"\n]*+(?:(?:' + _STRING + "|" + _FLAT + r')[^{}"\n]*+)*+\}'
    r"|" + _STRING + r")(?:, |$)",
    re.ASCII,
)
_KEY = re.compile(r"([\w\-]+)\s*=\s*", re.ASCII)
_WORD = re.compile(r'[^\s,(){}\[\]"]+')
_INT = re.compile(r"-?\d{1,19}", re.ASCII)
_FLOAT = re.compile(r"-?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|inf|nan)", re.ASCII)
_INTS = re.compile(r"\{-?\d{1,19}(?:,\s*-?\d{1,19})*\}", re.ASCII)
_SLICE = re.compile(r"\[(\d{1,19}):(\d{1,19})(?::(\d{1,19}))?\]", re.ASCII)
_DEVICES = re.compile(r",\s*device_ids=\(")  # of a mesh, within an attribute's value
_IOTA = re.compile(r"\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?", re.ASCII)
_PAIR = re.compile(r'([\w\-]+)=("(?:[^"\\]++|\\.)*+"|\{[^{}]*\}|[^\s,{}"]+)[\s,]*', re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Attributes:
    """One instruction's attributes, decoded.

    Attributes:
        values: name → value; what names computations or only orders is not among them.
        called: (name, names of computations), in the text's order.
        after: the instructions that run before this one (``control-predecessors``).
        sharding: HLO's sharding text.
        debug: what changes no meaning.
    """

    values: FrozenDict[str, Any] = EMPTY
    called: tuple[tuple[str, tuple[str, ...]], ...] = ()
    after: tuple[str, ...] = ()
    sharding: str | None = None
    debug: FrozenDict[str, Any] = field(default=EMPTY)


NONE = Attributes()


class AttributeReader:
    """Decodes attribute lists, each distinct attribute once."""

    __slots__ = ("_lists", "_texts", "_values", "source")

    def __init__(self, source: HloText) -> None:
        self.source = source
        self._values: dict[tuple[str, str], Any] = {}
        self._texts: dict[str, Attributes] = {}
        self._lists: dict[tuple[tuple[str, str], ...], Attributes] = {}

    def quick(self, text: str) -> tuple[Attributes, str] | None:
        """Decode a whole list on one line: the attributes and the metadata's text; None where it needs :meth:`read`."""
        # Metadata at the end and without inner braces, the usual form, leaves a rest that many instructions share.
        cut = text.find("metadata={")
        if cut >= 0 and text.find("}", cut) == len(text) - 1:
            if cut == 0:
                return NONE, text[9:]
            if text.startswith(", ", cut - 2):
                head = self._short(text[: cut - 2])
                return None if head is None else (head, text[cut + 9 :])
        pairs = _pairs(text)
        return None if pairs is None else self._decode(pairs)

    def _short(self, text: str) -> Attributes | None:
        """A list without metadata, by its whole text."""
        known = self._texts.get(text)
        if known is None:
            pairs = _pairs(text)
            decoded = None if pairs is None else self._decode(pairs)
            if decoded is None or decoded[1]:
                return None
            known = self._texts[text] = decoded[0]
        return known

    def read(self, pos: int, *, in_place: bool = False) -> tuple[Attributes, str, int]:
        """Decode the list that starts at ``pos`` with a comma, if there is one: also the metadata's text and the position after.

        After an instruction ``in_place`` of an operand, a comma may also lead to the next operand.
        """
        source = self.source
        pairs: list[tuple[str, str]] = []
        while source.at(after := source.skip(pos)) == ",":
            start = source.skip(after + 1)
            key = _KEY.match(source.text, start, source.end)
            if key is None and in_place:
                break
            if key is None:
                raise source.expected("an attribute", start)
            pos = self._value_end(key.end())
            if key[1] == "literal":  # a shape, a blank, the value
                pos = self._value_end(source.skip(pos))
            pairs.append((key[1], source.text[key.end() : pos]))
        decoded = self._decode(pairs)
        if decoded is None:
            raise source.wrong("an attribute that is given twice", pos)
        return *decoded, pos

    def of(self, pairs: list[tuple[str, str]]) -> Attributes:
        """The attributes of these names and texts, none of which names computations or instructions, nor is metadata."""
        known = tuple(pairs)
        rest = self._lists.get(known)
        if rest is None:
            rest = self._lists[known] = self._list(pairs)
        return rest

    def _value_end(self, start: int) -> int:
        """The position after a value: words, strings and bracketed groups without a blank between them."""
        source, pos = self.source, start
        while char := source.at(pos):
            if char in "({[":
                pos = source.balanced(pos)
                if source.text.startswith("mesh[", start):
                    devices = _DEVICES.match(source.text, pos, source.end)
                    pos = source.balanced(devices.end() - 1) if devices else pos
                    pos = source.skip(pos) if source.at(source.skip(pos)) == "{" else pos
            elif char == '"':
                pos = source.string(pos)
            elif match := _WORD.match(source.text, pos, source.end):
                pos = match.end()
            else:
                break
        if pos == start:
            raise source.expected("a value", pos)
        return pos

    def _decode(self, pairs: list[tuple[str, str]]) -> tuple[Attributes, str] | None:
        """None where a name is given twice."""
        metadata = ""
        for i, (key, text) in enumerate(pairs):
            if key == "metadata":  # nearly every instruction has its own: kept apart so that the rest repeats
                metadata = text
                del pairs[i]
                break
        known = tuple(pairs)
        rest = self._lists.get(known)
        if rest is None:
            names = {key for key, _ in pairs}
            if len(names) != len(pairs) or "metadata" in names:
                return None
            rest = self._lists[known] = self._list(pairs)
        return rest, metadata

    def _list(self, pairs: list[tuple[str, str]]) -> Attributes:
        values: dict[str, Any] = {}
        debug: dict[str, Any] = {}
        called: list[tuple[str, tuple[str, ...]]] = []
        after: tuple[str, ...] = ()
        sharding = None
        for key, text in pairs:
            clean = without_comments(text)
            if key in CALLED:
                called.append((key, _names(clean)))
            elif key == "control-predecessors":
                after = _names(clean)
            elif key in ("origin", "original_value"):
                debug[key] = clean
            else:
                value = self._values.get((key, text))
                if value is None:
                    value = self._values[key, text] = decode(key, clean)
                values[key] = value
                if key == "sharding":
                    sharding = clean
        return Attributes(FrozenDict(values) if values else EMPTY, tuple(called), after, sharding, FrozenDict(debug) if debug else EMPTY)


def _pairs(text: str) -> list[tuple[str, str]] | None:
    """The names and values of a list on one line; None where it is not of the common form."""
    pairs: list[tuple[str, str]] = []
    pos = 0
    for match in _CHUNK.finditer(text):
        if match.start() != pos:
            return None
        pairs.append((match[1], match[2]))
        pos = match.end()
    return None if pos != len(text) or text.endswith(", ") else pairs


def _names(text: str) -> tuple[str, ...]:
    """``{%a, %b}`` or ``%a`` → names without ``%``."""
    return tuple(part.strip().removeprefix("%") for part in text.strip("{}").split(",") if part.strip())


def decode(key: str, text: str) -> Any:
    """The value of one attribute; text that follows no known grammar is returned as it is."""
    reader = _READERS.get(key)
    if reader is None:
        return _value(text)
    if text[:1] == '"' and reader is not _config and reader is not str:
        return unquote(text)
    try:
        value = reader(text)
    except (ValueError, RecursionError):  # of the number and JSON readers: then it is text
        return text
    return text if value is None else value


def _value(text: str, depth: int = 0) -> Any:
    """Numbers, booleans, strings, ``{1,2}``, ``{{0,1},{2}}``, ``{key=value, ...}``; else the text."""
    text = text.strip()
    if text[:1] == '"':
        return unquote(text)
    if text[:1] != "{":
        return _atom(text)
    if _INTS.fullmatch(text):
        return tuple(map(int, text[1:-1].split(",")))
    items = _items(text[1:-1]) if depth < _MAX_NESTING else None
    if items is None:
        return text
    keyed = [_KEY.match(item) for item in items]
    if items and all(keyed):
        return FrozenDict({m[1]: _value(item[m.end() :], depth + 1) for m, item in zip(keyed, items, strict=True) if m})
    if any(keyed):
        return text
    return tuple(_value(item, depth + 1) for item in items)


def _atom(text: str) -> Any:
    if _INT.fullmatch(text):
        return int(text)
    if text in ("true", "false"):
        return text == "true"
    return float(text) if _FLOAT.fullmatch(text) else text


def _items(text: str) -> list[str] | None:
    """The parts between top-level commas; None where the brackets or strings do not fit."""
    parts: list[str] = []
    depth = start = 0
    quoted = escaped = False
    for i, char in enumerate(text):
        if quoted:
            quoted = escaped or char != '"'
            escaped = char == "\\" and not escaped
        elif char == '"':
            quoted = True
        elif char in "{[(":
            depth += 1
        elif char in "}])":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    if depth or quoted:
        return None
    last = text[start:].strip()
    return [*parts, last] if last or parts else []


def pairs_of(text: str) -> dict[str, str] | None:
    """``{a=1 b="x"}`` → name → text, blanks or commas between; None where it is not of that form."""
    found: dict[str, str] = {}
    pos, end = 1, len(text) - 1
    pos += len(text[1:end]) - len(text[1:end].lstrip())
    while pos < end:
        match = _PAIR.match(text, pos, end)
        if match is None:
            return None
        found[match[1]] = match[2]
        pos = match.end()
    return found


def _slices(text: str) -> tuple[tuple[int, int, int], ...] | None:
    """``{[0:2], [1:9:2]}`` → (start, limit, stride) a dimension."""
    items = _items(text[1:-1]) or []
    found = [_SLICE.fullmatch(item) for item in items]
    if not all(found):
        return None
    return tuple((int(m[1]), int(m[2]), int(m[3] or 1)) for m in found if m)


def _by_x(text: str) -> Any:
    """``3x3`` → (3, 3); ``1_1x0_2`` → ((1, 1), (0, 2))."""
    return tuple(tuple(map(int, part.split("_"))) if "_" in part else int(part) for part in text.split("x"))


def _window(text: str) -> FrozenDict[str, Any] | None:
    """Window dimensions by name: sizes and strides a dimension, padding as (low, high) pairs, reversal as booleans."""
    pairs = pairs_of(text)
    if pairs is None:
        return None
    return FrozenDict({k: tuple(v == 1 for v in _by_x(text)) if k == "rhs_reversal" else _by_x(text) for k, text in pairs.items()})


def _padding(text: str) -> tuple[tuple[int, int, int], ...]:
    """``1_1_0x0_2`` → (low, high, interior) a dimension; two numbers mean no interior padding."""
    triples = []
    for part in text.split("x") if text else []:
        low, high, *interior = map(int, part.split("_"))
        triples.append((low, high, interior[0] if interior else 0))
    return tuple(triples)


def _groups(text: str) -> Any:
    """Device groups: ``{{0,1},{2,3}}``, or ``[2,4]<=[4,2]T(1,0)``: an iota reshaped, transposed, reshaped.

    The second form: xla/hlo/ir/tile_assignment.h, ``IotaTileAssignment``.
    """
    match = _IOTA.fullmatch(text)
    if match is None:
        return _value(text)
    dims, reshape = ([int(d) for d in match[i].split(",")] for i in (1, 2))
    order = [int(d) for d in match[3].split(",")] if match[3] else list(range(len(reshape)))
    total = prod(reshape)
    if len(dims) != 2 or prod(dims) != total or not 0 < total <= _MAX_DEVICES or sorted(order) != list(range(len(reshape))):
        return None
    strides = [prod(reshape[axis + 1 :]) for axis in range(len(reshape))]
    devices = [0]
    for axis in order:
        devices = [base + i * strides[axis] for base in devices for i in range(reshape[axis])]
    return tuple(tuple(devices[row * dims[1] : (row + 1) * dims[1]]) for row in range(dims[0]))


def _config(text: str) -> Any:
    """A backend's JSON, given bare or as a string; else the string or text."""
    inner = unquote(text) if text[:1] == '"' else text
    try:
        return freeze(json.loads(inner)) if inner[:1] == "{" else inner
    except (ValueError, RecursionError):
        return inner


def _strings(text: str) -> FrozenDict[str, Any] | None:
    """``{a="x",b={n = 1 : i32}}``: strings stay strings, whatever is in them, and so does what XLA prints bare."""
    items = _items(text[1:-1])
    pairs = [item.partition("=") for item in items or ()]
    if items is None or not all(sign for _, sign, _ in pairs):
        return None
    return FrozenDict(
        {key.strip(): unquote(value) if value[:1] == '"' else value for key, _, value in ((k, s, v.strip()) for k, s, v in pairs)}
    )


_READERS: dict[str, Callable[[str], Any]] = {
    "slice": _slices,
    "window": _window,
    "padding": _padding,
    "replica_groups": _groups,
    "backend_config": _config,
    "frontend_attributes": _strings,
    # Grammars of their own, kept in XLA's spelling.
    **dict.fromkeys(("sharding", "dim_labels", "domain", "operand_layout_constraints", "output_to_operand_aliasing",
                     "entry_computation_layout", "input_output_alias", "buffer_donor", "outfeed_shape"), str),
}  # fmt: skip
