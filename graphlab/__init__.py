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
    from graphlab.capture.dispatch import load as load, load_compiled as load_compiled
    from graphlab.capture.inputs import Inputs as Inputs
    from graphlab.compilers import compile as compile
    from graphlab.compilers.results import Absent as Absent, Compiled as Compiled, Measured as Measured
    from graphlab.diff.changes import GraphDiff as GraphDiff
    from graphlab.errors import (
        CaptureError as CaptureError,
        CompileError as CompileError,
        DiffError as DiffError,
        FormatError as FormatError,
        GraphlabError as GraphlabError,
        InputsNeeded as InputsNeeded,
        MissingExtra as MissingExtra,
        RegistryError as RegistryError,
        SelectError as SelectError,
        UnknownFormat as UnknownFormat,
        ValueUnavailable as ValueUnavailable,
        VerifyError as VerifyError,
    )
    from graphlab.findings import Finding as Finding, Severity as Severity
    from graphlab.ir.constants import Constant as Constant
    from graphlab.ir.format import save as save
    from graphlab.ir.frames import Frame as Frame
    from graphlab.ir.graph import Call as Call, Control as Control, Graph as Graph, Node as Node, Use as Use
    from graphlab.ir.program import NodeRef as NodeRef, Program as Program, Signature as Signature, Slot as Slot, Source as Source
    from graphlab.ir.values import (
        OpaqueType as OpaqueType,
        Quantization as Quantization,
        SymDim as SymDim,
        TensorType as TensorType,
        TokenType as TokenType,
        TupleType as TupleType,
    )
    from graphlab.ir.verify import verify as verify
    from graphlab.report import Report as Report, inspect as inspect

# public name -> the one module it lives in
_HOME = {
    **dict.fromkeys(("CaptureError", "CompileError", "DiffError", "FormatError", "GraphlabError", "InputsNeeded", "MissingExtra",
                     "RegistryError", "SelectError", "UnknownFormat", "ValueUnavailable", "VerifyError"), "graphlab.errors"),
    **dict.fromkeys(("OpaqueType", "Quantization", "SymDim", "TensorType", "TokenType", "TupleType"), "graphlab.ir.values"),
    **dict.fromkeys(("NodeRef", "Program", "Signature", "Slot", "Source"), "graphlab.ir.program"),
    **dict.fromkeys(("Call", "Control", "Graph", "Node", "Use"), "graphlab.ir.graph"),
    **dict.fromkeys(("Finding", "Severity"), "graphlab.findings"),
    **dict.fromkeys(("Absent", "Compiled", "Measured"), "graphlab.compilers.results"),
    **dict.fromkeys(("Report", "inspect"), "graphlab.report"),
    "Constant": "graphlab.ir.constants", "Frame": "graphlab.ir.frames", "GraphDiff": "graphlab.diff.changes",
    "Inputs": "graphlab.capture.inputs", "analyze": "graphlab.analyzers", "compile": "graphlab.compilers",
    **dict.fromkeys(("load", "load_compiled"), "graphlab.capture.dispatch"), "save": "graphlab.ir.format", "verify": "graphlab.ir.verify",
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
