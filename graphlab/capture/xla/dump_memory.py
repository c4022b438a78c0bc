"""Memory figures out of an XLA dump: the buffer assignment and the live ranges, as text or message."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from graphlab.capture.file import File
from graphlab.capture.xla.hlo_messages import binary_message, held_in
from graphlab.capture.xla.hlo_proto import SIZES, buffer_sizes

_MOST = 256 << 20  # bytes of a text that are read

# Text of BufferAssignment::ToString and HloLiveRange::ToString (xla/service/buffer_assignment.cc, heap_simulator/hlo_live_range.cc).
_ALLOCATION = re.compile(rb"^allocation \d+:(?: 0x[0-9a-fA-F]+,)? size (\d{1,18})([^\n]*)", re.MULTILINE)
_PEAK = re.compile(rb"^ *Live ranges at \d+ \(peak\):\n((?: +[^\n]*\(cumulative: \d+ bytes\)\n)*)", re.MULTILINE)
_CUMULATIVE = re.compile(rb"\(cumulative: (\d{1,18}) bytes\)")


def text_sizes(file: File) -> Mapping[str, int] | None:
    """A ``…-buffer-assignment.txt``'s allocations in bytes by what they are for, named as ``buffer_sizes``; None where it has none."""
    sizes = dict.fromkeys(SIZES, 0)
    for match in _ALLOCATION.finditer(file.read(_MOST)):
        size, said = int(match[1]), match[2].partition(b" at ShapeIndex")[0]
        sizes["allocations"] += 1
        sizes["bytes"] += size
        sizes[next((name for word, name in _SAID if word in said), "temporary_bytes")] += size
    return sizes if sizes["allocations"] else None


_SAID = (
    (b", color ", "other_memory_bytes"),
    (b", parameter ", "parameter_bytes"),
    (b", constant", "constant_bytes"),
    (b"maybe-live-out", "output_bytes"),
    (b", thread-local", "thread_local_bytes"),
)


def message_sizes(file: File) -> Mapping[str, Any] | None:
    """The same out of an HloProto that has a buffer assignment."""
    if binary_message(file) is None:
        return None
    buffers = held_in(file)[0].buffers
    return None if buffers is None else buffer_sizes(buffers)


def peak(file: File) -> int | None:
    """The bytes alive at the peak, out of a ``…-live-range.txt``."""
    match = _PEAK.search(file.read(_MOST))
    sums = _CUMULATIVE.findall(match[1]) if match else []
    return int(sums[-1]) if sums else None
