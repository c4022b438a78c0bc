"""The child of the Grappler compiler: runs one optimizer after the other and writes a GraphDef after each.

Beyond TensorFlow's public API: ``tf_optimizer.OptimizeGraph`` of tensorflow.python.grappler, seen in
tensorflow 2.21.0.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graphlab import child


def handle(request: dict[str, Any], folder: Path) -> Mapping[str, Any]:
    """Answer a request: a frozen GraphDef's file, tensor names of inputs and outputs, optimizers in order."""
    child.step("import tensorflow")
    from tensorflow.core.framework import graph_pb2

    definition = graph_pb2.GraphDef()
    definition.ParseFromString((folder / request["file"]).read_bytes())
    stages = [_write(definition, folder, "frozen", "convert_variables_to_constants_v2", None)]
    for optimizer in request["optimizers"]:
        child.step(optimizer)
        start = time.perf_counter()
        definition = _optimize(definition, optimizer, [*request["inputs"], *request["outputs"]])
        seconds = time.perf_counter() - start
        stages.append(_write(definition, folder, optimizer, optimizer, seconds))
    return {"stages": stages}


def _optimize(definition: Any, optimizer: str, keep: list[str]) -> Any:
    """The graph after one optimizer. ``keep``: tensors that must stay, by name."""
    import tensorflow as tf

    try:
        from tensorflow.core.protobuf import config_pb2, meta_graph_pb2
        from tensorflow.python.grappler import tf_optimizer
    except ImportError as error:
        raise child.Refused(
            f"tensorflow {tf.__version__} has no tf_optimizer.OptimizeGraph; use the version graphlab's constraints name"
        ) from error
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(definition, name="")
    meta = tf.compat.v1.train.export_meta_graph(graph_def=definition, graph=graph)
    fetch = meta_graph_pb2.CollectionDef()
    fetch.node_list.value.extend(keep)
    meta.collection_def["train_op"].CopyFrom(fetch)
    config = config_pb2.ConfigProto()
    options = config.graph_options.rewrite_options
    options.optimizers.append(optimizer)
    options.min_graph_nodes = -1  # small graphs too
    options.meta_optimizer_iterations = 1
    options.fail_on_optimizer_errors = True
    try:
        return tf_optimizer.OptimizeGraph(config, meta)
    except (ValueError, tf.errors.OpError) as error:
        raise child.Refused(f"Grappler's {optimizer}: {error}") from error


def _write(definition: Any, folder: Path, name: str, made_by: str, seconds: float | None) -> dict[str, Any]:
    """Write the graph with the shapes that TensorFlow infers for it."""
    import tensorflow as tf

    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(definition, name="")
    file = f"{name}.pb"
    (folder / file).write_bytes(graph.as_graph_def(add_shapes=True).SerializeToString())
    return {"name": name, "file": file, "pass": made_by, "seconds": seconds}


if __name__ == "__main__":
    child.serve(handle)
