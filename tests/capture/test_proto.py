"""Protobuf by schemas of our own: parsing, large fields left in the file, and whether bytes fit a message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from graphlab.capture.file import File, Slice
from graphlab.capture.proto import LARGE, Schema
from graphlab.errors import FormatError

TEXT = """
syntax = "proto3";  // a comment
package t;
enum Kind { NONE = 0; BELOW = -1; }
message Tensor { bytes data = 1; repeated float values = 2; Kind kind = 3; }
message Node {
  string name = 1;
  map<string, Tensor> attr = 2;
  oneof what { int64 i = 3; Tensor t = 4; }
  repeated int32 dims = 5 [packed = true];
  optional int64 maybe = 6;
  repeated Node inner = 7;
  reserved 8, 9;
}
"""
SCHEMA = Schema(TEXT, "t.proto")
BIG = bytes(range(256)) * (LARGE // 128)


def message() -> Any:
    node = SCHEMA.new("Node")
    node.name = "conv"
    node.dims.extend([3, 224])
    node.attr["kernel"].data = BIG
    node.attr["small"].data = b"abc"
    node.inner.add(name="body").t.data = BIG[::-1]
    return node


def test_what_protobuf_writes_is_parsed() -> None:
    parsed = SCHEMA.parse("Node", File.of("x.pb", message().SerializeToString())).message
    assert (parsed.name, list(parsed.dims), parsed.WhichOneof("what")) == ("conv", [3, 224], None)
    assert not parsed.HasField("maybe")
    parsed.maybe = 0
    assert parsed.HasField("maybe")
    parsed.attr["small"].kind = 77
    assert SCHEMA.parse("Node", File.of("x.pb", parsed.SerializeToString())).message.attr["small"].kind == 77


def test_large_bytes_stay_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.pb"
    path.write_bytes(message().SerializeToString())
    parsed = SCHEMA.parse("Node", File.open(path))
    assert parsed.message.ByteSize() < 200
    kernel = parsed.message.attr["kernel"].data
    assert parsed.nbytes(kernel) == len(BIG)
    load = parsed.data(kernel)
    assert isinstance(load, Slice)
    assert load() == BIG
    assert parsed.read(parsed.message.inner[0].t.data) == BIG[::-1]
    assert parsed.data(parsed.message.attr["small"].data) == b"abc"


def test_a_field_that_looks_like_a_token_is_taken_as_it_is() -> None:
    node = SCHEMA.new("Node")
    node.t.data = bytes(24)
    parsed = SCHEMA.parse("Node", File.of("x.pb", node.SerializeToString()))
    assert parsed.data(parsed.message.t.data) == bytes(24)


def test_bytes_fit_their_message_and_no_other() -> None:
    data = message().SerializeToString()
    assert SCHEMA.fits("Node", File.of("x", data))
    assert SCHEMA.fits("Node", File.of("x", data), needs=("dims", "maybe"))
    assert not SCHEMA.fits("Node", File.of("x", data), needs=("maybe",))
    assert not SCHEMA.fits("Tensor", File.of("x", data))
    assert not SCHEMA.fits("Node", File.of("x", data[:-1]))
    assert not SCHEMA.fits("Node", File.of("x", b""))
    assert not SCHEMA.fits("Node", File.of("x", b"node { name: 1 }"))


def test_a_later_versions_field_is_skipped() -> None:
    data = message().SerializeToString() + b"\xa2\x06\x03new"
    assert SCHEMA.fits("Node", File.of("x", data))
    assert SCHEMA.parse("Node", File.of("x", data)).message.name == "conv"


def test_text_is_parsed_and_its_errors_have_a_place() -> None:
    parsed = SCHEMA.parse_text("Node", File.of("x.pbtxt", b'name: "conv" unheard { of: 1 } inner { t { data: "\\001" } }'))
    assert (parsed.message.name, parsed.message.inner[0].t.data) == ("conv", b"\x01")
    with pytest.raises(FormatError, match=r"x\.pbtxt.*line 2, column 1"):
        SCHEMA.parse_text("Node", File.of("x.pbtxt", b"name:\n}"))
    with pytest.raises(FormatError, match="UTF-8"):
        SCHEMA.parse_text("Node", File.of("x.pbtxt", b"\xff"))


@pytest.mark.parametrize("open_", [b"inner {", b"inner <", b"zork {", b"zork: ["])
def test_text_that_nests_without_end_is_refused(open_: bytes) -> None:
    with pytest.raises(FormatError, match=r"nest \d+ deep"):
        SCHEMA.parse_text("Node", File.of("x.pbtxt", open_ * 50_000))


def test_messages_that_nest_without_end_are_refused() -> None:
    data = b""
    while len(data) < 2 * LARGE:
        node = SCHEMA.new("Node")
        node.name = "n" * 100
        length = len(data)
        varint = bytearray()
        while length >= 0x80:
            varint.append(length & 0x7F | 0x80)
            length >>= 7
        varint.append(length)
        data = node.SerializeToString() + b"\x3a" + bytes(varint) + data
    SCHEMA.fits("Node", File.of("deep", data))
    with pytest.raises(FormatError):
        SCHEMA.parse("Node", File.of("deep", data))


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_damaged_bytes_are_refused_or_parsed(data: st.DataObject) -> None:
    node = message()
    if data.draw(st.booleans()):
        node.attr["kernel"].data = b"short"
        node.inner[0].t.data = b"short"
    bytes_ = bytearray(node.SerializeToString())
    for _ in range(data.draw(st.integers(1, 6))):
        bytes_[data.draw(st.integers(0, min(len(bytes_), 200) - 1))] = data.draw(st.integers(0, 255))
    file = File.of("x.pb", bytes(bytes_))
    try:
        parsed = SCHEMA.parse("Node", file)
        for tensor in parsed.message.attr.values():
            parsed.read(tensor.data)
    except FormatError:
        return
    SCHEMA.fits("Node", file)


@given(st.binary(max_size=300))
def test_junk_is_refused_or_parsed(junk: bytes) -> None:
    file = File.of("x.pb", junk)
    try:
        SCHEMA.parse("Node", file)
    except FormatError:
        return
    SCHEMA.fits("Node", file)
