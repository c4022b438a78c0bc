"""HLO text as characters: blanks, names, balanced brackets, and errors that name line and column."""

from __future__ import annotations

import re
from typing import Protocol

from graphlab.errors import FormatError

# XLA's lexer: https://github.com/openxla/xla/blob/main/xla/hlo/parser/hlo_lexer.cc
_BLANK = re.compile(r"(?:\s++|//[^\n]*+|/\*(?:[^*]++|\*(?!/))*+\*/)*+")
_NAME = re.compile(r"%?([\w.\-]+)", re.ASCII)
_MARK = re.compile(r'"(?:[^"\\]++|\\.)*+("?)|//[^\n]*+|/\*(?:[^*]++|\*(?!/))*+((?:\*/)?)|([(\[{])|([)\]}])', re.DOTALL)
_COMMENT = re.compile(r'("(?:[^"\\]++|\\.)*+")|//[^\n]*+|/\*(?:[^*]++|\*(?!/))*+\*/', re.DOTALL)
_ESCAPE = re.compile(r"((?:\\[23][0-7]{2}|\\x[89A-Fa-f][0-9A-Fa-f])+)|\\(x[0-9A-Fa-f]{2}|[0-7]{1,3}|.)", re.DOTALL)
_BYTE = re.compile(r"\\(?:x(..)|(...))")
_HIGH = re.compile(rb"[\x80-\xff]+")
_CLOSES = {"(": ")", "[": "]", "{": "}"}
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r"}
_ESCAPES = [
    {10: "\\n", 13: "\\r", 9: "\\t", 34: '\\"', 39: "\\'", 92: "\\\\"}.get(byte, chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}")
    for byte in range(256)
]  # of absl::CEscape


class Faults(Protocol):
    """What makes errors that name a place; the number is whatever it counts places by."""

    def wrong(self, found: str, pos: int) -> FormatError: ...


class HloText:
    """The text of a file, read up to ``end``; ``path`` is for error messages only."""

    __slots__ = ("end", "path", "text")

    def __init__(self, text: str, path: str | None, end: int | None = None) -> None:
        self.text = text
        self.path = path or "<text>"
        self.end = len(text) if end is None else end

    def until(self, end: int) -> HloText:
        """The same text, cut at ``end``."""
        return HloText(self.text, self.path, end)

    def where(self, pos: int) -> str:
        """``path:line:column``, both from 1."""
        line = self.text.count("\n", 0, pos) + 1
        return f"{self.path}:{line}:{pos - self.text.rfind(chr(10), 0, pos)}"

    def expected(self, what: str, pos: int) -> FormatError:
        """The error for finding anything but ``what`` at ``pos``."""
        rest = self.text[pos : min(self.end, pos + 40)].split("\n", 1)[0].strip()
        found = f"'{rest}'" if rest else "the end of the text" if pos >= self.end else "the end of the line"
        return self.wrong(f"{what} expected, {found} found", pos)

    def wrong(self, found: str, pos: int) -> FormatError:
        return FormatError(
            f"read {self.path} as HLO text", found=found, do="check that the text is whole and as XLA prints it", where=self.where(pos)
        )

    def at(self, pos: int) -> str:
        """The character at ``pos``, empty at the end."""
        return self.text[pos] if pos < self.end else ""

    def skip(self, pos: int) -> int:
        """The position after blanks and comments."""
        match = _BLANK.match(self.text, pos, self.end)
        return match.end() if match else pos

    def name(self, pos: int, what: str) -> tuple[str, int]:
        """A name without its ``%``, and the position after it."""
        match = _NAME.match(self.text, pos, self.end)
        if match is None:
            raise self.expected(what, pos)
        return match[1], match.end()

    def sign(self, sign: str, pos: int) -> int:
        """The position after ``sign``, which may follow blanks."""
        pos = self.skip(pos)
        if not self.text.startswith(sign, pos, self.end):
            raise self.expected(f"'{sign}'", pos)
        return pos + len(sign)

    def balanced(self, pos: int) -> int:
        """The position after the bracket that closes the one at ``pos``; strings and comments are skipped."""
        open_at: list[int] = []
        for match in _MARK.finditer(self.text, pos, self.end):
            string_end, comment_end, opening, closing = match.groups()
            if opening:
                open_at.append(match.start())
            elif closing:
                if not open_at or _CLOSES[self.text[open_at[-1]]] != closing:
                    raise self.expected(f"'{_CLOSES[self.text[open_at[-1]]]}'" if open_at else "an opening bracket", match.start())
                open_at.pop()
                if not open_at:
                    return match.end()
            elif string_end == "":
                raise self.wrong("a string that does not end", match.start())
            elif comment_end == "":
                raise self.wrong("a comment that does not end", match.start())
        raise self.wrong(f"a '{self.text[open_at[-1]] if open_at else self.at(pos)}' that is never closed", open_at[-1] if open_at else pos)

    def string(self, pos: int) -> int:
        """The position after the string at ``pos``."""
        match = _MARK.match(self.text, pos, self.end)
        if match is None or match[1] != '"':
            raise self.wrong("a string that does not end", pos)
        return match.end()


def without_comments(text: str) -> str:
    """The text less its comments; those within strings stay."""
    return _COMMENT.sub(lambda match: match[1] or "", text) if "/*" in text or "//" in text else text


def unquote(text: str) -> str:
    """The value of a quoted string with C escapes, as absl::CUnescape reads it; bytes beyond ASCII as :func:`text_of` has them."""
    inner = text[1:-1]
    return _ESCAPE.sub(_unescape, inner) if "\\" in inner else inner


def _unescape(match: re.Match[str]) -> str:
    high, code = match.groups()
    if high:
        return text_of(bytes(int(x, 16) if x else int(octal, 8) for x, octal in _BYTE.findall(high)))
    if code[0] == "x" and len(code) == 3:
        return chr(int(code[1:], 16))
    return chr(int(code, 8)) if code[0] in "01234567" else _ESCAPED.get(code, code)


def quote(value: str | bytes) -> str:
    """A value as XLA writes it between quotes (absl::CEscape): the inverse of :func:`unquote`."""
    data = value.encode("utf-8") if isinstance(value, str) else value
    return f'"{"".join(map(_ESCAPES.__getitem__, data))}"'


def text_of(data: bytes) -> str:
    """Bytes as text: UTF-8; a run beyond ASCII that is none, one character a byte."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        parts, at = [], 0
        for run in _HIGH.finditer(data):
            parts += [data[at : run.start()].decode("ascii"), _run(run[0])]
            at = run.end()
        return "".join([*parts, data[at:].decode("ascii")])


def _run(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")
