"""What TensorFlow's registry says of its operations, as a table of the package: readers of files need no TensorFlow.

``ops.txt`` holds one operation a line, written by ``python -m graphlab.capture.tensorflow.op_table``::

    If! cond input -> output:[Tout] @else_branch @then_branch
    Shape input -> output:$out_type out_type=3
    Split split_dim value -> output:$T*num_split

``!`` marks a stateful operation; an output's type is a DataType number, ``$`` an attribute that names it, ``[…]`` a
list of types; ``*`` an attribute that says how many there are; ``@`` an attribute that names functions. The number
behind an attribute is its default, kept where outputs depend on it: files leave defaults out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from graphlab.capture.tensorflow.opdefs import OpSpec, OutputArg

TABLE = Path(__file__).parent / "ops.txt"


def find(name: str) -> OpSpec | None:
    """The operation, ``None`` where the registry that the table was written from has none of that name."""
    line = _lines().get(name)
    return None if line is None else _parse(line)


@cache
def _lines() -> Mapping[str, str]:
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    return {line.partition(" ")[0].rstrip("!"): line for line in lines if line and line[0] != "#"}


def _parse(line: str) -> OpSpec:
    left, _, right = line.partition(" ->")
    name, *inputs = left.split()
    outputs: list[OutputArg] = []
    functions: list[str] = []
    defaults: dict[str, int | tuple[int, ...]] = {}
    for word in right.split():
        if word[0] == "@":
            functions.append(word[1:])
        elif ":" in word:
            outputs.append(_output(word))
        else:
            key, _, value = word.partition("=")
            defaults[key] = tuple(int(v) for v in value[1:-1].split(",") if v) if value[0] == "[" else int(value)
    return OpSpec(name.rstrip("!"), tuple(inputs), tuple(outputs), name.endswith("!"), tuple(functions), defaults)


def _output(word: str) -> OutputArg:
    name, _, rest = word.partition(":")
    kind, _, number = rest.partition("*")
    if kind[0] == "[":
        return OutputArg(name, 0, "", number, kind[1:-1])
    return OutputArg(name, 0, kind[1:], number, "") if kind[0] == "$" else OutputArg(name, int(kind), "", number, "")


def render(op_defs: Iterable[Any]) -> str:
    """The table's lines for OpDefs, in the order of their names."""
    return "".join(f"{_render(op)}\n" for op in sorted(op_defs, key=lambda op: str(op.name)))


def _render(op: Any) -> str:
    words = [op.name + ("!" if op.is_stateful else ""), *(a.name for a in op.input_arg), "->"]
    needed: list[str] = []
    for arg in op.output_arg:
        kind = f"[{arg.type_list_attr}]" if arg.type_list_attr else f"${arg.type_attr}" if arg.type_attr else str(arg.type)
        words.append(f"{arg.name}:{kind}" + (f"*{arg.number_attr}" if arg.number_attr else ""))
        needed += [arg.type_list_attr, arg.type_attr, arg.number_attr]
    words += [f"@{a.name}" for a in op.attr if a.type in ("func", "list(func)")]
    for attr in op.attr:
        if attr.name in needed and attr.HasField("default_value"):
            value = attr.default_value
            listed = f"[{','.join(map(str, value.list.type))}]"
            words.append(f"{attr.name}={listed if attr.type == 'list(type)' else value.type if attr.type == 'type' else value.i}")
    return " ".join(words)


def registered() -> list[Any]:
    """The OpDefs of the TensorFlow that is installed."""
    from tensorflow.core.framework import op_def_pb2
    from tensorflow.python.client import pywrap_tf_session as session

    defined = op_def_pb2.OpList.FromString(session.TF_GetBuffer(session.TF_GetAllOpList()))
    return list(defined.op)


# Operations that TensorFlow.js' converter puts in and TensorFlow does not know: tfjs-converter/python/tensorflowjs/converters,
# fuse_depthwise_conv2d.py and fuse_prelu.py.
_TFJS = """
FusedDepthwiseConv2dNative input filter args -> output:$T T=1
Prelu x alpha -> activations:$T T=1
"""


def main() -> None:
    import tensorflow as tf

    known = [op for op in registered() if op.name not in ("FusedDepthwiseConv2dNative", "Prelu")]
    head = f"# Operations of tensorflow {tf.__version__}, and of the TensorFlow.js converter. See op_table.py.\n"
    TABLE.write_text(head + _TFJS.lstrip() + render(known), encoding="utf-8")


if __name__ == "__main__":
    main()
