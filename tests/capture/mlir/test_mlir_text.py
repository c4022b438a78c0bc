"""MLIR text → Program: generic and own syntax, regions, blocks, aliases, locations, constants, several modules, broken text."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest

from graphlab.capture.file import File
from graphlab.capture.mlir.mlir_text import matches, parse_mlir
from graphlab.errors import FormatError, GraphlabError, SelectError
from graphlab.ir.graph import Node
from graphlab.ir.program import Program
from graphlab.ir.values import OpaqueType, Quantization, SymDim, TensorType, TokenType
from graphlab.ir.verify import verify


def read(text: str) -> Program:
    """A verified program."""
    program = parse_mlir(text)
    assert verify(program) == ()
    return program


def only(program: Program, op: str) -> Node:
    """The one node of an operation."""
    [node] = [node for _, node in program.each_node() if node.op == op]
    return node


def in_main(body: str, arguments: str = "%x: tensor<4xf32>") -> Program:
    """A program of one function of that body."""
    return read(f"func.func @main({arguments}) {{\n{body}\nreturn\n}}")


def test_an_operation_of_any_dialect_is_read_in_its_generic_form() -> None:
    program = in_main(
        '%0:2 = "my.op"(%x, %x) <{a = 1 : i64}> ({\n^bb0(%y: tensor<f32>):\n  "my.yield"(%y) : (tensor<f32>) -> ()\n}) '
        "{b, c = [true, 2.5, @s, i32]} : (tensor<4xf32>, tensor<4xf32>) -> (tensor<2xi8>, !my.type<1, [2]>)"
    )
    node = only(program, "my.op")
    assert node.outputs == (TensorType("int8", (2,)), OpaqueType("!my.type<1, [2]>"))
    assert node.attrs == {"a": 1, "b": True, "c": (True, 2.5, "s", OpaqueType("i32"))}
    assert [(use.src, use.dst_port) for use in node.operands] == [("arg0", 0), ("arg0", 1)]
    assert node.effects == ("opaque",)
    assert program.graphs["main.op.to_apply"].count() == 1


@pytest.mark.parametrize(
    ("text", "attrs"),
    [
        ("%0 = stablehlo.slice %x [1:4:2] : (tensor<4xf32>) -> tensor<2xf32>",
         {"start_indices": (1,), "limit_indices": (4,), "strides": (2,)}),
        ("%0 = stablehlo.compare GE, %x, %x, TOTALORDER : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xi1>",
         {"comparison_direction": "GE", "compare_type": "TOTALORDER"}),
        ("%0 = stablehlo.reduce_precision %x, format = e5m10 : tensor<4xf32>", {"exponent_bits": 5, "mantissa_bits": 10}),
        ("%0 = stablehlo.concatenate %x, %x, dim = 0 : (tensor<4xf32>, tensor<4xf32>) -> tensor<8xf32>", {"dimension": 0}),
        ("%0 = stablehlo.iota dim = 0 : tensor<4xi32>", {"iota_dimension": 0}),
        ('%0 = stablehlo.custom_call @f(%x) {mhlo.backend_config = {n = 3 : i64}} : (tensor<4xf32>) -> tensor<4xf32>',
         {"call_target_name": "f", "mhlo.backend_config": {"n": 3}}),
        ("%0 = stablehlo.dot_general %x, %x, contracting_dims = [0] x [0], precision = [HIGH, HIGH], algorithm = <"
         "lhs_precision_type = tf32, rhs_precision_type = tf32, accumulation_type = f32, lhs_component_count = 1, rhs_component_count = 1, "
         "num_primitive_operations = 1, allow_imprecise_accumulation = false> : (tensor<4xf32>, tensor<4xf32>) -> tensor<f32>",
         {"dot_dimension_numbers": {"lhs_batching_dimensions": (), "rhs_batching_dimensions": (), "lhs_contracting_dimensions": (0,),
                                    "rhs_contracting_dimensions": (0,)},
          "precision_config": ("HIGH", "HIGH"),
          "algorithm": {"lhs_precision_type": "tf32", "rhs_precision_type": "tf32", "accumulation_type": "f32", "lhs_component_count": 1,
                        "rhs_component_count": 1, "num_primitive_operations": 1, "allow_imprecise_accumulation": False}}),
        ("%0 = stablehlo.pad %x, %s, low = [1], high = [0], interior = [2] : (tensor<4xf32>, tensor<f32>) -> tensor<11xf32>",
         {"edge_padding_low": (1,), "edge_padding_high": (0,), "interior_padding": (2,)}),
        ('%0 = sdy.sharding_constraint %x <@mesh, [{"a", ?}]> : tensor<4xf32>', {"sharding": '#sdy.sharding<@mesh, [{"a", ?}]>'}),
        ("%0 = mhlo.topk(%x, k = 2, largest = true) : tensor<4xf32> -> (tensor<2xf32>)", {"k": 2, "largest": True}),
        ("%0 = chlo.broadcast_add %x, %x : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>", {}),
        ("%0 = arith.cmpi slt, %i, %i : index", {"predicate": "slt"}),
    ],
)  # fmt: skip
def test_own_syntax_gives_attributes_by_their_names(text: str, attrs: dict[str, object]) -> None:
    program = in_main(text, "%x: tensor<4xf32>, %s: tensor<f32>, %i: index")
    [node] = [node for node in program.main.each_node() if node.kind == "op"]
    assert node.attrs == attrs
    assert "loosely_read" not in node.meta


def test_a_convolution_has_its_dimension_numbers() -> None:
    program = in_main(
        "%0 = stablehlo.convolution(%x, %k) dim_numbers = [b, 0, f]x[0, i, o]->[b, f, 0], window = {stride = [2], pad = [[1, 0]], "
        "reverse = [true]} {feature_group_count = 1 : i64, batch_group_count = 1 : i64} "
        ": (tensor<1x8x3xf32>, tensor<2x3x4xf32>) -> tensor<1x4x4xf32>",
        "%x: tensor<1x8x3xf32>, %k: tensor<2x3x4xf32>",
    )
    attrs = only(program, "stablehlo.convolution").attrs
    assert attrs["window_strides"] == (2,)
    assert attrs["padding"] == ((1, 0),)
    assert attrs["window_reversal"] == (True,)
    numbers = attrs["dimension_numbers"]
    assert (numbers["input_batch_dimension"], numbers["input_feature_dimension"], numbers["input_spatial_dimensions"]) == (0, 2, (1,))
    assert (numbers["kernel_output_feature_dimension"], numbers["kernel_input_feature_dimension"]) == (2, 1)
    assert (numbers["output_feature_dimension"], numbers["output_spatial_dimensions"]) == (1, (2,))


def test_a_reduction_that_applies_an_operation_has_its_region() -> None:
    program = in_main(
        "%0 = stablehlo.constant dense<0.0> : tensor<f32>\n"
        "%1 = stablehlo.reduce(%x init: %0) applies stablehlo.add across dimensions = [0] : (tensor<4xf32>, tensor<f32>) -> tensor<f32>"
    )
    node = only(program, "stablehlo.reduce")
    inner = program.graphs[node.calls["to_apply"].graph]
    assert [n.op for n in inner.each_node() if n.kind != "input"] == ["stablehlo.add", "stablehlo.return"]
    assert [inner.node(i).outputs for i in inner.inputs] == [(TensorType("float32", ()),)] * 2


def test_the_results_of_an_operation_are_told_apart_by_port() -> None:
    program = in_main('%0:2, %a = "my.op"() : () -> (i8, i16, i32)\n"my.use"(%0#1, %a, %0) : (i16, i32, i8) -> ()')
    assert [use.src_port for use in only(program, "my.use").operands] == [1, 2, 0]


def test_what_is_made_later_may_be_used_in_a_graph_region() -> None:
    program = in_main('"my.graph"() ({\n  %a = "my.b"(%c) : (i8) -> i8\n  %c = "my.d"() : () -> i8\n}) : () -> ()')
    inner = program.graphs["main.graph.to_apply"]
    assert [use.src for use in inner.operands("b")] == ["d"]


def test_a_scan_of_scf_for_carries_what_its_body_gives() -> None:
    program = in_main(
        "%c = arith.constant 0 : index\n%r = scf.for %i = %c to %n step %c iter_args(%s = %x) -> (tensor<4xf32>) {\n"
        "  %t = stablehlo.add %s, %y : tensor<4xf32>\n  scf.yield %t : tensor<4xf32>\n}",
        "%x: tensor<4xf32>, %n: index, %y: tensor<4xf32>",
    )
    node = only(program, "scf.for")
    body = node.calls["body"]
    assert body.operands == (None, 3, 4)  # the index is the loop's own, y is taken from around it
    assert body.carried == ((0, 1),)
    assert node.control is not None
    assert node.control.form == "loop"


def test_every_block_of_a_function_is_a_graph_and_branches_call_them() -> None:
    program = read(
        """func.func @f(%p: i1, %x: tensor<4xf32>) -> tensor<4xf32> {
          %0 = stablehlo.abs %x : tensor<4xf32>
          cf.cond_br %p, ^one(%x : tensor<4xf32>), ^two
        ^one(%a: tensor<4xf32>):
          %1 = stablehlo.add %a, %0 : tensor<4xf32>
          cf.br ^three(%1 : tensor<4xf32>)
        ^two:
          cf.br ^three(%0 : tensor<4xf32>)
        ^three(%b: tensor<4xf32>):
          return %b : tensor<4xf32>
        }"""
    )
    branch = only(program, "cf.cond_br")
    assert branch.outputs == (TensorType("float32", (4,)),)
    assert branch.control is not None
    assert branch.control.predicate == 0
    # Its own operands are p and x; what blocks take from others (the abs) comes after them.
    assert [use.src for use in branch.operands] == ["arg0", "arg1", "abs"]
    assert branch.calls["then"].operands == (1, 2)
    assert branch.calls["else"].operands == (2,)
    assert program.count() == 6
    flat = program.flatten()
    assert sum(data.get("op") == "func.return" for _, data in flat.nodes(data=True)) == 2


def test_a_loop_of_blocks_takes_what_is_made_before_it_along() -> None:
    program = read(
        """func.func @f(%x: tensor<i32>, %p: i1) -> tensor<i32> {
          cf.br ^loop(%x : tensor<i32>)
        ^loop(%a: tensor<i32>):
          %1 = stablehlo.add %a, %x : tensor<i32>
          cf.cond_br %p, ^loop(%1 : tensor<i32>), ^end
        ^end:
          return %x : tensor<i32>
        }"""
    )
    assert len(program.graphs["f.bb1"].inputs) == 3  # a, and x and p from around it
    assert program.graphs["f.bb1"].node("cond_br").calls["then"].graph == "f.bb1"


def test_an_unknown_syntax_is_read_loosely_and_types_are_not_guessed() -> None:
    program = in_main(
        '%0 = foo.bar %x into "a" {n = 2 : i64} : tensor<4xf32>\n%1 = foo.cast %x : tensor<4xf32> to tensor<2x2xf32>\n'
        "%2 = foo.loop (%i = %x) {\n  foo.yield %i : tensor<4xf32>\n}\nfoo.use %0, %1,\n  %2 : i8"
    )
    bar, cast = only(program, "foo.bar"), only(program, "foo.cast")
    assert bar.outputs == (OpaqueType("unknown"),)
    assert bar.attrs["n"] == 2
    assert bar.meta["loosely_read"] is True
    assert cast.outputs == (TensorType("float32", (2, 2)),)
    assert [use.src for use in only(program, "foo.use").operands] == ["bar", "cast", "loop"]
    assert only(program, "foo.loop").calls["to_apply"].graph == "main.loop.to_apply"
    assert program.meta["loosely_read"] == 5


def test_aliases_stand_for_types_attributes_and_locations() -> None:
    program = read(
        """!t = tensor<2x!quant.uniform<i8:f32, 0.5:3>>
        #m = {k = [1, 2]}
        module @m attributes {a.b = #m} {
          func.func @main(%x: !t loc("x"(#loc2))) -> !t {
            %0 = "my.op"(%x) {c = #m} : (!t) -> !t loc(#loc3)
            return %0 : !t loc(#loc1)
          } loc(#loc1)
        }
        #loc1 = loc(unknown)
        #loc2 = loc("/home/me/model.py":7:3)
        #loc4 = loc("/v/site-packages/jax/core.py":1:1)
        #loc5 = loc("f"(#loc2))
        #loc3 = loc("jit(main)/block/mul"(callsite(#loc4 at callsite(#loc5 at "/home/me/train.py":40:1))))"""
    )
    kind = TensorType("int8", (2,), quantization=Quantization((0.5,), (3,), None, "float32"))
    assert program.signatures["main"].inputs[0].name == "x"
    assert program.signatures["main"].inputs[0].type == kind
    node = program.main.node("op")
    assert node.attrs == {"c": {"k": (1, 2)}}
    assert program.meta["a.b"] == {"k": (1, 2)}
    assert node.scope == "block"
    assert [(f.file, f.line, f.function) for f in program.stack(node)] == [("/home/me/model.py", 7, "f"), ("/home/me/train.py", 40, "")]


def test_a_circle_of_locations_ends() -> None:
    text = 'func.func @main() {\n  "my.op"() : () -> () loc(#loc1)\n  return\n}\n#loc1 = loc(callsite(#loc2 at #loc1))\n#loc2 = loc(#loc2)'
    assert read(text).count() == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dense<[1, -2, 3]> : tensor<3xi16>", np.array([1, -2, 3], "int16")),
        ("dense<255> : tensor<2xui8>", np.array([255, 255], "uint8")),
        ('dense<"0x0000803F00000040"> : tensor<2xf32>', np.array([1, 2], "float32")),
        ('dense<"0x05"> : tensor<4xi1>', np.array([True, False, True, False])),
        ("dense<[true, false]> : tensor<2xi1>", np.array([True, False])),
        ("dense<(1.0, -2.0)> : tensor<2xcomplex<f32>>", np.array([1 - 2j, 1 - 2j], "complex64")),
        ("dense<[0x7F800000, 0xFFC00000]> : tensor<2xf32>", np.array([np.inf, -np.nan], "float32")),
        ("dense<> : tensor<0x3xf64>", np.zeros((0, 3), "float64")),
        ("sparse<[[0, 1], [1, 0]], [5.0, 6.0]> : tensor<2x2xf32>", np.array([[0, 5], [6, 0]], "float32")),
        ("dense_resource<blob> : tensor<2xf32>", np.array([3, 4], "float32")),
    ],
)
def test_constants_have_their_bytes(text: str, expected: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> None:
    resources = '\n{-#\n  dialect_resources: { builtin: { blob: "0x040000000000404000008040" } }\n#-}'
    program = read(f"func.func @main() {{\n  %0 = stablehlo.constant {text}\n  return\n}}{resources}")
    value = only_constant(program)
    assert value.value is not None
    assert value.value.bytes() == expected.tobytes()


def only_constant(program: Program) -> Node:
    """The one constant."""
    [node] = [node for _, node in program.each_node() if node.kind == "constant"]
    return node


def test_types_beyond_plain_tensors() -> None:
    program = in_main(
        "",
        "%a: tensor<?x3xf32, #stablehlo.bounds<8, ?>>, %b: tensor<*xbf16>, %c: !stablehlo.token, %d: memref<2xf32, strided<[1]>>, "
        "%e: tensor<2x!quant.uniform<i8<-127:127>:f32:0, {0.5:1, 0.25}>>, %f: tensor<3xf8E4M3FN, #my.enc<a  = 1>>",
    )
    kinds = [slot.type for slot in program.signatures["main"].inputs]
    assert kinds == [
        TensorType("float32", (SymDim("<=8"), 3)),
        TensorType("bfloat16", None),
        TokenType(),
        OpaqueType("memref<2xf32, strided<[1]>>"),
        TensorType("int8", (2,), quantization=Quantization((0.5, 0.25), (1, 0), 0, "float32", -127, 127)),
        TensorType("float8_e4m3fn", (3,), layout="#my.enc<a = 1>"),
    ]
    assert program.dims["<=8"].max == 8


def test_vhlo_is_given_as_the_stablehlo_it_stands_for() -> None:
    program = read(
        """vhlo.func_v1 @main(%arg0: !vhlo.tensor_v1<4x!vhlo.f32_v1>) -> (!vhlo.tensor_v1<4x!vhlo.bool_v1>) {
          %0 = "vhlo.compare_v1"(%arg0, %arg0) <{compare_type = #vhlo<comparison_type_v1 NOTYPE>,
            comparison_direction = #vhlo<comparison_direction_v1 LT>}>
            : (!vhlo.tensor_v1<4x!vhlo.f32_v1>, !vhlo.tensor_v1<4x!vhlo.f32_v1>) -> !vhlo.tensor_v1<4x!vhlo.bool_v1>
          "vhlo.return_v1"(%0) : (!vhlo.tensor_v1<4x!vhlo.bool_v1>) -> ()
        } {arg_attrs = #vhlo.array_v1<[]>, res_attrs = #vhlo.array_v1<[]>, sym_visibility = #vhlo.string_v1<"">}"""
    )
    own = read(
        """func.func @main(%arg0: tensor<4xf32>) -> tensor<4xi1> {
          %0 = stablehlo.compare LT, %arg0, %arg0, NOTYPE : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xi1>
          return %0 : tensor<4xi1>
        }"""
    )
    assert dict(program.main.nodes(data=True)) == dict(own.main.nodes(data=True))


def test_several_modules_are_read_together_and_one_can_be_selected() -> None:
    text = "module @a {\n func.func @main() { return }\n}\n// -----\nmodule @b {\n func.func @g() { return }\n}\n"
    program = read(text)
    assert set(program.signatures) == {"a/main", "b/g"}
    assert program.entry == "a/main"
    assert parse_mlir(text, select="b").entry == "g"
    with pytest.raises(SelectError) as caught:
        parse_mlir(text, select="c")
    assert caught.value.names == ("a", "b")


def test_a_part_that_is_meant_to_be_refused_is_noted() -> None:
    text = "func.func @f() { return }\n// -----\n// expected-error @+1 {{no}}\nfunc.func @g( {\n// -----\nfunc.func @h() { return }\n"
    program = read(text)
    assert len(program.meta["refused"]) == 1
    assert ":4:15" in program.meta["refused"][0]
    with pytest.raises(FormatError):
        parse_mlir(text.replace("// expected-error @+1 {{no}}\n", ""))


def test_nested_modules_and_what_stands_beside_functions_are_kept() -> None:
    program = read(
        """module {
          sdy.mesh @mesh = <["x"=2]>
          func.func private @elsewhere(tensor<f32>)
          module @inner { func.func @g(%x: tensor<f32>) { return } }
          func.func @main(%x: tensor<f32>) { func.call @elsewhere(%x) : (tensor<f32>) -> ()
            return }
        }"""
    )
    assert set(program.graphs) == {"inner/g", "main"}
    assert program.entry == "main"
    assert [fact["op"] for fact in program.meta["beside"]] == ["sdy.mesh", "func.func"]
    assert only(program, "func.call").effects == ("opaque",)


def test_calls_by_symbol_lead_to_their_functions() -> None:
    program = read(
        """func.func @main(%x: tensor<f32>) -> tensor<f32> {
          %0 = call @twice(%x) : (tensor<f32>) -> tensor<f32>
          %1 = stablehlo.composite "my.twice" %0 {decomposition = @twice} : (tensor<f32>) -> tensor<f32>
          %2 = stablehlo.custom_call @foo(%1) {called_computations = [@twice]} : (tensor<f32>) -> tensor<f32>
          return %2 : tensor<f32>
        }
        func.func private @twice(%x: tensor<f32>) -> tensor<f32> {
          %0 = stablehlo.add %x, %x : tensor<f32>
          return %0 : tensor<f32>
        }"""
    )
    assert only(program, "func.call").calls["call"].operands == (0,)
    assert only(program, "stablehlo.composite").calls["decomposition"].graph == "twice"
    assert only(program, "stablehlo.custom_call").calls["called_computation_0"].operands == (None,)
    assert set(program.signatures) == {"main"}


def test_shardings_stand_on_the_types_of_each_result() -> None:
    program = in_main(
        '%0:2 = "my.op"(%x) {sdy.sharding = #sdy.sharding_per_value<[<@m, [{"a"}]>, <@m, [{}]>]>} '
        ": (tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>)",
        '%x: tensor<4xf32> {mhlo.sharding = "{devices=[2]<=[2]}"}',
    )
    told = [kind.sharding for kind in only(program, "my.op").outputs if isinstance(kind, TensorType)]
    assert told == ['#sdy.sharding<@m, [{"a"}]>', "#sdy.sharding<@m, [{}]>"]
    kind = program.signatures["main"].inputs[0].type
    assert isinstance(kind, TensorType)
    assert kind.sharding == "{devices=[2]<=[2]}"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("func.func @f(", "an argument|a type"),
        ("func.func @f() {", "an operation expected, the end"),
        ("func.func @f() { return %x : i8 }", "'%x', which nothing makes"),
        ('func.func @f(%x: i8) { %x = "a.b"() : () -> i8\n return }', "a second value '%x'"),
        ('func.func @f() { "a.b"() : () -> (i8, i8)\n %0 = "a.b"() : () -> (i8, i8)\n return }', "1 names for the 2 results"),
        ("func.func @f() { cf.br ^x }", "which is not in its region"),
        ('module { "a', "a string that does not end|an operation expected"),
        ("func.func @f() {" + '"a.b"() ({' * 200, "more than 90 deep"),
        ('"a.b"() {x = ' + "[" * 100_000, "more than 60 deep"),
        ("func.func @f(%x: " + "tuple<" * 5_000 + "i8", "more than 60 deep"),
        ("#a = #a\nmodule attributes {x = #a} {", "an operation expected"),
        ("", "no operation"),
        ("// only a comment", "no operation"),
    ],
)
def test_broken_text_is_refused_with_its_place(text: str, found: str) -> None:
    with pytest.raises(FormatError, match=found) as caught:
        parse_mlir(text, path="x.mlir")
    assert caught.value.where is not None
    assert caught.value.where.startswith("x.mlir:")


@pytest.mark.parametrize(
    "text",
    ["tensor<99999999999999999999xf32>", "tensor<4x!quant.uniform<i8:f32, nan>>", "tensor<2xf32, #stablehlo.bounds<a>>", "vector<[4]xf32>"],
)
def test_odd_types_end_in_an_error_or_a_program(text: str) -> None:
    with suppress(GraphlabError):
        in_main("", f"%x: {text}")


def test_text_is_told_from_other_text() -> None:
    def taken(text: str) -> bool:
        return matches(File.of("x", text.encode()))

    assert taken("// RUN: x\n#map = affine_map<(d0) -> (d0)>\nmodule {}")
    assert taken("module @jit_f attributes {a = 1} {")
    assert taken('"builtin.module"() ({')
    assert taken("%0 = stablehlo.iota dim = 0 : tensor<4xi32>")
    assert taken("func @old(%a: tensor<f32>) -> tensor<f32> {")
    others = ("HloModule m\n", "module main(input a);", "import torch", "node {", "digraph {}", '{"a": 1}', "# text", "graph(%x")
    for other in others:
        assert not taken(other)
