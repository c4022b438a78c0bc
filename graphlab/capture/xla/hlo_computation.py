"""One HLO computation's text to a graph."""

from __future__ import annotations

import re

from graphlab.capture.xla.hlo_attributes import NONE, AttributeReader, Attributes
from graphlab.capture.xla.hlo_build import NOWHERE, Body, Builder, Computation, is_scalar
from graphlab.capture.xla.hlo_infer import infer
from graphlab.capture.xla.hlo_lexer import HloText
from graphlab.capture.xla.hlo_literals import constant
from graphlab.capture.xla.hlo_metadata import Metadata
from graphlab.capture.xla.hlo_shapes import Shapes
from graphlab.ir.constants import Constant
from graphlab.ir.values import ValueType

_MAX_NESTING = 64

# An instruction on a line of its own, as XLA prints it; what does not fit is read piece by piece.
_LINE = re.compile(
    r"\s*(ROOT )?%?([\w.\-]+) = "
    r"([a-z]\w*\[[^\[\](){}\n]*\](?:\{[^{}\n]*\})?|\([^\n]*?\)) "
    r"([a-z][a-z\d\-]*)"
    r"\(([^()\n]*+(?:\([^()\n]*+\)[^()\n]*+)*+)\)"
    r"(?:, ([^\n]*+)|[ \t\r]*+)\n",
    re.ASCII,
)
_TYPED = re.compile(r"(?:^|, )([a-z]\w*\[[^\[\](){}]*\](?:\{[^{}]*\})?|\([^()]*\)) %([\w.\-]+)", re.ASCII)
_INDEX_NOTE = re.compile(r"/\*index=\d+\*/")
_ROOT = re.compile(r"ROOT\s+", re.ASCII)
_OPCODE = re.compile(r"[a-z][a-z\d\-]*", re.ASCII)
_NUMBER = re.compile(r"\s*(\d{1,9})\s*", re.ASCII)


class ComputationReader:
    """Reads computations of one text; what repeats between instructions is decoded once."""

    def __init__(self, source: HloText, metadata: Metadata) -> None:
        self.source = source
        self.metadata = metadata
        self.shapes = Shapes(source)
        self.attributes = AttributeReader(source)
        self._builder = Builder(source)
        self._constants: dict[tuple[ValueType, str], Constant] = {}
        self._body = Body()
        self._crowded_until = 0

    def read(self, name: str, key: str, pos: int) -> tuple[Computation, int]:
        """Read a body whose ``{`` stands before ``pos``; the position after its ``}``.

        Raises:
            FormatError: an instruction is not sound, names an operand that is not above it, or repeats a name.
        """
        start = pos
        source, text, end = self.source, self.source.text, self.source.end
        self._body = self._builder.start()
        while True:
            match = _LINE.match(text, pos, end) if pos >= self._crowded_until else None
            if match is not None and self._line(match):
                pos = match.end()
                continue
            pos = source.skip(pos)
            if source.at(pos) == "}":
                break
            pos = self._statement(pos)
            if pos >= self._crowded_until:
                # Of a line that holds several instructions each would be tried with all that follow: its square of time.
                line_end = text.find("\n", pos, end)
                self._crowded_until = end if line_end < 0 else line_end
        return self._builder.finish(name, key, start), pos + 1

    def _line(self, match: re.Match[str]) -> bool:
        """Take an instruction that fits the common form whole; False where it has to be read piece by piece."""
        root, name, shape, opcode, inside, rest = match.groups()
        outputs = self.shapes.by_text.get(shape)
        if outputs is None:
            type, end = self.shapes.read(match.start(3))
            if end != match.end(3):
                return False
            outputs = self.shapes.by_text[shape] = (type,)
        decoded = (NONE, "") if rest is None else self.attributes.quick(rest.rstrip())
        if decoded is None:
            return False
        if opcode in ("parameter", "constant"):
            operands: list[str] | None = []
        else:
            operands = self._operands(inside)
        if operands is None or name in self._body.ids:
            return False
        attributes, metadata = decoded
        self._add(name, match.start(2), opcode, operands, outputs=outputs, attributes=attributes, metadata=metadata, inside=match.span(5))
        if root:
            self._set_root(name, match.start(1))
        return True

    def _operands(self, text: str) -> list[str] | None:
        """Ids of a list of operands, with or without their shapes; None where it is not a plain one."""
        if not text:
            return []
        if "/*" in text:
            text = _INDEX_NOTE.sub("", text)
        if "[" in text:
            found = _TYPED.findall(text)
            if sum(len(shape) + len(name) + 4 for shape, name in found) != len(text) + 2:
                return None
            names = [name for _, name in found]
        else:
            names = text[1:].split(", %") if text[0] == "%" else text.split(", ")
        ids = self._body.ids
        try:
            return [ids[name] for name in names]
        except KeyError:
            return None

    def _statement(self, pos: int) -> int:
        """Read one instruction piece by piece; the position after it."""
        source = self.source
        start = pos
        root = _ROOT.match(source.text, pos, source.end)
        if root is not None:
            pos = root.end()
        at = pos
        name, pos = source.name(pos, "an instruction or '}'")
        pos = source.skip(source.sign("=", pos))
        pos = self._value(name, at, pos, 0)
        if root is not None:
            self._set_root(name, start)
        return pos

    def _set_root(self, name: str, pos: int) -> None:
        if self._body.root is not None:
            raise self.source.wrong("a second ROOT in one computation", pos)
        self._body.root = self._body.ids[name]

    def _value(self, name: str, at: int, pos: int, depth: int) -> int:
        """Read an instruction's right side into the node ``name``."""
        source = self.source
        if name in self._body.ids:
            raise source.wrong(f"a second instruction '{name}' in one computation", at)
        type: ValueType | None = None
        if self.shapes.at(pos):
            type, pos = self.shapes.read(pos)
            pos = source.skip(pos)
        opcode_at = pos
        match = _OPCODE.match(source.text, pos, source.end)
        if match is None:
            raise source.expected("an operation" if type else "a shape or an operation", pos)
        opcode = match[0]
        pos = source.skip(match.end())
        if source.at(pos) != "(":
            raise source.expected("'('", pos)
        close = source.balanced(pos) - 1
        start = pos + 1
        operands = [] if opcode in ("parameter", "constant") else self._operand_list(start, close, depth)
        attributes, metadata, end = self.attributes.read(close + 1, in_place=depth > 0)
        if type is None:
            type = infer(opcode, [self._body.types[id] for id in operands], attributes.values)
            if type is None:
                raise source.wrong(f"'{opcode}' without a shape, which does not follow from its operands", opcode_at)
        self._add(name, at, opcode, operands, outputs=(type,), attributes=attributes, metadata=metadata, inside=(start, close))
        return end

    def _operand_list(self, pos: int, end: int, depth: int) -> list[str]:
        """Ids of the operands between two positions: names, names with shapes, or instructions in place."""
        source = self.source.until(end)
        operands: list[str] = []
        pos = source.skip(pos)
        while pos < end:
            if operands:
                pos = source.skip(source.sign(",", pos))
            start = pos
            if self.shapes.at(pos):
                _, pos = self.shapes.read(pos)
                pos = source.skip(pos)
            at = pos
            name, pos = source.name(pos, "an operand")
            after = source.skip(pos)
            if source.at(after) == "(":
                id, pos = self._in_place(name, start, depth)
            elif name in self._body.ids:
                id = self._body.ids[name]
            else:
                raise source.wrong(f"the operand '{name}', which no instruction above it in this computation is called", at)
            operands.append(id)
            pos = source.skip(pos)
        return operands

    def _in_place(self, opcode: str, pos: int, depth: int) -> tuple[str, int]:
        """An instruction written where its only use is; XLA calls it after its operation."""
        if depth >= _MAX_NESTING:
            raise self.source.wrong(f"instructions nested more than {_MAX_NESTING} deep", pos)
        name, n = f"{opcode}.anon", 0
        while name in self._body.ids:
            n += 1
            name = f"{opcode}.anon.{n}"
        return name, self._value(name, pos, pos, depth + 1)

    def _add(
        self, name: str, pos: int, opcode: str, operands: list[str], *,
        outputs: tuple[ValueType, ...], attributes: Attributes, metadata: str, inside: tuple[int, int],
    ) -> None:  # fmt: skip
        """Add the node. ``inside`` encloses what stands between the operation's parentheses."""
        origin = self.metadata.read(metadata) if metadata else NOWHERE
        if opcode == "constant":
            type = outputs[0]
            value = self._constant(type, *inside)
            scalar = self.source.text[inside[0] : inside[1]].strip() if is_scalar(type) else None
            self._builder.add(
                name, pos, opcode, operands, outputs=outputs, attributes=attributes, origin=origin, value=value, scalar=scalar
            )
        else:
            index = self._parameter(*inside) if opcode == "parameter" else 0
            self._builder.add(name, pos, opcode, operands, outputs=outputs, attributes=attributes, origin=origin, index=index)

    def _parameter(self, start: int, end: int) -> int:
        match = _NUMBER.fullmatch(self.source.text, start, end)
        if match is None:
            raise self.source.until(end).expected("a parameter's number", start)
        index = int(match[1])
        if index in self._body.parameters:
            raise self.source.wrong(f"a second parameter({index}) in one computation", start)
        return index

    def _constant(self, type: ValueType, start: int, end: int) -> Constant:
        if end - start > 64:
            return constant(self.source, start, end, type)
        key = (type, self.source.text[start:end])
        known = self._constants.get(key)
        if known is None:
            known = self._constants[key] = constant(self.source, start, end, type)
        return known
