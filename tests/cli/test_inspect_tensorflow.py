"""``graphlab inspect`` on TensorFlow functions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graphlab.cli.main import main

pytestmark = pytest.mark.tensorflow
pytest.importorskip("tensorflow")

Report = Callable[..., dict[str, Any]]
Example = Callable[[str], str]


def line_of(text: str) -> int:
    path = Path(__file__).parents[2] / "examples" / "dynamic_rnn_tf.py"
    return next(i for i, line in enumerate(path.read_text().splitlines(), 1) if text in line)


def test_the_dynamic_rnn_has_a_while_with_a_random_if_in_it(report: Report, example: Example) -> None:
    found = report(example("dynamic_rnn_tf.py"), "--no-compile")
    loop, branch = found["control_flow"]["constructs"]
    assert loop["op"] in ("tf.While", "tf.StatelessWhile")
    assert loop["where"].endswith(f"dynamic_rnn_tf.py:{line_of('for i in')}")
    assert branch["op"] in ("tf.If", "tf.StatelessIf")
    assert branch["decided_by"] == "random"
    assert branch["where"].endswith(f"dynamic_rnn_tf.py:{line_of('tf.random.uniform(())')}")
    assert branch["nesting"] == [[loop["node"]]]
    assert "GL201" in {f["code"] for f in found["findings"]}


def test_a_dense_function_goes_through_xla_and_grappler(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "dense.py"
    path.write_text(
        "import tensorflow as tf\nw = tf.Variable(tf.ones((8, 4)))\n"
        "@tf.function(input_signature=[tf.TensorSpec((2, 8))])\n"
        "def dense(x):\n    return tf.nn.relu(x @ w) * tf.exp(tf.constant([1.0, 2.0, 3.0, 4.0]))\n"
    )
    found = report(str(path))
    compiles = {c["compiler"]: c for c in found["compiles"]}
    assert compiles["xla"]["error"] is None
    # 2 for each multiply-add of the product, then one maximum and one product an element; the exponential is folded.
    assert compiles["xla"]["results"]["metrics"]["flops"]["value"] == pytest.approx(2 * 2 * 8 * 4 + 2 * (2 * 4), abs=8)
    assert compiles["grappler"]["results"]["metrics"]["folded_ops"]["value"] >= 1
    assert found["constant_folding"]["ops"] >= 1


def test_a_keras_model_needs_no_inputs(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    path.write_text("import keras\nmodel = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])\n")
    found = report(str(path), "--no-compile")
    assert found["size"]["parameters"]["elements"] == 8 * 4 + 4


def test_an_autograph_error_names_the_users_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.py"
    path.write_text(
        "import tensorflow as tf\n@tf.function(input_signature=[tf.TensorSpec((2, 8))])\ndef bad(x):\n    return x @ tf.ones((3, 3))\n"
    )
    assert main(["inspect", str(path), "--no-compile"]) == 2
    captured = capsys.readouterr()
    assert "bad.py:4" in captured.out + captured.err
    assert "Traceback" not in captured.err


@pytest.mark.parametrize("command", ["inspect", "diff"])
def test_what_a_function_prints_while_it_is_traced_stays_out_of_the_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    path = tmp_path / "chatty.py"
    path.write_text(
        "import tensorflow as tf\nprint('running')\n"
        "@tf.function(input_signature=[tf.TensorSpec((2, 8))])\ndef f(x):\n    print('tracing')\n    return x + 1\n"
    )
    assert main([command, str(path), *([str(path)] if command == "diff" else ["--no-compile"]), "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)
    assert "running" in captured.err
    assert "tracing" in captured.err
