"""Snappy's block format, decompressed: some checkpoints' indexes are. https://github.com/google/snappy/blob/main/format_description.txt"""

from __future__ import annotations

_MOST_RATIO = 64  # a copy of 64 bytes takes two


def decompress(data: bytes) -> bytes | None:
    """The bytes that a block stands for; ``None`` where it is damaged."""
    size, at = _size(data)
    if at < 0 or size > _MOST_RATIO * len(data):
        return None
    made = bytearray()
    end = len(data)
    while at < end:
        tag = data[at]
        at += 1
        kind, length = tag & 3, (tag >> 2) + 1
        if kind == 0:  # a literal; a length above 60 stands in the next one to four bytes
            extra = length - 60
            if extra > 0:
                length = int.from_bytes(data[at : at + extra], "little") + 1
                at += extra
            if at + length > end:
                return None
            made += data[at : at + length]
            at += length
            continue
        width = (1, 2, 4)[kind - 1]
        if at + width > end:
            return None
        offset = int.from_bytes(data[at : at + width], "little")
        at += width
        if kind == 1:
            length, offset = (tag >> 2 & 7) + 4, offset | tag >> 5 << 8
        if not 0 < offset <= len(made) or len(made) + length > size:
            return None
        start = len(made) - offset
        piece = bytes(made[start : start + length])
        made += (piece * (length // len(piece) + 1))[:length]  # a copy may run into what it makes
    return bytes(made) if len(made) == size else None


def _size(data: bytes) -> tuple[int, int]:
    value = 0
    for at in range(min(5, len(data))):
        value |= (data[at] & 0x7F) << 7 * at
        if data[at] < 0x80:
            return value, at + 1
    return 0, -1
