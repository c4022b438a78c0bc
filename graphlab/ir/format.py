"""The ``.graphlab`` file: versioned JSON, one node a line, the same bytes for the same program.

The schema is ``graphlab/ir/graphlab.schema.json``. Node order is kept: it is the source's own
(an HLO schedule, the order of a jaxpr's equations). What a file does not hold: the native
object, times taken, and the bytes of constants above ``INLINE_BYTES`` (their digests it does).
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

from graphlab.errors import FormatError, GraphlabError
from graphlab.ir.constants import INLINE_BYTES, Constant, value_digest
from graphlab.ir.frames import Frame
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.graph import Call, Control, Graph, Operand
from graphlab.ir.program import ROLES, Attempt, DimRange, Program, Signature, Slot, Source
from graphlab.ir.values import Dim, OpaqueType, Quantization, SymDim, TensorType, TokenType, TupleType, ValueType
from graphlab.ir.verify import ensure_verified

VERSION = 1
MAGIC = b'{"graphlab":'
ONLY_DIGEST = "the .graphlab file stores only its digest"
MAX_TYPE_LEAVES = 100_000
MAX_TYPE_DEPTH = 100
"""What a tuple type in a file may unfold to. The largest met in real HLO dumps: 322 types within one, 5 deep."""


def save(program: Program, path: str | Path) -> None:
    """Write a program to a ``.graphlab`` file. Raises GraphlabError where it cannot be written."""
    data = dumps(program)
    try:
        Path(path).write_bytes(data)
    except OSError as error:
        raise GraphlabError(f"write {path}", found=error.strerror or str(error), do="choose a path that can be written") from error


def dumps(program: Program) -> bytes:
    """The bytes of the program's ``.graphlab`` file.

    Raises:
        GraphlabError: an attribute holds a value the format has no word for.
    """
    encode = _Encoder()
    graphs = [_graph_lines(name, graph, encode) for name, graph in program.graphs.items()]
    head: dict[str, Any] = {
        "graphlab": VERSION,
        "entry": program.entry,
        "source": _source(program.source, encode),
        "signatures": {
            name: {"graph": s.graph, "inputs": [_slot(i, encode) for i in s.inputs], "outputs": [_slot(o, encode) for o in s.outputs]}
            for name, s in program.signatures.items()
        },
        "dims": {name: [r.min, r.max] for name, r in program.dims.items()},
        "meta": encode.value(program.meta),
        "frames": [_frame_record(f) for f in program.frames],
    }
    lines = ["{" + ",\n".join(f"{_json(key)}:{_json(value)}" for key, value in head.items())]
    lines.append(',\n"types":[' + ",\n".join(map(_json, encode.types)) + "]")
    lines.append(',\n"graphs":[\n' + ",\n".join(graphs) + "]}\n")
    try:
        return "".join(lines).encode()
    except UnicodeEncodeError as error:
        raise GraphlabError("write the program", found=f"a text in it is no Unicode: {error}", do="rename what holds it") from error


def load(path: str | Path) -> Program:
    """Read a ``.graphlab`` file. Raises FormatError where it is not a sound one."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise GraphlabError(f"read {path}", found=error.strerror or str(error), do="check the path") from error
    return loads(data, name=str(path))


def loads(data: bytes, *, name: str = "<bytes>") -> Program:
    """Read the bytes of a ``.graphlab`` file.

    Raises:
        FormatError: not JSON, another version, or not of the schema.
        VerifyError: of the schema, but a program that breaks the IR's rules.
    """
    asked = f"read {name} as a .graphlab file"
    redo = "save it again with graphlab, or check that the file is whole"
    try:
        raw = json.loads(data)
        if b"\\ud" in data.lower():  # an escaped half of a surrogate pair is legal JSON and no text
            json.dumps(raw, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise FormatError(asked, found=f"not JSON: {error.msg}", do=redo, where=f"{name}:{error.lineno}:{error.colno}") from error
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        raise FormatError(asked, found=f"not JSON that can be read: {error}", do=redo) from error
    if not isinstance(raw, dict) or "graphlab" not in raw:
        raise FormatError(asked, found="it has no 'graphlab' version field", do=redo)
    if raw["graphlab"] is True or raw["graphlab"] != VERSION:
        raise FormatError(asked, found=f"version {raw['graphlab']!r}; this graphlab reads {VERSION}", do="use the graphlab that wrote it")
    try:
        return ensure_verified(_program(raw))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError, OverflowError) as error:
        # Everything in the file is data of unknown soundness: whatever Python says of it, the file is at fault.
        raise FormatError(asked, found=f"it does not follow the schema ({type(error).__name__}: {error})", do=redo) from error


class _Encoder:
    """Turns attribute values into JSON, interning value types."""

    def __init__(self) -> None:
        self.types: list[Any] = []
        self._index: dict[ValueType, int] = {}

    def type(self, value: ValueType) -> int:
        index = self._index.get(value)
        if index is None:
            record = self._record(value)  # a tuple's elements come first
            index = self._index[value] = len(self.types)
            self.types.append(record)
        return index

    def _record(self, value: ValueType) -> dict[str, Any]:
        match value:
            case TensorType():
                dims = None if value.dims is None else [str(d) if isinstance(d, SymDim) else d for d in value.dims]
                record: dict[str, Any] = {"tensor": value.dtype, "dims": dims}
                if value.layout is not None:
                    record["layout"] = value.layout
                if value.sharding is not None:
                    record["sharding"] = value.sharding
                if value.quantization is not None:
                    record["quantization"] = _quantization_record(value.quantization)
                if value.placement is not None:
                    record["placement"] = value.placement
                return record
            case TupleType():
                return {"tuple": [self.type(e) for e in value.elements]}
            case TokenType():
                return {"token": True}
            case OpaqueType():
                return {"opaque": value.name}

    def constant(self, value: Constant) -> dict[str, Any]:
        digest = value.digest  # first: it fetches the bytes, and then their number is exact
        record: dict[str, Any] = {"type": self.type(value.type), "nbytes": value.nbytes, "digest": digest}
        if value.available and value.nbytes is not None and value.nbytes <= INLINE_BYTES:
            record["bytes"] = base64.b64encode(value.bytes()).decode()
        elif value.reason and value.reason != ONLY_DIGEST:
            record["reason"] = value.reason
        return record

    def value(self, value: Any) -> Any:
        match value:
            case None | bool() | int() | str():
                return value
            case float():
                return _number(value)
            case complex():
                return {"complex": [self.value(value.real), self.value(value.imag)]}
            case tuple():
                return [self.value(v) for v in value]
            case FrozenDict() if all(isinstance(k, str) for k in value):
                return {"map": {k: self.value(v) for k, v in value.items()}}
            case bytes():
                return {"bytes": base64.b64encode(value).decode()}
            case SymDim():
                return {"dim": value.expr}
            case TensorType() | TupleType() | TokenType() | OpaqueType():
                return {"type": self.type(value)}
            case Constant():
                return {"constant": self.constant(value)}
            case Operand():
                return {"operand": value.slot}
        raise GraphlabError(
            "write the program",
            found=f"an attribute holds a {type(value).__name__} ({value!r:.60})",
            do="attributes hold None, bool, int, float, complex, str, bytes, tuples, FrozenDicts, types, dims and constants",
        )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _source(source: Source, encode: _Encoder) -> dict[str, Any]:
    return {
        "framework": source.framework,
        "format": source.format,
        "method": source.method,
        "producer": source.producer,
        "path": source.path,
        "digest": source.digest,
        "attempts": [
            {"method": a.method, "ok": a.ok, "error": a.error, "frame": None if a.frame is None else [*_frame_record(a.frame)[:4], None]}
            for a in source.attempts
        ],
        "notes": [encode.value(note) for note in source.notes],
    }  # fmt: skip


def _frame_record(frame: Frame) -> list[Any]:
    return [frame.file, frame.line, frame.column, frame.function, frame.caller]


def _slot(slot: Slot, encode: _Encoder) -> dict[str, Any]:
    record = {"name": slot.name, "type": encode.type(slot.type), "role": slot.role}
    return record if slot.target is None else {**record, "target": slot.target}


def _graph_lines(name: str, graph: Graph, encode: _Encoder) -> str:
    lines = []
    try:
        for id in graph:
            lines.append(_json(_node(id, graph, encode)))
        meta = encode.value(FrozenDict({k: v for k, v in graph.graph.items() if k != "name"}))
    except GraphlabError as error:
        raise GraphlabError(error.asked, found=f"graph '{name}', node '{id}': {error.found}", do=error.do) from None
    return f'{{"name":{_json(name)},"meta":{_json(meta)},"nodes":[\n' + ",\n".join(lines) + "]}"


def _node(id: str, graph: Graph, encode: _Encoder) -> dict[str, Any]:
    data = graph.nodes[id]
    record: dict[str, Any] = {"id": id, "kind": data["kind"]}
    for key in ("op", "canonical", "name", "index", "scope", "loc", "effects", "absent", "synthetic"):
        if key in data:
            record[key] = data[key]
    if "outputs" in data:
        record["outputs"] = [encode.type(t) for t in data["outputs"]]
    for key in ("attrs", "meta"):
        if key in data:
            record[key] = {k: encode.value(v) for k, v in data[key].items()}
    if "value" in data:
        record["value"] = encode.constant(data["value"])
    if "calls" in data:
        record["calls"] = {role: [c.graph, c.operands, c.results, c.carried] for role, c in data["calls"].items()}
    if "control" in data:
        c = data["control"]
        record["control"] = [c.form, c.predicate, c.condition, c.trip_slot, c.trip_count]
    uses = graph.operands(id)
    if uses:
        slots: list[Any] = [None] * (uses[-1].dst_port + 1)
        for use in uses:
            slots[use.dst_port] = [use.src, use.src_port]
        record["in"] = slots
    after = sorted(src for src, keyed in graph.pred[id].items() if any(e["kind"] == "control" for e in keyed.values()))
    if after:
        record["after"] = after
    return record


class _Decoder:
    def __init__(self, records: list[Any]) -> None:
        self.types: list[ValueType] = []
        sizes: list[tuple[int, int]] = []  # leaves and depth of each type: a few nested tuples can unfold to any number
        for record in records:
            inner = [sizes[_int(i)] for i in record.get("tuple", ())]
            leaves, depth = 1 + sum(n for n, _ in inner), 1 + max((d for _, d in inner), default=0)
            if leaves > MAX_TYPE_LEAVES or depth > MAX_TYPE_DEPTH:
                raise ValueError(f"type {len(sizes)} holds {leaves} others, {depth} deep")
            sizes.append((leaves, depth))
            self.types.append(self._type(record))

    def _type(self, record: dict[str, Any]) -> ValueType:
        if "tensor" in record:
            dims = record["dims"]
            return TensorType(
                _text(record["tensor"]),
                None if dims is None else tuple(_dim(d) for d in dims),
                _optional_text(record.get("layout")),
                _optional_text(record.get("sharding")),
                _quantization(record["quantization"]) if "quantization" in record else None,
                _optional_text(record.get("placement")),
            )
        if "tuple" in record:
            return TupleType(tuple(self.type(i) for i in record["tuple"]))
        return TokenType() if "token" in record else OpaqueType(_text(record["opaque"]))

    def type(self, index: Any) -> ValueType:
        position = _int(index)
        if not 0 <= position < len(self.types):
            raise ValueError(f"type {index} of {len(self.types)}")
        return self.types[position]

    def constant(self, record: dict[str, Any]) -> Constant:
        data = base64.b64decode(_text(record["bytes"]), validate=True) if "bytes" in record else None
        kind = self.type(record["type"])
        if data is not None and (len(data), value_digest(data, kind)) != (record["nbytes"], record["digest"]):
            raise ValueError("a constant's bytes are not those its digest was taken of")
        reason = record.get("reason") or "" if data is not None else record.get("reason") or ONLY_DIGEST
        nbytes = record["nbytes"]
        return Constant(
            kind, data, digest=_optional_text(record["digest"]),
            nbytes=None if nbytes is None else _int(nbytes), reason=_text(reason),
        )  # fmt: skip

    def value(self, value: Any) -> Any:
        if isinstance(value, list):
            return tuple(self.value(v) for v in value)
        if not isinstance(value, dict):
            return value
        [(tag, body)] = value.items()
        return self._TAGS[tag](self, body)

    def bag(self, record: dict[str, Any]) -> FrozenDict[str, Any]:
        return FrozenDict({_text(k): self.value(v) for k, v in record.items()})

    _TAGS: ClassVar[dict[str, Callable[[_Decoder, Any], Any]]] = {
        "float": lambda _, body: float(body),
        "complex": lambda self, body: complex(self.value(body[0]), self.value(body[1])),
        "map": lambda self, body: self.bag(body),
        "bytes": lambda _, body: base64.b64decode(body, validate=True),
        "dim": lambda _, body: SymDim(_text(body)),
        "type": lambda self, body: self.type(body),
        "constant": lambda self, body: self.constant(body),
        "operand": lambda _, body: Operand(_int(body)),
    }


def _int(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"{value!r} where a whole number belongs")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.60} where a text belongs")
    return value


def _optional_int(value: Any) -> int | None:
    return None if value is None else _int(value)


def _bag(value: Any) -> FrozenDict[str, Any]:
    if not isinstance(value, FrozenDict):
        raise TypeError(f"{value!r:.60} where a map belongs")
    return value


def _optional_text(value: Any) -> str | None:
    return None if value is None else _text(value)


def _dim(value: Any) -> Dim:
    return SymDim(value) if isinstance(value, str) else None if value is None else _int(value)


def _quantization_record(value: Quantization) -> dict[str, Any]:
    record: dict[str, Any] = {"scales": [_number(s) for s in value.scales], "zero_points": list(value.zero_points)}
    given = {key: getattr(value, key) for key in ("axis", "expressed", "storage_min", "storage_max")}
    return record | {key: it for key, it in given.items() if it is not None}


def _quantization(record: dict[str, Any]) -> Quantization:
    return Quantization(
        tuple(float(s["float"] if isinstance(s, dict) else s) for s in record["scales"]),
        tuple(_int(z) for z in record["zero_points"]),
        _optional_int(record.get("axis")),
        _optional_text(record.get("expressed")),
        _optional_int(record.get("storage_min")),
        _optional_int(record.get("storage_max")),
    )


def _number(value: float) -> float | dict[str, str]:
    return value if math.isfinite(value) else {"float": repr(value)}


def _ints(values: Iterable[Any]) -> tuple[int | None, ...]:
    return tuple(_optional_int(v) for v in values)


def _frame(record: list[Any]) -> Frame:
    file, line, column, function, caller = record
    return Frame(_text(file), _int(line), _int(column), _text(function), None if caller is None else _int(caller))


def _control(record: list[Any]) -> Control:
    form, predicate, condition, trip_slot, trip_count = record
    if form not in ("conditional", "loop"):
        raise ValueError(f"a node's control has the form {form!r}")
    if condition is not None:
        role, output = condition
        condition = (_text(role), _int(output))
    known = trip_count if trip_count is None or isinstance(trip_count, str) else _int(trip_count)
    return Control(form, _optional_int(predicate), condition, _optional_int(trip_slot), known)


def _slots(records: list[dict[str, Any]], decode: _Decoder) -> tuple[Slot, ...]:
    slots = []
    for record in records:
        if record["role"] not in ROLES:
            raise ValueError(f"a slot has the role {record['role']!r}")
        slots.append(Slot(_text(record["name"]), decode.type(record["type"]), record["role"], _optional_text(record.get("target"))))
    return tuple(slots)


def _program(raw: dict[str, Any]) -> Program:
    decode = _Decoder(raw["types"])
    source = raw["source"]
    graphs: dict[str, Graph] = {}
    for record in raw["graphs"]:
        if record["name"] in graphs:
            raise ValueError(f"two graphs are named {record['name']!r}")
        graphs[_text(record["name"])] = _graph(record, decode)
    return Program(
        graphs=graphs,
        entry=_text(raw["entry"]),
        source=Source(
            framework=_text(source["framework"]),
            format=_text(source["format"]),
            method=_text(source["method"]),
            producer=_text(source["producer"]),
            path=_optional_text(source["path"]),
            digest=_optional_text(source["digest"]),
            attempts=tuple(
                Attempt(_text(a["method"]), bool(a["ok"]), 0.0, _text(a["error"]), None if a["frame"] is None else _frame(a["frame"]))
                for a in source["attempts"]
            ),
            notes=tuple(_bag(decode.value(note)) for note in source["notes"]),
        ),
        signatures={
            _text(name): Signature(_text(s["graph"]), _slots(s["inputs"], decode), _slots(s["outputs"], decode))
            for name, s in raw["signatures"].items()
        },
        dims={_text(name): DimRange(_int(low), None if high is None else _int(high)) for name, (low, high) in raw["dims"].items()},
        frames=tuple(_frame(f) for f in raw["frames"]),
        meta=_bag(decode.value(raw["meta"])),
    )  # fmt: skip


def _graph(record: dict[str, Any], decode: _Decoder) -> Graph:
    graph = Graph(name=record["name"])
    graph.graph.update(_bag(decode.value(record["meta"])))  # not by keyword: a file's keys are not networkx's arguments
    graph.graph["name"] = record["name"]
    nodes: list[tuple[str, dict[str, Any]]] = []
    edges: list[tuple[str, str, int, int]] = []
    control: list[tuple[str, str]] = []
    for raw in record["nodes"]:
        id = _text(raw["id"])
        data: dict[str, Any] = {"kind": raw["kind"]}
        for key in ("op", "canonical", "name", "index", "scope", "loc", "synthetic"):
            if key in raw:
                data[key] = raw[key]
        if "effects" in raw:
            data["effects"] = tuple(_text(effect) for effect in raw["effects"])
        if "absent" in raw:
            data["absent"] = tuple(_int(slot) for slot in raw["absent"])
        if "outputs" in raw:
            data["outputs"] = tuple(decode.type(i) for i in raw["outputs"])
        for key in ("attrs", "meta"):
            if key in raw:
                data[key] = decode.bag(raw[key])
        if "value" in raw:
            data["value"] = decode.constant(raw["value"])
        if "calls" in raw:
            data["calls"] = FrozenDict(
                {
                    _text(role): Call(_text(g), _ints(ins), _ints(outs), tuple((_int(a), _int(b)) for a, b in carried))
                    for role, (g, ins, outs, carried) in raw["calls"].items()
                }
            )
        if "control" in raw:
            data["control"] = _control(raw["control"])
        for slot, use in enumerate(raw.get("in", ())):
            if use is not None:
                src, src_port = use
                edges.append((_text(src), id, _int(src_port), slot))
        control.extend((_text(src), id) for src in raw.get("after", ()))
        nodes.append((id, data))
    graph.fill(nodes, edges)
    for src, dst in control:
        if src not in graph:
            raise ValueError(f"'{dst}' comes after '{src}', which is not there")
        graph.connect_control(src, dst)
    return graph


__all__ = ["VERSION", "dumps", "load", "loads", "save"]
