"""Fields of a message that the schema lacks: a later version's, kept by their numbers."""

from __future__ import annotations

from typing import Any

from google.protobuf.unknown_fields import UnknownFieldSet

from graphlab.capture.xla.hlo_lexer import text_of
from graphlab.ir.frozen import FrozenDict

_LONGEST = 1024  # bytes of a value that are kept


def unknown_fields(message: Any) -> FrozenDict[str, Any] | None:
    """Field number → value, as the wire has it; of a field that repeats, all of them."""
    found: dict[str, list[Any]] = {}
    for field in UnknownFieldSet(message):
        value = text_of(field.data[:_LONGEST]) if isinstance(field.data, bytes) else field.data if isinstance(field.data, int) else "group"
        found.setdefault(str(field.field_number), []).append(value)
    return FrozenDict({number: values[0] if len(values) == 1 else tuple(values) for number, values in found.items()}) if found else None
