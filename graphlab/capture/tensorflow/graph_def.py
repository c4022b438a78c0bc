"""A GraphDef and its function library as IR graphs, one for each.

Works on the messages alone: what it needs of TensorFlow (OpDefs, source lines) is passed in.
The formats: graph.proto, function.proto and node_def.proto in tensorflow/core/framework.
An operation that nobody defines has as many outputs as the graph takes of it, of unknown type, and is opaque.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphlab.capture.tensorflow import calls as node_calls, v1_control
from graphlab.capture.tensorflow.effects import own_effects, spread_effects
from graphlab.capture.tensorflow.opdefs import MAX_PORTS, OpSpec, OpSpecs
from graphlab.capture.tensorflow.values import Dims, InFile, attr_value, constant, shape_dims, value_type
from graphlab.errors import FormatError
from graphlab.ir.constants import Constant
from graphlab.ir.frozen import EMPTY, FrozenDict
from graphlab.ir.graph import Graph, Kind
from graphlab.ir.ops import lookup
from graphlab.ir.values import OpaqueType, ValueType

_MOST_PORTS = 1 << 22
_SHAPES = "_output_shapes"
_SHAPED = frozenset({"Placeholder", "PlaceholderV2", "PlaceholderWithDefault", "Variable", "VariableV2", "TemporaryVariable", "_Arg"})
"""Operations whose attribute ``shape`` is that of their output."""
_SCALARS_SINCE = 22
"""Before this version of graphs a Placeholder of shape () stood for any shape (core/ops/array_ops.cc)."""
_META = ("config", "config_proto", "executor_type", "parallel_iterations")
"""Attributes without a leading underscore that change how, not what, a node computes."""

UNKNOWN = OpaqueType("unknown")
"""The type of an output of an operation that nobody defines."""

Edge = tuple[str, str, int, int]


@dataclass(frozen=True, slots=True)
class Origin:
    """What a node of the entry graph stands for beyond its operation: an input, a variable, a captured constant.

    ``effects`` are added to its own, ``attrs`` and ``meta`` to those of the node.
    """

    kind: Kind
    index: int | None = None
    name: str = ""
    value: Constant | None = None
    effects: tuple[str, ...] = ()
    attrs: FrozenDict[str, Any] = EMPTY
    meta: FrozenDict[str, Any] = EMPTY


@dataclass(frozen=True, slots=True)
class Feed:
    """A tensor in the midst of the entry graph that a caller may give: what takes it, takes the caller's."""

    tensor: str
    index: int
    name: str


def read_graphs(
    graph_def: Any,
    *,
    entry: str,
    origins: Mapping[str, Origin],
    outputs: Sequence[str],
    op_def: Callable[[str], Any | None],
    control_outputs: Sequence[str] = (),
    locations: Callable[[str | None], Mapping[str, int]] | None = None,
    feeds: Sequence[Feed] = (),
    whole: bool = False,
    file: InFile | None = None,
) -> dict[str, Graph]:
    """The entry graph and every library function it reaches, by name.

    Args:
        entry: a name for the graph itself; made unique where a function has it.
        origins: node name → what it stands for. Each input has an index, counting from 0.
        outputs: the results' tensor names, ``node`` or ``node:port``, in order.
        op_def: name → OpDef or OpSpec, ``None`` for an operation it does not know.
        control_outputs: nodes that must run though nothing takes a value of theirs.
        locations: function name (``None`` for the entry) → node name → index in the frame table.
        feeds: tensors that become inputs, beside the origins that are.
        whole: also the functions that the entry does not reach.
        file: what knows of large fields of the message that were left in the file.

    Raises:
        FormatError: an edge leads nowhere, or a name is given twice.
    """
    functions = _by_name(graph_def.library.function, lambda f: f.signature.name, "function")
    while entry in functions:
        entry += "_"
    specs = OpSpecs(op_def, functions)
    reader = _Reader(functions, specs, locations or (lambda name: {}), file, scalars=graph_def.versions.producer >= _SCALARS_SINCE)
    graphs = {entry: reader.entry(graph_def, entry, origins, outputs, control_outputs, feeds)}
    waiting = deque(_callees(graphs[entry]))
    while waiting:
        name = waiting.popleft()
        if name not in graphs:
            graphs[name] = reader.function(name)
            waiting.extend(_callees(graphs[name]))
    if whole:
        graphs.update({name: reader.function(name) for name in functions if name not in graphs})
    spread_effects(graphs)
    return graphs


def _by_name(messages: Iterable[Any], name: Callable[[Any], str], what: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for message in messages:
        key = name(message)
        if not key or key in found:
            raise FormatError(
                "read a GraphDef",
                found=f"it has two {what}s of the name '{key}'" if key else f"it has a {what} without a name",
                do="check that the file is whole",
            )
        found[key] = message
    return found


def _callees(graph: Graph) -> Iterator[str]:
    for _, data in graph.nodes(data=True):
        for call in data.get("calls", EMPTY).values():
            yield call.graph


class _Reader:
    def __init__(
        self,
        functions: Mapping[str, Any],
        specs: OpSpecs,
        locations: Callable[[str | None], Mapping[str, int]],
        file: InFile | None,
        *,
        scalars: bool,
    ) -> None:
        self._functions = functions
        self._specs = specs
        self._locations = locations
        self._file = file
        self._scalars = scalars
        self._ports = 0

    def entry(
        self,
        graph_def: Any,
        name: str,
        origins: Mapping[str, Origin],
        outputs: Sequence[str],
        control_outputs: Sequence[str],
        feeds: Sequence[Feed],
    ) -> Graph:
        taken = [*outputs, *(feed.tensor for feed in feeds)]
        region = _Region(name, _by_name(graph_def.node, _name, "node"), self._specs, taken)
        made = self._nodes(region, self._locations(None))
        for id, data in made:
            origin = origins.get(id)
            if origin is not None:
                _stand_for(id, data, origin)
        return _filled(region, made, outputs, control_outputs, feeds)

    def function(self, name: str) -> Graph:
        definition = self._functions[name]
        signature = definition.signature
        outputs = []
        for arg in signature.output_arg:
            if arg.name not in definition.ret:
                raise FormatError(
                    f"read the function '{name}'",
                    found=f"it does not say what its result '{arg.name}' is",
                    do="check that the file is whole",
                )
            outputs.append(definition.ret[arg.name])
        arguments = dict(_arguments(definition))
        region = _Region(name, _by_name(definition.node_def, _name, "node"), self._specs, outputs, arguments)
        made: list[tuple[str, dict[str, Any]]] = []
        for index, (arg, type) in enumerate(arguments.items()):
            made.append((arg, {"kind": "input", "op": "tf._Arg", "index": index, "outputs": (type,), "synthetic": True}))
        made += self._nodes(region, self._locations(name))
        return _filled(region, made, outputs, [definition.control_ret[key] for key in sorted(definition.control_ret)])

    def _nodes(self, region: _Region, locations: Mapping[str, int]) -> list[tuple[str, dict[str, Any]]]:
        made = []
        for name, node in region.nodes.items():
            data = self._node(node, region)
            scope = name.rpartition("/")[0]
            if scope:
                data["scope"] = scope
            loc = locations.get(name)
            if loc is not None:
                data["loc"] = loc
            made.append((name, data))
        return made

    def _node(self, node: Any, region: _Region) -> dict[str, Any]:
        op = node.op
        spec = self._specs.find(op)
        attr = node.attr
        data: dict[str, Any] = {"kind": "op", "op": "tf." + op}
        named = node_calls.function_attrs(spec, attr) if spec is None or spec.functions else {}
        attrs: dict[str, Any] = {}
        meta: dict[str, Any] = {}
        shapes: Sequence[Any] = ()
        for key in sorted(attr):  # a protobuf map has no order of its own
            value = attr[key]
            if key == _SHAPES:
                shapes = value.list.shape
            elif key in named and all(name in self._functions for name in named[key]):
                continue
            elif op == "Const" and key == "value":
                data["kind"] = "constant"
                data["value"] = constant(value.tensor, self._file)
            elif key[:1] == "_" or key in _META:
                meta[key] = attr_value(value, self._file)
            else:
                attrs[key] = attr_value(value, self._file)
        if node.device:
            meta["device"] = node.device
        if not shapes and op in _SHAPED and "shape" in attr and (self._scalars or attr["shape"].shape.dim):
            shapes = (attr["shape"].shape,)
        outputs = (UNKNOWN,) * region.taken(node.name, len(shapes)) if spec is None else _outputs(spec, attr, shapes)
        self._ports += len(outputs)
        if self._ports > _MOST_PORTS:
            raise FormatError(
                "read a GraphDef", found=f"its nodes have more than {_MOST_PORTS:,} outputs", do="check that the file is whole"
            )
        if "value" in data:  # exact, whether or not shapes were inferred
            outputs = (data["value"].type,)
        if outputs:
            data["outputs"] = outputs
        if attrs:
            data["attrs"] = FrozenDict(attrs)
        if meta:
            data["meta"] = FrozenDict(meta)
        canonical = lookup("tf." + op).canonical
        if canonical is not None:
            data["canonical"] = canonical
        if named or op in self._functions:
            found = node_calls.calls(node, spec, named, self._functions, outputs=len(outputs))
            if found:
                data["calls"] = found
                control = node_calls.control(op, spec)
                if control is not None:
                    data["control"] = control
        effects = ("opaque",) if spec is None else own_effects(op, spec.stateful, calls="calls" in data)
        if effects:
            data["effects"] = effects
        return data


def _stand_for(id: str, data: dict[str, Any], origin: Origin) -> None:
    data["kind"] = origin.kind
    if origin.index is not None:
        data["index"] = origin.index
    if origin.name and origin.name != id:
        data["name"] = origin.name
    if origin.value is not None:
        data["value"] = origin.value
    if origin.effects:
        data["effects"] = tuple(sorted({*data.get("effects", ()), *origin.effects}))
    for key in ("attrs", "meta"):
        more: FrozenDict[str, Any] = getattr(origin, key)
        if more:
            data[key] = FrozenDict({**data.get(key, EMPTY), **more})


class _Region:
    """The nodes of one graph or function, and how references to their outputs read there."""

    def __init__(
        self, name: str, nodes: dict[str, Any], specs: OpSpecs, results: Sequence[str] = (), arguments: Mapping[str, ValueType] = EMPTY
    ) -> None:
        self.name = name
        self.nodes = nodes
        self._specs = specs
        self._results = results
        self._arguments = arguments
        self._undefined: dict[str, dict[tuple[str, int], int]] | None = None

    def source(self, reference: str) -> tuple[str, int]:
        """Node and flat port of ``node``, ``node:port``, ``node:argument:index`` or a function's own argument.

        Raises:
            FormatError: there is no such output.
        """
        node, *rest = reference.split(":")
        if node in self._arguments:
            return node, 0
        definition = self.nodes.get(node)
        port: int | None = None
        if definition is not None and not rest:
            port = 0
        elif definition is not None and len(rest) == 1 and _is_port(rest[0]):
            port = int(rest[0])
        elif definition is not None and len(rest) == 2 and _is_port(rest[1]):
            spec = self._specs.find(definition.op)
            port = self._uses()[node].get((rest[0], int(rest[1]))) if spec is None else spec.port(rest[0], int(rest[1]), definition.attr)
        if port is None:
            raise self.unsound(f"a node takes '{reference}', which is no output of a node in it")
        return node, port

    def unsound(self, found: str) -> FormatError:
        return FormatError(f"read the graph '{self.name}'", found=found, do="check that the file is whole")

    def taken(self, name: str, told: int) -> int:
        """How many outputs the graph takes of a node whose operation nobody defines; ``told`` says how many shapes are written on it."""
        return max(told, 1 + max(self._uses().get(name, {}).values(), default=-1))

    def _uses(self) -> dict[str, dict[tuple[str, int], int]]:
        """Of each node whose operation nobody defines: how its outputs are referred to → flat port.

        Within a function an output is named. The argument named first is taken for the first.
        """
        if self._undefined is not None:
            return self._undefined
        found: dict[str, dict[str, int]] = {}  # node → argument → how many
        for reference in (*(text for node in self.nodes.values() for text in node.input), *self._results):
            node, _, rest = reference.partition(":")
            if node not in self.nodes or self._specs.find(self.nodes[node].op) is not None:
                continue
            argument, _, index = rest.rpartition(":")
            if not rest or _is_port(index):
                named = found.setdefault(node, {})
                named[argument] = max(named.get(argument, 0), 1 + int(index or 0))
        self._undefined = {
            node: {
                (argument, k): start + k
                for (argument, count), start in zip(named.items(), _starts(named), strict=True)
                for k in range(count)
            }
            for node, named in found.items()
        }
        return self._undefined

    def edges(self) -> tuple[list[Edge], list[tuple[str, str]]]:
        """Data edges and control edges, in the order of the nodes that take them."""
        data: list[Edge] = []
        control: list[tuple[str, str]] = []
        known: dict[str, tuple[str, int]] = {}
        for name, node in self.nodes.items():
            slot = 0
            for text in node.input:
                if text[:1] == "^":
                    control.append((self.source(text[1:])[0], name))
                    continue
                found = known.get(text)
                if found is None:
                    found = known[text] = self.source(text)
                data.append((found[0], name, found[1], slot))
                slot += 1
        return data, control


def _starts(named: Mapping[str, int]) -> Iterator[int]:
    start = 0
    for count in named.values():
        yield start
        start += count


def _is_port(text: str) -> bool:
    return text.isdecimal() and len(text) <= 6 and int(text) < MAX_PORTS


def _name(message: Any) -> str:
    name: str = message.name
    return name


def _filled(
    region: _Region,
    made: list[tuple[str, dict[str, Any]]],
    outputs: Sequence[str],
    control_outputs: Iterable[str],
    feeds: Sequence[Feed] = (),
) -> Graph:
    graph = Graph(name=region.name)
    arity = {name: len(data.get("outputs", ())) for name, data in made}
    sources = {name for name, data in made if data["kind"] != "op"}
    edges, control = region.edges()
    for src, dst, port, _ in edges:
        if port >= arity[src]:
            raise region.unsound(f"'{dst}' takes output {port} of '{src}', which has {arity[src]}")
        if dst in sources:
            raise region.unsound(f"'{dst}' takes a value, though it is the source of one")
    results = [region.source(text) for text in outputs]
    for src, port in results:
        if port >= arity[src]:
            raise region.unsound(f"its result is output {port} of '{src}', which has {arity[src]}")
    control += [(region.source(name)[0], _OUTPUT) for name in control_outputs]
    if feeds:
        edges, results = _fed(region, made, edges, results, feeds)
    output = _free("output", made)
    made.append((output, {"kind": "output", "synthetic": True}))
    edges += [(src, output, port, slot) for slot, (src, port) in enumerate(results)]
    control = [(src, output if dst == _OUTPUT else dst) for src, dst in dict.fromkeys(control)]
    v1_control.mark(made, edges, control)
    graph.fill(made, edges, control)
    return graph


_OUTPUT = ""  # stands for the output node until it has its id: no node has an empty name


def _free(id: str, made: list[tuple[str, dict[str, Any]]]) -> str:
    taken = {name for name, _ in made}
    while id in taken:
        id += "_"
    return id


def _fed(
    region: _Region,
    made: list[tuple[str, dict[str, Any]]],
    edges: list[Edge],
    results: list[tuple[str, int]],
    feeds: Sequence[Feed],
) -> tuple[list[Edge], list[tuple[str, int]]]:
    """The edges where what takes a fed tensor takes it from a node of ours, whose operands are the tensor and the caller's value."""
    types = {name: data.get("outputs", ()) for name, data in made}
    instead: dict[tuple[str, int], tuple[str, int]] = {}
    added: list[Edge] = []
    for feed in feeds:
        src, port = region.source(feed.tensor)
        if port >= len(types[src]):
            raise region.unsound(f"a signature feeds output {port} of '{src}', which has {len(types[src])}")
        input, node = _free(f"{src}/feed", made), _free(f"{src}/fed", made)
        made.append(
            (
                input,
                {
                    "kind": "input",
                    "op": "tf._Feed",
                    "index": feed.index,
                    "outputs": (types[src][port],),
                    "name": feed.name,
                    "synthetic": True,
                },
            )
        )
        made.append((node, {"kind": "op", "op": "tf._Fed", "outputs": (types[src][port],), "synthetic": True}))
        added += [(src, node, port, 0), (input, node, 0, 1)]
        instead[src, port] = (node, 0)
    moved = [(*_swap(instead.get((src, port), (src, port)), dst), slot) for src, dst, port, slot in edges]
    return moved + added, [instead.get(result, result) for result in results]


def _swap(source: tuple[str, int], output: str) -> tuple[str, str, int]:
    return source[0], output, source[1]


def _outputs(spec: OpSpec, attr: Mapping[str, Any], shapes: Sequence[Any]) -> tuple[ValueType, ...]:
    dtypes = spec.output_dtypes(attr)
    if len(shapes) != len(dtypes):  # not inferred: the rank is unknown
        return tuple([value_type(dtype, None) for dtype in dtypes])
    return tuple([value_type(dtype, shape_dims(shape)) for dtype, shape in zip(dtypes, shapes, strict=True)])


def _arguments(definition: Any) -> Iterator[tuple[str, ValueType]]:
    seen = {node.name for node in definition.node_def}
    inferred = definition.attr["_input_shapes"].list.shape if "_input_shapes" in definition.attr else ()
    for index, arg in enumerate(definition.signature.input_arg):
        dims: Dims = None
        own = definition.arg_attr[index].attr if index in definition.arg_attr else {}
        if not arg.name or arg.name in seen:
            raise FormatError(
                f"read the function '{definition.signature.name}'",
                found=f"it has two values of the name '{arg.name}'",
                do="check that the file is whole",
            )
        seen.add(arg.name)
        if _SHAPES in own and own[_SHAPES].list.shape:
            dims = shape_dims(own[_SHAPES].list.shape[0])
        elif index < len(inferred):
            dims = shape_dims(inferred[index])
        yield arg.name, value_type(arg.type, dims)


__all__ = ["UNKNOWN", "Feed", "Origin", "read_graphs"]
