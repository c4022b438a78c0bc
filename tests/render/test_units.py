"""Numbers as people read them."""

from __future__ import annotations

import pytest

from graphlab.compilers.results import Measured
from graphlab.render.units import count, metric, size_of


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [(0, "0 B"), (1, "1 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (2**20 * 438, "438 MiB"), (2**50 * 3, "3072 TiB")],
)
def test_sizes_are_binary(nbytes: int, text: str) -> None:
    assert size_of(nbytes) == text


def test_a_count_agrees_with_its_noun() -> None:
    assert (count(0, "op"), count(1, "op"), count(2310, "op")) == ("0 ops", "1 op", "2,310 ops")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (2.5e12, "flops", "2.5 Tflops"),
        (431, "flops", "431 flops"),
        (0.0132, "seconds", "13.2 ms"),
        (2, "seconds", "2 s"),
        (5e-6, "seconds", "5 us"),
        (2048, "bytes", "2 KiB"),
    ],
)
def test_a_metric_has_its_unit(value: float, unit: str, text: str) -> None:
    assert metric(Measured(value, unit)) == text
