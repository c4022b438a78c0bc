"""The attributes that operations keep as properties, in the order of their encoding (``bytecode_properties.txt``)."""

from __future__ import annotations

from pathlib import Path


def _load() -> dict[str, str]:
    lines = (Path(__file__).parent / "bytecode_properties.txt").read_text("utf-8").splitlines()
    pairs = (line.partition(": ") for line in lines if line and not line.startswith("#"))
    return {name: fields for name, _, fields in pairs}


PROPERTIES = _load()
"""Operation → names of its attributes; see the file."""
