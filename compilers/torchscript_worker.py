"""Child process of ``compilers.torchscript``: runs torch's passes on a saved module, keeps the graph after each."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from graphlab import child
from graphlab.capture.torch import torchscript
from graphlab.compilers import torchscript_torch as private
from graphlab.ir.format import save

_NOT_OPS = ("prim::Constant", "prim::ConstantMKLDNNTensor", "prim::GetAttr")


def handle(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Freeze and optimize ``request["file"]``; writes ``<stage>.graphlab`` after each pass."""
    child.step("load")
    module = torch.jit.load(str(folder / request["file"]), map_location="cpu")
    training = module.training
    module.eval()
    graph = module.inlined_graph
    tensors = [*module.parameters(), *module.buffers(), *_constants(graph)]
    before = {"ops": _ops(graph), "constant_bytes": _bytes(tensors)}
    stages = []
    for name, run in PASSES:
        child.step(name)
        start = time.perf_counter()
        try:
            module = run(module)
        except RuntimeError as error:
            raise child.Refused(f"{name}: {str(error).strip()}") from error
        seconds = time.perf_counter() - start
        file = f"{name}.graphlab"
        save(torchscript.script(module), folder / file)
        graph = module.inlined_graph
        stages.append(
            {"name": name, "pass": name, "file": file, "seconds": seconds, "ops": _ops(graph), "constant_bytes": _bytes(_constants(graph))}
        )
    return {"training": training, "before": before, "stages": stages}


def _inline(module: Any) -> Any:
    # Calls become their bodies, so that what freeze removes is told from what it only moved.
    private.inline(module.graph)
    return module


def _freeze(module: Any) -> Any:
    return torch.jit.freeze(module, optimize_numerics=False)


def _frozen_optimizations(module: Any) -> Any:
    torch.jit.run_frozen_optimizations(module)
    return module


PASSES: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("inline", _inline),
    ("freeze", _freeze),
    ("run_frozen_optimizations", _frozen_optimizations),
    ("optimize_for_inference", torch.jit.optimize_for_inference),
)
"""In order. ``freeze`` makes attributes constants and folds; the next merges batch norms into convolutions and the like;
the last replaces operations by a library's (oneDNN on the CPU)."""


def _ops(graph: Any) -> int:
    return sum(1 for node in private.nodes(graph) if node.kind() not in _NOT_OPS)


def _constants(graph: Any) -> list[torch.Tensor]:
    return [
        node.t("value")
        for node in private.nodes(graph)
        if node.kind() in _NOT_OPS and node.hasAttribute("value") and node.kindOf("value") == "t"
    ]


def _bytes(tensors: list[torch.Tensor]) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)


if __name__ == "__main__":
    child.serve(handle)
