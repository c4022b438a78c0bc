"""The one place that touches jaxlib's MLIR bindings, which jaxlib does not call public. Seen in jaxlib 0.10.2."""

from __future__ import annotations

from typing import Any

from graphlab.errors import FormatError, GraphlabError, missing_extra

_NEEDED = ("Module", "Context", "DialectRegistry", "MLIRError")


def bindings() -> tuple[Any, Any]:
    """``jaxlib.mlir.ir`` and its ``stablehlo`` dialect module.

    Raises:
        MissingExtra: jaxlib is not installed.
        GraphlabError: this jaxlib has no such bindings, or older ones.
    """
    asked = "parse an MLIR module"
    try:
        import jaxlib
    except ImportError as error:
        raise missing_extra(asked, "jaxlib", "jax") from error
    try:
        from jaxlib.mlir import ir
        from jaxlib.mlir.dialects import stablehlo
    except ImportError as error:
        raise GraphlabError(asked, found=f"jaxlib {jaxlib.__version__} has no MLIR bindings: {error}", do="install jax>=0.8") from error
    gone = [name for name in _NEEDED if not hasattr(ir, name)]
    if gone:
        raise GraphlabError(asked, found=f"jaxlib {jaxlib.__version__} has no mlir.ir.{gone[0]}", do="install jax>=0.8")
    return ir, stablehlo


def parse_module(text: str | bytes) -> Any:
    """An ``ir.Module`` from MLIR text or bytecode, with the dialects that XLA takes.

    Only for text made in this process: jaxlib's parser can crash on a stranger's.

    Raises:
        FormatError: the parser refuses it.
    """
    ir, _ = bindings()
    try:
        return ir.Module.parse(text, _context())
    except (ir.MLIRError, ValueError) as error:
        raise FormatError("parse MLIR", found=str(error).strip().split("\n")[0], do="check that the text is a whole module") from error


def from_portable(artifact: bytes) -> str:
    """A StableHLO portable artifact (VHLO bytecode, as ``jax.export`` writes it) as StableHLO text with its locations.

    Raises:
        FormatError: jaxlib does not take it (it is of a later version).
    """
    ir, stablehlo = bindings()
    try:
        module = stablehlo.deserialize_portable_artifact(_context(), artifact)
    except (ir.MLIRError, ValueError) as error:
        found = str(error).strip().split("\n")[0]
        raise FormatError("deserialize a portable artifact", found=found, do="install a later jaxlib") from error
    return str(module.operation.get_asm(enable_debug_info=True))


def _context() -> Any:
    ir, stablehlo = bindings()
    from jaxlib.mlir._mlir_libs import _jax_mlir_ext
    from jaxlib.mlir.dialects import chlo, mhlo, sdy

    registry = ir.DialectRegistry()
    _jax_mlir_ext.register_dialects(registry)
    context = ir.Context()
    context.append_dialect_registry(registry)
    context.load_all_available_dialects()
    context.allow_unregistered_dialects = True
    for dialect in (stablehlo, chlo, sdy):
        dialect.register_dialect(context)
    mhlo.register_mhlo_dialect(context)
    return context
