"""How large a program is: operations by name and by module, parameters, constants, graphs and their depth."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import networkx as nx

from graphlab.findings import Finding
from graphlab.ir.graph import Node
from graphlab.ir.program import Program
from graphlab.ir.values import TensorType, TupleType


@dataclass(frozen=True, slots=True)
class Options:
    """``constants``: how many of the largest constants to name."""

    constants: int = 8


@dataclass(frozen=True, slots=True)
class Module:
    """One module scope with all below it.

    Attributes:
        path: parts joined by ``/``; empty for the whole program.
        ops: operations in it and below.
        own_ops: operations in it, not below.
        parameters, elements, nbytes: how many parameters, their elements and bytes, where known.
        children: the scopes right below, in the program's order.
    """

    path: str
    ops: int
    own_ops: int
    parameters: int
    elements: int
    nbytes: int
    children: tuple[Module, ...] = ()

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Value:
    """A named value of a signature, or a constant: type as text, bytes where known."""

    name: str
    type: str
    nbytes: int | None
    role: str = "user"


@dataclass(frozen=True, slots=True)
class Result:
    """Counts leave out the nodes that graphlab itself added (``Node.synthetic``).

    Attributes:
        nodes: nodes of all graphs; ``ops`` of them operations.
        by_op: operations by name, all graphs together; each graph counted once, however often it is used.
        modules: the tree of module scopes.
        inputs, outputs: the entry's signature, parameters left out.
        parameters: number of parameters, with their ``parameter_elements`` and ``parameter_bytes``; tied ones count once.
        buffers: number of buffers (running statistics, tables), with their ``buffer_elements`` and ``buffer_bytes``.
        constants: number of constants, with their ``constant_bytes``, and the largest; only tensors have bytes.
        graphs: operations of each graph.
        depth: graphs on the longest chain of uses; 1 for a flat program.
        longest_path: operations on the entry's longest chain of values; ``None`` where it has a cycle.
        unsized: constants and parameters of unknown size, which the byte counts leave out.
    """

    nodes: int
    ops: int
    by_op: Counter[str]
    modules: Module
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    parameters: int
    parameter_elements: int
    parameter_bytes: int
    buffers: int
    buffer_elements: int
    buffer_bytes: int
    constants: int
    constant_bytes: int
    largest_constants: tuple[Value, ...]
    graphs: dict[str, int]
    depth: int
    longest_path: int | None
    unsized: int
    findings: tuple[Finding, ...] = field(default=())

    def by_module(self, depth: int | None = None) -> list[Module]:
        """Scopes in tree order, the whole program first, down to ``depth`` levels below it (all without it)."""
        found: list[Module] = []
        pending = [(self.modules, 0)]
        while pending:
            module, level = pending.pop()
            found.append(module)
            if depth is None or level < depth:
                pending += [(child, level + 1) for child in reversed(module.children)]
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain data: dicts, lists, strings, numbers. Modules are listed flat, in tree order."""
        return {
            "nodes": self.nodes,
            "ops": self.ops,
            "by_op": dict(self.by_op.most_common()),
            "modules": [
                {"path": m.path, "ops": m.ops, "own_ops": m.own_ops, "parameters": m.parameters, "elements": m.elements, "bytes": m.nbytes}
                for m in self.by_module()
            ],
            "inputs": [_value_json(v) for v in self.inputs],
            "outputs": [_value_json(v) for v in self.outputs],
            "parameters": {"count": self.parameters, "elements": self.parameter_elements, "bytes": self.parameter_bytes},
            "buffers": {"count": self.buffers, "elements": self.buffer_elements, "bytes": self.buffer_bytes},
            "constants": {
                "count": self.constants,
                "bytes": self.constant_bytes,
                "largest": [_value_json(v) for v in self.largest_constants],
            },
            "graphs": self.graphs,
            "depth": self.depth,
            "longest_path": self.longest_path,
            "unsized": self.unsized,
        }


def analyze(program: Program, options: Options = Options()) -> Result:
    """Count a program."""
    by_op: Counter[str] = Counter()
    graphs: dict[str, int] = {}
    constants: list[Value] = []
    tree = _Tree()
    nodes = constant_bytes = unsized = 0
    parameters, buffers = _Tensors(), _Tensors()
    for name, graph in program.graphs.items():
        graphs[name] = 0
        for node in graph.each_node():
            if _is_constant(node):
                value = _constant(node)
                constants.append(value)
                constant_bytes += value.nbytes or 0
                unsized += value.nbytes is None and isinstance(_held(node), TensorType)
            elif node.kind == "parameter" and node.attrs.get("role") == "buffer":
                buffers.add(_first_name(node), _held(node))
            elif node.kind == "parameter" or node.attrs.get("role") == "parameter":
                _add_parameter(parameters, tree, node.scope or _owner(node.name), _first_name(node), _held(node))
            if node.synthetic:
                continue
            nodes += 1
            if node.kind == "op":
                by_op[node.op] += 1
                graphs[name] += 1
                tree.at(node.scope).ops += 1
    inputs, outputs = _signature(program, parameters, buffers, tree)
    constants.sort(key=lambda v: -(v.nbytes or 0))
    return Result(
        nodes=nodes,
        ops=sum(by_op.values()),
        by_op=by_op,
        modules=tree.done(),
        inputs=inputs,
        outputs=outputs,
        parameters=len(parameters.seen),
        parameter_elements=parameters.elements,
        parameter_bytes=parameters.nbytes,
        buffers=len(buffers.seen),
        buffer_elements=buffers.elements,
        buffer_bytes=buffers.nbytes,
        constants=len(constants),
        constant_bytes=constant_bytes,
        largest_constants=tuple(constants[: options.constants]),
        graphs=graphs,
        depth=_depth(program),
        longest_path=_longest_path(program),
        unsized=unsized + parameters.unsized + buffers.unsized,
    )


class _Scope:
    """A scope while it is being counted."""

    def __init__(self) -> None:
        self.ops = self.parameters = self.elements = self.nbytes = 0
        self.children: dict[str, _Scope] = {}


class _Tree:
    def __init__(self) -> None:
        self._root = _Scope()
        self._by_path: dict[str, _Scope] = {"": self._root}

    def at(self, path: str) -> _Scope:
        found = self._by_path.get(path)
        if found is None:
            found = self._root
            for part in path.split("/"):
                found = found.children.setdefault(part, _Scope())
            self._by_path[path] = found
        return found

    def done(self) -> Module:
        # Children before their parents, without recursion: scopes nest as deep as a model likes.
        order: list[tuple[str, _Scope]] = []
        pending = [("", self._root)]
        while pending:
            path, scope = pending.pop()
            order.append((path, scope))
            pending += [(f"{path}/{part}" if path else part, child) for part, child in scope.children.items()]
        made: dict[int, Module] = {}
        for path, scope in reversed(order):
            below = tuple(made.pop(id(child)) for child in scope.children.values())
            made[id(scope)] = Module(
                path=path,
                ops=scope.ops + sum(m.ops for m in below),
                own_ops=scope.ops,
                parameters=scope.parameters + sum(m.parameters for m in below),
                elements=scope.elements + sum(m.elements for m in below),
                nbytes=scope.nbytes + sum(m.nbytes for m in below),
                children=below,
            )
        return made[id(self._root)]


class _Tensors:
    """Parameters, or buffers, counted once each, however many graphs name them."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.elements = self.nbytes = self.unsized = 0

    def add(self, name: str, type: object) -> tuple[int, int] | None:
        """Count one; returns its elements and bytes, 0 where they are not known, or ``None`` for one that is counted already."""
        if name in self.seen:
            return None
        self.seen.add(name)
        if not isinstance(type, TensorType) or type.elements is None or type.nbytes is None:
            self.unsized += 1
            return 0, 0
        self.elements += type.elements
        self.nbytes += type.nbytes
        return type.elements, type.nbytes


def _add_parameter(parameters: _Tensors, tree: _Tree, scope: str, name: str, type: object) -> None:
    added = parameters.add(name, type)
    if added is None:
        return
    at = tree.at(scope)
    at.parameters += 1
    at.elements += added[0]
    at.nbytes += added[1]


def _first_name(node: Node) -> str:
    """A parameter's name, or that of the one it is tied to: they are one tensor."""
    name: str = node.meta.get("tied_to", node.name)
    return name


def _is_constant(node: Node) -> bool:
    """Constants that were no parameters before the graph was frozen, and attributes of modules that are neither parameters nor buffers.

    A handle to a module or a graph is no value.
    """
    if node.kind == "constant" and node.attrs.get("role") == "parameter":
        return False
    if node.kind == "constant":
        return node.value is not None or isinstance(_held(node), (TensorType, TupleType))
    plain = node.value is not None and not isinstance(node.value.type, TensorType)
    return node.kind == "parameter" and (plain or node.attrs.get("role") == "attribute")


def _owner(name: str) -> str:
    """The module that a parameter's dotted (or slashed) name puts it in."""
    return "/".join(name.replace("/", ".").split(".")[:-1])


def _held(node: Node) -> object:
    """The type of a parameter's value, which a handle to it (a TensorFlow variable) does not show."""
    return node.value.type if node.value is not None else next(iter(node.outputs), None)


def _constant(node: Node) -> Value:
    type = _held(node)
    if not isinstance(type, TensorType):
        return Value(node.name, str(type), None, "constant")  # None, a number, a text: no tensor, so no bytes
    return Value(node.name, str(type), type.nbytes if node.value is None else node.value.nbytes, "constant")


def _signature(program: Program, parameters: _Tensors, buffers: _Tensors, tree: _Tree) -> tuple[tuple[Value, ...], tuple[Value, ...]]:
    """The entry's inputs and outputs; inputs that are parameters or buffers are added to those instead."""
    signature = next((s for s in program.signatures.values() if s.graph == program.entry), None)
    if signature is None:
        graph = program.main
        nodes = [graph.node(id) for id in graph.inputs]
        results = [(use.src, graph.node(use.src).outputs[use.src_port]) for use in graph.operands(graph.output)]
        return tuple(_value(n.name, n.outputs[0]) for n in nodes), tuple(_value(name, type) for name, type in results)
    inputs: list[Value] = []
    for slot in signature.inputs:
        name = slot.target or slot.name
        if slot.role == "buffer":
            buffers.add(name, slot.type)
        elif slot.role == "parameter":
            _add_parameter(parameters, tree, _owner(name), name, slot.type)
        else:
            inputs.append(_value(slot.name, slot.type, slot.role))
    return tuple(inputs), tuple(_value(slot.name, slot.type, slot.role) for slot in signature.outputs)


def _value(name: str, type: object, role: str = "user") -> Value:
    return Value(name, str(type), type.nbytes if isinstance(type, TensorType) else None, role)


def _depth(program: Program) -> int:
    calls = program.call_graph()
    reached = calls.subgraph({program.entry, *nx.descendants(calls, program.entry)})
    # A group of graphs that use one another counts once: its depth has no end.
    return int(nx.dag_longest_path_length(nx.condensation(reached))) + 1


def _longest_path(program: Program) -> int | None:
    graph = program.main
    length: dict[str, int] = {}
    try:
        order = list(nx.topological_sort(graph))
    except nx.NetworkXUnfeasible:
        return None
    for id in order:
        own = graph.nodes[id]["kind"] == "op"
        length[id] = own + max((length[src] for src in graph.pred[id]), default=0)
    return max(length.values(), default=0)


def _value_json(value: Value) -> dict[str, Any]:
    return {"name": value.name, "type": value.type, "bytes": value.nbytes, "role": value.role}
