"""Fixed seeds for the run of a model file: what it draws unseeded (weights) is the same at every run.

Without them two versions of a model would differ in every weight, and a model would differ from itself.
A file that sets a seed of its own gets that one.
"""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

SEED = 0


@contextlib.contextmanager
def fixed_seeds() -> Iterator[None]:
    """Seeds Python's, NumPy's and every loaded framework's generator; within, a framework's when it is first imported.

    An import is to leave Python's and NumPy's generators as they were (TensorFlow draws from one, JAX from
    the other), so that the first run of a process draws what the next ones do.
    """
    import numpy as np

    for name, seed in _FRAMEWORKS.items():
        module = sys.modules.get(name)
        if module is not None:
            seed(module)
    random.seed(SEED)
    np.random.seed(SEED)
    finder = _SeedingFinder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def _torch(torch: ModuleType) -> None:
    torch.manual_seed(SEED)  # its own first seed is another one in every process


def _tensorflow(tensorflow: ModuleType) -> None:
    tensorflow.random.set_seed(SEED)


def _keras(keras: ModuleType) -> None:
    keras.utils.set_random_seed(SEED)  # forgets the generator that keras.random shares; its others draw from Python's


def _jax(jax: ModuleType) -> None:
    """Its keys are explicit."""


_FRAMEWORKS = {"keras": _keras, "tensorflow": _tensorflow, "torch": _torch, "jax": _jax}


class _SeedingFinder(MetaPathFinder):
    """Finds nothing itself: has the frameworks' own specs seed them at the end of their import."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname not in _FRAMEWORKS:
            return None
        specs = (finder.find_spec(fullname, path, target) for finder in sys.meta_path if finder is not self)
        spec = next((found for found in specs if found is not None), None)
        if spec is None or spec.loader is None:
            return spec
        loader: Any = spec.loader
        execute = loader.exec_module

        def seeded(module: ModuleType) -> None:
            import numpy as np

            python, numpy = random.getstate(), np.random.get_state()
            execute(module)
            _FRAMEWORKS[fullname](module)
            random.setstate(python)
            np.random.set_state(numpy)

        loader.exec_module = seeded
        return spec
