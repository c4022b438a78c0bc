"""Source lines: the user's own, within loop bodies too. Each line looked for carries a comment ``@name``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import graphlab
from graphlab import Program
from graphlab.capture.tensorflow.frames import user_frames

pytest.importorskip("tensorflow")
pytestmark = pytest.mark.tensorflow


def line_of(mark: str) -> int:
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    (found,) = [i for i, line in enumerate(lines, 1) if line.endswith(f"# @{mark}")]
    return found


def lines_of(program: Program, op: str) -> set[tuple[str, int]]:
    frames = [program.frame(node) for _, node in program.each_node() if node.op == op]
    return {(frame.file, frame.line) for frame in frames if frame is not None}


@pytest.fixture(scope="module")
def program(tf: Any) -> Program:
    def helper(x: Any) -> Any:
        return tf.tanh(x)  # @helper

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32)])
    def loop(x: Any) -> Any:
        total = tf.zeros([4])
        for i in range(tf.shape(x)[0]):  # @loop
            if tf.random.uniform(()) > 0.5:  # @branch
                total = total + tf.exp(x[i])  # @body
            total = helper(total)  # @call
        return total

    return graphlab.capture(loop)


def test_a_loop_stands_at_its_for(program: Program) -> None:
    assert lines_of(program, "tf.While") == {(__file__, line_of("loop"))}


def test_a_branch_within_it_stands_at_its_if(program: Program) -> None:
    assert lines_of(program, "tf.StatelessIf") == {(__file__, line_of("branch"))}
    assert lines_of(program, "tf.RandomUniform") == {(__file__, line_of("branch"))}


def test_a_node_in_the_branchs_body_stands_at_its_own_line(program: Program) -> None:
    assert lines_of(program, "tf.Exp") == {(__file__, line_of("body"))}


def test_the_stack_leads_from_a_helper_to_its_caller_and_ends_at_the_model(program: Program) -> None:
    (tanh,) = [node for _, node in program.each_node() if node.op == "tf.Tanh"]
    stack = program.stack(tanh)
    assert [(frame.function, frame.line) for frame in stack[:2]] == [("helper", line_of("helper")), ("loop", line_of("call"))]
    assert {frame.file for frame in stack} == {__file__}  # neither TensorFlow's frames nor those of whoever captured it


def test_frameworks_and_generated_code_are_skipped_and_graphlabs_frame_ends_the_stack() -> None:
    ours = str(Path(graphlab.__path__[0], "capture", "tensorflow", "trace.py"))
    stack = [
        ("/site/keras/layer.py", 1, "call"),
        ("/tmp/__autograph_generated_filex.py", 2, "tf__f"),
        ("/u/model.py", 3, "f"),
        (ours, 4, "_traced"),
        ("/u/main.py", 5, ""),
    ]
    assert [(frame.file, frame.line) for frame in user_frames(stack, ("/site/keras/",))] == [("/u/model.py", 3)]
