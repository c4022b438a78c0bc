"""Numbers as people read them."""

from __future__ import annotations

import math

from graphlab.compilers.results import Measured

_TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB")


def count(number: int, noun: str) -> str:
    """``1 op``, ``2,310 ops``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def size_of(nbytes: float) -> str:
    """Bytes in binary units: ``512 B``, ``1.5 KiB``, ``438 MiB``."""
    step = min(int(math.log(max(nbytes, 1), 1024)), len(_BINARY) - 1)
    number = nbytes / 1024**step
    return f"{number:.3g} {_BINARY[step]}" if number < 1000 else f"{number:.0f} {_BINARY[step]}"


def metric(value: Measured) -> str:
    """A measured number with its unit: ``3.2 MiB``, ``14 ms``, ``1,024``, ``2.1 Gflops``."""
    if value.unit == "bytes":
        return size_of(value.value)
    if value.unit == "seconds":
        return next(f"{value.value / scale:.3g} {unit}" for scale, unit in _TIMES if value.value >= scale or scale == _TIMES[-1][0])
    number = value.value
    for scale, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if number >= scale:
            return f"{number / scale:.3g} {prefix}{value.unit}"
    if number == 1:
        return f"1 {value.unit.removesuffix('s')}"
    return f"{number:,.0f} {value.unit}" if number == int(number) else f"{number:,.3g} {value.unit}"
