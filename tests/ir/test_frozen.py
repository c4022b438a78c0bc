from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable

import pytest

from graphlab.ir.frozen import FrozenDict, freeze, frozen


@pytest.mark.parametrize("change", [
    lambda d: d.__setitem__("a", 2),
    lambda d: d.__delitem__("a"),
    lambda d: d.update(a=2),
    lambda d: d.pop("a"),
    lambda d: d.popitem(),
    lambda d: d.clear(),
    lambda d: d.setdefault("b", 1),
    lambda d: d.__ior__({"b": 1}),
])  # fmt: skip
def test_no_method_changes_it(change: Callable[[FrozenDict[str, int]], object]) -> None:
    value = FrozenDict(a=1)
    with pytest.raises(TypeError, match="immutable"):
        change(value)
    assert value == {"a": 1}


def test_equal_mappings_hash_alike_in_any_order() -> None:
    assert hash(FrozenDict(a=1, b=2)) == hash(FrozenDict(b=2, a=1))
    assert {FrozenDict(a=1): "x"}[FrozenDict(a=1)] == "x"


def test_it_is_a_dict_to_json_pickle_and_copy() -> None:
    value = FrozenDict(a=(1, 2))
    assert json.dumps(value) == '{"a": [1, 2]}'
    assert pickle.loads(pickle.dumps(value)) == value
    assert type(pickle.loads(pickle.dumps(value))) is FrozenDict
    assert copy.deepcopy(value) is value


def test_freeze_reaches_every_depth() -> None:
    value = freeze({"a": [1, {"b": {3, 2}}]})
    assert value == {"a": (1, {"b": (2, 3)})}
    assert isinstance(value["a"][1], FrozenDict)
    assert hash(value) == hash(frozen(a=[1, {"b": [2, 3]}]))
