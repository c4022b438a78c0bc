"""Lowers TorchScript's expressions: values, attributes, and what they call."""

from __future__ import annotations

import ast
from typing import Any, TypeAlias

from graphlab.capture.torch.script_calls import Calls
from graphlab.capture.torch.script_ir import Tensor, Value, constant_of, constant_type, is_constant, real
from graphlab.capture.torch.script_source import spelt
from graphlab.capture.torch.script_types import (
    ANY_LIST,
    ANY_TUPLE,
    BOOL,
    COMPLEX,
    FLOAT,
    INT,
    STR,
    TENSOR,
    Type,
    is_subtype,
    list_of,
    unify,
)

Sugared: TypeAlias = Any
"""A value, or a tuple that stands for something that is none: ``("operator", name, self)``, ``("method", value, name)``,
``("class", type)``, ``("function", name)``, ``("special", name)``, ``("namespace", name)``, ``("closure", definition, frames)``."""

_BINARY: dict[type[ast.operator], str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.Mod: "remainder", ast.FloorDiv: "floordiv", ast.Pow: "pow",
    ast.MatMult: "matmul", ast.BitAnd: "__and__", ast.BitOr: "__or__", ast.BitXor: "__xor__", ast.LShift: "__lshift__",
    ast.RShift: "__rshift__",
}  # fmt: skip
_COMPARED: dict[type[ast.cmpop], str] = {
    ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge", ast.Is: "__is__", ast.IsNot: "__isnot__",
    ast.In: "__contains__",
}  # fmt: skip
_UNARY: dict[type[ast.unaryop], str] = {ast.USub: "neg", ast.Not: "__not__", ast.Invert: "bitwise_not"}
_SPECIAL = frozenset({"annotate", "unchecked_cast", "uninitialized", "fork", "getattr", "hasattr", "isinstance", "print", "tuple", "range"})
_CASTS = {"int": ("aten::Int", INT), "float": ("aten::Float", FLOAT), "bool": ("aten::Bool", BOOL), "str": ("aten::str", STR),
          "complex": ("aten::Complex", COMPLEX)}  # fmt: skip
_GLOBALS = {name: f"aten::{name}" for name in (
    "len", "hex", "oct", "round", "hash", "all", "any", "divmod", "sum", "ord", "chr", "bin", "pow", "sorted", "list", "dict")} | {
    name: f"prim::{name}" for name in ("id", "min", "max", "abs", "rangelist")}  # fmt: skip
# SimpleValue::attr of sugared_value.cpp
_TENSOR_PROPERTIES = frozenset(
    {"dtype", "device", "grad", "data", "shape", "is_cuda", "is_cpu", "is_xpu", "is_sparse", "is_sparse_csr", "is_mkldnn", "is_quantized",
     "is_vulkan", "is_mps", "is_meta", "requires_grad", "layout", "name", "is_nested", "itemsize", "nbytes"}
)  # fmt: skip


class Expressions(Calls):
    """The part of an emitter that lowers expressions."""

    def expression(self, node: ast.expr, hint: Type | None = None) -> Value:
        """The value of an expression."""
        made = self.value(self.sugared(node, hint), node)
        if hint is not None and hint.kind == "Any" and made.type.kind != "Any":
            return self.cast(made, hint, node)
        return made

    def value(self, made: Sugared, at: ast.AST) -> Value:
        """What an expression stands for, as a value."""
        if isinstance(made, Value):
            return real(made)
        if made[0] == "function":
            return self.function_constant(made[1], at)
        self.refuse(at, f"a {made[0]} stands where a value belongs")

    def sugared(self, node: ast.expr, hint: Type | None = None) -> Sugared:
        """What an expression stands for: a value, or something that can be called or looked into."""
        kind = node.__class__
        if kind is ast.Name:
            return self._name(node)  # type: ignore[arg-type]
        if kind is ast.Call:
            return self._call(node, hint)  # type: ignore[arg-type]
        if kind is ast.Constant:
            return self._literal(node)  # type: ignore[arg-type]
        if kind is ast.Attribute:
            return self._attribute(node)  # type: ignore[arg-type]
        match node:
            case ast.List():
                return self._list(node, hint)
            case ast.Tuple():
                hints = hint.args if hint is not None and hint.kind == "Tuple" and len(hint.args) == len(node.elts) else ()
                parts = [self.expression(e, hints[i] if hints else None) for i, e in enumerate(node.elts)]
                return self.make_tuple(parts, node)
            case ast.Dict():
                return self._dict(node, hint)
            case ast.Subscript():
                return self._subscript(node)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() | complex() as number)):
                return self.constant(-number, node)
            case ast.UnaryOp(op=ast.UAdd()):
                return self.sugared(node.operand)
            case ast.UnaryOp():
                return self.call_operator(f"aten::{_UNARY[type(node.op)]}", [self.expression(node.operand)], {}, node)
            case ast.BinOp():
                left, right = self.expression(node.left), self.expression(node.right)
                if isinstance(node.op, ast.Mod) and left.type == STR:
                    return self.add("aten::percentFormat", [left, right], node).output(STR)
                return self.call_operator(f"aten::{_BINARY[type(node.op)]}", [left, right], {}, node)
            case ast.Compare(ops=[op], comparators=[other]):
                left, right = self.expression(node.left), self.expression(other)
                if isinstance(op, ast.NotIn):
                    held = self.call_operator("aten::__contains__", [right, left], {}, node)
                    return self.call_operator("aten::__not__", [held], {}, node)
                pair = [right, left] if isinstance(op, ast.In) else [left, right]
                return self.call_operator(f"aten::{_COMPARED[type(op)]}", pair, {}, node)
            case ast.BoolOp():
                return self._short_circuit(node)
            case ast.IfExp():
                test = self.to_bool(self.expression(node.test), node)
                return self.branches(test, lambda: self.expression(node.body, hint), lambda: self.expression(node.orelse, hint), node)
        self.refuse(node, f"an expression of the kind {type(node).__name__} is not read")

    # -- names and attributes

    def _name(self, node: ast.Name) -> Sugared:
        name = spelt(node.id)
        held = self.lookup(name)
        if held is not None:
            return real(held) if isinstance(held, Value) else held
        if name in ("torch", "ops", "CONSTANTS", "__torch__"):
            return ("namespace", name)
        if name in _SPECIAL:
            return ("special", name)
        if name in _CASTS:
            return ("cast", name)
        if name in _GLOBALS:
            return ("operator", _GLOBALS[name], None)
        if name in ("inf", "nan"):
            return self.constant(float(name), node)
        if name == "AssertionError":
            return ("special", name)
        full = f"{self.file.qualifier}.{name}"
        if self.library.function(full) is not None:
            return ("function", full)
        self.refuse(node, f"the name '{name}' is not defined")

    def _attribute(self, node: ast.Attribute) -> Sugared:
        return self.attribute(self.sugared(node.value), spelt(node.attr), node)

    def attribute(self, owner: Sugared, name: str, at: ast.AST) -> Sugared:
        """``owner.name``."""
        if not isinstance(owner, Value):
            return self._in_namespace(owner, name, at)
        owner = real(owner)
        type = owner.type
        if type == TENSOR and name in _TENSOR_PROPERTIES:
            return self.call_operator(f"prim::{name}", [owner], {}, at)
        if type.kind == "Device" and name in ("type", "index"):
            return self.call_operator(f"prim::{name}", [owner], {}, at)
        if type.kind == "Tuple" and name in type.fields:
            i = type.fields.index(name)
            return self.add("prim::TupleIndex", [owner, self.constant(i, at)], at).output(type.args[i])
        if type.kind == "enum" and name in ("name", "value"):
            node = self.add("prim::EnumName" if name == "name" else "prim::EnumValue", [owner], at)
            values = self.library.enums.get(type.name, {})
            return node.output(STR if name == "name" or not values else constant_type(next(iter(values.values()))))
        if type.kind in ("class", "interface"):
            held = self.library.classes.get(type.name)
            if held is not None and name in held.methods:
                return ("method", owner, name)
            if held is not None and name in held.attributes:
                return self.get_attribute(owner, name, held.attributes[name], at)
            if held is not None and name in held.constants:
                wanted, expression = held.constants[name]
                return self.literal(expression, wanted, at)
            if held is None:  # bound from C++: nothing is known of it
                return ("method", owner, name)
            self.refuse(at, f"'{type}' has no attribute '{name}'")
        if name == "tolist":
            return ("tolist", owner)
        return ("operator", f"aten::{name}", owner)

    def _in_namespace(self, owner: Sugared, name: str, at: ast.AST) -> Sugared:
        match owner:
            case ("namespace", "torch"):
                return ("namespace", "torch.autograd") if name == "autograd" else ("operator", f"aten::{name}", None)
            case ("namespace", "torch.autograd"):
                return ("operator", f"aten::{name}", None)
            case ("namespace", "ops"):
                return ("dialect", name)
            case ("dialect", dialect):
                return ("operator", f"{dialect}::{name}", None)
            case ("namespace", "CONSTANTS"):
                return self._constant(name, at)
            case ("namespace", prefix):
                full = f"{prefix}.{name}"
                found = self.library.named_type(full)
                if found is not None:
                    return ("class", found)
                return ("function", full) if self.library.function(full) else ("namespace", full)
            case ("class", Type(kind="enum") as type):
                if name not in self.library.enums.get(type.name, {}):
                    self.refuse(at, f"'{type}' has no member '{name}'")
                return self.graph.constant(f"{type}.{name}", self.at(at), type)
            case ("class", type) if name == "__new__":
                return ("new", type)
            case ("class", type) if self.library.function(f"{type.name}.{name}") is not None:  # a hook, or a static method
                return ("function", f"{type.name}.{name}")
        self.refuse(at, f"'{name}' of a {owner[0]} is not read")

    def _constant(self, name: str, at: ast.AST) -> Value:
        number = name[1:]
        if not (name.startswith("c") and number.isascii() and number.isdigit() and len(number) < 10 and int(number) < len(self.constants)):
            self.refuse(at, f"CONSTANTS.{name} is not among the archive's {len(self.constants)} constants")
        held = self.constants[int(number)]
        if held is None or isinstance(held, (bool, int, float, complex, str)):
            return self.graph.constant(held, self.at(at))
        return self.graph.constant(Tensor(name, held), self.at(at), self.constant_types(held))

    # -- literals

    def _literal(self, node: ast.Constant) -> Value:
        value = node.value
        if value is None or isinstance(value, (bool, int, float, complex, str)):
            return self.constant(value, node)
        self.refuse(node, f"a constant of the kind {type(value).__name__} is not read")

    def _list(self, node: ast.List, hint: Type | None) -> Value:
        inner = hint
        if inner is not None and inner.kind == "Optional":
            inner = inner.args[0]
        element = inner.args[0] if inner is not None and inner.kind == "List" else None
        values = [self.expression(each, element) for each in node.elts]
        if element is None:
            element = TENSOR
            if values:
                element = values[0].type
                for each in values[1:]:
                    element = unify(element, each.type) or element
        made = self.add("prim::ListConstruct", values, node)
        return made.output(list_of(element))

    def _dict(self, node: ast.Dict, hint: Type | None) -> Value:
        wanted = hint.args if hint is not None and hint.kind == "Dict" else (STR, TENSOR)
        given = hint is not None and hint.kind == "Dict"
        values: list[Value] = []
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                self.refuse(node, "a dict with ** in it is not read")
            values += [self.expression(key), self.expression(value, wanted[1] if given else None)]
        if values and not given:
            kind = values[1].type
            for each in values[3::2]:
                kind = unify(kind, each.type) or kind
            wanted = (values[0].type, kind)
        return self.add("prim::DictConstruct", values, node).output(Type("Dict", tuple(wanted)))

    # -- subscripts

    def _subscript(self, node: ast.Subscript) -> Value:
        held = self.expression(node.value)
        if isinstance(node.slice, ast.Slice):
            return self._slice(held, node.slice, node)
        if isinstance(node.slice, ast.Tuple):
            self.refuse(node, "an index of several parts is not read: torch does not write it")
        index = self.expression(node.slice)
        kind = held.type.kind
        if kind == "Tuple":
            made = self.add("prim::TupleIndex", [held, index], node)
            return made.output(self._element(held.type, index, node))
        if kind == "Tensor":
            if index.type == INT:
                return self.call_operator("aten::select", [held, self.constant(0, node), index], {}, node)
            self.refuse(node, "an index by a tensor is not read: torch does not write it so")
        if kind in ("class", "interface"):
            return self.call(self.attribute(held, "__getitem__", node), [index], {}, node)
        return self.call_operator("aten::__getitem__", [held, index], {}, node)

    def _element(self, type: Type, index: Value, at: ast.AST) -> Type:
        if not type.args:
            self.refuse(at, "an empty tuple has no elements")
        if not is_constant(index):
            return type.args[0]
        number = constant_of(index)
        if not isinstance(number, int) or not -len(type.args) <= number < len(type.args):
            self.refuse(at, f"a tuple of {len(type.args)} has no element {number!r:.40}")
        return type.args[number]

    def _slice(self, held: Value, given: ast.Slice, at: ast.AST) -> Value:
        bounds = [None if each is None else self.expression(each) for each in (given.lower, given.upper, given.step)]
        if held.type.kind == "Tuple":
            numbers: list[int | None] = []
            for each in bounds:
                if each is not None and not (is_constant(each) and isinstance(constant_of(each), int)):
                    self.refuse(at, "a tuple is sliced by something that is no constant number")
                numbers.append(None if each is None else constant_of(each))
            if numbers[2] == 0:
                self.refuse(at, "a slice's step is zero")
            parts = []
            for i in range(len(held.type.args))[slice(*numbers)]:
                part = self.add("prim::TupleIndex", [held, self.constant(i, at)], at)
                parts.append(part.output(held.type.args[i]))
            return self.make_tuple(parts, at)
        start = self.constant(0, at) if bounds[0] is None else bounds[0]
        end = self.constant((1 << 63) - 1, at) if bounds[1] is None else bounds[1]
        step = self.constant(1, at) if bounds[2] is None else bounds[2]
        first = [held, self.constant(0, at)] if held.type == TENSOR else [held]
        return self.call_operator("aten::slice", [*first, start, end, step], {}, at)

    # -- conditions

    def condition(self, node: ast.expr) -> tuple[Value, tuple[str, Type] | None]:
        """A condition's value, and what it says of a variable's type where it holds."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance" and len(node.args) == 2:
            return self.is_instance(node.args[0], node.args[1], node)
        made = self.to_bool(self.expression(node), node)
        match node:
            case ast.Compare(left=ast.Name() as name, ops=[ast.IsNot()], comparators=[ast.Constant(value=None)]):
                held = self.lookup(spelt(name.id))
                if isinstance(held, Value) and held.type.kind == "Optional":
                    return made, (spelt(name.id), held.type.args[0])
        return made, None

    def is_instance(self, expression: ast.expr, classes: ast.expr, at: ast.AST) -> tuple[Value, tuple[str, Type] | None]:
        """``isinstance(x, T)``: a constant where the types alone decide."""
        held = self.expression(expression)
        types = tuple(self.library.annotation(e, self.file) for e in (classes.elts if isinstance(classes, ast.Tuple) else (classes,)))
        refined = None
        if len(types) == 1 and isinstance(expression, ast.Name) and is_subtype(types[0], held.type):
            refined = (spelt(expression.id), types[0])
        if any(is_subtype(held.type, each) for each in types):
            return self.constant(True, at), refined
        if all(self._never(held.type, each) for each in types):
            return self.constant(False, at), refined
        node = self.add("prim::isinstance", [held], at)
        node.attrs["types"] = types
        return node.output(BOOL), refined

    def _never(self, actual: Type, asked: Type) -> bool:
        if is_subtype(asked, actual):
            return False
        inner = actual.args[0] if actual.kind == "Optional" else actual
        return not ((asked == ANY_LIST and inner.kind in ("List", "Any")) or (asked == ANY_TUPLE and inner.kind in ("Tuple", "Any")))

    def _short_circuit(self, node: ast.BoolOp) -> Value:
        made = self.to_bool(self.expression(node.values[0]), node)
        for each in node.values[1:]:

            def go_on(each: ast.expr = each) -> Value:
                return self.to_bool(self.expression(each), each)

            def stop() -> Value:
                return self.constant(isinstance(node.op, ast.Or), node)

            made = self.branches(made, stop, go_on, node) if isinstance(node.op, ast.Or) else self.branches(made, go_on, stop, node)
        return made

    # -- calls

    def _call(self, node: ast.Call, hint: Type | None) -> Sugared:
        callee = self.sugared(node.func)
        if not isinstance(callee, Value):
            if callee[0] == "special":
                return self._special(callee[1], node, hint)
            if callee[0] == "new":
                return self.add("prim::CreateObject", [], node).output(callee[1])
            if callee[0] == "tolist":
                return self._to_list(callee[1], hint, node)
            if callee[0] == "operator" and callee[1] in ("prim::rpc_async", "prim::rpc_sync", "prim::rpc_remote"):
                return self._rpc(callee[1], node)
        args: list[Value] = []
        for each in node.args:
            if isinstance(each, ast.Starred):
                held = self.expression(each.value)
                args += self.unpacked(held, len(held.type.args), node)
            else:
                args.append(self.expression(each))
        kwargs: dict[str, Value] = {}
        for word in node.keywords:
            if word.arg is None:
                self.refuse(node, "a call with ** in it is not read")
            kwargs[spelt(word.arg)] = self.expression(word.value)
        return self.call(callee, args, kwargs, node)

    def _special(self, form: str, node: ast.Call, hint: Type | None) -> Sugared:
        if node.keywords:
            self.refuse(node, f"{form} takes no keywords")
        given = node.args
        match form, len(given):
            case "annotate", 2:
                wanted = self.library.annotation(given[0], self.file)
                made = self.as_type(self.expression(given[1], wanted), wanted, node)
                if wanted.kind == "Optional" and made.type.kind == "NoneType":
                    return self.graph.constant(None, self.at(node), wanted)
                return made
            case "unchecked_cast", 2:
                wanted = self.library.annotation(given[0], self.file)
                made = self.expression(given[1])
                # torch writes nested casts of one value as it has them, and leaves out only one written into another
                nested = isinstance(given[1], ast.Call) and is_cast(made) and made.type == wanted
                return made if nested else self.cast(made, wanted, node)
            case "uninitialized", 1:
                return self.add("prim::Uninitialized", [], node).output(self.library.annotation(given[0], self.file))
            case "getattr", 2:
                if not (isinstance(given[1], ast.Constant) and isinstance(given[1].value, str)):
                    self.refuse(node, "getattr needs an attribute's name as text")
                return self.attribute(self.sugared(given[0]), given[1].value, node)
            case "isinstance", 2:
                return self.is_instance(given[0], given[1], node)[0]
            case "print", _:
                self.add("prim::Print", [self.expression(each) for each in given], node)
                return self.constant(None, node)
            case "fork", _ if given:
                return self._fork(node)
            case "tuple", 1:
                held = self.expression(given[0])
                return self.make_tuple(self.unpacked(held, len(held.type.args), node), node)
        self.refuse(node, f"a call of {form} with {len(given)} arguments is not read")

    def _to_list(self, held: Value, hint: Type | None, at: ast.AST) -> Value:
        if hint is None:
            self.refuse(at, "tolist() stands without the type it gives")
        depth, element = 0, hint
        while element.kind == "List":
            depth, element = depth + 1, element.args[0]
        kinds = {"int": 0, "float": 1, "bool": 2, "complex": 3}
        given = [held, self.constant(depth, at), self.constant(kinds.get(element.kind, 0), at)]
        return self.add("prim::tolist", given, at).output(hint)

    def _rpc(self, kind: str, node: ast.Call) -> Value:
        if not 2 <= len(node.args) <= 5:
            self.refuse(node, f"{kind} takes 2 to 5 arguments")
        target = self.expression(node.args[0])
        function = self.sugared(node.args[1])
        if isinstance(function, Value) or function[0] != "function":
            self.refuse(node, f"{kind} calls something that is no function")
        made = self.add(kind, [target, self.constant(function[1], node), *(self.expression(e) for e in node.args[2:])], node)
        returns = self.function_signature(function[1], node).returns
        wrap = {"prim::rpc_async": "Future", "prim::rpc_remote": "RRef"}.get(kind)
        return made.output(Type(wrap, (returns,)) if wrap else returns)

    def _fork(self, node: ast.Call) -> Value:
        forked = self.sugared(node.args[0])
        args = [self.expression(each) for each in node.args[1:]]

        def body() -> Value:
            if not isinstance(forked, Value) and forked[0] == "closure":
                return self.closure(forked[1])
            return self.value(self.call(forked, args, {}, node), node)

        return self.fork(body, node)


def is_cast(value: Value) -> bool:
    return value.node is not None and value.node.kind == "prim::unchecked_cast"
