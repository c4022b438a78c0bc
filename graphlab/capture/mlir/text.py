"""MLIR text to a module: operations in their generic form, in their own where it is known, loosely where it is not."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from graphlab.capture.mlir.attributes import Alias, AttributeReader
from graphlab.capture.mlir.lexer import BLANK, SYMBOL, VALUE, WORD, spaced, unescape
from graphlab.capture.mlir.module import AliasLoc, Block, FunctionType, Location, Module, Operation, Region, Value
from graphlab.ir.values import OpaqueType, ValueType

MAX_NESTING = 90
"""Regions within regions."""

UNKNOWN = OpaqueType("unknown")
"""The type of a result whose operation's own syntax is not known and does not state it."""

Form = Callable[["ModuleReader", Operation], Sequence[ValueType] | None]
"""Reads what follows an operation's name; gives the types of its results, ``None`` where they are not told."""

_NAMES = r"%([\w$.-]++)(?::(\d{1,6}))?"
_OPERATION = re.compile(
    rf'(?:{_NAMES}((?:\s*,\s*%[\w$.-]++(?::\d{{1,6}})?)*+)\s*=\s*)?(?:"((?:[^"\\\n]++|\\.)*+)"|([A-Za-z_][\w$]*+(?:\.[\w$]++)*+))',
    re.ASCII,
)
_NAME = re.compile(_NAMES, re.ASCII)
_LABEL = re.compile(r"\^([\w$.-]++)", re.ASCII)
_ALIAS_DEFINITION = re.compile(r"([#!][A-Za-z_][\w$.-]*+)[ \t]*=[ \t]*(?!=)", re.ASCII)
_ALIAS_LINE = re.compile(r"^[ \t]*+" + _ALIAS_DEFINITION.pattern, re.MULTILINE | re.ASCII)
_NEXT_OPERATION = re.compile(
    rf'{_NAMES}(?:\s*,\s*%[\w$.-]++(?::\d+)?)*+\s*=[^=]|"(?:[^"\\\n]++|\\.)*+"\s*\(|(?:[A-Za-z_][\w$]*\.[\w$.]+|return|call|module)\b|[#!][\w$.-]+\s*=|\}}|\^|\{{-#|$',
    re.ASCII,
)
_NAMED_LOCATION = re.compile(r"[ \t]*+loc\(#(loc\d*+)\)", re.ASCII)
_OPERANDS = re.compile(r"[ \t]*+%[\w$.-]++(?:#\d++)?(?:, ?%[\w$.-]++(?:#\d++)?)*+(?=[ \n){:,\[])", re.ASCII)
_RESOURCE = re.compile(r'([A-Za-z_][\w$.-]*|"(?:[^"\\\n]|\\.)*")\s*:\s*("0x[0-9A-Fa-f]*+")', re.ASCII)
# Operations that may stand without their dialect where functions are: https://mlir.llvm.org/docs/Dialects/Func
_BARE = {
    "module": "builtin.module", "unrealized_conversion_cast": "builtin.unrealized_conversion_cast", "func": "func.func",
    "return": "func.return", "call": "func.call", "call_indirect": "func.call_indirect", "constant": "func.constant",
}  # fmt: skip
_ISOLATED = ("builtin.module",)


class _Scope:
    """Names of values, seen from an isolated region. ``pending`` are those used before they are made."""

    __slots__ = ("names", "pending")

    def __init__(self) -> None:
        self.names: dict[str, list[Value]] = {}
        self.pending: dict[tuple[str, int], tuple[Value, int]] = {}


class ModuleReader(AttributeReader):
    """Reads the operations of one module's text.

    Args:
        forms: operations' own syntax, by name.
    """

    __slots__ = ("_blocks", "_defined", "_nesting", "_scope", "forms", "loose")

    def __init__(self, text: str, path: str | None, pos: int, end: int, *, forms: dict[str, Form], **more: Any) -> None:
        super().__init__(text, path, pos, end, aliases=_aliases(text, pos, end), **more)
        self.forms = forms
        self.loose = 0
        self._scope = _Scope()
        self._defined: list[list[str]] = [[]]
        self._blocks: list[dict[str, Block]] = [{}]
        self._nesting = 0

    def module(self) -> Module:
        """All that stands in the text: the one module in it, or its operations as one without a name."""
        start = self.pos
        self._find_resources()
        operations: list[Operation] = []
        while self.peek():
            if self.text.startswith("{-#", self.pos):
                self._skip_resources()
            elif self.text[self.pos] in "#!":
                self._skip_alias()
            else:
                operations.append(self.operation())
        self._settle(self._scope)
        if len(operations) == 1 and operations[0].name == "builtin.module" and operations[0].regions:
            [module] = operations
            body = module.regions[0].blocks[0].operations if module.regions[0].blocks else []
            name = module.attributes.pop("sym_name", None)
            done = Module(name, module.attributes, body, where=start, explicit=True)
        else:
            done = Module(None, {}, operations, where=start)
        locations: dict[str, Location] = {}
        for key, alias in self.aliases.items():
            self.pos = alias.start
            if key.startswith("#") and self.take_word("loc") and self.at("("):
                locations[key[1:]] = self.location()
        done.locations = locations
        return done

    # Operations

    def operation(self) -> Operation:
        """One operation with all in it."""
        self.skip()
        found = _OPERATION.match(self.text, self.pos, self.end)
        if found is None:
            raise self.expected("an operation")
        first, count, more, quoted, bare = found.groups()
        start = found.start()
        self.pos = found.end()
        if quoted is not None:
            name = unescape(quoted)
            form: Form = ModuleReader._generic
        else:
            name = bare if "." in bare else _BARE.get(bare, bare)
            known = self.forms.get(name)
            if known is None and "." not in name:
                self.pos = start
                raise self.expected("an operation")
            form = known or ModuleReader._loosely
        op = Operation(name, [], [], {}, [], None, start)
        types = form(self, op)
        named = _NAMED_LOCATION.match(self.text, self.pos, self.end)
        if named is not None:
            self.pos = named.end()
            op.location = AliasLoc(named[1])
        elif self.pos < self.end and self.at_word("loc"):
            self.pos += 3
            op.location = self.location()
        if op.regions and op.regions[0].blocks:
            for inner in op.regions[0].blocks[0].operations:
                if inner.where == start:  # written in the operation's own place (a reduction that `applies` one)
                    inner.location = op.location
        self._results(op, types, first, count, more, start)
        return op

    def _results(
        self, op: Operation, types: Sequence[ValueType] | None, first: str | None, count: str | None, more: str, start: int
    ) -> None:
        if first is None:
            if types:
                op.results = [Value(kind) for kind in types]
            return
        names = [(first, int(count or 1))]
        if more:
            names += [(m[1], int(m[2] or 1)) for m in _NAME.finditer(more)]
        wanted = sum(n for _, n in names)
        if types is None:
            if wanted > 10_000:
                raise self.wrong(f"an operation with {wanted:,} results", start)
            types = (UNKNOWN,) * wanted
        if len(types) != wanted:
            raise self.wrong(f"{wanted} names for the {len(types)} results of '{op.name}'", start)
        at = 0
        for name, n in names:
            op.results += self.define(name, types[at : at + n], start)
            at += n

    def define(self, name: str, types: Sequence[ValueType], pos: int, location: Location = None) -> list[Value]:
        """Give values a name that what follows knows them by."""
        scope = self._scope
        if name in scope.names:
            raise self.wrong(f"a second value '%{name}'", pos)
        if scope.pending:
            values = []
            for i, kind in enumerate(types):
                value, _ = scope.pending.pop((name, i), (None, 0))
                if value is None:
                    value = Value(kind, location)
                value.type, value.location = kind, location
                values.append(value)
        else:
            values = [Value(kind, location) for kind in types]
        scope.names[name] = values
        self._defined[-1].append(name)
        return values

    def value(self, found: re.Match[str]) -> Value:
        """The value that ``%name`` or ``%name#2`` stands for."""
        name, port = found[1], int((found[2] or "0")[:9])
        values = self._scope.names.get(name)
        if values is not None:
            if port >= len(values):
                raise self.wrong(f"the result {port} of '%{name}', which has {len(values)}", found.start())
            return values[port]
        pending = self._scope.pending.get((name, port))
        if pending is None:
            pending = self._scope.pending[name, port] = (Value(UNKNOWN), found.start())
        return pending[0]

    def operand(self) -> Value:
        """The next operand."""
        found = self.match(VALUE)
        if found is None:
            raise self.expected("an operand")
        return self.value(found)

    def operands(self) -> list[Value]:
        """Operands with commas between; perhaps none."""
        plain = _OPERANDS.match(self.text, self.pos, self.end)
        if plain is not None and not self.text.startswith(",", plain.end()):
            self.pos = plain.end()
            return [self.value(m) for m in VALUE.finditer(self.text, plain.start(), plain.end())]
        found: list[Value] = []
        match = self.match(VALUE)
        while match is not None:
            found.append(self.value(match))
            self.skip()
            if not self.text.startswith(",", self.pos):
                break
            back = self.pos
            self.pos += 1
            match = self.match(VALUE)
            if match is None:
                self.pos = back
        return found

    def _generic(self, op: Operation) -> Sequence[ValueType]:
        """``"name"(operands)[successors] <{properties}> ({regions}) {attributes} : (types) -> types``."""
        self.need("(")
        op.operands += self.operands()
        self.need(")")
        if self.take("["):
            found: list[Block] = []
            while not self.take("]"):
                if found:
                    self.need(",")
                found.append(self.block_named())
            op.successors = tuple(found)
        if self.at("<") and not self.at("<%"):
            self.pos += 1
            op.attributes.update(self.dictionary())
            self.need(">")
        if self.take("("):
            while not self.take(")"):
                if op.regions:
                    self.need(",")
                op.regions.append(self.region(isolated=is_isolated(op)))
        if self.at("{"):
            op.attributes.update(self.dictionary())
        self.need(":")
        return self.function_type().results

    def block_named(self) -> Block:
        """The block that ``^name`` stands for."""
        found = self.match(_LABEL)
        if found is None:
            raise self.expected("a block's name")
        return self._blocks[-1].setdefault(found[1], Block())

    # Regions

    def region(
        self, arguments: Sequence[tuple[str, ValueType, Location]] = (), *, isolated: bool = False, terminator: str | None = None
    ) -> Region:
        """``{ operations and blocks }``.

        Args:
            arguments: names, types and locations of the entry block's arguments, where they stand before the region.
            isolated: whether it sees no values from around it.
            terminator: the operation that ends it where none is written.
        """
        self.need("{")
        if self._nesting >= MAX_NESTING:
            raise self.wrong(f"regions within each other more than {MAX_NESTING} deep")
        self._nesting += 1
        outer = self._scope
        if isolated:
            self._scope = _Scope()
        self._defined.append([])
        self._blocks.append({})
        block = Block()
        region = Region([block])
        for name, kind, location in arguments:
            block.arguments += self.define(name, (kind,), self.pos, location)
        fresh = not arguments
        while not self.take("}"):
            at = self.peek()
            if at == "^":
                block = self._label(region, block if fresh and not block.operations else None)
            elif at in ("#", "!") and _ALIAS_DEFINITION.match(self.text, self.pos):
                self._skip_alias()
            else:
                block.operations.append(self.operation())
            fresh = False
        if len(region.blocks) == 1 and not block.operations and not block.arguments and terminator is None:
            region.blocks = [block]
        if terminator is not None and not (block.operations and block.operations[-1].name == terminator):
            block.operations.append(Operation(terminator, [], [], {}, [], None, self.pos))
        for label, named in self._blocks.pop().items():
            if named not in region.blocks:
                raise self.wrong(f"the block '^{label}', which is not in its region", self.pos)
        self._leave(outer, isolated)
        self._nesting -= 1
        return region

    def _label(self, region: Region, entry: Block | None) -> Block:
        """``^name(arguments):``, which opens a block."""
        pos = self.pos
        block = self.block_named()
        if block in region.blocks:
            raise self.wrong("a second block of that name", pos)
        if entry is not None:
            region.blocks.remove(entry)
        region.blocks.append(block)
        if self.take("("):
            while not self.take(")"):
                if block.arguments:
                    self.need(",")
                at = self.pos
                found = self.match(VALUE)
                if found is None:
                    raise self.expected("an argument")
                self.need(":")
                kind = self.type()
                location = self._maybe_location()
                block.arguments += self.define(found[1], (kind,), at, location)
        self.need(":")
        return block

    def _maybe_location(self) -> Location:
        if not self.at_word("loc"):
            return None
        self.pos += 3
        return self.location()

    def _leave(self, outer: _Scope, isolated: bool) -> None:
        defined = self._defined.pop()
        if isolated:
            self._settle(self._scope)
            self._scope = outer
        else:
            for name in defined:
                del self._scope.names[name]

    def _settle(self, scope: _Scope) -> None:
        for (name, _), (_, pos) in scope.pending.items():
            raise self.wrong(f"the value '%{name}', which nothing makes", pos)

    def typed_arguments(self) -> list[tuple[str, ValueType, Location, dict[str, Any]]]:
        """``(%name: type {attributes} loc(...), ...)``."""
        self.need("(")
        found: list[tuple[str, ValueType, Location, dict[str, Any]]] = []
        while not self.take(")"):
            if found:
                self.need(",")
            match = self.match(VALUE)
            if match is None:
                raise self.expected("an argument")
            self.need(":")
            kind = self.type()
            facts = self.dictionary() if self.at("{") else {}
            found.append((match[1], kind, self._maybe_location(), facts))
        return found

    # Operations of unknown syntax

    def _loosely(self, op: Operation) -> Sequence[ValueType] | None:
        """Operands in order, regions, attributes and types of an operation whose own syntax is not known.

        It ends where a line starts as an operation does. Types of results are taken only where an arrow or ``to`` states them.
        """
        op.loose = True
        self.loose += 1
        start = self.pos
        kept: list[str] = []
        arguments: list[tuple[str, ValueType, Location]] = []
        undefined: list[re.Match[str]] = []
        types: Sequence[ValueType] | None = None
        depth = 0
        last = ""
        while self.pos < self.end:
            before = self.pos
            self.skip()
            if self.pos >= self.end:
                break
            if (
                depth == 0
                and self._first_of_line()
                and last not in (",", ":", "->", "=", "to")
                and _NEXT_OPERATION.match(self.text, self.pos, self.end)
            ):
                break
            char = self.text[self.pos]
            if char == "}" or (char in ")]" and depth == 0):
                break
            if char == "%":
                match = self.match(VALUE)
                if match is None:
                    raise self.expected("an operand")
                self._loose_value(op, match, arguments, undefined)
                last = "%"
                kept.append("%")
            elif char == "{" and self._is_region():
                for match in undefined:
                    op.operands.append(self.value(match))
                undefined.clear()
                op.regions.append(self.region(arguments))
                arguments = []
                last = "}"
                kept.append("{}")
            elif char == "{" and self._is_dictionary():
                op.attributes.update(self.dictionary())
                last = "}"
            elif char == "{":
                begin, end = self.balanced()
                kept.append(spaced(self.text[begin:end]))
                last = "}"
            elif char == "^":
                op.successors += (self.block_named(),)
                last = "^"
                kept.append("^")
            elif self.at_word("loc") and depth == 0:
                break
            elif char == ":" and not self.text.startswith("::", self.pos) and depth == 0 and not arguments:
                self.pos += 1
                kept.append(":")
                at = self.pos
                try_types = self._trailing_types()
                kept.append(spaced(self.text[at : self.pos]))
                types = try_types if try_types is not None else types
                last = "type"
            else:
                token = self._loose_token()
                depth += (token in "([<") - (token in ")]>") if token else 0
                last = token
                kept.append(token)
            if self.pos == before:
                raise self.expected("an operation")
        for match in undefined:
            op.operands.append(self.value(match))
        text = " ".join(filter(None, kept))
        if text and start != self.pos:
            op.attributes["assembly"] = text
        return types

    def _loose_value(
        self, op: Operation, match: re.Match[str], arguments: list[tuple[str, ValueType, Location]], undefined: list[re.Match[str]]
    ) -> None:
        """An operand; or the name of a region's argument: such a one is new, and has a type or a value behind it."""
        if match[1] in self._scope.names:
            op.operands.append(self.value(match))
            return
        if self.at(":") and not self.at("::"):
            back = self.pos
            self.pos += 1
            if self.at_type():
                arguments.append((match[1], self.type(), self._maybe_location()))
                return
            self.pos = back
        if self.at("=") and not self.at("=="):
            arguments.append((match[1], UNKNOWN, None))
            return
        undefined.append(match)

    def _is_region(self) -> bool:
        """Whether the brace here opens a region, not a dictionary."""
        inside = BLANK.match(self.text, self.pos + 1, self.end)
        at = self.pos + 1 if inside is None else inside.end()
        if self.text.startswith(("%", "^"), at):
            return True
        if self.text.startswith('"', at):
            return re.compile(r'"(?:[^"\\\n]++|\\.)*+"\s*\(').match(self.text, at) is not None
        word = WORD.match(self.text, at, self.end)
        if word is None:
            return False
        after = BLANK.match(self.text, word.end(), self.end)
        return self.text[word.end() if after is None else after.end() :][:1] not in ("=", ",", "}")

    def _first_of_line(self) -> bool:
        return not self.text[self.text.rfind("\n", 0, self.pos) + 1 : self.pos].strip()

    def _is_dictionary(self) -> bool:
        inside = BLANK.match(self.text, self.pos + 1, self.end)
        return _ENTRY.match(self.text, self.pos + 1 if inside is None else inside.end(), self.end) is not None

    def _loose_token(self) -> str:
        for pattern in (_STRING_TOKEN, SYMBOL, _WORD_TOKEN, _SIGN_TOKEN):
            found = self.match(pattern)
            if found is not None:
                return found[0]
        raise self.expected("an operation")

    def _trailing_types(self) -> Sequence[ValueType] | None:
        """Types after a colon: those of results where an arrow or ``to`` parts them from the operands', else ``None``."""
        if not self.at_type():
            return None
        start = self.pos
        kind = self.any_type()
        if isinstance(kind, FunctionType):
            return kind.results
        while self.take(","):
            if not self.at_type():
                self.pos = start
                self.any_type()
                return None
            self.any_type()
        if self.take("->"):
            return self.types_or_one()
        if self.at_word("to") or self.at_word("into"):
            self.word()
            return (self.type(),) if self.at_type() else None
        return None

    # What stands beside the operations

    def _skip_alias(self) -> None:
        found = _ALIAS_DEFINITION.match(self.text, self.pos, self.end)
        if found is None:
            raise self.expected("an operation")
        self.pos = found.end()
        if found[1].startswith("!"):
            self.any_type()
        elif self.take_word("loc"):
            self.location()
        else:
            self.attribute()

    def _find_resources(self) -> None:
        """Where the bytes of ``dense_resource`` attributes stand: in ``{-# dialect_resources: {...} #-}``."""
        start = self.text.find("{-#", self.pos, self.end)
        if start < 0:
            return
        at = start
        while (found := _RESOURCE.search(self.text, at, self.end)) is not None:
            name = unescape(found[1][1:-1]) if found[1].startswith('"') else found[1]
            self.resources[name] = (found.start(2) + 1, found.end(2) - 1)
            at = found.end()

    def _skip_resources(self) -> None:
        end = self.text.find("#-}", self.pos, self.end)
        if end < 0:
            raise self.wrong("resources that do not end")
        self.pos = end + 3


_STRING_TOKEN = re.compile(r'"(?:[^"\\\n]++|\\.)*+"')
_WORD_TOKEN = re.compile(r"[#!]?[\w$.]++(?:-(?!>)[\w$.]+)*", re.ASCII)
_ENTRY = re.compile(r'(?:[A-Za-z_][\w$.]*+|"(?:[^"\\\n]++|\\.)*+")\s*[=,}]|\}', re.ASCII)
_SIGN_TOKEN = re.compile(r"->|::|==|.", re.DOTALL)


def is_isolated(op: Operation) -> bool:
    """Whether an operation's regions see no values from around them, as far as its name and symbol tell."""
    return op.name in _ISOLATED or op.name.endswith((".func", ".func_v1", ".module")) or "sym_name" in op.attributes


def _aliases(text: str, pos: int, end: int) -> dict[str, Alias]:
    if "#" not in text and "!" not in text:
        return {}
    return {found[1]: Alias(found.end()) for found in _ALIAS_LINE.finditer(text, pos, end)}
