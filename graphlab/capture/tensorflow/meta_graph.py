"""A MetaGraphDef or a bare GraphDef as a Program: its signatures as entries, variables with their values, assets named.

The graph itself is one graph of the Program. Where one signature is all there is, it is that graph's; of several, each has
a graph of its own, synthetic, that calls the graph with what the signature feeds and takes what it fetches. A tensor in
the graph's midst that a signature feeds becomes an operand of a ``tf._Fed`` node: the tensor, unless the caller gives another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphlab.capture.file import File
from graphlab.capture.proto import Parsed
from graphlab.capture.tensorflow import op_table
from graphlab.capture.tensorflow.bundle import Bundle
from graphlab.capture.tensorflow.debug_info import SavedTraces
from graphlab.capture.tensorflow.graph_def import Feed, Origin, read_graphs
from graphlab.capture.tensorflow.opdefs import OpSpecs
from graphlab.capture.tensorflow.schema import SCHEMA
from graphlab.capture.tensorflow.values import shape_dims, value_type
from graphlab.capture.tensorflow.variables import HANDLES, Variable, find_variables
from graphlab.capture.unique import Names
from graphlab.errors import FormatError
from graphlab.ir.constants import Constant
from graphlab.ir.frames import FrameTable
from graphlab.ir.frozen import EMPTY, FrozenDict, frozen
from graphlab.ir.graph import Call, Graph
from graphlab.ir.program import Program, Signature, Slot, Source
from graphlab.ir.values import TensorType, ValueType

_PLACEHOLDERS = frozenset({"Placeholder", "PlaceholderV2", "_Arg", "_DeviceArg"})
_RESULTS = frozenset({"_Retval", "_DeviceRetval"})
_SWITCHES = frozenset({"Switch", "RefSwitch"})
_PLUMBING = _SWITCHES | {"Exit", "RefExit", "Enter", "RefEnter", "NextIteration", "RefNextIteration", "LoopCond"}
_INTERNAL = ("__saved_model_init_op", "__saved_model_train_op")
_ASSETS = "saved_model_assets"
_MAIN = "main"


@dataclass(frozen=True, slots=True)
class Entry:
    """A signature: names, with the tensors they stand for, in order."""

    name: str
    inputs: tuple[tuple[str, str], ...]
    outputs: tuple[tuple[str, str], ...]
    method: str = ""


def read_graph_def(parsed: Parsed, graph_def: Any, *, file: File, source: Source) -> Program:
    """The Program of a GraphDef: its placeholders are inputs, the results that nothing in it takes are outputs."""
    return _Reader(parsed, graph_def, None, None, None, file, source).read(None)


def read_meta_graph(
    parsed: Parsed,
    meta: Any,
    *,
    file: File,
    source: Source,
    bundle: Bundle | None,
    reason: str,
    debug: Any | None = None,
    only: str | None = None,
    known: Mapping[str, Origin] = EMPTY,
    beside: Mapping[str, Any] = EMPTY,
) -> Program:
    """The Program of a MetaGraphDef.

    Args:
        bundle: the values of its variables.
        reason: why there is no bundle.
        debug: a GraphDebugInfo, where there is one beside it.
        only: the signature to make the entry; the preferred one without it.
        known: what is known of nodes already.
        beside: GraphDefs that become graphs of their own, by name.
    """
    reader = _Reader(parsed, meta.graph_def, meta, bundle, debug, file, source, reason, known)
    return reader.read(only, beside)


def signature_names(meta: Any) -> list[str]:
    return [name for name in sorted(meta.signature_def) if name not in _INTERNAL]


class _Reader:
    def __init__(
        self,
        parsed: Parsed,
        graph_def: Any,
        meta: Any | None,
        bundle: Bundle | None,
        debug: Any | None,
        file: File,
        source: Source,
        reason: str = "",
        known: Mapping[str, Origin] = EMPTY,
    ) -> None:
        self._parsed = parsed
        self._graph_def = graph_def
        self._meta = meta
        self._bundle = bundle
        self._debug = debug if debug is not None else graph_def.debug_info
        self._file = file
        self._source = source
        self._reason = reason
        self._known = known
        self._stated: dict[str, ValueType] | None = None

    def read(self, only: str | None, beside: Mapping[str, Any] = EMPTY) -> Program:
        entries = [] if self._meta is None else list(_entries(self._meta))
        nodes = {node.name: node for node in self._graph_def.node}
        taken = _data_users(self._graph_def.node)
        find = _definitions(self._meta)
        specs = OpSpecs(find, {f.signature.name: f for f in self._graph_def.library.function})
        origins: dict[str, Origin] = {}
        feeds: list[Feed] = []
        inputs: list[tuple[str, str]] = []  # (tensor, the name it has where it is one signature's alone)
        if entries:
            for tensor in dict.fromkeys(tensor for entry in entries for _, tensor in entry.inputs):
                names = {name for entry in entries for name, fed in entry.inputs if fed == tensor}
                inputs.append((tensor, next(iter(names)) if len(names) == 1 else ""))
        else:
            inputs = [(name, "") for name in _in_order(nodes, _PLACEHOLDERS)]
        for index, (tensor, name) in enumerate(inputs):
            node, port = _split(tensor)
            if node in nodes and nodes[node].op in _PLACEHOLDERS and port == 0:
                origins[node] = Origin("input", index, name)
            else:
                feeds.append(Feed(tensor, index, name or tensor))
        outputs = list(dict.fromkeys(t for e in entries for _, t in e.outputs)) if entries else _results(nodes, taken, specs)
        for node in nodes.values():
            if node.op in _PLACEHOLDERS and node.name not in origins:
                origins[node.name] = Origin("op", effects=("io",))  # no signature feeds it: nobody knows its value
        origins |= self._variables(nodes, outputs, entries)
        origins |= {name: origin for name, origin in self._known.items() if name in nodes and nodes[name].op == "Const"}
        origins |= {name: origin for name, origin in _frozen_parameters(nodes, taken).items() if name not in self._known}
        assets = self._assets(nodes, origins)
        table = FrameTable()
        graphs = read_graphs(
            self._graph_def,
            entry=_MAIN,
            origins=origins,
            outputs=outputs,
            op_def=find,
            control_outputs=[] if entries else _loose_ends(nodes, taken, specs),
            locations=SavedTraces(self._debug, table),
            feeds=feeds,
            whole=True,
            content=self._parsed.read,
        )
        main = next(iter(graphs))
        for name, other in beside.items():
            made = read_graphs(other, entry=name, origins={}, outputs=(), op_def=find, whole=True)
            if not made.keys().isdisjoint(graphs):
                raise FormatError(
                    f"read {self._file.name}", found=f"two graphs in it have one name: {', '.join(made)}", do="check the file"
                )
            graphs |= made
        signatures = self._signatures(graphs, main, entries, [tensor for tensor, _ in inputs], outputs)
        preferred = only if only is not None else _preferred(signatures)
        return Program(
            graphs=graphs,
            entry=signatures[preferred].graph if preferred in signatures else main,
            source=self._source,
            signatures=signatures if only is None else {only: signatures[only]},
            frames=table.done(),
            meta=self._facts(entries, assets),
        )

    # -- signatures

    def _signatures(
        self, graphs: dict[str, Graph], main: str, entries: Sequence[Entry], inputs: Sequence[str], outputs: Sequence[str]
    ) -> dict[str, Signature]:
        graph = graphs[main]
        given = [graph.node(id) for id in graph.inputs]
        made = [graph.node(use.src).outputs[use.src_port] for use in graph.operands(graph.output)]
        if not entries:
            return {main: Signature(main, tuple(Slot(n.name, n.outputs[0]) for n in given), _slots(outputs, made))}
        types = {tensor: self._told(tensor, node.outputs[0]) for tensor, node in zip(inputs, given, strict=True)}
        results = {tensor: self._told(tensor, type) for tensor, type in zip(outputs, made, strict=True)}
        if len(entries) == 1 and [t for _, t in entries[0].outputs] == list(outputs) and [t for _, t in entries[0].inputs] == list(inputs):
            entry = entries[0]
            return {
                entry.name: Signature(
                    main,
                    tuple(Slot(name, types[tensor]) for name, tensor in entry.inputs),
                    tuple(Slot(name, results[tensor]) for name, tensor in entry.outputs),
                )
            }
        names = Names()
        for name in graphs:
            names.take(name)
        found = {}
        for entry in entries:
            name = names.take(entry.name)
            graphs[name] = _caller(name, main, graph, entry, inputs, outputs, types, results)
            found[entry.name] = Signature(
                name,
                tuple(Slot(name, types[tensor]) for name, tensor in entry.inputs),
                tuple(Slot(name, results[tensor]) for name, tensor in entry.outputs),
            )
        return found

    def _told(self, tensor: str, type: ValueType) -> ValueType:
        """The type that a signature states, where the graph itself does not know the rank."""
        return self._types().get(tensor, type) if isinstance(type, TensorType) and type.dims is None else type

    def _types(self) -> dict[str, ValueType]:
        if self._stated is None:
            infos = (
                (info for s in self._meta.signature_def.values() for infos in (s.inputs, s.outputs) for info in infos.values())
                if self._meta
                else ()
            )
            self._stated = {
                _port(info.name): value_type(info.dtype, shape_dims(info.tensor_shape)) for info in infos if info.name and info.dtype
            }
        return self._stated

    # -- variables, assets

    def _variables(self, nodes: Mapping[str, Any], outputs: Sequence[str], entries: Sequence[Entry]) -> dict[str, Origin]:
        """The variables that the signatures use, or all where there are none: a saver's and an optimizer's are left as operations."""
        handles = [name for name, node in nodes.items() if node.op in HANDLES]
        if not handles:
            return {}
        if entries:
            needed = _ancestors(nodes, (_split(text)[0] for text in outputs))
            handles = [name for name in handles if name in needed]
        keys = () if self._bundle is None else self._bundle.entries
        known = {} if self._meta is None else find_variables(self._meta, handles, keys, self._file)
        return {name: self._variable(nodes[name], known.get(name, Variable())) for name in handles}

    def _variable(self, node: Any, variable: Variable) -> Origin:
        value = self._value(node, variable)
        role = frozen(role="buffer") if variable.trainable is False else EMPTY
        key = EMPTY if variable.key is None else frozen(checkpoint_key=variable.key)
        return Origin("parameter", None, variable.name, value, attrs=role, meta=key)

    def _value(self, node: Any, variable: Variable) -> Constant:
        shape, kind = node.attr.get("shape"), node.attr.get("dtype")
        type: ValueType = value_type(kind.type if kind is not None else 0, None if shape is None else shape_dims(shape.shape))
        if self._bundle is None:
            return Constant(type, None, reason=self._reason)
        key = next((k for k in (variable.key, node.name) if k is not None and k in self._bundle.entries), None)
        if key is None:
            return Constant(type, None, reason="the checkpoint has no value of it")
        value = self._bundle.constant(key, variable.spec)
        whole = isinstance(type, TensorType) and type.elements is not None
        if whole and value.type != type:
            return Constant(type, None, reason=f"the checkpoint's value of it has another type: {value.type}")
        return value

    def _assets(self, nodes: Mapping[str, Any], origins: dict[str, Origin]) -> dict[str, str]:
        """File name → node that holds its path."""
        found: dict[str, str] = {}
        for asset in self._asset_files():
            node = _split(asset.tensor_info.name)[0]
            found[asset.filename] = node
            if node in nodes and node not in origins:
                kind = "constant" if nodes[node].op == "Const" else "op"
                origins[node] = Origin("constant" if kind == "constant" else "op", meta=frozen(asset=asset.filename))
        return found

    def _asset_files(self) -> Iterator[Any]:
        if self._meta is None:
            return
        yield from self._meta.asset_file_def
        if not len(self._meta.asset_file_def) and _ASSETS in self._meta.collection_def:  # TensorFlow 1
            for packed in self._meta.collection_def[_ASSETS].any_list.value:
                yield SCHEMA.parse_bytes("AssetFileDef", packed.value, self._file)

    # -- the rest

    def _facts(self, entries: Sequence[Entry], assets: Mapping[str, str]) -> FrozenDict[str, Any]:
        graph_def, meta = self._graph_def, self._meta
        facts: dict[str, Any] = {}
        if graph_def.versions.producer:
            facts["graph_version"] = graph_def.versions.producer
        gradients = {g.function_name: g.gradient_func for g in graph_def.library.gradient}
        if gradients:
            facts["gradients"] = gradients
        if meta is None:
            return frozen(facts)
        facts["tags"] = tuple(meta.meta_info_def.tags)
        methods = {entry.name: entry.method for entry in entries if entry.method}
        init = [info.name for name in _INTERNAL if name in meta.signature_def for info in meta.signature_def[name].outputs.values()]
        init += [
            v
            for key in ("saved_model_main_op", "legacy_init_op")
            if key in meta.collection_def
            for v in meta.collection_def[key].node_list.value
        ]
        for key, value in (("methods", methods), ("assets", assets), ("init_ops", tuple(dict.fromkeys(init)))):
            if value:
                facts[key] = value
        if meta.meta_info_def.function_aliases:
            facts["aliases"] = dict(sorted(meta.meta_info_def.function_aliases.items()))
        return frozen(facts)


def _definitions(meta: Any | None) -> Callable[[str], Any | None]:
    """TensorFlow's own operations, and those that the file defines."""
    own = {} if meta is None else {op.name: op for op in meta.meta_info_def.stripped_op_list.op}

    def find(name: str) -> Any | None:
        found = op_table.find(name)
        return found if found is not None else own.get(name)

    return find


def _preferred(signatures: Mapping[str, Signature]) -> str:
    for name in ("serving_default", "default"):
        if name in signatures:
            return name
    return next(iter(signatures))


# ---- entries


def _entries(meta: Any) -> Iterator[Entry]:
    for name in signature_names(meta):
        signature = meta.signature_def[name]
        inputs = tuple(pair for key in sorted(signature.inputs) for pair in _tensors(name, key, signature.inputs[key]))
        outputs = tuple(pair for key in sorted(signature.outputs) for pair in _tensors(name, key, signature.outputs[key]))
        if outputs:
            yield Entry(name, inputs, outputs, signature.method_name)


def _tensors(signature: str, key: str, info: Any) -> Iterator[tuple[str, str]]:
    """The tensors of a TensorInfo with names: a sparse or composite one has several."""
    match info.WhichOneof("encoding"):
        case "name":
            found = [(key, info.name)]
        case "coo_sparse":
            sparse = info.coo_sparse
            found = [
                (f"{key}/values", sparse.values_tensor_name),
                (f"{key}/indices", sparse.indices_tensor_name),
                (f"{key}/dense_shape", sparse.dense_shape_tensor_name),
            ]
        case "composite_tensor":
            found = [(f"{key}/{i}", component.name) for i, component in enumerate(info.composite_tensor.components)]
        case _:
            found = [(key, "")]
    for name, tensor in found:
        if not tensor:
            raise FormatError(
                f"read the signature '{signature}'", found=f"it does not say which tensor '{name}' is", do="check that the file is whole"
            )
        yield name, _port(tensor)


def _port(tensor: str) -> str:
    return tensor if ":" in tensor else f"{tensor}:0"


def _caller(
    name: str,
    main: str,
    graph: Graph,
    entry: Entry,
    inputs: Sequence[str],
    outputs: Sequence[str],
    types: Mapping[str, ValueType],
    results: Mapping[str, ValueType],
) -> Graph:
    """The graph of one signature: it calls the graph of the model."""
    made = Graph(name=name)
    names = Names()
    slots: dict[str, int] = {}
    for index, (key, tensor) in enumerate(entry.inputs):
        id = made.add(names.take(key), kind="input", op="tf._Arg", index=index, outputs=(types[tensor],), name=key, synthetic=True)
        slots.setdefault(tensor, index)
        made.nodes[id].pop("name") if id == key else None
    fetched = list(dict.fromkeys(tensor for _, tensor in entry.outputs))
    ports = {tensor: port for port, tensor in enumerate(fetched)}
    call = Call(main, tuple(slots.get(tensor) for tensor in inputs), tuple(ports.get(tensor) for tensor in outputs))
    effects = sorted({effect for _, data in graph.nodes(data=True) for effect in data.get("effects", ())})
    node = made.add(
        names.take("call"),
        kind="op",
        op="tf._Signature",
        outputs=tuple(results[tensor] for tensor in fetched),
        calls=FrozenDict({"call": call}),
        effects=tuple(effects),
        synthetic=True,
    )
    for index, id in enumerate(made.inputs):
        made.connect(id, node, 0, index)
    output = made.add(names.take("output"), kind="output", synthetic=True)
    for slot, (_, tensor) in enumerate(entry.outputs):
        made.connect(node, output, ports[tensor], slot)
    return made


def _slots(names: Iterable[str], types: Iterable[ValueType]) -> tuple[Slot, ...]:
    return tuple(Slot(name.removesuffix(":0"), type) for name, type in zip(names, types, strict=True))


# ---- the graph


def _split(tensor: str) -> tuple[str, int]:
    node, _, port = tensor.partition(":")
    return node, int(port) if port.isdecimal() and len(port) < 10 else 0


def _data_users(nodes: Iterable[Any]) -> dict[str, list[str]]:
    """Node → the nodes that take a value of it."""
    found: dict[str, list[str]] = {}
    for node in nodes:
        for text in node.input:
            if text[:1] != "^":
                found.setdefault(text.partition(":")[0], []).append(node.name)
    return found


def _in_order(nodes: Mapping[str, Any], ops: frozenset[str]) -> list[str]:
    """Nodes of some operations: those with an index by it, the others as they stand."""
    found = [name for name, node in nodes.items() if node.op in ops]
    return sorted(found, key=lambda name: nodes[name].attr["index"].i if "index" in nodes[name].attr else 0)


_LEAVES = frozenset({"Const", *HANDLES, *_PLACEHOLDERS})


def _results(nodes: Mapping[str, Any], taken: Mapping[str, list[str]], specs: OpSpecs) -> list[str]:
    """What a bare graph gives: what its ``_Retval`` nodes take, or all outputs of the operations that nothing takes or waits for."""
    returned = [text for name in _in_order(nodes, _RESULTS) for text in nodes[name].input[:1] if text[:1] != "^"]
    if returned:
        return returned
    found = []
    for name, node in _ends(nodes, taken):
        spec = specs.find(node.op)
        if spec is not None and not _is_plumbing(node, nodes):
            found += [f"{name}:{port}" for port in range(len(spec.output_dtypes(node.attr)))]
    return found


def _is_plumbing(node: Any, nodes: Mapping[str, Any]) -> bool:
    """Whether a node is TensorFlow 1's control flow and no result: a loop variable's end, a side of a predicate."""
    op = node.op
    if op == "Identity" and node.input:
        source = nodes.get(node.input[0].partition(":")[0])
        op = "" if source is None or source.op not in _SWITCHES else source.op
    return op in _PLUMBING


def _loose_ends(nodes: Mapping[str, Any], taken: Mapping[str, list[str]], specs: OpSpecs) -> list[str]:
    """Operations that give no value and that no other waits for: they run for what they do."""
    return [name for name, node in _ends(nodes, taken) if (spec := specs.find(node.op)) is None or not spec.output_dtypes(node.attr)]


def _ends(nodes: Mapping[str, Any], taken: Mapping[str, list[str]]) -> Iterator[tuple[str, Any]]:
    """Operations that no other takes a value of or waits for."""
    waited = {text[1:] for node in nodes.values() for text in node.input if text[:1] == "^"}
    return ((name, node) for name, node in nodes.items() if name not in taken and name not in waited and node.op not in _LEAVES)


def _ancestors(nodes: Mapping[str, Any], results: Iterable[str]) -> set[str]:
    found: set[str] = set()
    waiting = [name for name in results if name in nodes]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        waiting += [source for text in nodes[name].input if (source := text.lstrip("^").partition(":")[0]) in nodes]
    return found


def _frozen_parameters(nodes: Mapping[str, Any], taken: Mapping[str, list[str]]) -> dict[str, Origin]:
    """Constants that were variables before the graph was frozen, by what TensorFlow's freezing leaves of the variables' reads.

    TensorFlow 1: an Identity placed beside the constant (``_class`` is ``loc:@constant``) or named ``constant/read``.
    TensorFlow 2: the constant, or the Identity that takes it, has the name of a ``ReadVariableOp``.
    """
    found = {}
    for name, node in nodes.items():
        if node.op == "Const" and (_is_read(name) or any(_reads(nodes[user], name) for user in taken.get(name, ()))):
            found[name] = Origin("constant", attrs=frozen(role="parameter"))
    return found


def _is_read(name: str) -> bool:
    last = name.rpartition("/")[2]
    return last.partition("_")[0] == "ReadVariableOp" or name.endswith("ReadVariableOp/resource")


def _reads(user: Any, name: str) -> bool:
    if user.op != "Identity":
        return False
    beside = "_class" in user.attr and f"loc:@{name}".encode() in user.attr["_class"].list.s
    return beside or user.name == f"{name}/read" or _is_read(user.name)


__all__ = ["read_graph_def", "read_meta_graph", "signature_names"]
