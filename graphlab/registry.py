"""Where adapters, analyzers and compilers are found: built-ins by table, third parties by entry point.

Nothing is imported until it is asked for by name. A third party adds, in its own pyproject::

    [project.entry-points."graphlab.capture"]
    myformat = "my_package.my_reader"
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Literal, TypeAlias

from graphlab.errors import RegistryError

Group: TypeAlias = Literal["capture", "analyzers", "compilers"]

# name -> module. For capture the order is the order of asking: the first whose ``matches`` says yes takes the target.
BUILTIN: Mapping[Group, Mapping[str, str]] = {
    "capture": {
        "graphlab": "graphlab.capture.graphlab_file",
        "torch": "graphlab.capture.torch",
        "tensorflow": "graphlab.capture.tensorflow",
        "tf_saved_model": "graphlab.capture.tensorflow.saved_model",
        "tf_graph": "graphlab.capture.tensorflow.graph_file",
        "tfjs_graph": "graphlab.capture.tensorflow.tfjs",
        "jax": "graphlab.capture.jax",
        "hlo_text": "graphlab.capture.xla.hlo_text",
        "mlir_bytecode": "graphlab.capture.mlir.mlir_bytecode",
        "mlir_text": "graphlab.capture.mlir.mlir_text",
        "jax_export": "graphlab.capture.mlir.jax_export",
        "hlo_proto": "graphlab.capture.xla.hlo_proto",
        "xla_dump": "graphlab.capture.xla.dump_directory",
        "torch_export": "graphlab.capture.torch.pt2",
        "torch_trace_log": "graphlab.capture.torch.trace_log",
        "torchserve": "graphlab.capture.torch.mar",
        "torchscript": "graphlab.capture.torch.script_archive",
        "torch_mobile": "graphlab.capture.torch.script_flatbuffer",
        "torch_checkpoint": "graphlab.capture.torch.checkpoint",
        "onnx": "graphlab.capture.onnx",
        "tff": "graphlab.capture.tff",
        "tflite": "graphlab.capture.tflite",
        "keras": "graphlab.capture.keras",
    },
    "analyzers": {
        "size": "graphlab.analyzers.size",
        "control_flow": "graphlab.analyzers.control_flow",
        "constant_folding": "graphlab.analyzers.constant_folding",
        "fidelity": "graphlab.analyzers.fidelity",
        "placements": "graphlab.analyzers.placements",
        "compile_results": "graphlab.analyzers.compile_results",
        "compile_log": "graphlab.analyzers.compile_log",
    },
    "compilers": {
        "xla": "graphlab.compilers.xla",
        "torchscript": "graphlab.compilers.torchscript",
        "grappler": "graphlab.compilers.grappler",
    },
}


@cache
def table(group: Group) -> Mapping[str, str | EntryPoint]:
    """Name → built-in module path or third party's entry point, in order.

    Raises:
        RegistryError: two owners claim one name.
    """
    found: dict[str, str | EntryPoint] = dict(BUILTIN[group])
    for point in entry_points(group=f"graphlab.{group}"):
        if point.name in found:
            other = found[point.name]
            owner = "graphlab itself" if isinstance(other, str) else _owner(other)
            raise RegistryError(
                f"register '{point.name}' under graphlab.{group}",
                found=f"both {owner} and {_owner(point)} claim that name",
                do="uninstall one of the two, or ask its author to choose another name",
            )
        found[point.name] = point
    return found


def _owner(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value


@cache
def get(group: Group, name: str) -> ModuleType:
    """The module registered under a name.

    Raises:
        RegistryError: nobody registered that name, or the plugin does not import.
    """
    entry = table(group).get(name)
    if entry is None:
        raise RegistryError(f"find '{name}' under graphlab.{group}", found="there is none", do=f"choose from {', '.join(table(group))}")
    if isinstance(entry, str):
        return import_module(entry)
    try:
        module: ModuleType = entry.load()
    except Exception as error:  # a plugin may raise anything at import; it is named and chained
        raise RegistryError(
            f"load '{name}' of graphlab.{group}", found=f"{_owner(entry)} does not import: {error}", do="update or uninstall that package"
        ) from error
    return module
