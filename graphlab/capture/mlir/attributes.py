"""MLIR text: types and attributes, by https://mlir.llvm.org/docs/Dialects/Builtin and the dialects' own forms."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from graphlab.capture.mlir import structures
from graphlab.capture.mlir.dense import constant, plain, real, rounded, sparse_bytes, strings, text_bytes
from graphlab.capture.mlir.lexer import ALIAS, INTEGER, NUMBER, STRING, Lexer, parse_int, spaced, unescape
from graphlab.capture.mlir.module import AliasLoc, CallLoc, FileLoc, FunctionType, FusedLoc, Location, NameLoc
from graphlab.capture.mlir.types import bounds_of, quantization, tensor, type_text, value_type
from graphlab.errors import ValueUnavailable
from graphlab.ir.constants import Constant
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.values import Dim, OpaqueType, TensorType, TokenType, TupleType, ValueType

MAX_DEPTH = 60
"""Types, attributes and locations within each other."""

_UNFOLDED = 1 << 24
_LAZY_TEXT = 1 << 16  # characters of a dense attribute that are fetched from the file again rather than kept
_PLAIN_TENSOR = re.compile(r"tensor<((?:(?:\d{1,18}|\?)x)*+)([a-z][\w]*+)>", re.ASCII)
_DIMS = re.compile(r"((?:(?:\d{1,18}|\?)\s*x\s*)*+)")
_SCALAR = re.compile(r"(?:[su]?i\d{1,8}|index|bf16|tf32|f\d{1,3}(?:[A-Z]\w*)?|none)\b", re.ASCII)
_BUILTIN = re.compile(r"(tensor|tuple|memref|vector|complex)\s*<")
_DIALECT_TYPE = re.compile(r"!([A-Za-z_][\w$]*(?:\.[\w$.-]+)?)", re.ASCII)
_DIALECT_ATTRIBUTE = re.compile(r"#([A-Za-z_][\w$]*(?:\.[\w$.-]+)?)", re.ASCII)
_DENSE_ARRAY = re.compile(r"array\s*<\s*([a-z]\w*)\s*(?::\s*([^<>]*))?>")
_ALIAS_INSIDE = re.compile(r'"(?:[^"\\]++|\\.)*+"|([#!])([A-Za-z_]\w*+)(?![\w.<$-])', re.ASCII)
_VHLO_SCALAR = re.compile(r"!vhlo\.(\w+)_v\d+$", re.ASCII)
_QUANT_STORAGE = re.compile(r"([suif]+\d+\w*)\s*(?:<\s*(-?\d+)\s*:\s*(-?\d+)\s*>)?")
_ATTRIBUTE_NAME = re.compile(r'([A-Za-z_][\w$.]*+)|"((?:[^"\\\n]++|\\.)*+)"', re.ASCII)


class Alias(NamedTuple):
    """Where the value of ``#name = value`` or ``!name = value`` starts."""

    start: int


class AttributeReader(Lexer):
    """Reads types and attributes; remembers types by their text, of which a module has few different ones.

    Args:
        aliases: where the values of ``#name`` and ``!name`` stand.
        slice_of: gives the loader of a stretch of the file, where the text is a file's.

    Attributes:
        told: the type that the number or the elements read last are said to be of.
    """

    __slots__ = ("_alias_values", "_depth", "_types", "_unfolded", "aliases", "resources", "slice_of", "told")

    def __init__(
        self, text: str, path: str | None = None, pos: int = 0, end: int | None = None, *,
        aliases: dict[str, Alias] | None = None, slice_of: Callable[[int, int], Callable[[], bytes]] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(text, path, pos, end)
        self.aliases = aliases or {}
        self.slice_of = slice_of
        self.resources: dict[str, tuple[int, int]] = {}
        self._types: dict[str, ValueType] = {}
        self._alias_values: dict[str, Any] = {}
        self.told: ValueType | None = None
        self._unfolded = 0
        self._depth = 0

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self.wrong(f"types and attributes within each other more than {MAX_DEPTH} deep")

    # Types

    def type(self) -> ValueType:
        """The type of a value that stands here."""
        self.skip()
        found = _PLAIN_TENSOR.match(self.text, self.pos, self.end)
        if found is not None:
            self.pos = found.end()
            known = self._types.get(found[0])
            if known is None:
                known = self._types[found[0]] = tensor(found[2], _dims(found[1]))
            return known
        return value_type(self.any_type())

    def any_type(self) -> ValueType | FunctionType:
        """The type that stands here, which may be a function's."""
        self._enter()
        found = self._any_type()
        self._depth -= 1
        return found

    def _any_type(self) -> ValueType | FunctionType:
        at = self.peek()
        if at == "(":
            return self.function_type()
        if at == "!":
            return self._dialect_type()
        scalar = self.match(_SCALAR)
        if scalar is not None:
            return OpaqueType(scalar[0])
        found = self.match(_BUILTIN)
        if found is None:
            raise self.expected("a type")
        if found[1] == "tensor":
            return self._tensor()
        if found[1] == "tuple":
            return TupleType(self._types_until(">"))
        self.pos = found.end() - 1
        start, end = self.balanced()
        return OpaqueType(found[1] + spaced(self.text[start:end]))

    def at_type(self) -> bool:
        """Whether a type comes next."""
        at = self.peek()
        return at in ("(", "!") or _SCALAR.match(self.text, self.pos) is not None or _BUILTIN.match(self.text, self.pos) is not None

    def function_type(self) -> FunctionType:
        """``(types) -> types``."""
        self.need("(")
        inputs = self._types_until(")")
        self.need("->")
        return FunctionType(inputs, self.types_or_one())

    def types_or_one(self) -> tuple[ValueType, ...]:
        """``(types)`` or one type."""
        if self.at("("):
            start = self.pos
            self.pos += 1
            found = self._types_until(")")
            if self.at("->"):  # one function type
                self.pos = start
                return (self.type(),)
            return found
        return (self.type(),)

    def type_list(self) -> list[ValueType]:
        """Types with commas between."""
        found = [self.type()]
        while self.take(","):
            found.append(self.type())
        return found

    def _types_until(self, sign: str) -> tuple[ValueType, ...]:
        found: list[ValueType] = []
        while not self.take(sign):
            if found:
                self.need(",")
            found.append(self.type())
            if self.at("{"):  # attributes of a result in a declaration
                self.balanced()
        return tuple(found)

    def _tensor(self) -> TensorType:
        """What stands after ``tensor<``."""
        dims: tuple[Dim, ...] | None
        self.skip()
        if self.take("*"):
            self.need("x")
            dims = None
        else:
            found = self.match(_DIMS)
            dims = _dims("" if found is None else re.sub(r"\s", "", found[1]))
        element = self.any_type()
        encoding: str | None = None
        bounds: list[int | None] = []
        if self.take(","):
            text = self.attribute_text()
            told = bounds_of(text)
            bounds, encoding = (told, None) if told is not None else ([], text)
        self.need(">")
        if isinstance(element, TensorType) and element.dims == ():  # quantized
            return tensor(
                element.dtype, dims, bounds=bounds, encoding=encoding, quantization=element.quantization, quantized=element.layout
            )
        return tensor(type_text(element), dims, bounds=bounds, encoding=encoding)

    def _dialect_type(self) -> ValueType | FunctionType:
        start = self.pos
        found = self.match(_DIALECT_TYPE)
        if found is None:
            raise self.expected("a type")
        name = found[1]
        if "." not in name and not self.text.startswith("<", self.pos):
            known = self._alias("!" + name, start)
            return known if isinstance(known, (TensorType, TupleType, TokenType, OpaqueType, FunctionType)) else OpaqueType(f"!{name}")
        special = _SPECIAL_TYPES.get(name)
        if special is not None:
            return special(self)
        scalar = _VHLO_SCALAR.match(found[0])
        if scalar is not None and not self.text.startswith("<", self.pos):
            return OpaqueType({"bool": "i1", "index": "index"}.get(scalar[1], _vhlo_scalar(scalar[1])))
        if self.text.startswith("<", self.pos):
            self.balanced()
        return OpaqueType(self._expanded(start, self.pos))

    def _token(self) -> TokenType:
        return TokenType()

    def _vhlo_tensor(self) -> TensorType:
        self.need("<")
        return self._tensor()

    def _vhlo_unranked(self) -> TensorType:
        self.need("<")
        element = self.any_type()
        self.need(">")
        return tensor(element.dtype if isinstance(element, TensorType) else type_text(element), None)

    def _vhlo_tuple(self) -> TupleType:
        self.need("<")
        return TupleType(self._types_until(">"))

    def _vhlo_complex(self) -> OpaqueType:
        self.need("<")
        element = self.any_type()
        self.need(">")
        return OpaqueType(f"complex<{type_text(element)}>")

    def _vhlo_function(self) -> FunctionType:
        self.need("<")
        found = self.function_type()
        self.need(">")
        return found

    def _quantized(self) -> TensorType:
        """``!quant.uniform<i8<-127:127>:f32:1, {0.5:3, 0.25}>`` as a tensor type without dims: what a tensor has as element."""
        start, end = self.balanced()
        inner = AttributeReader(self.text, self.path, start + 1, end - 1)
        whole = spaced(self.text[start:end])
        found = inner.match(_QUANT_STORAGE)
        if found is None:
            raise inner.expected("a stored type")
        storage, low, high = found[1], found[2], found[3]
        if re.fullmatch(r"u\d+", storage):
            storage = f"ui{storage[1:]}"
        opaque = tensor(storage, (), quantized=f"!quant.uniform{whole}")
        if not inner.take(":"):
            return opaque
        expressed = type_text(inner.any_type())
        axis: int | None = None
        if inner.take(":"):
            if inner.at("{"):
                return opaque  # scales of blocks
            axis = inner.integer()
        inner.need(",")
        pairs: list[tuple[float, int]] = []
        braced = inner.take("{")
        while True:
            number = inner.match(NUMBER)
            if number is None:
                return opaque
            pairs.append((real(number[0], 64), inner.integer() if inner.take(":") else 0))
            if not braced or not inner.take(","):
                break
        told = quantization(
            storage, expressed, [scale for scale, _ in pairs], [zero for _, zero in pairs], axis,
            None if low is None else int(low), None if high is None else int(high),
        )  # fmt: skip
        return tensor(storage, (), quantization=told)

    def _vhlo_quantized(self) -> TensorType:
        """``!vhlo.quant_v1<!vhlo.i8_v1:!vhlo.f32_v1, 1.0:17, -128:127, 1>``."""
        start = self.pos
        self.need("<")
        storage = type_text(self.any_type())
        self.need(":")
        expressed = type_text(self.any_type())
        numbers: list[float] = []
        while self.take(",") or self.take(":"):
            number = self.match(NUMBER)
            if number is None:
                break
            numbers.append(real(number[0], 64))
        if not self.take(">") or len(numbers) < 4:
            self.pos = start
            _, end = self.balanced()
            return tensor(storage, (), quantized=f"!vhlo.quant_v1{spaced(self.text[start:end])}")
        scale, zero, low, high = numbers[:4]
        return tensor(storage, (), quantization=quantization(storage, expressed, [scale], [int(zero)], None, int(low), int(high)))

    # Attributes

    def attribute(self, mnemonic: str | None = None) -> Any:
        """The attribute that stands here, decoded; small dense elements as plain numbers.

        Args:
            mnemonic: what stands before ``<`` in full where an operation's own syntax leaves it out (``#sdy.sharding``).
        """
        value = self.elements(mnemonic)
        return plain(value) if isinstance(value, Constant) else value

    def elements(self, mnemonic: str | None = None) -> Any:
        """The same, dense elements as a Constant."""
        self._enter()
        found = self._attribute(mnemonic)
        self._depth -= 1
        return found

    def _attribute(self, mnemonic: str | None) -> Any:
        at = self.peek()
        if at == "#":
            return self._dialect_attribute()
        if at == '"':
            text = self.string()
            if self.take(":"):
                self.any_type()
            return text
        if at == "@":
            return self._symbol()
        if at == "[":
            return self.array()
        if at == "{":
            return FrozenDict(self.dictionary())
        if at == "<" and mnemonic is not None:
            start, end = self.balanced()
            return structures.decode(self, mnemonic, start + 1, end - 1, self._expanded(start, end))
        number = self.match(NUMBER)
        if number is not None:
            return self._number(number)
        start = self.pos
        word = self.word()
        if word is not None:
            special = _SPECIAL_ATTRIBUTES.get(word)
            if special is not None and self.at(_OPENS.get(word, "")):
                return special(self)
            self.pos = start
        if self.at_type():
            kind = self.any_type()
            return OpaqueType(type_text(kind)) if isinstance(kind, FunctionType) else kind
        if word is not None and mnemonic is not None:
            self.pos = start + len(word)
            return word
        raise self.expected("an attribute")

    def attribute_text(self) -> str:
        """The attribute that stands here as text, aliases spelt out."""
        self.skip()
        start = self.pos
        self.attribute()
        return self._expanded(start, self.pos)

    def array(self) -> tuple[Any, ...]:
        """``[attribute, ...]``."""
        self.need("[")
        found: list[Any] = []
        while not self.take("]"):
            if found:
                self.need(",")
            found.append(self.attribute())
        return tuple(found)

    def dictionary(self) -> dict[str, Any]:
        """``{name = attribute, unit, ...}``."""
        self.need("{")
        found: dict[str, Any] = {}
        first = True
        while not self.take("}"):
            if not first:
                self.need(",")
            first = False
            name = self.attribute_name()
            if not self.take("="):
                found[name] = True
            elif name == "function_type" and self.at("("):  # the one attribute that holds a function's type by itself
                found[name] = self.any_type()
            elif name == "value":  # a constant's
                found[name] = self.elements()
            else:
                found[name] = self.attribute()
        return found

    def attribute_name(self) -> str:
        """A name, bare or quoted."""
        found = self.match(_ATTRIBUTE_NAME)
        if found is None:
            raise self.expected("an attribute's name")
        return found[1] or unescape(found[2])

    def integers(self) -> tuple[int, ...]:
        """``[1, 2]``."""
        self.need("[")
        found: list[int] = []
        while not self.take("]"):
            if found:
                self.need(",")
            found.append(self.integer())
        return tuple(found)

    def _symbol(self) -> str:
        names = [self.symbol()]
        if names[0] is None:
            raise self.expected("a symbol")
        while self.take("::"):
            names.append(self.symbol())
            if names[-1] is None:
                raise self.expected("a symbol")
        return names[0] if len(names) == 1 else "::".join(f"@{name}" for name in names)

    def _number(self, found: re.Match[str]) -> Any:
        text = found[0]
        self.told = value_type(self.any_type()) if self.take(":") else None
        kind = None if self.told is None else type_text(self.told)
        is_float = kind is not None and not re.fullmatch(r"[su]?i\d+|index", kind)
        if is_float or (kind is None and "x" not in text and any(c in text for c in ".eE")):
            bits = re.match(r"b?f(\d+)$", kind or "f64")
            if kind == "bf16" and "x" in text:
                return real(text + "0000", 32)
            return rounded(real(text, int(bits[1]) if bits else 64), kind)
        value = parse_int(text)
        return bool(value) if kind == "i1" else value

    def _true(self) -> bool:
        return True

    def _false(self) -> bool:
        return False

    def _elements(self) -> Any:
        """What stands after ``dense``."""
        start, end = self.balanced()
        kind = self._of_type()
        return self._dense(kind, start + 1, end - 1)

    def _of_type(self) -> ValueType:
        self.need(":")
        self.told = kind = self.type()
        if isinstance(kind, OpaqueType) and kind.name.startswith("vector<"):
            dims = re.fullmatch(r"vector<((?:\d{1,18}x)*)(\w+)>", kind.name)
            if dims is not None:
                return tensor(dims[2], _dims(dims[1]))
        return kind

    def _dense(self, kind: ValueType, start: int, end: int) -> Any:
        if not isinstance(kind, TensorType):
            return constant(kind, b"")
        if kind.dtype == "string" or (self.text.startswith('"', start) and not self.text.startswith('"0x', start)):
            return strings(self.text[start:end], kind)
        if end - start > _LAZY_TEXT and self.slice_of is not None:
            load = self.slice_of(start, end - start)
            return constant(kind, lambda: text_bytes(load().decode("latin-1"), kind))
        text = self.text[start:end]
        return constant(kind, lambda: text_bytes(text, kind))

    def _sparse(self) -> Any:
        start, end = self.balanced()
        kind = self._of_type()
        inner = AttributeReader(self.text, self.path, start + 1, end - 1)
        pieces: list[str] = []
        while inner.peek():
            if pieces:
                inner.need(",")
            inner.skip()
            at = inner.pos
            if inner.at("["):
                inner.balanced()
            elif inner.at('"'):
                inner.string()
            elif inner.match(NUMBER) is None and inner.word() is None:
                raise inner.expected("a value")
            pieces.append(self.text[at : inner.pos])
        if not isinstance(kind, TensorType) or len(pieces) not in (0, 2):
            return constant(kind, b"")
        places, values = pieces or ("[]", "0")
        count = _NUMBERS.findall(values)

        def load() -> bytes:
            flat = tuple(int(n) for n in INTEGER.findall(places)) if "0x" not in places else ()
            if "0x" in places:
                raise ValueUnavailable("fetch a sparse constant", found="its places are in hexadecimal digits", do="use its text")
            dense = text_bytes(values, TensorType(kind.dtype, (len(count),)))
            return sparse_bytes(flat if pieces else (), dense, kind)

        return constant(kind, load)

    def _resource(self) -> Any:
        self.need("<")
        name = self.attribute_name()
        self.need(">")
        kind = self._of_type()
        found = self.resources.get(name)
        if found is None:
            return Constant(kind, None, reason=f"the module has no resource '{name}'")
        start, end = found
        if not isinstance(kind, TensorType) or kind.elements is None:
            return Constant(kind, None, reason="it is no dense array of known shape")
        # The first four bytes say the alignment.
        skip = start + len("0x") + 8
        if self.slice_of is not None:
            load = self.slice_of(skip, max(0, end - skip))
            return constant(kind, lambda: text_bytes('"0x' + load().decode("latin-1") + '"', kind))
        text = self.text[skip:end]
        return constant(kind, lambda: text_bytes(f'"0x{text}"', kind))

    def _array_attribute(self) -> tuple[Any, ...]:
        """``array<i64: 1, 2>``, whose first word is read already."""
        self.pos -= len("array")
        found = self.match(_DENSE_ARRAY)
        if found is None:
            raise self.expected("array<type: values>")
        inner = (found[2] or "").strip()
        if not inner:
            return ()
        parts = [part.strip() for part in inner.split(",")]
        if found[1] == "i1":
            return tuple(part in ("true", "1") for part in parts)
        if not all(NUMBER.fullmatch(part) for part in parts):
            raise self.wrong("a value in array<> that is no number", found.start())
        return tuple(real(part, 64) if found[1].startswith("f") else parse_int(part) for part in parts)

    def _opaque_text(self) -> str:
        """``affine_map<...>`` and what else is kept as text; its word is read already."""
        end = self.pos
        start = end
        while start > 0 and (self.text[start - 1].isalnum() or self.text[start - 1] == "_"):
            start -= 1
        self.balanced()
        return spaced(self.text[start : self.pos])

    def _location_attribute(self) -> str:
        start = self.pos - len("loc")
        self.balanced()
        return spaced(self.text[start : self.pos])

    def _distinct(self) -> str:
        start = self.pos - len("distinct")
        self.balanced()
        if self.at("<"):
            self.balanced()
        return spaced(self.text[start : self.pos])

    def _strided(self) -> str:
        start = self.pos - len("strided")
        self.balanced()
        return spaced(self.text[start : self.pos])

    def _dialect_attribute(self) -> Any:
        start = self.pos
        found = self.match(_DIALECT_ATTRIBUTE)
        if found is None:
            raise self.expected("an attribute")
        name = found[1]
        opened = self.text.startswith("<", self.pos)
        if "." not in name and not opened:
            return self._alias("#" + name, start)
        if not opened:
            return structures.decode(self, found[0], self.pos, self.pos, found[0])
        inner, end = self.balanced()
        kind = value_type(self.any_type()) if self._typed(name) else None
        return structures.decode(self, found[0], inner + 1, end - 1, self._expanded(start, end), kind)

    def _typed(self, name: str) -> bool:
        return name.startswith("vhlo.") is False and self.at(":") and not self.at("::") and self._take_colon()

    def _take_colon(self) -> bool:
        self.pos += 1
        return True

    def _alias(self, name: str, pos: int) -> Any:
        """The value that ``#name`` or ``!name`` stands for; read where it is defined, once."""
        if name in self._alias_values:
            return self._alias_values[name]
        alias = self.aliases.get(name)
        if alias is None:
            return name  # of a module's part: the definition stands elsewhere
        back = self.pos
        self.pos = alias.start
        del self.aliases[name]  # one that leads back to itself is not found again
        if name.startswith("!"):
            value: Any = self.any_type()
        elif self.at_word("loc"):
            value = name
        else:
            value = self.attribute()
        self.aliases[name] = alias
        self.pos = back
        self._alias_values[name] = value
        return value

    def _expanded(self, start: int, end: int) -> str:
        """Text with one space for blanks and aliases spelt out."""
        text = spaced(self.text[start:end])
        if ("#" in text or "!" in text) and self.aliases:
            text = _ALIAS_INSIDE.sub(self._alias_text, text)
        return text

    def _alias_text(self, found: re.Match[str]) -> str:
        """What an alias within a text stands for. All of them together may not unfold without end."""
        alias = self.aliases.get(f"{found[1]}{found[2]}") if found[1] else None
        if alias is None:
            return found[0]
        back = self.pos
        self.pos = alias.start
        name = f"{found[1]}{found[2]}"
        del self.aliases[name]
        self._enter()
        if found[1] == "!":
            text = type_text(self.any_type())
        elif self.at_word("loc"):
            text = found[0]
        else:
            text = self.attribute_text()
        self._depth -= 1
        self.aliases[name] = alias
        self.pos = back
        self._unfolded += len(text) + 1
        if self._unfolded > _UNFOLDED:
            raise self.wrong(f"aliases that unfold to more than {_UNFOLDED:,} characters")
        return text

    # Locations

    def location(self) -> Location:
        """``loc(...)``, whose word is read already."""
        self.need("(")
        found = self._location()
        self.need(")")
        return found

    def _location(self) -> Location:
        self._enter()
        found = self._location_inside()
        self._depth -= 1
        return found

    def _location_inside(self) -> Location:
        if self.at("#"):
            alias = self.match(ALIAS)
            if alias is not None and not self.at("<"):
                return AliasLoc(alias[1])
            self.balanced()
            return None
        text = self.string()
        if text is not None:
            if self.take(":"):
                line = self.integer()
                column = self.integer() if self.take(":") else 0
                if self.take_word("to"):  # a range
                    while self.match(INTEGER) is not None or self.take(":"):
                        pass
                return FileLoc(text, line, column)
            if self.take("("):
                child = self._location()
                self.need(")")
                return NameLoc(text, child)
            return NameLoc(text)
        word = self.need_word("callsite", "fused", "unknown")
        if word == "unknown":
            return None
        if word == "callsite":
            self.need("(")
            callee = self._location()
            self.need_word("at")
            caller = self._location()
            self.need(")")
            return CallLoc(callee, caller)
        if self.at("<"):
            self.balanced()
        self.need("[")
        parts: list[Location] = []
        while not self.take("]"):
            if parts:
                self.need(",")
            parts.append(self._location())
        return FusedLoc(tuple(parts))


def _dims(text: str) -> tuple[Dim, ...]:
    return tuple(None if part == "?" else int(part) for part in text.split("x")[:-1])


def _vhlo_scalar(name: str) -> str:
    """``f8E4M3FN`` of ``!vhlo.f8E4M3FN_v1``; MLIR's own names but for the letters' case in the oldest versions."""
    return name


_NUMBERS = re.compile(r"[-+]?(?:0x[0-9a-fA-F]++|\d++(?:\.\d*+(?:[eE][-+]?\d++)?)?)|true|false")

_SPECIAL_TYPES: dict[str, Callable[[AttributeReader], ValueType | FunctionType]] = {
    **dict.fromkeys(("stablehlo.token", "mhlo.token", "vhlo.token_v1"), AttributeReader._token),
    "vhlo.tensor_v1": AttributeReader._vhlo_tensor,
    "vhlo.unranked_tensor_v1": AttributeReader._vhlo_unranked,
    "vhlo.tuple_v1": AttributeReader._vhlo_tuple,
    "vhlo.complex_v1": AttributeReader._vhlo_complex,
    "vhlo.func_v1": AttributeReader._vhlo_function,
    "vhlo.quant_v1": AttributeReader._vhlo_quantized,
    "quant.uniform": AttributeReader._quantized,
}

_OPENS = {
    **dict.fromkeys(("dense", "sparse", "array", "dense_resource", "affine_map", "affine_set", "strided"), "<"),
    "loc": "(",
    "distinct": "[",
}
_SPECIAL_ATTRIBUTES: dict[str, Callable[[AttributeReader], Any]] = {
    "true": AttributeReader._true,
    "false": AttributeReader._false,
    "unit": AttributeReader._true,
    "dense": AttributeReader._elements,
    "sparse": AttributeReader._sparse,
    "dense_resource": AttributeReader._resource,
    "array": AttributeReader._array_attribute,
    "affine_map": AttributeReader._opaque_text,
    "affine_set": AttributeReader._opaque_text,
    "strided": AttributeReader._strided,
    "loc": AttributeReader._location_attribute,
    "distinct": AttributeReader._distinct,
}

__all__ = ["ALIAS", "STRING", "Alias", "AttributeReader"]
