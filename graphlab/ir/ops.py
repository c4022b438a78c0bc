"""The op vocabulary: what graphlab knows of an operation by its name alone.

``lookup("aten.mm.default").canonical == "MatMul"``. Tables stand in ``graphlab.ir.vocabulary``, one
module a framework family, and are loaded when first asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

EFFECTS: dict[str, str] = {
    "random": "draws random numbers",
    "reads_state": "reads a variable, buffer or table that may change between runs",
    "writes_state": "writes one",
    "io": "prints, reads or writes outside the program, or asserts",
    "collective": "exchanges data with other devices",
    "host": "moves its operands' values to the host or to Python: what depends on it depends on them, no new source",
    "opaque": "a custom operation or call whose doings are not known",
}
"""Why an operation is no pure function of its operands. An op without effects may be folded or removed.

Code that runs on the host and that nobody here can read (a Python callback) is ``host`` and ``opaque``.
"""

# op prefix (up to the first "." or "::") -> module under graphlab.ir.vocabulary
_FAMILIES: dict[str, str] = {
    **dict.fromkeys(("aten", "prim", "prims", "torch", "torchvision", "operator", "method", "higher_order",
                     "quantized", "_c10d_functional", "c10d", "rpc", "symbolic"), "torch"),
    "tf": "tensorflow",
    "keras": "keras",
    "tflite": "tflite",
    "jax": "jax",
    "onnx": "onnx",
    "tff": "tff",
    **dict.fromkeys(("hlo", "stablehlo", "mhlo", "vhlo", "chlo", "func", "sdy", "arith", "shape", "tensor", "cf", "scf", "math", "memref",
                     "bufferization", "mpmd", "check", "ub", "complex"), "xla"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class OpInfo:
    """Facts that follow from an op's name: the ONNX operator of the same meaning, and effects."""

    canonical: str | None = None
    effects: tuple[str, ...] = ()


PURE = OpInfo()
OPAQUE = OpInfo(effects=("opaque",))


@cache
def lookup(op: str) -> OpInfo:
    """What is known of an operation.

    Args:
        op: dialect-qualified name: ``aten.add.Tensor``, ``aten::add``, ``tf.MatMul``, ``hlo.dot``.

    A dialect nobody here knows gives :data:`OPAQUE`: its op may do anything. Within a known
    dialect an op without an entry is pure, but in ``torch``'s and ``tf``'s, whose custom
    operations share the prefix: there the reader says (it can ask the framework).
    """
    op = op.replace("::", ".")
    dialect, _, rest = op.partition(".")
    family = _FAMILIES.get(dialect)
    if family is None:
        return OPAQUE
    tables = import_module(f"graphlab.ir.vocabulary.{family}")
    # "aten.add.Tensor" is looked up whole, then without its overload.
    keys = (op, f"{dialect}.{rest.partition('.')[0]}") if family == "torch" else (op,)
    for key in keys:
        if key in tables.CANONICAL or key in tables.EFFECTS:
            return OpInfo(tables.CANONICAL.get(key), tables.EFFECTS.get(key, ()))
    return PURE


@cache
def asks_type(op: str) -> bool:
    """Whether an operation's result depends on its first operand's shape, rank, type or device, and not on its values."""
    from graphlab.ir.vocabulary.queries import QUERIES

    return op in QUERIES or ("::" in op and op.partition(".")[0] in QUERIES)  # TorchScript: any overload


@cache
def forwards(op: str) -> bool:
    """Whether an operation's results are its operands, leaf by leaf: a tuple made or taken apart, a barrier."""
    from graphlab.ir.vocabulary.forwards import FORWARDS

    return op in FORWARDS


@cache
def gates(op: str) -> bool:
    """Whether each of an operation's results is its first operand, where it is let through at all."""
    from graphlab.ir.vocabulary.loops import GATES

    return op in GATES


@cache
def meets(op: str) -> bool:
    """Whether an operation's first result is that operand which is there: two branches meet, or a loop begins again."""
    from graphlab.ir.vocabulary.loops import MEETS

    return op in MEETS


@cache
def goes_back(op: str) -> bool:
    """Whether an operation's result is its operand, one iteration later."""
    from graphlab.ir.vocabulary.loops import BACK

    return op in BACK


@cache
def asks_size(op: str) -> bool:
    """Whether an operation's result is its first operand's shape, or the dimension of it that is asked for."""
    from graphlab.ir.vocabulary.queries import SIZES

    return op in SIZES or ("::" in op and op.partition(".")[0] in SIZES)  # TorchScript: any overload


def differs(op: str, attrs: Mapping[str, Any]) -> bool:
    """Whether an operation says that its two operands are not equal, for which ONNX has no operator."""
    from graphlab.ir.vocabulary.comparisons import UNEQUAL

    if op not in UNEQUAL:
        return False
    told = UNEQUAL[op]
    return told is None or attrs.get(told[0]) == told[1]
