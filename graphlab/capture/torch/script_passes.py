"""What torch does to a graph that it compiled, so that the same nodes are left.

In torch's order (``runCleanupPasses``): tuples that are made and taken apart again are taken out, what
depends on constants alone is computed (values that cannot be written to, only), what nothing uses is dropped.
"""

from __future__ import annotations

from typing import Any

from graphlab.capture.torch.script_folding import NOT_FOLDED, fold
from graphlab.capture.torch.script_ir import Block, Node, ScriptGraph, Value, constant_of, is_constant, real
from graphlab.capture.torch.script_types import is_mutable

# Node::hasSideEffects of torch/csrc/jit/ir/ir.cpp
_SIDE_EFFECTS = frozenset(
    {
        "prim::PythonOp", "prim::IgnoredPythonOp", "prim::Print", "prim::RaiseException", "prim::SetAttr", "aten::warn", "aten::save",
        "aten::manual_seed", "prim::AddStatValue", "prim::TimePoint", "prim::CallFunction", "prim::CallMethod", "prim::Enter",
        "prim::Exit", "prim::rpc_async", "prim::rpc_sync", "prim::rpc_remote", "aten::wait", "aten::_set_item", "aten::Delete",
        "aten::backward",
    }
)  # fmt: skip
_OWN_DIALECTS = ("aten", "prim", "prims", "quantized", "_quantized", "mkldnn")
_NEVER_RUN = frozenset(
    {"prim::If", "prim::Loop", "prim::Constant", "prim::AutogradZero", "prim::Uninitialized", "prim::unchecked_unwrap_optional"}
)


def clean(graph: ScriptGraph) -> None:
    """All of torch's clean-up passes, in its order."""
    _lower_tuples(graph.block)
    drop_dead(graph)
    if _Folder(graph).run():
        drop_dead(graph)
    _Orderer().block(graph.block)


def _lower_tuples(block: Block) -> None:
    """``x, y = (a, b)`` is a and b."""
    for node in block.nodes:
        if node.kind in ("prim::TupleUnpack", "prim::TupleIndex", "prim::TupleSlice"):
            made = real(node.inputs[0]).node
            if made is not None and made.kind == "prim::TupleConstruct":
                if node.kind == "prim::TupleUnpack":
                    for out, value in zip(node.outputs, made.inputs, strict=False):
                        out.forward = real(value)
                elif node.kind == "prim::TupleIndex":
                    index = real(node.inputs[1])
                    if is_constant(index):
                        number = constant_of(index)
                        if -len(made.inputs) <= number < len(made.inputs):
                            node.outputs[0].forward = real(made.inputs[number])
        for inner in node.blocks:
            _lower_tuples(inner)


class _Folder:
    """Constant propagation over immutable types."""

    def __init__(self, graph: ScriptGraph) -> None:
        self.graph = graph
        self.changed = False

    def run(self) -> bool:
        self._block(self.graph.block)
        return self.changed

    def _block(self, block: Block) -> None:
        kept: list[Node] = []
        for node in block.nodes:
            self._node(node, kept)
        block.nodes = kept

    def _node(self, node: Node, kept: list[Node]) -> None:
        node.inputs = inputs = [real(value) for value in node.inputs]
        kind = node.kind
        if kind == "prim::If":
            if is_constant(inputs[0]):
                chosen = node.blocks[0 if constant_of(inputs[0]) else 1]
                self._block(chosen)
                kept += chosen.nodes
                for out, value in zip(node.outputs, chosen.outputs, strict=True):
                    out.forward = real(value)
                self.changed = True
                return
            for block in node.blocks:
                self._block(block)
            self._same_in_both(node)
        elif kind == "prim::Loop":
            trips, start = inputs[0], inputs[1]
            if (is_constant(trips) and constant_of(trips) <= 0) or (is_constant(start) and not constant_of(start)):
                for out, value in zip(node.outputs, inputs[2:], strict=True):
                    out.forward = value
                self.changed = True
                return
            self._block(node.blocks[0])
            self._unchanged(node)
        elif node.blocks:
            for block in node.blocks:
                self._block(block)
        elif all(map(is_constant, inputs)) and self._fold(node):
            return
        kept.append(node)

    def _fold(self, node: Node) -> bool:
        if node.kind in _NEVER_RUN or len(node.outputs) != 1 or has_side_effects(node):
            return False
        if any(is_mutable(value.type) for value in (*node.inputs, *node.outputs)):
            return False
        made = fold(node.kind, node.outputs[0].type, node.attrs, [constant_of(value) for value in node.inputs])
        if made is NOT_FOLDED:
            return False
        result = node.outputs[0].type
        type = result if made is None or isinstance(made, tuple) or result.kind in ("Device", "enum") else None
        node.outputs[0].forward = self.graph.constant(made, node.at, type)
        self.changed = True
        return True

    def _same_in_both(self, node: Node) -> None:
        then, other = node.blocks
        for i in reversed(range(len(node.outputs))):
            a, b = real(then.outputs[i]), real(other.outputs[i])
            if a is b:
                node.outputs[i].forward = a
                del node.outputs[i], then.outputs[i], other.outputs[i]
                self.changed = True

    def _unchanged(self, node: Node) -> None:
        body = node.blocks[0]
        for i in reversed(range(len(node.outputs))):
            if real(body.outputs[i + 1]) is body.inputs[i + 1]:
                outer = real(node.inputs[i + 2])
                node.outputs[i].forward = outer
                body.inputs[i + 1].forward = outer
                del node.outputs[i], node.inputs[i + 2], body.inputs[i + 1], body.outputs[i + 1]
                self.changed = True


def has_side_effects(node: Node) -> bool:
    """Whether it has to stay though nothing uses its results. Custom operators may do anything."""
    if node.kind in _SIDE_EFFECTS or (node.schema is not None and node.schema.mutable):
        return True
    return node.schema is None and (node.kind.partition("::")[0] not in _OWN_DIALECTS or node.kind.startswith("aten::"))


def drop_dead(graph: ScriptGraph) -> None:
    """Take out what neither the results nor a side effect depend on, and results of branches and loops that nothing uses."""
    _Dead(graph).run()


class _Dead:
    """``DeadCodeEliminator`` of torch, where every write to memory counts as a side effect."""

    def __init__(self, graph: ScriptGraph) -> None:
        self.graph = graph
        self.live: set[Value] = set()
        self.marked: set[Node] = set()
        self.effects: dict[Node, bool] = {}

    def run(self) -> None:
        self._mark_values(self.graph.block.outputs)
        self._mark_block(self.graph.block)
        self._sweep(self.graph.block)
        self.graph.constants = {key: node for key, node in self.graph.constants.items() if node.outputs[0] in self.live}

    def _mark_values(self, values: list[Value]) -> None:
        self.live.update(map(real, values))

    def _has_effects(self, node: Node) -> bool:
        known = self.effects.get(node)
        if known is None:
            known = has_side_effects(node) or any(self._has_effects(inner) for block in node.blocks for inner in block.nodes)
            self.effects[node] = known
        return known

    def _mark_block(self, block: Block) -> bool:
        changed = False
        for node in reversed(block.nodes):
            if node.kind == "prim::Loop":
                while self._mark_loop(node):
                    changed = True
            elif node.blocks:
                for inner in node.blocks:
                    if node.kind == "prim::If":
                        changed |= self._need(v for v, out in zip(inner.outputs, node.outputs, strict=True) if out in self.live)
                    else:
                        changed |= self._need(iter(inner.outputs))
                    changed |= self._mark_block(inner)
            if node not in self.marked and (self._has_effects(node) or any(out in self.live for out in node.outputs)):
                self.marked.add(node)
                changed = True
                self._mark_values(node.inputs if node.kind != "prim::Loop" else node.inputs[:2])
        return changed

    def _need(self, values: Any) -> bool:
        before = len(self.live)
        self.live.update(map(real, values))
        return len(self.live) != before

    def _mark_loop(self, node: Node) -> bool:
        body = node.blocks[0]
        changed = False
        if node in self.marked or self._has_effects(node) or any(out in self.live for out in node.outputs):
            changed = self._need([body.outputs[0]])
        for i, out in enumerate(node.outputs):
            if out in self.live or body.inputs[i + 1] in self.live:
                changed |= self._need([body.outputs[i + 1], node.inputs[i + 2]])
        return self._mark_block(body) or changed

    def _sweep(self, block: Block) -> None:
        kept: list[Node] = []
        for node in block.nodes:
            if node not in self.marked:
                continue
            if node.kind == "prim::If":
                for i in reversed(range(len(node.outputs))):
                    if node.outputs[i] not in self.live:
                        del node.outputs[i], node.blocks[0].outputs[i], node.blocks[1].outputs[i]
            elif node.kind == "prim::Loop":
                body = node.blocks[0]
                for i in reversed(range(len(node.outputs))):
                    if node.outputs[i] not in self.live and body.inputs[i + 1] not in self.live:
                        del node.outputs[i], node.inputs[i + 2], body.inputs[i + 1], body.outputs[i + 1]
            for inner in node.blocks:
                self._sweep(inner)
            kept.append(node)
        block.nodes = kept


class _Orderer:
    """Orders the results of branches and loops by where they are first used (``CanonicalizeOutputs``): backwards through the graph."""

    def __init__(self) -> None:
        self.first: dict[Value, int] = {}
        self.at = 0

    def _use(self, values: list[Value]) -> None:
        for value in reversed(values):
            self.at -= 1
            self.first[real(value)] = self.at

    def block(self, block: Block) -> None:
        self._use(block.outputs)
        for node in reversed(block.nodes):
            if node.blocks:
                self._order(node)
                for inner in reversed(node.blocks):
                    self.block(inner)
            self._use(node.inputs)

    def _order(self, node: Node) -> None:
        order = sorted(range(len(node.outputs)), key=lambda i: self.first.get(node.outputs[i], 1))
        node.outputs[:] = [node.outputs[i] for i in order]
        if node.kind == "prim::Loop":
            body = node.blocks[0]
            node.inputs[2:] = [node.inputs[i + 2] for i in order]
            body.inputs[1:] = [body.inputs[i + 1] for i in order]
            body.outputs[1:] = [body.outputs[i + 1] for i in order]
        else:
            for inner in node.blocks:
                inner.outputs[:] = [inner.outputs[i] for i in order]
