"""Files that hold an HLO module as a protobuf message: which message it is, and where in it the module lies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from graphlab.capture import proto
from graphlab.capture.file import File, Slice
from graphlab.capture.proto import Parsed, Schema
from graphlab.errors import FormatError

_PROTO = Path(__file__).parent / "hlo.proto"
_MOST_LAYERS = 4

# On the wire a packed list of numbers and a run of bytes are the same: as bytes, large ones stay in the file.
_ELEMENTS = re.compile(r"repeated (?:bool|u?int(?:32|64)|float|double) ((?:pred|[suf]\d+|c\d+)s) =")

# A message that holds a module in its bytes → the field, and the fields of which one must be there.
_HOLDERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "HloUnoptimizedSnapshot": ("hlo_module", ("partitions", "version")),
    "HloModuleProtoWithConfig": ("hlo_module", ("config",)),
    "HloProto": ("hlo_module", ("hlo_module",)),
    "HloSnapshot": ("hlo", ("hlo",)),
    "CompilationResultProto": ("hlo_module", ("hlo_module",)),
    "GpuExecutableProto": ("hlo_module_with_config", ("hlo_module_with_config",)),
    "HloModuleGroupProto": ("hlo_modules", ("hlo_modules",)),
    "ExecutableAndOptionsProto": ("serialized_executable", ("serialized_executable",)),
    "StreamExecutorExecutableProto": ("executables", ("executables",)),
}
_ALIKE = ("ExecutableAndOptionsProto", "StreamExecutorExecutableProto")  # their fields are bytes to begin with
_UNKNOWN = (0.0, 0.3)
"""Shares of bytes in fields that the schema lacks: a message is first looked for that it is whole, then one of a later version."""

# The text form's first field → its message.
_TEXTS: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern), message)
    for pattern, message in (
        (rb"hlo_module\s*:?\s*\{\s*hlo_module\s*:?\s*\{", "CompilationResultText"),
        (rb"hlo_module_with_config\s*:?\s*\{\s*hlo_module\s*:?\s*\{", "GpuExecutableText"),
        (rb"(?:executable_and_options|cpu_executable|gpu_executable)\s*:?\s*\{", "DeserializedSplitExecutableAndOptions"),
        (rb"hlo_module\s*:?\s*\{", ""),
        (rb"hlo\s*:?\s*\{\s*hlo_module\s*:?\s*\{", "HloSnapshot"),
        (rb"hlo_modules\s*:?\s*\{", "HloModuleGroupProto"),
        (rb'name:\s*"(?:[^"\\\n]|\\.)*"\s*hlo_modules\s*:?\s*\{', "HloModuleGroupProto"),
        (
            rb'name:\s*"(?:[^"\\\n]|\\.)*"\s*(?:entry_computation_name\s*:|entry_computation_id\s*:|computations\s*:?\s*\{)',
            "HloModuleProto",
        ),
        (rb'(?:entry_computation_name:\s*"(?:[^"\\\n]|\\.)*"\s*)?computations\s*:?\s*\{\s*name\s*:', "HloModuleProto"),
    )
)
_BLANK = re.compile(rb"(?:\s+|#[^\n]*)*")
_IFRT = re.compile(rb"([\x80-\xff]{0,2}[\x01-\x7f])\x08.\x12.pjrt_ifrt", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Held:
    """A module found in a file.

    Attributes:
        kind: the outermost message's name.
        message: the HloModuleProto.
        parsed: fetches the large bytes that the message refers to.
        data: the module's own bytes, where they lie in the file.
        config, buffers: its HloModuleConfigProto and BufferAssignmentProto, where the file has them.
        facts: what else the file says: a snapshot's platform, the types of its arguments.
    """

    kind: str
    message: Any
    parsed: Parsed
    data: bytes | Slice
    config: Any = None
    buffers: Any = None
    facts: dict[str, Any] = field(default_factory=dict)


@cache
def binary_schema() -> Schema:
    """The messages, the elements of literals as bytes."""
    return Schema(_ELEMENTS.sub(r"repeated bytes \1 =", _PROTO.read_text(encoding="utf-8")), "hlo_binary.proto")


def text_schema() -> Schema:
    """The messages as they are."""
    return proto.load(_PROTO)


def text_message(file: File) -> str | None:
    """The message whose text form a file looks like, by its first fields."""
    if b"\0" in file.head:
        return None
    head = file.head
    start = _blank_end(head)
    if start >= len(head) - 200 and file.size > len(head):  # long comments: the start lies further on
        head = bytes(file.view()[: 1 << 20])
        start = _blank_end(head)
    message = next((message for pattern, message in _TEXTS if pattern.match(head, start)), None)
    if message != "":
        return message
    rest = bytes(file.view()[-65_536:])  # what stands behind the module says which of three it is
    if re.search(rb"^partitions\s*:?\s*\{|^version\s*:", rest, re.MULTILINE):
        return "HloUnoptimizedSnapshot"
    return "HloModuleProtoWithConfig" if re.search(rb"^config\s*:?\s*\{", rest, re.MULTILINE) else "HloProto"


def _blank_end(data: bytes) -> int:
    match = _BLANK.match(data)
    return match.end() if match else 0


def holds_modules(file: File) -> bool:
    """Whether modules lie deep inside of what is no module's file: the first in the first of its messages, or of theirs."""
    schema = binary_schema()
    for _ in range(3):
        try:
            file = next(_inside(schema.parse("Nested", file), "first", file))
        except FormatError:
            return False
        if schema.fits("HloModuleProto", file, needs=("computations",)):
            return True
    return False


def without_ifrt(file: File) -> File:
    """What stands behind the header that JAX's runtime (IFRT) puts before an executable it serializes.

    The header is a message with its length before it, as a varint (xla/python/pjrt_ifrt/executable_metadata.proto).
    """
    match = _IFRT.match(file.head)
    if match is None:
        return file
    length = sum((byte & 0x7F) << 7 * i for i, byte in enumerate(match[1]))
    start = len(match[1]) + length
    return file.part(file.name, start, file.size - start) if start < file.size else file


def binary_message(file: File) -> str | None:
    """The message whose bytes a file looks like, ``None`` where no module lies in it."""
    file = without_ifrt(file)
    # Each of these messages is written from its first field on, and that is a string or a message.
    if file.head[:1] not in (b"\x0a", b"\x12"):
        return None
    return _message(file, 0)


def _message(file: File, layer: int) -> str | None:
    schema = binary_schema()
    if schema.fits("HloModuleProto", file, needs=("computations",), unknown=_UNKNOWN[-1]):
        return "HloModuleProto"
    for unknown in _UNKNOWN if layer < _MOST_LAYERS else ():
        for message, (holder, needs) in _HOLDERS.items():
            if schema.fits(message, file, needs=needs, unknown=unknown):
                inner = next(_inside(_parts(message, file), holder, file), None)
                if inner is not None and _message(inner, layer + 1) is not None:
                    return message
    return None


def _parts(message: str, file: File) -> Parsed:
    return binary_schema().parse(message if message in _ALIKE else f"{message}Parts", file)


def _inside(parsed: Parsed, holder: str, file: File) -> Iterator[File]:
    """The files within a message's field, or fields."""
    value = getattr(parsed.message, holder)
    for one in (value,) if isinstance(value, bytes) else value:
        data = parsed.data(one)
        yield File.of(file.name, data, path=file.path) if isinstance(data, bytes) else _slice_file(file, data)


def _slice_file(file: File, data: Slice) -> File:
    # A slice counts from the start of the file on disk, a part from the start of this one.
    start = file.slice(0, 0)
    return file.part(file.name, data.offset - (start.offset if isinstance(start, Slice) else 0), data.length)


def held_in(file: File) -> list[Held]:
    """The modules that a file holds.

    Raises:
        FormatError: it is damaged, or holds none.
    """
    message = text_message(file)
    if message is not None:
        parsed = text_schema().parse_text(message, file)
        found = _in_text(message, parsed.message, parsed)
        if not found:
            raise FormatError(f"read {file.name}", found=f"its {message} holds no HLO module", do="check the file")
        return found
    message = binary_message(file)
    if message is None:
        raise FormatError(f"read {file.name} as an HLO message", found="no HLO module lies in it", do="check that the file is whole")
    return _in_bytes(message, without_ifrt(file), message, {})


def _in_bytes(message: str, file: File, kind: str, said: dict[str, Any]) -> list[Held]:
    """``said`` is what the messages around it say: a module's config, buffers and facts."""
    schema = binary_schema()
    if message == "HloModuleProto":
        parsed = schema.parse(message, file)
        return [Held(kind, parsed.message, parsed, file.slice(0, file.size), **said)]
    parsed = _parts(message, file)
    more = _said(parsed.message)
    said = {**said, **more, "facts": {**said.get("facts", {}), **more["facts"]}}
    found: list[Held] = []
    for inner in _inside(parsed, _HOLDERS[message][0], file):
        held = _message(inner, 1)
        if held is None:
            raise FormatError(f"read {file.name}", found=f"its {message} holds what is no HLO module", do="check that the file is whole")
        found += _in_bytes(held, inner, kind, said)
    return found


def _in_text(kind: str, message: Any, parsed: Parsed) -> list[Held]:
    """The modules in a message that is not left as bytes."""
    name = message.DESCRIPTOR.name
    if name == "HloModuleProto":
        return [Held(kind, message, parsed, b"")]
    said = _said(message)
    found: list[Held] = []
    for one in ("hlo_module", "hlo_module_with_config", "hlo", "cpu_executable", "gpu_executable"):
        if one in message.DESCRIPTOR.fields_by_name and message.HasField(one):
            found += _in_text(kind, getattr(message, one), parsed)
    for module in message.hlo_modules if "hlo_modules" in message.DESCRIPTOR.fields_by_name else ():
        found += _in_text(kind, module, parsed)
    return [
        Held(
            h.kind,
            h.message,
            h.parsed,
            h.data,
            h.config or said.get("config"),
            h.buffers or said.get("buffers"),
            {**said["facts"], **h.facts},
        )
        for h in found
    ]


def _said(message: Any) -> dict[str, Any]:
    """What a message around a module says of it."""
    fields = {descriptor.name: value for descriptor, value in message.ListFields()}
    said: dict[str, Any] = {"facts": {}}
    if "config" in fields:
        said["config"] = fields["config"]
    if "buffer_assignment" in fields:
        said["buffers"] = fields["buffer_assignment"]
    facts = said["facts"]
    if "execution_platform" in fields:
        facts["execution_platform"] = fields["execution_platform"]
    if "arguments" in fields:
        facts["arguments"] = tuple(fields["arguments"])
    if "result" in fields and hasattr(fields["result"], "shape"):
        facts["result"] = fields["result"]
    if "partitions" in fields:
        facts["partitions"] = tuple(fields["partitions"])
    for name in ("pjrt_client_name", "fingerprint"):
        if name in fields:
            facts[name] = fields[name]
    return said
