"""Real graphs to edit: HLO of the corpus, and what torch, Keras and ONNX models make when their packages are there."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import graphlab
from graphlab.ir.program import Program

_CPU = "hlo_text/ROCm+xla/backends/cpu/benchmarks/hlo/"
_TOOLS = "hlo_text/ROCm+xla/tools/"
HLO = {
    "llama31_70b": _TOOLS + "benchmarks/hlo/hlo_llama31_70b_bf16_16x8.hlo",
    "llama3_8b_offload": _TOOLS + "benchmarks/hlo/hlo_llama3_8b_bf16_activation_offloading_1x8.hlo",
    "llama31_70b_fp8": _TOOLS + "benchmarks/hlo/hlo_llama31_70b_fp8_32x8.hlo",
    "resnet50": _CPU + "resnet50_keras_jax_f32.hlo",
    "mobilenet_v2": _TOOLS + "data/benchmarking/mobilenet_v2.hlo",
    "mass_matrix": _CPU + "bench_mass_matrix_35.hlo",
    "diffrax": _CPU + "diffrax.b380012920.hlo",
    "gemma3_1b": _CPU + "gemma3_1b_flax_call.hlo",
}
BY_DEFAULT = ("llama31_70b", "llama3_8b_offload", "resnet50", "mass_matrix", "diffrax", "mobilenet_v2", "bert", "gpt2", "keras_resnet50")


def corpus() -> Path | None:
    """The folder of real graph files, where ``GRAPHLAB_CORPUS`` names one."""
    path = os.environ.get("GRAPHLAB_CORPUS")
    return Path(path) if path else None


def bert() -> Program:
    from transformers import BertConfig, BertModel

    return _exported(BertModel(BertConfig()))


def gpt2() -> Program:
    from transformers import GPT2Config, GPT2Model

    return _exported(GPT2Model(GPT2Config(use_cache=False)))


def _exported(model: Any) -> Program:
    import torch

    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():  # as training leaves them: no two alike
            parameter.normal_()
    return graphlab.capture(model.eval(), (torch.ones(1, 16, dtype=torch.long),), method="export")


def keras_resnet50() -> Program:
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    model = keras.applications.ResNet50(weights=None)
    for variable in model.variables:
        variable.assign(keras.random.normal(variable.shape))
    return graphlab.capture(tf.function(model), (tf.zeros((1, 224, 224, 3)),))


MADE: dict[str, tuple[tuple[str, ...], Callable[[], Program]]] = {
    "bert": (("torch", "transformers"), bert),
    "gpt2": (("torch", "transformers"), gpt2),
    "keras_resnet50": (("tensorflow", "keras"), keras_resnet50),
}


def load(name: str) -> Program | None:
    """One graph, or ``None`` where what it takes is not there."""
    if name in MADE:
        needs, make = MADE[name]
        return make() if all(map(find_spec, needs)) else None
    root = corpus()
    return None if root is None else graphlab.load(root / HLO[name])
