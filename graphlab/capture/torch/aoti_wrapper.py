"""The C++ that AOTInductor writes around its kernels, read as the sequence of kernels that a call runs.

Only ``AOTInductorModel::run_impl`` is followed, line by line: buffers, kernel calls, results. What a kernel reads and writes
is told by the names of its parameters (``in_ptr``, ``out_ptr``, ``in_out_ptr``), of a library call by its ``_out`` or its
``&…_handle``. Source: ``torch/_inductor/codegen/cpp_wrapper_cpu.py`` and ``cpp_wrapper_gpu.py`` of torch 2.6 to 2.13.
Branches and loops in that C++ (``torch.cond``, ``while_loop``) are not told apart: their kernels stand in order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from graphlab.capture.unique import Names
from graphlab.ir.constants import Constant
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.graph import Graph
from graphlab.ir.program import Program, Signature, Slot, Source
from graphlab.ir.values import Dim, OpaqueType, SymDim, TensorType, ValueType

ENTRY = "run_impl"
BUFFER = OpaqueType("buffer")

_INFO = re.compile(r"^\s*(inputs|outputs|constants)_info_\[(\d+)\]\.(\w+) = (.*);$", re.MULTILINE)
_DECLARED = re.compile(r"(?:extern \"C\"\s+(?:\w+\s+)*?void\s+|static inline void (?:call_)?)(\w+)\(([^)]*)\)", re.DOTALL)
_ARRAY = re.compile(r"(?:static constexpr|const) int64_t (\w+)\[\] = \{([^}]*)\};")
_EMPTY = re.compile(
    r"aoti_torch_empty_strided(?:_pinned)?\((\d+), (\w+), \w+, (?:cached_torch_dtype_|aoti_torch_dtype_)(\w+)\b.*&(\w+)_handle\)"
)
_MOVED = re.compile(r"auto&? (\w+) = std::move\((\w+)\);")
_TAKEN = re.compile(r"auto&? (\w+) = (?:std::move\()?(inputs\[|constants_->at\()(\d+)[\])]")
_RESULT = re.compile(r"output_handles\[(\d+)\] = (?:std::move\()?(\w+)")
_CALL = re.compile(r"(?<![\w.:>])((?:call_)?[A-Za-z_]\w*)\((.*)\)\s*\)?;$")
_NODES = re.compile(r"// Topologically Sorted Source Nodes: \[(.*?)\], Original ATen: \[(.*?)\]")
_HANDLES = re.compile(r"// \[Provenance debug handles\] (.*)")
_NAME = re.compile(r"[A-Za-z_]\w*")
_SIZE = re.compile(r"(-?\d+)L{0,2}")
# of aoti_torch_… calls, those that compute nothing
_PLUMBING = re.compile(
    r"aoti_torch_(?:empty|get_|delete|assign|new_|create|device_|dtype_|as_strided|_?reinterpret|grad_mode|check|save|print|clone_preserve)"
)
_MAX_LINES = 2_000_000


@dataclass(slots=True)
class _State:
    """Where values are: each buffer's latest (node, port)."""

    graph: Graph
    at: dict[str, tuple[str, int]] = field(default_factory=dict)
    types: dict[str, ValueType] = field(default_factory=dict)
    arrays: dict[str, tuple[Dim, ...]] = field(default_factory=dict)


def kernels(text: str, source: Source) -> Program | None:
    """The kernels of a wrapper's ``run_impl`` as a Program; ``None`` where the text holds no such function.

    A node is a kernel or a library call, ``inductor.<name>``; its operands are the buffers that it reads, its outputs those
    it writes; ``meta`` has the nodes of the model it was made from where the source says so.
    """
    begin = text.find("AOTInductorModel::run_impl(")
    if begin < 0:
        return None
    end = text.find("AOTInductorModel::run_impl", begin + 30)
    body = text[begin : end if end > 0 else len(text)]
    infos = _infos(text)
    parameters = {found[1].removeprefix("call_"): _parameters(found[2]) for found in _DECLARED.finditer(text)}
    graph = Graph(name=ENTRY)
    names = Names()
    state = _State(graph)
    inputs = infos["inputs"]
    for index in sorted(inputs):
        id = names.take(inputs[index].get("name", f"input{index}"))
        graph.add(id, kind="input", index=graph.number_of_nodes(), outputs=(BUFFER,))
        state.at[f"inputs[{index}"] = (id, 0)
    for index, info in sorted(infos["constants"].items()):
        type = _constant_type(info)
        id = names.take(info.get("name", f"constant{index}"))
        value = Constant(type, None, reason="its bytes lie in the compiled library")
        graph.add(id, kind="parameter", outputs=(type,), name=info.get("original_fqn"), value=value, attrs=FrozenDict(role="constant"))
        state.at[f"constants_->at({index}"] = (id, 0)
    results: dict[int, tuple[str, int]] = {}
    told: dict[str, tuple[str, ...] | str] = {}
    for line in map(str.strip, body.splitlines()[:_MAX_LINES]):
        if found := _NODES.match(line):
            told = {"source_nodes": _listed(found[1]), "original_aten": _listed(found[2])}
        elif found := _HANDLES.match(line):
            told = {**told, "debug_handle": found[1]}
        elif found := _TAKEN.search(line):
            origin = state.at.get(found[2] + found[3])
            if origin:
                state.at[found[1]] = origin
        elif found := _MOVED.search(line):
            if found[2] in state.at:
                state.at[found[1]] = state.at[found[2]]
            if found[2] in state.types:
                state.types[found[1]] = state.types[found[2]]
        elif found := _ARRAY.search(line):
            state.arrays[found[1]] = tuple(_dim(each) for each in found[2].split(",") if each.strip())
        elif found := _EMPTY.search(line):
            state.types[found[4]] = TensorType(found[3], state.arrays.get(found[2], ()) if found[1] != "0" else ())
        elif found := _RESULT.search(line):
            if found[2] in state.at:
                results[int(found[1]) if len(found[1]) < 7 else 0] = state.at[found[2]]
        elif _called(line, state, names, parameters, told):
            told = {}
    output = names.take("output")
    graph.add(output, kind="output", synthetic=True)
    slots = []
    for slot, (_, (node, port)) in enumerate(sorted(results.items())):
        graph.connect(node, output, port, slot)
        slots.append(Slot(infos["outputs"].get(slot, {}).get("name", f"output{slot}"), graph.node(node).outputs[port]))
    given = tuple(Slot(id, BUFFER) for id in graph.inputs)
    return Program({ENTRY: graph}, ENTRY, source, {"run": Signature(ENTRY, given, tuple(slots))}, meta=FrozenDict(stage="kernels"))


def _called(line: str, state: _State, names: Names, parameters: dict[str, tuple[str, ...]], told: dict[str, tuple[str, ...] | str]) -> bool:
    """Adds the node of a line that calls a kernel; whether it was one."""
    inner = line.removeprefix("AOTI_TORCH_ERROR_CODE_CHECK(")
    found = _CALL.match(inner)
    if found is None:
        return False
    name = found[1].removeprefix("call_")
    arguments = _arguments(found[2])
    if name in parameters:
        reads, writes = _by_parameters(arguments, parameters[name], state)
    elif name.startswith("aoti_torch_") and not _PLUMBING.match(name):
        reads, writes = _by_name(name, arguments, state)
    else:
        return False
    if not writes:
        return False
    id = names.take(name)
    types = tuple(state.types.get(each, BUFFER) for each in writes)
    meta = FrozenDict(told) if told else None
    state.graph.add(id, kind="op", op=f"inductor.{name}", outputs=types, meta=meta)
    for slot, each in enumerate(reads):
        node, port = state.at[each]
        state.graph.connect(node, id, port, slot)
    for port, each in enumerate(writes):
        state.at[each] = (id, port)
    return True


def _by_parameters(arguments: list[str], parameters: tuple[str, ...], state: _State) -> tuple[list[str], list[str]]:
    reads: list[str] = []
    writes: list[str] = []
    for argument, parameter in zip(arguments, parameters, strict=False):
        buffer = next((each for each in _NAME.findall(argument) if each in state.at or each in state.types), None)
        if buffer is None or "ptr" not in parameter:
            continue
        if "out_ptr" in parameter:  # in_out_ptr0 too
            writes.append(buffer)
        if "in_ptr" in parameter or "in_out_ptr" in parameter:
            reads += [buffer] if buffer in state.at else []
    return reads, writes


def _by_name(name: str, arguments: list[str], state: _State) -> tuple[list[str], list[str]]:
    """A library call: its first argument is the result where its name ends in ``_out``, else those given as ``&…_handle``."""
    made = [argument.removeprefix("&").removesuffix("_handle") for argument in arguments if argument.startswith("&")]
    inputs = [argument for argument in arguments if not argument.startswith("&")]
    writes = made
    if not made and inputs:
        first = next(iter(_NAME.findall(inputs[0])), "")
        writes, inputs = [first] if first in state.types or first in state.at else [], inputs[1:]
    reads = [each for argument in inputs for each in _NAME.findall(argument) if each in state.at]
    return list(dict.fromkeys(reads)), writes


def _infos(text: str) -> dict[str, dict[int, dict[str, str]]]:
    infos: dict[str, dict[int, dict[str, str]]] = {"inputs": {}, "outputs": {}, "constants": {}}
    for kind, index, key, value in _INFO.findall(text):
        if len(index) < 7:
            infos[kind].setdefault(int(index), {})[key] = value.strip('"')
    return infos


def _constant_type(info: dict[str, str]) -> TensorType:
    dtype = re.sub(r"\W.*|^(cached_torch_dtype_|aoti_torch_dtype_)", "", info.get("dtype", "").removeprefix("static_cast<int32_t>("))
    dims = tuple(_dim(each) for each in info.get("shape", "").strip("{}").split(",") if each.strip())
    return TensorType(dtype or "unknown", dims)


def _parameters(text: str) -> tuple[str, ...]:
    """The names of a C++ function's parameters."""
    return tuple(names[-1] for each in text.split(",") if (names := _NAME.findall(each.partition("=")[0])))


def _arguments(text: str) -> list[str]:
    """Split at the commas outside brackets."""
    parts, depth, start = list[str](), 0, 0
    for at, char in enumerate(text):
        if char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:at].strip())
            start = at + 1
    return [*parts, text[start:].strip()]


def _dim(text: str) -> Dim:
    found = _SIZE.fullmatch(text.strip())
    return int(found[1]) if found and len(found[1]) < 20 else SymDim(text.strip())


def _listed(text: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in text.split(",") if each.strip())
