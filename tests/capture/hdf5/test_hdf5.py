"""The HDF5 reader against h5py: every place where the format keeps links, attributes and arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphlab.capture.file import File
from graphlab.capture.hdf5 import Hdf5
from graphlab.errors import FormatError

h5py = pytest.importorskip("h5py")

VERSIONS = ["earliest", "v108", "v110", "v112", "latest"]


def _write(path: Path, version: str, *, tracked: bool = False, user_block: int = 0, count: int = 60) -> None:
    with h5py.File(path, "w", libver=version, track_order=tracked, userblock_size=user_block) as file:
        file.attrs["model_config"] = "x" * 100_000  # a string of any length, in a global heap
        file.attrs["fixed"] = np.bytes_(b"of one length")
        file.attrs["names"] = [f"layer_{i}" for i in range(300)]
        file.attrs["bytes"] = np.array([b"ab", b"c"])
        file.attrs["number"], file.attrs["real"] = 7, 2.5
        group = file.create_group("model_weights", track_order=tracked)
        for i in range(count):
            held = group.create_group(f"layer_with_a_long_name_{i}", track_order=tracked)
            held.create_dataset("kernel:0", data=np.arange(i % 5 + 1, dtype="f4"))
            held.attrs["weight_names"] = [f"l{i}/kernel:0".encode()]
        group.create_dataset("scalar", data=np.float16(3))
        group.create_dataset("truths", data=np.array([True, False]))
        group.create_dataset("big", data=np.arange(6, dtype=">f8").reshape(2, 3))


def _attributes(held: Any) -> dict[str, Any]:
    found = {}
    for key, value in held.attrs.items():
        plain = value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
        items = [v.decode() if isinstance(v, bytes) else v for v in (plain if isinstance(plain, list) else [plain])]
        found[key] = tuple(items) if isinstance(plain, list) else items[0]
    return found


def _compare(path: Path) -> int:
    """Compare all that h5py sees of a file; how many arrays there were."""
    root = Hdf5(File.open(path)).root
    found = {array.name: array for array in root.datasets()}
    with h5py.File(path) as file:
        theirs: dict[str, Any] = {}
        file.visititems(lambda name, held: theirs.update({name: held}) if isinstance(held, h5py.Dataset) else None)
        assert set(found) == set(theirs)
        assert root.attributes == _attributes(file)
        for name, held in theirs.items():
            array = found[name]
            assert array.dims == held.shape
            data = array.data() if callable(array.data) else array.data
            value = held[()]
            assert data == value.astype(value.dtype.newbyteorder("<")).tobytes(), name
    return len(found)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("tracked", [False, True])
def test_all_versions_and_orders_read_as_h5py_reads_them(tmp_path: Path, version: str, tracked: bool) -> None:
    path = tmp_path / "weights.h5"
    _write(path, version, tracked=tracked)
    assert _compare(path) == 63


def test_a_superblock_behind_a_block_of_the_users_own_is_found(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    _write(path, "earliest", user_block=1024)
    assert _compare(path) == 63


@pytest.mark.parametrize("version", ["earliest", "latest"])
def test_hundreds_of_links_and_attributes_of_any_size_are_found(tmp_path: Path, version: str) -> None:
    path = tmp_path / "weights.h5"
    _write(path, version, count=900)
    if version == "latest":
        with h5py.File(path, "a", libver=version) as file:
            file.attrs["huge"] = np.frombuffer(b"z" * 200_000, "S200000")[0]
            for i in range(200):
                file.attrs[f"a{i}"] = i
    assert _compare(path) == 903


def test_an_array_linked_twice_is_told_once_and_a_circle_of_groups_ends(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("g")
        group.create_dataset("a", data=np.zeros(2))
        group["b"] = group["a"]
        group["self"] = group
        group["soft"] = h5py.SoftLink("/g/a")
    assert [array.name for array in Hdf5(File.open(path)).root.datasets()] == ["g/a"]


def test_arrays_that_stand_in_no_one_place_say_why(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("chunked", data=np.zeros((4, 4)), chunks=(2, 2))
        file.create_dataset("gzip", data=np.zeros((4, 4)), compression="gzip")
        file.create_dataset("never written", shape=(4,), dtype="f4")
        file.create_dataset("text", data="hello")
    arrays = {array.name: array.reason for array in Hdf5(File.open(path)).root.datasets()}
    assert arrays == {
        "chunked": "the file stores it chunked", "gzip": "the file stores it compressed",
        "never written": "the file holds no bytes for it", "text": "its elements are no numbers (string)",
    }  # fmt: skip


def test_element_types_have_numpys_names(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    names = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64", "bool"]
    with h5py.File(path, "w") as file:
        for name in names:
            file.create_dataset(name, data=np.zeros(2, name))
    assert {array.name: array.type.name for array in Hdf5(File.open(path)).root.datasets()} == {name: name for name in names}


def test_a_compact_array_stands_in_its_header(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((3,))
        h5py.h5d.create(file.id, b"compact", h5py.h5t.IEEE_F32LE, space, plist).write(
            h5py.h5s.ALL, h5py.h5s.ALL, np.array([1, 2, 3], np.float32)
        )
    assert _compare(path) == 1


@pytest.mark.parametrize("version", ["earliest", "latest"])
def test_damaged_files_give_a_format_error_or_are_read(tmp_path: Path, version: str) -> None:
    path = tmp_path / "weights.h5"
    _write(path, version, count=12)
    data = path.read_bytes()
    random = np.random.default_rng(3)
    hot = np.flatnonzero(np.frombuffer(data, np.uint8) != ord("x"))  # not within the long string
    refused = 0
    for _ in range(250):
        broken = bytearray(data[: random.integers(1, len(data))] if random.random() < 0.2 else data)
        for at in random.choice(hot, random.integers(1, 6)):
            if at < len(broken):
                broken[at] = random.choice([0, 1, 0x7F, 0x80, 0xFF, int(random.integers(256))])
        refused += _refused(bytes(broken))
    assert refused > 20


def _refused(data: bytes) -> bool:
    """Whether reading all of it ends in an error of ours; any other error fails the test."""
    try:
        root = Hdf5(File.of("broken.h5", data)).root
        held = [root.attributes, *root.datasets()]
    except FormatError:
        return True
    return not held


def test_what_is_no_hdf5_is_refused() -> None:
    with pytest.raises(FormatError, match="there is no superblock"):
        Hdf5(File.of("x.h5", bytes(5000)))
    with pytest.raises(FormatError, match="its superblock is of version 9"):
        Hdf5(File.of("x.h5", b"\x89HDF\r\n\x1a\n\x09" + bytes(100)))
