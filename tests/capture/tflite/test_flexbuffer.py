"""FlexBuffers against the flatbuffers package's own writer and reader."""

from __future__ import annotations

import contextlib
import random
from typing import Any

import pytest

from graphlab.capture.tflite.flexbuffer import decode
from graphlab.errors import FormatError
from graphlab.ir.frozen import freeze

flexbuffers = pytest.importorskip("flatbuffers.flexbuffers")


def _value(draw: random.Random, depth: int) -> Any:
    kind = draw.randrange(7 if depth < 3 else 5)
    match kind:
        case 0:
            return draw.choice([0, 1, -1, 127, 128, -300, 1 << 20, -(1 << 40), (1 << 63) - 1])
        case 1:
            return draw.choice([0.5, -2.25, 1e-3, 3.0])
        case 2:
            return draw.choice(["", "name", "é" * 300])
        case 3:
            return draw.random() < 0.5
        case 4:
            return None
        case 5:
            return {f"k{i}": _value(draw, depth + 1) for i in range(draw.randrange(5))}
    return [_value(draw, depth + 1) for _ in range(draw.randrange(1, 5))]


def test_what_its_own_writer_wrote_is_read_as_it_was() -> None:
    draw = random.Random(1)
    for _ in range(400):
        value = {"a": _value(draw, 0), "b": [_value(draw, 0), "x"]}
        assert decode(bytes(flexbuffers.Dumps(value))) == freeze(value)


def test_typed_vectors_blobs_and_indirect_numbers_are_read() -> None:
    builder = flexbuffers.Builder()
    with builder.Vector():
        builder.TypedVectorFromElements([1, 2, 3000])
        builder.FixedTypedVectorFromElements([0.5, 1.5, 2.5])
        builder.Blob(b"\0\1")
        builder.IndirectInt(-5)
        builder.TypedVectorFromElements([True, False])
    assert decode(bytes(builder.Finish())) == ((1, 2, 3000), (0.5, 1.5, 2.5), b"\0\1", -5, (True, False))


def test_damaged_bytes_are_refused_or_read_and_nothing_else() -> None:
    draw = random.Random(2)
    data = bytes(flexbuffers.Dumps({"a": [1, 2.5, "x", {"b": None}], "c": "text" * 20}))
    for _ in range(5000):
        broken = bytearray(data[: draw.randrange(len(data) + 1)] if draw.random() < 0.3 else data)
        for _ in range(draw.randrange(1, 4)):
            if broken:
                broken[draw.randrange(len(broken))] = draw.randrange(256)
        with contextlib.suppress(FormatError):
            decode(bytes(broken))


def test_a_buffer_that_holds_itself_is_refused() -> None:
    with pytest.raises(FormatError):
        decode(bytes([1, 0, 40, 2, 40, 1]))
