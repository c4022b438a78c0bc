"""The values of torch.export's JSON: enumerations, types, arguments; every field checked before it is used.

Source: ``torch/_export/serde/schema.py`` of torch 2.13 (schema 8.20) and of the releases back to 2.1 (schema 1.1). A
union is an object with one member set; older writers set the others to null, and 2.1 wrapped it once more. A member
that no version named here has is kept as text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from graphlab.capture.torch.plain_graph import MAX_DEPTH, Ref
from graphlab.capture.torch.sympy_text import spelt
from graphlab.errors import FormatError
from graphlab.ir.frozen import FrozenDict
from graphlab.ir.values import Dim, OpaqueType, SymDim, TensorType, ValueType

DTYPES: Mapping[int, str] = dict(enumerate(
    ("unknown", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "complex32", "complex64", "complex128",
     "bool", "bfloat16"))) | {
    28: "uint16", 29: "float8_e4m3fn", 30: "float8_e5m2", 31: "float8_e4m3fnuz", 32: "float8_e5m2fnuz", 33: "float8_e8m0fnu",
    34: "uint32", 35: "uint64",
}  # fmt: skip
LAYOUTS: Mapping[int, str] = dict(
    enumerate(("unknown", "sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc", "_mkldnn", "strided"))
)
MEMORY_FORMATS: Mapping[int, str] = dict(
    enumerate(("unknown", "contiguous_format", "channels_last", "channels_last_3d", "preserve_format"))
)
POSITIONAL, KEYWORD = 1, 2

INT, FLOAT, BOOL, NONE = OpaqueType("int"), OpaqueType("float"), OpaqueType("bool"), OpaqueType("None")
SYMBOLIC: Mapping[str, ValueType] = {"as_sym_int": INT, "as_sym_float": FLOAT, "as_sym_bool": BOOL}


def parsed(data: bytes | str, asked: str, where: str) -> Any:
    """JSON. Raises FormatError where it is none, or nests too deep for Python's parser."""
    try:
        return json.loads(data)
    except RecursionError as error:
        raise FormatError(asked, found="its JSON nests too deep", do="check the file", where=where) from error
    except ValueError as error:  # a syntax error, bad UTF-8, a number of thousands of digits
        raise FormatError(asked, found=f"it is no sound JSON: {error}", do="fetch or write the file again", where=where) from error


class Decoder:
    """Decodes parts of one program's JSON. ``asked`` is the task, for errors."""

    def __init__(self, asked: str) -> None:
        self.asked = asked
        self._types: dict[str, TensorType] = {}

    def refuse(self, found: str, where: str) -> NoReturn:
        raise FormatError(self.asked, found=found, do="export the model again, or fetch the file again", where=where)

    def object(self, value: Any, where: str) -> dict[str, Any]:
        """Raises FormatError where it is no JSON object."""
        if not isinstance(value, dict):
            self.refuse(f"an object is expected, and there is {_short(value)}", where)
        return value

    def list(self, value: Any, where: str) -> list[Any]:
        """Raises FormatError where it is no JSON array; null is an empty one."""
        if value is None:
            return []
        if not isinstance(value, list):
            self.refuse(f"an array is expected, and there is {_short(value)}", where)
        return value

    def text(self, value: Any, where: str) -> str:
        if not isinstance(value, str):
            self.refuse(f"a text is expected, and there is {_short(value)}", where)
        return value

    def union(self, value: Any, where: str) -> tuple[str, Any]:
        """The member that is set, and its value."""
        held = self.object(value, where)
        if len(held) == 1:
            [(name, inner)] = held.items()
            return name, inner
        if set(held) == {"$type", "$value"}:  # torch 2.1
            return self.text(held["$type"], where), held["$value"]
        found = [(name, inner) for name, inner in held.items() if inner is not None]
        if len(found) != 1:
            self.refuse(f"a union has {len(found)} members set", where)
        return found[0]

    def dim(self, value: Any, where: str) -> Dim:
        """A size: ``{"as_int": 4}``, ``{"as_expr": {"expr_str": …}}``."""
        if type(value) is int:
            return value
        name, inner = self.union(value, where)
        if name == "as_int" and type(inner) is int:
            return inner
        if name == "as_expr":
            return SymDim(self.expression(inner, where))
        return None

    def expression(self, value: Any, where: str) -> str:
        """The spelling of a SymExpr."""
        return spelt(self.text(self.object(value, where).get("expr_str"), where))

    def tensor(self, value: Any, where: str) -> TensorType:
        """The type that a TensorMeta tells; equal ones are one object."""
        meta = self.object(value, where)
        key = json.dumps((meta.get("dtype"), meta.get("sizes"), meta.get("layout")))
        known = self._types.get(key)
        if known is None:
            dims = tuple(self.dim(size, where) for size in self.list(meta.get("sizes"), where))
            known = self._types[key] = TensorType(self.dtype(meta.get("dtype")), dims, layout=self.layout(meta.get("layout")))
        return known

    def dtype(self, value: Any) -> str:
        """An element type by its number; of a number that no version has, that number."""
        number = self._number(value)
        return DTYPES.get(number, f"dtype {number}")

    def layout(self, value: Any) -> str | None:
        name = LAYOUTS.get(self._number(value), str(value))
        return None if name in ("strided", "unknown", "None") else name

    def _number(self, value: Any) -> int:
        return value if type(value) is int else -1

    def argument(self, value: Any, where: str, graph: Callable[[Any, str], Ref], depth: int = 0) -> Any:
        """An Argument as the IR's attributes keep it, nodes as :class:`Ref`.

        Args:
            graph: takes an ``as_graph`` member, and returns what stands for it.
        """
        if depth > MAX_DEPTH:
            self.refuse(f"arguments nest more than {MAX_DEPTH} deep", where)
        name, inner = self.union(value, where)
        match name:
            case "as_none":
                return None
            case "as_tensor" | "as_token":
                return self.ref(inner, where)
            case "as_int" | "as_bool" | "as_string":
                return inner if isinstance(inner, (int, bool, str)) else self.unknown(name, inner)
            case "as_float":
                return self.float(inner, where)
            case "as_tensors":
                return tuple(self.ref(each, where) for each in self.list(inner, where))
            case "as_ints" | "as_bools" | "as_strings":
                return tuple(each if isinstance(each, (int, bool, str)) else str(each) for each in self.list(inner, where))
            case "as_floats":
                return tuple(self.float(each, where) for each in self.list(inner, where))
            case "as_int_lists" | "as_float_lists":
                return tuple(tuple(self.float(n, where) for n in self.list(each, where)) for each in self.list(inner, where))
            case "as_sym_int" | "as_sym_float" | "as_sym_bool":
                return self.symbolic(inner, where)
            case "as_sym_ints" | "as_sym_floats" | "as_sym_bools":
                return tuple(self.symbolic(each, where) for each in self.list(inner, where))
            case "as_scalar_type":
                return self.dtype(inner)
            case "as_memory_format":
                return MEMORY_FORMATS.get(self._number(inner), str(inner))
            case "as_layout":
                return LAYOUTS.get(self._number(inner), str(inner))
            case "as_device":
                return self.device(inner, where)
            case "as_graph":
                return graph(inner, where)
            case "as_optional_tensor":
                return self.argument(inner, where, graph, depth + 1)
            case "as_optional_tensors":
                return tuple(self.argument(each, where, graph, depth + 1) for each in self.list(inner, where))
            case "as_nested_tensors":
                return tuple(tuple(self.ref(each, where) for each in self.list(row, where)) for row in self.list(inner, where))
            case "as_complex":
                parts = self.object(inner, where)
                return complex(self.float(parts.get("real"), where), self.float(parts.get("imag"), where))
            case "as_string_to_argument":
                held = self.object(inner, where)
                return FrozenDict({key: self.argument(each, where, graph, depth + 1) for key, each in held.items()})
            case "as_custom_obj":
                return Ref(self.text(self.object(inner, where).get("name"), where))
            case "as_operator":
                return operator_name(self.text(inner, where))
            case _:
                return self.unknown(name, inner)

    def ref(self, value: Any, where: str) -> Ref:
        return Ref(self.text(self.object(value, where).get("name"), where))

    def symbolic(self, value: Any, where: str) -> Any:
        """A SymIntArgument and its like: a node, or the number itself."""
        name, inner = self.union(value, where)
        return Ref(self.text(inner, where)) if name == "as_name" else inner if isinstance(inner, (int, float)) else str(inner)

    def float(self, value: Any, where: str) -> float:
        """A number; infinities and NaN are written as texts since schema 8.6."""
        if isinstance(value, str):
            if value.lower().lstrip("+-") not in ("inf", "infinity", "nan"):
                self.refuse(f"a number is expected, and there is {_short(value)}", where)
            return float(value)
        if not isinstance(value, (int, float)):
            self.refuse(f"a number is expected, and there is {_short(value)}", where)
        return value

    def device(self, value: Any, where: str) -> str:
        held = self.object(value, where)
        index = held.get("index")
        return f"{held.get('type')}" if index is None else f"{held.get('type')}:{index}"

    def unknown(self, name: str, value: Any) -> FrozenDict[str, str]:
        """A member of a later schema, kept as its text."""
        return FrozenDict({name: _short(value, 200)})


def operator_name(target: str) -> str:
    """A serialized target by the IR's name: ``torch.ops.aten.add.Tensor`` → ``aten.add.Tensor``, ``_operator.mul`` → ``operator.mul``."""
    for prefix, name in (("torch.ops.", ""), ("torch._ops.", ""), ("_operator.", "operator.")):
        if target.startswith(prefix):
            return name + target.removeprefix(prefix)
    return target.removeprefix("#").replace(":", ".", 1) if target.startswith("#") else target


def _short(value: Any, length: int = 60) -> str:
    """The value's JSON, cut; values that nest too deep to be written are named by their kind."""
    if isinstance(value, (dict, list)):
        return f"an {'object' if isinstance(value, dict) else 'array'} of {len(value):,}"
    text = json.dumps(value)
    return text if len(text) <= length else text[: length - 3] + "..."
