"""Which graphs a node uses, and how its operands and outputs map to theirs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphlab.capture.tensorflow.opdefs import OpSpec
from graphlab.errors import FormatError
from graphlab.ir.frozen import EMPTY, FrozenDict
from graphlab.ir.graph import Call, Control

# op -> (function attribute -> role, number of operands before those that go into the function)
_BRANCHES = {"then_branch": "then", "else_branch": "else"}
_FORMS: dict[str, tuple[Mapping[str, str], int]] = {
    "If": (_BRANCHES, 1), "StatelessIf": (_BRANCHES, 1), "_If": (_BRANCHES, 1),
    "Case": ({"branches": "branch"}, 1), "StatelessCase": ({"branches": "branch"}, 1),
    "While": ({"cond": "cond", "body": "body"}, 0), "StatelessWhile": ({"cond": "cond", "body": "body"}, 0),
    "_While": ({"cond": "cond", "body": "body"}, 0),
    "PartitionedCall": ({"f": "call"}, 0), "StatefulPartitionedCall": ({"f": "call"}, 0), "RemoteCall": ({"f": "call"}, 1),
    "For": ({"body": "body"}, 3),
    "XlaIf": (_BRANCHES, 1), "XlaWhile": ({"cond": "cond", "body": "body"}, 0),
    "XlaLaunch": ({"function": "call"}, 0), "XlaLaunchV2": ({"function": "call"}, 0),
    "TPUPartitionedCall": ({"f": "call"}, 0), "BatchFunction": ({"f": "call"}, 0),
}  # fmt: skip
_LOOPS = ("While", "StatelessWhile", "_While", "XlaWhile")
_CONDITIONALS = ("XlaIf", "If", "StatelessIf", "_If", "Case", "StatelessCase")

# Operations on a dataset that call a function of theirs on datasets, not on elements.
_ON_DATASETS = ("ChooseFastestBranchDataset", "SnapshotDatasetV2")

# Input arguments that go, whole, to the end of the function's own inputs (tf.data's ops, BatchFunction).
_CAPTURED = ("other_arguments", "captured_tensors", "captured_inputs")


def function_attrs(spec: OpSpec | None, attr: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Attributes of a node that name functions: attribute → function names. An empty name is no function.

    Args:
        spec: ``None`` for an operation that nobody defines: then all attributes are looked at.
    """
    found: dict[str, tuple[str, ...]] = {}
    for key in sorted(attr) if spec is None else spec.functions:
        if key not in attr:
            continue
        value = attr[key]
        if value.WhichOneof("value") == "list":
            found[key] = tuple(f.name for f in value.list.func)
        elif value.func.name:
            found[key] = (value.func.name,)
    return found


def calls(
    node: Any, spec: OpSpec | None, named: Mapping[str, tuple[str, ...]], functions: Mapping[str, Any], *, outputs: int
) -> FrozenDict[str, Call]:
    """Role → Call of a node.

    Args:
        named: the node's function attributes, see :func:`function_attrs`.
        functions: the library: name → FunctionDef.
        outputs: number of the node's output ports.
    """
    operands = sum(1 for text in node.input if text[:1] != "^")
    if node.op in functions:  # a call by the function's own name, as older graphs have it
        signature = functions[node.op].signature
        found = {"call": Call(node.op, _run(0, len(signature.input_arg)), _run(0, len(signature.output_arg)))}
        return _checked(node, found, operands, outputs)
    if not named:
        return EMPTY
    roles, skip = _FORMS.get(node.op, ({}, 0))
    found = {}
    for key, names in named.items():
        role = roles.get(key, "body" if key == "f" and _over_dataset(node.op, spec) else key)
        single = node.attr[key].WhichOneof("value") == "func"
        for k, name in enumerate(names):
            if name not in functions:
                continue  # the name of a primitive operation: it stays an attribute
            signature = functions[name].signature
            takes, gives = len(signature.input_arg), len(signature.output_arg)
            if spec is not None and key == "f" and "initial_state" in spec.inputs:
                call = _over_elements(node, spec, takes, gives, operands)
            elif key not in roles:
                call = Call(name, _captured(node, spec, takes, operands), (None,) * gives)
            elif node.op in _LOOPS and key == "cond":
                call = Call(name, _run(0, takes), (None,) * gives)
            elif node.op in _LOOPS:
                call = Call(name, _run(0, takes), _run(0, gives), tuple((i, i) for i in range(gives)))
            elif node.op == "For":  # the body's first input is the index, made by the loop
                call = Call(name, (None, *_run(skip, takes - 1)), _run(0, gives), tuple((i, i + 1) for i in range(gives)))
            else:
                call = Call(name, _run(skip, takes), _run(0, min(gives, outputs)))
            found[role if single else f"{role}_{k}"] = call
    return _checked(node, found, operands, outputs)


def _checked(node: Any, calls: dict[str, Call], operands: int, outputs: int) -> FrozenDict[str, Call]:
    """The calls, where the node has all the operands and outputs that they speak of. Raises FormatError where it has not."""
    for role, call in calls.items():
        slots = [slot for slot in call.operands if slot is not None]
        ports = [port for port in call.results if port is not None]
        fits = all(slot < operands for slot in slots) and all(port < outputs for port in ports)
        if not fits or any(o >= len(call.results) or i >= len(call.operands) for o, i in call.carried):
            raise FormatError(
                f"read the node '{node.name}'",
                found=f"its {operands} operands and {outputs} outputs do not fit the function '{call.graph}' ({role}), "
                f"which has {len(call.operands)} inputs and {len(call.results)} results",
                do="check that the file is whole",
            )
    return FrozenDict(calls)


def control(op: str, spec: OpSpec | None) -> Control | None:
    """What a node with regions decides; ``None`` for a plain call.

    What runs a function on each element of a dataset is a loop, as often as the dataset has elements.
    """
    if op in _CONDITIONALS:
        return Control("conditional", predicate=0)
    if op in _LOOPS:
        return Control("loop", condition=("cond", 0))
    if _over_dataset(op, spec):
        return Control("loop", trip_slot=0)
    return Control("loop") if op == "For" else None


def _over_dataset(op: str, spec: OpSpec | None) -> bool:
    return spec is not None and spec.inputs[:1] == ("input_dataset",) and op not in _ON_DATASETS


def _run(start: int, count: int) -> tuple[int, ...]:
    return tuple(range(start, start + count))


def _over_elements(node: Any, spec: OpSpec, takes: int, gives: int, operands: int) -> Call:
    """The call of ``ReduceDataset`` and ``ScanDataset``: state that goes round, an element, what is captured.

    The function returns the state first; a reduction's results are the last state, a scan's is a dataset.
    """
    states = len(node.attr["Tstate"].list.type)
    start = spec.inputs.index("initial_state")
    rest = _captured(node, spec, takes, operands)[states:]
    results = _run(0, gives) if spec.outputs and spec.outputs[0].name == "components" else (None,) * gives
    return Call(node.attr["f"].func.name, (*_run(start, states), *rest)[:takes], results, tuple((i, i) for i in range(states)))


def _captured(node: Any, spec: OpSpec | None, takes: int, operands: int) -> tuple[int | None, ...]:
    """For an operation that makes its function's inputs itself: only what is captured comes from operands.

    The captured values are the last operands of these operations, but where another argument follows.
    """
    for argument in _CAPTURED:
        if spec is not None and argument in spec.inputs and spec.inputs[-1] == argument:
            key = "Targuments" if "Targuments" in node.attr else "Tcaptured" if "Tcaptured" in node.attr else ""
            width = min(len(node.attr[key].list.type) if key else 0, takes)
            return (*(None,) * (takes - width), *_run(operands - width, width))
    return (None,) * takes
