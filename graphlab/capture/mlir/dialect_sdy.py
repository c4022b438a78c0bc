"""How Shardy's ``sdy`` encodes its attributes in bytecode, as the text that MLIR prints of them.

Facts: bytecode.td, printers.cc and attrs.td of https://github.com/openxla/shardy/tree/main/shardy/dialect/sdy/ir.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphlab.capture.mlir.entries import Entries
from graphlab.capture.mlir.stream import Stream

_REDUCTIONS = ("sum", "max", "min", "none")


def _attributes(entries: Entries, stream: Stream) -> list[str]:
    return [str(entries.attribute(stream.varint())) for _ in range(stream.count())]


def _inside(text: str) -> str:
    """What stands between the brackets of ``#sdy.name<...>``."""
    return text.partition("<")[2].removesuffix(">")


def _axes(refs: Sequence[str]) -> str:
    return "{" + ", ".join(map(_inside, refs)) + "}"


def _manual_axes(entries: Entries, stream: Stream) -> str:
    return "#sdy.manual_axes<{" + ", ".join(f'"{name}"' for name in _attributes(entries, stream)) + "}>"


def _mesh_axis(entries: Entries, stream: Stream) -> str:
    return f'#sdy.mesh_axis<"{entries.string(stream)}"={stream.signed()}>'


def _mesh(entries: Entries, stream: Stream) -> str:
    axes = ", ".join(map(_inside, _attributes(entries, stream)))
    devices = stream.signed_list()
    return f"#sdy.mesh<[{axes}]" + (f", device_ids=[{', '.join(map(str, devices))}]>" if devices else ">")


def _sub_axis(entries: Entries, stream: Stream) -> str:
    return f"#sdy.sub_axis_info<({stream.signed()}){stream.signed()}>"


def _optional(entries: Entries, stream: Stream) -> str | None:
    number = stream.varint()
    return str(entries.attribute(number >> 1)) if number & 1 else None


def _axis_ref(entries: Entries, stream: Stream) -> str:
    name = entries.string(stream)
    part = _optional(entries, stream)
    return f'#sdy.axis_ref<"{name}"' + (f":{_inside(part)}>" if part else ">")


def _dimension(entries: Entries, stream: Stream) -> str:
    axes = list(map(_inside, _attributes(entries, stream)))
    if not stream.byte():
        axes.append("?")
    priority = stream.varint()
    return f"#sdy.dimension_sharding<{{{', '.join(axes)}}}{f'p{priority >> 1}' if priority & 1 else ''}>"


def _sharding(version: int) -> Callable[[Entries, Stream], str]:
    def decode(entries: Entries, stream: Stream) -> str:
        mesh = str(entries.attribute(stream.varint()))
        text = mesh.removeprefix("#sdy.") if mesh.startswith("#sdy.mesh") else f"@{mesh}"
        text += f", [{', '.join(map(_inside, _attributes(entries, stream)))}]"
        replicated = _attributes(entries, stream)
        if replicated:
            text += f", replicated={_axes(replicated)}"
        if version >= 2:
            text += f", unreduced={_axes(_attributes(entries, stream))}"
        if version >= 3:
            at = stream.signed()
            text += f", reduction={_REDUCTIONS[at] if 0 <= at < len(_REDUCTIONS) else at}"
        return f"#sdy.sharding<{text}>"

    return decode


def _per_value(entries: Entries, stream: Stream) -> str:
    return f"#sdy.sharding_per_value<[{', '.join(f'<{_inside(text)}>' for text in _attributes(entries, stream))}]>"


def _factor(index: int) -> str:
    """Factors are i, j, … z, z_1, z_2 …"""
    return chr(ord("i") + index) if 0 <= index <= ord("z") - ord("i") else f"z_{index - (ord('z') - ord('i'))}"


def _dim_mapping(entries: Entries, stream: Stream) -> str:
    return f"#sdy.dim_mapping<{''.join(map(_factor, stream.signed_list()))}>"


def _tensor_mapping(entries: Entries, stream: Stream) -> str:
    return f"#sdy.tensor_mapping<[{', '.join(map(_inside, _attributes(entries, stream)))}]>"


def _rule(entries: Entries, stream: Stream) -> str:
    sizes = stream.signed_list()
    takes, gives = (", ".join(map(_inside, _attributes(entries, stream))) for _ in range(2))
    text = f"({takes})->({gives})"
    if sizes:
        text += " {" + ", ".join(f"{_factor(i)}={size}" for i, size in enumerate(sizes)) + "}"
    for name in ("reduction", "need_replication", "permutation", "blocked_propagation"):
        factors = stream.signed_list()
        if factors:
            text += f" {name}={{{', '.join(map(_factor, factors))}}}"
    return f"#sdy.op_sharding_rule<{text}{', custom' if stream.byte() else ''}>"


def _axis_list(entries: Entries, stream: Stream) -> str:
    return f"#sdy.axis_ref_list<{_axes(_attributes(entries, stream))}>"


def _axis_lists(entries: Entries, stream: Stream) -> str:
    return f"#sdy.list_of_axis_ref_lists<[{', '.join(map(_inside, _attributes(entries, stream)))}]>"


def _exchange(entries: Entries, stream: Stream) -> str:
    axes = _axes(_attributes(entries, stream))
    return f"#sdy.all_to_all_param<{axes}: {stream.signed()}->{stream.signed()}>"


def _exchanges(entries: Entries, stream: Stream) -> str:
    return f"#sdy.all_to_all_param_list<[{', '.join(map(_inside, _attributes(entries, stream)))}]>"


ATTRIBUTES: dict[int, Callable[[Entries, Stream], str]] = {
    0: _manual_axes,
    1: _mesh_axis,
    2: _mesh,
    3: _sub_axis,
    4: _axis_ref,
    5: _dimension,
    6: _sharding(1),
    7: _per_value,
    8: _dim_mapping,
    9: _tensor_mapping,
    10: _rule,
    11: _axis_list,
    12: _axis_lists,
    13: _exchange,
    14: _exchanges,
    15: _sharding(2),
    16: _per_value,
    17: _sharding(3),
}
