"""What the operations of MLIR's dialects mean by their regions: roles, which operands go in, which results come out."""

from __future__ import annotations

from typing import Any

from graphlab.capture import canonical
from graphlab.capture.mlir.module import Operation
from graphlab.ir.graph import Call, Control
from graphlab.ir.values import TensorType, ValueType
from graphlab.ir.vocabulary.xla import CUSTOM_CALL_EFFECTS

CONSTANTS = (
    "stablehlo.constant",
    "mhlo.constant",
    "arith.constant",
    "sdy.constant",
    "chlo.constant",
    "util.unfoldable_constant",
    "tosa.const",
)

# Regions by the operation's name without its dialect. The others are named region_0, region_1 …, a single one to_apply.
_ROLES: dict[str, tuple[str, ...]] = {
    "while": ("cond", "body"),
    "if": ("then", "else"),
    "for": ("body",),
    "scan": ("body",),
    "sort": ("comparator",),
    "select_and_scatter": ("select", "scatter"),
    "scatter": ("update",),
    "manual_computation": ("body",),
    "named_computation": ("body",),
    "fragment": ("body",),
}
# Regions that see one element (or pair of elements) a time, and those of them whose outcome is no result.
_ELEMENTWISE = ("reduce", "reduce_window", "map", "sort", "scatter", "select_and_scatter", "all_reduce", "reduce_scatter")
_DECIDES = ("comparator", "select")
_TERMINATORS = ("return", "yield", "condition", "output", "terminator", "assuming_yield", "unreachable")


def short_name(name: str) -> str:
    """An operation's name without its dialect."""
    return name.partition(".")[2] or name


def ends_region(op: Operation) -> bool:
    """Whether an operation that stands last in its block hands its operands to what holds the region."""
    if op.results or op.regions or op.successors:
        return False
    last = op.name.rpartition(".")[2]
    return last in _TERMINATORS or last.endswith(("_yield", "_return", "_terminator"))


def role(short: str, index: int, count: int) -> str:
    """What a region is to its operation."""
    if short == "case":
        return f"branch_{index}"
    named = _ROLES.get(short, ())
    if index < len(named):
        return named[index]
    return "to_apply" if count == 1 else f"region_{index}"


def region_call(
    op: Operation, short: str, name: str, *, graph: str, arguments: int, gives: int, captured: tuple[int, ...]
) -> Call:  # fmt: skip
    """How a region's arguments and results meet the operation's operands and results, by the operation's own rule."""
    results: tuple[int | None, ...] = (None,) * gives
    operands: tuple[int | None, ...] = (None,) * arguments
    carried: tuple[tuple[int, int], ...] = ()
    given = len(op.operands)
    if short == "for" and given >= 3 and arguments == given - 2:  # the index, then what is carried
        operands = (None, *range(3, given))
        carried = tuple((i, i + 1) for i in range(min(gives, arguments - 1)))
    elif short == "scan":
        taken = _segments(op, "operandSegmentSizes", given)[0]
        if arguments == given:
            operands = (*(None for _ in range(taken)), *range(taken, given))
            carried = tuple((gives - 1 - i, arguments - 1 - i) for i in range(min(given - taken, gives)))
    elif short not in _ELEMENTWISE and arguments == given:
        operands = tuple(range(arguments))
    if name not in _DECIDES and name != "cond" and gives == len(op.results):
        results = tuple(range(gives))
    if short == "while" and name == "body":
        carried = tuple((i, i) for i in range(min(gives, arguments)))
    return Call(graph, operands + captured, results, carried)


def _segments(op: Operation, name: str, whole: int) -> tuple[int, ...]:
    sizes = op.attributes.get(name)
    if isinstance(sizes, tuple) and sizes and all(isinstance(s, int) and s >= 0 for s in sizes) and sum(sizes) == whole:
        return sizes
    return (whole,)


def successor_operands(op: Operation) -> list[range] | None:
    """The operand slots of each successor; ``None`` where the operation does not say."""
    given = len(op.operands)
    if len(op.successors) == 1:
        takes = len(op.successors[0].arguments)
        return [range(given - takes, given)] if takes <= given else None
    sizes = op.attributes.get("operandSegmentSizes", op.attributes.get("operand_segment_sizes"))
    if op.name == "cf.switch":
        inner = op.attributes.get("case_operand_segments")
        total = sum(inner) if isinstance(inner, tuple) and all(isinstance(s, int) for s in inner) else 0
        if isinstance(inner, tuple) and len(inner) == len(op.successors):
            sizes = (given - total, *inner)
        elif isinstance(inner, tuple):
            sizes = (1, given - 1 - total, *inner)
    if not isinstance(sizes, tuple) or len(sizes) < len(op.successors):
        sizes = (given - sum(len(b.arguments) for b in op.successors), *(len(b.arguments) for b in op.successors))
    if not all(isinstance(s, int) and s >= 0 for s in sizes) or sum(sizes) != given:
        return None
    found: list[range] = []
    at = given - sum(sizes[-len(op.successors) :])
    for size in sizes[-len(op.successors) :]:
        found.append(range(at, at + size))
        at += size
    fits = all(len(r) == len(b.arguments) for r, b in zip(found, op.successors, strict=True))
    return found if fits else None


def successor_roles(op: Operation) -> list[str]:
    """What each successor of a branch is."""
    if op.name == "cf.cond_br":
        return ["then", "else"]
    return ["next"] if len(op.successors) == 1 else [f"branch_{i}" for i in range(len(op.successors))]


def control(op: Operation, short: str) -> Control | None:
    """What an operation with regions decides."""
    if short in ("if", "case", "cond_br", "switch", "index_switch") and (op.regions or op.successors):
        return Control("conditional", predicate=0)
    if short == "while" and len(op.regions) == 2:
        return Control("loop", condition=("cond", 0))
    if short in ("for", "scan") and len(op.regions) == 1 and not op.successors:
        return Control("loop", trip_count=_trips(op) if short == "scan" else None)
    return None


def _trips(op: Operation) -> int | None:
    """How often a scan's body runs: the size of what it goes along."""
    size = op.attributes.get("scan_dim_size")
    if isinstance(size, int) and not isinstance(size, bool) and size >= 0:
        return size
    at = op.attributes.get("dimension")
    kind = op.operands[0].type if op.operands and _segments(op, "operandSegmentSizes", len(op.operands))[0] else None
    if isinstance(kind, TensorType) and kind.dims is not None and isinstance(at, int) and 0 <= at < len(kind.dims):
        dim = kind.dims[at]
        return dim if isinstance(dim, int) else None
    return None


def canonical_of(short: str, attrs: dict[str, Any], kinds: list[ValueType]) -> str | None:
    """The ONNX operator, where attributes decide."""
    first = kinds[0] if kinds else None
    if not isinstance(first, TensorType):
        return None
    if short == "compare":
        return canonical.comparison(str(attrs.get("comparison_direction")))
    if short == "dot_general":
        dims = attrs.get("dot_dimension_numbers")
        other = kinds[1] if len(kinds) > 1 else None
        if not isinstance(dims, dict) or not isinstance(other, TensorType):
            return None
        sides = [dims.get(f"{side}_{kind}_dimensions", ()) for kind in ("batching", "contracting") for side in ("lhs", "rhs")]
        if not all(isinstance(side, tuple) for side in sides):
            return None
        return canonical.dot((first.rank or 0, other.rank or 0), (sides[0], sides[1]), (sides[2], sides[3]))
    if short == "convolution":
        return _convolution(attrs)
    return canonical.logic(short, first.dtype)


def _convolution(attrs: dict[str, Any]) -> str | None:
    dims = attrs.get("dimension_numbers")
    groups, dilation = attrs.get("batch_group_count", 1), attrs.get("lhs_dilation", ())
    if not isinstance(dims, dict) or not isinstance(groups, int) or not isinstance(dilation, (tuple, int)):
        return None
    parts: list[tuple[int, ...]] = []
    for part, first, second in (
        ("input", "input_batch_dimension", "input_feature_dimension"),
        ("kernel", "kernel_output_feature_dimension", "kernel_input_feature_dimension"),
        ("output", "output_batch_dimension", "output_feature_dimension"),
    ):
        spatial = dims.get(f"{part}_spatial_dimensions", ())
        if not isinstance(spatial, tuple):
            return None
        parts.append((dims.get(first, -1), dims.get(second, -1), *spatial))
    return canonical.convolution(parts[0], parts[1], parts[2], groups, dilation if isinstance(dilation, tuple) else (dilation,))


def custom_call_effects(attrs: dict[str, Any]) -> tuple[str, ...]:
    """What a custom call does besides computing, by its target."""
    return CUSTOM_CALL_EFFECTS.get(str(attrs.get("call_target_name", "")), ("opaque",))


_SHARDINGS = ("mhlo.sharding", "sdy.sharding")


def shardings(facts: dict[str, Any], count: int) -> tuple[str | None, ...]:
    """The sharding of each of ``count`` values, as the attributes beside them say."""
    text = next((facts[name] for name in _SHARDINGS if name in facts), None)
    if text is None:
        inner = facts.get("mhlo.frontend_attributes")
        text = inner.get("xla.sdy.sharding") if isinstance(inner, dict) else None
    if text is None or not count:
        return (None,) * count
    text = str(text)
    parts = _parts(text)
    if len(parts) == count:
        return tuple(parts)
    return (text,) if count == 1 else (None,) * count


def _parts(text: str) -> list[str]:
    """The shardings of several values: ``#sdy.sharding_per_value<[<...>, <...>]>`` or ``{{...}, {...}}``."""
    if text.startswith("#sdy.sharding_per_value<[") and text.endswith("]>"):
        return [f"#sdy.sharding{part}" for part in _split(text[len("#sdy.sharding_per_value<[") : -2])]
    if text.startswith("{{") and text.endswith("}"):
        return _split(text[1:-1])
    return []


def _split(text: str) -> list[str]:
    """Parted at commas outside of brackets and strings."""
    found: list[str] = []
    depth, start, quoted = 0, 0, False
    for i, char in enumerate(text):
        if char == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif char in "<[{(":
            depth += 1
        elif char in ">]})":
            depth -= 1
        elif char == "," and depth == 0:
            found.append(text[start:i].strip())
            start = i + 1
    rest = text[start:].strip()
    return [*found, rest] if rest else found
