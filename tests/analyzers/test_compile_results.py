"""Compile results on small programs whose outcome is known by hand; the compiler is XLA where one is needed."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

import graphlab
from graphlab.analyzers import compile_results
from graphlab.analyzers.compile_results import Options, Result, analyze, failure
from graphlab.capture.xla.hlo_text import parse_hlo
from graphlab.compilers.results import Absent, Compiled, Measured, Stage
from graphlab.errors import CompileError
from graphlab.findings import Severity
from graphlab.ir.program import NodeRef, Program


def compiled(*stages: tuple[str, Program]) -> Compiled:
    """A compile of which only the stages count, by the passes that made them."""

    def load(program: Program) -> Callable[[], Program]:
        return lambda: program

    return Compiled("xla", "cpu", "test", tuple(Stage(name, load(p), name) for name, p in stages), {"kernels": Measured(2, "kernels")})


def module(body: str, *computations: str) -> Program:
    return parse_hlo("HloModule m\n\n" + "\n\n".join(computations) + f"\n\nENTRY %main {{\n{body}\n}}\n")


FUSED = """%fused (a: f32[4], b: f32[4]) -> f32[4] {
  %a = f32[4]{0} parameter(0)
  %b = f32[4]{0} parameter(1)
  %s = f32[4]{0} add(%a, %b), metadata={op_name="f/add" source_file="model.py" source_line=3}
  ROOT %t = f32[4]{0} tanh(%s), metadata={op_name="f/tanh" source_file="model.py" source_line=4}
}"""
PLAIN = module("  %x = f32[4]{0} parameter(0)\n  %s = f32[4]{0} add(%x, %x)\n  ROOT %t = f32[4]{0} tanh(%s)")


def test_operations_are_counted_before_and_after() -> None:
    after = module("  %x = f32[4]{0} parameter(0)\n  ROOT %f = f32[4]{0} fusion(%x, %x), kind=kLoop, calls=%fused", FUSED)
    rows = {row.op: (row.before, row.after) for row in analyze(compiled(("", PLAIN), ("XLA", after))).ops}
    assert rows == {"hlo.add": (1, 1), "hlo.tanh": (1, 1), "hlo.fusion": (0, 1)}


def test_a_fusion_lists_its_operations_and_lines() -> None:
    after = module("  %x = f32[4]{0} parameter(0)\n  ROOT %f = f32[4]{0} fusion(%x, %x), kind=kLoop, calls=%fused", FUSED)
    (fusion,) = analyze(compiled(("", PLAIN), ("XLA", after))).fusions
    assert fusion.kind == "loop"
    assert fusion.ops == ("hlo.add", "hlo.tanh")
    assert [str(line) for line in fusion.lines] == ["model.py:3", "model.py:4"]


FOLDABLE = """  %x = f32[4]{0} parameter(0)
  %c = f32[4]{0} constant({1, 2, 3, 4})
  %s = f32[4]{0} sine(%c)
  %n = f32[4]{0} negate(%x)
  ROOT %a = f32[4]{0} add(%n, %s)"""
FOLDED = """  %x = f32[4]{0} parameter(0)
  %c = f32[4]{0} constant({0.8, 0.9, 0.1, -0.7})
  ROOT %a = f32[4]{0} subtract(%c, %x)"""


def test_folding_counts_what_depended_on_constants_alone() -> None:
    result = analyze(compiled(("", module(FOLDABLE)), ("constant_folding", module(FOLDED))))
    (folding,) = result.foldings
    assert folding.done.removed == {"hlo.sine": 1}  # not the negate, which algebra removed
    assert [part.nodes for part in folding.done.done] == [(NodeRef("main", "s"),)]
    assert (folding.done.constants_before, folding.done.constants_after) == ((1, 16), (1, 16))


def test_other_passes_are_not_called_folding() -> None:
    assert analyze(compiled(("", module(FOLDABLE)), ("algsimp", module(FOLDED)))).foldings == ()


def test_constants_that_grow_by_folding_are_a_finding() -> None:
    small = module("  %c = f32[] constant(1)\n  %b = f32[1024]{0} broadcast(%c), dimensions={}\n  ROOT %n = f32[1024]{0} negate(%b)")
    large = module("  ROOT %c = f32[1024]{0} constant({...})")
    stages = compiled(("", small), ("constant_folding", large))
    (finding,) = analyze(stages, Options(growth_bytes=1024)).findings
    assert finding.code == "GL303"
    assert finding.data["bytes_before"] == 4
    assert finding.data["bytes_after"] == 4096
    assert analyze(stages).findings == ()


def typed(dtype: str, *, convert: bool) -> Program:
    at = 'metadata={op_name="f/tanh" source_file="model.py" source_line=7}'
    if not convert:
        return module(f"  %x = {dtype}[4]{{0}} parameter(0)\n  ROOT %t = {dtype}[4]{{0}} tanh(%x), {at}")
    return module(
        f"  %x = {dtype}[4]{{0}} parameter(0)\n  %w = f32[4]{{0}} convert(%x)\n  %t = f32[4]{{0}} tanh(%w), {at}\n"
        f"  ROOT %r = {dtype}[4]{{0}} convert(%t)"
    )


@pytest.mark.parametrize("dtype", ["bf16", "f16"])
def test_an_operation_computed_in_a_wider_type_is_a_finding_with_its_line(dtype: str) -> None:
    result = analyze(compiled(("", typed(dtype, convert=False)), ("XLA", typed(dtype, convert=True))))
    (widened,) = result.widened
    assert (widened.op, widened.now, widened.nodes) == ("hlo.tanh", "float32", (NodeRef("main", "t"),))
    (finding,) = (f for f in result.findings if f.code == "GL403")
    assert str(finding.where) == "model.py:7"


def test_what_was_wide_from_the_start_is_not_widened() -> None:
    assert analyze(compiled(("", typed("bf16", convert=True)), ("XLA", typed("bf16", convert=True)))).widened == ()


def result_of(body: str, *computations: str) -> Result:
    program = module(body, *computations)
    return analyze(compiled(("", program), ("XLA", program)))


def test_elementwise_kernels_in_a_row_are_one_chain() -> None:
    result = result_of(
        "  %x = f32[4]{0} parameter(0)\n  %a = f32[4]{0} fusion(%x, %x), kind=kLoop, calls=%fused\n"
        "  %b = f32[4]{0} negate(%a)\n  ROOT %c = f32[4]{0} exponential(%b)",
        FUSED,
    )
    assert result.unfused == ((NodeRef("main", "a"), NodeRef("main", "b"), NodeRef("main", "c")),)
    assert [finding.code for finding in result.findings] == ["GL402"]


@pytest.mark.parametrize(
    "body",
    [
        "  %x = f32[4]{0} parameter(0)\n  %a = f32[4]{0} negate(%x)\n  %b = f32[4]{0} exponential(%a)\n  ROOT %c = f32[4]{0} add(%a, %b)",
        "  %x = f32[4]{0} parameter(0)\n  %a = f32[4]{0} negate(%x)\n  ROOT %b = f32[4]{0} reverse(%a), dimensions={0}",
    ],
    ids=["read twice", "not elementwise"],
)
def test_no_chain_where_the_value_is_read_elsewhere_or_otherwise(body: str) -> None:
    chains = result_of(body).unfused
    assert not any(ref.node == "a" for chain in chains for ref in chain)


def test_the_inside_of_a_fusion_is_no_chain() -> None:
    assert result_of("  %x = f32[4]{0} parameter(0)\n  ROOT %f = f32[4]{0} fusion(%x, %x), kind=kLoop, calls=%fused", FUSED).unfused == ()


def test_it_is_found_by_name() -> None:
    assert graphlab.analyze(compiled(("", PLAIN), ("XLA", PLAIN)), "compile_results").compiler == "xla"


def test_a_failure_is_a_finding_that_names_the_refused_operations() -> None:
    error = CompileError("compile f", found="XLA has no kernel for tanh\n  log", do="do without", reason="refused", ops=("tanh",))
    finding = failure(PLAIN, error, compiler="xla")
    assert (finding.code, finding.message) == ("GL404", "xla: XLA has no kernel for tanh")
    assert finding.nodes == (NodeRef("main", "t"),)
    assert finding.data["reason"] == "refused"


@pytest.mark.parametrize("reason", ["crashed", "timeout", "memory", "failed"])
def test_a_compiler_that_broke_is_an_error_where_one_that_refuses_is_a_note(reason: str) -> None:
    broke, refused = (failure(PLAIN, CompileError("compile f", found="no", do="do", reason=r), compiler="xla") for r in (reason, "refused"))
    assert (broke.code, broke.severity) == ("GL401", Severity.ERROR)
    assert (refused.code, refused.severity) == ("GL404", Severity.NOTE)


def test_json_is_plain_and_keeps_why_a_number_is_absent() -> None:
    program = compiled(("", PLAIN), ("XLA", PLAIN))
    with_absent = Compiled("xla", "cpu", "test", program.stages, {"flops": Absent("no model"), "kernels": Measured(2, "kernels")})
    data = json.loads(json.dumps(analyze(with_absent).to_json()))
    assert data["metrics"] == {"flops": {"absent": "no model"}, "kernels": {"value": 2, "unit": "kernels", "origin": ""}}
    assert {row["op"] for row in data["ops"]} == {"hlo.add", "hlo.tanh"}


@pytest.mark.jax
def test_xla_widens_bfloat16_on_the_cpu_and_a_barrier_keeps_kernels_apart() -> None:
    pytest.importorskip("jaxlib")
    program = module(
        "  %x = bf16[64]{0} parameter(0)\n  %t = bf16[64]{0} tanh(%x)\n"
        "  %b = bf16[64]{0} opt-barrier(%t)\n  ROOT %n = bf16[64]{0} exponential(%b)"
    )
    result = analyze(graphlab.compile(program, compiler="xla", passes=".*"))
    assert {(w.op, w.was, w.now) for w in result.widened} == {
        ("hlo.tanh", "bfloat16", "float32"),
        ("hlo.exponential", "bfloat16", "float32"),
    }
    assert "GL403" in {finding.code for finding in result.findings}


def test_every_elementwise_operation_is_in_the_vocabulary_of_hlo() -> None:
    pytest.importorskip("jaxlib")
    from jaxlib import _hlo

    known = {name.removeprefix("k").lower() for name in dir(_hlo.HloOpcode) if name.startswith("k")}
    short = {"exponential": "exp", "exponential-minus-one": "expm1", "log-plus-one": "log1p", "cosine": "cos", "sine": "sin"}
    for op in compile_results.ELEMENTWISE:
        name = op.removeprefix("hlo.")
        assert short.get(name, name).replace("-", "") in known, op
