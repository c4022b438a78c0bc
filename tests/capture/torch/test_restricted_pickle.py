"""Pickles read as data, against the standard library's own pickler; what a hostile one tries is never run."""

from __future__ import annotations

import collections
import datetime
import io
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import pytest

from graphlab.capture.torch.restricted_pickle import Call, Global, Persistent, loads, loads_many
from graphlab.errors import FormatError

PLAIN = [
    None, True, 0, -1, 255, 70_000, 1 << 40, -(1 << 70), 1.5, float("inf"), "text", "é☃", b"bytes" * 100, bytearray(b"x"),
    (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], [1, [2, [3]]], {}, {"a": 1, 2: (3, "b"), None: [], (1, "x"): {}}, ["again"] * 2000,
    {i: str(i) for i in range(2000)},
]  # fmt: skip


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", PLAIN, ids=lambda v: repr(v)[:20])
def test_plain_data_are_what_the_standard_library_reads(value: Any, protocol: int) -> None:
    if protocol < 3 and isinstance(value, (bytes, bytearray)):
        pytest.skip("older protocols write bytes as a call")
    if protocol < 5 and isinstance(value, bytearray):
        pytest.skip("older protocols write bytearrays as a call")
    assert loads(pickle.dumps(value, protocol), name="p") == value


def test_what_is_used_twice_is_one_object() -> None:
    inner = [1]
    found = loads(pickle.dumps([inner, inner]), name="p")
    assert found[0] is found[1]


class Runs:
    def __init__(self, callee: Any, args: tuple[Any, ...]) -> None:
        self.callee = callee
        self.args = args

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.callee, self.args


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_call_is_a_record_and_not_made(tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "ran"
    data = pickle.dumps({"x": Runs(os.system, (f"touch {mark}",)), "y": Runs(eval, (f"open({str(mark)!r}, 'w')",))}, protocol)
    found = loads(data, name="p")
    assert isinstance(found["x"], Call)
    assert found["x"].callee == Global("posix", "system")
    assert found["x"].args == (f"touch {mark}",)
    assert not mark.exists()


def test_what_would_import_a_module_imports_none() -> None:
    import sys

    before = set(sys.modules)
    found = loads(b"cantigravity\nfly\n(tR.", name="p")
    assert found.callee == Global("antigravity", "fly")
    assert set(sys.modules) == before


def test_objects_keep_class_arguments_and_state() -> None:
    found = loads(pickle.dumps(datetime.timedelta(1, 2)), name="p")
    assert (found.callee, found.args) == (Global("datetime", "timedelta"), (1, 2, 0))
    ordered = loads(pickle.dumps(collections.OrderedDict(a=1, b=2)), name="p")
    assert ordered.pairs == [("a", 1), ("b", 2)]
    failed = loads(pickle.dumps(Path("x")), name="p")
    assert isinstance(failed, Call)


def test_persistent_ids_are_kept() -> None:
    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: Any) -> Any:
            return ("storage", "7", len(obj)) if isinstance(obj, bytes) else None

    stream = io.BytesIO()
    Pickler(stream, 2).dump([b"data"])
    [found] = loads(stream.getvalue(), name="p")
    assert isinstance(found, Persistent)
    assert found.id == ("storage", "7", 4)


def test_pickles_behind_one_another_are_read_in_turn() -> None:
    data = pickle.dumps(1) + pickle.dumps("two") + b"rest"
    found, end = loads_many(data, name="p", limit=2)
    assert found == [1, "two"]
    assert data[end:] == b"rest"


HOSTILE = {
    "empty": b"",
    "no end": b"\x80\x02K\x01",
    "two values": b"K\x01K\x02.",
    "a mark": b"(.",
    "an empty stack": b"0.",
    "text beyond the end": b"X" + struct.pack("<I", 1 << 31) + b"abc.",
    "bytes beyond the end": b"\x8e" + struct.pack("<Q", 1 << 62) + b".",
    "a number of a megabyte": b"\x8b" + struct.pack("<I", 1 << 20) + b"\xff" * (1 << 20) + b".",
    "a line without end": b"I" + b"1" * 200_000,
    "a number that is none": b"Ifoo\n.",
    "a float that is none": b"Ffoo\n.",
    "something never kept": b"h\x09.",
    "items on a number": b"K\x01K\x02K\x03s.",
    "an appended number": b"K\x01K\x02a.",
    "an odd dict": b"(K\x01d.",
    "no mark": b"K\x01t.",
    "an extension": b"\x82\x01.",
    "an unknown opcode": b"\xff.",
    "a buffer from outside": b"\x97.",
    "a list as a key": b"}]K\x01s.",
    "a class named by a number": b"K\x01K\x02\x93.",
    "a state on a number": b"K\x01K\x02b.",
    "an object of nothing": b"(o.",
    "tuples without end as a key": b"})" + b"\x85" * 200_000 + b"K\x01s.",
    "a tensor of negative size": b"ctorch._utils\n_rebuild_tensor_v2\n(NK\x00(J\xff\xff\xff\xfft(K\x01tI00\nNtR.",
    "a tensor with a million sizes": b"ctorch._utils\n_rebuild_tensor_v2\n(NK\x00(" + b"K\x01" * 1_000_000 + b"t)I00\nNtR.",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_not_sound_is_refused_with_its_place(data: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        loads(data, name="model.pt!data.pkl")
    assert caught.value.where is not None
    assert caught.value.where.startswith("offset ")
    assert "model.pt!data.pkl" in caught.value.asked


def test_depth_without_end_costs_no_more_than_its_bytes() -> None:
    loads(b"]" + b"]a" * 1000 + b".", name="p")
    deep = loads(b")" + b"\x85" * 200_000 + b".", name="p")
    assert isinstance(deep, tuple)


def test_a_list_may_hold_itself() -> None:
    found = loads(b"]q\x00h\x00a.", name="p")
    assert found[0] is found
