"""TensorFlow graphs in single files: GraphDef (``.pb``, ``.pbtxt``) and MetaGraphDef (``.meta``), binary and text.

A GraphDef has no signature: its placeholders are taken for inputs, and what nothing in it takes for outputs. A MetaGraph
reads its variables from the checkpoint beside it (``model.meta``, ``model.index``). Formats:
tensorflow/core/framework/graph.proto, tensorflow/core/protobuf/meta_graph.proto.
"""

from __future__ import annotations

import re

from graphlab.capture.file import File
from graphlab.capture.tensorflow import op_table
from graphlab.capture.tensorflow.bundle import Bundle, read_bundle
from graphlab.capture.tensorflow.meta_graph import read_graph_def, read_meta_graph, signature_names
from graphlab.capture.tensorflow.saved_model import shards
from graphlab.capture.tensorflow.schema import SCHEMA
from graphlab.errors import SelectError
from graphlab.ir.constants import digest
from graphlab.ir.program import Program, Source

READS = "TensorFlow GraphDefs and MetaGraphs (.pb, .pbtxt, .meta)"

_DIGEST_BYTES = 64 << 20
_BLANK = rb"(?:\s|#[^\n]*\n)*"
_SKIPPED = rb"(?:(?:versions\s*:?\s*[{<][^{}<>]*[}>]|version\s*:\s*\d+)" + _BLANK + rb")*"
_NODE = re.compile(_BLANK + _SKIPPED + rb"node\s*:?\s*[{<]")
_LIBRARY = re.compile(_BLANK + _SKIPPED + rb"library\s*:?\s*[{<]\s*(?:[}>]|(?:function|gradient|registered_gradients)\s*:?\s*[{<])")
_META = re.compile(_BLANK + rb"(?:meta_info_def|graph_def|saver_def)\s*:?\s*[{<]")
_OP = re.compile(rb"\bop\s*:\s*[\"']")
_OTHERS = re.compile(rb"\b(?:calculator|op_type|input_stream|output_stream)\s*:")
# With an operation that TensorFlow knows it is a GraphDef, however damaged the rest.
_OP_NAME = re.compile(rb"[A-Za-z_.>][\w.>/\-]*")


def matches(target: object) -> bool:
    """Whether it is a GraphDef or a MetaGraphDef."""
    if not isinstance(target, File) or target.is_dir or not target.head:
        return False
    return _is_text(target) is not None or _is_binary(target) is not None


def read(file: File, *, select: str | None = None) -> Program:
    """The graph's Program. ``select`` names a MetaGraph's signature.

    Raises:
        FormatError: it is damaged.
        SelectError: it has no such signature.
    """
    message = _is_text(file)
    if message is not None:
        parsed = SCHEMA.parse_text(message, file)
    else:
        message = _is_binary(file) or "GraphDef"
        parsed = SCHEMA.parse(message, file)
    version = parsed.message.meta_info_def.tensorflow_version if message == "MetaGraphDef" else ""
    source = Source(
        "tensorflow",
        message.removesuffix("Def") if message == "MetaGraphDef" else message,
        method="read",
        producer=f"tensorflow {version}" if version else "",
        path=file.name,
        digest=digest(file.read()) if file.size <= _DIGEST_BYTES else None,
    )
    names = tuple(signature_names(parsed.message)) if message == "MetaGraphDef" else ()
    if select is not None and select not in names:
        raise SelectError(
            f"read '{select}' of {file.name}",
            found=f"its signatures are {', '.join(names)}" if names else "it is one graph without signatures",
            do="select one of them" if names else "read it without a selection",
            names=names,
        )
    if message == "GraphDef":
        return read_graph_def(parsed, parsed.message, file=file, source=source)
    bundle, reason = _beside(file)
    index = f"{file.path.stem}.index" if file.path.suffix == ".meta" else ""  # any other name says of no checkpoint
    return read_meta_graph(parsed, parsed.message, file=file, source=source, bundle=bundle, reason=reason, values=index, only=select)


def _is_text(file: File) -> str | None:
    """The message that the text is of."""
    if _META.match(file.head):
        return "MetaGraphDef"
    if _LIBRARY.match(file.head):
        return "GraphDef"
    node = _NODE.match(file.head)
    if node is None or _OTHERS.search(file.head):
        return None
    return "GraphDef" if _OP.search(file.head, node.end()) else None


def _is_binary(file: File) -> str | None:
    first = file.head[0]
    op = _first_op(file.head) if first == 0x0A else ""
    if op and op_table.find(op) is not None:
        return "GraphDef"
    likely = op or first in (0x12, 0x18, 0x22)
    if likely and SCHEMA.fits("GraphDef", file, needs=("node", "library")):
        return "GraphDef"
    if first in (0x0A, 0x12) and SCHEMA.fits("MetaGraphDef", file, needs=("graph_def",)):
        return "MetaGraphDef"
    return None


def _first_op(head: bytes) -> str:
    """The operation of the node that a GraphDef begins with; empty where no name and operation stand there."""
    _, at = _length(head, 0)  # GraphDef.node
    if at < 0 or head[at : at + 1] != b"\x0a":
        return ""
    name, at = _length(head, at)  # NodeDef.name
    if at < 0 or not name or head[at + name : at + name + 1] != b"\x12":
        return ""
    op, at = _length(head, at + name)  # NodeDef.op
    found = _OP_NAME.fullmatch(head[at : at + op]) if at > 0 else None
    return "" if found is None else found[0].decode()


def _length(head: bytes, at: int) -> tuple[int, int]:
    """The length written behind the tag at a place, and where its bytes begin; that is -1 where there is none."""
    length = shift = 0
    for byte in head[at + 1 : at + 6]:
        at += 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return length, at + 1
    return 0, -1


def _beside(file: File) -> tuple[Bundle | None, str]:
    """The checkpoint whose name is the file's but for the ending."""
    reason = "there is no checkpoint beside the graph"
    if file.name != str(file.path) or not file.path.is_file() or file.path.suffix != ".meta":
        return None, reason
    directory, prefix = File.open(file.path.parent), file.path.stem
    if not directory.has(f"{prefix}.index"):
        return None, reason
    return read_bundle(directory.entry(f"{prefix}.index"), shards(directory, prefix)), ""


__all__ = ["READS", "matches", "read"]
