"""Findings: what an analysis has to say, as data. Rendering lives in ``graphlab.render``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from graphlab.ir.frames import Frame
from graphlab.ir.frozen import EMPTY, FrozenDict
from graphlab.ir.program import NodeRef


class Severity(IntEnum):
    """How much a finding matters. ``NOTE`` informs; a gate (``--fail-on``) counts from a chosen level."""

    NOTE = 1
    WARNING = 2
    ERROR = 3


@dataclass(frozen=True, slots=True)
class Rule:
    """A kind of finding. Its page is ``graphlab/pages/<code>.md``."""

    code: str
    name: str
    severity: Severity
    summary: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found.

    Attributes:
        code: the rule's code, ``GL101``.
        message: one terse sentence.
        nodes: the nodes concerned, the most telling first.
        where: the source line to look at.
        do: what the user can do about it.
        data: the facts behind the message, for machines.
    """

    code: str
    message: str
    nodes: tuple[NodeRef, ...] = ()
    where: Frame | None = None
    do: str = ""
    data: FrozenDict[str, Any] = field(default=EMPTY)

    @property
    def rule(self) -> Rule:
        return RULES[self.code]

    @property
    def severity(self) -> Severity:
        return self.rule.severity


def _rules(*rules: Rule) -> Mapping[str, Rule]:
    return {rule.code: rule for rule in rules}


N, W, E = Severity.NOTE, Severity.WARNING, Severity.ERROR

# GL0xx the IR itself, GL1xx capture, GL2xx control flow, GL3xx constant folding, GL4xx compile results, GL5xx compile logs.
RULES: Mapping[str, Rule] = _rules(
    Rule("GL001", "slot-fed-twice", E, "An operand slot is fed by more than one value."),
    Rule("GL002", "slot-not-fed", E, "An operand slot below another one is fed by nothing."),
    Rule("GL003", "port-out-of-range", E, "An edge leaves by an output its node does not have."),
    Rule("GL004", "unknown-callee", E, "A node uses a graph that the program does not hold."),
    Rule("GL005", "callee-arity", E, "A call does not fit the inputs or outputs of the graph it uses."),
    Rule("GL006", "not-one-output-node", E, "A graph has no output node, or several."),
    Rule("GL007", "malformed-node", E, "A node's attributes are missing, of the wrong type or mutable."),
    Rule("GL008", "unknown-frame", E, "A node's source frame is not in the frame table."),
    Rule("GL009", "input-numbering", E, "A graph's inputs are not numbered 0, 1, 2 …, or do not fit its signature."),
    Rule("GL010", "malformed-edge", E, "An edge's attributes and key disagree, or it enters a node that takes no operands."),
    Rule("GL101", "capture-failed", N, "A way to capture the model does not work on it."),
    Rule("GL102", "trace-baked-random", E, "Tracing baked a random draw into the graph."),
    Rule("GL103", "trace-lost-control-flow", E, "Tracing unrolled a loop or kept one side of a branch."),
    Rule("GL104", "tracer-warning", W, "The tracer turned a value of the example into a constant."),
    Rule("GL105", "trace-check-failed", E, "The framework's own check of the trace failed: made or run again, it differs."),
    Rule("GL106", "trace-fixed-shape-branch", W, "Tracing kept one side of a branch that the input's shape decides."),
    Rule("GL107", "baked-argument", N, "The capture fixed an argument that is no tensor: the graph holds for that value alone."),
    Rule("GL108", "python-code", W, "A part of the file is Python code that graphlab neither reads nor runs."),
    Rule("GL109", "missing-weights", W, "Weights that the file refers to are not there: they have no values."),
    Rule("GL201", "random-predicate", W, "A branch or loop is decided by a random draw."),
    Rule("GL202", "data-dependent-predicate", N, "A branch or loop is decided by the values of an input."),
    Rule("GL203", "shape-dependent-loop", N, "A loop's trip count depends on an input's shape."),
    Rule("GL204", "constant-predicate", W, "A branch is decided by constants alone: one side never runs."),
    Rule("GL205", "state-predicate", N, "A branch or loop is decided by the model's state: parameters, variables, values changed within."),
    Rule("GL206", "outside-predicate", N, "A branch or loop is decided outside the graph: by an opaque op, the host, another device."),
    Rule("GL301", "foldable", N, "A subgraph depends on constants alone and is computed at every run."),
    Rule("GL302", "folding-blocked", N, "Constants meet an operation that keeps them from being folded."),
    Rule("GL303", "folding-grows", W, "Folding made, or would make, the program's constants much larger."),
    Rule("GL401", "compile-failed", E, "A compiler crashed on the program or ran past its limits."),
    Rule("GL402", "not-fused", N, "Operations that could share a kernel ended in several."),
    Rule("GL403", "widened", W, "The compiled program computes in a wider type than the model's own."),
    Rule("GL404", "not-compiled", N, "The program is outside what a compiler takes."),
    Rule("GL501", "graph-break", W, "Dynamo could not trace past a line: the function was cut in two there."),
    Rule("GL502", "recompiled", W, "A function was compiled again, because a guard of the earlier compile failed."),
    Rule("GL503", "frame-not-compiled", E, "A function could not be compiled, and torch.compile raised or fell back to eager."),
    Rule("GL504", "cache-bypassed", N, "A compile cannot be cached, and is done anew in every process."),
    Rule("GL505", "data-dependent-guess", W, "Export took a condition on data to be what it is for the example inputs."),
    Rule("GL506", "fake-kernel", W, "A custom operator's fake kernel is missing, or disagrees with the real one."),
    Rule("GL507", "trace-restarted", N, "Dynamo began to trace a function anew."),
    Rule("GL508", "damaged-log", W, "Lines of a compile log could not be read."),
)  # fmt: skip
