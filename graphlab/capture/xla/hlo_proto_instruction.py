"""One HloInstructionProto: its attributes, the computations it names, where it came from, its constant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from google.protobuf import text_format

from graphlab.capture.proto import Parsed
from graphlab.capture.xla.hlo_attributes import AttributeReader, Attributes
from graphlab.capture.xla.hlo_build import NOWHERE, is_scalar
from graphlab.capture.xla.hlo_lexer import Faults, HloText
from graphlab.capture.xla.hlo_metadata import Metadata, Origin
from graphlab.capture.xla.hlo_proto_attributes import extra
from graphlab.capture.xla.hlo_proto_common import Pairs, common, config_text, metadata_pairs
from graphlab.capture.xla.hlo_proto_literals import literal_constant, scalar_text
from graphlab.capture.xla.hlo_proto_unknown import unknown_fields
from graphlab.ir.constants import Constant
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.values import ValueType

Called: TypeAlias = tuple[tuple[str, tuple[str, ...]], ...]

ASYNC = {"async-start": "-start", "async-update": "-update", "async-done": "-done"}
"""Operations that run another on their own thread → how HLO text ends that one's name in their place."""

_TO_APPLY = frozenset((
    "call", "map", "reduce-window", "reduce", "all-reduce", "all-reduce-start", "reduce-scatter", "scatter", "sort", "topk", "scan",
))  # fmt: skip
_TYPED = frozenset(
    ("compare", "collective-permute", "collective-permute-start")
)  # their first operand's type has a say in their attributes
_APART = ("name", "id", "operand_ids", "shape", "metadata", "control_predecessor_ids", "called_computation_ids")
_UNPRINTED = ("size_of_generated_code_in_bytes", "size_of_memory_working_set_in_bytes", "creation_pass_id", "logical_creation_pass_id")
_SMALL = 64  # bytes of a literal up to which equal ones share a Constant


@dataclass(frozen=True, slots=True)
class Traits:
    """What many instructions share: attributes, and in ``more`` the fields that the schema lacks."""

    attributes: Attributes
    more: FrozenDict[str, Any] | None


class InstructionReader:
    """Decodes instructions of one module; what repeats is decoded once.

    It takes instructions apart as it goes: a message that it has read has lost the fields that are an instruction's own.
    """

    def __init__(self, module: Any, parsed: Parsed, name: str, metadata: Metadata, names: Mapping[int, str], faults: Faults) -> None:
        """``names``: a computation's id → its name."""
        self._payloads = module.payloads
        self._parsed = parsed
        self._metadata = metadata
        self._names = names
        self._faults = faults
        self.attributes = AttributeReader(HloText("", name))
        self._traits: dict[tuple[bytes, ValueType | None], Traits] = {}
        self._constants: dict[tuple[bytes, ValueType], tuple[Constant, str | None]] = {}

    def traits(self, instruction: Any, opcode: str, operands: Sequence[ValueType]) -> Traits:
        """An instruction's attributes. Call it last: it clears the fields that do not bear on them."""
        for field in _APART:
            instruction.ClearField(field)
        key = (instruction.SerializeToString(), operands[0] if operands and opcode in _TYPED else None)
        known = self._traits.get(key)
        if known is None:
            fields = _fields(instruction)
            attributes = self.decoded(fields, [*extra(opcode, fields, operands), *common(fields)])
            known = self._traits[key] = Traits(attributes, unknown_fields(instruction))
        return known

    def started(self, instruction: Any, inner: Any, operands: Sequence[ValueType]) -> Attributes:
        """Those of an asynchronous operation that stands for ``inner``, another's instruction."""
        fields = _fields(instruction)
        within = _fields(inner) if inner is not None and instruction.opcode == "async-start" else {}
        own = extra(instruction.opcode, fields, operands)
        return self.decoded(fields, [*own, *(extra(inner.opcode, within, operands) if within else ()), *common(fields)])

    def decoded(self, fields: Mapping[str, Any], pairs: Pairs) -> Attributes:
        config = self._config(fields)
        if config:
            pairs.append(("backend_config", config_text(config)))
        return self.attributes.of(_once(pairs)) if pairs else _EMPTY

    def _config(self, fields: Mapping[str, Any]) -> bytes:
        if "backend_config_payload" in fields:
            return self._payload(fields["backend_config_payload"])
        return self._parsed.read(fields["backend_config"]) if "backend_config" in fields else b""

    def _payload(self, payload: Any) -> bytes:
        """A value that stands in place, or in the module's table."""
        if payload.HasField("value"):
            return self._parsed.read(payload.value)
        table = self._payloads
        return self._parsed.read(table[payload.id]) if payload.HasField("id") and 0 <= payload.id < len(table) else b""

    def called(self, opcode: str, ids: Sequence[int], operands: Sequence[ValueType], pos: int) -> Called:
        """The computations an instruction names, by the attribute that names them in HLO text.

        Raises:
            FormatError: one is not there.
        """
        if not ids or opcode in ("async-update", "async-done"):
            return ()
        names = []
        for id in ids:
            if id not in self._names:
                raise self._faults.wrong(f"the computation id {id}, which no computation of the module has", pos)
            names.append(self._names[id])
        pair = len(names) == 2
        if opcode == "while" and pair:
            return ("condition", (names[1],)), ("body", (names[0],))
        if opcode == "select-and-scatter" and pair:
            return ("select", (names[0],)), ("scatter", (names[1],))
        if opcode == "conditional":
            if pair and operands and getattr(operands[0], "dtype", "") == "bool":
                return ("true_computation", (names[0],)), ("false_computation", (names[1],))
            return (("branch_computations", tuple(names)),)
        if opcode == "custom-call":
            return (("called_computations", tuple(names)),)
        return (("to_apply" if opcode in _TO_APPLY else "calls", tuple(names)),)

    def origin(self, metadata: Any) -> Origin:
        """What an instruction's metadata says. Clears it of the fields that are usual."""
        name, frame = metadata.op_name, metadata.stack_frame_id
        metadata.ClearField("op_name")
        metadata.ClearField("stack_frame_id")
        if metadata.ByteSize() == 0:
            return self._metadata.usual(name, frame) if name else self._metadata.origin({"stack_frame_id": frame} if frame else {})
        metadata.op_name, metadata.stack_frame_id = name, frame
        fields = _fields(metadata)
        payload = self._payload(metadata.metadata_payload) if "metadata_payload" in fields else b""
        values = dict(self.attributes.of(metadata_pairs(metadata, payload)).values)
        for field in _UNPRINTED:
            if field in fields:
                values[field] = fields[field]
        if "profile_info" in fields:
            values["profile_info"] = plain(metadata.profile_info)
        if more := unknown_fields(metadata):
            values["unknown_metadata_fields"] = more
        return self._metadata.origin(values) if values else NOWHERE

    def constant(self, instruction: Any, type: ValueType) -> tuple[Constant, str | None]:
        """A constant, and a scalar's text. Takes the literal out of the instruction."""
        if not instruction.HasField("literal"):
            return Constant(type, None, reason="XLA left the value out of the message"), None
        literal = instruction.literal
        key = None
        if literal.ByteSize() <= _SMALL:
            key = (literal.SerializeToString(), type)
            known = self._constants.get(key)
            if known is not None:
                instruction.ClearField("literal")
                return known
        value = literal_constant(literal, type, self._parsed)
        made = value, scalar_text(value) if is_scalar(type) else None
        if key is not None:
            self._constants[key] = made
        instruction.ClearField("literal")
        return made


_EMPTY = Attributes()


def _fields(message: Any) -> dict[str, Any]:
    return {descriptor.name: value for descriptor, value in message.ListFields()}


def _once(pairs: Pairs) -> Pairs:
    """A name that is given twice keeps its first place and its last value: what an async-start says goes before what it runs does."""
    return pairs if len({name for name, _ in pairs}) == len(pairs) else list(dict(pairs).items())


def plain(message: Any) -> str:
    """A small message as protobuf's text form on one line."""
    return str(text_format.MessageToString(message, as_one_line=True)).strip()
