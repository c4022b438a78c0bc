"""Own syntax of builtin, func, cf, scf, arith, math, tensor, shape, memref, bufferization and ub operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from graphlab.capture.mlir.assembly import attributes, forms
from graphlab.capture.mlir.lexer import VALUE
from graphlab.capture.mlir.module import FunctionType, Operation, Region
from graphlab.capture.mlir.types import type_text
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.values import OpaqueType, TensorType, ValueType

if TYPE_CHECKING:
    from graphlab.capture.mlir.text import Form, ModuleReader


def _module(reader: ModuleReader, op: Operation) -> tuple[()]:
    name = reader.symbol()
    if name is not None:
        op.attributes["sym_name"] = name
    if reader.take_word("attributes"):
        op.attributes.update(reader.dictionary())
    op.regions.append(reader.region(isolated=True))
    return ()


def function(reader: ModuleReader, op: Operation) -> tuple[()]:
    """``[visibility] @name(arguments) -> (results) [attributes {...}] [{ body }]``."""
    visibility = reader.word()
    while visibility in ("private", "public", "nested", "internal"):
        op.attributes["sym_visibility"] = visibility
        visibility = reader.word()
    name = reader.symbol()
    if name is None:
        raise reader.expected("a function's name")
    op.attributes["sym_name"] = name
    named, inputs, arg_attrs = _arguments(reader)
    outputs: list[ValueType] = []
    res_attrs: list[dict[str, Any]] = []
    if reader.take("->"):
        if reader.take("("):
            while not reader.take(")"):
                if outputs:
                    reader.need(",")
                outputs.append(reader.type())
                res_attrs.append(reader.dictionary() if reader.at("{") else {})
        else:
            outputs.append(reader.type())
            res_attrs.append({})
    op.attributes["function_type"] = FunctionType(tuple(inputs), tuple(outputs))
    if any(arg_attrs):
        op.attributes["arg_attrs"] = tuple(map(FrozenDict, arg_attrs))
    if any(res_attrs):
        op.attributes["res_attrs"] = tuple(map(FrozenDict, res_attrs))
    if reader.take_word("attributes"):
        op.attributes.update(reader.dictionary())
    if reader.at("{"):
        op.regions.append(reader.region(named, isolated=True))
        if reader.at("{") and not reader.at("{-#"):
            op.attributes.update(reader.dictionary())
    else:
        op.regions.append(Region())
    return ()


def _arguments(reader: ModuleReader) -> tuple[list[Any], list[ValueType], list[dict[str, Any]]]:
    """A function's arguments: with names, or of a declaration their types alone."""
    start = reader.pos
    reader.need("(")
    if reader.at("%"):
        reader.pos = start
        told = reader.typed_arguments()
        return [(n, k, loc) for n, k, loc, _ in told], [k for _, k, _, _ in told], [facts for _, _, _, facts in told]
    inputs: list[ValueType] = []
    facts: list[dict[str, Any]] = []
    while not reader.take(")"):
        if inputs:
            reader.need(",")
        if reader.take("..."):
            continue
        inputs.append(reader.type())
        facts.append(reader.dictionary() if reader.at("{") else {})
        if reader.take_word("loc"):
            reader.location()
    return [], inputs, facts


def terminator(reader: ModuleReader, op: Operation) -> tuple[()]:
    """``operands [attributes] : types``, or nothing."""
    op.operands += reader.operands()
    if reader.at("{"):
        attributes(reader, op)
    if reader.take(":"):
        reader.type_list()
    return ()


def _constant(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``value`` with its type, or ``@function : type``."""
    attributes(reader, op)
    reader.told = None
    value = reader.elements()
    op.attributes["value"] = value
    if reader.at(":"):  # a symbol's type
        reader.need(":")
        return (reader.type(),)
    if reader.told is not None:
        return (reader.told,)
    return (OpaqueType("i1" if isinstance(value, bool) else "f64" if isinstance(value, float) else "i64"),)


def _cast(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``[operands : types] to types``."""
    op.operands += reader.operands()
    if reader.take(":"):
        reader.type_list()
    types = reader.type_list() if reader.take_word("to") else []
    attributes(reader, op)
    return types


def _branch(reader: ModuleReader, op: Operation) -> tuple[()]:
    """``^block(operands : types)``."""
    _successor(reader, op)
    attributes(reader, op)
    return ()


def _successor(reader: ModuleReader, op: Operation) -> int:
    op.successors += (reader.block_named(),)
    before = len(op.operands)
    if reader.take("("):
        op.operands += reader.operands()
        if reader.take(":"):
            reader.type_list()
        reader.need(")")
    return len(op.operands) - before


def _cond_branch(reader: ModuleReader, op: Operation) -> tuple[()]:
    op.operands.append(reader.operand())
    if reader.take_word("weights"):
        reader.need("(")
        op.attributes["branch_weights"] = reader.integers()
        reader.need(")")
    reader.need(",")
    then = _successor(reader, op)
    reader.need(",")
    other = _successor(reader, op)
    op.attributes["operandSegmentSizes"] = (1, then, other)
    attributes(reader, op)
    return ()


def _switch(reader: ModuleReader, op: Operation) -> tuple[()]:
    op.operands.append(reader.operand())
    reader.need(":")
    reader.type()
    reader.need(",")
    reader.need("[")
    cases: list[int] = []
    sizes: list[int] = []
    while not reader.take("]"):
        if sizes:
            reader.need(",")
        if not reader.take_word("default"):
            cases.append(reader.integer())
        reader.need(":")
        sizes.append(_successor(reader, op))
    op.attributes["case_values"] = tuple(cases)
    op.attributes["case_operand_segments"] = tuple(sizes)
    attributes(reader, op)
    return ()


def _compare(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``eq, %a, %b : type``; the result is of truth values of that shape."""
    op.attributes["predicate"] = reader.need_word()
    reader.need(",")
    op.operands += reader.operands()
    if reader.take_word("fastmath"):
        op.attributes["fastmath"] = reader.attribute("#arith.fastmath")
    attributes(reader, op)
    reader.need(":")
    return (_truth(reader.type()),)


def _truth(kind: ValueType) -> ValueType:
    if isinstance(kind, TensorType):
        return TensorType("bool", kind.dims, layout=kind.layout)
    return OpaqueType("i1")


def _select(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    op.operands += reader.operands()
    attributes(reader, op)
    reader.need(":")
    return reader.type_list()[-1:]


def _element(kind: ValueType) -> ValueType:
    """An element's type as a value's own."""
    if isinstance(kind, TensorType):
        return OpaqueType(type_text(TensorType(kind.dtype, ())).removeprefix("tensor<").removesuffix(">"))
    name = kind.name if isinstance(kind, OpaqueType) else ""
    inside = name.partition("<")[2].removesuffix(">").partition(",")[0]
    return OpaqueType(inside.rpartition("x")[2] if "x" in inside and "<" not in inside else inside or "unknown")


def _extract(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``%tensor[%i, %j] : type``; the result is an element."""
    op.operands.append(reader.operand())
    reader.need("[")
    op.operands += reader.operands()
    reader.need("]")
    attributes(reader, op)
    reader.need(":")
    return (_element(reader.type()),)


def _index(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``operands : types``; the result is an index."""
    op.operands += reader.operands()
    attributes(reader, op)
    reader.need(":")
    reader.type_list()
    return (OpaqueType("index"),)


def _from_elements(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    op.operands += reader.operands()
    attributes(reader, op)
    reader.need(":")
    return (reader.type(),)


def _if(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``%condition -> (types) { } else { }``."""
    op.operands.append(reader.operand())
    types = reader.types_or_one() if reader.take("->") else ()
    op.regions.append(reader.region(terminator=None if types else "scf.yield"))
    if reader.take_word("else"):
        op.regions.append(reader.region(terminator=None if types else "scf.yield"))
    else:
        op.regions.append(Region())
    attributes(reader, op)
    return types


def _assignments(reader: ModuleReader, op: Operation) -> list[str]:
    """``(%name = %operand, ...)``."""
    names: list[str] = []
    reader.need("(")
    while not reader.take(")"):
        if names:
            reader.need(",")
        names.append(_name(reader))
        reader.need("=")
        op.operands.append(reader.operand())
    return names


def _name(reader: ModuleReader) -> str:
    found = reader.match(VALUE)
    if found is None:
        raise reader.expected("an argument")
    return found[1]


def _for(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``%i = %low to %high step %step iter_args(%a = %b) -> (types) : type { }``."""
    reader.take_word("unsigned")
    names = [_name(reader)]
    reader.need("=")
    op.operands.append(reader.operand())
    reader.need_word("to")
    op.operands.append(reader.operand())
    reader.need_word("step")
    op.operands.append(reader.operand())
    types: Sequence[ValueType] = ()
    if reader.take_word("iter_args"):
        names += _assignments(reader, op)
        reader.need("->")
        types = reader.types_or_one()
    index: ValueType = reader.type() if reader.take(":") else OpaqueType("index")
    if len(types) != len(names) - 1:
        raise reader.wrong(f"{len(names) - 1} values carried, and {len(types)} types", op.where)
    arguments = [(name, kind, None) for name, kind in zip(names, (index, *types), strict=True)]
    op.regions.append(reader.region(arguments, terminator=None if types else "scf.yield"))
    attributes(reader, op)
    return types


def _while(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``(%a = %b) : (types) -> types { } do { }``."""
    names = _assignments(reader, op)
    reader.need(":")
    kind = reader.function_type()
    if len(kind.inputs) != len(names):
        raise reader.wrong(f"{len(names)} values carried, and {len(kind.inputs)} types", op.where)
    op.regions.append(reader.region([(n, k, None) for n, k in zip(names, kind.inputs, strict=True)]))
    reader.need_word("do")
    op.regions.append(reader.region())
    if reader.take_word("attributes"):
        op.attributes.update(reader.dictionary())
    return kind.results


def _scf_condition(reader: ModuleReader, op: Operation) -> tuple[()]:
    reader.need("(")
    op.operands.append(reader.operand())
    reader.need(")")
    attributes(reader, op)
    op.operands += reader.operands()
    if reader.take(":"):
        reader.type_list()
    return ()


def _shape_constant(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    attributes(reader, op)
    op.attributes["shape"] = reader.integers()
    reader.need(":")
    return (reader.type(),)


def _broadcastable(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    op.operands += reader.operands()
    attributes(reader, op)
    if reader.take(":"):
        reader.type_list()
    return (OpaqueType("!shape.witness"),)


def _assuming(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    op.operands.append(reader.operand())
    types = reader.types_or_one() if reader.take("->") else ()
    op.regions.append(reader.region())
    attributes(reader, op)
    return types


def _alloc(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``(sizes)[symbols] {attributes} : type``."""
    reader.need("(")
    op.operands += reader.operands()
    sizes = len(op.operands)
    reader.need(")")
    if reader.take("["):
        op.operands += reader.operands()
        reader.need("]")
    op.attributes["operandSegmentSizes"] = (sizes, len(op.operands) - sizes)
    attributes(reader, op)
    reader.need(":")
    return (reader.type(),)


def _copied(reader: ModuleReader, op: Operation) -> tuple[()]:
    """``%a, %b : type to type``; no result."""
    op.operands += reader.operands()
    attributes(reader, op)
    reader.need(":")
    reader.type()
    reader.need_word("to")
    reader.type()
    return ()


_BINARY = "addi subi muli divsi divui remsi remui andi ori xori shli shrsi shrui maxsi maxui minsi minui ceildivsi ceildivui floordivsi"
_FLOATS = "addf subf mulf divf remf maximumf minimumf maxnumf minnumf negf"
_CASTS = "extsi extui trunci extf truncf sitofp uitofp fptosi fptoui bitcast index_cast index_castui"
_MATH = (
    "absf absi acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh ctlz cttz ctpop erf erfc exp exp2 expm1 floor fma ipowi "
    "log log10 log1p log2 powf round roundeven rsqrt sin sinh sqrt tan tanh trunc"
)

FORMS: dict[str, Form] = {
    "builtin.module": _module,
    "func.func": function,
    "func.constant": _constant,
    "func.return": terminator,
    "builtin.unrealized_conversion_cast": _cast,
    **forms({"callee=sym ( %, ) {} :func": "call", "% ( %, ) {} :func": "call_indirect"}, "func"),
    "cf.br": _branch,
    "cf.cond_br": _cond_branch,
    "cf.switch": _switch,
    **forms({"% , msg=string {}": "assert"}, "cf"),
    "arith.constant": _constant,
    "arith.cmpi": _compare,
    "arith.cmpf": _compare,
    "arith.select": _select,
    **forms(
        {
            "%, [ overflow overflowFlags=#arith.overflow ]? {} :same": _BINARY,
            "%, [ fastmath fastmath=#arith.fastmath ]? {} :same": _FLOATS,
            "%, [ overflow overflowFlags=#arith.overflow ]? [ nneg ]? [ fastmath fastmath=#arith.fastmath ]? {} :to": _CASTS,
        },
        "arith",
    ),
    **forms({"%, [ fastmath fastmath=#arith.fastmath ]? {} :same": _MATH}, "math"),
    "tensor.extract": _extract,
    "tensor.dim": _index,
    "tensor.rank": _index,
    "tensor.from_elements": _from_elements,
    **forms(
        {
            "% {} :to": "cast collapse bitcast",
            "( %, ) {} :results": "empty",
            "% ( % ) {} :func": "reshape",
            "% into % '[' %, ']' {} :results": "insert",
        },
        "tensor",
    ),
    "tensor.yield": terminator,
    "scf.if": _if,
    "scf.for": _for,
    "scf.while": _while,
    "scf.condition": _scf_condition,
    "scf.yield": terminator,
    "shape.const_shape": _shape_constant,
    "shape.cstr_broadcastable": _broadcastable,
    "shape.assuming": _assuming,
    "shape.assuming_yield": terminator,
    **forms({"%, {} :to": "shape_of broadcast num_elements to_extent_tensor get_extent dim rank value_as_shape concat index_to_size "
                          "size_to_index from_extent_tensor any max min add mul div"}, "shape"),
    "memref.alloc": _alloc,
    "memref.alloca": _alloc,
    "memref.copy": _copied,
    "memref.load": _extract,
    "memref.dim": _index,
    **forms(
        {
            "% {} :none": "dealloc",
            "%, {} :none": "tensor_store",
            "% {} :to": "cast",
            "% , % '[' %, ']' {} :none": "store",
        },
        "memref",
    ),
    **forms({"% [ restrict ]? [ writable ]? {} :to": "to_tensor to_memref to_buffer", "%, {} :results": "clone"}, "bufferization"),
    **forms({"{} :results": "poison"}, "ub"),
    "util.unfoldable_constant": _constant,
}  # fmt: skip
