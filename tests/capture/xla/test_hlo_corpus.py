"""Real HLO text against XLA's own parser (seen with jaxlib 0.10.2)."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from graphlab.capture.file import File
from graphlab.capture.xla import hlo_text
from graphlab.capture.xla.hlo_lexer import HloText
from graphlab.capture.xla.hlo_shapes import Shapes
from graphlab.errors import GraphlabError
from graphlab.ir.program import Program
from graphlab.ir.values import TensorType, TupleType, ValueType
from graphlab.ir.verify import verify

pytestmark = [pytest.mark.corpus, pytest.mark.jax]

Corpus = dict[str, tuple[Path, int]]

# Not HLO text at all but an HloProto printed as a protocol buffer, in a file called .hlo.
PROTO_TEXT = ("hlo_to_mhlo/tests/dynamic_param.hlo", "hlo_to_mhlo/tests/spmd_module_sharding.hlo")

# The manifest's count of these was made by a regular expression; XLA's own count is ours.
MISCOUNTED = {
    "scatter/variadic_scatter_argmax.hlo": "several blanks after '=' were not counted",
    "transpose/transpose_10.hlo": "'f64[64, 64]' with a blank was not counted",
    "transpose/transpose_102_s4.hlo": "a shape with a blank was not counted",
    "tests/case_conditional.hlo": "counted up to the first comment of dashes only",
    "tests/while.hlo": "counted up to the first comment of dashes only",
    "tests/pdl.hlo": "instructions within operands and without '%' were not counted",
}

# recv-done says f32[128,21] where its operand says f32[128,32]; XLA takes the operand's, we what stands there.
MISFIT = (("test_recv_start", "recv-done"), ("test_recv_start", "gte"))


def _is(name: str, endings: tuple[str, ...] | dict[str, str]) -> bool:
    return name.endswith(tuple(endings))


@pytest.fixture(scope="module")
def programs(hlo_corpus: Corpus) -> dict[str, Program]:
    return {
        name: hlo_text.parse_hlo(path.read_text(encoding="utf-8"), path=name)
        for name, (path, _) in hlo_corpus.items()
        if not _is(name, PROTO_TEXT)
    }


def test_every_file_reads_and_is_sound(programs: dict[str, Program]) -> None:
    assert {name: verify(program)[:1] for name, program in programs.items() if verify(program)} == {}


def test_every_file_but_proto_text_is_known_by_its_content(hlo_corpus: Corpus) -> None:
    unknown = [name for name, (path, _) in hlo_corpus.items() if not hlo_text.matches(File.open(path))]
    assert [name for name in unknown if not _is(name, PROTO_TEXT)] == []
    assert len(unknown) == len(PROTO_TEXT)


def test_what_is_no_hlo_text_is_refused_with_its_place(hlo_corpus: Corpus) -> None:
    for name, (path, _) in hlo_corpus.items():
        if _is(name, PROTO_TEXT):
            with pytest.raises(GraphlabError, match="'HloModule' or a computation expected") as caught:
                hlo_text.parse_hlo(path.read_text(encoding="utf-8"), path=name)
            assert caught.value.where == f"{name}:1:1"


def test_no_file_of_another_format_is_taken_for_hlo(corpus: Path) -> None:
    others = [p for p in corpus.rglob("*") if p.is_file() and "hlo_text" not in p.parts]
    assert len(others) > 1000
    taken = [path.name for path in others if hlo_text.matches(File.open(path))]
    assert taken == ["import_bounded_dynamism_stablehlo.mlir"]  # HLO text in truth, whatever its name


def test_counts_are_the_manifests(programs: dict[str, Program], hlo_corpus: Corpus) -> None:
    counts = {name: (program.count(), hlo_corpus[name][1]) for name, program in programs.items()}
    assert {n: c for n, c in counts.items() if c[0] != c[1] and not _is(n, MISCOUNTED)} == {}


def test_computations_instructions_and_operands_are_xlas(programs: dict[str, Program], oracle: dict[str, Any]) -> None:
    compared = 0
    for name, answer in oracle.items():
        if "computations" in answer["whole"]:
            _compare(name, programs[name], answer["whole"])
            compared += 1
    assert compared == 264


def test_each_of_several_modules_is_as_xla_reads_it_alone(hlo_corpus: Corpus, oracle: dict[str, Any]) -> None:
    compared = 0
    for name, answer in oracle.items():
        if answer["modules"]:
            modules = hlo_text.parse_modules(hlo_corpus[name][0].read_text(encoding="utf-8"), path=name)
            assert len(modules) == len(answer["modules"])
            for program, module in zip(modules, answer["modules"], strict=True):
                if "computations" in module:
                    _compare(name, program, module)
                    compared += 1
    assert compared > 200


def test_the_dumps_that_xla_refuses_read_with_the_manifests_counts(
    programs: dict[str, Program], hlo_corpus: Corpus, oracle: dict[str, Any]
) -> None:
    refused = [name for name, answer in oracle.items() if "error" in answer["whole"] and not answer["modules"]]
    read = [name for name in refused if name in programs]
    assert len(refused) - len(read) == len(PROTO_TEXT)
    assert len(read) == 13  # torch-neuronx dumps with API_VERSION_UNSPECIFIED
    assert {name: programs[name].count() for name in read} == {name: hlo_corpus[name][1] for name in read}


def _compare(name: str, program: Program, answer: dict[str, Any]) -> None:
    """The same computations, names, opcodes, operands in order, shapes and roots."""
    theirs = answer["computations"]
    # "custom-call-start" and the like stand for an async-start of a computation that XLA makes up.
    made_up = sum(1 for _, node in program.each_node() if node.op.endswith("-start") and "custom_call_target" in node.attrs)
    assert len(theirs) == len(program.graphs) + made_up, name
    often = Counter(_stem(ref.node) for ref, _ in program.each_node())
    for computation, graph in program.graphs.items():
        nodes = [node for node in graph.each_node() if not node.synthetic]
        instructions = theirs[computation]
        assert len(nodes) == len(instructions), (name, computation)
        own_names = {instruction[0]: node.id for node, instruction in zip(nodes, instructions, strict=True)}
        root = graph.operands(graph.output)[0].src
        for node, (id, operands, printed) in zip(nodes, instructions, strict=True):
            at = (name, computation, id)
            # XLA numbers names anew that differ in their number alone.
            assert node.id == id or (often[_stem(node.id)] > 1 and _stem(node.id) == _stem(id)), at
            assert [use.src for use in node.operands] == [own_names[operand] for operand in operands], at
            type, opcode = _printed(printed)
            assert {"input": "parameter"}.get(node.op, node.op.removeprefix("hlo.")) == opcode, at
            if at[1:] not in MISFIT:
                _same_type(node.outputs[0], type, at)
            assert (node.id == root) == (id in answer["roots"]), at


def _stem(name: str) -> str:
    """``add.3`` → ``add``."""
    return re.sub(r"(\.\d+)+$", "", name)


def _printed(printed: str) -> tuple[ValueType, str]:
    """Type and opcode of ``%name = shape opcode(...)``, as XLA prints it."""
    text = HloText(printed, None)
    type, end = Shapes(text).read(printed.index(" = ") + 3)
    return type, printed[end + 1 : printed.index("(", end)]


def _same_type(ours: ValueType, theirs: ValueType, at: tuple[str, ...]) -> None:
    if isinstance(ours, TupleType) and isinstance(theirs, TupleType):
        assert len(ours.elements) == len(theirs.elements), at
        for own, other in zip(ours.elements, theirs.elements, strict=True):
            _same_type(own, other, at)
    elif isinstance(ours, TensorType) and isinstance(theirs, TensorType):
        assert (ours.dtype, ours.dims) == (theirs.dtype, theirs.dims), at
        if ours.layout is not None and theirs.layout is not None:
            assert re.sub(r"\s", "", ours.layout) == theirs.layout, at
    else:
        assert str(ours).replace(" ", "") == re.sub(r"\{[\d,]*\}", "", str(theirs)).replace(" ", ""), (
            at
        )  # tokens; buffers, whose layout XLA fills in
