"""An exported program's JSON as a Program, equal to what ``export.read`` makes of the live one.

Source: ``torch/_export/serde/schema.py`` and ``serialize.py`` of torch 2.13 (schema 8.20). What the serializer leaves out
is put back as its own deserializer does: a ``getitem`` for each result of an operation with several (only where somebody
uses it, as in the live graph), a ``get_attr`` for each graph an operation is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphlab.capture.torch.plain_graph import MAX_DEPTH, PlainGraph, PlainNode, PlainWalk, Ref
from graphlab.capture.torch.pt2_schema import KEYWORD, NONE, SYMBOLIC, Decoder, operator_name
from graphlab.capture.torch.source_text import StackTexts, innermost_module, scope
from graphlab.capture.unique import Names
from graphlab.ir.constants import Constant
from graphlab.ir.frames import FrameTable
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.graph import Graph
from graphlab.ir.program import DimRange, Program, Role, Signature, Slot, Source
from graphlab.ir.values import OpaqueType, TokenType, TupleType, ValueType

ENTRY = "main"

_PLAIN = ("as_int", "as_float", "as_bool", "as_none", "as_string")
_PYTHON: Mapping[str, str] = {"as_int": "int", "as_float": "float", "as_bool": "bool", "as_none": "None", "as_string": "str"}

# input spec -> (role, field with what it stands for)
_INPUTS: Mapping[str, tuple[Role, str]] = {
    "parameter": ("parameter", "parameter_name"),
    "buffer": ("buffer", "buffer_name"),
    "tensor_constant": ("constant", "tensor_constant_name"),
    "custom_obj": ("constant", "custom_obj_name"),
}
_OUTPUTS: Mapping[str, tuple[Role, str]] = {
    "buffer_mutation": ("buffer", "buffer_name"),
    "parameter_mutation": ("parameter", "parameter_name"),
    "user_input_mutation": ("state", "user_input_name"),
    "gradient_to_parameter": ("parameter", "parameter_name"),
    "gradient_to_user_input": ("state", "user_input_name"),
    "token": ("token", ""),
}


class Payloads:
    """Where the values of parameters, buffers and constants are. This one has none."""

    def constant(self, name: str, type: ValueType) -> Constant:
        """The value held under a name."""
        return Constant(type, None, reason="the file holds the graph alone, without values")

    def tied_to(self, name: str) -> str | None:
        """The first name of a value that is held under several; ``None`` for the first itself."""
        return None


def program(held: Any, decoder: Decoder, payloads: Payloads, source: Source) -> Program:
    """The program that a serialized ExportedProgram describes.

    Args:
        held: the parsed JSON.
        source: what is known of the file; the producer is filled in.

    Raises:
        FormatError: a field is missing or of the wrong kind, or the graph is not sound.
    """
    top = decoder.object(held, "")
    module = decoder.object(top.get("graph_module"), "graph_module")
    builder = _Builder(decoder, payloads)
    signature = decoder.object(module.get("signature"), "signature")
    specs = _input_specs(signature, decoder)
    serialized = decoder.object(module.get("graph"), "graph")
    plain = builder.graph(serialized, "graph", specs)
    walk = PlainWalk(decoder.asked)
    graph = walk.entry(ENTRY, plain)
    dims = {name: _range(each, decoder) for name, each in decoder.object(top.get("range_constraints") or {}, "range_constraints").items()}
    version = decoder.object(top.get("schema_version") or {}, "schema_version") if not isinstance(top.get("schema_version"), int) else {}
    major = top["schema_version"] if isinstance(top.get("schema_version"), int) else version.get("major")
    torch_version = top.get("torch_version")
    return Program(
        graphs=walk.graphs,
        entry=ENTRY,
        source=Source(
            source.framework,
            source.format,
            producer=f"torch {torch_version}" if isinstance(torch_version, str) else "torch",
            path=source.path,
            digest=source.digest,
            notes=_baked(specs),
        ),
        signatures={"forward": Signature(ENTRY, _input_slots(graph, specs), _output_slots(graph, plain, signature, decoder))},
        dims=dims,
        frames=builder.frames.done(),
        meta=_meta(top, module, f"{major}.{version.get('minor')}" if version else f"{major}"),
    )


class _Spec:
    """What one input of the graph is to the model."""

    __slots__ = ("kind", "name", "role", "target", "value")

    def __init__(self, kind: str, name: str, role: Role = "user", target: str | None = None, value: Any = None) -> None:
        self.kind, self.name, self.role, self.target, self.value = kind, name, role, target, value


def _input_specs(signature: Mapping[str, Any], decoder: Decoder) -> list[_Spec]:
    specs: list[_Spec] = []
    for i, held in enumerate(decoder.list(signature.get("input_specs"), "input_specs")):
        where = f"input_specs[{i}]"
        kind, inner = decoder.union(held, where)
        inner = decoder.object(inner, where)
        if kind in _INPUTS:
            role, field = _INPUTS[kind]
            specs.append(_Spec(kind, decoder.ref(inner.get("arg"), where).name, role, decoder.text(inner.get(field), where)))
        elif kind == "token":
            specs.append(_Spec(kind, decoder.ref(inner.get("arg"), where).name, "token"))
        elif kind == "constant_input":
            _, value = decoder.union(inner.get("value"), where)
            specs.append(_Spec(kind, decoder.text(inner.get("name"), where), value=None if "as_none" in inner["value"] else value))
        else:
            name, _ = _argument_name(inner.get("arg"), decoder, where)
            specs.append(_Spec("user_input", name))
    return specs


def _argument_name(held: Any, decoder: Decoder, where: str) -> tuple[str, Any]:
    """The node an argument names, ``""`` for a plain value; and the value."""
    kind, inner = decoder.union(held, where)
    if kind in ("as_tensor", "as_custom_obj", "as_token"):
        return decoder.ref(inner, where).name, None
    if kind in SYMBOLIC:
        found = decoder.symbolic(inner, where)
        return (found.name, None) if isinstance(found, Ref) else ("", found)
    return "", inner


class _Builder:
    def __init__(self, decoder: Decoder, payloads: Payloads) -> None:
        self.decoder = decoder
        self.payloads = payloads
        self.frames = FrameTable()
        self._stacks = StackTexts(self.frames)
        self._scopes: dict[str, str] = {}
        self._depth = 0

    def graph(self, held: Mapping[str, Any], where: str, specs: list[_Spec] | None = None) -> PlainGraph:
        """A Graph and those within it; with ``specs`` the one that runs first."""
        if self._depth > MAX_DEPTH:
            self.decoder.refuse(f"graphs nest more than {MAX_DEPTH} deep", where)
        self._depth += 1
        made = _OneGraph(self, held, where).build(specs)
        self._depth -= 1
        return made

    def place(self, node: PlainNode, metadata: Mapping[str, Any]) -> None:
        stack, modules = metadata.get("stack_trace"), metadata.get("nn_module_stack")
        if isinstance(stack, str):
            node.loc = self._stacks.loc(stack)
        if isinstance(modules, str):
            if modules not in self._scopes:
                self._scopes[modules] = scope(innermost_module(modules))
            node.scope = self._scopes[modules]


class _OneGraph:
    """One Graph on its way to a PlainGraph."""

    def __init__(self, builder: _Builder, held: Mapping[str, Any], where: str) -> None:
        self.builder, self.decoder, self.held, self.where = builder, builder.decoder, held, where
        self.plain = PlainGraph()
        self.tensors = self.decoder.object(held.get("tensor_values") or {}, f"{where}.tensor_values")
        self.names = Names()
        self.used: set[str] = set()
        self.pending: list[PlainNode] = []

    def build(self, specs: list[_Spec] | None) -> PlainGraph:
        decoder, where = self.decoder, self.where
        serialized = decoder.list(self.held.get("nodes"), f"{where}.nodes")
        for name in self._own_names(serialized):
            self.names.take(name)
        # what the results of operations are called by those who use them
        for i, held in enumerate(decoder.list(self.held.get("inputs"), f"{where}.inputs")):
            self._input(held, f"{where}.inputs[{i}]", i, specs)
        nodes = [self._node(decoder.object(held, f"{where}.nodes[{i}]"), f"{where}.nodes[{i}]") for i, held in enumerate(serialized)]
        outputs = [
            decoder.argument(held, f"{where}.outputs[{i}]", self._subgraph)
            for i, held in enumerate(decoder.list(self.held.get("outputs"), f"{where}.outputs"))
        ]
        self._use(tuple(outputs))
        for before, node, results in nodes:
            self.plain.nodes.extend(before)
            self.plain.nodes.append(node)
            self.plain.nodes.extend(each for each in self._getitems(node, results))
        single = self.held.get("is_single_tensor_return") is True and len(outputs) == 1
        self.plain.nodes.append(PlainNode(self.names.take("output"), "output", "output", (outputs[0] if single else tuple(outputs),)))
        return self.plain

    def _own_names(self, serialized: list[Any]) -> set[str]:
        """Every name that the file gives to a value or a node of this graph."""
        tables = ("tensor_values", "sym_int_values", "sym_bool_values", "sym_float_values", "custom_obj_values")
        names = {name for table in tables for name in self.decoder.object(self.held.get(table) or {}, f"{self.where}.{table}")}
        names.update(each["name"] for each in serialized if isinstance(each, dict) and isinstance(each.get("name"), str))
        return names

    def _use(self, value: Any) -> None:
        if isinstance(value, Ref):
            self.used.add(value.name)
        elif isinstance(value, tuple):
            for each in value:
                self._use(each)
        elif isinstance(value, dict):
            for each in value.values():
                self._use(each)

    def _tensor(self, name: str, where: str) -> ValueType:
        meta = self.tensors.get(name)
        if meta is None:
            self.decoder.refuse(f"the type of '{name}' is not told", where)
        return self.decoder.tensor(meta, f"{self.where}.tensor_values.{name}")

    def _input(self, held: Any, where: str, index: int, specs: list[_Spec] | None) -> None:
        decoder = self.decoder
        kind, inner = decoder.union(held, where)
        spec = specs[index] if specs is not None and index < len(specs) else None
        name, _ = _argument_name(held, decoder, where)
        type: ValueType
        if kind == "as_tensor":
            type = self._tensor(name, where)
        elif kind in SYMBOLIC:
            type = SYMBOLIC[kind]
        elif kind == "as_custom_obj":
            type = OpaqueType(str(decoder.object(inner, where).get("class_fqn")))
        elif kind == "as_token":
            type = TokenType()
        else:
            name = (spec.name if spec is not None else "") or self.names.take(f"arg{index}")
            type = OpaqueType(_PYTHON.get(kind, kind))
        data: dict[str, Any] = {"kind": "input", "outputs": (type,)}
        if kind in _PLAIN:
            data["attrs"] = FrozenDict(value=decoder.argument(held, where, self._subgraph))
        if spec is not None and spec.kind == "token":
            data["outputs"] = (TokenType(),)
        elif spec is not None and spec.target is not None:
            data = self._lifted(spec, type)
        self.plain.nodes.append(PlainNode(name, "placeholder", name, type=type, data=data))

    def _lifted(self, spec: _Spec, type: ValueType) -> dict[str, Any]:
        """A parameter, buffer or constant that torch turned into an input."""
        target = spec.target or ""
        attrs = FrozenDict(role=spec.role)
        if spec.kind == "custom_obj":
            text = type.name if isinstance(type, OpaqueType) else ""
            return {"kind": "constant", "outputs": (type,), "name": target, "attrs": attrs, "value": Constant(type, text.encode())}
        data: dict[str, Any] = {
            "kind": "constant" if spec.kind == "tensor_constant" else "parameter",
            "outputs": (type,),
            "name": target,
            "attrs": attrs,
            "value": self.builder.payloads.constant(target, type),
        }
        tied = None if spec.kind == "tensor_constant" else self.builder.payloads.tied_to(target)
        if tied is not None:
            data["meta"] = FrozenDict(tied_to=tied)
        return data

    def _subgraph(self, held: Any, where: str) -> Ref:
        """A graph among the arguments: a ``get_attr`` node before the operation that it is given to."""
        argument = self.decoder.object(held, where)
        name = self.decoder.text(argument.get("name"), where)
        if name not in self.plain.graphs:
            self.plain.graphs[name] = self.builder.graph(self.decoder.object(argument.get("graph"), where), f"{where}.{name}")
        node = PlainNode(self.names.take(name), "get_attr", name)
        self.pending.append(node)
        return Ref(node.name)

    def _node(self, held: dict[str, Any], where: str) -> tuple[list[PlainNode], PlainNode, list[Any]]:
        decoder = self.decoder
        target = operator_name(decoder.text(held.get("target"), where))
        higher = target.startswith("higher_order.")
        args: list[Any] = []
        names: list[str] = []
        kwargs: dict[str, Any] = {}
        for i, each in enumerate(decoder.list(held.get("inputs"), f"{where}.inputs")):
            at = f"{where}.inputs[{i}]"
            named = decoder.object(each, at)
            name = named.get("name") or ""
            value = self._argument(named.get("arg"), at)
            if named.get("kind") == KEYWORD and name:
                kwargs[decoder.text(name, at)] = value
            else:
                args.append(value)
                names.append(decoder.text(name, at))
        metadata = decoder.object(held.get("metadata") or {}, f"{where}.metadata")
        results = decoder.list(held.get("outputs"), f"{where}.outputs")
        name, type, several = self._results(held, results, target, where)
        arguments = None if higher or target.startswith("operator.") or not all(names) else tuple(names)
        node = PlainNode(name, "call_function", target, tuple(args), FrozenDict(kwargs), type, arguments)
        self._use(node.args)
        self._use(node.kwargs)
        self.builder.place(node, metadata)
        before, self.pending = self.pending, []
        for each in before:
            each.loc, each.scope = node.loc, node.scope
        return before, node, several

    def _argument(self, held: Any, where: str) -> Any:
        value = self.decoder.argument(held, where, self._subgraph)
        if isinstance(value, Ref) and isinstance(held, dict) and (custom := held.get("as_custom_obj")):
            known = self.decoder.object(self.held.get("custom_obj_values") or {}, self.where)
            if value.name not in known:  # an object within the call, no value of the graph's
                return f"<{self.decoder.object(custom, where).get('class_fqn')}>"
        return value

    def _results(self, held: Mapping[str, Any], results: list[Any], target: str, where: str) -> tuple[str, ValueType, list[Any]]:
        """The node's name and type, and the results that ``getitem`` nodes take from it: (name, type) or a list of those."""
        decoder = self.decoder
        own = held.get("name")
        several = [self._result(each, f"{where}.outputs[{i}]") for i, each in enumerate(results)]
        flag = held.get("is_hop_single_tensor_return")
        kept_tuple = target.startswith("higher_order.") and flag is False
        if len(several) == 1 and isinstance(several[0], tuple) and not (kept_tuple and several[0][1] != NONE):
            result, type = several[0]
            name = result or (own if isinstance(own, str) else "") or self._invented(target)
            return name, type, []
        name = own if isinstance(own, str) and own else self._invented(target)
        if not several:
            return name, NONE, []
        if len(several) == 1 and isinstance(several[0], list):
            several = several[0]
        if len(several) > 1_000_000:
            decoder.refuse(f"an operation has {len(several):,} results", where)
        return name, TupleType(tuple(_type(each) for each in several)), several

    def _result(self, held: Any, where: str) -> Any:
        decoder = self.decoder
        kind, inner = decoder.union(held, where)
        if kind == "as_none":
            return "", NONE
        if kind in ("as_tensors", "as_optional_tensors"):
            names = [
                decoder.ref(each.get("as_tensor", each) if isinstance(each, dict) else each, where).name
                for each in decoder.list(inner, where)
            ]
            return [(name, self._tensor(name, where)) for name in names]
        name, _ = _argument_name(held, decoder, where)
        if kind == "as_tensor":
            return name, self._tensor(name, where)
        if kind == "as_token":
            return name, TokenType()
        if kind == "as_custom_obj":
            return name, OpaqueType(str(decoder.object(inner, where).get("class_fqn")))
        if kind in SYMBOLIC:
            return name, SYMBOLIC[kind]
        return "", OpaqueType(_PYTHON.get(kind, kind))

    def _invented(self, target: str) -> str:
        """A name for an operation that the file gives none: as fx would, by its own short name."""
        parts = target.split(".")
        return self.names.take(parts[1] if len(parts) > 2 else parts[-1])

    def _getitems(self, node: PlainNode, results: list[Any]) -> list[PlainNode]:
        made: list[PlainNode] = []
        for index, result in enumerate(results):
            if isinstance(result, list):
                if not any(name in self.used for name, _ in result):
                    continue
                inner = self._getitem(self.names.take("getitem"), node, node.name, index, _type(result))
                made.append(inner)
                made.extend(self._getitem(name, node, inner.name, i, type) for i, (name, type) in enumerate(result) if name in self.used)
            elif result[0] and (result[0] in self.used or not result[0].endswith(f"_unused_{index}")):
                made.append(self._getitem(result[0], node, node.name, index, result[1]))
        return made

    def _getitem(self, name: str, node: PlainNode, of: str, index: int, type: ValueType) -> PlainNode:
        return PlainNode(name, "call_function", "operator.getitem", (Ref(of), index), type=type, loc=node.loc, scope=node.scope)


def _type(result: Any) -> ValueType:
    if isinstance(result, list):
        return TupleType(tuple(type for _, type in result))
    found: ValueType = result[1]
    return found


def _input_slots(graph: Graph, specs: list[_Spec]) -> tuple[Slot, ...]:
    roles = {spec.name: spec for spec in specs}
    slots = []
    for id in graph.inputs:
        spec = roles.get(id)
        slots.append(Slot(id, graph.node(id).outputs[0], spec.role if spec else "user", spec.target if spec else None))
    return tuple(slots)


def _output_slots(graph: Graph, plain: PlainGraph, signature: Mapping[str, Any], decoder: Decoder) -> tuple[Slot, ...]:
    """One slot for every output that is a value of the graph; a plain ``None`` or number is none."""
    leaves = plain.nodes[-1].args[0]
    specs = decoder.list(signature.get("output_specs"), "output_specs")
    types = {use.dst_port: graph.node(use.src).outputs[use.src_port] for use in graph.operands(graph.output)}
    slots: list[Slot] = []
    for i, leaf in enumerate(leaves if isinstance(leaves, tuple) else (leaves,)):
        if not isinstance(leaf, Ref):
            continue
        role: Role = "user"
        target = None
        if i < len(specs):
            where = f"output_specs[{i}]"
            kind, inner = decoder.union(specs[i], where)
            role, field = _OUTPUTS.get(kind, ("user", ""))
            target = decoder.text(decoder.object(inner, where).get(field), where) if field else None
        slots.append(Slot(leaf.name, types[len(slots)], role, target))
    if len(slots) != len(types):
        decoder.refuse("its results are lists of values, which no signature describes", "graph.outputs")
    return tuple(slots)


def _range(held: Any, decoder: Decoder) -> DimRange:
    each = decoder.object(held, "range_constraints")
    low, high = each.get("min_val"), each.get("max_val")
    return DimRange(low if type(low) is int and low > 0 else 0, high if type(high) is int else None)


def _baked(specs: list[_Spec]) -> tuple[FrozenDict[str, Any], ...]:
    """A note for every argument that is no tensor: export took the value given for the only one."""
    return tuple(
        FrozenDict(kind="baked-argument", text=f"argument '{spec.name}' is {spec.value!r} at every run of this graph", name=spec.name)
        for spec in specs
        if spec.kind == "constant_input"
    )


def _meta(top: Mapping[str, Any], module: Mapping[str, Any], schema: str) -> FrozenDict[str, Any]:
    facts: dict[str, Any] = {"schema": schema}
    dialects = top.get("verifiers") or ([top["dialect"]] if isinstance(top.get("dialect"), str) else [])
    if isinstance(dialects, list):
        facts["dialect"] = ", ".join(str(each) for each in dialects[:8])
    opset = top.get("opset_version")
    if isinstance(opset, dict):
        facts["opset"] = FrozenDict({str(k): v for k, v in opset.items() if isinstance(v, int)})
    guards = top.get("guards_code")
    if isinstance(guards, list) and guards:
        facts["guards"] = tuple(str(each) for each in guards)
    calls = module.get("module_call_graph")
    if isinstance(calls, list):
        facts["modules"] = tuple(str(each["fqn"]) for each in calls if isinstance(each, dict) and each.get("fqn"))
    return FrozenDict({key: value for key, value in facts.items() if value})
