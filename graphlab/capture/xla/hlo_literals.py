"""The values of HLO constants, read from their text when asked for."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from graphlab.capture.xla.hlo_lexer import HloText, without_comments
from graphlab.ir.constants import Constant
from graphlab.ir.values import TensorType, ValueType

# A literal's inner shape ("constant(f32[2]{0} {1, 2})"), which older XLA printed.
_INNER_SHAPE = re.compile(r"\s*[a-z]\w*\[[^\[\]]*\](?:\{[^{}]*\})?\s+", re.ASCII)
_COMPLEX = re.compile(r"\(([^(),]*),([^(),]*)\)")
_NAN = re.compile(r"nan\([^()]*\)")
_TOKEN = re.compile(r"[^\s{},()]+")


def constant(source: HloText, start: int, end: int, type: ValueType) -> Constant:
    """The constant whose literal stands between ``start`` and ``end``. Nothing of it is parsed yet."""
    if not isinstance(type, TensorType):
        return Constant(type, None, reason="a tuple of constants has no bytes of its own")
    if type.elements is None:
        return Constant(type, None, reason="its size is not known")
    text = source.text
    if text.find("...", start, end) >= 0:
        return Constant(type, None, reason="XLA left the value out of the text ({...}); print with large constants to keep it")
    return Constant(type, partial(_bytes, source, start, end, type))


def _bytes(source: HloText, start: int, end: int, type: TensorType) -> bytes:
    """The dense array's bytes. Raises FormatError where the literal does not fit the type."""
    import ml_dtypes
    import numpy as np

    text = _INNER_SHAPE.sub("", without_comments(source.text[start:end]), count=1)
    dtype = np.dtype(getattr(ml_dtypes, type.dtype, None) or type.dtype)
    try:
        if type.dtype.startswith("complex"):
            values: list[Any] = [complex(float(re), float(im)) for re, im in _COMPLEX.findall(text)]
        else:
            read = _READ.get(dtype.kind if "int" not in type.dtype else "i", _float)
            values = [read(token) for token in _TOKEN.findall(_NAN.sub("nan", text))]
        array = np.array(values, dtype)
    except (ValueError, OverflowError) as error:
        raise source.wrong(f"a literal that is no {type}: {error}", start) from error
    if array.size != type.elements:
        raise source.wrong(f"a literal of {array.size} values for the type {type}", start)
    return array.tobytes()


def _bool(token: str) -> bool:
    if token in ("true", "false"):
        return token == "true"
    return int(token) != 0


def _int(token: str) -> int:
    return int(token, 0) if "x" in token else int(token)


def _float(token: str) -> float:
    """Decimal, ``inf``, ``-nan``, or C's hexadecimal form."""
    return float.fromhex(token) if "x" in token else float(token)


_READ = {"b": _bool, "i": _int}
