"""Torch's errors, told in one sentence with the user's line."""

from __future__ import annotations

import re

from graphlab.capture.torch.frames import error_frame, is_model_code, parse_stack
from graphlab.errors import CaptureError

_NOISE = re.compile(
    r"^(\s*$|\s*File \"|\s*at |Traceback|from user code|User [Ss]tack|The error above|For more (information|debugging)|"
    r"Set TORCH|To (debug|log|fix)|C\+\+ stack|The above exception|You can suppress|Developer debug context|Hint:|"
    r"\(?Size-like symbols|\s*Please (convert|file|report)|Suggested fix)"
)
_ASIDE = re.compile(r"\s*\((?:Size-like symbols|unhinted): [^()]*(?:\([^()]*\)[^()]*)*\)\.?(?=\s|$|\.)")
LIMIT = 300
"""Longest reason kept, in characters; torch's messages go on for pages."""


def reason(error: BaseException) -> str:
    """What torch said, in one sentence, without stacks and advice on torch's own switches."""
    said = str(error).splitlines()
    # below the first file named come stacks and excerpts of the source
    excerpt = next((at for at, line in enumerate(said) if line.lstrip().startswith('File "')), len(said))
    lines = [line.strip() for line in said[:excerpt] if not _NOISE.match(line)]
    text = lines[0] if lines else "it gives no reason"
    for more in lines[1:]:
        if text.endswith((".", "!", "?")) or _ASIDE.search(text) or len(text) + len(more) > LIMIT:
            break
        text = f"{text} {more}"
    text = _ASIDE.sub("", text).strip().rstrip(".:")
    if len(text) > LIMIT:
        text = text[: LIMIT - 1] + "…"
    return f"{type(error).__name__}: {text}"


def failed(model: object, method: str, error: Exception, *, do: str) -> CaptureError:
    """The error to raise from torch's own."""
    frame = error_frame(error)
    return CaptureError(f"capture {type(model).__qualname__} by {method}", found=reason(error), do=do, frame=frame)


def script_failed(model: object, error: Exception) -> CaptureError:
    """The error to raise from ``torch.jit.script``'s, whose message has the line: the first file it names."""
    named = [frame for frame in reversed(parse_stack(str(error))) if is_model_code(frame.file)]
    frame = named[0] if named else error_frame(error)
    do = "write that line within TorchScript's Python, or capture with method='export'"
    return CaptureError(f"capture {type(model).__qualname__} by jit.script", found=reason(error), do=do, frame=frame)
