"""Says what a file that no reader takes looks like, for the error message."""

from __future__ import annotations

import re
from pathlib import Path

from graphlab.capture.archive import Archive
from graphlab.capture.file import File
from graphlab.capture.proto import load
from graphlab.capture.xla.hlo_messages import holds_modules
from graphlab.errors import GraphlabError


def describe(file: File) -> str:
    """What it is, or seems to be: ``an ExecuTorch program (.pte)``, ``text, the first line '...'``."""
    if file.is_dir:
        entries = file.entries()
        if not entries:
            return "an empty directory"
        if file.has("Data/com.apple.CoreML"):
            return "a Core ML package (.mlpackage)"
        listed = ", ".join(entries[:6]) + (f" and {len(entries) - 6:,} more" if len(entries) > 6 else "")
        return f"a directory of {listed}"
    if not file.head:
        return "an empty file"
    looks = next((looks for pattern, looks in _LOOKS if pattern.match(file.head)), None)
    if looks:
        return looks
    if file.head.startswith(b"PK\x03\x04"):
        return _zip(file)
    if file.head[:1] in b"\x08\x0a":
        schema = load(Path(__file__).parent / "neighbours.proto")
        if schema.fits("CoreMLModel", file, needs=_CORE_ML_KINDS, unknown=1.0):
            return "a Core ML model (.mlmodel)"
        if schema.fits("XSpace", file, needs=("planes",), unknown=1.0):
            return "a profile of the TensorFlow or JAX profiler (XSpace, .xplane.pb)"
        if holds_modules(file):
            return "a log with HLO modules deep inside (XLA's tuning, perhaps), and no module's own file"
    try:
        text = file.head.decode("utf-8")
    except UnicodeDecodeError as error:
        if not (error.start > len(file.head) - 4 and file.size > len(file.head)):
            return f"{file.size:,} bytes, the first {file.head[:8].hex(' ')}"
        text = file.head[: error.start].decode("utf-8")
    if "\0" in text:
        return f"{file.size:,} bytes, the first {file.head[:8].hex(' ')}"
    return f"{file.size:,} bytes of text, the first line {text.strip().splitlines()[0][:40]!r}" if text.strip() else "blank text"


def _zip(file: File) -> str:
    try:
        names = Archive.open(file).names
    except GraphlabError as error:
        return f"a zip archive, cut short or damaged: {error.brief}"
    kinds = [looks for pattern, looks in _MEMBERS if any(pattern.search(name) for name in names)]
    listed = ", ".join(names[:6]) + (f" and {len(names) - 6:,} more" if len(names) > 6 else "")
    return f"{kinds[0] if kinds else 'a zip archive'} of {listed}"


# What formats begin with that no reader takes. Sources: the formats' own file headers.
_LOOKS: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.DOTALL), looks)
    for pattern, looks in (
        (rb".{4}ET\d\d", "an ExecuTorch program (.pte)"),
        (rb"\x1f\x8b", "gzip data: unpack it first"),
        (rb"\xfd7zXZ\0", "xz data: unpack it first"),
        (rb"\x28\xb5\x2f\xfd", "zstd data: unpack it first"),
        (rb"BZh\d1AY", "bzip2 data: unpack it first"),
        (rb"\x89HDF\r\n\x1a\n", "HDF5 data that is no Keras model"),
        (rb"\x93NUMPY", "a NumPy array"),
        (rb"GGUF", "a GGUF file: weights without a graph"),
        (rb".{8}\{\"", "a safetensors file: weights without a graph"),
        (rb"\x7fELF", "an ELF object"),
        (rb"\s*\{\s*lambda\b", "a jaxpr as text, which is for reading only: capture the function live, or save its StableHLO"),
        (rb"\s*graph\(%", "a TorchScript graph as text, which is for reading only: save the module with torch.jit.save"),
        (rb"\s*<\?xml[^>]*\?>\s*<net\b", "an OpenVINO model (.xml)"),
        (rb"7767517\s", "an ncnn model (.param)"),
        (rb"\s*(#[^\n]*\n\s*)*(strict\s+)?(di)?graph\b[^\n{]*\{", "a Graphviz drawing (.dot)"),
        (rb"\s*(#[^\n]*\n\s*)*(input_stream|output_stream|node\s*\{\s*calculator)\b", "a MediaPipe CalculatorGraph"),
        (rb"\s*(#[^\n]*\n\s*)*pipeline_info\s*\{", "a TFX pipeline"),
    )
)  # fmt: skip

_CORE_ML_KINDS = (
    "pipelineClassifier", "pipelineRegressor", "pipeline", "glmRegressor", "supportVectorRegressor", "treeEnsembleRegressor",
    "neuralNetworkRegressor", "glmClassifier", "supportVectorClassifier", "treeEnsembleClassifier", "neuralNetworkClassifier",
    "neuralNetwork", "mlProgram", "wordTagger",
)  # fmt: skip

_MEMBERS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(^|/)com\.apple\.CoreML/"), "a Core ML package"),
    (re.compile(r"\.npy$"), "NumPy arrays (.npz)"),
    (re.compile(r"^AndroidManifest\.xml$"), "an Android package"),
    (re.compile(r"^META-INF/MANIFEST\.MF$"), "a Java archive"),
)
