"""``torch.fx``: a ``GraphModule`` read into a Program, and symbolic tracing of a module into one."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from typing import Any

import torch
import torch.fx

from graphlab.capture.inputs import Inputs
from graphlab.capture.torch import examples
from graphlab.capture.torch.failures import failed
from graphlab.capture.torch.fx_graph import Walk
from graphlab.capture.torch.state import quiet, unchanged
from graphlab.capture.torch.values import Types
from graphlab.ir.program import Program, Signature, Slot, Source
from graphlab.ir.values import ValueType

ENTRY = "main"


class _Tracer(torch.fx.Tracer):
    record_stack_traces = True  # else nodes know no source line


def capture(model: torch.nn.Module, inputs: Inputs | None) -> Program:
    """Trace a module symbolically, or read a graph module as it is.

    fx itself runs nothing and so knows no types; where inputs of known sizes are given the traced
    graph is run on them once, which types every node for those very sizes. A graph module is left
    as it is.

    Raises:
        CaptureError: symbolic tracing failed; ``frame`` is the user's line.
    """
    if isinstance(model, torch.fx.GraphModule):
        return read(model)
    tracer = _Tracer()
    buffers = [name for name, _ in model.named_buffers()]
    with unchanged(model), quiet():
        try:
            graph = tracer.trace(model)
        except Exception as error:
            raise failed(model, "fx", error, do="fx cannot follow values into Python; capture with export or jit.script") from error
        module = torch.fx.GraphModule(tracer.root, graph, type(model).__name__)
        types: dict[torch.fx.Node, ValueType] = {}
        if inputs is not None and examples.dynamic_shapes(inputs) is None:
            types = _types(model, module, examples.make(inputs))
    return read(module, types=types, buffers=buffers)


class _Typer(torch.fx.Interpreter):
    """Runs a graph and keeps the type of every value."""

    def __init__(self, module: torch.fx.GraphModule) -> None:
        super().__init__(module)
        self.found: dict[torch.fx.Node, ValueType] = {}
        self._types = Types()

    def run_node(self, n: torch.fx.Node) -> Any:
        result = super().run_node(n)
        self.found[n] = self._types.of(result)
        return result


def _types(model: torch.nn.Module, module: torch.fx.GraphModule, made: Inputs) -> dict[torch.fx.Node, ValueType]:
    typer = _Typer(module)
    try:
        bound = inspect.signature(model.forward).bind(*made.args, **made.kwargs)
        bound.apply_defaults()
        with torch.no_grad():
            typer.run(*bound.arguments.values())
    except Exception as error:
        raise failed(model, "fx", error, do="check that the inputs fit the model") from error
    return typer.found


def read(
    module: torch.fx.GraphModule,
    *,
    types: Mapping[torch.fx.Node, ValueType] | None = None,
    buffers: Collection[str] | None = None,
) -> Program:
    """A graph module as a Program; ``native`` is the module.

    Args:
        types: types of values that the nodes do not know themselves.
        buffers: names of the module's buffers; where absent, what it registers as such.

    ``Program.count()`` equals the number of nodes of its graph and of all graph modules used in it.
    A leaf module's call is one operation by its class; a call of a graph module is a region.
    """
    walk = Walk(known=types, buffers=buffers)
    graph = walk.entry(ENTRY, module, module.graph)
    inputs = tuple(Slot(graph.node(name).name, graph.node(name).outputs[0]) for name in graph.inputs)
    uses = graph.operands(graph.output)
    outputs = tuple(Slot(use.src, graph.node(use.src).outputs[use.src_port]) for use in uses)
    return Program(
        graphs=walk.graphs,
        entry=ENTRY,
        source=Source("torch", "torch.fx", method="fx", producer=f"torch {torch.__version__}"),
        signatures={"forward": Signature(ENTRY, inputs, outputs)},
        frames=walk.frames.done(),
        native=module,
    )
