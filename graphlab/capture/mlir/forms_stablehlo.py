"""Own syntax of StableHLO, MHLO, CHLO and VHLO operations, and of StableHLO's test dialects.

Facts: https://github.com/openxla/stablehlo/tree/main/stablehlo/dialect (``StablehloOps.td``, ``AssemblyFormat.cpp``,
``ChloOps.td``, ``VhloOps.td``, ``CheckOps.td``) and XLA's ``mlir_hlo/mhlo/IR/hlo_ops.td``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from graphlab.capture.mlir.assembly import attributes, forms, functional, results, same
from graphlab.capture.mlir.forms_builtin import function, terminator
from graphlab.capture.mlir.lexer import INTEGER, VALUE
from graphlab.capture.mlir.module import Block, FunctionType, Operation, Region, Value
from graphlab.capture.mlir.structures import convolution, decode
from graphlab.capture.mlir.types import value_type
from graphlab.ir.constants import Constant
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.values import OpaqueType, TensorType, TupleType, ValueType

if TYPE_CHECKING:
    from graphlab.capture.mlir.text import Form, ModuleReader

_FORMAT = re.compile(r"e(\d{1,4})m(\d{1,4})")


def _constant(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``dense<...> : type``, or ``() {value = dense<...>} : () -> type``."""
    if reader.take("("):
        reader.need(")")
        attributes(reader, op)
        return functional(reader, op)
    attributes(reader, op)
    reader.told = None
    op.attributes["value"] = reader.elements()
    return (reader.told or OpaqueType("unknown"),)


def _select(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``: predicate's type, type``, or ``: (types) -> type``."""
    op.operands += reader.operands()
    attributes(reader, op)
    reader.need(":")
    if reader.at("("):
        return reader.function_type().results
    return reader.type_list()[-1:]


def _tuple(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``: tuple<types>``, or ``: (types) -> tuple<types>``."""
    op.operands += reader.operands()
    attributes(reader, op)
    reader.need(":")
    kind = reader.any_type()
    return kind.results if isinstance(kind, FunctionType) else (kind,)


def _pairwise(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``operands : types`` that are the results' too."""
    attributes(reader, op)
    if reader.take("("):
        reader.need(")")
    op.operands += reader.operands()
    attributes(reader, op)
    if not reader.take(":"):
        return ()
    if reader.at("("):
        return reader.function_type().results
    return reader.type_list()


def _reduce_precision(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    op.operands.append(reader.operand())
    reader.need(",")
    reader.need_word("format")
    reader.need("=")
    word = reader.need_word()
    found = _FORMAT.fullmatch(word)
    if found is None:
        raise reader.wrong(f"the format '{word}', which is not of the form e5m10", op.where)
    op.attributes["exponent_bits"], op.attributes["mantissa_bits"] = int(found[1]), int(found[2])
    attributes(reader, op)
    return same(reader, op)


def _slice(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``%x [0:2, 1:5:2]``."""
    op.operands.append(reader.operand())
    starts: list[int] = []
    limits: list[int] = []
    strides: list[int] = []
    reader.need("[")
    while not reader.take("]"):
        if starts:
            reader.need(",")
        starts.append(reader.integer())
        reader.need(":")
        limits.append(reader.integer())
        strides.append(reader.integer() if reader.take(":") else 1)
    op.attributes.update(start_indices=tuple(starts), limit_indices=tuple(limits), strides=tuple(strides))
    attributes(reader, op)
    return functional(reader, op)


def _pad(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    op.operands += reader.operands()
    for word, name in (("low", "edge_padding_low"), ("high", "edge_padding_high"), ("interior", "interior_padding")):
        reader.take(",")
        reader.need_word(word)
        reader.need("=")
        op.attributes[name] = reader.integers()
    attributes(reader, op)
    return functional(reader, op)


def _precision(reader: ModuleReader) -> tuple[Any, ...]:
    """``[DEFAULT, HIGH]``."""
    reader.need("[")
    found: list[Any] = []
    while not reader.take("]"):
        if found:
            reader.need(",")
        found.append(reader.attribute("precision"))
    return tuple(found)


def _dot(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    op.operands += reader.operands()
    if reader.take(","):
        reader.need_word("precision")
        reader.need("=")
        op.attributes["precision_config"] = _precision(reader)
    attributes(reader, op)
    return functional(reader, op)


def _dot_general(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``%a, %b, batching_dims = [0] x [0], contracting_dims = [2] x [1], precision = [...], algorithm = <...>``."""
    op.operands += reader.operands()
    dims: dict[str, tuple[int, ...]] = {}
    while reader.take(","):
        word = reader.need_word("batching_dims", "contracting_dims", "precision", "algorithm")
        reader.need("=")
        if word == "precision":
            op.attributes["precision_config"] = _precision(reader)
        elif word == "algorithm":
            op.attributes["algorithm"] = reader.attribute("#stablehlo.dot_algorithm")
        else:
            kind = word.removesuffix("_dims")
            dims[f"lhs_{kind}_dimensions"] = reader.integers()
            reader.need("x")
            dims[f"rhs_{kind}_dimensions"] = reader.integers()
    names = [f"{side}_{kind}_dimensions" for kind in ("batching", "contracting") for side in ("lhs", "rhs")]
    op.attributes["dot_dimension_numbers"] = FrozenDict({name: dims.get(name, ()) for name in names})
    attributes(reader, op)
    return functional(reader, op)


_WINDOW = {
    "stride": "window_strides", "pad": "padding", "lhs_dilate": "lhs_dilation", "rhs_dilate": "rhs_dilation", "reverse": "window_reversal",
}  # fmt: skip


def _convolution(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``(%x, %k) dim_numbers = [b, 0, f]x[0, i, o]->[b, 0, f], window = {stride = [1], pad = [[0, 0]], ...}``."""
    reader.need("(")
    op.operands += reader.operands()
    reader.need(")")
    reader.need_word("dim_numbers")
    reader.need("=")
    op.attributes["dimension_numbers"] = convolution(reader)
    reader.need(",")
    reader.need_word("window")
    reader.need("=")
    reader.need("{")
    first = True
    while not reader.take("}"):
        if not first:
            reader.need(",")
        first = False
        word = reader.need_word(*_WINDOW)
        reader.need("=")
        value = reader.array()
        op.attributes[_WINDOW[word]] = tuple(bool(v) for v in value) if word == "reverse" else value
    attributes(reader, op)
    return functional(reader, op)


def _dynamic_conv(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    return _convolution(reader, op)


def _custom_call(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``@target(operands) {attributes} : (types) -> types``."""
    name = reader.symbol()
    if name is None:
        raise reader.expected("a target")
    op.attributes["call_target_name"] = name
    reader.need("(")
    op.operands += reader.operands()
    reader.need(")")
    attributes(reader, op)
    return functional(reader, op)


def _composite(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``"name" operands {attributes} : (types) -> types``."""
    name = reader.string()
    if name is None:
        raise reader.expected("a name")
    op.attributes["name"] = name
    op.operands += reader.operands()
    attributes(reader, op)
    if reader.take("("):
        while not reader.take(")"):
            if op.regions:
                reader.need(",")
            op.regions.append(reader.region(isolated=True))
    attributes(reader, op)
    return functional(reader, op)


def _scan(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``(inputs) inits (carried) dimension=0 attributes {...} { body } : (types) -> types``."""
    sizes: list[int] = []
    for word in ("", "inits"):
        if word:
            reader.need_word(word)
        reader.need("(")
        before = len(op.operands)
        op.operands += reader.operands()
        sizes.append(len(op.operands) - before)
        reader.need(")")
    reader.need_word("dimension")
    reader.need("=")
    op.attributes["dimension"] = reader.integer()
    if reader.take_word("attributes"):
        op.attributes.update(reader.dictionary())
    op.attributes["operandSegmentSizes"] = tuple(sizes)
    op.regions.append(reader.region())
    types = functional(reader, op)
    op.attributes["resultSegmentSizes"] = (len(types) - sizes[1], sizes[1])
    return types


def _probe(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``%x, probe_id = "name" : type``."""
    op.operands.append(reader.operand())
    _comma(reader, op, "probe_id", "probe_id", reader.string)
    attributes(reader, op)
    return results(reader, op)


def _while(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``(%a = %x, ...) : types [attributes] cond { } do { }``."""
    names: list[str] = []
    reader.need("(")
    while not reader.take(")"):
        if names:
            reader.need(",")
        found = reader.match(VALUE)
        if found is None:
            raise reader.expected("an argument")
        names.append(found[1])
        reader.need("=")
        op.operands.append(reader.operand())
    types: Sequence[ValueType] = reader.type_list() if reader.take(":") else ()
    if len(types) != len(names):
        raise reader.wrong(f"{len(names)} values carried, and {len(types)} types", op.where)
    if reader.take_word("attributes"):
        op.attributes.update(reader.dictionary())
    arguments = [(name, kind, None) for name, kind in zip(names, types, strict=True)]
    for word in ("cond", "do"):
        reader.need_word(word)
        op.regions.append(reader.region(arguments))
    return types


def _reduce(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``(%x init: %i), ... applies op across dimensions = [0] : (types) -> types``, or with ``reducer(...) { }``."""
    inputs: list[Value] = []
    starts: list[Value] = []
    while True:
        reader.need("(")
        inputs.append(reader.operand())
        reader.need_word("init")
        reader.need(":")
        starts.append(reader.operand())
        reader.need(")")
        if not reader.take(","):
            break
    op.operands = inputs + starts
    applied = None
    if reader.take_word("applies"):
        at = reader.pos
        applied = reader.need_word()
        if "." not in applied:
            raise reader.wrong(f"'{applied}', which is no operation", at)
    reader.need_word("across")
    reader.need_word("dimensions")
    reader.need("=")
    op.attributes["dimensions"] = reader.integers()
    attributes(reader, op)
    reader.need(":")
    kind = reader.function_type()
    if applied is not None:
        op.regions.append(_applied(op, applied, kind))
    else:
        reader.need_word("reducer")
        pairs: list[list[tuple[str, ValueType, Any]]] = []
        while reader.at("("):
            pairs.append([(name, told, location) for name, told, location, _ in reader.typed_arguments()])
            if len(pairs[-1]) != 2:
                raise reader.wrong(f"{len(pairs[-1])} arguments of a reducer where it takes two of each input", op.where)
        op.regions.append(reader.region([*(a for a, _ in pairs), *(b for _, b in pairs)]))
    return kind.results


def _applied(op: Operation, name: str, kind: FunctionType) -> Region:
    """The region that ``applies`` stands for: one operation of two elements."""
    given = kind.inputs[len(op.operands) // 2] if len(kind.inputs) == len(op.operands) else OpaqueType("unknown")
    element: ValueType = given
    if isinstance(given, TensorType):
        element = TensorType(given.dtype, (), quantization=given.quantization)
    left, right = Value(element), Value(element)
    inner = Operation(name, [left, right], [Value(element)], {}, [], None, op.where)
    end = Operation(f"{op.name.partition('.')[0]}.return", [inner.results[0]], [], {}, [], None, op.where)
    return Region([Block([left, right], [inner, end])])


def _arrow(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``operands : types -> types``; one type alone is all operands' and the result's."""
    op.operands += reader.operands()
    attributes(reader, op)
    reader.need(":")
    first = [reader.any_type()]
    if isinstance(first[0], FunctionType):
        return first[0].results
    while reader.take(","):
        first.append(reader.any_type())
    return reader.types_or_one() if reader.take("->") else tuple(map(value_type, first[:1]))


def _top_k(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``(%x, k = 8, largest = true) : type -> (types)``."""
    parens = reader.take("(")
    op.operands.append(reader.operand())
    while reader.take(","):
        name = reader.need_word()
        reader.need("=")
        op.attributes[name] = reader.attribute()
    if parens:
        reader.need(")")
    attributes(reader, op)
    reader.need(":")
    kind = reader.any_type()
    if isinstance(kind, FunctionType):
        return kind.results
    reader.need("->")
    return reader.types_or_one()


def _expect_close(reader: ModuleReader, op: Operation) -> tuple[()]:
    """``%a, %b, max_ulp_difference = 1, ... : types``."""
    op.operands += reader.operands()
    while reader.take(","):
        name = reader.need_word()
        reader.need("=")
        op.attributes[name] = reader.integer()
    attributes(reader, op)
    reader.need(":")
    reader.type_list()
    return ()


def _expect(reader: ModuleReader, op: Operation) -> tuple[()]:
    """``%a, %b : types``, in IREE's dialect of that name ``(%a, %b) : type``."""
    parens = reader.take("(")
    op.operands += reader.operands()
    if parens:
        reader.need(")")
    attributes(reader, op)
    reader.need(":")
    reader.type_list()
    return ()


def _expect_const(reader: ModuleReader, op: Operation) -> tuple[()]:
    """``%x, dense<...> : type``."""
    parens = reader.take("(")  # IREE's dialect of that name writes them
    op.operands.append(reader.operand())
    reader.need(",")
    op.attributes["value"] = reader.elements()
    if reader.take(","):
        name = reader.need_word()
        reader.need("=")
        op.attributes[name] = reader.attribute()
    if parens:
        reader.need(")")
    attributes(reader, op)
    if reader.take(":"):
        reader.type_list()
    return ()


def _state(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``{delta = 1}``, and in newer texts its type, which is always the same."""
    attributes(reader, op)
    return results(reader, op) if reader.at(":") else (TensorType("uint64", (2,)),)


def _serialized(reader: ModuleReader, op: Operation) -> tuple[()]:
    """``%x, probe_id = "name", iter = 0 : type``."""
    op.operands.append(reader.operand())
    while reader.take(","):
        name = reader.need_word()
        reader.need("=")
        op.attributes[name] = reader.string() if reader.at('"') else reader.integer()
    attributes(reader, op)
    reader.need(":")
    reader.type()
    return ()


def _vhlo_symbol_call(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``@callee(operands) : (types) -> types``."""
    name = reader.symbol()
    if name is None:
        raise reader.expected("a function's name")
    op.attributes["callee"] = name
    reader.need("(")
    op.operands += reader.operands()
    reader.need(")")
    attributes(reader, op)
    return functional(reader, op)


_SAME = (
    "abs add and atan2 bitcast bitcast_convert cbrt ceil clamp clz convert copy cosine count_leading_zeros divide domain erf exponential "
    "exponential_minus_one floor log "
    "log_plus_one logistic maximum minimum multiply negate not or popcnt power remainder round_nearest_afz round_nearest_even rsqrt "
    "shift_left shift_right_arithmetic shift_right_logical sign sine sqrt subtract tan tanh xor acos acosh asin asinh atan atanh cosh sinh "
    "imag is_finite mulhi real reshape uniform_dequantize uniform_quantize"
)
_FUNCTIONAL = "add_dependency dynamic_pad dynamic_reshape dynamic_update_slice real_dynamic_slice stochastic_convert"

_TABLE: dict[str, str] = {
    "%, {} :same": _SAME,
    "%, {} :func": _FUNCTIONAL,
    "{} :results": "create_token partition_id replica_id",
    "dim = iota_dimension=int {} :results": "iota",
    "% , dim = iota_dimension=int {} :func": "dynamic_iota",
    "comparison_direction=word , % , % [ ',' compare_type=word ]? {} :func": "compare",
    "% '[' index=int ']' {} :func": "get_tuple_element",
    "% , dims = broadcast_dimensions=ints {} :func": "broadcast_in_dim",
    "% , % , dims = broadcast_dimensions=ints {} :func": "dynamic_broadcast_in_dim",
    "% , sizes = broadcast_sizes=ints {} :func": "broadcast",
    "%, sizes = slice_sizes=ints {} :func": "dynamic_slice",
    "%, dim = dimension=int {} :func": "concatenate get_dimension_size set_dimension_size",
    "% , dims = permutation=ints {} :func": "transpose",
    "% , dims = dimensions=ints {} :same": "reverse",
    "% , type = fft_type=word , length = fft_length=ints {} :func": "fft",
    "% , lower = lower=attr {} :same": "cholesky",
    "%, distribution = rng_distribution=word {} :func": "rng",
    "% , algorithm = rng_algorithm=word {} :func": "rng_bit_generator",
    "% , % , config = einsum_config=string {} :func": "einsum",
    "% , config = einsum_config=string {} :func": "unary_einsum",
}


def _comma(reader: ModuleReader, op: Operation, word: str, name: str, read: Any) -> None:
    reader.take(",")
    reader.need_word(word)
    reader.need("=")
    op.attributes[name] = read()


def _with_dim(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``operands, dim = 0``."""
    op.operands += reader.operands()
    _comma(reader, op, "dim", "dimension", reader.integer)
    attributes(reader, op)
    return functional(reader, op)


def _dynamic_slice(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``operands, sizes = [1, 2]``."""
    op.operands += reader.operands()
    _comma(reader, op, "sizes", "slice_sizes", reader.integers)
    attributes(reader, op)
    return functional(reader, op)


def _rng(reader: ModuleReader, op: Operation) -> Sequence[ValueType]:
    """``operands, distribution = UNIFORM``."""
    op.operands += reader.operands()
    _comma(reader, op, "distribution", "rng_distribution", reader.need_word)
    attributes(reader, op)
    return functional(reader, op)


_OWN: dict[str, Form] = {
    "constant": _constant, "select": _select, "tuple": _tuple, "optimization_barrier": _pairwise, "after_all": _pairwise,
    "reduce_precision": _reduce_precision, "slice": _slice, "pad": _pad, "dot": _dot, "dot_general": _dot_general,
    "convolution": _convolution, "dynamic_conv": _dynamic_conv, "custom_call": _custom_call, "composite": _composite, "while": _while,
    "reduce": _reduce, "return": terminator, "topk": _top_k, "complex": _arrow, "concatenate": _with_dim,
    "get_dimension_size": _with_dim, "set_dimension_size": _with_dim, "dynamic_slice": _dynamic_slice, "rng": _rng, "scan": _scan,
}  # fmt: skip

_CHLO = (
    "acos acosh asin asinh atan atanh bessel_i1e conj constant constant_like cosh digamma erf erf_inv erfc is_inf is_neg_inf is_pos_inf "
    "lgamma next_after polygamma sinh square tan zeta mulhi broadcast_acos _asin_acos_kernel"
)
_CHLO_BROADCAST = (
    "add and atan2 compare complex divide maximum minimum multiply next_after or polygamma power remainder select shift_left "
    "shift_right_arithmetic shift_right_logical subtract xor zeta"
)

FORMS: dict[str, Form] = {
    **forms(_TABLE, "stablehlo"),
    **forms(_TABLE, "mhlo"),
    **{f"{dialect}.{name}": read for dialect in ("stablehlo", "mhlo") for name, read in _OWN.items()},
    **{f"chlo.{name}": _arrow for name in _CHLO.split()},
    **{f"chlo.broadcast_{name}": _arrow for name in _CHLO_BROADCAST.split()},
    "chlo.top_k": _top_k,
    "chlo.scan": _scan,
    "interpreter.probe": _probe,
    **forms({"%, {} :none": "print"}, "interpreter"),
    "vhlo.func_v1": function,
    "vhlo.return_v1": terminator,
    "vhlo.call_v1": _vhlo_symbol_call,
    "check.expect_close": _expect_close,
    "check.expect_eq_const": _expect_const,
    "check.expect_almost_eq_const": _expect_const,
    "check.expect_serialized_eq": _serialized,
    "mhlo.xla.rng_get_and_update_state": _state,
    **dict.fromkeys(("check.expect_eq", "check.expect_almost_eq"), _expect),
}

__all__ = ["FORMS", "INTEGER", "Constant", "TupleType", "decode", "results"]
