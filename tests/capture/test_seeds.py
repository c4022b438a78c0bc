"""Fixed seeds: every run of a file draws the same."""

from __future__ import annotations

import random
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from graphlab.capture.seeds import fixed_seeds

DRAWS = {
    "numpy": "import numpy; print(numpy.random.rand(3))",
    "torch": "import torch; print(torch.rand(3))",
    "tensorflow": "import tensorflow as tf; print(tf.random.normal((3,)).numpy())",
    "keras": "import keras; print(keras.initializers.GlorotUniform()((2, 2)), keras.random.normal((2,)))",
    "jax": "import jax, numpy; print(numpy.random.rand(3))",  # jax draws from NumPy's generator when it is imported
}

TWICE = """
import sys
from graphlab.capture.seeds import fixed_seeds
for _ in range(2):
    with fixed_seeds():
        import random
        exec(sys.argv[1])
        print(random.random())
"""


@pytest.mark.parametrize("framework", [pytest.param("numpy"), *(pytest.param(f, marks=getattr(pytest.mark, m)) for f, m in (
    ("torch", "torch"), ("tensorflow", "tensorflow"), ("keras", "tensorflow"), ("jax", "jax"),
))])  # fmt: skip
def test_the_run_that_imports_a_framework_draws_what_the_next_one_does(framework: str) -> None:
    if find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")
    done = subprocess.run([sys.executable, "-c", TWICE, DRAWS[framework]], capture_output=True, text=True, check=True)
    out = done.stdout
    assert out
    assert out[: len(out) // 2] == out[len(out) // 2 :]


def test_a_seed_set_within_holds() -> None:
    with fixed_seeds():
        random.seed(5)
        np.random.seed(5)
        drawn = random.random(), np.random.rand()
    assert drawn == (random.Random(5).random(), np.random.RandomState(5).rand())


def test_the_import_system_is_left_as_it_was() -> None:
    before = list(sys.meta_path)
    with fixed_seeds():
        assert sys.meta_path != before
    assert sys.meta_path == before
