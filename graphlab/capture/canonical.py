"""ONNX operators that follow from an operation's attributes, not from its name alone."""

from __future__ import annotations

from collections.abc import Sequence

_DIRECTIONS = {"EQ": "Equal", "LT": "Less", "LE": "LessOrEqual", "GT": "Greater", "GE": "GreaterOrEqual"}


def comparison(direction: str) -> str | None:
    """``LT`` → ``Less``; ONNX has no operator for ``NE``."""
    return _DIRECTIONS.get(direction)


def logic(name: str, dtype: str) -> str | None:
    """``and`` of booleans is ``And``, of integers ``BitwiseAnd``; ``None`` for other names."""
    if name not in ("and", "or", "xor", "not"):
        return None
    return name.capitalize() if dtype == "bool" else f"Bitwise{name.capitalize()}"


def dot(
    ranks: tuple[int, int],
    batch: tuple[Sequence[int], Sequence[int]],
    contracted: tuple[Sequence[int], Sequence[int]],
) -> str | None:
    """``MatMul`` where a dot of two arrays of these ranks does what numpy.matmul does, in the same order of dims."""
    left, right = ranks
    shared = list(range(left - 2))
    plain = left == right >= 2 and list(batch[0]) == list(batch[1]) == shared
    return "MatMul" if plain and list(contracted[0]) == [left - 1] and list(contracted[1]) == [right - 2] else None


def convolution(
    data: Sequence[int], kernel: Sequence[int], result: Sequence[int], batch_groups: int, dilation: Sequence[int]
) -> str | None:
    """``Conv`` where the dims stand in ONNX's order: batch, feature, space; output feature, input feature, space.

    Args:
        data, kernel, result: where each of those is found in the array.
        dilation: of the data; anything but 1 is a transposed convolution.
    """
    in_order = all(list(dims) == list(range(len(dims))) for dims in (data, kernel, result))
    return "Conv" if in_order and batch_groups == 1 and all(d == 1 for d in dilation) else None
