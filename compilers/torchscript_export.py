"""An exported program made into TorchScript: its graph is run once under ``torch.jit.trace``.

A trace of any Python program may lie. One of an exported graph cannot, where what follows holds: the graph
has no control flow of Python's, so the trace sees all there is to see. What it could lose are sizes, which
the tracer takes for numbers as soon as they pass through an operator. So operators that take sizes are
called by the functions of Python's that keep them; and a program with dynamic dims is traced at two sizes:
if one was lost, the two traces differ, and the program is refused.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import cache, partial
from types import FunctionType
from typing import Any, NoReturn

import torch
import torch.fx
from torch.export import ExportedProgram
from torch.fx.node import map_arg

from graphlab.capture.torch.frames import parse_stack
from graphlab.capture.torch.state import quiet, unchanged
from graphlab.compilers import torchscript_torch as private
from graphlab.errors import CompileError

_SET_GRAD = "wrap_with_set_grad_enabled"
"""The one higher-order operator that just runs its body: values do not depend on whether gradients are recorded."""

_ASSERTIONS = frozenset(("aten::_assert_scalar", "aten::sym_constrain_range", "aten::sym_constrain_range_for_size"))
"""On sizes; they have no result."""

_PYTHON = frozenset((operator.getitem, operator.add, operator.sub, operator.mul, operator.floordiv, operator.mod, operator.neg))
"""What can be done with a traced size just as with a number."""


def trace(program: ExportedProgram, *, asked: str) -> Any:
    """The exported program as a traced module, with the program's own parameters and buffers.

    It takes the program's inputs as one flat list of tensors and gives its outputs as a flat tuple; inputs and
    outputs that are constants (numbers, ``None``) are left out.

    Raises:
        CompileError: the graph has control flow, a size that depends on data, or sizes that a trace loses.
    """
    _check(program, asked)
    with quiet():
        module = program.module(check_guards=False)
    try:
        with unchanged(module), quiet(), torch.no_grad():
            traced = _trace(program, module, 0)
            if program.range_constraints and _steps(traced) != _steps(_trace(program, module, 1)):
                _refuse(asked, "its trace keeps a size of the example's in place of a dynamic one")
    except _NotTraceable as error:
        _refuse(asked, f"a trace loses the size that {error.op} takes", error.op)
    except Exception as error:
        raise CompileError(
            asked, found=f"torch.jit.trace: {_first_line(error)}", do="see the cause; capture by another method", step="trace"
        ) from error
    return traced


class _NotTraceable(Exception):
    """An operation that takes a size, which a trace of it would lose."""

    def __init__(self, op: str) -> None:
        super().__init__(op)
        self.op = op


def _refuse(asked: str, found: str, *ops: str) -> NoReturn:
    do = "compile the model as jit.script captures it, which keeps control flow and sizes"
    raise CompileError(asked, found=found, do=do, step="trace", ops=ops)


def _check(program: ExportedProgram, asked: str) -> None:
    if program.example_inputs is None:
        _refuse(asked, "the exported program keeps no example inputs to trace with")
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            if isinstance(node.target, private.HigherOrderOperator) and node.target.name() != _SET_GRAD:
                op = f"higher_order.{node.target.name()}"
                _refuse(asked, f"a trace does not keep {op} ('{node.name}')", op)
            if private.makes_number(node):
                _refuse(asked, f"a size or number is made of data by {node.target} ('{node.name}')", str(node.target))
    for node in program.graph.nodes:
        if node.op == "placeholder" and isinstance(node.meta.get("val"), (torch.SymInt, torch.SymFloat, torch.SymBool)):
            _refuse(asked, f"the input '{node.name}' is a number that may change")


def _trace(program: ExportedProgram, module: torch.fx.GraphModule, step: int) -> Any:
    """Trace with sizes ``step`` above the example's."""
    placeholders = [node for node in module.graph.nodes if node.op == "placeholder"]
    given = private.flat_inputs(program)
    tensors = {
        i: _resized(value.detach(), [private.size_at(size, step) for size in node.meta["val"].shape])
        for i, (value, node) in enumerate(zip(given, placeholders, strict=True))
        if isinstance(value, torch.Tensor)
    }
    example = tuple(tensors.values())
    constants = [None if i in tensors else value for i, value in enumerate(given)]
    return torch.jit.trace(_Exported(module, constants, tuple(tensors)), example, check_trace=False)


def _resized(tensor: torch.Tensor, sizes: list[int]) -> torch.Tensor:
    """A copy of a tensor, its elements repeated or dropped until it has those sizes."""
    for dim, size in enumerate(sizes):
        if tensor.shape[dim] != size:
            tensor = tensor.index_select(dim, torch.arange(size, device=tensor.device) % tensor.shape[dim])
    return tensor.clone()


class _Exported(torch.nn.Module):
    """Runs an exported graph, with the graph module's parameters and buffers under their own names."""

    def __init__(self, module: torch.fx.GraphModule, constants: list[Any], tensors: tuple[int, ...]) -> None:
        super().__init__()
        for name, child in module.named_children():
            if not isinstance(child, torch.fx.GraphModule):
                self.add_module(name, child)
        for name, parameter in module.named_parameters(recurse=False):
            self.register_parameter(name, parameter)
        for name, buffer in module.named_buffers(recurse=False):
            self.register_buffer(name, buffer)
        self.eval()  # the graph has its modes within
        # TorchScript looks at a module's attributes, and need not see these.
        self.run: Callable[..., tuple[torch.Tensor, ...]]
        object.__setattr__(self, "run", partial(_run, module, constants, tensors))

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.run(*inputs)


def _run(module: torch.fx.GraphModule, constants: list[Any], tensors: tuple[int, ...], *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
    values = list(constants)
    for i, tensor in zip(tensors, inputs, strict=True):
        values[i] = tensor
    return tuple(value for value in _run_graph(module, values) if isinstance(value, torch.Tensor))


def _run_graph(module: torch.fx.GraphModule, inputs: list[Any]) -> Any:
    """Run a graph node by node, on the user's lines, with sizes that the tracer keeps.

    (torch.fx.Interpreter logs the graph when a node fails, which torch cannot do while it traces.)
    """
    given = iter(inputs)
    values: dict[torch.fx.Node, Any] = {}
    last_use = {operand: node for node in module.graph.nodes for operand in node.all_input_nodes}
    for node in module.graph.nodes:
        if node.op == "placeholder":
            values[node] = next(given)
        elif node.op == "get_attr":
            values[node] = operator.attrgetter(node.target)(module)
        else:
            args = map_arg(node.args, values.__getitem__)
            if node.op == "output":
                return args[0]
            run = partial(_call, node, args, map_arg(node.kwargs, values.__getitem__))
            for frame in parse_stack(node.stack_trace or ""):
                run = partial(_at(frame.file, frame.line, frame.function), run)
            values[node] = run()
            for operand in node.all_input_nodes:
                if last_use[operand] is node:
                    del values[operand]
    raise AssertionError("a graph ends in its output")


def _call(node: torch.fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    target: Any = node.target
    takes_size = any(isinstance(each.meta.get("val"), torch.SymInt) for each in node.all_input_nodes)
    if isinstance(target, private.HigherOrderOperator):
        enabled, body, *operands = args
        with torch.set_grad_enabled(enabled):
            return _run_graph(body, operands)
    if not isinstance(target, private.OpOverload):
        if takes_size and target not in _PYTHON:
            raise _NotTraceable(getattr(target, "__name__", str(target)))
        return target(*args, **kwargs)
    name = target._schema.name
    if name == "aten::sym_size":
        return args[0].size(args[1])
    if name in _ASSERTIONS:
        return None
    if not takes_size:
        return target(*args, **kwargs)
    function = _slice if name == "aten::slice" else private.function_of(target)
    if function is None:
        raise _NotTraceable(str(target))
    result = function(*args, **kwargs)
    if not _as_recorded(result, node.meta.get("val")):  # the tracer's sizes are tensors, and count in type promotion
        raise _NotTraceable(str(target))
    return result


def _as_recorded(result: Any, recorded: Any) -> bool:
    return not isinstance(result, torch.Tensor) or (isinstance(recorded, torch.Tensor) and result.dtype == recorded.dtype)


def _slice(tensor: torch.Tensor, dim: int = 0, start: Any = None, end: Any = None, step: Any = 1) -> torch.Tensor:
    return tensor[(slice(None),) * (dim % tensor.dim()) + (slice(start, end, step),)]


def _frame(run: Callable[[], Any]) -> Any:
    return run()


@cache
def _at(file: str, line: int, function: str) -> Callable[[Callable[[], Any]], Any]:
    """A function that just runs what it is given, and stands at that line: the tracer notes Python's stack."""
    # Its call is on the line after its first.
    code = _frame.__code__.replace(co_filename=file, co_firstlineno=line - 1, co_name=function or "<module>")
    return FunctionType(code, {})


def _steps(traced: Any) -> list[tuple[Any, ...]]:
    """What a trace does, without types and places: for each node its kind, its operands, and its constant."""
    graph = traced.inlined_graph
    number: dict[int, int] = {}
    for value in graph.inputs():
        number[value.unique()] = len(number)
    done: list[tuple[Any, ...]] = []
    for node in private.nodes(graph):
        constant = repr(node.output().toIValue()) if node.kind() == "prim::Constant" else ""
        done.append((node.kind(), tuple(number[value.unique()] for value in node.inputs()), constant))
        for value in node.outputs():
            number[value.unique()] = len(number)
    return done


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
