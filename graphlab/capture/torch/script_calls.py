"""The ground an emitter stands on: nodes put where they belong, values converted, operators, methods and functions called."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

from graphlab.capture.torch import script_match
from graphlab.capture.torch.restricted_pickle import TensorRecord
from graphlab.capture.torch.schemas import schemas
from graphlab.capture.torch.script_ir import Block, Node, ScriptGraph, Value, is_constant, real
from graphlab.capture.torch.script_passes import clean
from graphlab.capture.torch.script_source import CodeFile, Library, Signature, dotted
from graphlab.capture.torch.script_types import ANY, BOOL, FLOAT, NONE, TENSOR, UNKNOWN, Type, has_variables, list_of, tuple_of, unify

Sugared: TypeAlias = Any
_DIVISIONS = ("aten::div", "aten::div_")
MAX_DEPTH = 100
"""Branches within branches that expressions make."""
_CASTS = {"int": "aten::Int", "float": "aten::Float", "bool": "aten::Bool", "str": "aten::str", "complex": "aten::Complex"}


class Calls:
    """State of one function that is being lowered, and what expressions and statements share."""

    def __init__(self, library: Library, file: CodeFile, constants: tuple[Any, ...], graph: ScriptGraph) -> None:
        self.library = library
        self.file = file
        self.constants = constants
        self.graph = graph
        self.block: Block = graph.block
        self.frames: list[dict[str, Sugared]] = []
        self.depth_of_function = 1
        self.result_type: Type = ANY
        self.returned: Value | None = None

    def refuse(self, at: ast.AST | None, found: str) -> NoReturn:
        self.file.refuse(at, found)

    def at(self, node: ast.AST) -> int:
        """Byte offset in the code."""
        return self.file.offset(node)  # type: ignore[arg-type]

    def lookup(self, name: str) -> Sugared | None:
        for frame in reversed(self.frames):
            if name in frame:
                return frame[name]
        return None

    def add(self, kind: str, inputs: list[Value], at: ast.AST) -> Node:
        """A node at the end of the current block, without outputs yet."""
        node = Node(kind, inputs, self.file.offset(at))  # type: ignore[arg-type]
        self.block.nodes.append(node)
        return node

    def constant(self, value: Any, at: ast.AST) -> Value:
        return self.graph.constant(value, self.file.offset(at))  # type: ignore[arg-type]

    def cast(self, value: Value, to: Type, at: ast.AST) -> Value:
        return self.add("prim::unchecked_cast", [value], at).output(to)

    def make_tuple(self, parts: list[Value], at: ast.AST) -> Value:
        return self.add("prim::TupleConstruct", parts, at).output(tuple_of(tuple(part.type for part in parts)))

    def unpacked(self, held: Value, wanted: int, at: ast.AST) -> list[Value]:
        """A tuple's or list's elements."""
        type = held.type
        if type.kind == "Tuple":
            types: tuple[Type, ...] = type.args
        elif type.kind == "List":
            types = (type.args[0],) * wanted
        elif type.kind in ("Unknown", "Any"):
            types = (UNKNOWN,) * wanted
        else:
            self.refuse(at, f"a {type} is taken apart")
        if len(types) != wanted:
            self.refuse(at, f"a tuple of {len(types)} is taken apart into {wanted}")
        node = self.add("prim::ListUnpack" if type.kind == "List" else "prim::TupleUnpack", [held], at)
        return [node.output(each) for each in types]

    def to_bool(self, value: Value, at: ast.AST) -> Value:
        return self._cast_call("bool", [value], at)

    def as_type(self, value: Value, wanted: Type, at: ast.AST) -> Value:
        """A value converted as torch converts what is annotated, returned or passed."""
        value = real(value)
        if value.type == wanted:
            return value
        made = self.converted(value, script_match.convert(value.type, wanted, True)[1], at)
        return made

    def converted(self, value: Value, steps: tuple[script_match.Step, ...], at: ast.AST) -> Value:
        for step in steps:
            match step:
                case ("op", name, type):
                    node = self.add(name, [value], at)
                    node.schema = next((s for s in schemas(name) if script_match.match(s, (value.type,), (), True)), None)
                    value = node.output(type)
                case ("repeat", count, type):
                    value = self.add("prim::ListConstruct", [value] * count, at).output(type)
                case ("list", type, count):
                    value = self.add("prim::ListConstruct", self.unpacked(value, count, at), at).output(type)
                case ("each", parts):
                    elements = self.unpacked(value, len(parts), at)
                    value = self.make_tuple([self.converted(e, part, at) for e, part in zip(elements, parts, strict=True)], at)
        return value

    # -- branches that an expression makes, and forks

    def branches(self, test: Value, then: Callable[[], Value], other: Callable[[], Value], at: ast.AST) -> Value:
        """``then() if test else other()``."""
        if len(self.frames) > 2 * MAX_DEPTH:
            self.refuse(at, f"branches nest more than {MAX_DEPTH} deep")
        node = self.add("prim::If", [test], at)
        types: list[Type] = []
        for make in (then, other):
            block = Block()
            node.blocks.append(block)
            outer, self.block = self.block, block
            self.frames.append({})
            made = make()
            self.frames.pop()
            self.block = outer
            block.outputs.append(made)
            types.append(made.type)
        return node.output(unify(*types) or UNKNOWN)

    def fork(self, body: Callable[[], Value], at: ast.AST) -> Value:
        """A part of the graph that runs on its own: a graph that takes what it uses from around it."""
        node = Node("prim::fork", [], self.file.offset(at))  # type: ignore[arg-type]
        inner = ScriptGraph(f"{self.graph.name}.fork")
        inner.constants = self.graph.constants  # while it is filled; the ones it uses become its own
        outer_graph, outer_block = self.graph, self.block
        self.block = inner.block
        self.frames.append({})
        made = body()
        self.frames.pop()
        self.block = outer_block
        self.graph = outer_graph
        inner.constants = {}
        inner.block.outputs = [made]
        node.subgraph = inner
        _close(inner, node)
        clean(inner)
        self.block.nodes.append(node)
        return node.output(Type("Future", (made.type,)))

    def closure(self, definition: ast.FunctionDef) -> Value:
        """The value of a function that stands within this one and takes nothing."""
        kept = self.returned, self.result_type, self.depth_of_function
        self.returned, self.depth_of_function = None, len(self.frames)
        self.result_type = UNKNOWN if definition.returns is None else self.library.annotation(definition.returns, self.file)
        self.body(definition.body)
        made = self.returned or self.constant(None, definition)
        self.returned, self.result_type, self.depth_of_function = kept
        return made

    def body(self, statements: list[ast.stmt]) -> bool:
        """Lower statements: what the emitter adds."""
        raise NotImplementedError

    # -- calls

    def call(self, callee: Sugared, args: list[Value], kwargs: dict[str, Value], at: ast.AST) -> Value:
        """Call whatever an expression stands for."""
        if isinstance(callee, Value):
            callee = ("method", callee, "__call__")
        match callee:
            case ("operator", name, owner):
                given = args if owner is None else [owner, *args]
                return self.call_operator(name, given, kwargs, at)
            case ("cast", name):
                return self._cast_call(name, args, at)
            case ("method", owner, name):
                return self.call_method(owner, name, args, kwargs, at)
            case ("function", name):
                return self.call_function(name, args, kwargs, at)
            case ("class", Type(kind="Tuple") as type):
                return self._named_tuple(type, args, kwargs, at)
            case ("class", type):
                made = self.add("prim::CreateObject", [], at).output(type)
                if "__init__" in self._methods(type):
                    self.call_method(made, "__init__", args, kwargs, at)
                return made
        self.refuse(at, f"a {callee[0]} is called")

    def _cast_call(self, name: str, args: list[Value], at: ast.AST) -> Value:
        wanted = {"int": "int", "float": "float", "bool": "bool", "str": "str", "complex": "complex"}[name]
        if len(args) == 1 and args[0].type.kind == wanted:
            return args[0]
        if name == "bool" and len(args) == 1 and args[0].type.kind in ("List", "Dict", "str"):
            length = self.call_operator("aten::len", args, {}, at)
            return self.call_operator("aten::gt", [length, self.constant(0, at)], {}, at)
        made = self.call_operator(_CASTS[name], args, {}, at)
        return made if made.type.kind != "Unknown" or name != "bool" else self._typed(made, BOOL)

    @staticmethod
    def _typed(value: Value, type: Type) -> Value:
        value.type = type
        return value

    def call_operator(self, name: str, args: list[Value], kwargs: dict[str, Value], at: ast.AST, *, upgraded: bool = False) -> Value:
        """Call a builtin operator: the overload that fits, its defaults filled in.

        ``upgraded`` says that the archive's version has been seen to.
        """
        args = [real(value) for value in args]
        kwargs = {word: real(value) for word, value in kwargs.items()}
        plan = script_match.choose(name, tuple([v.type for v in args]), tuple((w, v.type) for w, v in kwargs.items()))
        if plan is None:
            return self._unknown(name, args, kwargs, at)
        inputs: list[Value] = []
        for source, steps in plan.operands:
            if isinstance(source, int):
                value = args[source]
            elif isinstance(source, str):
                value = kwargs[source]
            elif source[0] == "default":
                value = self.graph.constant(source[1], self.at(at), source[2])
            else:
                rest = [self.converted(v, s, at) for v, s in zip(args[source[1] :], steps, strict=True)]
                inputs.append(self.add("prim::ListConstruct", rest, at).output(source[2]))
                continue
            inputs.append(self.converted(value, steps, at) if steps else value)
        if name in _DIVISIONS and self.library.version < 4 and not upgraded and plan.schema.overload in ("Tensor", "Scalar"):
            return self._old_division(name, inputs, at)
        name, schema, turned = script_match.normalized(name, plan, tuple([value.type for value in inputs]))
        if turned:
            inputs[:2] = inputs[1::-1]
        node = self.add(name, inputs, at)
        node.schema = schema
        outputs = [node.output(each) for each in plan.returns]
        if plan.schema.varret and not outputs:
            return node.output(UNKNOWN)
        return outputs[0] if len(outputs) == 1 else self._packed(outputs, plan, at)

    def _old_division(self, name: str, pair: list[Value], at: ast.AST) -> Value:
        """What torch puts in for a division of an archive before version 4, which cut integers' quotients (``div_Tensor_0_3``)."""
        dividend, divisor = pair

        def other_floats() -> Value:
            if divisor.type == TENSOR:
                return self.call_operator("aten::is_floating_point", [divisor], {}, at)
            if divisor.type.kind != "number":
                return self.constant(divisor.type.kind == "float", at)
            node = self.add("prim::isinstance", [divisor], at)
            node.attrs["types"] = (FLOAT,)
            return node.output(BOOL)

        floats = self.call_operator("aten::is_floating_point", [dividend], {}, at)
        either = self.branches(floats, lambda: self.constant(True, at), other_floats, at)
        return self.branches(
            either,
            lambda: self.call_operator(name, pair, {}, at, upgraded=True),
            lambda: self.call_operator(name, pair, {"rounding_mode": self.constant("trunc", at)}, at, upgraded=True),
            at,
        )

    def _packed(self, outputs: list[Value], plan: script_match.Plan, at: ast.AST) -> Value:
        type = Type("Tuple", tuple(out.type for out in outputs), fields=plan.schema.fields)
        return self.add("prim::TupleConstruct", outputs, at).output(type)

    def _unknown(self, name: str, args: list[Value], kwargs: dict[str, Value], at: ast.AST) -> Value:
        """An operator that torch 2.13 has not, or not for these arguments: a custom one, or one of another version."""
        node = self.add(name, [*args, *kwargs.values()], at)
        returns = {schema.returns for schema in schemas(name)}
        known = next(iter(returns)) if len(returns) == 1 else ()
        return node.output(known[0] if len(known) == 1 and not has_variables(known[0]) else UNKNOWN)

    def _arguments(self, signature: Signature, args: list[Value], kwargs: dict[str, Value], name: str, at: ast.AST) -> list[Value]:
        """A call's arguments in the order of the signature, converted, defaults filled in."""
        given = list(args)
        if len(given) > len(signature.names):
            self.refuse(at, f"'{name}' takes {len(signature.names)} arguments and is given {len(given)}")
        left = dict(kwargs)
        for word, default in zip(signature.names[len(given) :], signature.defaults[len(given) :], strict=True):
            if word in left:
                given.append(left.pop(word))
            elif default is not None:
                given.append(self.literal(default, signature.types[len(given)], at))
            else:
                self.refuse(at, f"'{name}' is called without its argument '{word}'")
        if left:
            self.refuse(at, f"'{name}' has no argument '{next(iter(left))}'")
        return [self.as_type(value, type, at) for value, type in zip(given, signature.types, strict=True)]

    def literal(self, node: ast.expr, wanted: Type, at: ast.AST) -> Value:
        """A default or a class's constant: an expression of another place that is a constant here."""
        value = self._literal_value(node, at)
        if wanted.kind == "float" and isinstance(value, int):
            value = float(value)
        plain = isinstance(value, (bool, int, float, complex)) or (isinstance(value, str) and wanted.kind == "str")
        return self.graph.constant(value, self.at(at), None if plain else wanted if value is not None else NONE)

    def _literal_value(self, node: ast.expr, at: ast.AST) -> Any:
        match node:
            case ast.Constant(value=None | bool() | int() | float() | complex() | str() as value):
                return value
            case ast.UnaryOp(op=ast.USub()):
                value = self._literal_value(node.operand, at)
                if isinstance(value, (int, float, complex)):
                    return -value
            case ast.List() | ast.Tuple():
                return tuple(self._literal_value(each, at) for each in node.elts)
            case ast.Dict():
                pairs = zip(node.keys, node.values, strict=True)
                return tuple((self._literal_value(k, at), self._literal_value(v, at)) for k, v in pairs if k is not None)
            case ast.Name(id="inf" | "nan"):
                return float(node.id)
            case ast.Call(args=[ast.Constant(value=str() as device)]):  # torch.device("cpu")
                return device
            case ast.Call(args=[_, inner]):  # annotate(List[int], [])
                return self._literal_value(inner, at)
            case ast.Attribute() if (name := dotted(node)) is not None:
                return name
        self.refuse(at, "a default is no constant")

    def _methods(self, type: Type) -> dict[str, ast.FunctionDef]:
        held = self.library.classes.get(type.name)
        return {} if held is None else held.methods

    def method_returns(self, type: Type, method: str) -> Type:
        definition = self._methods(type).get(method)
        if definition is None:
            return UNKNOWN
        return self.library.signature(self.library.classes[type.name].file, definition, method=True).returns

    def call_method(self, owner: Value, name: str, args: list[Value], kwargs: dict[str, Value], at: ast.AST) -> Value:
        definition = self._methods(owner.type).get(name)
        if definition is None:
            if owner.type.kind in ("class", "interface") and owner.type.name in self.library.classes:
                self.refuse(at, f"'{owner.type}' has no method '{name}'")
            inputs, returns = [*args, *kwargs.values()], UNKNOWN
        else:
            signature = self.library.signature(self.library.classes[owner.type.name].file, definition, method=True)
            inputs, returns = self._arguments(signature, args, kwargs, name, at), signature.returns
        node = self.add("prim::CallMethod", [owner, *inputs], at)
        node.attrs["name"] = name
        return node.output(returns)

    def function_signature(self, name: str, at: ast.AST) -> Signature:
        found = self.library.function(name)
        if found is None:
            self.refuse(at, f"the function '{name}' is not in the archive")
        return self.library.signature(*found, method=False)

    def function_constant(self, name: str, at: ast.AST) -> Value:
        return self.graph.constant(name, self.at(at), Type("function", name=name))

    def call_function(self, name: str, args: list[Value], kwargs: dict[str, Value], at: ast.AST) -> Value:
        signature = self.function_signature(name, at)
        inputs = self._arguments(signature, args, kwargs, name, at)
        return self.add("prim::CallFunction", [self.function_constant(name, at), *inputs], at).output(signature.returns)

    def _named_tuple(self, type: Type, args: list[Value], kwargs: dict[str, Value], at: ast.AST) -> Value:
        signature = Signature(type.fields, type.args, (None,) * len(type.args), type)
        return self.add("prim::TupleConstruct", self._arguments(signature, args, kwargs, type.name, at), at).output(type)

    def get_attribute(self, owner: Value, name: str, type: Type, at: ast.AST) -> Value:
        node = self.add("prim::GetAttr", [owner], at)
        node.attrs["name"] = name
        return node.output(type)

    def constant_types(self, held: Any) -> Type:
        """The type of an entry of the constant table that is no number and no text."""
        if isinstance(held, TensorRecord):
            return TENSOR
        if isinstance(held, list):
            return list_of(self.constant_types(held[0]) if held and not isinstance(held[0], (int, float, str)) else UNKNOWN)
        name = getattr(held, "type_name", None)
        return UNKNOWN if name is None else self.library.named_type(name) or Type("class", name=name)


def _close(graph: ScriptGraph, node: Node) -> None:
    """Make what a graph uses from around it its inputs, and the constants it uses its own."""
    own: set[Value] = set()
    taken: dict[Value, Value] = {}

    def inside(value: Value) -> Value:
        value = real(value)
        if value in own:
            return value
        if is_constant(value) and value.type.kind not in ("int", "float"):  # torch makes numbers at the start of the whole function
            assert value.node is not None
            return graph.constant(value.node.attrs["value"], value.node.at, value.type)
        if value not in taken:
            node.inputs.append(value)
            taken[value] = graph.block.input(value.type, value.name)
        return taken[value]

    def block(each: Block) -> None:
        own.update(each.inputs)
        for inner in each.nodes:
            inner.inputs = [inside(value) for value in inner.inputs]
            for nested in inner.blocks:
                block(nested)
            own.update(inner.outputs)
        each.outputs = [inside(value) for value in each.outputs]

    block(graph.block)


__all__ = ["Calls"]
