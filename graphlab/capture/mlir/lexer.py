"""MLIR text as characters: blanks, names, strings, balanced brackets, and errors that name line and column.

The text of a file is its bytes as Latin-1, so that a position is an offset: MLIR is ASCII but for strings and comments.
"""

from __future__ import annotations

import re
from re import Pattern

from graphlab.errors import FormatError

# https://mlir.llvm.org/docs/LangRef/#high-level-structure, #identifiers-and-keywords
BLANK = re.compile(r"(?:[ \t\r\n\0\f\v]++|//[^\n]*+)*+")
WORD = re.compile(r"[A-Za-z_][\w$.]*+", re.ASCII)
STRING = re.compile(r'"((?:[^"\\\n\v\f]++|\\.)*+)"', re.DOTALL)
INTEGER = re.compile(r"-?(?:0x[0-9a-fA-F]++|\d++)")
NUMBER = re.compile(r"[-+]?(?:0x[0-9a-fA-F]++|\d++(?:\.\d*+(?:[eE][-+]?\d++)?)?)")
SYMBOL = re.compile(r'@(?:([A-Za-z_][\w$.-]*+)|"((?:[^"\\\n]++|\\.)*+)")', re.ASCII)
VALUE = re.compile(r"%([\w$.-]++)(?:#(\d++))?", re.ASCII)
ALIAS = re.compile(r"[#!]([\w$.-]++)", re.ASCII)
_MARK = re.compile(r'"(?:[^"\\\n]++|\\.)*+("?)|//[^\n]*+|->|([(\[{<])|([)\]}>])', re.DOTALL)
_ESCAPE = re.compile(r"\\([0-9A-Fa-f]{2}|.)", re.DOTALL)
_CLOSES = {"(": ")", "[": "]", "{": "}", "<": ">"}
_SPACES = re.compile(r'("(?:[^"\\\n]++|\\.)*+")|(?:\s++|//[^\n]*+)++', re.DOTALL)


class Lexer:
    """A position in a text, which methods move on. ``path`` is for messages."""

    __slots__ = ("end", "path", "pos", "text")

    def __init__(self, text: str, path: str | None = None, pos: int = 0, end: int | None = None) -> None:
        self.text = text
        self.path = path or "<text>"
        self.pos = pos
        self.end = len(text) if end is None else end

    def where(self, pos: int) -> str:
        """``path:line:column``, both from 1."""
        line = self.text.count("\n", 0, pos) + 1
        return f"{self.path}:{line}:{pos - self.text.rfind(chr(10), 0, pos)}"

    def wrong(self, found: str, pos: int | None = None) -> FormatError:
        """The error for what stands at ``pos``, or here."""
        return FormatError(
            f"read {self.path} as MLIR",
            found=found,
            do="check that the text is whole and as MLIR prints it",
            where=self.where(self.pos if pos is None else pos),
        )

    def expected(self, what: str) -> FormatError:
        """The error for finding here anything but ``what``."""
        self.skip()
        rest = self.text[self.pos : min(self.end, self.pos + 40)].split("\n", 1)[0].strip()
        found = f"'{rest}'" if rest else "the end of the text" if self.pos >= self.end else "the end of the line"
        return self.wrong(f"{what} expected, {found} found")

    def skip(self) -> None:
        """Pass blanks and comments. The pattern is left for more than one space: this is called for every sign."""
        pos, text = self.pos, self.text
        if pos < self.end:
            char = text[pos]
            if char == " ":
                pos += 1
                if pos >= self.end:
                    self.pos = pos
                    return
                char = text[pos]
            if char > " " and char != "/":
                self.pos = pos
                return
            match = BLANK.match(text, pos, self.end)
            if match is not None:
                self.pos = match.end()

    def peek(self) -> str:
        """The next character that is no blank; empty at the end."""
        self.skip()
        return self.text[self.pos] if self.pos < self.end else ""

    def at(self, sign: str) -> bool:
        """Whether ``sign`` comes next."""
        self.skip()
        return self.text.startswith(sign, self.pos, self.end)

    def take(self, sign: str) -> bool:
        """Pass ``sign`` where it comes next."""
        if not self.text.startswith(sign, self.pos, self.end):
            self.skip()
            if not self.text.startswith(sign, self.pos, self.end):
                return False
        self.pos += len(sign)
        return True

    def need(self, sign: str) -> None:
        """Pass ``sign``. Raises FormatError where anything else comes."""
        if not self.take(sign):
            raise self.expected(f"'{sign}'")

    def match(self, pattern: Pattern[str]) -> re.Match[str] | None:
        """What comes next, where it fits the pattern; passes it."""
        self.skip()
        found = pattern.match(self.text, self.pos, self.end)
        if found is not None:
            self.pos = found.end()
        return found

    def word(self) -> str | None:
        """The next bare word."""
        found = self.match(WORD)
        return None if found is None else found[0]

    def at_word(self, word: str) -> bool:
        """Whether that very word comes next."""
        self.skip()
        found = WORD.match(self.text, self.pos, self.end)
        return found is not None and found[0] == word

    def take_word(self, word: str) -> bool:
        """Pass that very word where it comes next."""
        if self.at_word(word):
            self.pos += len(word)
            return True
        return False

    def need_word(self, *words: str) -> str:
        """Pass one of those words."""
        found = self.match(WORD)
        if found is None or (words and found[0] not in words):
            if found is not None:
                self.pos = found.start()
            raise self.expected(" or ".join(f"'{w}'" for w in words) if words else "a name")
        return found[0]

    def string(self) -> str | None:
        """The next string's value."""
        found = self.match(STRING)
        if found is None:
            if self.peek() == '"':
                raise self.wrong("a string that does not end")
            return None
        return unescape(found[1])

    def integer(self) -> int:
        """The next integer."""
        found = self.match(INTEGER)
        if found is None:
            raise self.expected("an integer")
        return parse_int(found[0])

    def symbol(self) -> str | None:
        """The next ``@name``, without the sign."""
        found = self.match(SYMBOL)
        if found is None:
            return None
        return found[1] or unescape(found[2])

    def balanced(self) -> tuple[int, int]:
        """Pass from the bracket here to the one that closes it; both positions, the second after the bracket.

        Comments and strings are passed over, and an arrow is no bracket.
        """
        self.skip()
        start = self.pos
        open_at: list[str] = []
        for match in _MARK.finditer(self.text, start, self.end):
            string_end, opening, closing = match.groups()
            if opening:
                open_at.append(opening)
            elif closing:
                if not open_at or _CLOSES[open_at[-1]] != closing:
                    raise self.wrong(f"'{closing}', which closes nothing", match.start())
                open_at.pop()
                if not open_at:
                    self.pos = match.end()
                    return start, self.pos
            elif string_end == "":
                raise self.wrong("a string that does not end", match.start())
        raise self.wrong(f"a '{open_at[-1] if open_at else self.text[start : start + 1]}' that is never closed", start)


def parse_int(text: str) -> int:
    """An integer as MLIR writes it. Very long ones (more digits than any type has) are cut to their first 4,000."""
    digits = text[:4000]
    return int(digits, 16 if "0x" in digits else 10)


def unescape(text: str) -> str:
    """A string literal's value: ``\\22`` is a byte by its hex digits, ``\\n`` a line's end. Bytes that are no UTF-8 stay Latin-1."""
    if "\\" in text:
        text = _ESCAPE.sub(_unescaped, text)
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode("utf-8")
    except (UnicodeDecodeError, UnicodeEncodeError):
        return text


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    if len(code) == 2:
        return chr(int(code, 16))
    return {"n": "\n", "t": "\t"}.get(code, code)


def spaced(text: str) -> str:
    """The text with every run of blanks and comments made one space; strings stay as they are."""
    return _SPACES.sub(lambda match: match[1] or " ", text).strip()
