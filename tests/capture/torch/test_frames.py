"""Stacks in torch's words, and whose line an error came from."""

from __future__ import annotations

import os

import pytest

from graphlab.ir.frames import Frame, FrameTable, stack

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

import torch  # noqa: E402

from graphlab.capture.torch import frames  # noqa: E402

_LINEAR = os.path.join(os.path.dirname(torch.__file__), "nn", "modules", "linear.py")
_TRACE = f"""  File "/home/me/model.py", line 12, in forward
    x = self.block(x)
  File "/home/me/model.py", line 6, in helper
    return self.linear(x)
  File "{_LINEAR}", line 134, in forward
    return F.linear(input, self.weight, self.bias)
"""


def test_the_innermost_user_frame_comes_first_and_torchs_own_are_left_out() -> None:
    assert frames.parse_stack(_TRACE) == [Frame("/home/me/model.py", 6, 0, "helper"), Frame("/home/me/model.py", 12, 0, "forward")]


def test_frames_outside_the_capture_are_left_out() -> None:
    own = os.path.join(os.path.dirname(frames.__file__), "fx.py")
    text = f'  File "/home/me/run.py", line 1, in <module>\n  File "{own}", line 3, in capture\n' + _TRACE
    assert [f.line for f in frames.parse_stack(text)] == [6, 12]


def test_equal_stacks_share_one_index() -> None:
    table = FrameTable()
    stacks = frames.Stacks(table)
    index = stacks.loc(_TRACE)
    assert stacks.loc(str(_TRACE)) == index
    assert [f.line for f in stack(table.done(), index)] == [6, 12]
    assert stacks.loc(None) is None


def test_an_errors_frame_is_the_innermost_of_the_users() -> None:
    def fails() -> None:
        torch.ones(2) @ torch.ones(3)

    with pytest.raises(RuntimeError) as caught:
        fails()
    frame = frames.error_frame(caught.value)
    assert frame is not None
    assert (frame.file, frame.function) == (__file__, "fails")


def test_a_line_told_in_the_message_is_more_exact_than_the_stack() -> None:
    error = RuntimeError('no such thing\n\nfrom user code:\n   File "/home/me/model.py", line 7, in step\n    x.item()\n')
    assert frames.error_frame(error) == Frame("/home/me/model.py", 7, 0, "step")
