"""Which variable a node is: its name, the checkpoint's key for its value, whether it is trained.

What says so, in this order: the object graph of a TensorFlow 2 SavedModel, whose functions list the variables that they
take, and in which a checkpoint's key is a path; the graph's own way to restore itself (``RestoreV2`` gives each variable
the value of a key); the collections of a TensorFlow 1 graph. Names decide nothing: TensorFlow gives one variable several nodes.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from graphlab.capture.file import File
from graphlab.capture.tensorflow.schema import SCHEMA

HANDLES = frozenset({"VarHandleOp", "VariableV2", "Variable"})
"""Operations whose output is a variable."""

_ASSIGNS = frozenset({"Assign", "AssignVariableOp"})
_PASSES = frozenset({"Identity", "Cast"})
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_DEPTH = 16


@dataclass(frozen=True, slots=True)
class Variable:
    """What is known of a variable's node.

    Attributes:
        name: the variable's own name, or its path in the object graph where several have that name; empty where nobody says.
        key: of its value in the checkpoint.
        spec: which slice of that value it is, where it is one.
        trainable: ``None`` where nobody says.
    """

    name: str = ""
    key: str | None = None
    spec: str = ""
    trainable: bool | None = None


def find_variables(meta: Any, used: Iterable[str], keys: Iterable[str], file: File) -> dict[str, Variable]:
    """Node → what variable it is, for the nodes of a MetaGraphDef that are asked for.

    Args:
        keys: the checkpoint's.
    """
    restored = _restored(meta)
    objects = _Objects(meta.object_graph_def, (*keys, *(key for key, _ in restored.values())))
    bound = _bound(meta)
    listed = _collections(meta, file)
    found: dict[str, Variable] = {}
    for node in used:
        key, spec = restored.get(node, (None, ""))
        variable = objects.at(bound[node], key) if node in bound else None
        if variable is None and key is not None:
            variable = objects.of(key)
        if variable is None:
            name, trainable = listed.get(node, ("", None))
            variable = Variable(name, key, spec, trainable)
        found[node] = variable
    names = Counter(variable.name for variable in found.values())
    for node, variable in found.items():
        if variable.spec or (names[variable.name] > 1 and variable.key is None):
            found[node] = replace(variable, name="")  # one slice of several, or one of several: the node's own name
        elif names[variable.name] > 1 and variable.key is not None:
            found[node] = replace(variable, name=variable.key.removesuffix(_VALUE))
    return found


def object_functions(meta: Any) -> Iterator[tuple[str, str, list[tuple[str, Any]]]]:
    """The functions that hang on a SavedModel's objects: path, name in the library, and what each captured input is.

    That is the object's kind (``variable``, ``constant`` …) and its SavedVariable. Functions that tables and the like keep
    for themselves are left out.
    """
    nodes, known = meta.object_graph_def.nodes, meta.object_graph_def.concrete_functions
    seen: set[int] = {0}
    waiting = deque([(0, "")]) if len(nodes) else deque()
    while waiting:
        at, path = waiting.popleft()
        held = nodes[at]
        names = list(held.function.concrete_functions) if held.WhichOneof("kind") == "function" else []
        for name in names:
            bound = known[name].bound_inputs if name in known else []
            objects = [nodes[i] for i in bound if 0 <= i < len(nodes)]
            yield path, name, [(o.WhichOneof("kind") or "", o.variable) for o in objects]
        if names or held.WhichOneof("kind") == "resource":
            continue
        for child in held.children:
            public = child.local_name[:1] != "_" or child.local_name == "__call__"
            if public and 0 <= child.node_id < len(nodes) and child.node_id not in seen:
                seen.add(child.node_id)
                waiting.append((child.node_id, f"{path}.{child.local_name}" if path else child.local_name))


# ---- what a graph restores


def _restored(meta: Any) -> dict[str, tuple[str, str]]:
    """Node of a variable → the key, and the slice of its value, that the graph's saver restores it from."""
    top = {node.name: node for node in meta.graph_def.node}
    restore = top.get(meta.saver_def.restore_op_name.partition(":")[0])
    name = restore.attr["f"].func.name if restore is not None and "f" in restore.attr else ""
    if restore is None or not name:
        return dict(_assigned(top))
    definition = next((f for f in meta.graph_def.library.function if f.signature.name == name), None)
    if definition is None:
        return {}
    given = [text for text in restore.input if text[:1] != "^"]
    arguments = {arg.name: _node(text) for arg, text in zip(definition.signature.input_arg, given, strict=False)}
    inner = _assigned({node.name: node for node in definition.node_def})
    return {arguments[arg]: value for arg, value in inner if arg in arguments}


def _assigned(nodes: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Of each assignment of a restored value: what is assigned to, and the key with its slice."""
    keys: dict[str, tuple[list[bytes], list[bytes]]] = {}
    for name, node in nodes.items():
        if node.op == "RestoreV2" and len(node.input) > 2:
            keys[name] = _strings(nodes, node.input[1]), _strings(nodes, node.input[2])
    if not keys:
        return
    for node in nodes.values():
        if node.op not in _ASSIGNS or len(node.input) < 2:
            continue
        value = node.input[1]
        for _ in range(_DEPTH):
            source = nodes.get(_node(value))
            if source is None or source.op not in _PASSES or not source.input:
                break
            value = source.input[0]
        port = value.rpartition(":")[2]
        names, slices = keys.get(_node(value), ([], []))
        index = int(port) if port.isdecimal() and len(port) < 10 else 0
        if index < len(names):
            yield _node(node.input[0]), (_text(names[index]), _text(slices[index]) if index < len(slices) else "")


def _strings(nodes: Mapping[str, Any], reference: str) -> list[bytes]:
    constant = nodes.get(_node(reference))
    if constant is None or constant.op != "Const" or "value" not in constant.attr:
        return []
    return list(constant.attr["value"].tensor.string_val)


def _node(reference: str) -> str:
    return reference.partition(":")[0]


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


# ---- the object graph


def _bound(meta: Any) -> dict[str, int]:
    """Node → the object that it is, by the order in which functions of the object graph take what they capture."""
    functions = meta.object_graph_def.concrete_functions
    found: dict[str, int] = {}
    for node in meta.graph_def.node if len(functions) else ():
        name = node.attr["f"].func.name if "f" in node.attr else ""
        if name not in functions:
            continue
        captured = functions[name].bound_inputs
        given = [text.partition(":")[0] for text in node.input if text[:1] != "^"]
        if 0 < len(captured) <= len(given):
            found.update(zip(given[-len(captured) :], captured, strict=True))
    return found


class _Objects:
    """A SavedObjectGraph, walked along a checkpoint's keys: names of children, with ``.`` and ``/`` escaped."""

    def __init__(self, graph: Any, keys: Iterable[str]) -> None:
        self._nodes = graph.nodes
        self._children: dict[int, dict[str, int]] = {}
        self._key: dict[int, str] = {}
        if len(self._nodes):
            for key in keys:
                at = self._walk(key)
                if at is not None:
                    self._key.setdefault(at, key)

    def of(self, key: str) -> Variable | None:
        """The variable at a key's path."""
        at = self._walk(key)
        return None if at is None else self.at(at, key)

    def at(self, index: int, key: str | None) -> Variable | None:
        """The variable that an object is; ``None`` where it is another thing."""
        if not 0 <= index < len(self._nodes):
            return None
        found = self._nodes[index]
        if found.WhichOneof("kind") != "variable":
            return None
        return Variable(found.variable.name, self._key.get(index, key), "", found.variable.trainable)

    def _walk(self, key: str) -> int | None:
        if not len(self._nodes) or not key.endswith(_VALUE):
            return None
        at = 0
        for part in key.removesuffix(_VALUE).split("/"):
            step = self._of(at).get(part.replace(".S", "/").replace("..", "."))
            if step is None or not 0 <= step < len(self._nodes):
                return None
            at = step
        return at

    def _of(self, at: int) -> dict[str, int]:
        if at not in self._children:
            self._children[at] = {child.local_name: child.node_id for child in self._nodes[at].children}
        return self._children[at]


# ---- the collections


def _collections(meta: Any, file: File) -> dict[str, tuple[str, bool | None]]:
    """Node of a variable → its name, and whether it is trained, as TensorFlow 1's collections say."""
    held: dict[str, dict[str, str]] = {}
    for key in ("variables", "trainable_variables"):
        held[key] = {}
        if key in meta.collection_def:
            for data in meta.collection_def[key].bytes_list.value:
                message = SCHEMA.parse_bytes("VariableDef", data, file)
                held[key][_node(message.variable_name)] = _node(message.variable_name)
    known = "trainable_variables" in meta.collection_def
    trained = held["trainable_variables"]
    return {node: (name, node in trained if known else None) for node, name in {**held["variables"], **trained}.items()}
