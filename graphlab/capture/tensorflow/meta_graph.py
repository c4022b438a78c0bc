"""A MetaGraphDef or a bare GraphDef as a Program: its signatures as entries, variables with their values, assets named.

The graph itself is one graph of the Program. Where one signature is all there is, it is that graph's; of several, each has
a graph of its own, synthetic, that calls the graph with what the signature feeds and takes what it fetches. A tensor in
the graph's midst that a signature feeds becomes an operand of a ``tf._Fed`` node: the tensor, unless the caller gives another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from graphlab.capture.file import File
from graphlab.capture.missing import missing_data
from graphlab.capture.proto import Parsed
from graphlab.capture.tensorflow import op_table
from graphlab.capture.tensorflow.bare_graph import (
    PLACEHOLDERS,
    ancestors,
    data_users,
    free_results,
    frozen_parameters,
    in_order,
    loose_ends,
    split,
)
from graphlab.capture.tensorflow.bundle import Bundle
from graphlab.capture.tensorflow.debug_info import SavedTraces
from graphlab.capture.tensorflow.entries import (
    INTERNAL,
    Entry,
    captured_slot,
    plain_slots,
    port_name,
    read_entries,
    signature_graph,
    signature_names,
)
from graphlab.capture.tensorflow.graph_def import Feed, Origin, read_graphs
from graphlab.capture.tensorflow.opdefs import OpSpecs
from graphlab.capture.tensorflow.schema import SCHEMA, naming
from graphlab.capture.tensorflow.values import shape_dims, value_type
from graphlab.capture.tensorflow.variables import HANDLES, Variable, find_variables, object_functions
from graphlab.capture.unique import Names
from graphlab.errors import FormatError
from graphlab.ir.constants import Constant
from graphlab.ir.frames import FrameTable
from graphlab.ir.frozen import EMPTY, FrozenDict, frozen
from graphlab.ir.graph import Graph
from graphlab.ir.program import Program, Signature, Slot, Source
from graphlab.ir.values import TensorType, ValueType

_ASSETS = "saved_model_assets"
_MAIN = "main"


def read_graph_def(parsed: Parsed, graph_def: Any, *, file: File, source: Source) -> Program:
    """The Program of a GraphDef: its placeholders are inputs, the results that nothing in it takes are outputs."""
    with naming(file):
        return _Reader(parsed, graph_def, None, None, None, file, source).read(None)


def read_meta_graph(
    parsed: Parsed,
    meta: Any,
    *,
    file: File,
    source: Source,
    bundle: Bundle | None,
    reason: str,
    values: str = "",
    debug: Any | None = None,
    only: str | None = None,
    known: Mapping[str, Origin] = EMPTY,
    beside: Mapping[str, Any] = EMPTY,
) -> Program:
    """The Program of a MetaGraphDef.

    Args:
        bundle: the values of its variables.
        reason: why there is no bundle.
        values: the index of the bundle that the file refers to and that is not there.
        debug: a GraphDebugInfo, where there is one beside it.
        only: the signature to make the entry; the preferred one without it.
        known: what is known of nodes already.
        beside: GraphDefs that become graphs of their own, by name.
    """
    reader = _Reader(parsed, meta.graph_def, meta, bundle, debug, file, source, reason, known, values)
    with naming(file):
        return reader.read(only, beside)


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
        values: str = "",
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
        self._values = values
        self._lost: dict[str, tuple[int, str]] = {}
        self._stated: dict[str, ValueType] | None = None

    def read(self, only: str | None, beside: Mapping[str, Any] = EMPTY) -> Program:
        entries = [] if self._meta is None else list(read_entries(self._meta))
        nodes = {node.name: node for node in self._graph_def.node}
        taken = data_users(self._graph_def.node)
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
            inputs = [(name, "") for name in in_order(nodes, PLACEHOLDERS)]
        for index, (tensor, name) in enumerate(inputs):
            node, port = split(tensor)
            if node in nodes and nodes[node].op in PLACEHOLDERS and port == 0:
                origins[node] = Origin("input", index, name)
            else:
                feeds.append(Feed(tensor, index, name or tensor))
        outputs = list(dict.fromkeys(t for e in entries for _, t in e.outputs)) if entries else free_results(nodes, taken, specs)
        for node in nodes.values():
            if node.op in PLACEHOLDERS and node.name not in origins:
                origins[node.name] = Origin("op", effects=("io",))  # no signature feeds it: nobody knows its value
        origins |= self._variables(nodes, outputs, entries)
        origins |= {name: origin for name, origin in self._known.items() if name in nodes and nodes[name].op == "Const"}
        origins |= {name: origin for name, origin in frozen_parameters(nodes, taken).items() if name not in self._known}
        assets = self._assets(nodes, origins)
        table = FrameTable()
        graphs = read_graphs(
            self._graph_def,
            entry=_MAIN,
            origins=origins,
            outputs=outputs,
            op_def=find,
            control_outputs=[] if entries else loose_ends(nodes, taken, specs),
            locations=SavedTraces(self._debug, table),
            feeds=feeds,
            whole=True,
            file=self._parsed,
        )
        main = next(iter(graphs))
        for name, other in beside.items():
            made = read_graphs(other, entry=name, origins={}, outputs=(), op_def=find, whole=True)
            if not made.keys().isdisjoint(graphs):
                raise FormatError(
                    f"read {self._file.name}", found=f"two graphs in it have one name: {', '.join(made)}", do="check the file", where=name
                )
            graphs |= made
        signatures = self._signatures(graphs, main, entries, [tensor for tensor, _ in inputs], outputs)
        preferred = only if only is not None else _preferred(signatures)
        return Program(
            graphs=graphs,
            entry=signatures[preferred].graph if preferred in signatures else main,
            source=replace(self._source, notes=(*self._source.notes, *missing_data(self._lost))),
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
        functions = {} if entries or self._meta is None else self._functions(graphs)
        if functions:
            return functions
        if not entries:
            return {main: Signature(main, tuple(Slot(n.name, n.outputs[0]) for n in given), plain_slots(outputs, made))}
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
        effects = tuple(sorted({effect for _, data in graph.nodes(data=True) for effect in data.get("effects", ())}))
        names = Names()
        for name in graphs:
            names.take(name)
        found = {}
        for entry in entries:
            name = names.take(entry.name)
            graphs[name] = signature_graph(name, main, effects, entry, inputs, outputs, types, results)
            found[entry.name] = Signature(
                name,
                tuple(Slot(name, types[tensor]) for name, tensor in entry.inputs),
                tuple(Slot(name, results[tensor]) for name, tensor in entry.outputs),
            )
        return found

    def _functions(self, graphs: Mapping[str, Graph]) -> dict[str, Signature]:
        """The functions of a SavedModel's objects as entries, where it has no signatures."""
        names = Names()
        found: dict[str, Signature] = {}
        for path, name, captured in object_functions(self._meta):
            graph = graphs.get(name)
            if graph is None:
                continue
            inputs = [graph.node(id) for id in graph.inputs]
            own = len(inputs) - len(captured)
            if own < 0:
                continue
            slots = [Slot(node.name, node.outputs[0]) for node in inputs[:own]]
            slots += [captured_slot(node, kind, variable) for node, (kind, variable) in zip(inputs[own:], captured, strict=True)]
            results = [graph.node(use.src).outputs[use.src_port] for use in graph.operands(graph.output)]
            told = ["output"] if len(results) == 1 else [f"output_{i}" for i in range(len(results))]
            found[names.take(path)] = Signature(name, tuple(slots), tuple(map(Slot, told, results)))
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
                port_name(info.name): value_type(info.dtype, shape_dims(info.tensor_shape)) for info in infos if info.name and info.dtype
            }
        return self._stated

    # -- variables, assets

    def _variables(self, nodes: Mapping[str, Any], outputs: Sequence[str], entries: Sequence[Entry]) -> dict[str, Origin]:
        """The variables that the signatures use, or all where there are none: a saver's and an optimizer's are left as operations."""
        handles = [name for name, node in nodes.items() if node.op in HANDLES]
        if not handles:
            return {}
        if entries:
            needed = ancestors(nodes, (split(text)[0] for text in outputs))
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
            self._lose(self._values, self._reason)
            return Constant(type, None, reason=self._reason)
        key = next((k for k in (variable.key, node.name) if k is not None and k in self._bundle.entries), None)
        if key is None:
            return Constant(type, None, reason="the checkpoint has no value of it")
        lost = self._bundle.lost(key)
        if lost is not None:
            self._lose(lost, f"there is no '{lost}'")
        value = self._bundle.constant(key, variable.spec)
        whole = isinstance(type, TensorType) and type.elements is not None
        if whole and value.type != type:
            return Constant(type, None, reason=f"the checkpoint's value of it has another type: {value.type}")
        return value

    def _lose(self, path: str, why: str) -> None:
        """Count a variable whose value lies in a file that is not there."""
        if path:
            self._lost[path] = self._lost.get(path, (0, ""))[0] + 1, why

    def _assets(self, nodes: Mapping[str, Any], origins: dict[str, Origin]) -> dict[str, str]:
        """File name → node that holds its path."""
        found: dict[str, str] = {}
        for asset in self._asset_files():
            node = split(asset.tensor_info.name)[0]
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
        init = [info.name for name in INTERNAL if name in meta.signature_def for info in meta.signature_def[name].outputs.values()]
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


__all__ = ["read_graph_def", "read_meta_graph", "signature_names"]
