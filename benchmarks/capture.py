"""Capture: the time from the framework's own object to the verified IR, against the framework's capture itself."""

from __future__ import annotations

import os
import sys
from typing import Any

from ratio import report, seconds


def torch_encoder(layers: int) -> None:
    import torch
    from torch import nn

    from graphlab.capture.torch.export import read
    from graphlab.ir.verify import ensure_verified

    layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True)
    model = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False).eval()
    x = torch.randn(2, 16, 64)
    captured: list[Any] = []
    exporting = [seconds(lambda: captured.append(torch.export.export(model, (x,)))) for _ in range(3)]
    nodes = len(captured[0].graph.nodes)
    walking = [seconds(lambda ep=ep: ensure_verified(read(ep))) for ep in captured for _ in range(3)]
    report(f"ExportedProgram -> verified IR vs torch.export, {layers} layers, {nodes} nodes", walking, exporting, target=0.05)


def tf_resnet() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import tensorflow as tf

    import graphlab

    model = keras.applications.ResNet50(weights=None)
    captured: list[Any] = []

    def trace() -> None:
        function = tf.function(lambda x: model(x, training=False))
        captured.append(function.get_concrete_function(tf.TensorSpec((1, 224, 224, 3))))

    tracing = [seconds(trace) for _ in range(3)]
    nodes = len(captured[0].graph.get_operations())
    walking = [seconds(lambda f=f: graphlab.capture(f)) for f in captured for _ in range(3)]
    report(f"ConcreteFunction -> verified IR vs tracing, ResNet50, {nodes} nodes", walking, tracing, target=0.2)


if __name__ == "__main__":
    only = sys.argv[1:]
    if not only or "torch" in only:
        torch_encoder(12)
        torch_encoder(96)
    if not only or "tensorflow" in only:
        tf_resnet()
