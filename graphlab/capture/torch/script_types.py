"""TorchScript's types without torch: as annotations in code and as operator schemas spell them, and which fits which.

Rules after torch's ``jit_type.h``: subtyping, unification, and matching of type variables.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from graphlab.ir.values import OpaqueType, TupleType, ValueType

_MANGLE = re.compile(r"___torch_mangle_\d+\.")


@cache
def unmangled(name: str) -> str:
    """A qualified name without the number torch adds to tell equal names apart, which differs from run to run."""
    return _MANGLE.sub("", name)


@dataclass(frozen=True, slots=True)
class Type:
    """One type.

    Attributes:
        kind: ``Tensor``, ``int``, ``List``, ``Tuple``, ``class``, ``interface``, ``enum``, ``function``, ``var`` (a schema's
            type variable) …
        args: the types it is made of.
        name: of a class, interface, enum, named tuple, function or type variable.
        fields: a named tuple's.
    """

    kind: str
    args: tuple[Type, ...] = ()
    name: str = ""
    fields: tuple[str, ...] = ()

    def __str__(self) -> str:
        """As torch's ``annotation_str`` spells it."""
        if self.name:
            return self.name
        if self.kind in _GENERIC:
            inner = ", ".join(map(str, self.args)) or "()"
            return f"{_GENERIC[self.kind]}[{inner}]"
        return self.kind


_GENERIC = {n: n for n in ("List", "Dict", "Optional", "Union", "Tuple", "Future", "RRef", "Await")}

TENSOR, INT, FLOAT, COMPLEX, BOOL, STR = (Type(n) for n in ("Tensor", "int", "float", "complex", "bool", "str"))
NONE, NUMBER, ANY, DEVICE = Type("NoneType"), Type("number"), Type("Any"), Type("Device")
ANY_LIST, ANY_TUPLE, ANY_CLASS, ANY_ENUM = Type("list"), Type("tuple"), Type("AnyClassType"), Type("AnyEnumType")
UNKNOWN = Type("Unknown")
"""What an operation gives that torch 2.13 does not have, so that graphlab cannot know: it fits everywhere."""

_PLAIN = {
    t.kind: t for t in (TENSOR, INT, FLOAT, COMPLEX, BOOL, STR, NONE, NUMBER, ANY, DEVICE, ANY_LIST, ANY_TUPLE, ANY_CLASS, ANY_ENUM)
} | {
    "Scalar": NUMBER, "None": NONE, "SymInt": INT, "SymFloat": FLOAT, "SymBool": BOOL, "ScalarType": INT, "Layout": INT,
    "MemoryFormat": INT, "Number": NUMBER, "AnyListType": ANY_LIST, "AnyTupleType": ANY_TUPLE, "ConstQuantizerPtr": Type("Quantizer"),
    "QScheme": Type("QScheme"), "Generator": Type("Generator"), "Storage": Type("Storage"), "Stream": Type("Stream"),
    "Capsule": Type("Capsule"), "DeviceObjType": DEVICE, "t": Type("var", name="t"), "list": ANY_LIST, "tuple": ANY_TUPLE,
}  # fmt: skip


def optional(of: Type) -> Type:
    """``Optional[T]``; of an Optional, None or Any, that itself."""
    return of if of.kind in ("Optional", "NoneType", "Any") else Type("Optional", (of,))


def list_of(element: Type) -> Type:
    return Type("List", (element,))


def tuple_of(elements: tuple[Type, ...]) -> Type:
    return Type("Tuple", elements)


@cache
def plain(name: str) -> Type | None:
    """A type that has only a name; ``None`` for a name that is of no such type."""
    return _PLAIN.get(name)


_NUMBERS = ("int", "float", "complex")


@cache
def is_subtype(sub: Type, of: Type) -> bool:
    """Whether a value of the one may stand where the other is wanted."""
    if sub == of or of.kind in ("Any", "Unknown") or sub.kind == "Unknown":
        return True
    kind = of.kind
    if kind == "Optional":
        inner = of.args[0]
        return sub.kind == "NoneType" or is_subtype(sub.args[0] if sub.kind == "Optional" else sub, inner)
    if sub.kind == "Union":
        return all(is_subtype(each, of) for each in sub.args)
    if kind == "Union":
        return any(is_subtype(sub, each) for each in of.args)
    if kind == "number":
        return sub.kind in _NUMBERS
    if kind == "list":
        return sub.kind == "List"
    if kind == "tuple":
        return sub.kind == "Tuple"
    if kind == "AnyClassType":
        return sub.kind == "class"
    if kind == "AnyEnumType":
        return sub.kind == "enum"
    if kind == "interface":
        return sub.kind in ("class", "interface")
    if kind == "Tuple" and sub.kind == "Tuple":
        if of.name and sub.name != of.name:
            return False
        return len(sub.args) == len(of.args) and all(is_subtype(a, b) for a, b in zip(sub.args, of.args, strict=True))
    if kind in ("Future", "RRef", "Await") and sub.kind == kind:
        return is_subtype(sub.args[0], of.args[0])
    return False


@cache
def unify(a: Type, b: Type) -> Type | None:
    """The type that holds both (``unifyTypes``); ``None`` where there is none."""
    if is_subtype(a, b):
        return b
    if is_subtype(b, a):
        return a
    if a.kind == "NoneType":
        return optional(b)
    if b.kind == "NoneType":
        return optional(a)
    if a.kind == "Optional" and b.kind != "Optional":
        inner = unify(a.args[0], b)
        return None if inner is None else optional(inner)
    if b.kind == "Optional" and a.kind != "Optional":
        return unify(b, a)
    if a.kind == b.kind and a.kind in ("List", "Tuple", "Dict", "Future", "Optional") and len(a.args) == len(b.args):
        parts = [unify(x, y) for x, y in zip(a.args, b.args, strict=True)]
        if a.kind in ("List", "Dict") and a != b:
            return None
        if all(part is not None for part in parts):
            return Type(a.kind, tuple(part for part in parts if part is not None))
    return None


def bind(formal: Type, actual: Type, bound: dict[str, Type]) -> bool:
    """Bind a schema's type variables to what the actual type has in their place (``matchTypeVariables``)."""
    kind = formal.kind
    if kind == "var":
        known = bound.get(formal.name)
        if known is None:
            bound[formal.name] = actual
            return True
        both = unify(known, actual)
        if both is None:
            return False
        bound[formal.name] = both
        return True
    if not formal.args or not has_variables(formal):
        return True
    if actual.kind == "Unknown":
        return all(bind(part, actual, bound) for part in formal.args)
    if kind == "List":
        if actual.kind == "List":
            return bind(formal.args[0], actual.args[0], bound)
        if actual.kind == "Tuple" and actual.args:
            element: Type | None = actual.args[0]
            for each in actual.args[1:]:
                element = None if element is None else unify(element, each)
            return element is not None and bind(formal.args[0], element, bound)
        return False
    if kind == "Optional":
        if actual.kind == "Optional":
            return bind(formal.args[0], actual.args[0], bound)
        return actual.kind == "NoneType" or bind(formal.args[0], actual, bound)
    if kind == actual.kind and len(formal.args) == len(actual.args):
        return all(bind(f, a, bound) for f, a in zip(formal.args, actual.args, strict=True))
    return False


@cache
def has_variables(of: Type) -> bool:
    return of.kind == "var" or any(map(has_variables, of.args))


def filled(formal: Type, bound: dict[str, Type]) -> Type | None:
    """The formal type with its variables replaced; ``None`` where one is not bound."""
    if formal.kind == "var":
        return bound.get(formal.name)
    if not has_variables(formal):
        return formal
    parts = [filled(arg, bound) for arg in formal.args]
    if any(part is None for part in parts):
        return None
    return Type(formal.kind, tuple(part for part in parts if part is not None), formal.name, formal.fields)


@cache
def value_type(of: Type) -> ValueType:
    """In the IR's words."""
    if of.kind == "Tuple":
        return TupleType(tuple(value_type(each) for each in of.args))
    return OpaqueType(unmangled(str(of)))


@cache
def is_mutable(of: Type) -> bool:
    """Whether a value of that type can be written to, or holds one that can."""
    if of.kind in ("Optional", "Tuple", "Union", "Future", "Await"):
        return any(map(is_mutable, of.args))
    return of.kind in ("Tensor", "List", "Dict", "class", "interface", "Any", "list", "tuple", "AnyClassType", "RRef", "Capsule", "var")
