"""Attributes that any HLO instruction message may have, and metadata, spelt as HLO text spells them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from graphlab.capture.xla.hlo_lexer import quote, text_of
from graphlab.capture.xla.hlo_proto_shapes import join
from graphlab.capture.xla.hlo_proto_shardings import sharding_text

Fields: TypeAlias = Mapping[str, Any]
"""An instruction's fields that are set, by name."""
Pairs: TypeAlias = list[tuple[str, str]]


def common(fields: Fields) -> Pairs:
    """The attributes that any operation may have, behind its own."""
    pairs: Pairs = []
    if "sharding" in fields:
        pairs.append(("sharding", sharding_text(fields["sharding"], metadata_text)))
    if "frontend_attributes" in fields and fields["frontend_attributes"].map:
        pairs.append(("frontend_attributes", frontend_text(fields["frontend_attributes"])))
    statistics = fields.get("statistics_viz")
    if statistics is not None and statistics.statistics:
        values = "".join(f",{one.stat_name}={one.stat_val:g}" for one in statistics.statistics)
        pairs.append(("statistics", f"{{visualizing_index={statistics.stat_index_to_visualize}{values}}}"))
    accuracy = fields.get("result_accuracy")
    if accuracy is not None and accuracy.HasField("tolerance"):
        t = accuracy.tolerance
        pairs.append(("result_accuracy", f"{{tolerance={{atol={t.atol:g},rtol={t.rtol:g},ulps={t.ulps}}}}}"))
    elif accuracy is not None and accuracy.mode:
        pairs.append(("result_accuracy", f"{{mode={enum_text(accuracy, 'mode').lower()}}}"))
    if "original_value" in fields:
        pairs.append(("origin", _original_value(fields["original_value"])))
    return pairs


def config_text(config: bytes) -> str:
    """A backend's configuration: a JSON object bare, anything else as a string."""
    text = text_of(config)
    return text if _is_object(text) else quote(config)


def frontend_text(attributes: Any) -> str:
    """``{a="x",b={n = 1 : i32}}``, by name."""
    parts = (f"{key}={value if _is_object(value) else quote(value)}" for key, value in sorted(attributes.map.items()))
    return f"{{{','.join(parts)}}}"


def _is_object(text: str) -> bool:
    """Whether braces enclose it whole and in balance, those within strings left out (absl's ``LexesAsJsonDict``)."""
    if text[:1] != "{" or text[-1:] != "}":
        return False
    depth, quoted, escaped = 0, False, False
    for i, char in enumerate(text):
        if quoted:
            quoted = escaped or char != '"'
            escaped = char == "\\" and not escaped
        elif char == '"':
            quoted = True
        elif char == "{":
            depth += 1
        elif char == "}":
            depth -= 1
            if depth == 0 and i < len(text) - 1:
                return False
    return depth == 0 and not quoted


def metadata_pairs(metadata: Any, payload: bytes = b"") -> Pairs:
    """What an OpMetadata says, in XLA's order."""
    pairs: Pairs = []
    for name in ("op_type", "op_name", "source_file"):
        if value := getattr(metadata, name):
            pairs.append((name, quote(value)))
    for name in ("source_line", "source_end_line", "source_column", "source_end_column"):
        if value := getattr(metadata, name):
            pairs.append((name, str(value)))
    if metadata.profile_type:
        pairs.append(("profile_type", f"{{{join(metadata.profile_type)}}}"))
    for name in ("deduplicated_name", "scheduling_name"):
        if value := getattr(metadata, name):
            pairs.append((name, quote(value)))
    if metadata.stack_frame_id:
        pairs.append(("stack_frame_id", str(metadata.stack_frame_id)))
    if payload:
        pairs.append(("metadata_payload", quote(payload)))
    return pairs


def metadata_text(metadata: Any) -> str:
    """``{op_name="x" source_line=3}``."""
    return f"{{{' '.join(f'{name}={text}' for name, text in metadata_pairs(metadata, metadata.metadata_payload.value))}}}"


def _original_value(value: Any) -> str:
    """``{{"x" {1}}}``; a tuple's leaves within parentheses (xla/hlo/ir/hlo_original_value.cc)."""
    if value.is_synthetic_call:
        return "{[synthetic_call]}"
    leaves = [(tuple(element.shape_index), _original_array(element)) for element in value.elements]
    return f"{{{_tree(leaves, 0)}}}"


def _original_array(element: Any) -> str:
    if not element.HasField("original_array"):
        return "{}"
    array = element.original_array
    index = f" {{{join(array.shape_index)}}}" if array.shape_index else ""
    return f"{{{quote(array.instruction_name)}{index}}}"


def _tree(leaves: list[tuple[tuple[int, ...], str]], depth: int) -> str:
    if depth > 64 or (len(leaves) == 1 and len(leaves[0][0]) <= depth):
        return leaves[0][1]
    groups: dict[int, list[tuple[tuple[int, ...], str]]] = {}
    for index, text in leaves:
        groups.setdefault(index[depth] if len(index) > depth else -1, []).append((index, text))
    return f"({', '.join(_tree(inner, depth + 1) for _, inner in sorted(groups.items()))})"


def enum_text(message: Any, field: str) -> str:
    """The name of an enum's value, its number where the schema has no name for it."""
    return enum_name(message.DESCRIPTOR.fields_by_name[field], getattr(message, field))


def enum_name(field: Any, number: int) -> str:
    value = field.enum_type.values_by_number.get(number)
    return str(number) if value is None else str(value.name)
