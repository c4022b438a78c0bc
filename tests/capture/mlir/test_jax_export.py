"""``jax.export`` blobs against JAX's own view of the exported function."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.jax
jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
from jax import export  # noqa: E402

from graphlab.capture.dispatch import load  # noqa: E402
from graphlab.capture.file import File  # noqa: E402
from graphlab.capture.mlir import jax_export  # noqa: E402
from graphlab.errors import FormatError, SelectError  # noqa: E402
from graphlab.ir.values import SymDim, TensorType  # noqa: E402
from graphlab.ir.verify import verify  # noqa: E402


def affine(params: dict[str, Any], x: Any) -> Any:
    """A layer."""
    return {"y": jnp.tanh(x @ params["w"] + params["b"]), "rows": x.sum(1)}


PARAMS = {"b": jax.ShapeDtypeStruct((4,), "float32"), "w": jax.ShapeDtypeStruct((3, 4), "float32")}


def blob(rows: str = "5", *, order: int = 0, **options: Any) -> bytes:
    """A serialized export of it."""
    shape = export.symbolic_shape(f"{rows}, 3")
    exported = export.export(jax.jit(affine), **options)(PARAMS, jax.ShapeDtypeStruct(shape, "float32"))
    return bytes(exported.serialize(vjp_order=order))


def test_a_blob_has_named_inputs_outputs_and_its_facts(tmp_path: Path) -> None:
    path = tmp_path / "anything.txt"
    path.write_bytes(blob())
    program = load(path)
    signature = program.signatures[program.entry]
    assert [(slot.name, slot.type) for slot in signature.inputs] == [
        ("params['b']", TensorType("float32", (4,))), ("params['w']", TensorType("float32", (3, 4))), ("x", TensorType("float32", (5, 3))),
    ]  # fmt: skip
    assert sorted(slot.name for slot in signature.outputs) == ["result['rows']", "result['y']"]
    assert program.meta["platforms"] == ("cpu",)
    assert program.meta["function"] == "affine"
    assert program.source.producer.startswith("StableHLO_v")
    assert program.op_counts()["stablehlo.dot_general"] == 1


def test_symbolic_sizes_stand_in_the_signature() -> None:
    program = jax_export.read(File.of("x", blob("2*n + 1")))
    assert verify(program) == ()
    kinds = [slot.type for slot in program.signatures[program.entry].inputs]
    assert TensorType("float32", (SymDim("2*n + 1"), 3)) in kinds
    assert program.dims["n"].min == 1


def test_several_platforms_take_the_platforms_index_first() -> None:
    program = jax_export.read(File.of("x", blob(platforms=["cpu", "tpu"])))
    assert program.meta["platforms"] == ("cpu", "tpu")
    assert len(program.signatures[program.entry].inputs) == 4 - (program.signatures[program.entry].inputs[0].name != "platform_index")


def test_gradients_are_selected_by_name() -> None:
    file = File.of("x", blob(order=2))
    program = jax_export.read(file)
    assert program.meta["gradients"] == ("vjp", "vjp.vjp")
    gradient = jax_export.read(file, select="vjp")
    assert gradient.count() > program.count()
    assert len(gradient.signatures[gradient.entry].outputs) == 3
    with pytest.raises(SelectError, match="3 functions"):
        jax_export.read(file, select="other")


def test_only_blobs_are_taken() -> None:
    data = blob()
    assert jax_export.matches(File.of("x", data))
    assert not jax_export.matches(File.of("x", data[:60]))
    assert not jax_export.matches(File.of("x", b"\x10\0\0\0" * 100))
    assert not jax_export.matches(File.of("x", b""))


def test_a_damaged_blob_is_refused() -> None:
    data = bytearray(blob())
    at = data.index(b"ML\xefR")
    data[at + 40 : at + 60] = b"\xff" * 20
    with pytest.raises(FormatError):
        jax_export.read(File.of("x", bytes(data)))
