"""Parser of ONNX's text syntax (``.onnxtxt``), into the messages that the binary form has.

The grammar is docs/Syntax.md of onnx; where that and onnx's own parser differ (attribute lists after the operands, an empty
operand between commas, ``op:overload``, ``//`` comments as onnx-mlir's tests have them), both are read.
"""

from __future__ import annotations

import re
import secrets
from typing import Any, NoReturn

from graphlab.capture.file import File
from graphlab.capture.onnx.types import TEXT_DTYPES
from graphlab.capture.proto import Parsed, Schema
from graphlab.errors import FormatError

MAX_DEPTH = 32
"""Graphs within graphs, and types within types: as many as protobuf takes."""
_LIMIT = 256 << 20

_TOKEN = re.compile(
    r"""(?:\s+|//[^\n]*|\#[^\n]*)*+
    (?:(?P<word>[A-Za-z_]\w*)
      |(?P<number>-?(?:\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|(?i:infinity|inf|nan)\b))
      |"(?P<text>(?:[^"\\]|\\.)*)"
      |(?P<mark>=>|[<>(){}\[\],.:=?@])
      |(?P<end>\Z))""",
    re.VERBOSE | re.ASCII | re.DOTALL,
)
_SPECIAL = frozenset({"inf", "infinity", "nan"})
_CONTAINERS = frozenset({"seq", "map", "optional", "sparse_tensor", "opaque"})
_ATTRIBUTE_TYPES = {
    "float": 1, "int": 2, "string": 3, "tensor": 4, "graph": 5, "floats": 6, "ints": 7, "strings": 8, "tensors": 9, "graphs": 10,
    "sparse_tensor": 11, "sparse_tensors": 12, "type_proto": 13, "type_protos": 14,
}  # fmt: skip
_LIST_OF = {1: 6, 2: 7, 3: 8, 4: 9, 5: 10, 11: 12, 13: 14}  # a single value's type -> its list's
_SINGLE_OF = {many: one for one, many in _LIST_OF.items()}
_LIST_FIELD = {6: "floats", 7: "ints", 8: "strings", 9: "tensors", 10: "graphs", 14: "type_protos"}
_SINGLE_FIELD = {1: "f", 2: "i", 3: "s", 4: "t", 5: "g", 13: "tp"}
_STRINGS = ("producer_name", "producer_version", "domain", "doc_string", "overload")
_INTS = ("ir_version", "model_version")


def parse(file: File, schema: Schema) -> Parsed:
    """The ModelProto that a file holds in ONNX's text syntax.

    Raises:
        FormatError: it is not of that syntax; ``where`` has line and column.
    """
    data = file.read(_LIMIT)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"read {file.name}", found="it is not UTF-8", do="check the file", where=f"offset {error.start}") from error
    model = schema.new("ModelProto")
    _Parser(text, file.name).model(model)
    return Parsed(model, None, secrets.token_bytes(8))


class _Parser:
    """One token is looked at: ``kind`` (word, number, text, mark or end) and ``token``."""

    def __init__(self, text: str, name: str) -> None:
        self._text = text
        self._name = name
        self._at = self._end = self._depth = self._before = 0
        self.kind = self.token = ""
        self._next()

    # -- tokens

    def _next(self) -> str:
        """Go on to the next token; returns the one that was looked at."""
        old, self._before = self.token, self._at
        match = _TOKEN.match(self._text, self._end)
        if match is None:
            self._at = self._end
            self._fail(f"'{self._text[self._end : self._end + 20].strip()}' is no token of the syntax")
        self.kind = match.lastgroup or "end"
        self._at, self._end = match.start(self.kind), match.end()
        self.token = match[self.kind]
        return old

    def _take(self, mark: str) -> bool:
        if self.kind == "mark" and self.token == mark:
            self._next()
            return True
        return False

    def _expect(self, mark: str) -> None:
        if not self._take(mark):
            self._fail(f"'{mark}' is expected, {self._seen()} found")

    def _word(self) -> str:
        if self.kind != "word":
            self._fail(f"a name is expected, {self._seen()} found")
        return self._next()

    def _string(self) -> str:
        if self.kind != "text":
            self._fail(f"a text in quotes is expected, {self._seen()} found")
        return re.sub(r"\\(.)", r"\1", self._next(), flags=re.DOTALL)

    def _name_token(self) -> str:
        return self._string() if self.kind == "text" else self._word()

    def _int(self) -> int:
        if self.kind != "number" or not self.token.lstrip("-").isdigit() or len(self.token) > 20:
            self._fail(f"a whole number is expected, {self._seen()} found")
        return int(self._next())

    def _float(self) -> float:
        if self.kind == "word" and self.token.lower() in _SPECIAL:
            return float(self._next())
        if self.kind != "number":
            self._fail(f"a number is expected, {self._seen()} found")
        return float(self._next())

    def _seen(self) -> str:
        return "the end" if self.kind == "end" else f"'{self.token[:40]}'"

    def _fail(self, found: str, *, before: bool = False) -> NoReturn:
        """Refuse the token that is looked at, or the one before it."""
        at = self._before if before else self._at
        line = self._text.count("\n", 0, at) + 1
        column = at - self._text.rfind("\n", 0, at)
        raise FormatError(f"read {self._name} as ONNX text", found=found, do="check the text", where=f"{self._name}:{line}:{column}")

    def _set(self, message: Any, field: str, value: Any) -> None:
        try:
            setattr(message, field, value)
        except ValueError as error:  # protobuf's, for a number out of the field's range
            self._fail(f"{field} cannot be {value}: {error}", before=True)

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._fail(f"it nests deeper than {MAX_DEPTH}")

    # -- models, functions, graphs

    def model(self, model: Any) -> None:
        self._header(model, (*_INTS, *_STRINGS[:4], "opset_import", "metadata_props"))
        self._graph(model.graph, self._name_token())
        while self.kind != "end":
            self._function(model.functions.add())

    def _header(self, message: Any, fields: tuple[str, ...]) -> None:
        if not self._take("<"):
            return
        while not self._take(">"):
            field = self._word()
            if field not in fields:
                self._fail(f"'{field}' is no property here; {', '.join(fields)} are", before=True)
            self._expect(":")
            if field == "opset_import":
                self._expect("[")
                while not self._take("]"):
                    entry = message.opset_import.add(domain=self._string())
                    self._expect(":")
                    self._set(entry, "version", self._int())
                    self._take(",")
            elif field == "metadata_props":
                self._pairs(message.metadata_props)
            else:
                self._set(message, field, self._int() if field in _INTS else self._string())
            self._take(",")

    def _pairs(self, entries: Any) -> None:
        self._expect("[")
        while not self._take("]"):
            key = self._string()
            self._expect(":")
            entries.add(key=key, value=self._string())
            self._take(",")

    def _function(self, function: Any) -> None:
        self._header(function, ("opset_import", "domain", "doc_string", "overload"))
        function.name = self._name_token()
        if self._take("<"):
            while not self._take(">"):
                name = self._name_token()
                if self.kind == "mark" and self.token in (":", "="):
                    self._attribute(function.attribute_proto.add(), name)
                else:
                    function.attribute.append(name)
                self._take(",")
        for names in (function.input, function.output):
            self._expect("(")
            while not self._take(")"):
                if self._is_type():
                    info = function.value_info.add()
                    self._type(info.type)
                    info.name = self._name_token()
                    names.append(info.name)
                else:
                    names.append(self._name_token())
                self._take(",")
            if names is function.input:
                self._expect("=>")
        if self._take("<"):
            while not self._take(">"):
                self._value(function.value_info.add())
                self._take(",")
        self._nodes(function.node)

    def _graph(self, graph: Any, name: str) -> None:
        self._deeper()
        graph.name = name
        if self._take("("):
            while not self._take(")"):
                info = graph.input.add()
                self._value(info)
                if self._take("="):
                    self._held(graph.initializer.add(name=info.name), info.type)
                self._take(",")
        self._expect("=>")
        self._expect("(")
        while not self._take(")"):
            self._value(graph.output.add())
            self._take(",")
        if self._take("<"):
            while not self._take(">"):
                info = graph.value_info.add()
                self._value(info)
                if self._take("="):
                    self._held(graph.initializer.add(name=info.name), info.type)
                    del graph.value_info[-1]
                self._take(",")
        self._nodes(graph.node)
        self._depth -= 1

    def _value(self, info: Any) -> None:
        if self._is_type():
            self._type(info.type)
        info.name = self._name_token()

    # -- nodes

    def _nodes(self, nodes: Any) -> None:
        self._expect("{")
        while not self._take("}"):
            node = nodes.add()
            if self._take("["):
                node.name = self._name_token()
                self._expect("]")
            self._names(node.output, "=")
            self._expect("=")
            path = [self._word()]
            while self._take("."):
                path.append(self._word())
            node.domain, node.op_type = ".".join(path[:-1]), path[-1]
            if self._take(":"):
                node.overload = self._word()
            before = self._attributes(node.attribute)
            self._expect("(")
            self._names(node.input, ")")
            self._expect(")")
            if not before:
                self._attributes(node.attribute)

    def _names(self, names: Any, end: str) -> None:
        """Names between commas up to a mark; nothing between two commas, or before the first, is the empty name."""
        while not (self.kind == "mark" and self.token == end):
            names.append(self._name_token() if self.kind in ("word", "text") else "")
            if not self._take(","):
                return

    def _attributes(self, attributes: Any) -> bool:
        if not self._take("<"):
            return False
        while not self._take(">"):
            self._attribute(attributes.add(), self._name_token())
            self._take(",")
        return True

    def _attribute(self, attribute: Any, name: str) -> None:
        attribute.name = name
        wanted = 0
        if self._take(":"):
            word = self._word()
            wanted = _ATTRIBUTE_TYPES.get(word, 0)
            if not wanted:
                self._fail(f"'{word}' is no type of attributes; {', '.join(_ATTRIBUTE_TYPES)} are", before=True)
        self._expect("=")
        if not self._take("["):
            attribute.type = self._single(attribute, wanted)
            return
        kind = wanted
        while not self._take("]"):
            single = type(attribute)()
            one = self._single(single, _SINGLE_OF.get(kind, kind))
            many = _LIST_OF.get(one, 0)
            if many not in _LIST_FIELD or (kind and kind not in (many, one)):
                self._fail("the values of the list are of several types, or of one that has no lists", before=True)
            kind = many
            getattr(attribute, _LIST_FIELD[many]).append(getattr(single, _SINGLE_FIELD[one]))
            self._take(",")
        if not kind:
            self._fail("an empty list has to name its type", before=True)
        attribute.type = kind

    def _single(self, attribute: Any, wanted: int) -> int:
        """Read one value into its field; returns its type."""
        if self._take("@"):
            attribute.ref_attr_name = self._name_token()
            return wanted
        if self.kind == "text":
            attribute.s = self._string().encode()
            return 3
        if self.kind == "number" or (self.kind == "word" and self.token.lower() in _SPECIAL):
            whole = self.kind == "number" and self.token.lstrip("-").isdigit()
            if whole and wanted != 1:
                self._set(attribute, "i", self._int())
                return 2
            self._set(attribute, "f", self._float())
            return 1
        if not self._is_type():
            self._graph(attribute.g, self._word())
            return 5
        kind = type(attribute.tp)()
        self._type(kind)
        if self.kind in ("word", "text") or (self.kind == "mark" and self.token in ("=", "{")):
            name = self._name_token() if self.kind in ("word", "text") else ""
            self._take("=")
            attribute.t.name = name
            self._held(attribute.t, kind)
            return 4
        attribute.tp.CopyFrom(kind)
        return 13

    # -- types and tensors

    def _is_type(self) -> bool:
        return self.kind == "word" and (self.token in TEXT_DTYPES or self.token in _CONTAINERS)

    def _type(self, type: Any) -> None:
        self._deeper()
        word = self._word()
        if word in TEXT_DTYPES:
            self._tensor_type(type.tensor_type, word)
        elif word == "opaque":
            self._expect("(")
            parts: list[str] = []
            while not self._take(")"):
                parts.append(self._word())
                while self._take("."):
                    parts[-1] += "." + self._word()
                self._take(",")
            type.opaque_type.name = parts[-1] if parts else ""
            type.opaque_type.domain = ".".join(parts[:-1])
        else:
            self._expect("(")
            if word == "seq":
                self._type(type.sequence_type.elem_type)
            elif word == "optional":
                self._type(type.optional_type.elem_type)
            elif word == "map":
                type.map_type.key_type = self._element_type(self._word())
                self._expect(",")
                self._type(type.map_type.value_type)
            else:
                self._tensor_type(type.sparse_tensor_type, self._word())
            self._expect(")")
        self._depth -= 1

    def _element_type(self, word: str) -> int:
        if word not in TEXT_DTYPES:
            self._fail(f"'{word}' is no element type", before=True)
        return TEXT_DTYPES[word]

    def _tensor_type(self, type: Any, word: str) -> None:
        """``float`` is a scalar, ``float[]`` of unknown rank, ``float[N,3]`` of rank 2."""
        type.elem_type = self._element_type(word)
        if not self._take("["):
            type.shape.SetInParent()
            return
        while not self._take("]"):
            dim = type.shape.dim.add()
            if self.kind == "number":
                self._set(dim, "dim_value", self._int())
            elif not self._take("?"):
                dim.dim_param = self._name_token()
            self._take(",")

    def _held(self, tensor: Any, type: Any) -> None:
        """A tensor's values in braces, or where they lie outside, in brackets."""
        if type.WhichOneof("value") != "tensor_type" or not type.tensor_type.HasField("shape"):
            self._fail("a tensor that is given has a shape")
        tensor.data_type = type.tensor_type.elem_type
        for dim in type.tensor_type.shape.dim:
            if dim.WhichOneof("value") != "dim_value":
                self._fail("a tensor that is given has a shape in numbers")
            tensor.dims.append(dim.dim_value)
        if self.kind == "mark" and self.token == "[":
            tensor.data_location = 1
            self._pairs(tensor.external_data)
            return
        self._expect("{")
        field, read = _DATA_FIELDS.get(tensor.data_type, ("int32_data", "int"))
        values = getattr(tensor, field)
        while not self._take("}"):
            value = self._int() if read == "int" else self._float() if read == "float" else self._string().encode()
            try:
                values.append(value)
            except ValueError as error:
                self._fail(f"{value!r} is no element of this tensor: {error}", before=True)
            self._take(",")


_DATA_FIELDS = {
    1: ("float_data", "float"), 14: ("float_data", "float"), 11: ("double_data", "float"), 15: ("double_data", "float"),
    7: ("int64_data", "int"), 12: ("uint64_data", "int"), 13: ("uint64_data", "int"), 8: ("string_data", "text"),
}  # fmt: skip
