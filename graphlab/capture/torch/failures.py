"""Torch's errors, told in one sentence with the user's line."""

from __future__ import annotations

import re

from graphlab.capture.torch.frames import error_frame
from graphlab.errors import CaptureError

_NOISE = re.compile(
    r"^(\s*$|\s*File \"|\s*at |Traceback|from user code|User [Ss]tack|The error above|For more (information|debugging)|"
    r"Set TORCH|To (debug|log|fix)|C\+\+ stack|The above exception|You can suppress|Developer debug context|Hint:|"
    r"\(?Size-like symbols|\s*Please (convert|file|report)|Suggested fix)"
)
LIMIT = 300
"""Longest reason kept, in characters; torch's messages go on for pages."""


def reason(error: BaseException) -> str:
    """What torch said, in one sentence, without stacks and advice on torch's own switches."""
    lines = [line.strip() for line in str(error).splitlines() if not _NOISE.match(line)]
    text = lines[0] if lines else "no message"
    for more in lines[1:]:
        if text.endswith((".", "!", "?")) or len(text) + len(more) > LIMIT:
            break
        text = f"{text} {more}"
    text = text.strip().rstrip(".:")
    if len(text) > LIMIT:
        text = text[: LIMIT - 1] + "…"
    return f"{type(error).__name__}: {text}"


def failed(model: object, method: str, error: Exception, *, do: str) -> CaptureError:
    """The error to raise from torch's own."""
    frame = error_frame(error)
    return CaptureError(f"capture {type(model).__qualname__} by {method}", found=reason(error), do=do, frame=frame)
