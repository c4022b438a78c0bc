"""Lowers the code of one TorchScript function into its graph, as torch's own importer does (``ir_emitter.cpp``)."""

from __future__ import annotations

import ast
import re
from typing import Any, TypeAlias

from graphlab.capture.torch.script_expressions import Expressions
from graphlab.capture.torch.script_ir import Block, Node, ScriptGraph, Value, constant_of, is_constant
from graphlab.capture.torch.script_passes import clean
from graphlab.capture.torch.script_source import CodeFile, Library, spelt
from graphlab.capture.torch.script_types import ANY, INT, TENSOR, Type, unify

_FOREVER = (1 << 63) - 1
_UNNAMED = re.compile(r"_\d+$|_$")

Sugared: TypeAlias = Any


class Emitter(Expressions):
    """One function being lowered. ``self.frames`` are its variables, the innermost block's last."""

    def __init__(self, library: Library, file: CodeFile, constants: tuple[Any, ...], graph: ScriptGraph) -> None:
        super().__init__(library, file, constants, graph)
        self.returned: Value | None = None

    def function(self, definition: ast.FunctionDef, owner: Type | None) -> None:
        """Lower a function or, where ``owner`` is its class, a method."""
        signature = self.library.signature(self.file, definition, method=owner is not None)
        self.frames.append({})
        if owner is not None:
            if not definition.args.args:
                self.refuse(definition, f"the method '{definition.name}' takes no self")
            name = spelt(definition.args.args[0].arg)
            self.frames[-1][name] = self.block.input(owner, name)
        for name, type in zip(signature.names, signature.types, strict=True):
            self.frames[-1][name] = self.block.input(type, name)
        self.result_type = signature.returns
        self.body(definition.body)
        if self.returned is None:
            self.returned = self.constant(None, definition)
        self.graph.block.outputs = [self.returned]
        clean(self.graph)

    # -- statements

    def body(self, statements: list[ast.stmt]) -> bool:
        """Lower statements; whether they end in a return or raise."""
        return any(self._statement(statement) for statement in statements)  # the first that leaves ends it

    def _statement(self, statement: ast.stmt) -> bool:
        match statement:
            case ast.Assign():
                self._assign(statement)
            case ast.AnnAssign(value=ast.expr() as value, target=ast.Name() as target):
                type = self.library.annotation(statement.annotation, self.file)
                made = self.expression(value, hint=type)
                self.store(target.id, self.as_type(made, type, statement), statement)
            case ast.Expr():
                self.sugared(statement.value)
            case ast.If():
                return self._if(statement)
            case ast.For():
                self._for(statement)
            case ast.While():
                self._while(statement)
            case ast.Return():
                self._return(statement)
                return True
            case ast.Pass():
                pass
            case ast.With():
                return self._with(statement)
            case ast.FunctionDef():
                self.frames[-1][statement.name] = ("closure", statement, list(self.frames))
            case ast.Raise():
                self._raise(statement)
                return True
            case ast.Assert():
                self._assert(statement)
            case ast.AugAssign(target=ast.Name() as target):
                made = self.expression(
                    ast.copy_location(ast.BinOp(ast.copy_location(ast.Name(target.id), target), statement.op, statement.value), statement)
                )
                self.store(target.id, made, statement)
            case ast.Delete(targets=[ast.Subscript() as target]):
                held, index = self.expression(target.value), self.expression(target.slice)
                self.add("aten::Delete", [held, index], statement)
            case _:
                self.refuse(statement, f"a statement of the kind {type_name(statement)} is not read")
        return False

    def store(self, name: str, value: Sugared, at: ast.AST) -> None:
        name = spelt(name)
        self.frames[-1][name] = value
        if isinstance(value, Value) and not value.name and not is_constant(value) and not _UNNAMED.match(name):
            value.name = name

    def _assign(self, statement: ast.Assign) -> None:
        if len(statement.targets) != 1:
            self.refuse(statement, "an assignment to several targets at once is not read")
        target = statement.targets[0]
        value = statement.value
        if isinstance(target, ast.Tuple):
            names = target.elts
            if isinstance(value, ast.Tuple) and len(value.elts) == len(names):
                made: list[Sugared] = [self.expression(each) for each in value.elts]
            else:
                made = list(self.unpacked(self.expression(value), len(names), statement))
            for each, part in zip(names, made, strict=True):
                self._target(each, part, statement)
        else:
            self._target(target, self.sugared(value), statement)

    def _target(self, target: ast.expr, value: Sugared, statement: ast.stmt) -> None:
        match target:
            case ast.Name():
                self.store(target.id, value, statement)
            case ast.Attribute():
                owner = self.expression(target.value)
                node = self.add("prim::SetAttr", [owner, self.value(value, statement)], statement)
                node.attrs["name"] = spelt(target.attr)
            case ast.Subscript():
                held, index = self.expression(target.value), self.expression(target.slice)
                self.call_operator("aten::_set_item", [held, index, self.value(value, statement)], {}, statement)
            case _:
                self.refuse(target, "this cannot be assigned to")

    def _return(self, statement: ast.Return) -> None:
        if len(self.frames) > self.depth_of_function:
            self.refuse(statement, "it returns from within a branch or loop, as torch does not write it")
        made = self.constant(None, statement) if statement.value is None else self.expression(statement.value, hint=self.result_type)
        wanted = self.result_type
        if not (wanted == TENSOR and made.type.kind == "NoneType"):
            made = self.as_type(made, wanted, statement)
        if wanted == ANY and made.type != ANY:
            made = self.cast(made, ANY, statement)
        self.returned = made

    # -- branches

    def _if(self, statement: ast.If) -> bool:
        condition, refined = self.condition(statement.test)
        if is_constant(condition):
            chosen = bool(constant_of(condition))
            if chosen:
                self._refine(refined, statement)
            return self.body(statement.body if chosen else statement.orelse)
        node = self.add("prim::If", [condition], statement)
        frames: list[dict[str, Sugared]] = []
        exits: list[bool] = []
        for branch, known in ((statement.body, refined), (statement.orelse, None)):
            block = Block()
            node.blocks.append(block)
            outer, self.block = self.block, block
            self.frames.append({})
            self._refine(known, statement)
            exits.append(self.body(branch))
            frames.append(self.frames.pop())
            self.block = outer
        if all(exits):
            return True
        for name in sorted(frames[0].keys() | frames[1].keys()):
            self._merge(node, name, frames, exits)
        return False

    def _merge(self, node: Node, name: str, frames: list[dict[str, Sugared]], exits: list[bool]) -> None:
        """What a variable is behind a branch, where both ways set it."""
        found = [frame.get(name, self.lookup(name)) for frame in frames]
        for i, left in enumerate(exits):
            other = found[1 - i]
            if left and isinstance(other, Value):
                block = node.blocks[i]
                empty = Node("prim::Uninitialized", [], node.at)
                block.nodes.append(empty)
                found[i] = empty.output(other.type)
        a, b = found
        if not isinstance(a, Value) or not isinstance(b, Value):
            return
        both = unify(a.type, b.type)
        if both is None:
            return
        node.blocks[0].outputs.append(a)
        node.blocks[1].outputs.append(b)
        self.frames[-1][name] = node.output(both, "" if _UNNAMED.match(name) else name)

    def _refine(self, refined: tuple[str, Type] | None, at: ast.AST) -> None:
        if refined is not None:
            held = self.lookup(refined[0])
            if isinstance(held, Value) and held.type != refined[1]:
                self.store(refined[0], self.cast(held, refined[1], at), at)

    # -- loops

    def _for(self, statement: ast.For) -> None:
        call = statement.iter
        if not (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Name)
            and call.func.id == "range"
            and len(call.args) == 1
            and isinstance(statement.target, ast.Name)
        ):
            self.refuse(statement, "a loop over something other than range(n), as torch does not write it")
        count = self.expression(call.args[0])
        start = self.constant(True, statement)
        self._loop(statement, count, start, statement.target.id, None)

    def _while(self, statement: ast.While) -> None:
        start = self.to_bool(self.expression(statement.test), statement)
        self._loop(statement, self.constant(_FOREVER, statement), start, None, statement.test)

    def _loop(self, statement: ast.For | ast.While, count: Value, start: Value, index: str | None, test: ast.expr | None) -> None:
        carried = [(name, held) for name in sorted(_assigned(statement.body)) if isinstance(held := self.lookup(name), Value)]
        if index is not None and index not in dict(carried) and isinstance(held := self.lookup(index), Value):
            carried.append((index, held))
        node = self.add("prim::Loop", [count, start, *(held for _, held in carried)], statement)
        body = Block()
        node.blocks.append(body)
        trip = body.input(INT)
        frame: dict[str, Sugared] = {name: body.input(held.type, "" if _UNNAMED.match(name) else name) for name, held in carried}
        outer, self.block = self.block, body
        self.frames.append(frame)
        if index is not None:
            self.store(index, trip, statement)
        self.body(statement.body)
        more = start if test is None else self.to_bool(self.expression(test), statement)
        ended = self.frames.pop()
        self.block = outer
        body.outputs = [more]
        for name, held in carried:
            last = ended[name]
            if not isinstance(last, Value):
                self.refuse(statement, f"'{name}' is no value any more at the end of the loop")
            body.outputs.append(last)
            both = unify(held.type, last.type) or held.type
            body.inputs[len(body.outputs) - 1].type = both
            self.frames[-1][name] = node.output(both, "" if _UNNAMED.match(name) else name)

    # -- the rest

    def _with(self, statement: ast.With) -> bool:
        entered: list[Value] = []
        for item in statement.items:
            held = self.expression(item.context_expr)
            node = self.add("prim::Enter", [held], statement)
            out = node.output(self.method_returns(held.type, "__enter__"))
            entered.append(held)
            if isinstance(item.optional_vars, ast.Name):
                self.store(item.optional_vars.id, out, statement)
        ended = self.body(statement.body)
        for held in reversed(entered):
            self.add("prim::Exit", [held], statement).output(TENSOR)
        return ended

    def _raise(self, statement: ast.Raise) -> None:
        given = statement.exc
        message: Value = self.constant("", statement)
        if isinstance(given, ast.Call) and len(given.args) == 1:
            message = self.expression(given.args[0])
        self.call_operator("prim::RaiseException", [message], {}, statement)

    def _assert(self, statement: ast.Assert) -> None:
        call = ast.Call(ast.Name("AssertionError"), [statement.msg or ast.copy_location(ast.Constant(""), statement)], [])
        failed = ast.copy_location(ast.Raise(ast.copy_location(call, statement), None), statement)
        branch = ast.If(statement.test, [], [failed])
        self._if(ast.copy_location(branch, statement))


def _assigned(statements: list[ast.stmt]) -> set[str]:
    """Names that statements assign to, those in nested blocks too."""
    found: set[str] = set()
    pending = list(statements)
    while pending:
        statement = pending.pop()
        match statement:
            case ast.Assign():
                for target in statement.targets:
                    found.update(spelt(e.id) for e in ast.walk(target) if isinstance(e, ast.Name) and isinstance(e.ctx, ast.Store))
            case ast.AnnAssign(target=ast.Name() as target) | ast.AugAssign(target=ast.Name() as target):
                found.add(spelt(target.id))
            case ast.If() | ast.While():
                pending += statement.body + statement.orelse
            case ast.For():
                if isinstance(statement.target, ast.Name):
                    found.add(spelt(statement.target.id))
                pending += statement.body
            case ast.With():
                found.update(spelt(i.optional_vars.id) for i in statement.items if isinstance(i.optional_vars, ast.Name))
                pending += statement.body
    return found


def type_name(node: ast.AST) -> str:
    return type(node).__name__
