"""What the nodes of a GraphDef are to it where no signature says: its ends, its sources, its variables of old."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from graphlab.capture.tensorflow.graph_def import Origin
from graphlab.capture.tensorflow.opdefs import MAX_PORTS, OpSpecs
from graphlab.capture.tensorflow.variables import HANDLES
from graphlab.errors import FormatError
from graphlab.ir.frozen import frozen

PLACEHOLDERS = frozenset({"Placeholder", "PlaceholderV2", "_Arg", "_DeviceArg"})
_RESULTS = frozenset({"_Retval", "_DeviceRetval"})
_SWITCHES = frozenset({"Switch", "RefSwitch"})
_ENTERS = _SWITCHES | {"Enter", "RefEnter"}
_PLUMBING = _ENTERS | {"Exit", "RefExit", "NextIteration", "RefNextIteration", "LoopCond"}


def split(tensor: str) -> tuple[str, int]:
    node, _, port = tensor.partition(":")
    return node, int(port) if port.isdecimal() and len(port) < 10 else 0


def data_users(nodes: Iterable[Any]) -> dict[str, list[str]]:
    """Node → the nodes that take a value of it."""
    found: dict[str, list[str]] = {}
    for node in nodes:
        for text in node.input:
            if text[:1] != "^":
                found.setdefault(text.partition(":")[0], []).append(node.name)
    return found


def in_order(nodes: Mapping[str, Any], ops: frozenset[str]) -> list[str]:
    """Nodes of some operations: those with an index by it, the others as they stand."""
    found = [name for name, node in nodes.items() if node.op in ops]
    return sorted(found, key=lambda name: nodes[name].attr["index"].i if "index" in nodes[name].attr else 0)


_LEAVES = frozenset({"Const", *HANDLES, *PLACEHOLDERS})


def free_results(nodes: Mapping[str, Any], taken: Mapping[str, list[str]], specs: OpSpecs) -> list[str]:
    """What a bare graph gives: what its ``_Retval`` nodes take, or all outputs of the operations that nothing takes or waits for."""
    returned = [text for name in in_order(nodes, _RESULTS) for text in nodes[name].input[:1] if text[:1] != "^"]
    if returned:
        return returned
    found: list[str] = []
    for name, node in _ends(nodes, taken):
        spec = specs.find(node.op)
        if spec is not None and not _is_plumbing(node, nodes):
            if len(found) > MAX_PORTS:
                raise FormatError(
                    f"read the node '{name}'",
                    found=f"with it the graph has more than {MAX_PORTS:,} results",
                    do="check that the file is whole",
                )
            found += [f"{name}:{port}" for port in range(len(spec.output_dtypes(node.attr)))]
    return found


def _is_plumbing(node: Any, nodes: Mapping[str, Any]) -> bool:
    """Whether a node is TensorFlow 1's control flow and no result: a loop variable's end, a side of a predicate."""
    op = node.op
    if op == "Identity" and node.input:
        source = nodes.get(node.input[0].partition(":")[0])
        op = "" if source is None or source.op not in _SWITCHES else source.op
    return op in _PLUMBING


def loose_ends(nodes: Mapping[str, Any], taken: Mapping[str, list[str]], specs: OpSpecs) -> list[str]:
    """Operations that give no value and that no other waits for: they run for what they do."""
    return [name for name, node in _ends(nodes, taken) if (spec := specs.find(node.op)) is None or not spec.output_dtypes(node.attr)]


def _ends(nodes: Mapping[str, Any], taken: Mapping[str, list[str]]) -> Iterator[tuple[str, Any]]:
    """Operations that no other takes a value of or waits for."""
    waited = {text[1:] for node in nodes.values() for text in node.input if text[:1] == "^"}
    return ((name, node) for name, node in nodes.items() if name not in taken and name not in waited and node.op not in _LEAVES)


def ancestors(nodes: Mapping[str, Any], results: Iterable[str]) -> set[str]:
    found: set[str] = set()
    waiting = [name for name in results if name in nodes]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        waiting += [source for text in nodes[name].input if (source := text.lstrip("^").partition(":")[0]) in nodes]
    return found


def frozen_parameters(nodes: Mapping[str, Any], taken: Mapping[str, list[str]]) -> dict[str, Origin]:
    """Constants that were variables before the graph was frozen, by what TensorFlow's freezing leaves of the variables' reads.

    TensorFlow 1: an Identity placed beside the constant (``_class`` is ``loc:@constant``) or named ``constant/read``.
    TensorFlow 2: the constant, or the Identity that takes it, has the name of a ``ReadVariableOp``.
    """
    found = {}
    for name, node in nodes.items():
        if node.op == "Const" and (_is_read(name) or any(_reads(nodes[user], name) for user in _readers(name, nodes, taken))):
            found[name] = Origin("constant", attrs=frozen(role="parameter"))
    return found


def _readers(name: str, nodes: Mapping[str, Any], taken: Mapping[str, list[str]]) -> Iterator[str]:
    """The nodes that take a value, also within the loops and branches of TensorFlow 1 that it enters."""
    waiting, seen = [name], {name}
    while waiting:
        for user in taken.get(waiting.pop(), ()):
            if user in seen:
                continue
            seen.add(user)
            if nodes[user].op in _ENTERS:
                waiting.append(user)
            yield user


def _is_read(name: str) -> bool:
    last = name.rpartition("/")[2]
    return last.partition("_")[0] == "ReadVariableOp" or name.endswith("ReadVariableOp/resource")


def _reads(user: Any, name: str) -> bool:
    if user.op != "Identity":
        return False
    beside = "_class" in user.attr and f"loc:@{name}".encode() in user.attr["_class"].list.s
    return beside or user.name == f"{name}/read" or _is_read(user.name)
