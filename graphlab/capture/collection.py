"""Reading without the cycle collector, for readers that make many objects which all stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collection() -> Iterator[None]:
    """Hold the cycle collector: the dictionaries made here live on, and each full collection would walk them all."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        if gc.get_freeze_count() == 0:  # moves what was made to the oldest generation, unvisited
            gc.freeze()
            gc.unfreeze()
        gc.enable()
