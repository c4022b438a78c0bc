"""Shardings of HLO messages, spelt as HLO text spells them.

Sources: xla/hlo/ir/hlo_sharding.cc, tile_assignment.cc, named_sharding.cc and mesh_and_axis.cc of
https://github.com/openxla/xla, as jaxlib 0.10.2 prints them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from graphlab.capture.xla.hlo_proto_shapes import MAX_NESTING, join

_REPLICATED, _MAXIMAL, _TUPLE, _OTHER, _MANUAL, _UNKNOWN, _UNREDUCED = range(7)  # OpSharding.Type
_WORDS = {_REPLICATED: "replicated", _MANUAL: "manual", _UNKNOWN: "unknown", _UNREDUCED: "unreduced", _MAXIMAL: "maximal"}


def sharding_text(sharding: Any, metadata: Callable[[Any], str], depth: int = 0) -> str:
    """``{devices=[2,1]<=[2] last_tile_dim_replicate}``, ``{{replicated}, {maximal device=0}}``, ``{mesh['a'=2], [{'a'}, {}]}``.

    Args:
        metadata: writes an OpMetadata: ``{op_name="x"}``.
    """
    if sharding.type == _TUPLE:
        inner = sharding.tuple_shardings if depth < MAX_NESTING else ()
        return f"{{{', '.join(sharding_text(one, metadata, depth + 1) for one in inner)}}}"
    if sharding.HasField("named_sharding"):
        return _named(sharding.named_sharding, metadata)
    group = f" shard_{'like' if sharding.shard_group_type else 'as'} {sharding.shard_group_id}" if sharding.is_shard_group else ""
    if sharding.metadata:
        texts = [metadata(one) for one in sharding.metadata]
        group += f" metadata={texts[0]}" if len(texts) == 1 else f" metadata={{{', '.join(texts)}}}"
    if sharding.type == _MAXIMAL:
        device = sharding.tile_assignment_devices[0] if sharding.tile_assignment_devices else 0
        return f"{{maximal device={device}{group}}}"
    if sharding.type != _OTHER:
        return f"{{{_WORDS.get(sharding.type, f'type{sharding.type}')}{group}}}"
    if sharding.iota_reshape_dims:
        order = sharding.iota_transpose_perm
        turned = f"T({join(order)})" if len(order) > 1 and list(order) != list(range(len(order))) else ""
        devices = f"<=[{join(sharding.iota_reshape_dims)}]{turned}"
    else:
        devices = join(sharding.tile_assignment_devices)
    last = sharding.last_tile_dims
    if sharding.replicate_on_last_tile_dim or list(last) == [_REPLICATED]:
        group = " last_tile_dim_replicate" + group
    elif last:
        group = f" last_tile_dims={{{', '.join(_WORDS.get(kind, f'type{kind}') for kind in last)}}}" + group
    return f"{{devices=[{join(sharding.tile_assignment_dimensions)}]{devices}{group}}}"


def _named(sharding: Any, metadata: Callable[[Any], str]) -> str:
    mesh = sharding.mesh
    said = f", metadata={{{', '.join(metadata(one) for one in sharding.metadata)}}}" if sharding.metadata else ""
    if not mesh.axes and mesh.device_ids:
        return f"{{maximal_mesh[device_id={mesh.device_ids[0]}]{said}}}"
    ranked = (
        ("replicated", sharding.replicated_axes), ("unreduced", sharding.unreduced_axes), ("manual", sharding.manual_axes),
    )  # fmt: skip
    every = [axis.name for axis in mesh.axes]
    named = [(word, [_axis(axis, every) for axis in axes]) for word, axes in ranked if axes]
    if not sharding.dim_shardings and not sharding.replicated_axes:
        # No dimension of it is split: one word says what all axes do.
        whole = next((word for word, axes in named if len(axes) == len(every)), None) if len(named) == 1 else None
        if whole is not None or not named:
            return f"{{{mesh_text(mesh)}, {whole or 'replicated'}{said}}}"
    dims = ", ".join(
        "{" + ", ".join([*(_axis(axis, every) for axis in dim.axes), *(() if dim.is_closed else ("?",))]) + "}"
        for dim in sharding.dim_shardings
    )
    rest = "".join(f", {word}={{{', '.join(axes)}}}" for word, axes in named)
    return f"{{{mesh_text(mesh)}, [{dims}]{rest}{said}}}"


def mesh_text(mesh: Any) -> str:
    """``mesh['a'=2,'b'=4], device_ids=([2,4]T(1,0))``."""
    axes = ",".join(f"'{axis.name}'={axis.size}" for axis in mesh.axes)
    devices = ""
    if mesh.HasField("iota_transform"):
        turn = mesh.iota_transform
        devices = f", device_ids=([{join(turn.reshape_dims)}]T({join(turn.transpose_perm)}))"
    elif mesh.device_ids:
        devices = f", device_ids=({join(mesh.device_ids)})"
    return f"mesh[{axes}]{devices}"


def axes_text(mesh: Any, axes: Iterable[Any]) -> str:
    """``{'a','b':(2)2}``, the axes that a collective's groups run along."""
    every = [axis.name for axis in mesh.axes]
    return f"{{{','.join(_axis(axis, every) for axis in axes)}}}"


def _axis(axis: Any, every: list[str]) -> str:
    index = axis.mesh_axis_index
    name = every[index] if 0 <= index < len(every) else f"axis {index}"
    part = f":({axis.sub_axis_info.pre_size}){axis.sub_axis_info.size}" if axis.HasField("sub_axis_info") else ""
    return f"'{name}'{part}"
