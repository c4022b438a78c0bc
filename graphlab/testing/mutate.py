"""Damaged copies of a file: what a bad disk, a cut transfer and a hostile author do."""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TypeAlias

Mutation: TypeAlias = Callable[[bytes, Random], bytes]

_BYTES = (0x00, 0x01, 0x7F, 0x80, 0xFF)
_HUGE = (
    b"\xff\xff\xff\x7f",
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x80",
    b"\xff" * 7 + b"\x7f",
    b"\xff" * 8,
    b"\xff\xff\xff\xff\x0f",
    b"\xff" * 9 + b"\x01",
)
_WORDS = (
    b"-1",
    b"0",
    b"99999999999999999999",
    b"1e999",
    b"NaN",
    b'"',
    b"\\u0000",
    b"null",
    b"{",
    b"}",
    b"[",
    b"]",
    b"(",
    b")",
    b"<",
    b">",
    b"\0",
    b"\xff",
)
_NESTS = (b"{", b"[", b"(", b"<", b'{"a":', b"(x", b"\n\t", b"-", b"\x0a\x80\x01")
MAX_GROWTH = 1 << 20
"""Bytes that a mutation adds at most."""


def mutated(path: Path, random: Random, to: Path) -> Path:
    """Write a damaged copy of a file or directory to ``to``; returns that path.

    In a directory one file is damaged; in a zip archive often one member, its checksum made right again.
    """
    if not path.is_dir():
        to.write_bytes(_mutate_file(path.read_bytes(), random, 0))
        return to
    shutil.copytree(path, to, symlinks=True)
    files = sorted(p for p in to.rglob("*") if p.is_file() and not p.is_symlink())
    if files:
        one = random.choice(files)
        if random.random() < 0.1:
            one.unlink()
        else:
            one.write_bytes(_mutate_file(one.read_bytes(), random, 0))
    return to


def _mutate_file(data: bytes, random: Random, depth: int) -> bytes:
    if data.startswith(b"PK\x03\x04") and depth < 3 and random.random() < 0.8:
        changed = _mutate_member(data, random, depth)
        if changed is not None:
            return changed
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        data = random.choice(_MUTATIONS)(data, random)
    return data


def _mutate_member(data: bytes, random: Random, depth: int) -> bytes | None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(info.filename, info.compress_type, archive.read(info)) for info in archive.infolist()]
    except zipfile.BadZipFile:
        return None
    if not members:
        return None
    # Small members describe, large ones are weights: the former are worth more tries.
    at = random.choices(range(len(members)), [1 / (1 + len(content) / 20_000) for *_, content in members])[0]
    name, kind, content = members[at]
    draw = random.random()
    if draw < 0.05:
        del members[at]
    elif draw < 0.1:
        members[at] = (random.choice(("../", "/", "a/" * 300, "\u202e", "x")) + name, kind, content)
    else:
        members[at] = (name, kind, _mutate_file(content, random, depth + 1))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, kind, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, kind)
    return out.getvalue()


def _flip(data: bytes, random: Random) -> bytes:
    changed = bytearray(data or b"\0")
    for _ in range(random.choice((1, 1, 2, 8))):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _set(data: bytes, random: Random) -> bytes:
    changed = bytearray(data or b"\0")
    changed[random.randrange(len(changed))] = random.choice(_BYTES)
    return bytes(changed)


def _set_early(data: bytes, random: Random) -> bytes:
    changed = bytearray(data or b"\0")
    changed[random.randrange(min(len(changed), 64))] = random.randrange(256)
    return bytes(changed)


def _cut(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _huge(data: bytes, random: Random) -> bytes:
    at, word = random.randrange(len(data) + 1), random.choice(_HUGE)
    return data[:at] + word + data[at + (len(word) if random.random() < 0.7 else 0) :]


def _number(data: bytes, random: Random) -> bytes:
    """Another 4-byte little-endian number, near the one that stands there: offsets and counts off by a little."""
    if len(data) < 4:
        return data
    at = random.randrange(len(data) - 3)
    value = int.from_bytes(data[at : at + 4], "little") + random.choice((-4, -1, 1, 4, 256, -len(data), len(data)))
    return data[:at] + (value % (1 << 32)).to_bytes(4, "little") + data[at + 4 :]


def _delete(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + data[at + random.choice((1, 2, 4, 16, 100)) :]


def _copy(data: bytes, random: Random) -> bytes:
    at, to = random.randrange(len(data) + 1), random.randrange(len(data) + 1)
    return data[:to] + data[at : at + random.choice((1, 4, 30, 300))] + data[to:]


def _repeat(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data) + 1)
    piece = data[at : at + random.choice((1, 8, 40))]
    return data[:at] + piece * min(random.choice((10, 1000, 50_000)), MAX_GROWTH // max(1, len(piece))) + data[at:]


def _nest(data: bytes, random: Random) -> bytes:
    at, piece = random.randrange(len(data) + 1), random.choice(_NESTS)
    return data[:at] + piece * min(random.choice((50, 2000, 100_000)), MAX_GROWTH // len(piece)) + data[at:]


def _word(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + random.choice(_WORDS) + data[at + random.choice((0, 1, 3)) :]


def _line(data: bytes, random: Random) -> bytes:
    lines = data.splitlines(keepends=True)
    if len(lines) < 3:
        return _delete(data, random)
    one, other = random.randrange(len(lines)), random.randrange(len(lines))
    draw = random.random()
    if draw < 0.4:
        del lines[one]
    elif draw < 0.7:
        lines.insert(other, lines[one])
    else:
        lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


_MUTATIONS: tuple[Mutation, ...] = (
    _flip,
    _flip,
    _set,
    _set_early,
    _cut,
    _huge,
    _number,
    _delete,
    _copy,
    _repeat,
    _nest,
    _word,
    _word,
    _line,
)
