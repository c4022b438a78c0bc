"""HLO messages are read to what the text reader makes of the module's text, to the byte; XLA prints the text."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from graphlab.capture.file import File
from graphlab.capture.xla import hlo_proto, hlo_text
from graphlab.capture.xla.hlo_messages import text_schema
from graphlab.ir.format import dumps
from graphlab.ir.program import Program, Source
from graphlab.ir.verify import verify

HERE = Path(__file__).parent
COMPUTATIONS = (HERE / "computations.hlo").read_text(encoding="utf-8")
INSTRUCTIONS = (HERE / "instructions.txt").read_text(encoding="utf-8")
"""Every opcode that has attributes, with and without those that XLA leaves out; XLA itself prints each."""
_LINES = {line.partition(" = ")[0]: line for line in INSTRUCTIONS.strip().splitlines()}


def read(data: bytes) -> Program:
    file = File.of("m.pb", data)
    assert hlo_proto.matches(file)
    program = hlo_proto.read(file)
    assert verify(program) == ()
    return program


def bare(program: Program) -> bytes:
    """A Program's bytes without where it came from."""
    return dumps(replace(program, source=Source("xla", "hlo")))


def _needed(name: str, found: dict[str, None]) -> dict[str, None]:
    """The instruction's operands and predecessors, and theirs, before it."""
    line = _LINES[name].partition(" = ")[2]
    inside = re.search(r" [a-z][a-z\d-]*\(([^()]*)\)", line)
    before = re.search(r"control-predecessors={([^}]*)}", line)
    for one in re.split(r",\s*", (inside[1] if inside else "") + ("," + before[1] if before else "")):
        if one in _LINES and one not in found and one != name:
            _needed(one, found)
    found[name] = None
    return found


def as_xla_has_it(text: str) -> tuple[bytes, str]:
    """A module as XLA serializes and as it prints it."""
    hlo = pytest.importorskip("jaxlib._hlo")
    options = hlo.HloPrintOptions()
    options.print_large_constants = True
    given = hlo.hlo_module_from_text(text)
    again = hlo.HloModule.from_serialized_hlo_module_proto(given.as_serialized_hlo_module_proto())
    return again.as_serialized_hlo_module_proto(), again.to_string(options)


@pytest.mark.jax
@pytest.mark.parametrize("name", _LINES)
def test_an_instruction_is_the_same_as_message_and_as_text(name: str) -> None:
    lines = [_LINES[one] for one in _needed(name, {})]
    data, text = as_xla_has_it("\n ".join([COMPUTATIONS + "ENTRY main {", *lines[:-1], f"ROOT {lines[-1]}\n}}\n"]))
    assert bare(read(data)) == bare(hlo_text.parse_hlo(text))


@pytest.mark.jax
def test_a_module_of_all_of_them_is_the_same_and_without_changes() -> None:
    import graphlab

    order: dict[str, None] = {}
    for name in _LINES:
        _needed(name, order)
    body = "\n ".join(_LINES[name] for name in order)
    data, text = as_xla_has_it(f"{COMPUTATIONS}ENTRY main {{\n {body}\n ROOT result = () tuple()\n}}\n")
    message, printed = read(data), hlo_text.parse_hlo(text)
    assert bare(message) == bare(printed)
    assert len(message.main.nodes) > len(_LINES)
    assert not graphlab.diff(message, printed).changes


HEADER = (HERE / "header.hlo").read_text(encoding="utf-8")


@pytest.mark.jax
def test_header_frames_schedule_threads_and_order_of_computations_are_the_same() -> None:
    data, text = as_xla_has_it(HEADER)
    program = read(data)
    assert bare(program) == bare(hlo_text.parse_hlo(text))
    assert program.meta["is_scheduled"] is True
    assert [node.id for node in program.main.each_node() if node.kind == "input"] == ["b", "a", "d"]  # as scheduled
    frame = program.frames[program.main.node("y").loc or 0]
    assert (frame.file, frame.line, frame.function) == ("/home/me/model.py", 3, "f")


@pytest.mark.jax
def test_a_jitted_model_before_and_after_xla_is_the_same() -> None:
    jax = pytest.importorskip("jax")
    jnp = jax.numpy

    def model(x: Any, weights: Any) -> Any:
        def layer(carry: Any, w: Any) -> Any:
            return jnp.tanh(carry @ w), jnp.argsort(carry)[0]

        out, order = jax.lax.scan(layer, x, weights)
        return jax.lax.cond(out.sum() > 0, lambda v: v * 2, lambda v: v.at[0].set(1.0), out), order

    lowered = jax.jit(jax.grad(lambda x, w: model(x, w)[0].sum())).lower(jnp.ones((4, 4)), jnp.ones((3, 4, 4)))
    for made in (lowered.compiler_ir(dialect="hlo").as_hlo_module(), *lowered.compile().runtime_executable().hlo_modules()):
        hlo = pytest.importorskip("jaxlib._hlo")
        options = hlo.HloPrintOptions()
        options.print_large_constants = True
        again = hlo.HloModule.from_serialized_hlo_module_proto(made.as_serialized_hlo_module_proto())
        assert bare(read(again.as_serialized_hlo_module_proto())) == bare(hlo_text.parse_hlo(again.to_string(options)))


@pytest.mark.tensorflow
def test_the_schema_agrees_with_tensorflows() -> None:
    theirs = {}
    for name in ("tensorflow.compiler.xla.service.hlo_pb2", "tensorflow.compiler.xla.xla_data_pb2"):
        file = pytest.importorskip(name).DESCRIPTOR
        work = list(file.message_types_by_name.values())
        while work:
            message = work.pop()
            theirs[message.full_name] = message
            work.extend(message.nested_types)
    compared, missing = 0, set()
    for full, other in theirs.items():
        ours = _descriptor(full)
        if ours is None:
            continue
        mine = {field.name: (field.number, field.type, field.is_repeated) for field in ours.fields}
        for field in other.fields:
            if field.name not in mine:
                missing.add(f"{full}.{field.name}")
                continue
            assert mine[field.name] == (field.number, field.type, field.is_repeated), f"{full}.{field.name}"
            compared += 1
    assert compared > 350
    assert missing == set()


def _descriptor(full: str) -> Any:
    parts = full.removeprefix("xla.").split(".")
    try:
        found = text_schema().new(parts[0]).DESCRIPTOR
    except KeyError:
        return None
    for part in parts[1:]:
        found = found.nested_types_by_name.get(part) if found is not None else None
    return found
