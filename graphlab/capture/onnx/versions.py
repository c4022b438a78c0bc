"""Which definition of a standard operator a model means: what a name computes changed from one opset to another.

``versions.txt`` holds one operator a line, behind its domain's, written by ``python -m graphlab.capture.onnx.versions``::

    ai.onnx
    Softmax 1 11 13

The numbers are the opsets that defined the operator anew. A model that imports opset 12 means the definition of 11: the
greatest that is not above its import (ONNX's "since version", IR.md, "Operator Sets").
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from graphlab.ir.frozen import FrozenDict

TABLE = Path(__file__).parent / "versions.txt"

Opsets = FrozenDict[str, int]
"""The version asked for of each domain's operators; ONNX's own domain is the empty one."""


def plain_domain(domain: str) -> str:
    """``ai.onnx`` is another spelling of the empty domain."""
    return "" if domain == "ai.onnx" else domain


def imported(entries: Iterable[Any]) -> dict[str, int]:
    """The opset of each domain that OperatorSetIdProtos ask for."""
    found: dict[str, int] = {}
    for entry in entries:
        found.setdefault(plain_domain(entry.domain), entry.version)
    return found


def since_version(domain: str, op_type: str, opset: int) -> int | None:
    """The opset that wrote the definition which ``opset`` selects.

    ``None`` where no opset up to it defines such an operator, and for opsets of a domain that are newer than the table.

    Args:
        domain: empty for ONNX's own.
    """
    table = _table().get(domain or "ai.onnx", {})
    versions = table.get(op_type, ())
    at = bisect_right(versions, opset)
    return versions[at - 1] if at and opset <= newest(domain) else None


@cache
def newest(domain: str) -> int:
    """The newest opset of a domain that the table knows; 0 of a domain that is no standard one."""
    return max((versions[-1] for versions in _table().get(domain or "ai.onnx", {}).values()), default=0)


@cache
def _table() -> Mapping[str, Mapping[str, tuple[int, ...]]]:
    found: dict[str, dict[str, tuple[int, ...]]] = {}
    domain = ""
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        name, *versions = line.split()
        if name == "#":
            continue
        if versions:
            found[domain][name] = tuple(map(int, versions))
        else:
            found[domain := name] = {}
    return found


def render(definitions: Iterable[tuple[str, str, int]]) -> str:
    """The table of (domain, operator, version), without its head."""
    found: dict[str, dict[str, set[int]]] = {}
    for domain, name, version in definitions:
        found.setdefault(domain or "ai.onnx", {}).setdefault(name, set()).add(version)
    lines = []
    for domain in sorted(found):
        lines.append(domain)
        lines += [" ".join([name, *map(str, sorted(found[domain][name]))]) for name in sorted(found[domain])]
    return "".join(f"{line}\n" for line in lines)


def main() -> None:
    import onnx

    head = f"# Definitions of the operators of onnx {onnx.__version__}. See versions.py.\n"
    known = ((schema.domain, schema.name, schema.since_version) for schema in onnx.defs.get_all_schemas_with_history())
    TABLE.write_text(head + render(known), encoding="utf-8")


if __name__ == "__main__":
    main()
