"""Inputs as text on the command line."""

from __future__ import annotations

import shlex

import pytest

from graphlab.capture.inputs import input_options, parse_inputs
from graphlab.errors import GraphlabError


def test_a_hint_can_be_copied() -> None:
    words = shlex.split(input_options(["x", "mask"]))
    given = parse_inputs([word for word in words if word != "--input"])
    assert given is not None
    assert {name: str(type) for name, type in given.kwargs.items()} == {"x": "f32[2,8]", "mask": "f32[2,8]"}


@pytest.mark.parametrize("text", ["f32[]", "f32[2,8]", "x=f32[batch, 2*batch]", "x=i64[?,3]", "f32[(a+1)//2]"])
def test_sizes_names_and_formulas_are_dims(text: str) -> None:
    assert parse_inputs([text])


@pytest.mark.parametrize("dim", ["…", "...", "-1"])
def test_a_dim_that_is_neither_size_nor_name_is_refused(dim: str) -> None:
    with pytest.raises(GraphlabError, match="neither a size nor a name") as info:
        parse_inputs([f"x=f32[2,{dim}]"])
    assert f"'{dim}'" in info.value.found


@pytest.mark.parametrize("text", ["params.w1=f32[2,3]", "params['w1']=f32[2,3]", "layers[0]=f32[2]"])
def test_a_part_of_an_argument_wants_inputs_in_the_file(text: str) -> None:
    with pytest.raises(GraphlabError, match="a whole argument") as info:
        parse_inputs([text])
    assert "NAME_inputs" in info.value.do
