"""Which frames are the user's, and the undocumented parts of jaxlib that they come from (seen in jaxlib 0.10.2)."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.jax
jax = pytest.importorskip("jax")

from jaxlib.mlir import ir  # noqa: E402

from graphlab.capture.jax.frames import UserFrames  # noqa: E402
from graphlab.capture.xla.mlir import bindings  # noqa: E402
from graphlab.errors import GraphlabError  # noqa: E402
from graphlab.ir.frames import Frame, FrameTable  # noqa: E402


def test_frames_of_jax_and_of_model_libraries_are_left_out() -> None:
    haiku = pytest.importorskip("haiku")
    inner = [Frame(jax.__file__), Frame(haiku.__file__), Frame("/home/me/model.py", 3), Frame("/home/me/train.py", 9)]
    assert UserFrames(FrameTable()).users(inner) == inner[2:]


def test_a_stack_of_a_library_alone_is_kept() -> None:
    haiku = pytest.importorskip("haiku")
    assert UserFrames(FrameTable()).users([Frame(jax.__file__), Frame(haiku.__file__)]) == [Frame(haiku.__file__)]


def test_frames_that_only_led_to_the_capture_are_cut() -> None:
    import graphlab

    stack = [Frame("/home/me/model.py", 3), Frame(graphlab.__file__), Frame("/home/me/main.py", 1)]
    assert UserFrames(FrameTable()).users(stack) == stack[:1]


def test_a_traceback_without_raw_frames_is_said() -> None:
    with pytest.raises(GraphlabError, match="no raw_frames"):
        UserFrames(FrameTable()).of_traceback(object())


def test_bindings_without_a_class_that_is_used_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert bindings()[0] is ir
    monkeypatch.delattr(ir, "DialectRegistry")
    with pytest.raises(GraphlabError, match=r"has no mlir\.ir\.DialectRegistry"):
        bindings()


def test_jaxlib_still_records_raw_frames() -> None:
    traced: Any = jax.jit(lambda x: x + 1).trace(1.0)
    codes, instructions = traced.jaxpr.jaxpr.eqns[0].source_info.traceback.raw_frames()
    assert len(codes) == len(instructions) > 0
