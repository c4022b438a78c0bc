"""graphlab: what a framework captured, what compilers made of it, and what changed between two graphs.

>>> program = graphlab.capture(model, inputs)      # or graphlab.load("module.hlo")
>>> graphlab.analyze(program, "control_flow").findings
>>> graphlab.diff(program, graphlab.load("before.graphlab")).changes

Everything public stands in ``__all__``; names are loaded when first used, and importing graphlab
imports no framework.
"""

from graphlab.capture import capture as capture
from graphlab.diff import diff as diff

__version__ = "0.1.0"

TYPE_CHECKING = False  # as typing's, without importing typing
if TYPE_CHECKING:
    from typing import Any

    from graphlab.analyzers import analyze as analyze
    from graphlab.capture.dispatch import load as load
    from graphlab.capture.inputs import Inputs as Inputs
    from graphlab.compilers import compile as compile
    from graphlab.diff.changes import GraphDiff as GraphDiff
    from graphlab.errors import (
        CaptureError as CaptureError,
    )
    from graphlab.errors import (
        CompileError as CompileError,
    )
    from graphlab.errors import (
        DiffError as DiffError,
    )
    from graphlab.errors import (
        FormatError as FormatError,
    )
    from graphlab.errors import (
        GraphlabError as GraphlabError,
    )
    from graphlab.errors import (
        InputsNeeded as InputsNeeded,
    )
    from graphlab.errors import (
        MissingExtra as MissingExtra,
    )
    from graphlab.errors import (
        RegistryError as RegistryError,
    )
    from graphlab.errors import (
        UnknownFormat as UnknownFormat,
    )
    from graphlab.errors import (
        ValueUnavailable as ValueUnavailable,
    )
    from graphlab.errors import (
        VerifyError as VerifyError,
    )
    from graphlab.findings import Finding as Finding
    from graphlab.findings import Severity as Severity
    from graphlab.ir.constants import Constant as Constant
    from graphlab.ir.format import save as save
    from graphlab.ir.frames import Frame as Frame
    from graphlab.ir.graph import Call as Call
    from graphlab.ir.graph import Control as Control
    from graphlab.ir.graph import Graph as Graph
    from graphlab.ir.graph import Node as Node
    from graphlab.ir.graph import Use as Use
    from graphlab.ir.program import NodeRef as NodeRef
    from graphlab.ir.program import Program as Program
    from graphlab.ir.program import Signature as Signature
    from graphlab.ir.program import Slot as Slot
    from graphlab.ir.program import Source as Source
    from graphlab.ir.values import (
        OpaqueType as OpaqueType,
    )
    from graphlab.ir.values import (
        SymDim as SymDim,
    )
    from graphlab.ir.values import (
        TensorType as TensorType,
    )
    from graphlab.ir.values import (
        TokenType as TokenType,
    )
    from graphlab.ir.values import (
        TupleType as TupleType,
    )
    from graphlab.ir.verify import verify as verify

# public name -> the one module it lives in
_HOME = {
    **dict.fromkeys(("CaptureError", "CompileError", "DiffError", "FormatError", "GraphlabError", "InputsNeeded", "MissingExtra",
                     "RegistryError", "UnknownFormat", "ValueUnavailable", "VerifyError"), "graphlab.errors"),
    **dict.fromkeys(("OpaqueType", "SymDim", "TensorType", "TokenType", "TupleType"), "graphlab.ir.values"),
    **dict.fromkeys(("NodeRef", "Program", "Signature", "Slot", "Source"), "graphlab.ir.program"),
    **dict.fromkeys(("Call", "Control", "Graph", "Node", "Use"), "graphlab.ir.graph"),
    **dict.fromkeys(("Finding", "Severity"), "graphlab.findings"),
    "Constant": "graphlab.ir.constants", "Frame": "graphlab.ir.frames", "GraphDiff": "graphlab.diff.changes",
    "Inputs": "graphlab.capture.inputs", "analyze": "graphlab.analyzers", "compile": "graphlab.compilers",
    "load": "graphlab.capture.dispatch", "save": "graphlab.ir.format", "verify": "graphlab.ir.verify",
}  # fmt: skip

__all__ = ["__version__", "capture", "diff", *_HOME]  # noqa: PLE0604


def __getattr__(name: str) -> "Any":
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'graphlab' has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
