"""Multi-device annotations of nodes (IR version 11 and later) as text and attributes: ShardingSpecProto in onnx.proto."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from graphlab.ir.frozen import FrozenDict, frozen
from graphlab.ir.values import TensorType, ValueType


def shardings(node: Any) -> Iterator[tuple[str, str]]:
    """The values that a node's configurations shard, each with all that is said of it: ``tp: devices [0, 1], dim 0 by 2``."""
    told: dict[str, list[str]] = {}
    for configuration in node.device_configurations:
        for spec in configuration.sharding_spec:
            told.setdefault(spec.tensor_name, []).append(f"{configuration.configuration_id}: {_text(spec)}")
    for value, texts in told.items():
        yield value, "; ".join(texts)


def sharded(type: ValueType, text: str) -> ValueType:
    """A value's type with its sharding; only tensors have one."""
    return replace(type, sharding=text) if isinstance(type, TensorType) else type


def configurations(node: Any) -> tuple[FrozenDict[str, Any], ...]:
    """A node's device configurations as an attribute."""
    return tuple(_configuration(configuration) for configuration in node.device_configurations)


def _configuration(configuration: Any) -> FrozenDict[str, Any]:
    told: dict[str, Any] = {"configuration": configuration.configuration_id}
    if configuration.HasField("pipeline_stage"):
        told["pipeline_stage"] = configuration.pipeline_stage
    if configuration.sharding_spec:
        told["sharding"] = {spec.tensor_name: _text(spec) for spec in configuration.sharding_spec}
    return frozen(told)


def _text(spec: Any) -> str:
    groups = {entry.key: list(entry.value) for entry in spec.index_to_device_group_map}
    devices = [groups.get(device, device) for device in spec.device]
    parts = [f"devices {devices}"]
    for dim in spec.sharded_dim:
        ways = "*".join(str(simple.num_shards) for simple in dim.simple_sharding) or "1"
        parts.append(f"dim {dim.axis} by {ways}")
    return ", ".join(parts)
