"""AOTInductor packages: one that torch builds, and wrappers written by hand after its own."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

import graphlab
from graphlab.capture.dispatch import load_compiled
from graphlab.capture.file import File
from graphlab.capture.torch import pt2
from graphlab.capture.torch.aoti_wrapper import kernels
from graphlab.compilers.results import Artifact, Measured
from graphlab.errors import FormatError, SelectError
from graphlab.ir.program import Source
from graphlab.ir.values import SymDim, TensorType
from graphlab.ir.verify import verify

# After what torch 2.13 writes for relu(x @ w) on a CPU and a GPU.
WRAPPER = """
extern "C"  void  cpp_fused_relu_0(float* in_out_ptr0,
                       const float* in_ptr0,
                       const int64_t ks0);
static inline void call_triton_poi_fused_mul_1(
    const in_ptr0_type_& in_ptr0,
    const out_ptr0_type_& out_ptr0,
    int64_t xnumel,
    int32_t device_idx_
){
}
AOTInductorModel::AOTInductorModel() {
    inputs_info_[0].name = "arg1_1";
    constants_info_[0].name = "w";
    constants_info_[0].dtype = static_cast<int32_t>(cached_torch_dtype_float32);
    constants_info_[0].shape = {8, 16};
    constants_info_[0].original_fqn = "layer.w";
    outputs_info_[0].name = "output0";
}
void AOTInductorModel::run_impl(
    AtenTensorHandle* input_handles
) {
    auto arg1_1 = std::move(inputs[0]);
    [[maybe_unused]] auto& w = constants_->at(0);
    int64_t s0 = arg1_1_size[0];
    const int64_t int_array_0[] = {s0, 16L};
    static constexpr int64_t int_array_1[] = {16L, 1L};
    AtenTensorHandle buf0_handle;
    AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_empty_strided(2, int_array_0, int_array_1, cached_torch_dtype_float32, 0, 0, &buf0_handle));
    RAIIAtenTensorHandle buf0(buf0_handle);
    // Topologically Sorted Source Nodes: [linear, relu], Original ATen: [aten.mm]
    AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_cpu_mm_out(buf0, arg1_1, wrap(reinterpret_tensor_wrapper(w, 2, int_array_0, int_array_1, 0L))));
    auto buf1 = std::move(buf0);  // reuse
    cpp_fused_relu_0((float*)(buf1.data_ptr()), (const float*)(w.data_ptr()), s0);
    AtenTensorHandle buf2_handle;
    AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_empty_strided(2, int_array_0, int_array_1, cached_torch_dtype_float32, 0, 0, &buf2_handle));
    // Topologically Sorted Source Nodes: [mul], Original ATen: [aten.mul]
    call_triton_poi_fused_mul_1(buf1, buf2, 128L, this->device_idx_);
    output_handles[0] = buf2.release();
} // AOTInductorModel::run_impl
"""


def package(**models: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("p/archive_format", "pt2")
        for name, wrapper in models.items():
            folder = f"p/data/aotinductor/{name}/"
            archive.writestr(folder + "abc.wrapper.cpp", wrapper)
            archive.writestr(folder + "abc.wrapper.so", b"\x7fELF" + bytes(96))
            archive.writestr(folder + "abc.wrapper_metadata.json", json.dumps({"AOTI_DEVICE_KEY": "cpu", "AOTI_CPU_ISA": "AVX2"}))
    return made.getvalue()


def test_kernels_stand_in_order_with_what_they_read_and_write() -> None:
    program = kernels(WRAPPER, Source("torch", "wrapper"))
    assert program is not None
    assert verify(program) == ()
    graph = program.main
    ops = [node for node in graph.each_node() if node.kind == "op"]
    assert [node.op for node in ops] == [
        "inductor.aoti_torch_cpu_mm_out",
        "inductor.cpp_fused_relu_0",
        "inductor.triton_poi_fused_mul_1",
    ]
    assert [[use.src for use in node.operands] for node in ops] == [["arg1_1", "w"], ["aoti_torch_cpu_mm_out", "w"], ["cpp_fused_relu_0"]]
    assert [use.src for use in graph.operands("output")] == ["triton_poi_fused_mul_1"]
    assert ops[0].meta == {"source_nodes": ("linear", "relu"), "original_aten": ("aten.mm",)}
    assert not ops[1].meta
    assert {node.outputs for node in ops} == {(TensorType("float32", (SymDim("s0"), 16)),)}
    assert (graph.node("w").name, graph.node("w").outputs) == ("layer.w", (TensorType("float32", (8, 16)),))


def test_a_package_lists_its_files_and_unpacks_none(tmp_path: Path) -> None:
    path = tmp_path / "package.pt2"
    path.write_bytes(package(model=WRAPPER))
    compiled = load_compiled(path)
    assert compiled is not None
    assert (compiled.compiler, compiled.target) == ("aotinductor", "cpu AVX2")
    assert compiled.metrics["kernels"] == Measured(3, "kernels", "wrapper source")
    assert compiled.metrics["constant_bytes"] == Measured(512, "bytes", "wrapper source")
    library = compiled.artifacts["abc.wrapper.so"]
    assert isinstance(library, Artifact)
    assert (library.nbytes, library.load()[:4]) == (100, b"\x7fELF")
    assert list(tmp_path.iterdir()) == [path]
    assert [stage.name for stage in compiled.stages] == ["kernels"]
    assert graphlab.load(path).count() == 5


def test_several_models_are_told_apart() -> None:
    file = File.of("p.pt2", package(one=WRAPPER, two=WRAPPER.replace("triton_poi_fused_mul_1", "triton_red_fused_sum_1")))
    with pytest.raises(SelectError) as refused:
        pt2.read_compiled(file)
    assert refused.value.names == ("one", "two")
    two = pt2.read(file, select="two")
    assert "inductor.triton_red_fused_sum_1" in two.op_counts()


def test_a_package_of_binaries_alone_says_so() -> None:
    with pytest.raises(FormatError, match="without a program or the source of its wrapper"):
        pt2.read(File.of("p.pt2", package(model="no run here")))
    compiled = pt2.read_compiled(File.of("p.pt2", package(model="no run here")))
    assert compiled is not None
    assert not compiled.stages


def test_broken_metadata_is_refused() -> None:
    with zipfile.ZipFile(io.BytesIO(package(model=WRAPPER))) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in held.items():
            archive.writestr(name, b"{" if name.endswith("metadata.json") else content)
    with pytest.raises(FormatError, match="no sound JSON"):
        pt2.read_compiled(File.of("p.pt2", made.getvalue()))


@pytest.mark.torch
def test_a_package_that_torch_builds(tmp_path: Path) -> None:
    """As C++ sources alone: building them too takes g++ half a minute."""
    torch = pytest.importorskip("torch")
    from torch.export.pt2_archive._package import package_pt2

    class Model(torch.nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(8, 16)

        def forward(self, x: Any) -> Any:
            return torch.relu(self.layer(x)).sum(-1)

    exported = torch.export.export(Model().eval(), (torch.randn(4, 8),))
    made = torch._inductor.aoti_compile_and_package(
        exported, package_path=str(tmp_path / "model.pt2"), inductor_configs={"aot_inductor.package_cpp_only": True}
    )
    compiled = load_compiled(made)
    assert compiled is not None
    assert compiled.target.startswith("cpu")
    assert compiled.metrics["constant_bytes"] == Measured((8 * 16 + 16) * 4, "bytes", "wrapper source")
    program = compiled.stages[-1].load()
    assert verify(program) == ()
    [wrapper] = [name for name in compiled.artifacts if name.endswith(".wrapper.cpp")]
    artifact = compiled.artifacts[wrapper]
    assert isinstance(artifact, Artifact)
    text = artifact.load().decode()
    run = text[text.index("AOTInductorModel::run_impl(") : text.index("// AOTInductorModel::run_impl")]
    kinds = {node.op.removeprefix("inductor.") for node in program.main.each_node() if node.kind == "op"}
    called = sum(run.count(f"{name}(") for name in kinds)
    assert program.op_counts().total() == called > 1

    both = str(tmp_path / "both.pt2")
    files = tmp_path / "files"
    with zipfile.ZipFile(made) as archive:
        archive.extractall(files)
    parts = [str(each) for each in files.rglob("*") if "aotinductor" in str(each) and each.is_file()]
    package_pt2(both, exported_programs={"model": exported}, aoti_files={"model": parts})
    compiled = load_compiled(both)
    assert compiled is not None
    assert [stage.name for stage in compiled.stages] == ["input", "kernels"]
    assert graphlab.diff(compiled.stages[0].load(), graphlab.capture(exported)).equal
    assert graphlab.diff(graphlab.load(both), graphlab.capture(exported)).equal
