"""The tensor bundle: entries found in its index, values left in its shards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphlab import FormatError
from graphlab.capture.file import File
from graphlab.capture.tensorflow import snappy
from graphlab.capture.tensorflow.bundle import Bundle, read_bundle
from graphlab.errors import ValueUnavailable

pytestmark = pytest.mark.tensorflow


def bundle(prefix: Path) -> Bundle:
    directory = File.open(prefix.parent)

    def shard(end: str) -> File | None:
        name = f"{prefix.name}.{end}"
        return directory.entry(name) if directory.has(name) else None

    return read_bundle(directory.entry(f"{prefix.name}.index"), shard)


VALUES: dict[str, Any] = {
    "a/scalar": np.float32(1.5),
    "a/matrix": np.arange(12, dtype=np.int64).reshape(3, 4),
    "flags": np.array([True, False]),
    "half": np.array([1, 2, 3], np.float16),
    "empty": np.zeros((0, 3), np.float32),
    "complex": np.array([1 + 2j], np.complex64),
}


@pytest.fixture(scope="module")
def written(tf: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Written by TensorFlow, with enough entries for several blocks of the index."""
    prefix = tmp_path_factory.mktemp("bundle") / "variables"
    values = {**VALUES, "text": np.array([b"a", b"\xffbc"]), **{f"many/{i:04d}": np.full(3, i, np.int32) for i in range(700)}}
    names = sorted(values)
    tf.raw_ops.SaveV2(prefix=str(prefix), tensor_names=names, shape_and_slices=[""] * len(names), tensors=[values[n] for n in names])
    return prefix


def test_every_tensor_has_the_value_that_was_written(written: Path) -> None:
    found = bundle(written)
    assert len(found.entries) == len(VALUES) + 701
    for name, value in VALUES.items():
        constant = found.constant(name)
        np.testing.assert_array_equal(constant.array(), value)
        assert constant.array().dtype == np.asarray(value).dtype
    np.testing.assert_array_equal(found.constant("many/0456").array(), [456] * 3)
    assert found.constant("text").bytes() == b"['a', '\\\\xffbc']"


def test_bfloat16_and_slices_are_put_together(tf: Any, tmp_path: Path) -> None:
    prefix = tmp_path / "v"
    whole = np.arange(24, dtype=np.float32).reshape(4, 6)
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=["w", "w", "w", "b"],
        shape_and_slices=["4 6 0,2:0,6", "4 6 2,2:0,3", "4 6 2,2:3,3", ""],
        tensors=[whole[:2], whole[2:, :3], whole[2:, 3:], tf.constant([1.5, 2], tf.bfloat16)],
    )
    found = bundle(prefix)
    np.testing.assert_array_equal(found.constant("w").array(), whole)
    np.testing.assert_array_equal(found.constant("w", "4 6 2,2:3,3").array(), whole[2:, 3:])
    assert not found.constant("w", "4 6 1,2:3,3").available
    assert found.constant("b").array().astype(float).tolist() == [1.5, 2]


def test_without_its_shard_a_value_is_unavailable_and_says_why(written: Path) -> None:
    index = File.open(written.parent / f"{written.name}.index")
    constant = read_bundle(index, lambda end: None).constant("a/scalar")
    with pytest.raises(ValueUnavailable, match="shard 0"):
        constant.bytes()


def test_a_shard_cut_short_is_refused(written: Path) -> None:
    index = File.open(written.parent / f"{written.name}.index")
    short = read_bundle(index, lambda end: File.of("data", b"1234"))
    with pytest.raises(FormatError, match="asks for"):
        short.constant("many/0456")


@pytest.mark.parametrize("at", [0, 5, 300, -60, -1])
def test_a_changed_byte_of_the_index_is_found(written: Path, at: int) -> None:
    data = bytearray((written.parent / f"{written.name}.index").read_bytes())
    data[at] ^= 0x41
    with pytest.raises(FormatError, match="index at offset"):
        read_bundle(File.of("x.index", bytes(data)), lambda end: None)


@pytest.mark.parametrize("data", [b"", b"x" * 47, b"\0" * 40 + bytes.fromhex("57fb808b247547db")])
def test_what_is_no_index_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        read_bundle(File.of("x.index", data), lambda end: None)


def test_snappy_gives_back_literals_and_copies() -> None:
    # By the format's description: a literal of 4, then a copy of 8 bytes at offset 4 that runs into what it makes.
    assert snappy.decompress(bytes([12, 3 << 2, *b"abcd", (8 - 4) << 2 | 1, 4])) == b"abcdabcdabcd"
    assert snappy.decompress(bytes([3, 2 << 2, *b"xyz"])) == b"xyz"
    assert snappy.decompress(bytes([70, 61 << 2, 61, 0, *(b"q" * 62), (8 - 1) << 2 | 2, 62, 0])) == b"q" * 70


@pytest.mark.parametrize("data", [b"", b"\xff" * 9, bytes([5, 3 << 2, 1]), bytes([4, 1 << 2 | 1, 9]), bytes([200, 200, 200, 9])])
def test_snappy_refuses_damage(data: bytes) -> None:
    assert snappy.decompress(data) is None
